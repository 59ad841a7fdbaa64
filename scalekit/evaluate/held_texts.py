"""Search the files of a folder for given texts: plain, in tables, in archives, in notebooks.

Folded words are compared, so that case, punctuation and escapes hide nothing.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import html
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.evaluate.sealed_tags import folded
from scalekit.frames import write_atomically

__all__ = ["SHORTEST", "holders", "redact_notebook", "texts_held"]

SHORTEST = 5
"""Words that a text must have to be looked for: fewer stand in files by chance."""
ENCODED = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
TAKEN_OUT = "[taken out: this showed a sealed item]"


def holders(root: Path, texts: Sequence[str]) -> pl.DataFrame:
    """Return the files under *root* in which texts stand: ``file, texts`` (how many).

    Read are Parquet (all columns), zip and gzip archives, notebooks and JSON (every string, base64
    too), and any other file as it is and as HTML. Texts under :data:`SHORTEST` words are not
    looked for.
    """
    wanted = _wanted(texts)
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        hits = _held(_texts(path.name, path.read_bytes()), wanted)
        if hits:
            found.append({"file": str(path.relative_to(root)), "texts": len(hits)})
    return pl.DataFrame(found, schema={"file": pl.String, "texts": pl.Int64})


def texts_held(path: Path, texts: Sequence[str]) -> list[bool]:
    """Return for each text whether it stands in the file; read as by :func:`holders`."""
    hits = _held(_texts(path.name, path.read_bytes()), _wanted(texts))
    return [folded(text) in hits for text in texts]


def redact_notebook(path: Path, texts: Sequence[str]) -> int:
    """Take those outputs out of an executed notebook in which texts stand; return how many.

    What was typed into its cells stays.
    """
    wanted = _wanted(texts)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    gone = 0
    for cell in notebook.get("cells", []):
        for place, output in enumerate(cell.get("outputs", [])):
            if _held(_texts("output.json", json.dumps(output).encode()), wanted):
                shown = {"output_type": "stream", "name": "stdout", "text": [TAKEN_OUT]}
                cell["outputs"][place] = shown
                gone += 1
    if gone:
        write_atomically(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return gone


def _wanted(texts: Sequence[str]) -> Mapping[tuple[str, ...], list[str]]:
    """Return the folded texts that are looked for, by their first words."""
    wanted = defaultdict(list)
    for text in set(map(folded, texts)):
        words = text.split()
        if len(words) >= SHORTEST:
            wanted[tuple(words[:SHORTEST])].append(text)
    return wanted


def _held(parts: Iterable[str], wanted: Mapping[tuple[str, ...], list[str]]) -> set[str]:
    """Return those of the wanted texts that stand in any part."""
    found: set[str] = set()
    for said in parts:
        part = folded(said)
        words = part.split()
        runs = zip(*(words[i:] for i in range(SHORTEST)), strict=False)
        for first in set(runs) & wanted.keys():
            found.update(text for text in wanted[first] if text in part)
    return found


def _texts(name: str, content: bytes) -> Iterator[str]:
    """Return everything in a file that can be read as text; a broken archive as it is."""
    try:
        inner = list(_inside(name, content))
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, pl.exceptions.PolarsError):
        inner = []
    for part, held in inner:
        yield from _texts(part, held)
    if not inner:
        yield from _plain(name, content)


def _inside(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Return what a table or an archive holds, as files."""
    if content.startswith(b"PAR1"):
        rows = pl.read_parquet(io.BytesIO(content)).to_dicts()
        yield "rows.json", json.dumps(rows, default=str, ensure_ascii=False).encode()
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part in archive.namelist():
                yield part, archive.read(part)
    elif content.startswith(b"\x1f\x8b"):
        yield name.removesuffix(".gz"), gzip.decompress(content)


def _plain(name: str, content: bytes) -> Iterator[str]:
    plain = content.decode("utf-8", "ignore")
    yield plain
    if "&" in plain:
        yield html.unescape(plain)
    for encoded in ENCODED.findall(plain):
        try:
            yield base64.b64decode(encoded, validate=True).decode("utf-8", "ignore")
        except binascii.Error:
            continue
    for line in [plain] if name.endswith((".json", ".ipynb")) else plain.splitlines():
        if line.lstrip()[:1] in ("{", "["):
            try:
                yield from _strings(json.loads(line))
            except ValueError:
                continue


def _strings(value: Any) -> Iterator[str]:
    """Return the strings of parsed JSON; lists of lines, as notebooks have them, joined too."""
    if isinstance(value, str):
        yield html.unescape(value)
        if value.lstrip()[:1] in ("{", "["):
            try:
                yield from _strings(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, list):
        if value and all(isinstance(v, str) for v in value):
            yield html.unescape("".join(value))
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
