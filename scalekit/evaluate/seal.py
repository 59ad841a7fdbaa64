"""The seal: an encrypted test set that answers in aggregates, and counts who asked.

The blob is AES-256-GCM over canonical JSON lines, one random salt an item, padded to 64 KiB so
that its size says little. The header is public and authenticated with the blob: counts by category
and a Merkle root over the salted items, so that an item can later be shown to have been sealed. It
also names size and digest of each file, so that what is wrong with a file can be said. The 32-byte
key lies outside the project; sub-keys come from it by HKDF. Whoever has folder and key has
everything: a seal is discipline with evidence, not a lock against its own holder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.evaluate.concealment import concealed
from scalekit.evaluate.looks import ACCEPTED, WORSE, Ledger, Registration, climbed
from scalekit.evaluate.measure import Measured, measure
from scalekit.evaluate.seal_header import FORMAT, budget, complete, header_mac
from scalekit.evaluate.sealed_files import file_fault, marked, unmarked
from scalekit.evaluate.sealed_keys import (
    SealError,
    decrypt,
    encrypt,
    held_look_up_key,
    key_check,
    key_path,
    master_key,
    sub_key,
)
from scalekit.evaluate.sealed_tags import folded, rows_holding
from scalekit.frames import require, texts_given, to_polars, write_atomically
from scalekit.signing import canonical

__all__ = ["Answer", "Seal"]

SMALLEST_CELL = 20  # smaller groups are merged: their scores would tell of single items


@dataclass(frozen=True)
class Answer:
    """What a look came back with: ``verdict`` of the ladder, and the figures that may be told.

    They are those of this model when it is accepted, of the best accepted one when there is no
    measurable change from it, and none when it is measurably worse.
    """

    verdict: str
    attempt: int
    measured: Measured


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
            When there is no such seal, its header is not readable, or another version made it.
        """
        path = folder / f"{seal_id}.json"
        if not path.is_file():
            raise SealError(f"{path}: there is no such seal")
        try:
            header = json.loads(path.read_text(encoding="utf-8"))
            made = int(header["format"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SealError(
                f"{path}: not the header of a seal; bring it back from a copy"
            ) from None
        if made > FORMAT:
            raise SealError(f"{path}: made by a newer scalekit (format {made}); update")
        if made < FORMAT:
            raise SealError(f"{path}: made by an older scalekit, in a form not read any more")
        if not complete(header):
            raise SealError(f"{path}: the seal does not open: its header lacks what every seal has")
        return cls(folder, header)

    @property
    def seal_id(self) -> str:
        """The seal's name."""
        return str(self.header["seal"])

    @property
    def ledger(self) -> Ledger:
        """The journal of looks."""
        return Ledger(
            self.folder / f"{self.seal_id}.looks.jsonl",
            self.seal_id,
            int(self.header["looks"]),
            key_path(self.seal_id).with_suffix(".head"),
        )

    @property
    def looks_left(self) -> int:
        """How many looks remain."""
        return self.ledger.left()

    def fault(self, ending: str) -> str:
        """Say what is wrong with the header or a file ("bin", "tags"), or nothing.

        Raises
        ------
        SealError
            When the key is not there.
        """
        return self.open_fault(ending) or self.keyed_fault()

    def open_fault(self, ending: str) -> str:
        """Say what is wrong, as far as it shows without the key."""
        header, at = self.header, self.folder / f"{self.seal_id}.json"
        counted = sum(header["categories"].values())
        if counted != header["items"]:
            return (
                f"{at}: the seal does not open: its header was changed: the categories make "
                f"{counted} items, not {header['items']}"
            )
        looks = budget(header["set"], counted)
        if header["looks"] != looks:
            return (
                f"{at}: the seal does not open: its header was changed: {counted} items of a "
                f"{header['set']} set give {looks} looks, not {header['looks']}"
            )
        noted = header["files"][ending]
        return file_fault(self.folder / f"{self.seal_id}.{ending}", self.seal_id, ending, noted)

    def keyed_fault(self) -> str:
        """Say what is wrong with the header or the key; raises as :meth:`fault` does."""
        at = self.folder / f"{self.seal_id}.json"
        if key_check(held_look_up_key(self.seal_id)) != self.header.get("key_check"):
            return (
                f"{key_path(self.seal_id)}: the seal does not open: this is not its key, or the "
                "header names another"
            )
        if header_mac(held_look_up_key(self.seal_id), self.header) != self.header.get("mac"):
            return f"{at}: the seal does not open: its header was changed"
        return ""

    def _content(self, ending: str) -> bytes:
        """Return what a file holds; no frame that raises has a key or an item."""
        if fault := self.fault(ending):
            raise SealError(fault)
        found = self._decrypted(ending)
        if found is None:
            two = ending == "bin" and str(self.header["key"]).startswith("two")
            why = "the two shares do not make its key" if two else "it is not what was sealed"
            at = self.folder / f"{self.seal_id}.{ending}"
            raise SealError(f"{at}: the seal does not open: {why}")
        return found

    def _decrypted(self, ending: str) -> bytes | None:
        held = held_look_up_key if ending == "tags" else master_key
        key = sub_key(held(self.seal_id), "tags" if ending == "tags" else "bin")
        blob = (self.folder / f"{self.seal_id}.{ending}").read_bytes()
        return decrypt(key, unmarked(blob), self._bound_to)

    @property
    def _bound_to(self) -> bytes:
        return canonical({k: v for k, v in self.header.items() if k not in ("files", "mac")})

    def _open(self) -> pl.DataFrame:
        """Decrypt the items: never handed out, only scored."""
        lines = self._content("bin").split(b"\n")
        return pl.DataFrame([json.loads(line) for line in lines]).drop("salt")

    def item_ids(self) -> list[str]:
        """Return the ids of the sealed items (the key is needed)."""
        return self._open()["item_id"].to_list()

    def holds(self, texts: Sequence[str]) -> list[bool]:
        """Say of each text whether a sealed item stands in it, word for word."""
        sealed = [folded(t) for t in self._open()["text"]]
        return [any(s in text for s in sealed) for text in map(folded, texts)]

    def measure(
        self,
        predict: Callable[[list[str]], Sequence[str]],
        registration: Registration,
        *,
        said: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Score *predict* and return aggregates: overall, and categories of 20 items or more.

        The registration goes into the ledger, and the look is charged, on disk, before anything is
        scored: a crash counts. What is answered is a rung of a ladder
        (:func:`scalekit.evaluate.looks.climbed`); the raw figures are kept encrypted.

        Parameters
        ----------
        predict
            From a list of texts to as many categories. What it prints, displays or logs meanwhile
            goes nowhere.
        registration
            What is claimed, of what.
        said
            What else the ledger keeps of this look, such as who and the code's revision.

        Raises
        ------
        SealError
            When no looks are left, the key is not there, something was changed, or *predict*
            failed: then without its message and traceback, which may hold an item's text.
        """
        self._content("bin")
        for best in self._accepted()[-1:]:
            self._predictions(best)  # what can't be compared must cost no look
        attempt = self.ledger.charge(registration, said or {})
        scored: list[int] = []
        answer, failed = concealed(lambda: self._answer(predict, attempt, registration, scored))
        if failed and scored:
            raise SealError(
                f"seal {self.seal_id}: the answer could not be kept ({failed}); the look is "
                "charged. See whether the disk is full, then register again"
            )
        if failed:
            raise SealError(
                f"predict failed with {failed} while sealed items were before it. Its message and "
                "traceback are not shown: they may hold an item's text. The look is charged. Try "
                "it where items may be seen: project.evaluate.measure(predict)"
            )
        return self._answered(answer)

    def answered(self, registration: Registration) -> Answer | None:
        """Return what was answered to the same registration before, if it names a model."""
        if not registration.model:
            return None
        known = [a for a in self.ledger.answers() if a["registration"] == registration.digest]
        return self._answered(known[-1]) if known else None

    def _answer(
        self,
        predict: Callable[[list[str]], Sequence[str]],
        attempt: int,
        registration: Registration,
        scored: list[int],
    ) -> dict[str, Any]:
        """Score, keep the predictions encrypted, and write down what may be told."""
        found = self._scores(predict)
        scored.append(attempt)
        verdict, told, figures = ACCEPTED, attempt, found
        for best in self._accepted()[-1:]:
            before = self._scores(_replay(self._predictions(best)))
            both = found.results.join(before.results, on="item_id", suffix="_before")
            ladder = both["score"].to_list(), both["score_before"].to_list()
            verdict = climbed(*ladder, float(registration.margin))
            if verdict != ACCEPTED:
                told, figures = (0 if verdict == WORSE else best), before
        blob = self._kept(attempt, found.results["prediction"].to_list())
        right, n = figures.sets.select("right", "n").row(0)
        body = {
            "answer": verdict,
            "told": told,
            **({"right": int(right), "n": int(n)} if told else {}),
            "kept": {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()},
        }
        self.ledger.answer(attempt, body)
        return {"attempt": attempt, **body}

    def _scores(self, predict: Callable[[list[str]], Sequence[str]]) -> Measured:
        items = self._open().with_columns(pl.lit(self.header["set"]).alias("set"))
        return measure(predict, items)

    def _answered(self, answer: Mapping[str, Any]) -> Answer:
        verdict, attempt, told = answer["answer"], int(answer["attempt"]), int(answer["told"])
        whole = self._scores(_replay(self._predictions(told or attempt)))
        found = whole.aggregates(SMALLEST_CELL)
        if not told:
            found = Measured(found.sets.clear(), found.categories.clear(), found.results)
        return Answer(str(verdict), attempt, found)

    def _accepted(self) -> list[int]:
        answers = self.ledger.answers()
        return [int(a["attempt"]) for a in answers if a["answer"] == ACCEPTED]

    def _kept(self, attempt: int, predictions: Sequence[str]) -> bytes:
        """Keep predictions encrypted, for the ladder; return the file's bytes."""
        key = sub_key(master_key(self.seal_id), "attempts")
        content = canonical(list(predictions), compose=False)
        sealed = encrypt(key, content, self._bound_to + b" attempt %d" % attempt)
        blob = marked(self.seal_id, f"a{attempt:03d}", sealed)
        write_atomically(self._attempt_path(attempt), blob)
        return blob

    def _predictions(self, attempt: int) -> list[str]:
        if fault := self.attempt_fault(attempt):
            raise SealError(fault)
        key = sub_key(master_key(self.seal_id), "attempts")
        blob = self._attempt_path(attempt).read_bytes()
        found = decrypt(key, unmarked(blob), self._bound_to + b" attempt %d" % attempt)
        return list(json.loads(found or b"[]"))

    def attempt_fault(self, attempt: int) -> str:
        """Say what is wrong with what an attempt left, or nothing."""
        kept = next(a["kept"] for a in self.ledger.answers() if a["attempt"] == attempt)
        path = self._attempt_path(attempt)
        return file_fault(path, self.seal_id, f"a{attempt:03d}", kept)

    def _attempt_path(self, attempt: int) -> Path:
        return self.folder / f"{self.seal_id}.attempt-{attempt}.bin"

    def contaminated(self, train: Any) -> pl.DataFrame:
        """Return training rows that hold a sealed item: ``item_id, batch_id, cover``.

        The rule is that of tier LEAK in :func:`~scalekit.evaluate.contamination`. Keyed tags are
        compared; the items are not decrypted, and which one was hit is not said.
        """
        rows = require(to_polars(train, "train"), ("item_id", "text"), "training rows")
        rows = texts_given(rows, "training rows")
        key = sub_key(held_look_up_key(self.seal_id), "decontaminate")
        return rows_holding(rows, json.loads(self._content("tags")), key)


def _replay(predictions: Sequence[str]) -> Callable[[list[str]], list[str]]:
    """Return a predict that gives these answers, in order."""
    left = iter(predictions)
    return lambda texts: [next(left) for _ in texts]
