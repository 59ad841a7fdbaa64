"""The project's ledger of decisions and its policy, as files; shared by verbs and gates."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scalekit.decide import (
    DecisionRefusedError,
    Entry,
    Ledger,
    Policy,
    PolicyError,
    Waiver,
    fold,
    granted,
    moment,
    public_keys,
    read_policy,
    refusal,
    verify_ledger,
    waiver_of,
)
from scalekit.decide.records import payload_type
from scalekit.frames import write_atomically
from scalekit.journal import Journal, JournalError, read, signed_head
from scalekit.project.folder import Folder
from scalekit.signing import SignatureError, Signer, canonical, keys_folder, open_envelope

__all__ = ["LEDGER", "Decisions"]

LEDGER = "decisions.jsonl"
POLICY = "policy.toml"
SIGNATURE = "policy.dsse.json"
HEAD = "decisions.head.json"
POLICY_TYPE = payload_type("policy")


class Decisions:
    """``decisions.jsonl``, ``policy.toml`` and its signature in one project's folder.

    Nothing is taken from them before they were held against each other: a policy that was edited
    or is not signed decides nothing, and neither does a ledger that was cut off or rewritten.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.path = folder / LEDGER

    def now(self) -> str:
        """Return the time at which grants are looked at."""
        return datetime.now(UTC).isoformat()

    @property
    def in_force(self) -> bool:
        """Whether this project has a policy, or should have one."""
        return any((self._folder / name).is_file() for name in (LEDGER, SIGNATURE, HEAD))

    def ledger(self) -> Ledger:
        """Return what stands.

        Raises
        ------
        JournalError
            When a line of the ledger was changed.
        DecisionRefusedError
            When it is not the one whose head was kept on this machine.
        """
        if self.in_force and not self.path.is_file():
            raise DecisionRefusedError(
                f"{self.path}: the ledger is gone, but what belongs to it is there. Nothing is "
                "decided before it is back from a copy, and nobody can waive that"
            )
        events = read(self.path) if self.path.exists() else []
        found = fold(events)
        kept = _head_path(events[0].hash) if events else None
        if kept is not None and kept.is_file():
            head = json.loads(kept.read_text())
            checked = verify_ledger(self.path, head, public_keys(found))
            if not checked:
                raise DecisionRefusedError(
                    f"{self.path}: the ledger is {checked.verdict}: {checked.reason}. Nothing in "
                    "it counts, and nobody can waive that: bring it back from a copy, or, if this "
                    f"is an older copy of the project, take {kept} away"
                )
        return found

    def policy(self, ledger: Ledger) -> Policy:
        """Return the policy in force, once ``policy.toml`` and its signature are it.

        Raises
        ------
        DecisionRefusedError
            When there is none, it was edited, or it is not signed by a tier-3 key.
        """
        policy, path = ledger.policy, self._folder / POLICY
        try:
            written = read_policy(path)
        except PolicyError as error:
            raise DecisionRefusedError(f"{error}. Until it is back, nothing is decided") from error
        if written.digest != policy.digest:
            raise DecisionRefusedError(
                f"{path}: edited since version {policy.version} was signed; an edited policy "
                "decides nothing. Ask for the change with project.decide.change_policy(reason=…), "
                "or put it back with project.decide.restore_policy()"
            )
        sealed = self._folder / SIGNATURE
        keys = [p.public for name, p in policy.people.items() if policy.may_sign(name, 3)]
        try:
            if open_envelope(json.loads(sealed.read_text()), keys, POLICY_TYPE) == policy.plain:
                return policy
            why = "it is the signature of another policy"
        except (OSError, ValueError, SignatureError) as error:
            why = str(error)
        raise DecisionRefusedError(
            f"{sealed}: the policy is not signed by a tier-3 key ({why}); an unsigned policy "
            "decides nothing. project.decide.restore_policy() writes it from the ledger"
        )

    def write_policy(self) -> Policy:
        """Write ``policy.toml`` and the signature over it as they are in force."""
        ledger = self.ledger()
        policy = ledger.policy
        sealed = {
            "payloadType": POLICY_TYPE,
            "payload": base64.b64encode(canonical(policy.plain)).decode(),
            "signatures": [dict(ledger.policies[-1].signature)],
        }
        write_atomically(self._folder / POLICY, policy.to_toml())
        write_atomically(self._folder / SIGNATURE, json.dumps(sealed, indent=1) + "\n")
        return policy

    def record(self, records: Sequence[tuple[str, Mapping[str, Any]]], signer: Signer) -> None:
        """Write records, all of them or none; then sign the ledger's head and keep it outside too.

        Raises
        ------
        DecisionRefusedError
            When one of them would not count; nothing is written.
        """
        self._check(self.ledger(), records)
        with Journal(self.path) as journal:
            # Somebody may have written between the two: the second look is the one that counts.
            self._check(fold(read(self.path)), records)
            journal.extend(records)
        self._keep_head(signer)

    def _check(self, ledger: Ledger, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for kind, data in records:
            if why := refusal(ledger, kind, data, self.now()):
                raise DecisionRefusedError(why)

    def _keep_head(self, signer: Signer) -> None:
        head = json.dumps(signed_head(self.path, signer), indent=1) + "\n"
        first = read(self.path)[0].hash
        write_atomically(self._folder / HEAD, head)
        write_atomically(_head_path(first), head)

    def head(self) -> dict[str, Any] | None:
        """Return the head that was signed last on this machine, or None."""
        events = read(self.path) if self.path.exists() else []
        path = _head_path(events[0].hash) if events else None
        if path is None or not path.is_file():
            return None
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept

    # --- what gates ask ---------------------------------------------------------------------------

    def granted(self, kind: str, subject: Any) -> Entry:
        """Return the approved decision; raises DecisionRefusedError as :func:`granted` does."""
        ledger = self.ledger()
        self.policy(ledger)
        return granted(ledger, kind, subject, self.now())

    def waiver(self, stage: str, checks: Sequence[Mapping[str, str]]) -> Waiver | None:
        """Return the waiver that covers a closed gate; none while the policy does not count."""
        if not self.in_force:
            return None
        try:
            ledger = self.ledger()
            self.policy(ledger)
        except (DecisionRefusedError, JournalError):
            return None  # a broken ledger and an edited policy waive nothing
        return waiver_of(ledger, stage, checks, self.now())

    def undecided_thresholds(self) -> dict[str, tuple[str, str]]:
        """Return thresholds that are not what was decided: name to (is, was decided).

        Decided is what the policy was signed with, and what a later decision changed.
        """
        if not self.in_force:
            return {}
        ledger = self.ledger()
        if not ledger.policies:
            return {}
        decided = dict(ledger.policy.thresholds)
        changes = [
            (e.approved_at, e.decision.subject)
            for e in ledger.entries.values()
            if e.decision.kind == "change_threshold"
            and e.outcome(self.now()).status == "approved"
            and isinstance(e.decision.subject, Mapping)
        ]
        for _, subject in sorted(changes, key=lambda change: moment(change[0])):
            decided[str(subject.get("threshold"))] = str(subject.get("value"))
        present = thresholds_of(self._folder)
        return {
            name: (present[name], said)
            for name, said in decided.items()
            if name in present and present[name] != said
        }


def thresholds_of(folder: Folder) -> dict[str, str]:
    """Return the thresholds that count in a project, as text."""
    return {name: str(value) for name, value in asdict(folder.thresholds).items()}


def _head_path(first: str) -> Path:
    """Return where the head of the ledger with this first event is kept outside the project."""
    return keys_folder() / f"decisions-{first[:16]}.head.json"
