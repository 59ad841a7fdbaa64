"""Looks in a project: what is claimed, who looked, what was answered, what was exposed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from scalekit.display import note
from scalekit.evaluate import (
    ACCEPTED,
    USES,
    WORSE,
    Answer,
    Exposure,
    Measured,
    Registration,
    Seal,
    SealError,
    expected_optimism,
    exposure,
    scorer_digest,
    text_mark,
)
from scalekit.project.folder import who
from scalekit.project.sealing import Sealing
from scalekit.project.sets import figures
from scalekit.signing import digest

__all__ = ["Accounted", "Looking"]

EXPOSED = "evaluate/exposure.jsonl"


@dataclass(frozen=True)
class Accounted(Measured):
    """A measurement with its account: looks, what the ladder answered, vault, exposure."""

    account: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Measured, account: Sequence[str]) -> Accounted:
        """Return *found* with its account."""
        own = {f.name: getattr(found, f.name) for f in fields(Measured)}
        return cls(**own, account=tuple(account))

    def to_html(self) -> str:
        """Show the measurement, then its account."""
        return super().to_html() + "".join(map(note, self.account))


class Looking(Sealing):
    """Who looked at what is sealed, and what came of it."""

    def grant_looks(self, *, decision: str, expires: str) -> int:
        """Grant two more looks at the sealed set by a named decision; return how many are left.

        *expires* is the last day (YYYY-MM-DD, UTC) on which they can be used. A decision grants
        once.

        Raises
        ------
        SealError
            When no decision is named, it was used before, or the date is none or past.
        DecisionRefusedError
            When a policy is in force and no such decision on this seal is approved.
        """
        self._decided("extend_budget", self._current(), decision)
        self._current().ledger.grant(decision, expires, {"actor": who()})
        return self._current().looks_left

    def open_vault(
        self,
        predict: Callable[[list[str]], Sequence[str]],
        *,
        decision: str,
        model: str,
        claim: str,
    ) -> Accounted:
        """Score *predict* on the vault: once, by a decision that the ledger names.

        Returns aggregates, as for the sealed set, with its account.

        Raises
        ------
        GateClosedError
            When an earlier gate is not passed or stale.
        SealError
            When there is no vault, no decision is named, it was opened before, or *predict* fails.
        DecisionRefusedError
            When a policy is in force and no such decision on this vault is approved.
        """
        self.require_before()
        vault = self._vault()
        if vault is None:
            raise SealError(
                "there is no vault: it must be asked for when sealing, "
                'project.evaluate.seal(shares={…, "vault": 0.1})'
            )
        if not isinstance(decision, str) or not decision.strip():
            raise SealError("decision: name the decision by which the vault is opened")
        if vault.ledger.used:
            raise SealError(f"{self._vault_said()[0]} It opens once")
        self._decided("open_vault", vault, decision)
        said = {"decision": decision, **self._code()}
        found = vault.measure(predict, self._registration(claim, model, 0.0), said=said)
        return Accounted.of(found.measured, self._vault_said())

    def _decided(self, kind: str, subject: Seal, decision: str) -> None:
        """Do nothing if *decision* is approved, or no policy says who decides.

        Its subject is the seal's id.
        """
        rights = self._project.decide
        if not rights.files.in_force:
            return
        approved = [e.decision.id for e in rights.grants(kind, subject.seal_id)]
        if decision not in approved:
            standing = rights.grant(kind, subject.seal_id)  # refuses, saying why there is none
            raise SealError(
                f"decision {decision!r} is not the one that was approved: {standing.decision.id}"
            )

    def _look(
        self, predict: Callable[[list[str]], Sequence[str]], registration: Registration
    ) -> Answer:
        """Return what the sealed set answers; the same registration of a model is free."""
        current = self._current()
        known = current.answered(registration)
        return known or current.measure(predict, registration, said=self._code())

    def _account(self, attempt: int | None) -> tuple[str, ...]:
        """Say what was answered at an attempt, what looks are left, how vault and spec stand."""
        said: list[str] = []
        for answer in self._current().ledger.answers():
            if answer["attempt"] == attempt:
                said += self._told(answer)
        ledger, left = self._current().ledger, self._current().looks_left
        said.append(f"{ledger.used} of {ledger.used + left} looks at the sealed set are used.")
        return tuple(
            s for s in (*said, *self._warned(), *self._vault_said(), self.exposure().said) if s
        )

    def _told(self, answer: dict[str, Any]) -> list[str]:
        attempt, verdict = answer["attempt"], answer["answer"]
        said = f"Sealed, attempt {attempt} ({answer['claim']}): "
        if verdict == WORSE:
            return [said + f"{verdict} accepted answer; no figure is told."]
        told = figures(answer["right"], answer["n"])
        n, accuracy = answer["n"], (answer["right"] + 2) / (answer["n"] + 4)
        if verdict == ACCEPTED:
            said += f"{told}."
        else:
            said += f"{verdict} accepted answer, which is shown: attempt {answer['told']}, {told}."
        if attempt < 2:
            return [said]
        naive, step = (
            100 * expected_optimism(n, attempt, accuracy=accuracy, ladder=ladder)
            for ladder in (False, True)
        )
        return [
            said,
            f"The best of {attempt} equally good models is expected to overstate itself by "
            f"{naive:.1f} points on {n} items if every score is told, by {step:.1f} with the step "
            "of two standard errors that is asked for here.",
        ]

    def _registration(self, claim: str, model: str, margin: float) -> Registration:
        rows = self.train_items().select("item_id", "category").sort("item_id").rows()
        root = self._current().header["merkle_root"]
        return Registration(
            claim,
            model=model,
            data=digest([root, [list(r) for r in rows]]),
            protocol=scorer_digest(),
            margin=f"{margin:g}",
        )

    def _code(self) -> dict[str, str]:
        """Return who looks, with which code: the git revision, and whether files differ from it."""
        from scalekit import __version__

        said = {"actor": who(), "scalekit": __version__}
        revision = _git(self._folder.root, "rev-parse", "HEAD")
        changed = _git(self._folder.root, "status", "--porcelain") if revision else ""
        return {**said, "git": revision, "git_dirty": "yes" if changed else "no"}

    def expose(self, use: str, item_ids: Sequence[str], why: str) -> Exposure:
        """Record that handwritten examples stood in a "prompt" or in "training".

        They are burned: no later score counts them.

        Raises
        ------
        SealError
            When the use or an example is not known, or no reason is given.
        """
        known = dict(self._handwritten().select("item_id", "text").iter_rows())
        if use not in USES[:2]:
            raise SealError(f"use {use!r}: one of {', '.join(USES[:2])} is needed")
        if strange := [i for i in item_ids if i not in known]:
            raise SealError(f"there is no handwritten example {strange[0]!r}")
        if not why.strip():
            raise SealError("say where the examples were used")
        self._expose(use, [known[i] for i in item_ids], why)
        return self.exposure()

    def _expose(self, use: str, texts: Sequence[str], why: str) -> None:
        said = {"use": use, "texts": sorted(map(text_mark, texts)), "because": why}
        known = [e.data for e in self._folder.events(EXPOSED)]
        if texts and (use == "measured" or said not in known):
            self._folder.append(EXPOSED, "used", said)

    def exposure(self) -> Exposure:
        """Return how often each handwritten example was used, and which are burned."""
        uses = [e.data for e in self._folder.events(EXPOSED, "used")]
        return exposure(self._handwritten().select("item_id", "text"), uses)


def _git(folder: Path, *words: str) -> str:
    """Return what git says of the checkout around a folder; nothing where there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
