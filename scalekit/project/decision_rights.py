"""Decision rights of a project: its policy; asking for decisions, and signing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from scalekit.decide import (
    Closing,
    Decision,
    DecisionRefusedError,
    Entry,
    Ledger,
    Policy,
    Retiering,
    Vote,
    decision_table,
    default_policy,
    gate_subject,
    moment,
    read_policy,
    signed_record,
)
from scalekit.decide.outcome import Cast
from scalekit.decide.records import GRANTS, LOOKS, new_id, record_of, to_minute
from scalekit.display import View, block, note, table
from scalekit.frames import write_atomically
from scalekit.project.decisions import POLICY, Decisions, thresholds_of
from scalekit.project.folder import who
from scalekit.signing import SIGNER, Signer, public_key_id

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["DecisionRights", "DecisionStanding"]

OPTIONS = {
    "waive_gate": ("let the next stage start", "mend what failed first"),
    "extend_budget": ("grant two more looks", "seal new items"),
    "open_vault": ("open it", "leave it closed"),
    "exclude_annotator": ("leave the labels out", "keep them"),
}
"""What is at least considered, by kind: what is asked for comes first."""

Act = tuple[str, Mapping[str, Any], Mapping[str, str]]
"""The kind of a record, what it says, and what stands beside it in the event."""


@dataclass(frozen=True)
class DecisionStanding(View):
    """A decision as it stands: its id, tier, status and why."""

    entry: Entry
    now: str

    @property
    def id(self) -> str:
        """The decision's name."""
        return self.entry.decision.id

    @property
    def status(self) -> str:
        """Pending, approved, rejected, overturned, expired, closed, void or superseded."""
        return self.entry.outcome(self.now).status

    @property
    def tier(self) -> int:
        """The tier that decides it."""
        return self.entry.outcome(self.now).tier

    @property
    def table(self) -> pl.DataFrame:
        """One row: the decision and where it stands."""
        ledger = Ledger(entries={self.id: self.entry})
        return decision_table(ledger, self.now)

    def to_html(self) -> str:
        """Show the decision, why it went to its tier, and where it stands."""
        stands = self.entry.outcome(self.now)
        rows = self.table.select("kind", "about", "choice", "reason", "by")
        ends = self.entry.decision.expires
        said = f"tier {stands.tier}: {self.entry.route.reason}"
        until = note(f"Until {to_minute(ends)}.") if ends and stands.status == "approved" else ""
        status = f"{stands.status}: {stands.why}"
        return block(f"Decision {self.id}", status, table(rows), note(f"Went to {said}."), until)


class DecisionRights(View):
    """The policy of a project, and what a person may do under it: ask, sign, send up, take back.

    You are whoever holds your key: the policy names people and their public keys. Others sign on
    their machines with their own; ``acting`` takes another key that lies on this one.
    """

    def __init__(self, project: Project, signer: Signer | None = None) -> None:
        self._project = project
        self._folder = project.folder
        self._given = signer
        self.files = Decisions(project.folder)

    @property
    def _signer(self) -> Signer:
        return self._given or Signer.load(SIGNER, outside=self._folder.root)

    def acting(self, signer: Signer) -> Self:
        """Return the same verbs for the holder of another key."""
        return type(self)(self._project, signer)

    @property
    def me(self) -> str:
        """Your name in the policy.

        Raises
        ------
        DecisionRefusedError
            When your key is nobody's in it.
        """
        signer = self._signer
        name = self.policy.name_of(signer.public)
        if not name:
            raise DecisionRefusedError(
                f"your key ({public_key_id(signer.public)}) is not in the policy. Give this public "
                f"key to who may change it: {signer.public.hex()}"
            )
        return name

    @property
    def policy(self) -> Policy:
        """The policy in force.

        Raises
        ------
        DecisionRefusedError
            When there is none, or ``policy.toml`` was edited or is not signed.
        """
        return self.files.policy(self.files.ledger())

    # --- the policy -------------------------------------------------------------------------------

    def found(
        self,
        name: str = "",
        others: Mapping[str, str] | None = None,
        *,
        team: Sequence[str] = (),
        tpm: Sequence[str] = (),
        director: Sequence[str] = (),
    ) -> Policy:
        """Sign the first policy with your own key, with the usual rules; once for a project.

        The thresholds as they are now are part of it: another value is a decision from here on.

        Parameters
        ----------
        name
            What you are called; by default your login.
        others
            Public keys of others, in hex, by name.
        team, tpm, director
            Who has each role; a role given to nobody is everybody's. Alone you have all three, and
            what needs tier 2 or 3 stays unapproved until a second person has joined.

        Raises
        ------
        DecisionRefusedError
            When a policy is in force already, or you are not a director in this one.
        PolicyError
            When a role names somebody without a key, or a key is none.
        """
        if self.files.ledger().policies:
            raise DecisionRefusedError(
                "a policy is in force already; ask for a change: project.decide.change_policy()"
            )
        name = name or who()
        keys = {name: self._signer.public}
        keys |= {other: _public(other, key) for other, key in (others or {}).items()}
        made = default_policy(
            keys,
            team=tuple(team),
            tpm=tuple(tpm),
            director=tuple(director),
            thresholds=thresholds_of(self._folder),
        )
        self._write(("policy", made.plain, {"by": name}))
        return self.files.write_policy()

    def change_policy(self, policy: Policy | None = None, *, reason: str) -> DecisionStanding:
        """Ask for another policy: the edited ``policy.toml``, or *policy*. It is tier 3.

        The file is put back to what is in force; once the change is signed it is written anew. Its
        version is set to the next.

        Raises
        ------
        DecisionRefusedError
            When nothing is changed, or you may not ask.
        PolicyError
            When the file is no policy.
        """
        ledger = self.files.ledger()
        old, path = ledger.policy, self._folder / POLICY
        new = policy or read_policy(path)
        new = new.model_copy(update={"version": old.version + 1})
        if new.plain == {**old.plain, "version": new.version}:
            raise DecisionRefusedError(f"{path}: nothing is changed in it")
        name = old.name_of(self._signer.public)
        asked = self._decision(
            ledger, old, name, "policy_change", new.plain,
            {"options": ("change it", "leave it"), "choice": "change it", "reason": reason},
        )  # fmt: skip
        self._write(("decision", asked.plain, {}))
        if policy is None:
            write_atomically(path, old.to_toml())
        return self.look(asked.id)

    def restore_policy(self) -> Policy:
        """Write ``policy.toml`` and its signature anew, as they are in force; return the policy."""
        return self.files.write_policy()

    # --- asking and signing -----------------------------------------------------------------------

    def propose(
        self,
        kind: str,
        subject: Any,
        *,
        reason: str,
        options: Sequence[str] = (),
        choice: str = "",
        days: int | None = None,
        tier: int | None = None,
        **facts: Any,
    ) -> DecisionStanding:
        """Ask for a decision; at tier 1 it is decided and logged at once.

        Parameters
        ----------
        kind
            One of :data:`scalekit.decide.KINDS`.
        subject
            What it is about: text or plain data. For ``waive_gate`` the name of a stage whose gate
            is closed: the waiver then covers its failed checks as they were judged.
        reason
            At least 20 characters.
        options, choice
            What was considered, and what is asked for (by default the first).
        days
            How long a grant holds; by default as long as the policy allows.
        tier
            A higher tier than the rules say.
        facts
            How far it reaches: ``stage, evidence, reversible, severity, items, share, cost,
            domains, looks, supersedes``, as in :class:`scalekit.decide.Decision`.

        Raises
        ------
        DecisionRefusedError
            Saying why it may not be asked for, or what is wrong with it.
        """
        ledger = self.files.ledger()
        policy, name = self.files.policy(ledger), self.me
        if kind == "waive_gate" and isinstance(subject, str):
            facts.setdefault("stage", subject)
            subject = self._closed_gate(subject)
        if kind in GRANTS:
            end = moment(self.files.now()) + timedelta(days=days or policy.waiver_days)
            facts["expires"] = end.isoformat()
        if kind == "extend_budget":
            facts.setdefault("looks", LOOKS)
        considered = tuple(options) or OPTIONS.get(kind, ("do it", "leave it as it is"))
        said = {"options": considered, "choice": choice or considered[0], "reason": reason, **facts}
        asked = self._decision(ledger, policy, name, kind, subject, said, tier)
        self._write(("decision", asked.plain, {}))
        return self.look(asked.id)

    def _decision(
        self,
        ledger: Ledger,
        policy: Policy,
        name: str,
        kind: str,
        subject: Any,
        said: Mapping[str, Any],
        tier: int | None = None,
    ) -> Decision:
        fields = {
            "id": new_id(), "kind": kind, "actor": name, "at": self.files.now(), "tier": 3,
            "subject": subject, "policy": policy.digest, **said,
        }  # fmt: skip
        made: Decision = record_of("decision", fields)
        found = ledger.routed(made, self.files.now())
        return made.model_copy(update={"tier": tier or found.tier})

    def _closed_gate(self, stage: str) -> dict[str, Any]:
        state = next((s for s in self._project.board().states if s.stage == stage), None)
        if state is None or state.judgement is None or state.state not in ("closed", "waived"):
            raise DecisionRefusedError(
                f"only a gate that was judged and is closed can be waived; that of {stage!r} is "
                f"{state.state if state else 'not known'}"
            )
        return gate_subject(stage, state.judgement["checks"])

    def look(self, decision: str) -> DecisionStanding:
        """Return a decision as it stands."""
        return DecisionStanding(self.files.ledger().entry(decision), self.files.now())

    def approve(self, decision: str, reason: str = "") -> DecisionStanding:
        """Sign a decision; the change of a policy that has enough signatures comes into force.

        Raises
        ------
        DecisionRefusedError
            When you may not sign it: your own, the wrong role, expired, a revoked key.
        """
        return self._vote(decision, "approve", reason)

    def reject(self, decision: str, reason: str) -> DecisionStanding:
        """Sign against a decision, with a reason; raises as :meth:`approve` does."""
        return self._vote(decision, "reject", reason)

    def _vote(self, decision: str, verdict: str, reason: str) -> DecisionStanding:
        ledger = self.files.ledger()
        self.files.policy(ledger)
        entry = ledger.entry(decision)
        name = entry.judges.name_of(self._signer.public) or self.me
        role = entry.judges.may_sign(name, entry.tier) or "team"
        vote = record_of(
            "vote",
            {
                "decision": decision, "content": entry.decision.digest, "approver": name,
                "role": role, "verdict": verdict, "reason": reason,
            },
        )  # fmt: skip
        assert isinstance(vote, Vote)
        if fault := ledger.vote_fault(entry, name, self.files.now()):
            raise DecisionRefusedError(fault)
        acts: list[Act] = [("vote", vote.plain, {})]
        if entry.decision.kind == "policy_change" and _completes(entry, vote, self.files.now()):
            by = {"by": name, "decision": decision}
            acts.append(("policy", dict(entry.decision.subject), by))
        self._write(*acts)
        if len(acts) > 1:
            self.files.write_policy()
        return self.look(decision)

    def _write(self, *acts: Act) -> None:
        signer = self._signer
        self.files.record(
            [(kind, {**signed_record(kind, said, signer), **more}) for kind, said, more in acts],
            signer,
        )

    def escalate(self, decision: str, reason: str, tier: int | None = None) -> DecisionStanding:
        """Send a decision that waits to a higher tier; anybody in the policy may."""
        up = tier or self.look(decision).tier + 1
        if up > 3:
            raise DecisionRefusedError("it is at tier 3 already; there is none above")
        return self._retier("escalation", decision, up, reason)

    def lower(self, decision: str, tier: int, reason: str) -> DecisionStanding:
        """Send a decision that waits to a lower tier; only a signer of the tier above may."""
        return self._retier("lowering", decision, tier, reason)

    def _retier(self, kind: str, decision: str, tier: int, reason: str) -> DecisionStanding:
        change = record_of(kind, {**self._about(decision), "tier": tier, "reason": reason})
        assert isinstance(change, Retiering)
        self._write((kind, change.plain, {}))
        return self.look(decision)

    def close(self, decision: str, reason: str) -> DecisionStanding:
        """Take back what you asked for, or end a grant that you may sign."""
        closing = record_of("closing", {**self._about(decision), "reason": reason})
        assert isinstance(closing, Closing)
        self._write(("closing", closing.plain, {}))
        return self.look(decision)

    def _about(self, decision: str) -> dict[str, str]:
        entry = self.files.ledger().entry(decision)
        return {"decision": decision, "content": entry.decision.digest, "by": self.me}


def _completes(entry: Entry, vote: Vote, at: str) -> bool:
    """Whether with this vote enough have signed."""
    return entry.changed(votes=(*entry.votes, Cast(vote, at))).outcome(at).status == "approved"


def _public(name: str, key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        raise DecisionRefusedError(
            f"the key of {name} is no public key: 64 hex digits are needed, got {key[:20]!r}"
        ) from None
