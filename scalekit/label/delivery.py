"""What labelling hands on as plain files: every label, the consensus, pairs, and their digests."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import (
    LABELS,
    StorageError,
    ids_unique,
    require,
    to_polars,
    write_atomically,
    write_parquet,
)
from scalekit.label.consensus import majority
from scalekit.label.noise import NoiseEstimate, dawid_skene, most_probable, noise_estimate
from scalekit.label.preference import preference_pairs
from scalekit.label.tasks import LabelError, Task
from scalekit.signing import digest_file

__all__ = ["Delivery", "deliver"]

SIDES = ("first", "second")
ABOUT = ("batch_id", "source", "tier")
PAIRS = ("prompt", "chosen", "rejected", "strength", "n", "agreement", "item_id")
# Dawid-Skene keeps a matrix of every answer by every answer: only where answers are a closed list.
CLOSED = ("choice", "pair")


@dataclass(frozen=True)
class Delivery(View):
    """Labels, what they come to, and how far to trust it.

    ``labels`` is long. ``consensus`` has ``item_id, value, posterior, entropy, n`` and, where the
    items have them, ``batch_id, source, tier``. ``pairs``, of a pair task, has ``prompt, chosen,
    rejected, strength, n, agreement, item_id``; else it is None.
    """

    labels: pl.DataFrame
    consensus: pl.DataFrame
    pairs: pl.DataFrame | None
    noise: NoiseEstimate
    task: Task
    counts: Mapping[str, int]
    provenance: Mapping[str, Any]

    @property
    def table(self) -> pl.DataFrame:
        """How many of what: ``what, n``."""
        return pl.DataFrame(list(self.counts.items()), schema=["what", "n"], orient="row")

    def to_html(self) -> str:
        """Show the counts, the noise, and the first rows of what training takes."""
        said = f"{counted(len(self.labels), 'label')} for the task {self.task.name!r}."
        first, where = (
            (self.pairs, ".pairs") if self.pairs is not None else (self.consensus, ".consensus")
        )
        return block(
            "Delivery", note(said), note(self._noise_said()), table(self.table),
            table(first, limit=5, where=where),
        )  # fmt: skip

    def _noise_said(self) -> str:
        if self.noise.estimate is None or self.noise.interval is None:
            return "Label noise: not measured."
        low, high = self.noise.interval
        how = "on gold" if self.noise.source == "gold" else "from the votes"
        items = counted(self.noise.n, "item")
        return f"Label noise: {self.noise.estimate:.2%} ({low:.2%} to {high:.2%}), {how}, {items}."

    def write(self, folder: Path | str) -> Path:
        """Write the delivery into a new folder, whole or not at all; return the folder.

        ``labels.parquet``, ``consensus.parquet``, for a pair task ``pairs.jsonl``, and
        ``delivery.json`` with the digest of each. The same delivery is the same bytes.

        Raises
        ------
        LabelError
            When there is something in the folder already.
        StorageError
            When the disk or the folder refuses.
        """
        folder = Path(folder).absolute()
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise LabelError(
                f"{folder}: already there, and a delivery is not changed; name another"
            )
        temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        try:
            self._write_files(temporary)
            temporary.replace(folder)
        except OSError as error:
            raise StorageError(f"{folder}: nothing was written ({error.strerror})") from error
        except StorageError as error:
            raise StorageError(f"{folder}: nothing was written; {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def _write_files(self, folder: Path) -> None:
        rows = {"labels.parquet": self.labels, "consensus.parquet": self.consensus}
        for name, frame in rows.items():
            write_parquet(frame, folder / name)
        if self.pairs is not None:
            rows["pairs.jsonl"] = self.pairs
            write_atomically(folder / "pairs.jsonl", self.pairs.write_ndjson())
        files = {
            name: {"rows": len(frame), "digest": digest_file(folder / name)}
            for name, frame in rows.items()
        }
        said = {
            "scalekit": version("scalekit"),
            "task": asdict(self.task),
            "counts": dict(self.counts),
            "noise": asdict(self.noise),
            "provenance": dict(self.provenance),
            "files": files,
        }
        text = json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True)
        write_atomically(folder / "delivery.json", text + "\n")


def deliver(
    labels: Any,
    consensus: Any,
    items: Any,
    *,
    task: Task,
    noise: NoiseEstimate | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Delivery:
    """Put together what labelling hands on, every row checked.

    Parameters
    ----------
    labels
        ``item_id, annotator, value``, one row for each annotator and item; other columns are kept.
    consensus
        ``item_id, value``, one row for each item; null where nothing was decided.
    items
        ``item_id`` and, if known, ``batch_id, source, tier``; of a pair task also ``prompt, first,
        second`` (see :func:`scalekit.label.pair_items`).
    task
        What was asked.
    noise
        As measured; by default estimated from the votes, for choice and pair tasks.
    provenance
        What else ``delivery.json`` is to say, in values that JSON has.

    Returns
    -------
    Delivery
        ``n`` counts the delivered labels of an item. ``posterior`` is that of the consensus value
        and ``entropy`` (bits) that of the posterior, by Dawid & Skene, for choice and pair tasks;
        of other kinds the posterior is null and the entropy that of the votes. A pair is left out,
        and counted, where most votes prefer neither, too few agree, both responses are the same,
        or the consensus is another than that of most votes.

    Raises
    ------
    FrameError
        When a column is missing, or an item is there twice.
    LabelError
        Naming the first unsound row, its column and why, and how many there are.
    """
    known = _items(items, task)
    given = _rows(labels, "labels", ("item_id", "annotator", "value"), task, known)
    decided = _rows(consensus, "consensus", ("item_id", "value"), task, known)
    _check_once(given)
    ids_unique(decided, "item_id", "consensus")
    told = _consensus(given, decided, known, task)
    decisions = told.drop_nulls("value")
    if noise is None:
        noise = NoiseEstimate(None, None, "none", 0)
        if task.kind in CLOSED:
            noise = noise_estimate(given, decisions)
    counts = {
        "labels": len(given),
        "annotators": given["annotator"].n_unique(),
        "items labelled": given["item_id"].n_unique(),
        "items decided": len(decisions),
        "items labelled, not decided": len(
            given.select("item_id").unique().join(decisions, on="item_id", how="anti")
        ),
    }
    pairs = None
    if task.kind == "pair":
        pairs, left_out = _pairs(given, decisions, known, task)
        counts |= {"pairs": len(pairs)} | left_out
    return Delivery(given, told, pairs, noise, task, counts, _sayable(provenance or {}))


def _items(items: Any, task: Task) -> pl.DataFrame:
    needed = ("prompt", *SIDES) if task.kind == "pair" else ()
    known = require(to_polars(items, "items"), ("item_id", *needed), "items")
    known = ids_unique(known.with_columns(pl.col("item_id").cast(pl.String)), "item_id", "items")
    rows = known.with_row_index("row", offset=1)
    for column in needed:
        _refuse(rows.filter(pl.col(column).is_null()), "items", column, "is no text")
    return known


def _rows(
    frame: Any, what: str, columns: tuple[str, ...], task: Task, items: pl.DataFrame
) -> pl.DataFrame:
    """Return labels or consensus with known items, and answers in their one text form."""
    given = require(to_polars(frame, what), columns, what)
    if what == "labels" and given.is_empty():
        raise LabelError("there are no labels yet, so there is nothing to deliver")
    given = given.with_columns(pl.col(columns).cast(pl.String))
    rows = given.with_row_index("row", offset=1)
    stranger = ~pl.col("item_id").is_in(items["item_id"].to_list()).fill_null(False)
    _refuse(rows.filter(stranger), what, "item_id", "is not among the items")
    if what == "labels":
        _refuse(rows.filter(pl.col("annotator").is_null()), what, "annotator", "is nobody")
        _refuse(rows.filter(pl.col("value").is_null()), what, "value", "is no answer")
    if "task" in rows.columns:
        other = ~pl.col("task").eq_missing(pl.lit(task.name))
        _refuse(rows.filter(other), what, "task", f"is not {task.name!r}")
    order = [c for c in LABELS if c in given.columns]
    rest = [c for c in given.columns if c not in order]
    keys = [c for c in ("item_id", "annotator") if c in columns]
    return given.with_columns(_encoded(rows, what, task)).select(*order, *rest).sort(keys)


def _encoded(rows: pl.DataFrame, what: str, task: Task) -> pl.Series:
    """Return the answers in their one text form; each different one is looked at once."""
    forms: dict[str | None, str | None] = {None: None}
    refused: dict[str, str] = {}
    for value in rows["value"].drop_nulls().unique(maintain_order=True):
        try:
            forms[value] = task.encode(value)
        except LabelError as error:
            refused[value] = str(error)
    wrong = rows.filter(pl.col("value").is_in(list(refused)))
    _refuse(wrong, what, "value", f"is no answer: {next(iter(refused.values()), '')}")
    return pl.Series("value", [forms[v] for v in rows["value"]], dtype=pl.String)


def _refuse(wrong: pl.DataFrame, what: str, column: str, why: str) -> None:
    if wrong.is_empty():
        return
    first = wrong.row(0, named=True)
    raise LabelError(
        f"{what}, row {first['row']}: {column} {first[column]!r} {why} "
        f"({counted(len(wrong), 'such row')}). Nothing was delivered"
    )


def _check_once(given: pl.DataFrame) -> None:
    """Raise LabelError where an annotator has two votes on an item: it would count twice."""
    twice = given.filter(given.select("item_id", "annotator").is_duplicated())
    if len(twice):
        item, who = twice.select("item_id", "annotator").row(0)
        raise LabelError(
            f"labels: {who!r} answers item {item!r} more than once "
            f"({counted(len(twice), 'such row')}); deliver the labels that stand, as labels_of "
            "gives them"
        )


def _consensus(
    given: pl.DataFrame, decided: pl.DataFrame, items: pl.DataFrame, task: Task
) -> pl.DataFrame:
    votes = majority(given).select("item_id", "entropy", "n")
    told = decided.select("item_id", "value")
    if task.kind in CLOSED:
        posterior = dawid_skene(given)
        bits = most_probable(posterior).select("item_id", "entropy")
        votes = votes.drop("entropy").join(bits, on="item_id")
        told = told.join(posterior, on=["item_id", "value"], how="left")
    else:
        told = told.with_columns(pl.lit(None, pl.Float64).alias("posterior"))
    about = [c for c in ABOUT if c in items.columns]
    return (
        told.join(votes, on="item_id", how="left")
        .join(items.select("item_id", *about), on="item_id")
        .with_columns(pl.col("n").fill_null(0))
        .select("item_id", "value", "posterior", "entropy", "n", *about)
        .sort("item_id")
    )


def _pairs(
    given: pl.DataFrame, decisions: pl.DataFrame, items: pl.DataFrame, task: Task
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the pairs that votes and consensus agree on, and how many others there are, and why.

    Each item is one pair, its two responses named by their side.
    """
    judged = given.select(
        "item_id", "annotator", _preferred(given, task).alias("outcome"),
        _strength(given, task).alias("strength"),
        pl.lit("first").alias("first"), pl.lit("second").alias("second"),
    )  # fmt: skip
    responses = pl.concat(
        items.select("item_id", "prompt", pl.lit(s).alias("name"), pl.col(s).alias("response"))
        for s in SIDES
    )
    found = preference_pairs(judged, responses)
    sides = decisions.select("item_id", _preferred(decisions, task).alias("consensus"))
    pairs = (
        found.table.join(sides, on="item_id", how="left")
        .join(items.select("item_id", "first"), on="item_id")
        .sort("item_id")
    )
    chosen = pl.when(pl.col("chosen") == pl.col("first")).then(pl.lit("first"))
    against = pl.col("consensus") != chosen.otherwise(pl.lit("second"))
    kept = pairs.filter(~against.fill_null(False))
    return kept.select(PAIRS), {
        "pairs left out: tied": found.tied,
        f"pairs left out: agreement below {found.min_agreement:g}": found.below,
        "pairs left out: the same response twice": found.same,
        "pairs left out: against the consensus": len(pairs) - len(kept),
    }


def _preferred(rows: pl.DataFrame, task: Task) -> pl.Series:
    return pl.Series([task.decode(v)["preferred"] for v in rows["value"]], dtype=pl.String)


def _strength(rows: pl.DataFrame, task: Task) -> pl.Series:
    """Return how strongly each prefers; null for a tie."""
    found = [task.decode(v)["strength"] or None for v in rows["value"]]
    return pl.Series(found, dtype=pl.Int64)


def _sayable(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        json.dumps(provenance, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LabelError(f"provenance: JSON has no form for it ({error})") from None
    return provenance
