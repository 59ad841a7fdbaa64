"""A governed run: stepped, recorded, resumable, sealed over its released weights."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from scalekit.display import View, block, counted, note, table
from scalekit.govern.batch import GovernError, Harvest
from scalekit.govern.depths import DepthMap
from scalekit.govern.governor import govern
from scalekit.govern.guard import Guard, Update
from scalekit.govern.manifest import Manifest
from scalekit.govern.oracle import Verification, verify
from scalekit.govern.readout import Readout, cross_entropy
from scalekit.govern.record import Recorder
from scalekit.govern.record.recorder import Checkpoint
from scalekit.govern.representation import ranks
from scalekit.govern.settings import Examples, Settings
from scalekit.govern.step_report import StepReport, loss_plot, updates_table
from scalekit.govern.strength import EntropyBudget
from scalekit.govern.training_state import pack, unpack
from scalekit.signing import Signer

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["GovernedRun"]

Forward = Callable[[nn.Module, Sequence[int]], tuple[Tensor, Tensor]]


class GovernedRun(View):
    """Trains a model on the examples of a manifest, one accounted update at a time.

    Parameters
    ----------
    model, optimizer
        Any module with supported leaves, any optimizer over its parameters. A run verifies the
        model against the per-example oracle before it starts.
    examples
        All of them in the manifest, unaltered.
    forward
        From model and the numbers of examples to their logits and targets.
    folder
        Of the record; a run that was stopped goes on from its last checkpoint.
    nonce
        Secret of the projection, revealed at the seal.
    read
        From a hidden state to logits, for the depth-conditioned loss; by default ``model.read``.

    Raises
    ------
    ManifestError
        When an example is not in the manifest, or was altered.
    GovernError, RouteError
        When the model can't be governed exactly.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        examples: Examples,
        forward: Forward,
        *,
        manifest: Manifest,
        folder: Path,
        nonce: bytes,
        settings: Settings | None = None,
        budget: EntropyBudget | None = None,
        depths: DepthMap | None = None,
        read: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.model, self.optimizer, self.examples = model, optimizer, examples
        self.settings = settings or Settings()
        self.folder, self._forward, self._nonce = folder, forward, nonce
        self.manifest = manifest.select(examples.ids)
        self.manifest.check(examples.ids, examples.texts, examples.labels)
        self.rows = self.manifest.rows(examples.ids)
        self.verified = self._verify(depths)
        self.governor = govern(
            model, depths=depths, manifest=self.manifest, budget=budget,
            sketch=self.settings.sketch, nonce=nonce, freeze_masked=self.settings.freeze_masked,
        )  # fmt: skip
        self.budget = budget
        routed = self.manifest.profiles[self.rows]
        self.profiles = routed if self.settings.routing else np.tile([0.0, 1.0], (len(routed), 1))
        self._tops = self.governor.depths.top(self.profiles)
        self._readout = Readout(self.governor, read or model.read)  # type: ignore[arg-type]
        self.guard = Guard(self.governor, optimizer, self._account)
        self.update = 0
        self._reports: list[StepReport] = []
        self._last: tuple[Update, list[float | None]] | None = None
        self._ranks: list[float | None] = []
        self.snapshots: tuple[int, ...] = ()
        self.recorder = self._open()

    # --- what the stepper sees ------------------------------------------------------------------

    @property
    def depths(self) -> tuple[str, ...]:
        """Names of the depth groups, input side first."""
        return self.governor.depths.names

    @property
    def total(self) -> int:
        """Updates planned."""
        return self.settings.epochs * -(-len(self.examples.ids) // self.settings.batch)

    @property
    def finished(self) -> bool:
        """Whether all planned updates are done."""
        return self.update >= self.total

    def history(self) -> tuple[StepReport, ...]:
        """Return the reports of the updates that stand, of this process."""
        return tuple(self._reports)

    def step(self) -> StepReport:
        """Do one update and return its report.

        Raises
        ------
        GovernError
            When the run is finished, or the update is not accounted for; nothing is updated then.
        """
        if self.finished:
            raise GovernError(f"the run is finished: {counted(self.total, 'update')} done")
        start = time.perf_counter()
        chosen = self._chosen()
        try:
            losses = self._update(chosen)
        except BaseException:
            self.governor.harvests.clear()  # a refused update leaves nothing to the next one
            raise
        report = self._report(chosen, losses, time.perf_counter() - start)
        self._reports.append(report)
        if self.update % self.settings.checkpoint_every == 0 or self.finished:
            self._checkpoint()
        return report

    def _update(self, chosen: Sequence[int]) -> Tensor:
        """Do forward, backward and step on the *chosen* examples; return their losses [B]."""
        ids = [self.examples.ids[i] for i in chosen]
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self.governor.batch(
            ids,
            texts=[self.examples.texts[i] for i in chosen],
            labels=[self.examples.labels[i] for i in chosen],
            profiles=self.profiles[chosen],
        ) as batch:
            logits, target = self._forward(self.model, chosen)
            losses = batch.observe(self._readout(logits, target))
            self._ranks = ranks(self.governor)
            losses.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return losses.detach()

    def run(self, progress: Callable[[int, int], None] | None = None) -> GovernedRun:
        """Do all updates that are left, calling ``progress(done, total)`` after each."""
        while not self.finished:
            self.step()
            if progress is not None:
                progress(self.update, self.total)
        return self

    def snapshot(self) -> int:
        """Keep the present state, to go back to; return the update it is of."""
        self._checkpoint()
        self.snapshots = tuple(sorted({*self.snapshots, self.update}))
        return self.update

    def back(self) -> int:
        """Go back to the newest snapshot before the present update; return the update it is of.

        The record keeps what happened after it, as superseded.

        Raises
        ------
        GovernError
            When there is none.
        """
        before = [u for u in self.snapshots if u < self.update]
        if not before:
            raise GovernError("there is no snapshot before this update")
        self._restore(self.recorder.go_back(before[-1]))
        self._reports = [r for r in self._reports if r.update <= self.update]
        self.snapshots = tuple(u for u in self.snapshots if u <= self.update)
        return self.update

    # --- the order of the examples --------------------------------------------------------------

    def _chosen(self) -> list[int]:
        """Return the examples of the next update: a new order each epoch, drawn from the seed."""
        size, count = self.settings.batch, len(self.examples.ids)
        per_epoch = -(-count // size)
        epoch, place = divmod(self.update, per_epoch)
        drawn = np.random.default_rng((self.settings.seed, epoch)).permutation(count)
        return [int(i) for i in drawn[place * size : (place + 1) * size]]

    # --- accounts -------------------------------------------------------------------------------

    def _account(self, update: Update) -> None:
        self.update += 1
        self._last = (update, self._ranks)
        rank = [float("nan") if r is None else r for r in self._ranks]
        totals = {
            "rate": update.rate, "factor": update.factor, "drift": update.drift,
            "residual": _array(update.residual), "effective": _array(update.effective),
            "ceiling": _array(update.ceiling), "capped": _array(update.capped),
            "active": _array(update.active), "rank": np.array(rank),
            "fingerprint": _array(update.fingerprint).reshape(-1),
        }  # fmt: skip
        self.recorder.update(self.update, [self._columns(h) for h in update.harvests], totals)

    def _columns(self, harvest: Harvest) -> dict[str, np.ndarray[Any, Any]]:
        count = len(harvest.examples)
        losses = harvest.losses
        return {
            "example": self.manifest.rows(harvest.examples),
            "loss": _array(losses) if losses is not None else np.full(count, np.nan),
            "mask": _array(harvest.mask),
            "raw_norm": _array(harvest.raw),
            "applied_norm": _array(harvest.applied),
            "sketch": _array(harvest.sketch),
        }

    def _report(self, chosen: Sequence[int], losses: Tensor, seconds: float) -> StepReport:
        assert self._last is not None
        update, rank = self._last
        tops, own = self._tops[chosen], _array(losses)
        means = [
            float(own[tops == d].mean()) if (tops == d).any() else None
            for d in range(len(self.depths))
        ]
        applied = np.concatenate([_array(h.applied) for h in update.harvests])
        capped = update.capped / update.active.clamp_min(1)
        return StepReport(
            self.update, float(own.mean()), tuple(means),
            tuple(self.examples.ids[i] for i in chosen),
            tuple(tuple(float(v) for v in row) for row in applied),
            tuple(float(v) for v in update.effective), tuple(float(v) for v in capped),
            tuple(rank), seconds,
        )  # fmt: skip

    # --- disk -----------------------------------------------------------------------------------

    def _verify(self, depths: DepthMap | None) -> Verification:
        few = list(range(min(4, len(self.examples.ids))))

        def loss(model: nn.Module, chosen: list[int]) -> Tensor:
            return cross_entropy(*self._forward(model, chosen)).mean()

        return verify(self.model, loss, few, depths=depths, examples=len(few))

    def _open(self) -> Recorder:
        from scalekit.govern.record.recorder import HEADER

        if (self.folder / HEADER).is_file():
            recorder = Recorder.resume(self.folder)
            self._matches(recorder.header)
            if recorder.state is None:
                raise GovernError(
                    f"{self.folder}: the run stopped before its first checkpoint; remove "
                    "the folder and start again"
                )
            self._restore(recorder.state)
            return recorder
        about = {
            "manifest": self.manifest.digest,
            "leaves": [leaf.described() for leaf in self.governor.leaves],
            "settings": vars(self.settings),
            "budget": vars(self.budget) if self.budget is not None else None,
            "noise": self.manifest.about["noise"],
        }
        recorder = Recorder.create(
            self.folder, self.manifest.table, self.depths, sketch=self.settings.sketch,
            commitment=self._commitment, about=about, ledger=self.settings.ledger,
            seed=self.settings.seed,
        )  # fmt: skip
        self.recorder = recorder
        torch.manual_seed(self.settings.seed)
        self.snapshot()
        return recorder

    @property
    def _commitment(self) -> str:
        return hashlib.sha256(self._nonce).hexdigest()

    def _matches(self, header: dict[str, Any]) -> None:
        here = {"manifest": self.manifest.digest, "commitment": self._commitment}
        for name, value in {**here, "settings": vars(self.settings)}.items():
            if header[name] != value:
                raise GovernError(
                    f"{self.folder}: the run that stopped here had another {name}; use "
                    "the same, or another folder"
                )

    def _checkpoint(self) -> Checkpoint:
        tensors, rest = pack(self.model, self.optimizer, self.governor)
        made = self.recorder.checkpoint(
            self.update, tensors, {"optimizer": rest, "snapshots": [*self.snapshots]}
        )
        newest = [u for u in self._kept if u < self.update][-1:]
        self._kept = sorted({*self.snapshots, *newest, self.update})
        self.recorder.forget(self._kept)
        return made

    _kept: Sequence[int] = ()
    _closed = False

    def _restore(self, state: Checkpoint) -> None:
        kept = {stem: state.tensors(stem) for stem in ("model", "optimizer", "state")}
        unpack(self.model, self.optimizer, self.governor, kept, state.info["optimizer"])
        self.governor.harvests.clear()
        self.guard.forget()
        self.update = state.update
        self.snapshots = tuple(sorted({*state.info["snapshots"], state.update}))
        self._kept = self.snapshots

    def seal(self, signer: Signer, weights: bytes) -> dict[str, Any]:
        """Release *weights* (the model as a safetensors file), reveal the nonce, sign, close.

        Raises
        ------
        GovernError
            When the run is not finished.
        """
        if not self.finished:
            raise GovernError(f"only {self.update} of {counted(self.total, 'update')} are done")
        about = {
            "manifest": self.manifest.digest, "updates": self.update,
            "examples": len(self.examples.ids),
        }  # fmt: skip
        said = self.recorder.seal(weights, nonce=self._nonce, signer=signer, about=about)
        self.close()
        return said

    def close(self) -> None:
        """Keep the present state, take the governor out of the model, give the files back."""
        if self._closed:
            return
        self._closed = True
        if self.recorder.open and self.update not in self._kept:
            self._checkpoint()
        self.guard.remove()
        self.governor.release()
        self.recorder.close()

    # --- views ----------------------------------------------------------------------------------

    @property
    def table(self) -> pl.DataFrame:
        """Loss, effective contributors and rank of the updates of this process."""
        return updates_table(self._reports)

    def plot(self) -> go.Figure:
        """Return the loss by update, and by the depth that the examples are routed to."""
        return loss_plot(self._reports, self.depths)

    def to_html(self) -> str:
        """Show where the run stands."""
        examples = len(self.examples.ids)
        said = f"{self.update:,} of {counted(self.total, 'update')}, {examples:,} examples."
        exact = f"Exact against one backward for each example to {self.verified.worst:.0e}."
        limits = "monitored" if self.budget is None or not self.budget.enforced else "enforced"
        routed = "by depth profile" if self.settings.routing else "off (control)"
        ends = (
            pl.concat([self.table.head(1), self.table.tail(1)]) if self._reports else pl.DataFrame()
        )
        return block(
            "Governed run", note(said), note(f"Routing {routed}; entropy budget {limits}. {exact}"),
            table(ends),
        )  # fmt: skip


def _array(values: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = values.detach().cpu().numpy()
    return found
