"""Scorers: how an answer is judged against what was asked for, each with a name and a digest.

A scorer gives every answer a score from 0 to 1. Its digest names the recipe and its settings, so
that two measurements are compared only if they were scored alike.
"""

from __future__ import annotations

import inspect
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.frames import FrameError, require, to_polars
from scalekit.signing import digest

__all__ = [
    "CATEGORY",
    "Scorer",
    "custom",
    "exact_match",
    "numeric_match",
    "rubric_points",
    "token_f1",
]

Floats = NDArray[np.float64]
ARTICLES = re.compile(r"\b(a|an|the)\b")
NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
)
PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’“”«»…–—", " "))


@dataclass(frozen=True)
class Scorer:
    """How answers are scored.

    Parameters
    ----------
    name
        What the score is called.
    score
        From the answers and their items (a row each) to as many numbers between 0 and 1.
    columns
        Columns of the items that it needs.
    graded
        Whether a score may lie between 0 and 1: then means have Student's intervals.
    settings
        What else decides the score, as :func:`~scalekit.signing.canonical` takes it.
    """

    name: str
    score: Callable[[Sequence[str], pl.DataFrame], Sequence[float] | Floats]
    columns: tuple[str, ...] = ("category",)
    graded: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """The digest of name and settings: equal for measurements that may be compared."""
        return digest({"scorer": self.name, "graded": self.graded, "settings": dict(self.settings)})

    def __call__(self, answers: Sequence[str], items: pl.DataFrame) -> pl.Series:
        """Return the scores: Int64 (0 and 1), or Float64 when graded.

        Raises
        ------
        FrameError
            When items lack a column or a value of it.
        ValueError
            When a score is not between 0 and 1, or their number is not that of the answers.
        """
        require(items, self.columns, f"items for {self.name}")
        for column in self.columns:
            missing = items[column].null_count()
            if missing:
                raise FrameError(f"items: {missing:,} have no {column!r}, which {self.name} needs")
        found = np.asarray(self.score(answers, items), dtype=np.float64)
        if found.shape != (len(items),):
            raise ValueError(f"{self.name} gave {found.size} scores for {len(items)} answers")
        fit = (found >= 0) & (found <= 1) if self.graded else (found == 0) | (found == 1)
        if not fit.all():
            wanted = "between 0 and 1" if self.graded else "0 or 1 (or say graded=True)"
            raise ValueError(f"{self.name} gave a score of {found[~fit][0]}, {wanted} is needed")
        return pl.Series("score", found if self.graded else found.astype(np.int64))


def _same_category(answers: Sequence[str], items: pl.DataFrame) -> Floats:
    said = pl.Series(answers, dtype=pl.String)
    return (said == items["category"].cast(pl.String)).to_numpy().astype(np.float64)


CATEGORY = Scorer("accuracy", _same_category, settings={"recipe": 1})
"""The answer is the item's category, letter for letter."""


def custom(
    name: str,
    function: Callable[[str, Mapping[str, Any]], float],
    *,
    columns: Sequence[str] = (),
    graded: bool = True,
    version: str = "",
) -> Scorer:
    """Return a scorer made of your function of one answer and its item.

    Parameters
    ----------
    function
        From the answer and the item (a mapping of its columns) to a score from 0 to 1.
    version
        Raise it when the function changes. Without one its source text stands in, if it has one:
        what it calls and what it closes over is not seen.
    """

    def score(answers: Sequence[str], items: pl.DataFrame) -> list[float]:
        return [
            function(a, row) for a, row in zip(answers, items.iter_rows(named=True), strict=True)
        ]

    settings = {"version": version} if version else {"source": _source(function)}
    return Scorer(name, score, tuple(columns), graded, settings)


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise ValueError(
            "the source of this function can't be read, so a change of it would not be seen: say "
            "version="
        ) from error


def normalised(text: str) -> str:
    """Return *text* as SQuAD's evaluation compares it: small letters, no articles, no punctuation.

    Rajpurkar et al. 2016 (arXiv 1606.05250), section 6. Punctuation parts words here.
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(column: str = "answer", *, normalise: bool = True) -> Scorer:
    """Return the scorer that asks whether the answer is one of the item's right answers.

    Parameters
    ----------
    column
        Holds the right answer: text, or a list of texts any of which will do.
    normalise
        Compare as :func:`normalised`; otherwise letter for letter.
    """
    form = normalised if normalise else str

    def score(answers: Sequence[str], items: pl.DataFrame) -> list[bool]:
        pairs = zip(answers, items[column].to_list(), strict=True)
        return [form(a) in {form(r) for r in _right(right)} for a, right in pairs]

    return Scorer("exact match", score, (column,), False, {"recipe": 1, "normalise": normalise})


def token_f1(column: str = "answer") -> Scorer:
    """Return the scorer of shared words: F1 of the normalised words, the best over right answers.

    As SQuAD scores (Rajpurkar et al. 2016, arXiv 1606.05250). Where answer or right answer has no
    word, the score is 1 if both have none.
    """

    def score(answers: Sequence[str], items: pl.DataFrame) -> list[float]:
        pairs = zip(answers, items[column].to_list(), strict=True)
        return [max(_f1(a, r) for r in _right(right)) for a, right in pairs]

    return Scorer("token F1", score, (column,), True, {"recipe": 1})


def _f1(answer: str, right: str) -> float:
    said, wanted = normalised(answer).split(), normalised(right).split()
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (Counter(said) & Counter(wanted)).total() / (len(said) + len(wanted))


def _right(value: Any) -> list[str]:
    right = list(value) if isinstance(value, list | tuple | pl.Series) else [value]
    if not right or not all(isinstance(r, str) for r in right):
        raise FrameError(f"items: a right answer must be text or a list of texts, got {value!r}")
    return right


def numeric_match(column: str = "answer", *, tolerance: str = "0") -> Scorer:
    """Return the scorer that compares the last number of the answer with the right one.

    Thousands may be parted by commas; a percent sign or a currency is not looked at. An answer
    without a number is wrong.

    Parameters
    ----------
    column
        Holds the right number, or text whose last number it is.
    tolerance
        Relative: "0.01" takes what is within one percent. Text, so that it is exact.
    """
    within = Decimal(tolerance)

    def score(answers: Sequence[str], items: pl.DataFrame) -> list[bool]:
        wanted = [_number(str(right)) for right in items[column].to_list()]
        if None in wanted:
            shown = items[column][wanted.index(None)]
            raise FrameError(f"items: a right answer in {column!r} has no number: {shown!r}")
        pairs = zip(map(_number, answers), wanted, strict=True)
        return [s is not None and abs(s - w) <= within * abs(w) for s, w in pairs if w is not None]

    return Scorer("numeric match", score, (column,), False, {"recipe": 1, "tolerance": tolerance})


def _number(text: str) -> Decimal | None:
    found = NUMBER.findall(text)
    return Decimal(found[-1].replace(",", "").replace("−", "-")) if found else None


Judge = Callable[[list[dict[str, Any]]], Sequence[bool]]


def rubric_points(
    rubric: Any, *, judge: Judge | None = None, verdicts: Any = None, version: str = ""
) -> Scorer:
    """Return the scorer of rubrics: points met over the sum of positive points, at least 0.

    As HealthBench scores an example (Arora et al. 2025, arXiv 2505.08775, section 3); criteria
    with negative points take away. A judge model may score only after its agreement with people is
    known.

    Parameters
    ----------
    rubric
        ``item_id, criterion, points``: points are numbers, negative for what must not be.
    judge
        From a list of ``{item_id, text, answer, criterion}`` to as many booleans: is it met?
    verdicts
        In place of a judge a table of people's verdicts, ``item_id, criterion, met`` and, if
        known, ``answer``; of several verdicts more than half must say that it is met.
    version
        Of the judge: its model and its prompt.

    Raises
    ------
    FrameError
        When a column is missing, or an item has no criterion with positive points.
    ValueError
        When there is not exactly one of *judge* (with its *version*) and *verdicts*.
    """
    if (judge is None) == (verdicts is None):
        raise ValueError("rubric_points needs either judge= or verdicts=")
    if judge is not None and not version:
        raise ValueError("say version= of the judge: it decides the scores")
    criteria = _criteria(rubric)
    panel = None if verdicts is None else _panel(verdicts)

    def score(answers: Sequence[str], items: pl.DataFrame) -> Floats:
        asked = items.select(
            pl.col("item_id").cast(pl.String), "text", pl.Series("answer", answers, dtype=pl.String)
        )
        asked = asked.with_row_index("row").join(
            criteria, on="item_id", how="left", maintain_order="left"
        )
        if without := asked["criterion"].null_count():
            raise FrameError(f"rubric: {without:,} items have no criteria")
        met = _by_panel(asked, panel) if panel is not None else _by_judge(asked, judge)
        asked = asked.with_columns((pl.col("points") * met).alias("gained"))
        whole = pl.col("points").clip(0).sum()
        points = asked.group_by("row").agg((pl.col("gained").sum() / whole).clip(0).alias("score"))
        return points.sort("row")["score"].to_numpy()

    settings = {"recipe": 1, "rubric": _content(criteria), "judge": version or "people"}
    return Scorer("rubric points", score, ("item_id", "text"), True, settings)


def _criteria(rubric: Any) -> pl.DataFrame:
    table = require(to_polars(rubric, "rubric"), ("item_id", "criterion", "points"), "rubric")
    table = table.select(
        pl.col("item_id", "criterion").cast(pl.String), pl.col("points").cast(pl.Float64)
    )
    most = table.group_by("item_id", maintain_order=True).agg(pl.col("points").clip(0).sum())
    nothing = most.filter(pl.col("points") == 0)
    if len(nothing):
        raise FrameError(
            f"rubric: {len(nothing):,} items have no criterion with positive points, first "
            f"{nothing['item_id'][0]!r}"
        )
    if table.select("item_id", "criterion").is_duplicated().any():
        raise FrameError("rubric: an item has the same criterion twice")
    return table


def _panel(verdicts: Any) -> pl.DataFrame:
    table = require(to_polars(verdicts, "verdicts"), ("item_id", "criterion", "met"), "verdicts")
    keys = [c for c in ("item_id", "criterion", "answer") if c in table.columns]
    table = table.with_columns(pl.col(*keys).cast(pl.String), pl.col("met").cast(pl.Float64))
    return table.group_by(keys).agg((pl.col("met").mean() > 0.5).alias("met"))


def _by_panel(asked: pl.DataFrame, panel: pl.DataFrame) -> pl.Series:
    keys = [c for c in panel.columns if c != "met"]
    met = asked.join(panel, on=keys, how="left", maintain_order="left")["met"]
    missing = met.null_count()
    if missing:
        raise FrameError(
            f"verdicts: {missing:,} of {len(met):,} criteria of these answers have none"
        )
    return met


def _by_judge(asked: pl.DataFrame, judge: Judge | None) -> pl.Series:
    rows = asked.select("item_id", "text", "answer", "criterion").to_dicts()
    met = list(judge(rows)) if judge is not None else []
    if len(met) != len(rows) or not all(isinstance(m, bool | np.bool_) for m in met):
        raise ValueError(f"the judge was given {len(rows)} criteria; as many booleans are needed")
    return pl.Series("met", map(bool, met), dtype=pl.Boolean)


def _content(criteria: pl.DataFrame) -> str:
    rows = criteria.with_columns(pl.col("points").cast(pl.String)).sort("item_id", "criterion")
    return digest(rows.rows())
