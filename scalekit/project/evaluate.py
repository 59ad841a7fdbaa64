"""``project.evaluate``: split, decontaminate, seal, measure, say which stage to revisit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.display import Progress, View, block, note, table
from scalekit.evaluate import (
    Contamination,
    Diagnosis,
    Measured,
    ParaphraseCandidates,
    Seal,
    SealError,
    WithoutFlagged,
    contamination,
    diagnose,
    gate,
    measure,
    paraphrase_candidates,
    seal,
    split,
    without_flagged,
)
from scalekit.evaluate.split import SHARES
from scalekit.frames import FrameError, write_parquet
from scalekit.gates import Check, Gate
from scalekit.project.folder import who
from scalekit.project.stage import Stage
from scalekit.signing import digest, digest_file

__all__ = ["Evaluate", "Sets"]

SPLIT = "evaluate/split.parquet"
LOG = "evaluate/log.jsonl"
SEALS = "evaluate/sealed"
RESULTS = "evaluate/measured"
OPEN_COLUMNS = ("item_id", "batch_id", "source", "tier", "category", "kept")


@dataclass(frozen=True)
class Sets(View):
    """The sets of the split: train and dev in the open, sealed encrypted, handwritten apart."""

    table: pl.DataFrame
    contamination: Contamination
    sealed_hits: pl.DataFrame
    looks_left: int

    def to_html(self) -> str:
        """Show the sets, what leaked, and how many looks are left."""
        said = f"The sealed set is encrypted; {self.looks_left} looks at it are left."
        hits = self.sealed_hits
        warned = note(f"{len(hits)} training rows hold a sealed item:") if len(hits) else ""
        shown = (table(self.table), note(said), warned, table(hits), self.contamination.to_html())
        return block("Sets", *shown)


class Evaluate(Stage):
    """Measure on what training never saw."""

    name = "evaluate"
    purpose = "Split, decontaminate, seal, measure, and say which stage to revisit."

    def seal(
        self,
        *,
        shares: Mapping[str, float] = SHARES,
        together: Sequence[str] = (),
        seed: int = 0,
    ) -> Sets:
        """Split the labelled items, encrypt the sealed set, and look for leaks into training.

        Items whose votes are tied are left out. The sealed items' texts are taken out of the
        project's tables; the key lies outside the project. Asked again for the same labels, it
        returns what stands.

        Parameters
        ----------
        shares
            Of train, dev and sealed; they make 1.
        together
            Columns of the items whose equal values must stay in one set.
        seed
            Another seed, another split.

        Raises
        ------
        GateClosedError
            When Label's gate, or an earlier one, is not passed.
        """
        self.require_before()
        votes = self._project.label.consensus().drop_nulls("value")
        labelled = digest([list(r) for r in votes.select("item_id", "value").rows()])
        known = [e for e in self._folder.events(LOG) if e.kind in ("sealing", "relabelled")]
        if not known or known[-1].data["labels"] != labelled:
            self.decontaminate()  # what stands in the spec must not be sealed, nor trained on
            self._seal(votes, labelled, shares, together, seed)
        if len(self._folder.events(LOG, "sealing")) > len(self._folder.events(LOG, "sealed")):
            # Also after a crash in between: the seal is on disk, so the plain texts can go.
            self._take_out()
        return self.sets()

    def _seal(
        self,
        votes: pl.DataFrame,
        labelled: str,
        shares: Mapping[str, float],
        together: Sequence[str],
        seed: int,
    ) -> None:
        voted = votes.select("item_id", pl.col("value").alias("category"))
        items = self._project.audit.items().drop("category").join(voted, on="item_id")
        items = items.filter(~pl.col("item_id").is_in(self._left_out()))
        # What was in the open once can't be sealed any more: it stays in its set.
        earlier = self._opened() if self._folder.events(LOG, "sealing") else None
        pinned = dict(earlier.select("item_id", "set").iter_rows()) if earlier is not None else {}
        sets = split(items, shares=shares, together=together, seed=seed, pinned=pinned)
        items = items.join(sets, on="item_id")
        hidden = items.filter(pl.col("set") == "sealed")
        opened = items.filter(pl.col("set") != "sealed")
        columns = ("item_id", "text", "category", "batch_id", "group", "set")
        if earlier is not None and hidden.is_empty():
            write_parquet(opened.select(columns), self._folder / SPLIT)
            self._folder.append(LOG, "relabelled", {"labels": labelled})
            return
        made = seal(hidden, self._folder / SEALS, project=self._folder.root)
        write_parquet(opened.select(columns), self._folder / SPLIT)
        said = {"labels": labelled, "seal": made.seal_id, "seed": seed, "items": len(hidden)}
        self._folder.append(LOG, "sealing", said)

    def _take_out(self) -> None:
        """Take what is sealed out of the project: the items, their copies, rows set aside of them.

        Of the audited items the ids and their place stay, so that labels still count.
        """
        current = self._current()
        sealed = current.item_ids()
        marks = pl.read_parquet(self._folder / "audit/marks.parquet")
        copies = marks.filter(pl.col("kept_id").is_in(sealed))["item_id"].to_list()
        hidden = pl.col("item_id").is_in([*sealed, *copies])
        for stage in ("collect", "audit/parts"):
            for path in (self._folder / stage).glob("*.parquet"):
                frame = pl.read_parquet(path)
                if path.name.endswith(".quarantine.parquet"):
                    held = current.holds(frame["content"].to_list())
                    blank = pl.when(~pl.Series(held, dtype=pl.Boolean)).then(pl.col("content"))
                    frame = frame.with_columns(blank.alias("content"))
                    write_parquet(frame, path)
                elif frame.filter(hidden).height:
                    write_parquet(frame.filter(~hidden), path)
        for path in (self._folder / "audit/pairs").glob("*.parquet"):
            path.unlink()  # texts of candidates for near-copies; the next audit makes them again
        for path in (self._folder / "collect/evidence").rglob("*.copy"):
            if any(current.holds([path.read_text(encoding="utf-8", errors="replace")])):
                path.unlink()  # its digest stays on the batch's record
        audited = self._folder / "audit/items.parquet"
        frame = pl.read_parquet(audited).filter(~pl.col("item_id").is_in(copies))
        content = [c for c in frame.columns if c not in OPEN_COLUMNS]
        blanks = [pl.when(~hidden).then(pl.col(c)).alias(c) for c in content]
        write_parquet(frame.with_columns(blanks), audited)
        said = {"seal": current.seal_id, "item_ids": sorted([*sealed, *copies])}
        self._folder.append(LOG, "sealed", said)
        if (self._folder / "report.html").is_file():
            self._project.report()  # an earlier one may quote a text that is sealed now

    def sets(self) -> Sets:
        """Return the sets as they stand, with what leaked.

        Raises
        ------
        SealError
            When nothing is sealed yet.
        """
        opened, sealed = self._opened(), self._current()
        leaks = self.leaks()
        counts = opened.group_by("set").agg(
            pl.len().cast(pl.Int64).alias("items"),
            pl.col("category").n_unique().cast(pl.Int64).alias("categories"),
        )
        hand = self._handwritten()
        header = sealed.header
        rows = [
            *counts.sort("set", descending=True).to_dicts(),
            {"set": "sealed", "items": header["items"], "categories": len(header["categories"])},
            {"set": "handwritten", "items": len(hand), "categories": hand["category"].n_unique()},
        ]
        hits = sealed.contaminated(self.train_items())
        return Sets(pl.DataFrame(rows), leaks, hits, sealed.looks_left)

    def leaks(self) -> Contamination:
        """Search for test items: in the training text or, before the seal, in all audited items.

        Test items are the handwritten examples and, once there is a split, the dev set.
        """
        return contamination(*self._open_test_and_train())

    def paraphrases(
        self, encoder: Callable[[list[str]], Any] | None = None, *, top: int = 3
    ) -> ParaphraseCandidates:
        """Name the training rows most like each test item, for a person to look at.

        What :meth:`leaks` can not see; as :func:`scalekit.evaluate.paraphrase_candidates`.
        """
        return paraphrase_candidates(*self._open_test_and_train(), encoder=encoder, top=top)

    def without_flagged(self, *tiers: str) -> WithoutFlagged:
        """Score the last measurement without test items of these *tiers* (by default LEAK).

        As :func:`scalekit.evaluate.without_flagged`; raises as :meth:`measured` does.
        """
        results = self.measured().results.filter(pl.col("set") != "train")
        return without_flagged(results, self.leaks(), tiers=tiers or ("LEAK",))

    def _open_test_and_train(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        test = self._handwritten().select("item_id", "text")
        if not self._folder.events(LOG, "sealing"):
            items = self._project.audit.items()
            return test, items.filter(~pl.col("item_id").is_in(self._left_out()))
        dev = self._opened().filter(pl.col("set") == "dev").select("item_id", "text")
        return pl.concat([test, dev]), self.train_items()

    def decontaminate(self) -> Contamination:
        """Leave out the rows that hold test items; return what :meth:`leaks` finds afterwards."""
        rows = set(self.leaks().leaking)
        if self._folder.events(LOG, "sealing"):
            rows |= set(self._current().contaminated(self.train_items())["item_id"])
        for item in sorted(rows):
            because = "holds an item of a test set"
            self._folder.append(LOG, "left out", {"item_id": item, "because": because})
        return self.leaks()

    def _left_out(self) -> list[str]:
        return [e.data["item_id"] for e in self._folder.events(LOG, "left out")]

    def train_items(self) -> pl.DataFrame:
        """Return the training items: ``item_id, text, category, batch_id, group, set``."""
        train = (pl.col("set") == "train") & ~pl.col("item_id").is_in(self._left_out())
        return self._opened().filter(train)

    def measure(
        self,
        predict: Callable[[list[str]], Sequence[str]],
        *,
        model: str = "",
        sealed: str = "",
    ) -> Measured:
        """Score any callable on the handwritten examples, dev, and what it was trained on.

        Parameters
        ----------
        predict
            From a list of texts to as many categories.
        model
            The model's digest, if it has one. A model that was measured before on the sealed set
            for the same purpose costs no further look.
        sealed
            What you claim before you look. With it the sealed set is scored too: one look is
            charged, aggregates come back.

        Raises
        ------
        SealError
            When nothing is sealed, or no looks are left.
        PredictionError
            When *predict* answers otherwise than asked.
        GateClosedError
            When an earlier gate is not passed or stale.
        """
        if not isinstance(sealed, str):
            raise SealError(
                f"sealed={sealed!r}: write what you claim in words; no look was charged"
            )
        self._current()
        self.require_before()
        dev = self._opened().filter(pl.col("set") == "dev")
        hand = self._handwritten().with_columns(pl.lit("handwritten").alias("set"))
        columns = ("item_id", "text", "category", "set")
        with Progress("Measuring") as progress:
            parts = (hand, dev, self.train_items())
            items = pl.concat([part.select(columns) for part in parts])
            found = measure(predict, items, progress=progress)
        if sealed:
            found = found.join(self._sealed_scores(predict, model, sealed))
        self._keep(found)
        return found

    def _sealed_scores(
        self, predict: Callable[[list[str]], Sequence[str]], model: str, claim: str
    ) -> Measured:
        current = self._current()
        answers = self._folder / SEALS / f"{current.seal_id}.answers"
        name = digest([current.seal_id, model, claim]).rpartition(":")[2][:24]
        if model and (answers / f"{name}-sets.parquet").is_file():
            return self._load(answers / name)
        found = current.measure(predict, purpose=claim, actor=who())
        if model:
            self._store(found, answers / name)
        return found

    def _keep(self, found: Measured) -> None:
        self._store(found, self._folder / RESULTS / "last")

    @staticmethod
    def _store(found: Measured, stem: Any) -> None:
        write_parquet(found.categories, stem.with_name(f"{stem.name}-categories.parquet"))
        write_parquet(found.results, stem.with_name(f"{stem.name}-results.parquet"))
        write_parquet(found.sets, stem.with_name(f"{stem.name}-sets.parquet"))

    @staticmethod
    def _load(stem: Any) -> Measured:
        parts = ("sets", "categories", "results")
        return Measured(
            *(pl.read_parquet(stem.with_name(f"{stem.name}-{part}.parquet")) for part in parts)
        )

    def measured(self) -> Measured:
        """Return the last measurement.

        Raises
        ------
        FrameError
            When nothing was measured.
        """
        if not (self._folder / RESULTS / "last-sets.parquet").is_file():
            raise FrameError("nothing was measured yet: project.evaluate.measure(predict)")
        return self._load(self._folder / RESULTS / "last")

    def failures(self) -> pl.DataFrame:
        """Return what the last measured model got wrong on dev and handwritten, with the text."""
        missed = (pl.col("score") == 0) & (pl.col("set") != "train")
        wrong = self.measured().results.filter(missed)
        columns = ("item_id", "text")
        texts = pl.concat([self._handwritten().select(columns), self._opened().select(columns)])
        return wrong.drop("score").join(texts, on="item_id", maintain_order="left")

    def diagnose(self) -> Diagnosis:
        """Say which stage to revisit, from the last measurement and what the stages know."""
        support = dict(self.train_items()["category"].value_counts().iter_rows())
        by_value = self._project.label.agreement().by_value.drop_nulls("alpha")
        return diagnose(
            self.measured(),
            target=self._target(),
            leaks=self.leaks(),
            support=support,
            alpha=dict(by_value.select("value", "alpha").iter_rows()),
        )

    def _target(self) -> float:
        return next(m.target for m in self._project.specify.spec.metrics)

    def _opened(self) -> pl.DataFrame:
        path = self._folder / SPLIT
        if not path.is_file():
            raise SealError("nothing is split and sealed yet: project.evaluate.seal()")
        return pl.read_parquet(path)

    def _current(self) -> Seal:
        started = self._folder.events(LOG, "sealing")
        if not started:
            raise SealError("nothing is sealed yet: project.evaluate.seal()")
        return Seal.load(self._folder / SEALS, started[-1].data["seal"])

    def _handwritten(self) -> pl.DataFrame:
        return self._project.specify.spec.handwritten

    def _own_inputs(self) -> list[str]:
        last = self._folder / RESULTS / "last-sets.parquet"
        mark = [digest_file(last)] if last.is_file() else []
        # A new run is a new model: what was measured before says nothing about it.
        runs = [e.data["checkpoint"] for e in self._folder.events("train/log.jsonl", "run")[-1:]]
        return [*mark, *runs, *(e.hash for e in self._folder.events(LOG))]

    def _judge(self) -> Gate:
        if not (self._folder / RESULTS / "last-sets.parquet").is_file():
            said = "seal and measure: project.evaluate.seal(), then project.evaluate.measure(…)"
            return Gate(
                "evaluate",
                (Check("measured", False, "nothing", "dev and sealed", "evaluate", said),),
            )
        hits = self._current().contaminated(self.train_items())
        return gate(
            self.diagnose(),
            self.measured(),
            self.leaks(),
            target=self._target(),
            sealed_hits=len(hits),
        )
