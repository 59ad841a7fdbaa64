"""A stolen project folder: every byte is searched for sealed prompts, answers and their hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import io
import json
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import polars as pl
import pytest

import scalekit as sk
from scalekit.evaluate import SealError
from scalekit.report.notebooks import execute, write_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SHARES = {"train": 0.6, "dev": 0.15, "sealed": 0.15, "vault": 0.1}
WORK = [
    "import scalekit as sk\nproject = sk.Project('.')\nproject",
    "project.evaluate.sets()",
    "run = project.train.fit(epochs=1)\nmodel = project.train.model()",
    "measured = project.evaluate.measure(\n"
    "    model.predict, model=project.train.digest(), sealed='a first look')\nmeasured",
    "measured.plot()",
    "project.evaluate.failures()",
    "project.evaluate.diagnose()",
    "project.evaluate.measure(lambda texts: 1 / 0, sealed='fails')",
    "def fails(texts):\n    if len(texts) and texts[0] not in seen:\n"
    "        raise ValueError(texts[0])\n    return ['billing'] * len(texts)\n"
    "opened = project.evaluate._opened()['text'].to_list()\n"
    "seen = {*opened, *project.specify.spec.handwritten['text']}",
    "project.evaluate.measure(fails, sealed='fails on sealed')",
    "%xmode Verbose",
    "%tb",
    "project.evaluate.open_vault(\n"
    "    model.predict, decision='D-1', model=project.train.digest(), claim='it is good')",
    "project.evaluate.verify()",
    "project.evaluate.gate()",
    "Out",
]


Stolen = tuple[Path, list[dict[str, str]], dict[str, bytes]]


@pytest.fixture(scope="module")
def once(
    tmp_path_factory: pytest.TempPathFactory, _labelled_folder: Path
) -> Iterator[tuple[Path, Path, list[dict[str, str]], dict[str, bytes]]]:
    """A folder after a whole cycle, its keys, what was sealed, and all that can be read in it."""
    root = tmp_path_factory.mktemp("stolen") / "support-triage"
    shutil.copytree(_labelled_folder, root)
    own_keys = tmp_path_factory.mktemp("keys of the stolen one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCALEKIT_KEYS", str(own_keys))
        rows = cycle(sk.Project(root))
        files = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
        read = {n: b"\0".join(set(contents(n, p.read_bytes()))) for n, p in files.items()}
        yield root, own_keys, rows, read


@pytest.fixture
def stolen(once: Any, keys: Path) -> Stolen:
    """The folder, with its keys where this test looks for them."""
    root, own_keys, rows, read = once
    shutil.copytree(own_keys, keys, dirs_exist_ok=True)
    return root, rows, read


def cycle(project: Any) -> list[dict[str, str]]:
    """Seal, work in notebooks, report; return what was sealed."""
    root = project.folder.root
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, root)
    project.label.deliver()  # digests of every example, sealed ones among them
    project.report()
    told = project.evaluate.seal(shares=SHARES)
    assert "A sealed text still stands in" in told.to_html()
    for path in root.glob("*.ipynb"):
        project.evaluate.redact(path)
    project.label.deliver()
    cells = [nbformat.v4.new_code_cell(cell) for cell in WORK]
    for cell in cells:
        cell.metadata["tags"] = ["raises-exception"]
    work = root / "work.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), work)
    write_notebook(execute(work), work)
    project.report()
    assert {one.header["set"] for one in project.evaluate._newest()} == {"sealed", "vault"}
    assert project.evaluate._vault().ledger.used == 1
    return [row for one in project.evaluate._newest() for row in one._open().to_dicts()]


def strings(value: Any) -> Iterator[str | bytes]:
    if isinstance(value, str | bytes):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list | tuple):
        if value and all(isinstance(v, str) for v in value):
            yield "".join(value)
        for inner in value:
            yield from strings(inner)


def contents(name: str, raw: bytes, depth: int = 0) -> Iterator[bytes]:
    """Everything that can be read out of a file, to any depth that tools reach."""
    yield raw
    if depth > 3:
        return
    if raw[:4] == b"PAR1":
        for column in pl.read_parquet(io.BytesIO(raw)).get_columns():
            for value in strings(column.to_list()):
                yield value.encode() if isinstance(value, str) else value
    if raw[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for inner in archive.namelist():
                yield from contents(inner, archive.read(inner), depth + 1)
    text = raw.decode("utf-8", "ignore")
    if "&" in text:
        yield html.unescape(text).encode()
    for line in [text, *text.splitlines()]:
        if line[:1] in "{[":
            try:
                parsed = json.loads(line)
            except ValueError:
                continue
            for value in strings(parsed):
                if isinstance(value, str):
                    yield from contents(name, value.encode(), depth + 1)
    for encoded in re.findall(r"[A-Za-z0-9+/_-]{40,}={0,2}", text):
        try:
            inner = base64.b64decode(encoded.replace("-", "+").replace("_", "/") + "==")
        except binascii.Error:
            continue
        yield from contents(name, inner, depth + 1)


def folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def own(root: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Sealed rows whose words do not stand in an open item as well, as common phrases do."""
    project = sk.Project(root)
    opened = [*project.evaluate._opened()["text"], *project.specify.spec.handwritten["text"]]
    said = " | ".join(map(folded, opened))
    return [row for row in rows if folded(row["text"]) not in said]


def forms(row: dict[str, str], given: str) -> Iterator[bytes]:
    """What one might hash of an item: its text in common forms, with its id and its answer."""
    text = row["text"]
    texts = {
        text, text.strip(), text.lower(), text.casefold(), folded(text), f"{text}\n",
        unicodedata.normalize("NFC", text), unicodedata.normalize("NFKC", text),
        " ".join(text.split()), re.sub(r"\s+", "", text),
    }  # fmt: skip
    dumped = {"sort_keys": True, "ensure_ascii": False, "separators": (",", ":")}
    for one in texts:
        yield one.encode()
        yield json.dumps(one, ensure_ascii=False).encode()
        yield json.dumps(one).encode()
        yield json.dumps({"text": one}, **dumped).encode()  # type: ignore[arg-type]
        for label in {row["category"], given}:
            for pair in (f"{one}{label}", f"{label}{one}", f"{one}\t{label}", f"{one},{label}"):
                yield pair.encode()
            for name in ("label", "category", "value", "answer"):
                item = {"item_id": row["item_id"], "text": one, name: label}
                yield json.dumps(item, **dumped).encode()  # type: ignore[arg-type]
            listed = [row["item_id"], one, label]
            yield json.dumps(listed, **dumped).encode()  # type: ignore[arg-type]
            yield json.dumps([listed], **dumped).encode()  # type: ignore[arg-type]


def hashed(content: bytes) -> Iterator[bytes]:
    for name in ("md5", "sha1", "sha256", "sha512"):
        yield hashlib.new(name, content).digest()
    for size in (8, 16, 20, 32, 64):
        yield hashlib.blake2b(content, digest_size=size).digest()
    yield hashlib.sha256(b"\x00" + content).digest()  # a leaf without its salt


def standing(haystack: dict[str, bytes], digests: list[bytes]) -> set[str]:
    """Files in which the first eight bytes of a digest stand: raw, or in hex of either case."""
    names, parts = list(haystack), list(haystack.values())
    ends = np.cumsum([len(part) + 1 for part in parts])
    whole = b"\0".join(parts)
    raw = {d[:8] for d in digests}
    hexed = {d.hex()[:16].encode() for d in digests}
    places = [*_places(whole, raw), *_places(whole.lower(), hexed)]
    return {names[int(np.searchsorted(ends, at, side="right"))] for at in places}


def _places(content: bytes, needles: set[bytes]) -> list[int]:
    """Return where one of many needles of one length, 8 bytes or more, stands in content."""
    size, low = len(next(iter(needles))), np.uint64(2**24 - 1)
    first = np.unique(np.frombuffer(b"".join(n[:8] for n in needles), dtype=np.uint64))
    may = np.zeros(2**24, dtype=bool)
    may[first & low] = True
    found = []
    for shift in range(8):
        count = (len(content) - shift) // 8
        view = np.frombuffer(content, dtype=np.uint64, count=count, offset=shift)
        near = np.flatnonzero(may[view & low])
        for place in near[np.isin(view[near], first)]:
            at = shift + 8 * int(place)
            if content[at : at + size] in needles:
                found.append(at)
    return found


def test_no_sealed_prompt_stands_in_any_byte(stolen: Stolen) -> None:
    root, rows, haystack = stolen
    mine = own(root, rows)
    assert len(mine) > 100
    assert len(rows) - len(mine) < 5
    told = {name: folded(said.decode("utf-8", "ignore")) for name, said in haystack.items()}
    for row in mine:
        raw, words = row["text"].encode(), folded(row["text"])
        holding = [n for n, said in haystack.items() if raw in said]
        holding += [n for n, said in told.items() if words in said]
        assert not holding, (row["item_id"], holding)


def test_no_unsalted_hash_of_a_sealed_item_stands_there(stolen: Stolen) -> None:
    root, rows, haystack = stolen
    given = dict(pl.read_parquet(root / "audit/items.parquet").select("item_id", "category").rows())
    digests = [
        mark
        for row in rows
        for form in forms(row, str(given.get(row["item_id"])))
        for mark in hashed(form)
    ]
    assert standing(haystack, digests) == set()
    # The same search does find what is there: the digests of the examples that may be trained on.
    opened = pl.read_parquet(root / "evaluate/split.parquet").filter(set="train").head(3)
    known = [
        mark
        for row in opened.select("item_id", "text", "category").to_dicts()
        for form in forms(row, row["category"])
        for mark in hashed(form)
    ]
    assert "label/manifest.parquet" in standing(haystack, known)


def test_what_does_stay_are_ids_votes_and_answers_without_a_text(stolen: Stolen) -> None:
    # docs/seal.md says so: an id and its votes lead to an answer, but to no prompt.
    root, rows, _ = stolen
    votes = dict(sk.Project(root).label.consensus().select("item_id", "value").iter_rows())
    assert all(votes[row["item_id"]] == row["category"] for row in rows)
    items = pl.read_parquet(root / "audit/items.parquet")
    kept = items.filter(pl.col("item_id").is_in([row["item_id"] for row in rows]))
    assert len(kept) == len(rows)
    told = {c for c in kept.columns if kept[c].null_count() < len(kept)}
    assert told <= {"item_id", "batch_id", "source", "tier", "category", "kept"}


def test_the_folder_without_the_keys_opens_nothing(stolen: Stolen, keys: Path) -> None:
    root, _, _ = stolen
    shutil.rmtree(keys)
    project = sk.Project(root)
    for use in (
        lambda: project.evaluate._current().item_ids(),
        lambda: project.evaluate._current().holds(["parcel"]),
        lambda: project.evaluate._current().contaminated(project.evaluate.train_items()),
        lambda: project.evaluate.find_sealed(root),
        lambda: project.evaluate._vault().item_ids(),
    ):
        with pytest.raises(SealError, match="the key of this seal is not here"):
            use()


def test_a_manifest_delivered_before_the_seal_goes_and_is_asked_for_again(labelled: Any) -> None:
    labelled.label.deliver()
    labelled.evaluate.seal()
    assert not (labelled.folder / "label/manifest.parquet").exists()
    with pytest.raises(ValueError, match="deliver again"):
        labelled.train.fit(epochs=1)
    labelled.label.deliver()
    sealed = set(labelled.evaluate._current().item_ids())
    assert not sealed & set(pl.read_parquet(labelled.folder / "label/manifest.parquet")["item_id"])
