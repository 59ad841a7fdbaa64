"""Looks at a sealed set: the claim comes first; a budget, a ladder, and a ledger of all of it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from scalekit.evaluate.measure import Measured
from scalekit.evaluate.sealed_keys import SealError
from scalekit.frames import StorageError, write_atomically
from scalekit.journal import Event, Journal, JournalError, read
from scalekit.signing import digest

__all__ = [
    "ACCEPTED",
    "NEARLY",
    "NO_CHANGE",
    "WORSE",
    "Ledger",
    "Registration",
    "climbed",
    "expected_optimism",
    "look_budget",
    "scorer_digest",
]

ACCEPTED = "accepted"
NO_CHANGE = "no measurable change from best"
WORSE = "measurably worse than best"
STEP = 2.0
"""Standard errors of the paired gain that a new answer must exceed (Blum & Hardt 2015)."""
GRANT = 2
NEARLY = 0.6
"""Share of the looks from which on it is said that they run out."""


def look_budget(items: int) -> int:
    """Return how often a sealed set of this size may be looked at: 3, 5 from 200, 10 from 500."""
    return 3 if items < 200 else 5 if items < 500 else 10


def scorer_digest() -> str:
    """Return the digest of the code that scores, without its comments and docstrings."""
    tree = ast.parse(Path(str(inspect.getsourcefile(Measured))).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        first = getattr(node, "body", None)
        if isinstance(first, list) and first and isinstance(first[0], ast.Expr):
            first[0].value = ast.Constant(None)
    return digest(ast.unparse(tree))


@dataclass(frozen=True)
class Registration:
    """What is claimed before a look: of which model, taught with which data, scored how.

    ``margin`` is the least gain over the best accepted answer that counts as one, in decimal text;
    ``model``, ``data`` and ``protocol`` are digests.
    """

    claim: str
    model: str = ""
    data: str = ""
    protocol: str = ""
    metric: str = "accuracy"
    margin: str = "0"

    def __post_init__(self) -> None:
        """Refuse a claim that is not written, or a margin that is no share.

        Raises
        ------
        SealError
            Saying what is needed.
        """
        if not isinstance(self.claim, str) or not self.claim.strip():
            raise SealError(
                f"claim {self.claim!r}: write what you claim in words; no look was charged"
            )
        with contextlib.suppress(ValueError):
            if 0 <= float(self.margin) < 1:
                return
        raise SealError(
            f"margin {self.margin!r}: a share from 0 to 1 is needed, such as 0.02; no look was "
            "charged"
        )

    @property
    def digest(self) -> str:
        """The identity of the registration."""
        return digest(asdict(self))


def climbed(new: Sequence[float], best: Sequence[float], margin: float = 0.0) -> str:
    """Say whether *new* scores are surely better than the *best* ones on the same items.

    Better is a mean gain above :data:`STEP` standard errors of the paired differences and not
    under *margin*; worse, a loss beyond as many. (The parameter-free Ladder of Blum & Hardt 2015,
    arXiv 1502.04585, section 4, with two standard errors in place of one.)
    """
    gains = np.asarray(new, dtype=float) - np.asarray(best, dtype=float)
    gain = float(gains.mean())
    error = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    if gain > STEP * error and gain >= margin and gain > 0:
        return ACCEPTED
    return WORSE if gain < -STEP * error else NO_CHANGE


def expected_optimism(
    items: int,
    looks: int,
    *,
    accuracy: float = 0.75,
    correlation: float = 0.5,
    ladder: bool = False,
) -> float:
    """Return by how much the best of several equally good models is expected to overstate them.

    The errors of a model in the mean over *items* are taken as normal, with the *correlation* that
    models have item by item; what they share cancels out of the choice. With *ladder* the best is
    replaced only past :data:`STEP` standard errors of the difference.

    Returns
    -------
    float
        In units of accuracy: 0.02 is two points.
    """
    if items < 1 or looks < 2:
        return 0.0
    z = np.linspace(-9.0, 9.0, 3601)
    width = float(z[1] - z[0])
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = np.cumsum(density) * width
    step = STEP * math.sqrt(2) if ladder else 0.0
    best = density
    for _ in range(looks - 1):
        # It stays if the next is not a step above it; else the next takes its place.
        stays = np.interp(z + step, z, below, right=1.0)
        reached = np.interp(z - step, z, np.cumsum(best) * width, left=0.0)
        best = best * stays + density * reached
    spread = math.sqrt(accuracy * (1 - accuracy) * (1 - correlation) / items)
    return float((z * best).sum() * width) * spread


@dataclass(frozen=True)
class Ledger:
    """The journal of looks at one seal, in the order of its numbers, whatever the clocks said.

    ``head`` is a file beside the key, outside the project, that keeps number and hash of the last
    event: a ledger that was cut or written anew does not fit it.
    """

    path: Path
    seal_id: str
    budget: int
    head: Path

    def events(self) -> list[Event]:
        """Return the events.

        Raises
        ------
        SealError
            When the ledger was edited, shortened, cut or rewritten: which, and where.
        """
        try:
            found = read(self.path) if self.path.exists() else []
        except JournalError as error:
            raise SealError(str(error)) from error
        if fault := self._against_head(found):
            raise SealError(fault)
        return found

    def _against_head(self, found: Sequence[Event]) -> str:
        if not self.head.is_file():
            return ""
        try:
            kept = json.loads(self.head.read_text(encoding="utf-8"))
            count, mark = int(kept["events"]), str(kept["hash"])
        except (ValueError, KeyError, TypeError):
            return f"{self.head}: not readable; bring it back from a copy"
        if count > len(found):
            return (
                f"{self.path}: the ledger was cut: beside the key {count} events are noted, here "
                f"are {len(found)}. Restore it from a copy"
            )
        if count and found[count - 1].hash != mark:
            return (
                f"{self.path}: the ledger was rewritten: its event {count - 1} is not the one "
                "noted beside the key. Restore it from a copy"
            )
        return ""

    def _append(self, kind: str, said: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Write what *said* returns while nobody else can write, and note the new end."""
        try:
            with Journal(self.path) as journal:
                data = said()
                event = journal.append(kind, data)
        except JournalError as error:
            raise SealError(str(error)) from error
        kept = json.dumps({"events": event.seq + 1, "hash": event.hash})
        # Where keys can only be read the chain alone protects the ledger.
        with contextlib.suppress(StorageError):
            write_atomically(self.head, kept + "\n")
        return data

    @property
    def used(self) -> int:
        """How many looks were charged."""
        return sum(e.kind == "look" for e in self.events())

    def left(self, today: date | None = None) -> int:
        """Return how many looks remain: of the budget, and of grants that have not run out."""
        today = today or datetime.now(UTC).date()
        own = self.budget
        granted: list[tuple[date, list[int]]] = []
        for event in self.events():
            if event.kind == "grant":
                granted.append((date.fromisoformat(event.data["expires"]), [event.data["looks"]]))
            elif event.kind == "look" and own:
                own -= 1
            elif event.kind == "look":
                on = datetime.fromisoformat(event.at).date()
                paying = sorted(g for g in granted if g[0] >= on and g[1][0])
                if paying:
                    paying[0][1][0] -= 1
        return own + sum(looks[0] for until, looks in granted if until >= today)

    def charge(self, registration: Registration, said: Mapping[str, Any]) -> int:
        """Register a claim, take one look for it, and return the number of the attempt.

        Raises
        ------
        SealError
            When no looks are left.
        """

        def look() -> dict[str, Any]:
            left = self.left()
            if left < 1:
                raise SealError(
                    f"all {self.used} looks at seal {self.seal_id} are used. Collect new items and "
                    "seal a new set; or have two more granted by a decision: "
                    "project.evaluate.grant_looks(decision=…, expires=…)"
                )
            return {
                "attempt": self.used + 1,
                "registration": registration.digest,
                **asdict(registration),
                **said,
                "seal": self.seal_id,
                "looks_left": left - 1,
            }

        return int(self._append("look", look)["attempt"])

    def answer(self, attempt: int, body: Mapping[str, Any]) -> None:
        """Write down what was answered."""
        self._append("answer", lambda: {"attempt": attempt, **body})

    def grant(self, decision: str, expires: str, said: Mapping[str, Any]) -> None:
        """Extend the budget by two looks until *expires* (YYYY-MM-DD), by a named decision.

        Raises
        ------
        SealError
            When no decision is named, it was used before, or the date is none or past.
        """
        if not isinstance(decision, str) or not decision.strip():
            raise SealError("decision: name the decision that grants more looks")
        try:
            until = date.fromisoformat(expires)
        except (TypeError, ValueError):
            raise SealError(f"expires {expires!r}: a date is needed, YYYY-MM-DD") from None
        if until < datetime.now(UTC).date():
            raise SealError(f"expires {expires}: this date is past")

        def granting() -> dict[str, Any]:
            if any(e.kind == "grant" and e.data["decision"] == decision for e in self.events()):
                raise SealError(f"decision {decision!r} has granted its looks already")
            return {"decision": decision, "looks": GRANT, "expires": until.isoformat(), **said}

        self._append("grant", granting)

    def answers(self) -> list[dict[str, Any]]:
        """Return the answers, each with what was registered for it."""
        asked, found = {}, []
        for event in self.events():
            if event.kind == "look":
                asked[event.data["attempt"]] = {**event.data, "at": event.at}
            elif event.kind == "answer":
                found.append({**asked[event.data["attempt"]], **event.data})
        return found
