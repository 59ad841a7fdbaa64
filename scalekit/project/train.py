"""``project.train``: the governed run between the seal and the measurement."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import Progress, View, block, counted, note
from scalekit.frames import FrameError
from scalekit.gates import STAGES, GateClosedError
from scalekit.project.annotators import LOG as LABEL_LOG
from scalekit.project.stage import require_gates
from scalekit.signing import SIGNER, Signer, digest, digest_file, keys_folder, private_file

if TYPE_CHECKING:
    from scalekit.govern import FinishedRun, GovernedRun, Provenance, TextClassifier
    from scalekit.govern.record import Closed
    from scalekit.project.project import Project

__all__ = ["Train"]

LOG, RUNS = "train/log.jsonl", "train/runs"


class Train(View):
    """Train on the train split: routed by depth, every update accounted for."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._folder = project.folder
        self._stepper: Any = None

    def fit(
        self, *, routing: bool = True, seed: int = 0, epochs: int = 12, ledger: bool = True,
        nonce: bytes | None = None,
    ) -> FinishedRun:  # fmt: skip
        """Train the text classifier on the train split; release, sign and return the run.

        A run that was stopped goes on from its last checkpoint; one that is finished is returned as
        it is.

        Parameters
        ----------
        routing
            Masks and depth-conditioned loss by the examples' depth profiles; off, every example
            teaches every depth (the control).
        seed, epochs
            Of weights, order and dropout; passes over the examples.
        ledger
            Keep a row for each update and example; off, the record has constant size.
        nonce
            Secret of the projection, drawn by default; give it only to repeat a run byte for byte.

        Raises
        ------
        GateClosedError
            When Label's gate or an earlier one is not passed, or test items stand in training.
        ManifestError
            When nothing was delivered, or what is to be trained on is not what was signed.
        """
        settings = {"routing": routing, "seed": seed, "epochs": epochs, "ledger": ledger}
        folder = self._run_folder(settings)
        if not (folder / "sealed.dsse.json").is_file():
            run = self._begin(folder, settings, nonce)
            with Progress("Training") as progress:
                run.run(progress)
            self.release(run)
        return self._finished(folder)

    def step(self, *, routing: bool = True, seed: int = 0, epochs: int = 12) -> Any:
        """Open the Stepper on a run of the text classifier: step, run, pause, snapshot, go back.

        Opened again with the same settings, it goes on where it stood. When the run is finished,
        :meth:`fit` with the same settings releases it. Raises as :meth:`fit` does.
        """
        from scalekit.widgets import Stepper

        settings = {"routing": routing, "seed": seed, "epochs": epochs, "ledger": True}
        self._stepper = Stepper(self._begin(self._run_folder(settings), settings, None))
        return self._stepper

    def release(self, run: GovernedRun) -> None:
        """Release a finished run's weights, sign its record, and put it in the log.

        Raises
        ------
        GovernError
            When updates are left to do.
        """
        model: Any = run.model
        run.seal(Signer.load(SIGNER, outside=self._folder.root), model.to_bytes())
        said = {
            "folder": run.folder.name,
            "checkpoint": digest_file(run.folder / "checkpoint.safetensors"),
            "manifest": run.manifest.digest,
        }
        self._folder.append(LOG, "run", said)

    def _run_folder(self, settings: dict[str, Any]) -> Path:
        self._require()
        manifest = self._project.label.manifest()
        items = self._project.evaluate.train_items().select("item_id", "category").sort("item_id")
        what = {**settings, "manifest": manifest.digest, "items": [list(r) for r in items.rows()]}
        return self._folder / RUNS / digest(what).rpartition(":")[2][:12]

    def _begin(self, folder: Path, settings: dict[str, Any], nonce: bytes | None) -> GovernedRun:
        import torch

        from scalekit.govern import (
            EntropyBudget,
            Examples,
            GovernedRun,
            Settings,
            TextClassifier,
        )

        if self._stepper is not None:  # one run at a time; it is kept where it stands
            self._stepper.pause()
            self._stepper.wait()
            self._stepper.run.close()
        table = self._project.evaluate.train_items().sort("item_id")
        manifest = self._project.label.manifest()
        categories = sorted(self._project.specify.spec.shares)
        texts, labels = table["text"].to_list(), table["category"].to_list()
        target = torch.tensor([categories.index(c) for c in labels])

        def forward(model: Any, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
            return model([texts[i] for i in rows]), target[list(rows)]

        model = TextClassifier(categories, seed=settings["seed"])
        return GovernedRun(
            model,
            torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
            Examples(table["item_id"].to_list(), texts, labels),
            forward,
            manifest=manifest,
            folder=folder,
            nonce=nonce or self._nonce(folder.name),
            settings=Settings(**settings),
            budget=EntropyBudget.from_noise(manifest.noise),
            depths=model.depths(),
        )

    def _nonce(self, name: str) -> bytes:
        """Return the secret of a run's projection: outside the project until the seal."""
        path = keys_folder() / f"{self._folder.name}-{name}.nonce"
        return private_file(path, secrets.token_bytes(32), outside=self._folder.root)

    def _require(self) -> None:
        require_gates(self._project, STAGES[:-1], "Training can't start")
        leaks = len(self._project.evaluate.leaks().leaks)
        if leaks:
            raise GateClosedError(
                f"Training can't start: {leaks} test items stand in the training text. "
                "project.evaluate.decontaminate() takes those rows out; no waiver is possible"
            )
        if not self._folder.events(LABEL_LOG, "delivered"):
            from scalekit.govern import ManifestError

            raise ManifestError(
                "Training can't start: nothing was delivered yet. Deliver first, with "
                "project.label.deliver(): it signs what may be trained on"
            )

    def _finished(self, folder: Path) -> FinishedRun:
        from scalekit.govern import FinishedRun

        return FinishedRun(folder)

    def _last(self) -> dict[str, Any]:
        runs = self._folder.events(LOG, "run")
        if not runs:
            raise FrameError("nothing was trained yet: project.train.fit()")
        return runs[-1].data

    def last(self) -> FinishedRun:
        """Return the last run that was released.

        Raises
        ------
        FrameError
            When nothing was trained.
        """
        return self._finished(self._folder / RUNS / self._last()["folder"])

    def verify(self) -> Closed:
        """Check that the last run's record closes over its released weights."""
        from scalekit.govern.verification import verify_folder

        key = Signer.load(SIGNER, outside=self._folder.root).public
        return verify_folder(self._folder / RUNS / self._last()["folder"], [key])

    def explain(self, what: Any) -> Any:
        """Explain the last run's answer to a text: which examples taught it, where, and whose.

        Returns an :class:`~scalekit.govern.Explanation`, with the texts of the examples.
        """
        return self.provenance().explain(what).with_texts(self._project.audit.items())

    def provenance(self) -> Provenance:
        """Return who answers where the last run's outputs come from."""
        return self.last().provenance()

    def suspects(self, n: int = 20) -> pl.DataFrame:
        """Return the examples that took most of the run's effort: labels to look at again.

        ``item_id, label, annotators, batch_id, effort, text``; hand their ids to
        ``project.label.open(annotator, item_ids=…, round=…)``.
        """
        texts = self._project.evaluate.train_items().select("item_id", "text")
        found = self.provenance().self_influence().head(n)
        return found.join(texts, on="item_id", maintain_order="left")

    def model(self) -> TextClassifier:
        """Load the last run's model.

        Raises
        ------
        FrameError
            When nothing was trained, or the weights are not those that were recorded.
        """
        last = self._last()
        path = self._folder / RUNS / last["folder"] / "checkpoint.safetensors"
        if not path.is_file() or digest_file(path) != last["checkpoint"]:
            raise FrameError(f"{path}: the weights were changed after the run; train again")
        return self.last().model

    def digest(self) -> str:
        """Return the content digest of the last run's weights."""
        return str(self._last()["checkpoint"])

    def to_html(self) -> str:
        """Show the last run."""
        runs = self._folder.events(LOG, "run")
        if not runs:
            return block("Train", note("No run yet: project.train.fit()"))
        return (
            block("Train", note(f"{counted(len(runs), 'run')}. The last:")) + self.last().to_html()
        )
