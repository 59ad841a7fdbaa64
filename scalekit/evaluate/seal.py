"""The seal: an encrypted test set that answers in aggregates, and counts who asked.

The blob is AES-256-GCM over canonical JSON lines, one random salt an item, padded to 64 KiB so
that its size says little. The header is public and authenticated with the blob: counts by category
and a Merkle root over the salted items, so that an item can later be shown to have been sealed.
The 32-byte key lies outside the project; sub-keys come from it by HKDF. Whoever has folder and key
has everything: a seal is discipline with evidence, not a lock against its own holder.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scalekit.evaluate.contamination import LEAK_COVER, covered
from scalekit.evaluate.measure import Measured, measure
from scalekit.evaluate.overlap import N
from scalekit.frames import ids_unique, require, to_polars, write_atomically
from scalekit.journal import Journal, read
from scalekit.shingling import windows, with_windows
from scalekit.signing import canonical, keys_folder, merkle_root, private_file
from scalekit.text import folded_words

__all__ = ["Seal", "SealError", "look_budget", "seal"]

PAD = 65_536
FORMAT = 2
SMALLEST_CELL = 20  # smaller groups are merged: their scores would tell of single items


class SealError(RuntimeError):
    """The seal can't be made or opened, or no looks are left; the message says what to do."""


def look_budget(items: int) -> int:
    """Return how often a sealed set of this size may be looked at: 3, 5 from 200, 10 from 500."""
    return 3 if items < 200 else 5 if items < 500 else 10


def _sub_key(master: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"scalekit {purpose}".encode()).derive(master)


def _encrypt(key: bytes, payload: bytes, bound_to: bytes) -> bytes:
    framed = len(payload).to_bytes(8, "big") + payload
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key).encrypt(nonce, framed + b"\0" * (-len(framed) % PAD), bound_to)


def _decrypt(key: bytes, blob: bytes, bound_to: bytes, path: Path) -> bytes:
    try:
        framed = AESGCM(key).decrypt(blob[:12], blob[12:], bound_to)
    except (InvalidTag, ValueError) as error:
        raise SealError(
            f"{path}: the seal does not open: it was changed, or this is not its key"
        ) from error
    return framed[8 : 8 + int.from_bytes(framed[:8], "big")]


def seal(items: Any, folder: Path, *, project: Path) -> Seal:
    """Encrypt test items and return the seal.

    Parameters
    ----------
    items
        ``item_id, text, category``.
    folder
        Where ``<id>.bin``, ``<id>.tags`` and ``<id>.json`` are written.
    project
        The project folder, in which the key must not lie.

    Raises
    ------
    SealError
        When there are no items.
    KeyFileError
        When the key would lie in the project or in a git checkout.
    """
    table = require(to_polars(items, "items"), ("item_id", "text", "category"), "items to seal")
    table = ids_unique(table, "item_id", "items to seal")
    if table.is_empty():
        raise SealError("there is nothing to seal: the sealed set of the split is empty")
    seal_id = secrets.token_hex(6)
    master = private_file(_key_path(seal_id), secrets.token_bytes(32), outside=project)
    lines = [
        canonical({"salt": secrets.token_hex(16), **row}, compose=False)
        for row in table.select("item_id", "text", "category").to_dicts()
    ]
    header = {
        "format": FORMAT,
        "seal": seal_id,
        "items": len(lines),
        "categories": dict(sorted(Counter(table["category"]).items())),
        "merkle_root": merkle_root(lines),
        "looks": look_budget(len(lines)),
    }
    bound_to = canonical(header)
    tags = _tags(table["text"].to_list(), _sub_key(master, "decontaminate"))
    body = _encrypt(_sub_key(master, "items"), b"\n".join(lines), bound_to)
    sizes = pl.Series([min(N, tag["words"]) for tag in tags], dtype=pl.Int64)
    codes = {n: windows(table["text"].filter(sizes == n), n) for n in sorted(set(sizes)) if n}
    looked_up = {"items": tags, "windows": {str(n): c.tolist() for n, c in codes.items()}}
    index = _encrypt(_sub_key(master, "tags"), canonical(looked_up), bound_to)
    write_atomically(folder / f"{seal_id}.bin", body)
    write_atomically(folder / f"{seal_id}.tags", index)
    # The header last: a seal without it does not exist.
    write_atomically(folder / f"{seal_id}.json", json.dumps(header, indent=1) + "\n")
    return Seal(folder, header)


def _key_path(seal_id: str) -> Path:
    return keys_folder() / f"seal-{seal_id}.key"


def _windows(folded: Sequence[str], n: int) -> list[str]:
    return [" ".join(folded[at : at + n]) for at in range(len(folded) - n + 1)] if n else []


def _tag(key: bytes, window: str) -> str:
    return hmac.new(key, window.encode(), hashlib.sha256).hexdigest()[:16]


def _tags(texts: Sequence[str], key: bytes) -> list[dict[str, Any]]:
    """Keyed tags of each item's windows, in order: they say nothing without the key."""
    found = []
    for text in texts:
        folded = folded_words(text)
        tags = [_tag(key, w) for w in _windows(folded, min(N, len(folded)))]
        found.append({"words": len(folded), "different": len(set(folded)), "tags": tags})
    return found


@dataclass(frozen=True)
class Seal:
    """A sealed test set."""

    folder: Path
    header: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, seal_id: str) -> Seal:
        """Load the header of a seal.

        Raises
        ------
        SealError
            When there is no such seal, or a newer version made it.
        """
        path = folder / f"{seal_id}.json"
        if not path.is_file():
            raise SealError(f"{path}: there is no such seal")
        header = json.loads(path.read_text())
        if header.get("format", 0) > FORMAT:
            raise SealError(f"{path}: made by a newer scalekit (format {header['format']}); update")
        if header.get("format", 0) < FORMAT:
            raise SealError(f"{path}: made by an older scalekit, in a form not read any more")
        return cls(folder, header)

    @property
    def seal_id(self) -> str:
        """The seal's name."""
        return str(self.header["seal"])

    @property
    def ledger(self) -> Path:
        """The journal of looks."""
        return self.folder / f"{self.seal_id}.looks.jsonl"

    @property
    def looks_left(self) -> int:
        """How many looks remain."""
        used = sum(e.kind == "look" for e in read(self.ledger)) if self.ledger.exists() else 0
        return int(self.header["looks"]) - used

    def _master(self) -> bytes:
        path = _key_path(self.seal_id)
        if not path.is_file():
            raise SealError(
                f"{path}: the key of this seal is not here. Put it there, or set SCALEKIT_KEYS to "
                "the folder that holds it"
            )
        return path.read_bytes()

    def _open(self) -> pl.DataFrame:
        """Decrypt the items: never handed out, only scored."""
        path = self.folder / f"{self.seal_id}.bin"
        key = _sub_key(self._master(), "items")
        body = _decrypt(key, path.read_bytes(), canonical(dict(self.header)), path)
        return pl.DataFrame([json.loads(line) for line in body.split(b"\n")]).drop("salt")

    def item_ids(self) -> list[str]:
        """Return the ids of the sealed items (the key is needed)."""
        return self._open()["item_id"].to_list()

    def holds(self, texts: Sequence[str]) -> list[bool]:
        """Say of each text whether a sealed item stands in it, word for word."""
        sealed = [f" {_joined(t)} " for t in self._open()["text"]]
        return [any(s in f" {_joined(t)} " for s in sealed) for t in texts]

    def measure(
        self, predict: Callable[[list[str]], Sequence[str]], *, purpose: str, actor: str
    ) -> Measured:
        """Score *predict* and return aggregates: overall, and categories of 20 items or more.

        The look is charged on the ledger, on disk, before anything is scored: a crash counts.

        Raises
        ------
        SealError
            When no looks are left, the key is not there, or the seal was changed.
        """
        items = self._open()
        with Journal(self.ledger) as ledger:
            if self.looks_left < 1:
                raise SealError(
                    f"all {self.header['looks']} looks at seal {self.seal_id} are used. "
                    "Collect new items and seal a new set"
                )
            ledger.append("look", {"purpose": purpose, "actor": actor, "seal": self.seal_id})
        found = measure(predict, items.with_columns(pl.lit("sealed").alias("set")))
        with Journal(self.ledger) as ledger:
            whole = found.sets.row(0, named=True)
            ledger.append("answer", {"right": whole["right"], "n": whole["n"]})
        return found.aggregates(SMALLEST_CELL)

    def contaminated(self, train: Any) -> pl.DataFrame:
        """Return training rows that hold a sealed item: ``item_id, batch_id, cover``.

        The rule is that of tier LEAK in :func:`~scalekit.evaluate.contamination`. Keyed tags are
        compared; the items are not decrypted, and which one was hit is not said.
        """
        rows = require(to_polars(train, "train"), ("item_id", "text"), "training rows")
        path = self.folder / f"{self.seal_id}.tags"
        master, bound_to = self._master(), canonical(dict(self.header))
        index = json.loads(_decrypt(_sub_key(master, "tags"), path.read_bytes(), bound_to, path))
        items = index["items"]
        # Most rows share no window with any sealed item: they need no keyed tags.
        rows = rows.filter(_may_hold(rows["text"], index["windows"]))
        where: dict[str, list[tuple[int, int]]] = {}
        for number, item in enumerate(items):
            for place, tag in enumerate(item["tags"]):
                where.setdefault(tag, []).append((number, place))
        key = _sub_key(master, "decontaminate")
        sizes = {min(N, item["words"]) for item in items}
        batches = rows["batch_id"] if "batch_id" in rows.columns else [""] * len(rows)
        found = []
        for row, text, batch in zip(rows["item_id"], rows["text"], batches, strict=True):
            folded = folded_words(text)
            hits: dict[int, set[int]] = {}
            for window in {w for n in sizes for w in _windows(folded, n)}:
                for number, place in where.get(_tag(key, window), ()):
                    hits.setdefault(number, set()).add(place)
            cover = max((_cover(items[n], p, len(folded)) for n, p in hits.items()), default=0.0)
            if cover >= LEAK_COVER:
                found.append((row, batch, cover))
        schema = {"item_id": pl.String, "batch_id": pl.String, "cover": pl.Float64}
        return pl.DataFrame(found, schema=schema, orient="row")


def _may_hold(texts: pl.Series, codes: Mapping[str, Sequence[int]]) -> pl.Series:
    """Say which texts may have one of these windows (by number of words)."""
    wanted = {int(n): np.array(found, dtype=np.uint64) for n, found in codes.items()}
    return pl.Series(with_windows(texts, wanted), dtype=pl.Boolean)


def _joined(text: str) -> str:
    return " ".join(folded_words(text))


def _cover(item: Mapping[str, Any], places: set[int], row_words: int) -> float:
    size = int(item["words"])
    if size < N and row_words > size and item["different"] < 4:
        return 0.0  # a stub such as "thank you" counts only when the row says nothing else
    return covered(places, min(N, size)) / size
