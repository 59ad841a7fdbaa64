"""Who labels what: one seeded table, made before anybody starts, so that nobody needs a lock.

Each item goes to exactly as many annotators as asked. Everybody gets equally much (within one), and
pairs of annotators share items about equally, so that agreement can be told for each pair: each
item goes where least is shared so far, which promises no bound (:func:`balance` tells the
extremes). Gold and attention items lie at drawn places between the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalekit.display import View, block, note, table
from scalekit.frames import require, to_polars
from scalekit.label.sharing import ASSIGNMENT_SCHEMA, WORK, Board, generator, listed, mark
from scalekit.label.tasks import LabelError

__all__ = ["TIERS", "Balance", "assign", "balance", "disagreement_round", "top_up"]

TIERS = ("generalist", "expert")


def assign(
    items: Any,
    annotators: Sequence[str],
    *,
    overlap: int = 2,
    seed: int | str,
    gold: Collection[str] = (),
    attention: Collection[str] = (),
    gold_every: int = 20,
    attention_every: int = 50,
    tiers: Mapping[str, str] | None = None,
    pairs: bool = False,
    round: int = 1,
) -> pl.DataFrame:
    """Assign every item to *overlap* annotators.

    The same items, annotators and seed give the same table, in whatever order they come.

    Parameters
    ----------
    items
        ``item_id``; where there, ``needs`` (the tier whose members alone may label it, null for
        anybody) and ``priority`` (the highest comes first, as in active learning; otherwise each
        annotator's order is drawn).
    annotators
        Their names.
    seed
        Of all that is drawn.
    gold, attention
        Ids of items whose right answer is known, and of items that show whether somebody reads.
        Every annotator meets one of them about every *gold_every*, *attention_every* items, each
        at most once; they are no part of the load, and those among *items* are taken out of it.
    tiers
        Each annotator's tier ("generalist", "expert"); generalist where not named.
    pairs
        Whether the items are pairs: then ``side`` says which is shown first, balanced within one
        in the work of each annotator and of each item, round by round.

    Returns
    -------
    polars.DataFrame
        ``item_id, annotator, round, place`` (the annotator's order, from 0)``, kind`` ("work",
        "gold", "attention")``, side`` ("first", "second", null)``, instead_of`` (null here; in a
        top-up, whose place it takes).

    Raises
    ------
    FrameError
        When *items* has no ``item_id``.
    LabelError
        When a name or id stands twice or is missing, a tier or its annotator is unknown, an id is
        both gold and attention, or there are too few annotators.
    """
    people = _people(annotators)
    checks = {
        "gold": (_check_ids("gold", gold), _every("gold_every", gold_every)),
        "attention": (
            _check_ids("attention", attention),
            _every("attention_every", attention_every),
        ),
    }
    taken = set(checks["gold"][0]) | set(checks["attention"][0])
    if both := sorted(set(checks["gold"][0]) & set(checks["attention"][0])):
        raise LabelError(f"item {both[0]!r} is both gold and an attention check; keep it in one")
    rows = _sorted_items(items).filter(~pl.col("item_id").is_in(taken))
    grades = _grades(people, tiers)
    rng = generator(seed, "assign", round)
    needs = dict(rows.drop_nulls("needs").select("item_id", "needs").iter_rows())
    if strange := sorted(set(needs.values()) - set(TIERS)):
        raise LabelError(f"an item needs {strange[0]!r}; tiers are {', '.join(TIERS)}")
    board = Board(people)
    # Those that few may label first: the others then even out the loads.
    drawn = [rows["item_id"][int(i)] for i in rng.permutation(len(rows))]
    for item in sorted(drawn, key=lambda item: item not in needs):
        allowed = [p for p in people if item not in needs or grades[p] == needs[item]]
        board.give(item, overlap, allowed, rng, needs.get(item, ""))
    priority = dict(rows.drop_nulls("priority").select("item_id", "priority").iter_rows())
    return listed(board.pairs, round, rng, priority=priority, checks=checks, sided=pairs)


def top_up(
    assigned: Any,
    labels: Any,
    annotators: Sequence[str],
    *,
    seed: int | str,
    tiers: Mapping[str, str] | None = None,
    needs: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Assign what drop-outs left undone to *annotators* who carry on; a new round.

    Undone is what is assigned to somebody who is not among *annotators*, has no label of theirs and
    was not given to somebody else by an earlier top-up; ``instead_of`` names them. Nobody gets an
    item twice; loads are evened out, with what everybody has already. *needs* says of an item
    which tier alone may label it.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When too few are left for an item.
    """
    table = _known(assigned)
    people = _people(annotators)
    given = require(to_polars(labels, "labels"), ("item_id", "annotator"), "labels")
    given = given.select(pl.col("item_id", "annotator").cast(pl.String))
    open_ = table.filter((pl.col("kind") == WORK) & ~pl.col("annotator").is_in(people))
    undone = open_.join(given, on=["item_id", "annotator"], how="anti")
    undone = undone.join(
        table, left_on=["item_id", "annotator"], right_on=["item_id", "instead_of"], how="anti"
    )
    slots = undone.sort("item_id", "annotator").group_by("item_id", maintain_order=True)
    wanted = dict(slots.agg("annotator").iter_rows())
    return _appended(table, wanted, people, seed, _grades(people, tiers), needs or {})


def disagreement_round(
    assigned: Any,
    entropy: Any,
    annotators: Sequence[str],
    *,
    seed: int | str,
    share: float = 0.1,
    extra: int = 1,
    tiers: Mapping[str, str] | None = None,
    needs: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Assign the most disputed items to *extra* more annotators, experts before others.

    *entropy* has ``item_id, entropy``, of votes or of a posterior; the *share* of all items with
    the highest, as far as it is above 0, comes into the round. *needs* says of an item which tier
    alone may label it.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When too few annotators have not had an item, or an item was never assigned.
    """
    if not 0 < share <= 1:
        raise LabelError(f"share must be above 0 and at most 1, got {share}")
    table = _known(assigned)
    people = _people(annotators)
    found = require(to_polars(entropy, "entropy"), ("item_id", "entropy"), "entropy")
    found = found.with_columns(pl.col("item_id").cast(pl.String))
    undefined = found.filter(pl.col("entropy").is_null() | pl.col("entropy").is_nan())
    for item in undefined["item_id"].head(1):
        raise LabelError(f"entropy: that of item {item!r} is not a number; leave it out")
    for item in sorted(set(found["item_id"]) - set(table["item_id"]))[:1]:
        raise LabelError(f"entropy: item {item!r} was never assigned")
    ranked = found.filter(pl.col("entropy") > 0).sort(
        "entropy", "item_id", descending=[True, False]
    )
    most = ranked["item_id"].head(max(1, int(share * len(found))))
    wanted: dict[str, list[str | None]] = {item: [None] * extra for item in most}
    grades = _grades(people, tiers)
    return _appended(table, wanted, people, seed, grades, needs or {}, experts_first=True)


def _appended(
    table: pl.DataFrame,
    wanted: Mapping[str, Sequence[str | None]],
    people: list[str],
    seed: int | str,
    grades: Mapping[str, str],
    needs: Mapping[str, str],
    *,
    experts_first: bool = False,
) -> pl.DataFrame:
    round = int(table["round"].max() or 0) + 1  # type: ignore[arg-type]
    rng = generator(seed, "append", round)
    board = Board(people, table.filter(pl.col("kind") == WORK))
    had: dict[str, set[str]] = defaultdict(set)
    for item, annotator in table.select("item_id", "annotator").iter_rows():
        had[item].add(annotator)
    places: dict[tuple[str, str], str | None] = {}
    for item in sorted(wanted, key=lambda i: (i not in needs, mark(seed, i))):
        new = [p for p in people if p not in had[item]]
        allowed = [p for p in new if item not in needs or grades[p] == needs[item]]
        experts = [p for p in allowed if experts_first and grades[p] == "expert"]
        slots = wanted[item]
        got = board.give(item, len(slots), allowed, rng, needs.get(item, ""), experts)
        places |= {(item, who): slot for who, slot in zip(got, slots, strict=True)}
    sided = bool(table["side"].is_not_null().any())
    fresh = listed(board.pairs, round, rng, sided=sided)
    instead = [places[key] for key in fresh.select("item_id", "annotator").iter_rows()]
    return fresh.with_columns(pl.Series("instead_of", instead, pl.String))


@dataclass(frozen=True)
class Balance(View):
    """How even an assignment is: overlap, loads, items that each two share, sides."""

    rounds: tuple[int, ...]
    overlap: tuple[int, int]
    load: tuple[int, int]
    shared: tuple[int, int]
    table: pl.DataFrame

    def to_html(self) -> str:
        """Show each annotator's load and checks, and the extremes."""

        def said(pair: tuple[int, int]) -> str:
            return f"{pair[0]:,}" if pair[0] == pair[1] else f"{pair[0]:,} to {pair[1]:,}"

        rounds = ", ".join(str(r) for r in self.rounds)
        told = (
            f"Round {rounds}. Each item goes to {said(self.overlap)} annotators, each annotator "
            f"has {said(self.load)} items, each two share {said(self.shared)}."
        )
        return block("Assignment", note(told), table(self.table))


def balance(assigned: Any) -> Balance:
    """Return how even an assignment is; of a qualification, how even its gold."""
    known = _known(assigned)
    kind = WORK if (known["kind"] == WORK).any() else "gold"
    work = known.filter(pl.col("kind") == kind)
    people = known["annotator"].unique().sort().to_list()
    board = Board(people, work)
    upper = board.shared[np.triu_indices(len(people), 1)]
    counts = work.group_by("item_id").len()["len"]
    per = known.group_by("annotator").agg(
        (pl.col("kind") == kind).sum().cast(pl.Int64).alias("items"),
        (pl.col("kind") == "gold").sum().cast(pl.Int64).alias("gold"),
        (pl.col("kind") == "attention").sum().cast(pl.Int64).alias("attention"),
        (pl.col("side") == "first").sum().cast(pl.Int64).alias("first on the left"),
    )
    checks = [c for c in ("gold", "attention") if c == kind or not per[c].sum()]
    sides = ["first on the left"] if known["side"].is_null().all() else []
    per = per.drop(*checks, *sides)
    rounds = tuple(known["round"].unique().sort())
    return Balance(
        rounds, _extremes(counts), _extremes(board.load), _extremes(upper), per.sort("annotator")
    )


def _extremes(values: Iterable[float]) -> tuple[int, int]:
    found = [int(v) for v in values]
    return (min(found), max(found)) if found else (0, 0)


def _known(assigned: Any) -> pl.DataFrame:
    return require(to_polars(assigned, "assignment"), tuple(ASSIGNMENT_SCHEMA), "assignment")


def _sorted_items(items: Any) -> pl.DataFrame:
    given = require(to_polars(items, "items"), ("item_id",), "items")
    kinds = {"needs": pl.String, "priority": pl.Float64}
    for column, kind in kinds.items():
        value = pl.col(column).cast(kind) if column in given.columns else pl.lit(None, kind)
        given = given.with_columns(value.alias(column))
    rows = given.select(pl.col("item_id").cast(pl.String), "needs", "priority").sort("item_id")
    _once("item", rows["item_id"].to_list())
    return rows


def _people(annotators: Sequence[str]) -> list[str]:
    _once("annotator", list(annotators))
    return sorted(annotators)


def _once(what: str, names: Sequence[Any]) -> None:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise LabelError(f"{what} {place} has no name: {name!r}")
        if name in seen:
            raise LabelError(f"{what} {name!r} stands twice")
        seen.add(name)


def _check_ids(what: str, ids: Collection[str]) -> list[str]:
    """Return the ids of checks in one order, whatever the order they came in."""
    found = sorted({str(i) for i in ids if i is not None})
    if None in ids:
        raise LabelError(f"{what}: an item has no id")
    return found


def _every(what: str, value: int) -> int:
    if value < 1:
        raise LabelError(f"{what} must be at least 1, got {value}")
    return value


def _grades(people: Sequence[str], tiers: Mapping[str, str] | None) -> dict[str, str]:
    given = tiers or {}
    for name, tier in given.items():
        if tier not in TIERS:
            raise LabelError(f"{name}: tier {tier!r} is not one of {', '.join(TIERS)}")
        if name not in people:
            raise LabelError(f"tiers: {name!r} is not one of the annotators {', '.join(people)}")
    return {person: given.get(person, TIERS[0]) for person in people}
