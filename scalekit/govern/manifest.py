"""The manifest: what may be trained on, at which depth, from whom, and how noisy; signed.

An in-toto Statement v1 in a DSSE envelope, whose subject is a Parquet table with one row for each
example. The text is not in it: its digest is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.figures import figure
from scalekit.frames import ids_unique, require, to_polars, write_atomically, write_parquet
from scalekit.signing import SignatureError, Signer, canonical, open_envelope, public_key_id

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["STATEMENT", "Manifest", "ManifestError", "content_digest"]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://scalekit.dev/depth-manifest/v1"
PAYLOAD = "application/vnd.in-toto+json"
TABLE, ENVELOPE = "manifest.parquet", "manifest.dsse.json"
COLUMNS = (
    "item_id", "text", "label", "batch_id", "annotators", "rubric", "low", "high", "noise",
)  # fmt: skip


class ManifestError(ValueError):
    """The manifest is not what was signed, or an example is not what the manifest says."""


def content_digest(item_id: str, text: str, label: str) -> bytes:
    """Return the SHA-256 of the canonical JSON of an example, 32 bytes."""
    content = {"item_id": item_id, "text": text, "label": label}
    return hashlib.sha256(canonical(content, compose=False)).digest()


@dataclass(frozen=True)
class Manifest(View):
    """A verified manifest.

    ``table`` has ``example`` (row number), ``item_id, digest, label, batch_id, annotators, rubric,
    low, high, noise``; ``about`` is the predicate that was signed; ``digest`` names the envelope.
    """

    table: pl.DataFrame
    about: Mapping[str, Any]
    digest: str
    signed_by: str

    @classmethod
    def write(
        cls, folder: Path, examples: Any, *, noise: Mapping[str, str], signer: Signer,
        about: Mapping[str, Any] | None = None,
    ) -> Manifest:  # fmt: skip
        """Write ``manifest.parquet`` and ``manifest.dsse.json`` into *folder* and load them.

        Parameters
        ----------
        examples
            ``item_id, text, label, batch_id, annotators`` (list of names), ``rubric, low, high``
            (depth profile) and ``noise``: the probability that the label is wrong, null if unknown.
        noise
            The measured label noise of the whole, in text: ``estimate, source, n``.
        about
            What else is signed, such as digests of spec and journals.

        Raises
        ------
        FrameError
            When a column is missing or an id repeats.
        ManifestError
            When there is no example, or a profile is no interval.
        """
        given = require(to_polars(examples, "examples"), COLUMNS, "examples")
        given = ids_unique(given, "item_id", "examples").sort("item_id")
        wrong = given.filter(
            ~((pl.col("low") >= 0) & (pl.col("low") < pl.col("high")) & (pl.col("high") <= 1))
        )
        if given.is_empty() or len(wrong):
            why = f"{wrong['item_id'][0]}: needed is 0 <= low < high <= 1" if len(wrong) else "none"
            raise ManifestError(f"no manifest was written; examples: {why}")
        keys = given.select("item_id", "text", "label").iter_rows()
        digests = pl.Series("digest", [content_digest(*row) for row in keys], dtype=pl.Binary)
        rows = given.with_row_index("example").with_columns(digests).select(
            pl.col("example").cast(pl.UInt32), "item_id", "digest",
            *(pl.col(c).cast(t) for c, t in TYPES.items()),
        )  # fmt: skip
        write_parquet(rows, folder / TABLE)
        profiles = rows.group_by("rubric", "low", "high").len().sort("rubric", "low", "high")
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": TABLE, "digest": {"sha256": _sha256(folder / TABLE)}}],
            "predicateType": PREDICATE,
            "predicate": {
                "examples": len(rows),
                "profiles": [
                    {**r, "low": f"{r['low']:.4f}", "high": f"{r['high']:.4f}"}
                    for r in profiles.to_dicts()
                ],
                "noise": dict(noise),
                **(about or {}),
            },
        }
        envelope = signer.envelope(statement, PAYLOAD)
        write_atomically(folder / ENVELOPE, json.dumps(envelope, indent=1) + "\n")
        return cls.load(folder, [signer.public])

    @classmethod
    def load(cls, folder: Path, keys: Iterable[bytes]) -> Manifest:
        """Read the manifest in *folder*, if one of the raw public *keys* signed it.

        Raises
        ------
        ManifestError
            When a file is missing, malformed, signed by another key, or changed since.
        """
        folder, trusted = Path(folder), list(keys)
        for name in (ENVELOPE, TABLE):
            if not (folder / name).is_file():
                raise ManifestError(
                    f"{folder / name}: missing; deliver again: project.label.deliver()"
                )
        try:
            raw = (folder / ENVELOPE).read_bytes()
            statement = open_envelope(json.loads(raw), trusted, PAYLOAD)
            subject, about = statement["subject"][0]["digest"]["sha256"], statement["predicate"]
        except SignatureError as error:
            raise ManifestError(f"{folder / ENVELOPE}: {error}") from None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ManifestError(f"{folder / ENVELOPE}: not a manifest ({error!r})") from None
        if _sha256(folder / TABLE) != subject:
            raise ManifestError(
                f"{folder / TABLE}: changed after it was signed; bring it back from a copy, or "
                "deliver again"
            )
        named = next((public_key_id(k) for k in trusted), "")
        return cls(pl.read_parquet(folder / TABLE), about, hashlib.sha256(raw).hexdigest(), named)

    @property
    def noise(self) -> float | None:
        """The measured label noise, or None when nothing was measured."""
        estimate = self.about["noise"].get("estimate", "")
        return float(estimate) if estimate else None

    @cached_property
    def profiles(self) -> np.ndarray[Any, Any]:
        """Depth profiles, float32 [N, 2], by row number."""
        if len(self.table) == 0:
            return np.zeros((0, 2), np.float32)
        out = np.ones((int(self.table["example"].max()) + 1, 2), np.float32)  # type: ignore[arg-type]
        out[self.table["example"].to_numpy()] = self.table.select("low", "high").to_numpy()
        return out

    @cached_property
    def _places(self) -> dict[str, int]:
        return dict(self.table.select("item_id", "example").iter_rows())

    @cached_property
    def _digests(self) -> dict[str, bytes]:
        return dict(self.table.select("item_id", "digest").iter_rows())

    @cached_property
    def _labels(self) -> dict[str, str]:
        return dict(self.table.select("item_id", "label").iter_rows())

    def rows(self, item_ids: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the row numbers of examples, int64 [B].

        Raises
        ------
        ManifestError
            When one is not in the manifest.
        """
        unknown = [i for i in item_ids if i not in self._places]
        if unknown:
            raise ManifestError(
                f"{counted(len(unknown), 'example')} not in the manifest: {_few(unknown)}; only "
                "what Label delivered may be trained on"
            )
        return np.array([self._places[i] for i in item_ids], dtype=np.int64)

    def check(
        self, item_ids: Sequence[str], texts: Sequence[str], labels: Sequence[str] | None = None
    ) -> None:
        """Compare the content of examples with what was signed.

        *labels* are taken from the manifest when not given.

        Raises
        ------
        ManifestError
            When one is not in the manifest, or was altered.
        """
        self.rows(item_ids)
        given = labels if labels is not None else [self._labels[i] for i in item_ids]
        rows = zip(item_ids, texts, given, strict=True)
        edited = [
            i for i, text, label in rows if content_digest(i, text, label) != self._digests[i]
        ]
        if edited:
            raise ManifestError(
                f"{counted(len(edited), 'example')} altered after signing: {_few(edited)}; bring "
                "its text and label back, or deliver again"
            )

    def require_whole(self, items: Any) -> None:
        """Compare all examples with *items* (``item_id, text, label``): none missing, none altered.

        Raises
        ------
        ManifestError
            Naming the first that are.
        """
        given = require(to_polars(items, "items"), ("item_id", "text", "label"), "items")
        there = set(given["item_id"])
        missing = [i for i in self._places if i not in there]
        if missing:
            raise ManifestError(
                f"{counted(len(missing), 'example')} of the manifest missing: {_few(missing)}"
            )
        self.check(*(given[c].to_list() for c in ("item_id", "text", "label")))

    def select(self, item_ids: Collection[str]) -> Manifest:
        """Return the manifest of these examples alone; rows keep their number."""
        kept = self.table.filter(pl.col("item_id").is_in(list(item_ids)))
        return Manifest(kept, self.about, self.digest, self.signed_by)

    def plot(self) -> go.Figure:
        """Return the number of examples by depth profile."""
        import plotly.graph_objects as go

        rows = self._by_profile()
        names = [f"{r['rubric']} {r['from']:.2f} to {r['to']:.2f}" for r in rows.to_dicts()]
        drawn = figure("Examples by depth profile", x="examples")
        bars = go.Bar(x=rows["examples"].to_list(), y=names, orientation="h", name="examples")
        return drawn.add_trace(bars)

    def _by_profile(self) -> pl.DataFrame:
        grouped = self.table.group_by(
            "rubric", pl.col("low").alias("from"), pl.col("high").alias("to")
        )
        return grouped.agg(pl.len().alias("examples")).sort("from", "to", "rubric")

    def __str__(self) -> str:
        """Return what is in it, for a terminal."""
        return f"{self._said()}\n{self._by_profile()}"

    def to_html(self) -> str:
        """Show what is in it, how noisy it is, and who signed it."""
        return block("Manifest", note(self._said()), table(self._by_profile()))

    def _said(self) -> str:
        noise = self.about["noise"]
        said = f"Label noise not measured ({noise.get('source', 'none')})."
        if self.noise is not None:
            said = f"Label noise {self.noise:.2%}, from {noise['source']} on {noise['n']} items."
        people = self.table["annotators"].explode().n_unique()
        counts = f"{counted(len(self.table), 'example')}, {counted(people, 'annotator')}."
        return f"{counts} {said} Signed by key {self.signed_by}."


TYPES: dict[str, Any] = {
    "label": pl.String, "batch_id": pl.String, "annotators": pl.List(pl.String),
    "rubric": pl.String, "low": pl.Float32, "high": pl.Float32, "noise": pl.Float32,
}  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(str, ids[:3])) + (" …" if len(ids) > 3 else "")
