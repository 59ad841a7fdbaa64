"""``project.train``: the run between the seal and the measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.display import Progress, View, block, counted, note
from scalekit.frames import FrameError, write_atomically, write_parquet
from scalekit.gates import STAGES, GateClosedError
from scalekit.project.gatebook import standing
from scalekit.signing import digest, digest_file

if TYPE_CHECKING:
    from scalekit.govern import Governor, Run, TextClassifier
    from scalekit.project.project import Project

__all__ = ["Train"]


class Train(View):
    """Train on the train split, every update recorded."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._folder = project.folder

    def fit(self, *, governor: Governor | None = None, seed: int = 0, epochs: int = 12) -> Run:
        """Train the text classifier on the train split and keep weights, record and digests.

        *governor* stands between each batch's losses and the weights; by default nothing is
        governed.

        Raises
        ------
        GateClosedError
            When Label's gate or an earlier one is not passed, or test items stand in training.
        """
        from scalekit.govern import fit

        self._require()
        examples = self._project.evaluate.train_items()
        categories = sorted(self._project.specify.spec.shares)
        with Progress("Training") as progress:
            run = fit(
                examples, categories, governor=governor, seed=seed, epochs=epochs, progress=progress
            )
        rows = [list(r) for r in examples.select("item_id", "text", "category").rows()]
        settings = {"seed": seed, "epochs": epochs, "categories": categories}
        what = {**settings, "examples": digest(rows), "governor": type(governor).__name__}
        folder = self._runs / digest(what).rpartition(":")[2][:12]
        run.model.save(folder / "checkpoint.safetensors")
        write_parquet(run.record, folder / "record.parquet")
        closing = {
            "checkpoint": digest_file(folder / "checkpoint.safetensors"),
            "record": digest_file(folder / "record.parquet"),
        }
        write_atomically(folder / "run.json", json.dumps({**what, **closing}, indent=1) + "\n")
        self._folder.append("train/log.jsonl", "run", {**what, **closing, "folder": folder.name})
        return run

    def _require(self) -> None:
        states = standing(self._folder, self._project.stages)
        for name in STAGES[:-1]:
            if states[name].state != "passed":
                raise GateClosedError(f"Training can't start: {states[name].why()}")
        leaks = len(self._project.evaluate.leaks().leaks)
        if leaks:
            raise GateClosedError(
                f"Training can't start: {leaks} test items stand in the training text. "
                "project.evaluate.decontaminate() takes those rows out; no waiver is possible"
            )

    @property
    def _runs(self) -> Path:
        return self._folder / "train/runs"

    def _last(self) -> dict[str, Any]:
        runs = self._folder.events("train/log.jsonl", "run")
        if not runs:
            raise FrameError("nothing was trained yet: project.train.fit()")
        return runs[-1].data

    def model(self) -> TextClassifier:
        """Load the last run's model.

        Raises
        ------
        FrameError
            When nothing was trained, or the weights are not those that were recorded.
        """
        from scalekit.govern import TextClassifier

        last = self._last()
        path = self._runs / last["folder"] / "checkpoint.safetensors"
        if digest_file(path) != last["checkpoint"]:
            raise FrameError(f"{path}: the weights were changed after the run; train again")
        return TextClassifier.load(path)

    def digest(self) -> str:
        """Return the content digest of the last run's weights."""
        return str(self._last()["checkpoint"])

    def record(self) -> pl.DataFrame:
        """Return the last run's record: ``update, epoch, item_id, loss``."""
        return pl.read_parquet(self._runs / self._last()["folder"] / "record.parquet")

    def to_html(self) -> str:
        """Show the last run."""
        runs = self._folder.events("train/log.jsonl", "run")
        if not runs:
            return block("Train", note("No run yet: project.train.fit()"))
        record = self.record()
        updates = record["update"].n_unique()
        said = f"{record['item_id'].n_unique():,} examples, {updates:,} updates."
        return block("Train", note(f"{counted(len(runs), 'run')}. Last: {said}"))
