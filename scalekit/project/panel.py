"""A panel's votes on models' outputs, apart from the labels that train; judge models beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import block, counted, note, table
from scalekit.evaluate.blinding import (
    PAIR_KEY,
    RUBRIC_KEY,
    Kind,
    PanelItems,
    panel_items,
    panel_sides,
)
from scalekit.evaluate.judge import JudgeAgreement, judge_agreement, scored_by_judge
from scalekit.evaluate.pairwise import WinRates, win_rates
from scalekit.evaluate.panel import PanelScores, panel_scores
from scalekit.frames import require, to_polars, write_atomically, write_parquet
from scalekit.label import LabelError, Task, judged_parts, judgements_of, read_events
from scalekit.project.question import Question
from scalekit.project.stage import Stage
from scalekit.signing import digest

__all__ = ["Panel", "PanelVerbs"]

PANELS = "evaluate/panel"
LOG = "evaluate/panel/log.jsonl"
SEALED = "evaluate/log.jsonl"
PREFERENCE = Task("preference", "pair", strength=1, question="Which of the two is better?")


class Panel(Question):
    """One question put to a panel about models' outputs, in a folder of its own.

    ``items`` names no model; ``key`` says whose output is whose, and ``same`` which two were the
    same text. Made by ``project.evaluate.panel(…)``, found again by ``project.evaluate.panels``.
    """

    def __init__(self, folder: Path, in_use: pl.DataFrame, instructions: str = "") -> None:
        super().__init__(folder, in_use, instructions)
        told = json.loads((folder / "panel.json").read_text(encoding="utf-8"))
        key, same = (pl.read_parquet(folder / f"{n}.parquet") for n in ("key", "same"))
        self.blind = PanelItems(told["kind"], self.items, key, same, told["seed"])

    @property
    def key(self) -> pl.DataFrame:
        """Whose output each item is, as ``PanelItems.key``."""
        return self.blind.key

    @classmethod
    def of_outputs(
        cls,
        folder: Path,
        task: Task,
        outputs: Any,
        *,
        against: str | None = None,
        seed: int = 0,
        instructions: str = "",
    ) -> Panel:
        """Keep outputs, blinded, in *folder*/<task's name>; the same again is the same.

        Raises
        ------
        FrameError
            As :func:`scalekit.evaluate.blinding.panel_items`.
        LabelError
            When the task is neither a pair nor a rubric task, or its name stands for another task
            or other outputs.
        """
        if task.kind not in ("pair", "rubric"):
            raise LabelError(f"a panel compares in pairs or scores by rubric, not {task.kind!r}")
        kind: Kind = "pair" if task.kind == "pair" else "rubric"
        blind = panel_items(outputs, kind=kind, against=against, seed=seed)
        own = folder / task.name
        if (own / "task.json").exists():
            kept = cls.make(folder, task, blind.table, blind.table, instructions)
            columns = list(PAIR_KEY if kind == "pair" else RUBRIC_KEY)
            if not kept.key.sort(columns).equals(blind.key.sort(columns)):
                raise LabelError(f"{task.name!r} was asked of other models; take a new name")
            return kept
        # The key first: once task.json is there, all of the panel is.
        own.mkdir(parents=True, exist_ok=True)
        write_parquet(blind.key, own / "key.parquet")
        write_parquet(blind.same, own / "same.parquet")
        write_atomically(own / "panel.json", json.dumps({"kind": kind, "seed": seed}))
        return cls.make(folder, task, blind.table, blind.table, instructions)

    @classmethod
    def make(
        cls, folder: Path, task: Task, items: Any, in_use: pl.DataFrame, instructions: str = ""
    ) -> Panel:
        """Keep a task and its items, as :meth:`Question.make`; the key is there already."""
        made = super().make(folder, task, items, in_use, instructions)
        assert isinstance(made, Panel)
        return made

    def judgements(self) -> pl.DataFrame:
        """Return what was judged of pairs, with the models' names back."""
        return judgements_of(read_events(self._events), self.key, self.task)

    def result(self) -> WinRates | PanelScores:
        """Return what the votes so far say of the models.

        Raises
        ------
        LabelError
            When nobody has voted.
        """
        votes = self._some_votes()
        if self.task.kind == "pair":
            return win_rates(self.judgements(), same=self.blind.same)
        scale = {c.name: (c.low, c.high) for c in self.task.criteria}
        return panel_scores(judged_parts(votes, self.task), self.key, scale)

    def judge(
        self, verdicts: Any, judge: str, *, margin: float, criterion: str = ""
    ) -> JudgeAgreement:
        """Hold a judge model's verdicts on :attr:`items` against the votes.

        *verdicts* has ``item_id, value``: first, second or tie of the item's two; of a rubric,
        points for the *criterion*. As :func:`scalekit.evaluate.judge.judge_agreement`.
        """
        parts = judged_parts(self._some_votes(), self.task)
        if self.task.kind == "pair":
            names = ["first", "second", *(["tie"] if self.task.ties else [])]
            votes = parts.filter(pl.col("part") == "preferred").drop("part", "seconds")
            return judge_agreement(verdicts, votes, margin=margin, judge=judge, values=names)
        own = next((c for c in self.task.criteria if c.name == criterion), None)
        if own is None:
            names = [c.name for c in self.task.criteria]
            raise LabelError(f"criterion {criterion!r} is not one of {', '.join(names)}")
        votes = parts.filter(pl.col("part") == criterion).drop("part", "seconds")
        points = [str(p) for p in range(own.low, own.high + 1)]
        return judge_agreement(
            verdicts, votes, margin=margin, judge=judge, level="interval", values=points
        )

    def deliver(self, folder: Path | str) -> Path:
        """Refuse: an evaluation that is trained on is none any more.

        Raises
        ------
        LabelError
            Always.
        """
        raise LabelError(
            "a panel's votes are on an evaluation set; to train on preferences, ask them of "
            "training items: project.label.ask(task, items)"
        )

    def to_html(self) -> str:
        """Say what is asked, of how many outputs of how many models, and who has voted."""
        votes = self.labels()
        by = votes.group_by("annotator").len("votes").sort("annotator")
        models = counted(len(self.blind.models), "model")
        return block(
            f"{self.task.name} ({self.task.kind})",
            note(self.task.question) if self.task.question else "",
            note(f"{counted(len(self.items), 'item')} from {models}, shown without their names."),
            table(by.rename({"annotator": "panelist"}), empty="Nobody has voted yet."),
        )

    def _some_votes(self) -> pl.DataFrame:
        votes = self.labels()
        if votes.is_empty():
            raise LabelError(f"{self.task.name}: nobody has voted yet; open it for a panelist")
        return votes

    def _shown(self, annotator: str) -> pl.DataFrame:
        if self.task.kind != "pair":
            return self.items
        sides = panel_sides(self.blind, annotator)
        return self.items.join(sides, on="item_id", maintain_order="left")


class PanelVerbs(Stage):
    """What panels and judge models do in the Evaluate stage."""

    def panel(
        self,
        outputs: Any,
        *,
        task: Task = PREFERENCE,
        panelist: str | None = None,
        against: str | None = None,
        seed: int = 0,
    ) -> Any:
        """Open the Labeler for a panelist on models' outputs, without the models' names.

        Votes lie in ``evaluate/panel/<task's name>``, apart from the labels. For the next panelist
        call it again, or ``project.evaluate.panels[name].open("ben")``.

        Parameters
        ----------
        outputs
            ``item_id`` (the prompt's)``, model, output`` and ``prompt`` or ``messages``: of dev,
            the handwritten examples or another set; nobody may be shown what is sealed.
        task
            A pair task (which of two is better) or a rubric task (points for each criterion).
        panelist
            Who votes; by default as for ``project.label.open``.
        against
            In pairs, compare every other model with this one only.
        seed
            Draws sides and order.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed.
        LabelError
            When an item is sealed: what people read is sealed no more.
        FrameError
            As :meth:`Panel.of_outputs`, which raises LabelError too.
        """
        self.require_before()
        self._refuse_sealed(outputs)
        made = Panel.of_outputs(
            self._folder / PANELS,
            task,
            outputs,
            against=against,
            seed=seed,
            instructions=self._project.label.instructions,
        )
        said = {
            "panel": task.name,
            "items": len(made.items),
            "models": made.blind.models,
            "outputs": digest([list(r) for r in made.items.rows()]),
            "seed": seed,
        }
        if said not in [e.data for e in self._folder.events(LOG, "asked")]:
            self._folder.append(LOG, "asked", said)
        return made.open(panelist)

    @property
    def panels(self) -> Mapping[str, Panel]:
        """What panels were asked, by the task's name, in the order asked."""
        names = dict.fromkeys(e.data["panel"] for e in self._folder.events(LOG, "asked"))
        told = self._project.label.instructions
        return {n: Panel(self._folder / PANELS / n, pl.DataFrame(), told) for n in names}

    def panel_result(self, name: str | None = None) -> WinRates | PanelScores:
        """Return what a panel's votes say of the models: win rates, or rubric scores.

        *name* is the task's; by default the panel asked last. Raises as :meth:`Panel.result`.
        """
        return self._panel(name).result()

    def panel_roster(self, name: str | None = None) -> pl.DataFrame:
        """Return who voted: ``panelist, votes, minutes, labelled training data``."""
        labellers = set(self._project.label.labels()["annotator"])
        return (
            self._panel(name)
            .labels()
            .group_by(pl.col("annotator").alias("panelist"))
            .agg(
                pl.len().cast(pl.Int64).alias("votes"),
                (pl.col("seconds").sum() / 60).round(1).alias("minutes"),
            )
            .with_columns(pl.col("panelist").is_in(list(labellers)).alias("labelled training data"))
            .sort("panelist")
        )

    def judge(
        self,
        verdicts: Any,
        judge: str,
        *,
        margin: float,
        name: str | None = None,
        criterion: str = "",
    ) -> JudgeAgreement:
        """Hold a judge model's verdicts against a panel's votes, and keep both.

        The margin that is declared first stands for this judge and panel.

        Parameters
        ----------
        verdicts
            ``item_id, value`` on the panel's items, as for :meth:`Panel.judge`.
        judge
            Its name with whatever makes it another judge: model, revision, prompt.
        margin
            By how much less than a panelist it may agree, as a share.
        name
            The panel; by default the one asked last.
        criterion
            Of a rubric.

        Raises
        ------
        LabelError
            When another margin was declared before, or nobody has voted.
        FrameError
            As :func:`scalekit.evaluate.judge.judge_agreement`.
        """
        panel = self._panel(name)
        whose = {"judge": judge, "panel": panel.task.name, "criterion": criterion}
        before = [e.data for e in self._judged(whose)]
        if before and before[0]["margin"] != str(margin):
            raise LabelError(
                f"margin {before[0]['margin']} was declared for judge {judge!r} before its "
                f"agreement was looked at; {margin} is another"
            )
        found = panel.judge(verdicts, judge, margin=margin, criterion=criterion)
        columns = ("item_id", "value")
        given = require(to_polars(verdicts, "verdicts"), columns, "verdicts").select(
            pl.col(columns).cast(pl.String)
        )
        mark = digest([[v or "" for v in row] for row in given.rows()]).rpartition(":")[2][:24]
        path = f"{PANELS}/{panel.task.name}/verdicts/{mark}.parquet"
        write_parquet(given, self._folder / path)
        difference, low, high = (f"{x:.6f}" for x in found.difference)
        said = {
            **whose,
            "margin": str(margin),
            "verdicts": path,
            "items": found.table["items"][0],
            "difference": difference,
            "from": low,
            "to": high,
            "passed": found.passed,
        }
        self._folder.append(LOG, "judged", said)
        return found

    def judge_scores(
        self, scores: Any, judge: str, *, name: str | None = None, criterion: str = ""
    ) -> pl.DataFrame:
        """Return a judge's scores as results, if it may stand in for a panelist as votes stand now.

        As :func:`scalekit.evaluate.judge.scored_by_judge`, which says what it refuses.
        """
        if not self._folder.events(LOG, "judged"):
            return scored_by_judge(scores, None)
        panel = self._panel(name)
        before = self._judged({"judge": judge, "panel": panel.task.name, "criterion": criterion})
        if not before:
            return scored_by_judge(scores, None)
        last = before[-1].data
        found = panel.judge(
            pl.read_parquet(self._folder / last["verdicts"]),
            judge,
            margin=float(last["margin"]),
            criterion=criterion,
        )
        return scored_by_judge(scores, found)

    def _refuse_sealed(self, outputs: Any) -> None:
        given = require(to_polars(outputs, "outputs"), ("item_id",), "outputs")["item_id"]
        hidden = {i for e in self._folder.events(SEALED, "sealed") for i in e.data["item_ids"]}
        if shown := sorted(hidden & set(given.cast(pl.String))):
            raise LabelError(
                f"item {shown[0]!r} is sealed ({counted(len(shown), 'such item')}): what people "
                "read is sealed no more; ask of dev or the handwritten examples"
            )

    def _judged(self, whose: Mapping[str, str]) -> list[Any]:
        every = self._folder.events(LOG, "judged")
        return [e for e in every if {k: e.data[k] for k in whose} == dict(whose)]

    def _panel(self, name: str | None) -> Panel:
        panels = self.panels
        if not panels:
            raise LabelError("no panel was asked yet: project.evaluate.panel(outputs)")
        if name is None:
            name = self._folder.events(LOG, "asked")[-1].data["panel"]
        if name not in panels:
            raise LabelError(f"no panel is named {name!r}; there are {', '.join(panels)}")
        return panels[name]
