"""The writer of a governed run's record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalekit.frames import write_atomically, write_parquet
from scalekit.govern.record.segments import Columns, SegmentWriter
from scalekit.govern.record.store import RunningStore
from scalekit.journal import Journal, read
from scalekit.signing import Signer, merkle_root

__all__ = ["Checkpoint", "RecordError", "Recorder"]

Array = np.ndarray[Any, Any]
FORMAT = 3
CHAIN, HEADER, EXAMPLES, SEALED = "chain.jsonl", "run.json", "examples.parquet", "sealed.dsse.json"
RELEASED = "checkpoint.safetensors"
PREDICATE = "https://scalekit.dev/governed-run/v1"
PAYLOAD = "application/vnd.in-toto+json"


class RecordError(RuntimeError):
    """A record can't be written or read; the message says where and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete state on disk: files by stem, and what was said of it."""

    update: int
    folder: Path
    info: dict[str, Any]

    def tensors(self, stem: str) -> dict[str, Any]:
        """Return the tensors of one file."""
        from safetensors.torch import load_file

        return load_file(self.folder / f"{stem}.safetensors")

    def arrays(self, stem: str) -> dict[str, Array]:
        """Return the arrays of one file."""
        from safetensors.numpy import load_file

        return dict(load_file(self.folder / f"{stem}.safetensors"))


class Recorder:
    """Writes one run's record; made by :meth:`create` or, after a stop, by :meth:`resume`.

    Everything that is acknowledged is on disk and in the chain at the next :meth:`checkpoint`;
    after a stop at any moment the run goes on from the last checkpoint, and what was written past
    it is superseded: it stays, and the chain says so.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], state: Checkpoint | None) -> None:
        self.folder, self.header, self.state = folder, dict(header), state
        self.open = True
        self._chain = Journal(folder / CHAIN)
        events = read(folder / CHAIN)
        written = sum(e.kind == "segment" for e in events)
        depths, k = len(self.header["depths"]), self.header["sketch"]
        self.store: RunningStore | None = None
        if self.header["store"]:
            self.store = RunningStore(self.header["rows"], depths, k, seed=self.header["seed"])
            if state is not None:
                kept = state.arrays("store")
                self.store = RunningStore.restore(kept, seed=self.header["seed"])
        if state is not None or written:
            at = state.update if state is not None else 0
            self._chain.append("resumed", {"update": at})
        self._segments = SegmentWriter(
            folder, self._chain, written=written, rows=self.header["rows_per_segment"]
        )

    @classmethod
    def create(
        cls, folder: Path, examples: pl.DataFrame, depths: Sequence[str], *, sketch: int,
        commitment: str, about: Mapping[str, Any], ledger: bool = True, store: bool = True,
        seed: int = 0, rows_per_segment: int = 8192,
    ) -> Recorder:  # fmt: skip
        """Begin a record in *folder*.

        Parameters
        ----------
        examples
            The manifest's table.
        depths
            Names of the depth groups.
        sketch
            Numbers of the projection.
        commitment
            Digest of the secret that the projection is drawn from.
        about
            What else the header says: settings, digests.
        ledger, store
            One row for each update and example; one running sum for each example.

        Raises
        ------
        RecordError
            When there is a record already.
        """
        if (folder / HEADER).exists():
            raise RecordError(
                f"{folder}: holds a record already; resume it, or take another folder"
            )
        rows = int(examples["example"].max()) + 1  # type: ignore[arg-type]
        header = {
            "format": FORMAT, "depths": list(depths), "sketch": sketch, "commitment": commitment,
            "rows": rows, "ledger": ledger, "store": store, "seed": seed,
            "rows_per_segment": rows_per_segment, **about,
        }  # fmt: skip
        write_parquet(examples, folder / EXAMPLES)
        write_atomically(folder / HEADER, json.dumps(header, indent=1) + "\n")
        made = cls(folder, header, None)
        about_files = {n: _sha256(folder / n) for n in (HEADER, EXAMPLES)}
        made._chain.append("begun", about_files)
        return made

    @classmethod
    def resume(cls, folder: Path) -> Recorder:
        """Go on with the record in *folder*; ``state`` is the checkpoint it stands at, or None.

        Raises
        ------
        RecordError
            When there is no record, or it is sealed.
        """
        if not (folder / HEADER).is_file():
            raise RecordError(f"{folder}: no record to resume")
        header = read_header(folder)
        events = read(folder / CHAIN)
        if any(e.kind == "sealed" for e in events):
            raise RecordError(f"{folder}: this run is sealed; begin a new one")
        return cls(folder, header, last_checkpoint(folder))

    def update(self, number: int, micros: Sequence[Columns], totals: Mapping[str, Any]) -> None:
        """Record one update.

        Parameters
        ----------
        number
            Of the update, from 1.
        micros
            For each micro-batch: ``example`` int64 [B], ``loss`` [B], ``mask``, ``raw_norm``,
            ``applied_norm`` [B, L], ``sketch`` [B, L, k].
        totals
            Numbers and arrays [L] or [L, k] that belong to the update.
        """
        rate = float(totals["rate"])
        for micro, columns in enumerate(micros):
            count = len(columns["example"])
            sketch = columns.get("sketch")
            if self.store is not None and sketch is not None:
                own = sketch.astype(np.float32, copy=False)
                self.store.add(columns["example"], own, rate, update=number)
            if self.header["ledger"]:
                row: Columns = {
                    "update": np.full(count, number, np.uint32),
                    "micro": np.full(count, micro, np.uint16),
                    "example": columns["example"].astype(np.uint32),
                    "loss": columns["loss"].astype(np.float32),
                    "mask": columns["mask"].astype(np.float16),
                    "raw_norm": columns["raw_norm"].astype(np.float32),
                    "applied_norm": columns["applied_norm"].astype(np.float32),
                }
                self._segments.add("ledger", row)
        said = {n: np.asarray(v, np.float32).reshape(1, -1) for n, v in totals.items()}
        examples = sum(len(c["example"]) for c in micros)
        first = {
            "update": np.array([number], np.uint32),
            "examples": np.array([examples], np.uint32),
        }
        flat = {n: v[:, 0] if v.shape[1] == 1 else v for n, v in said.items()}
        self._segments.add("updates", {**first, **flat})

    def checkpoint(
        self, update: int, tensors: Mapping[str, Mapping[str, Any]], info: Mapping[str, Any]
    ) -> Checkpoint:
        """Put the state on disk: *tensors* by file stem, and *info*; then say so in the chain.

        The store is added. Returns once all of it, and every row before, is on disk.
        """
        from safetensors.numpy import save as save_arrays
        from safetensors.torch import save

        self._segments.flush()
        name = f"checkpoints/{update:08d}"
        folder = self.folder / name
        files = {f"{stem}.safetensors": save(dict(own)) for stem, own in tensors.items()}
        if self.store is not None:
            files["store.safetensors"] = save_arrays(self.store.tensors())
        files["info.json"] = (json.dumps({**info, "update": update}) + "\n").encode()
        for file, raw in files.items():
            write_atomically(folder / file, raw)
        digests = {file: hashlib.sha256(raw).hexdigest() for file, raw in files.items()}
        self._chain.append("checkpoint", {"update": update, "folder": name, "files": digests})
        return Checkpoint(update, folder, dict(info))

    def forget(self, keep: Sequence[int]) -> None:
        """Delete all checkpoints but those at *keep*; the chain keeps their digests."""
        kept = {f"{update:08d}" for update in keep}
        for folder in (self.folder / "checkpoints").iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)

    def go_back(self, update: int) -> Checkpoint:
        """Go back to the checkpoint at *update*; what came after is superseded, not deleted."""
        self._segments.flush()
        self._chain.append("resumed", {"update": update})
        folder = self.folder / f"checkpoints/{update:08d}"
        state = _open(folder)
        if self.store is not None:
            self.store = RunningStore.restore(state.arrays("store"), seed=self.header["seed"])
        return state

    def seal(
        self, weights: bytes, *, nonce: bytes, signer: Signer, about: Mapping[str, Any],
        others: Sequence[str] = (),
    ) -> dict[str, Any]:  # fmt: skip
        """Release the *weights* (a safetensors file): write, reveal the nonce, sign, close.

        *others* are the chain heads of other processes of the same run.

        Returns
        -------
        The in-toto statement that was signed.
        """
        self._segments.flush()
        write_atomically(self.folder / RELEASED, weights)
        if self.store is not None:
            from safetensors.numpy import save as save_arrays

            write_atomically(self.folder / "store.safetensors", save_arrays(self.store.tensors()))
        files = [n for n in (RELEASED, "store.safetensors") if (self.folder / n).is_file()]
        digests = {n: _sha256(self.folder / n) for n in files}
        head = self._chain.append("sealed", {"files": digests, "nonce": nonce.hex()}).hash
        subjects = [*digests.items(), (CHAIN, head)]
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subjects],
            "predicateType": PREDICATE,
            "predicate": {
                **about,
                "heads": merkle_root(h.encode() for h in [head, *others]),
                "nonce": nonce.hex(),
            },
        }
        envelope = signer.envelope(statement, PAYLOAD)
        write_atomically(self.folder / SEALED, json.dumps(envelope, indent=1) + "\n")
        self.close()
        return statement

    def close(self) -> None:
        """Write what is held and give the files back."""
        self.open = False
        try:
            self._segments.close()
        finally:
            self._chain.close()


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint of the record whose files are all there as recorded, or None."""
    past: list[dict[str, Any]] = []
    for event in read(folder / CHAIN):
        if event.kind == "checkpoint":
            past.append(event.data)
        elif event.kind == "resumed":
            past = [c for c in past if c["update"] <= event.data["update"]]
    for said in reversed(past):
        home = folder / said["folder"]
        whole = all(
            (home / n).is_file() and _sha256(home / n) == d for n, d in said["files"].items()
        )
        if whole:
            return _open(home)
    return None


def read_header(folder: Path) -> dict[str, Any]:
    """Return the header of the record in *folder*.

    Raises
    ------
    RecordError
        When the record is of another format.
    """
    header: dict[str, Any] = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    if header["format"] != FORMAT:
        raise RecordError(
            f"{folder}: a record of format {header['format']}, and this version reads format "
            f"{FORMAT}; read it with the version that wrote it"
        )
    return header


def _open(folder: Path) -> Checkpoint:
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    return Checkpoint(info["update"], folder, info)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
