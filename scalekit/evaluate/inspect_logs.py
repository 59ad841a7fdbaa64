"""Logs of inspect_ai as results, and items as a data set that inspect_ai loads.

A log is one JSON document (``.json``), or a zip archive of them (``.eval``): ``header.json`` with
the run and ``samples/<id>_epoch_<n>.json``; of a run that was cut off ``_journal/start.json``
instead of the header. inspect_ai itself is not needed.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.evaluate.votes import mean_interval, share_interval
from scalekit.frames import FrameError, ids_unique, require, to_polars, write_atomically

__all__ = ["InspectLog", "InspectLogError", "read_inspect_log", "write_inspect_dataset"]

HEADER, START = "header.json", "_journal/start.json"
ZSTANDARD = 93  # compression method of the zip format, which Python reads from 3.14 only
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
ROLES = ("system", "user", "assistant", "tool")
ATTACHMENT = "attachment://"
RESULTS = {
    "item_id": pl.String, "set": pl.String, "score": pl.Float64, "prediction": pl.String,
    "epoch": pl.Int64, "scorer": pl.String, "value": pl.String, "target": pl.String,
    "model": pl.String, "edited": pl.Boolean,
}  # fmt: skip
ERRORS = {"item_id": pl.String, "epoch": pl.Int64, "error": pl.String, "where": pl.String}
SUMMARY = {
    "set": pl.String, "scorer": pl.String, "items": pl.Int64, "epochs": pl.Int64,
    "mean": pl.Float64, "from": pl.Float64, "to": pl.Float64, "unscored": pl.Int64,
}  # fmt: skip


class InspectLogError(ValueError):
    """A log can't be read; the message names the file, the place in it, and what to do."""


@dataclass(frozen=True)
class InspectLog(View):
    """What an inspect_ai run measured.

    ``results``: ``item_id, set, score, prediction, epoch, scorer, value, target, model, edited``, a
    row for each sample, epoch and score (``scorer/part`` where a scorer gives several). ``score``
    is a number: C 1, P 0.5, I and N 0, as inspect_ai counts them; null where there is none.
    ``errors``: ``item_id, epoch, error, where``, the samples that failed, and their place in the
    file. ``run``: model, task, revision, data set and the like, as text.
    """

    path: Path
    run: Mapping[str, str]
    results: pl.DataFrame
    errors: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """Mean score by set and scorer: ``set, scorer, items, epochs, mean, from, to, unscored``.

        The item is the unit: its epochs are averaged first. 95 % intervals: of shares Wilson's
        with the effective number of items, else Student's.
        """
        rows = []
        for names, own in self.results.group_by("set", "scorer", maintain_order=True):
            unscored, own = own["score"].null_count(), own.drop_nulls("score")
            means = own.group_by("item_id").agg(pl.col("score").mean()).sort("item_id")
            values = means["score"].to_numpy().astype(float)
            if not len(values):
                rows.append((*names, 0, 0, None, None, None, unscored))
                continue
            share = bool(np.all((values >= 0) & (values <= 1)))
            found = share_interval(values) if share else mean_interval(values)
            rows.append((*names, len(values), own["epoch"].n_unique(), *found, unscored))
        return pl.DataFrame(rows, schema=SUMMARY, orient="row")

    def to_html(self) -> str:
        """Show the run, the scores, and what failed."""
        edited = self.results.filter("edited").select("item_id", "epoch").n_unique()
        changed = f"Scores of {counted(edited, 'sample')} were edited after the run."
        failed = f"{counted(len(self.errors), 'sample')} failed; the means are without them:"
        status = self.run.get("status", "")
        unfinished = f"The run did not finish ({status}): what is here is a part of it."
        return block(
            f"inspect_ai: {self.run.get('task', '')}",
            note(unfinished) if status != "success" else "",
            note("The run was marked invalid.") if self.run.get("invalidated") == "yes" else "",
            table([{"run": k, "": v} for k, v in self.run.items()], limit=30),
            table(self.table),
            note(changed) if edited else "",
            note(failed) if len(self.errors) else "",
            table(self.errors, limit=10),
        )


def read_inspect_log(path: Path | str) -> InspectLog:
    """Read an inspect_ai log, ``.eval`` or ``.json``.

    The set of a sample is what its metadata call ``set``, else the data set's name. A prediction is
    the answer that the scorer took, else the model's whole output.

    Raises
    ------
    InspectLogError
        When the file is not there, is no log, is cut off or altered; with the place.
    """
    path = Path(path)
    if not path.is_file():
        raise InspectLogError(f"{path}: there is no such file")
    with path.open("rb") as stream:
        zipped = stream.read(4) == b"PK\x03\x04"
    header, samples = _archive(path) if zipped else _document(path)
    spec = _mapping(header.get("eval"), f"{path}: eval")
    dataset = spec.get("dataset") or {}
    rows, failed = [], []
    for where, sample in samples:
        try:
            item, epoch = str(sample["id"]), int(sample["epoch"])
        except (KeyError, TypeError, ValueError):
            raise InspectLogError(f"{path}: {where}: no id or epoch; is it a sample?") from None
        if error := sample.get("error"):
            said = error.get("message", "") if isinstance(error, Mapping) else str(error)
            failed.append((item, epoch, said, where))
        group = (sample.get("metadata") or {}).get("set") or dataset.get("name") or "inspect"
        told = (item, str(group), epoch, _target(sample), str(spec.get("model", "")))
        rows += [_row(told, found) for found in _scores(sample)]
    return InspectLog(
        path,
        _run(header, spec, dataset),
        pl.DataFrame(rows, schema=RESULTS, orient="row"),
        pl.DataFrame(failed, schema=ERRORS, orient="row"),
    )


def _row(told: tuple[str, str, int, str, str], found: tuple[Any, ...]) -> tuple[Any, ...]:
    (item, group, epoch, target, model), (scorer, value, prediction, edited) = told, found
    said = value if isinstance(value, str) else json.dumps(value)
    return item, group, number(value), prediction, epoch, scorer, said, target, model, edited


def number(value: Any) -> float | None:
    """Return a score's value as a number, as inspect_ai does; None where it is none."""
    if isinstance(value, bool | int | float):
        return float(value) if value == value else None
    if not isinstance(value, str):
        return None
    if value in LETTERS:
        return LETTERS[value]
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        found = float(value)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def _scores(sample: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, bool]]:
    """Yield scorer, value, prediction and whether it was edited, part by part."""
    output = _resolved(_completion(sample.get("output") or {}), sample)
    for scorer, score in (sample.get("scores") or {}).items():
        answer = score.get("answer")
        prediction = _resolved(str(answer), sample) if answer is not None else output
        value, edited = score.get("value"), bool(score.get("history"))
        if isinstance(value, Mapping):
            for part, own in value.items():
                yield f"{scorer}/{part}", own, prediction, edited
        elif isinstance(value, list):
            for place, own in enumerate(value):
                yield f"{scorer}/{place}", own, prediction, edited
        else:
            yield scorer, value, prediction, edited


def _completion(output: Mapping[str, Any]) -> str:
    if isinstance(output.get("completion"), str):
        return str(output["completion"])
    choices = output.get("choices") or [{}]
    return _text((choices[0].get("message") or {}).get("content"))


def _text(content: Any) -> str:
    """Return a message's content as text: itself, or its parts that are text."""
    if isinstance(content, list):
        return "\n".join(str(c.get("text", "")) for c in content if c.get("type") == "text")
    return str(content or "")


def _resolved(text: str, sample: Mapping[str, Any]) -> str:
    """Return a text that the log keeps once for all its places."""
    if not text.startswith(ATTACHMENT):
        return text
    return str((sample.get("attachments") or {}).get(text[len(ATTACHMENT) :], text))


def _target(sample: Mapping[str, Any]) -> str:
    target = sample.get("target", "")
    return json.dumps(target, ensure_ascii=False) if isinstance(target, list) else str(target)


def _run(
    header: Mapping[str, Any], spec: Mapping[str, Any], dataset: Mapping[str, Any]
) -> dict[str, str]:
    revision = spec.get("revision") or {}
    dirty = " (with changes that are not committed)" if revision.get("dirty") else ""
    packages = [f"{name} {at}" for name, at in (spec.get("packages") or {}).items()]
    said = {
        "status": header.get("status") or "started",
        "task": spec.get("task"),
        "task version": spec.get("task_version"),
        "model": spec.get("model"),
        "created": spec.get("created"),
        "data set": dataset.get("name"),
        "location": dataset.get("location"),
        "samples": dataset.get("samples"),
        "epochs": (spec.get("config") or {}).get("epochs"),
        "revision": f"{revision['commit']}{dirty}" if revision.get("commit") else None,
        "origin": revision.get("origin"),
        "packages": ", ".join(packages) or None,
        "run": spec.get("run_id"),
        "invalidated": "yes" if header.get("invalidated") else None,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


Samples = Iterator[tuple[str, Mapping[str, Any]]]


def _document(path: Path) -> tuple[Mapping[str, Any], Samples]:
    log = _mapping(_parsed(path.read_bytes(), str(path)), str(path))
    if "eval" not in log:
        raise InspectLogError(f"{path}: no field 'eval'; this is no log of inspect_ai")
    samples = log.get("samples") or []
    found = ((f"samples[{at}]", sample) for at, sample in enumerate(samples))
    return log, found


def _archive(path: Path) -> tuple[Mapping[str, Any], Samples]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InspectLogError(f"{path}: cut off or damaged ({error}); copy it again") from error
    members = {info.filename: info for info in archive.infolist()}
    first = next((name for name in (HEADER, START) if name in members), None)
    if first is None:
        archive.close()
        raise InspectLogError(f"{path}: neither {HEADER} nor {START} is in it; this is no log")

    def content(name: str) -> Mapping[str, Any]:
        where = f"{path}: {name}"
        return _mapping(_parsed(_member(archive, members[name], where), where), where)

    def samples() -> Samples:
        with archive:
            for name in members:
                if name.startswith("samples/") and name.endswith(".json"):
                    yield name, content(name)

    return content(first), samples()


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    """Return the bytes of a member, also where Python can't undo its compression."""
    import pyarrow as pa

    if info.compress_type != ZSTANDARD:
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise InspectLogError(f"{where}: not readable ({error})") from error
    stream = archive.fp
    assert stream is not None  # it is open as long as samples are read
    stream.seek(info.header_offset)
    # The local header repeats the name and may have more extra bytes than the directory says.
    name, extra = struct.unpack("<26xHH", stream.read(30))
    stream.seek(name + extra, 1)
    packed = stream.read(info.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
            found = bytes(unpacked.read())
    except (pa.ArrowException, OSError) as error:
        raise InspectLogError(f"{where}: not readable ({error})") from error
    if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
        raise InspectLogError(f"{where}: cut off or altered (its checksum differs)")
    return found


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        raise InspectLogError(f"{where}: not UTF-8 text at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise InspectLogError(
            f"{where}: not JSON at line {error.lineno}, column {error.colno} ({error.msg})"
        ) from error


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InspectLogError(f"{where}: a mapping is expected, got {type(value).__name__}")
    return value


def write_inspect_dataset(items: Any, path: Path | str, *, target: str = "category") -> Path:
    """Write items as a data set of inspect_ai: JSON Lines of ``id, input, target, metadata``.

    There, ``json_dataset("items.jsonl")`` of ``inspect_ai.dataset`` loads it as it is.

    Parameters
    ----------
    items
        ``item_id`` with ``text`` or ``messages`` (a list, or JSON, of mappings with ``role,
        content``), the column *target*, and if known ``choices``; every other column becomes
        metadata, ``set`` among them, which :func:`read_inspect_log` brings back.
    path
        Ends in ``.jsonl``; written whole or not at all.
    target
        The column with the right answer: a text, or a list of texts.

    Raises
    ------
    FrameError
        When a column is missing, an item has no input, a role is unknown, or an id repeats.
    """
    path = Path(path)
    if path.suffix != ".jsonl":
        raise FrameError(f"{path}: inspect_ai reads JSON Lines from a name that ends in .jsonl")
    frame = require(to_polars(items, "items"), ("item_id", target), "items")
    source = "messages" if "messages" in frame.columns else "text"
    frame = ids_unique(require(frame, (source,), "items"), "item_id", "items")
    taken = {"item_id", source, target, "choices"}
    lines = []
    for row in frame.iter_rows(named=True):
        answer = row[target]
        sample: dict[str, Any] = {
            "id": str(row["item_id"]),
            "input": _input(row, source),
            "target": [*map(str, answer)] if isinstance(answer, list) else str(answer or ""),
        }
        if row.get("choices") is not None:
            sample["choices"] = [*map(str, row["choices"])]
        more = {k: v for k, v in row.items() if k not in taken and v is not None}
        lines.append(json.dumps({**sample, "metadata": more}, ensure_ascii=False, default=str))
    write_atomically(path, "".join(f"{line}\n" for line in lines))
    return path


def _input(row: Mapping[str, Any], source: str) -> Any:
    """Return an item's input: its text, or its turns."""
    given, item = row[source], row["item_id"]
    if given is None or not len(given):
        raise FrameError(f"items: {item!r} has no input, without which inspect_ai reads no file")
    if source == "text":
        return str(given)
    try:
        turns = json.loads(given) if isinstance(given, str) else list(given)
        said = [{"role": str(t["role"]), "content": str(t["content"])} for t in turns]
    except (TypeError, KeyError, json.JSONDecodeError):
        raise FrameError(f"items: {item!r}: each message needs role and content") from None
    if strange := [t["role"] for t in said if t["role"] not in ROLES]:
        raise FrameError(f"items: {item!r}: role {strange[0]!r} is not one of {', '.join(ROLES)}")
    return said
