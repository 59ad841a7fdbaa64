"""Predictors: any model as a function from texts to answers, with a digest of what it is."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekit.evaluate.answers import Answered, Predict
from scalekit.signing import digest as content_digest

__all__ = ["Predictor", "predictor"]


@dataclass(frozen=True)
class Predictor:
    """A model that can be measured: call it with a list of texts.

    ``kind`` says what it was made of, ``digest`` names the weights (empty when they can't be
    read: say it), ``settings`` how it is asked.
    """

    kind: str
    answer: Predict
    digest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """The digest of kind and settings: other settings, other answers."""
        said = {name: repr(value) for name, value in self.settings.items()}
        return content_digest({"kind": self.kind, "settings": said})

    def __call__(self, texts: list[str]) -> Sequence[str] | Answered:
        """Return an answer for each text."""
        return self.answer(texts)


def predictor(
    model: Any,
    *,
    encode: Callable[[list[str]], Any] | None = None,
    classes: Sequence[str] | None = None,
    digest: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Predictor:
    """Return *model* as a function from texts to answers.

    Parameters
    ----------
    model
        - a callable from a list of texts to as many answers: as it is;
        - a scikit-learn estimator or pipeline: ``predict``;
        - a torch module with *encode* and *classes*: the class of the largest output ``[B, K]``
          (or of ``.logits``), in evaluation mode, without gradients, on the module's device;
        - a Hugging Face pipeline: the label of ``text-classification``, the new text of
          ``text-generation`` with its tokens counted.
    encode
        From texts to what the model takes: a tensor, a tuple of them, or a mapping (a tokenizer's
        output); for scikit-learn features.
    classes
        Names of the outputs, in their order; for scikit-learn where it predicts their numbers, for
        a pipeline where it says LABEL_0.
    digest
        Names the weights. Of a torch module and a pipeline it is computed.
    settings
        Handed to a pipeline with each call, such as ``max_new_tokens``.

    Raises
    ------
    TypeError
        When *model* is none of these, or a torch module comes without *encode* and *classes*.
    ValueError
        When the pipeline's task is another one, or outputs and *classes* do not fit.
    """
    names = None if classes is None else [str(c) for c in classes]
    how = dict(settings or {})
    if isinstance(model, Predictor):
        return model
    if _is_a(model, "torch.nn", "Module"):
        return _of_torch(model, encode, names, digest)
    if _is_a(model, "transformers", "Pipeline"):
        return _of_pipeline(model, names, digest, how)
    if hasattr(model, "predict") and hasattr(model, "fit"):
        return _of_estimator(model, encode, names, digest)
    if callable(model):
        return Predictor("callable", model, digest)
    raise TypeError(
        f"{type(model).__name__} can't be measured: give a callable from a list of texts to a list "
        "of answers, a scikit-learn estimator, a torch module with encode= and classes=, or a "
        "Hugging Face pipeline"
    )


def _is_a(model: Any, module: str, name: str) -> bool:
    # What is not imported can't be an instance of it; so nothing heavy is loaded to ask.
    kind = getattr(sys.modules.get(module), name, None) if module in sys.modules else None
    return kind is not None and isinstance(model, kind)


def _of_estimator(
    model: Any, encode: Callable[[list[str]], Any] | None, names: list[str] | None, digest: str
) -> Predictor:
    def answer(texts: list[str]) -> list[str]:
        said = model.predict(texts if encode is None else encode(texts))
        return _named(np.asarray(said), names)

    settings = {"classes": names} if names is not None else {}
    return Predictor(f"scikit-learn {type(model).__name__}", answer, digest, settings)


def _named(said: Any, names: list[str] | None) -> list[str]:
    if names is None or not np.issubdtype(said.dtype, np.integer):
        return [s if isinstance(s, str) else str(s) for s in said.tolist()]
    if len(said) and not 0 <= said.min() <= said.max() < len(names):
        raise ValueError(f"the model gave class {said.max()}, there are {len(names)} names")
    return [names[s] for s in said.tolist()]


def _of_torch(
    model: Any, encode: Callable[[list[str]], Any] | None, names: list[str] | None, digest: str
) -> Predictor:
    if encode is None or names is None:
        raise TypeError(
            "a torch module needs encode= (from texts to its input) and classes= (the names of "
            "its outputs)"
        )

    def answer(texts: list[str]) -> list[str]:
        import torch

        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        given = encode(texts)
        training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                out = _forward(model, given, device)
        finally:
            model.train(training)
        logits = getattr(out, "logits", out)
        if logits.ndim != 2 or logits.shape != (len(texts), len(names)):
            raise ValueError(
                f"the model gave outputs of shape {tuple(logits.shape)} for {len(texts)} texts and "
                f"{len(names)} classes; [{len(texts)}, {len(names)}] is needed"
            )
        return _named(logits.argmax(dim=1).cpu().numpy(), names)

    settings = {"classes": names}
    return Predictor(f"torch {type(model).__name__}", answer, digest or _weights(model), settings)


def _forward(model: Any, given: Any, device: Any) -> Any:
    def there(value: Any) -> Any:
        return value.to(device) if hasattr(value, "to") else value

    if isinstance(given, Mapping):
        return model(**{name: there(value) for name, value in given.items()})
    if isinstance(given, tuple):
        return model(*map(there, given))
    return model(there(given))


def _weights(model: Any) -> str:
    """Return the digest of names, kinds and bytes of a module's parameters and buffers."""
    import torch

    found = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(plain.view(torch.uint8).numpy().tobytes())
    return f"weights:sha256:{found.hexdigest()}"


def _of_pipeline(
    model: Any, names: list[str] | None, digest: str, how: dict[str, Any]
) -> Predictor:
    task = model.task
    answer: Predict
    if task in ("text-classification", "sentiment-analysis"):
        # Texts longer than the model are cut, unless said otherwise: they would fail.
        how = {"truncation": True, **how, "top_k": 1}

        def answer(texts: list[str]) -> list[str]:
            said = [found[0]["label"] if isinstance(found, list) else found["label"]
                    for found in model(texts, **how)]  # fmt: skip
            return [_label(label, names) for label in said]

    elif task == "text-generation":
        how = {"do_sample": False, **how, "return_full_text": False}

        def answer(texts: list[str]) -> Answered:
            said = [found[0]["generated_text"] for found in model(texts, **how)]
            return Answered(said, _tokens(model, texts), _tokens(model, said))

    else:
        raise ValueError(
            f"a {task!r} pipeline can't be measured: text-classification and text-generation can; "
            "of another one make a callable from texts to answers"
        )
    settings = {**how, "classes": names} if names is not None else how
    known = digest or _weights(model.model)
    return Predictor(f"Hugging Face {task}", answer, known, settings)


def _label(label: str, names: list[str] | None) -> str:
    number = label.removeprefix("LABEL_")
    if names is None or number == label or not number.isdigit():
        return label
    if int(number) >= len(names):
        raise ValueError(f"the model gave {label}, there are {len(names)} names")
    return names[int(number)]


def _tokens(model: Any, texts: list[str]) -> int | None:
    if model.tokenizer is None:
        return None
    return sum(map(len, model.tokenizer(texts)["input_ids"]))
