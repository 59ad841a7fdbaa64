"""Agreement on answers that have parts: each part is a question of its own, measured as such.

A multi-label answer is a yes or no for each value, a rubric points for each criterion, a turn of a
conversation an item of its own; a preference is which of the two, and how strongly; a span task is
what each word is labelled. Free text has no chance-corrected agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalekit.coefficients import Level
from scalekit.display import View, block, note, table
from scalekit.frames import require, to_polars
from scalekit.label.agreement import Agreement, agreement
from scalekit.label.tasks import LabelError, Task
from scalekit.text import words

__all__ = ["PartAgreement", "agreement_by_part", "judged_parts"]

SCHEMA = {
    "item_id": pl.String, "part": pl.String, "annotator": pl.String, "value": pl.String,
    "seconds": pl.Float64,
}  # fmt: skip
OUTSIDE = "(none)"
Texts = Mapping[str, str]


@dataclass(frozen=True)
class PartAgreement(View):
    """Agreement on each part of an answer; ``parts`` has the whole measurement of each."""

    task: Task
    parts: Mapping[str, Agreement]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each part: alpha with its interval, the part agreed on least first."""
        rows = []
        for name, found in self.parts.items():
            low, high = found.interval or (None, None)
            rows.append(
                {
                    "part": name, "level": found.level, "alpha": found.alpha.value,
                    "from": low, "to": high, "items": found.items, "labels": found.labels,
                    "undefined because": found.alpha.undefined,
                }
            )  # fmt: skip
        numbers = dict.fromkeys(("alpha", "from", "to"), pl.Float64)
        return pl.DataFrame(rows, schema_overrides=numbers).sort("alpha", "part", nulls_last=True)

    def to_html(self) -> str:
        """Show alpha of each part."""
        shown = self.table
        if not (shown["undefined because"] != "").any():
            shown = shown.drop("undefined because")
        said = "Krippendorff's alpha of each part of the answer, the least agreed on first:"
        return block(f"Agreement on {self.task.name}", note(said), table(shown))


def agreement_by_part(
    labels: Any, task: Task, items: Any = None, *, samples: int = 1000, seed: int = 0
) -> PartAgreement:
    """Measure how far annotators agree on each part of their answers.

    Parameters
    ----------
    labels
        ``item_id, annotator, value`` (and ``seconds``, if known), answers in their text form.
    task
        What was asked.
    items
        ``item_id, text``; needed for spans only, whose words are what is labelled.
    samples, seed
        As for :func:`agreement`.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        For free text, for a value that is no answer to the task, and for spans of an unknown item.
    """
    long = judged_parts(labels, task, items)
    parts = {}
    for name, level, values in _scales(task):
        own = long.filter(pl.col("part") == name)
        parts[name] = agreement(own, level=level, values=values, samples=samples, seed=seed)
    return PartAgreement(task, parts)


def judged_parts(labels: Any, task: Task, items: Any = None) -> pl.DataFrame:
    """Return the parts of answers, a row each: ``item_id, part, annotator, value, seconds``.

    A turn is named ``item#turn`` and a word ``item@start``, its place in code points; a word in
    several spans counts for the first that covers it. Raises as :func:`agreement_by_part` does.
    """
    given = require(to_polars(labels, "labels"), ("item_id", "annotator", "value"), "labels")
    given = given.drop_nulls("value")
    if "seconds" not in given.columns:
        given = given.with_columns(pl.lit(None, pl.Float64).alias("seconds"))
    if task.kind == "text":
        raise LabelError(
            f"{task.name}: free text has no chance-corrected agreement; have the texts compared in "
            "pairs, or scored with a rubric"
        )
    texts: Texts = {}
    if task.kind == "span":
        if items is None:
            raise LabelError(f"{task.name}: agreement on spans needs items=: item_id, text")
        known = require(to_polars(items, "items"), ("item_id", "text"), "items")
        texts = dict(known.select(pl.col("item_id", "text").cast(pl.String)).iter_rows())
    split = _SPLIT[task.kind]
    rows = []
    columns = given.select("item_id", "annotator", "value", "seconds").rows()
    for number, (item, annotator, value, seconds) in enumerate(columns, 1):
        try:
            answer = task.decode(task.encode(str(value)))
            for unit, part, said in split(str(item), answer, task, texts):
                rows.append((unit, part, str(annotator), said, seconds))
        except LabelError as error:
            raise LabelError(f"labels, row {number}: value: {error}") from None
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _scales(task: Task) -> list[tuple[str, Level, list[str]]]:
    """Return each part's name, its level of measurement, and its values in order."""
    names = list(task.names)
    if task.kind == "multi":
        return [(name, "nominal", ["no", "yes"]) for name in names]
    if task.kind == "rubric":
        return [
            (c.name, "ordinal", [str(p) for p in range(c.low, c.high + 1)]) for c in task.criteria
        ]
    if task.kind == "pair":
        sides = ["first", "second", *(["tie"] if task.ties else [])]
        steps = range(-task.strength, task.strength + 1)
        signed = [str(s) for s in steps if s or task.ties]
        return [("preferred", "nominal", sides), ("strength", "ordinal", signed)]
    if task.kind == "span":
        return [("word", "nominal", [*names, OUTSIDE])]
    return [({"choice": "value", "turns": "turn"}[task.kind], "nominal", names)]


Parts = Iterator[tuple[str, str, str]]


def _choice(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    yield item, "value", answer


def _multi(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    for name in task.names:
        yield item, name, "yes" if name in answer else "no"


def _rubric(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    for name, points in answer.items():
        yield item, name, str(points)


def _pair(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    yield item, "preferred", answer["preferred"]
    yield item, "strength", str(answer["strength"] * (-1 if answer["preferred"] == "first" else 1))


def _turns(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    for turn, value in answer.items():
        yield f"{item}#{turn}", "turn", value


def _span(item: str, answer: Any, task: Task, texts: Texts) -> Parts:
    if item not in texts:
        raise LabelError(f"item {item!r} is not among the items")
    for word in words(texts[item]):
        covering = (s for s in answer if s["start"] < word.end and word.start < s["end"])
        first = next(covering, None)
        yield f"{item}@{word.start}", "word", first["label"] if first else OUTSIDE


_SPLIT: Mapping[str, Callable[[str, Any, Task, Texts], Parts]] = {
    "choice": _choice, "multi": _multi, "rubric": _rubric, "pair": _pair, "turns": _turns,
    "span": _span,
}  # fmt: skip
