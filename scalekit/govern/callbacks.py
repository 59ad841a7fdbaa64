"""Governed training inside other people's loops: Hugging Face's Trainer and Lightning.

Both need the batch to carry ``example_id``, a tensor [B] of example numbers (rows of the manifest);
the Trainer keeps it with ``remove_unused_columns=False``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from scalekit.govern.governor import Governor
from scalekit.govern.guard import Guard, Update

__all__ = ["hugging_face_callback", "lightning_callback"]

Updated = Callable[[Update], None]


def _names(governor: Governor, numbers: Tensor) -> list[str]:
    """Return the ids of example numbers; without a manifest a number is its own name."""
    rows = [int(n) for n in numbers.reshape(-1).tolist()]
    if governor.manifest is None:
        return [str(n) for n in rows]
    table = governor.manifest.table
    known = dict(zip(table["example"].to_list(), table["item_id"].to_list(), strict=True))
    return [known.get(n, f"number {n}") for n in rows]


def hugging_face_callback(governor: Governor, updated: Updated | None = None, **batch: Any) -> Any:
    """Return a callback for ``transformers.Trainer`` that governs its training, without a subclass.

    The batch opens at the model's forward, where ``example_id`` is taken out of the inputs, and
    closes before the next one or the optimizer's step.

    Parameters
    ----------
    governor
        Of the model that is given to the Trainer.
    updated
        Called after each step, as for :class:`~scalekit.govern.Guard`.
    batch
        Further arguments of :meth:`Governor.enter`, such as ``mask``.
    """
    from transformers import TrainerCallback

    def leave(*_: Any) -> None:
        if governor.open is not None:
            governor.leave()

    def enter(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        numbers = kwargs.pop("example_id", None)
        if module.training:
            leave()
            if numbers is None:
                raise KeyError(
                    "example_id: the batch does not say which examples it holds; keep the column "
                    "with TrainingArguments(remove_unused_columns=False)"
                )
            governor.enter(_names(governor, numbers), **batch)
        return args, kwargs

    class GovernCallback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **kwargs: Any) -> None:
            model, optimizer = kwargs["model"], kwargs["optimizer"]
            plain = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
            self._hooks = [model.register_forward_pre_hook(enter, with_kwargs=True)]
            self._hooks.append(plain.register_step_pre_hook(leave))
            self.guard = Guard(governor, plain, updated)

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.guard.remove()
            for hook in self._hooks:
                hook.remove()

    return GovernCallback()


def lightning_callback(governor: Governor, updated: Updated | None = None, **batch: Any) -> Any:
    """Return a callback for ``lightning.Trainer``; the batch is a mapping with ``example_id``.

    Parameters are those of :func:`hugging_face_callback`; *governor* is of the LightningModule, or
    of a module inside it that has all its parameters.
    """
    from lightning.pytorch import Callback

    class GovernCallback(Callback):  # type: ignore[misc]
        def on_train_start(self, trainer: Any, *_: Any) -> None:
            # Lightning runs the backward inside the step, in a closure: guarded by hand.
            self.guard = Guard(governor, trainer.optimizers[0], updated, attach=False)

        def on_train_batch_start(self, _: Any, __: Any, batch_: Any, *___: Any) -> None:
            governor.enter(_names(governor, batch_["example_id"]), **batch)

        def on_after_backward(self, *_: Any) -> None:
            governor.leave()

        def on_before_optimizer_step(self, *_: Any) -> None:
            self.guard.check()

        def on_train_batch_end(self, *_: Any) -> None:
            if self.guard.checked:
                self.guard.record()

    return GovernCallback()
