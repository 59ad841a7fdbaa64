"""``project.decide``: ask for a decision, sign it, review; waivers, grants and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.decide import (
    DecisionRefusedError,
    DecisionStatistics,
    Entry,
    Ledger,
    LedgerVerification,
    Review,
    ReviewPage,
    decision_statistics,
    decision_table,
    escalations,
    moment,
    review_page,
    review_table,
    verify_ledger,
    waiver_table,
)
from scalekit.decide.records import new_id, record_of, to_minute
from scalekit.decide.review import titled
from scalekit.display import View, block, counted, note, table
from scalekit.journal import JournalError, read
from scalekit.project.decision_rights import DecisionRights

if TYPE_CHECKING:
    from scalekit.widgets.decision_desk import DecisionDesk

__all__ = ["Decide", "Pending"]

NO_POLICY = (
    "No policy is signed, so nobody may decide anything and no gate can be waived: "
    "project.decide.found()."
)


@dataclass(frozen=True)
class Pending(View):
    """What waits for a signature, the first due first; ``yours`` says whether you may sign."""

    who: str
    table: pl.DataFrame

    def to_html(self) -> str:
        """Show what waits."""
        yours = int(self.table["yours"].sum())
        others = len(self.table) - yours
        count = counted(yours, "decision") + (f", and {others} for others" if others else "")
        title = f"Waiting for {self.who}" if self.who else "Waiting"
        return block(title, count, table(titled(self.table), empty="Nothing waits."))


class Decide(DecisionRights):
    """Decision rights: who may decide what, what was decided, and what it allows."""

    # --- what others ask --------------------------------------------------------------------------

    def grant(self, kind: str, subject: Any) -> Entry:
        """Return the approved decision of a kind on a subject that holds now.

        What a seal asks before it gives more looks (``.decision.looks``) or opens the vault.

        Raises
        ------
        DecisionRefusedError
            Saying why there is none: nobody asked, it waits, it was rejected, it has expired.
        """
        if kind == "waive_gate" and isinstance(subject, str):
            subject = self._closed_gate(subject)
        return self.files.granted(kind, subject)

    def grants(self, kind: str, subject: Any) -> list[Entry]:
        """Return every approved decision of a kind on a subject that holds now."""
        if not self.files.in_force:
            return []
        ledger, now = self.files.ledger(), self.files.now()
        self.files.policy(ledger)
        return [e for e in ledger.on(kind, subject) if e.outcome(now).status == "approved"]

    def log(self, kind: str, subject: Any, reason: str) -> None:
        """Ask for a decision on what is being done, where a policy is in force.

        The act does not wait for it: until it is signed it shows as unapproved in every report.
        """
        if self.files.in_force:
            self.propose(kind, subject, reason=reason)

    # --- looking ----------------------------------------------------------------------------------

    def pending(self) -> Pending:
        """Return what waits for a signature, with why you may not sign what is not yours."""
        ledger, now = self.files.ledger(), self.files.now()
        name = self.me if ledger.policies else ""
        rows = []
        for entry in waiting(ledger, now):
            stands, fault = entry.outcome(now), ledger.vote_fault(entry, name, now)
            decision = entry.decision
            rows.append(
                {
                    "decision": decision.id, "yours": not fault, "tier": stands.tier,
                    "kind": decision.kind, "about": decision.about, "choice": decision.choice,
                    "reason": decision.reason, "by": decision.actor, "due": to_minute(entry.due),
                    "why": fault or stands.why,
                }
            )  # fmt: skip
        text = {"decision": pl.String, "yours": pl.Boolean, "tier": pl.Int64}
        rest = ("kind", "about", "choice", "reason", "by", "due", "why")
        frame = pl.DataFrame(rows, schema=text | dict.fromkeys(rest, pl.String))
        return Pending(name, frame.sort("yours", "due", descending=[True, False]))

    def desk(self) -> DecisionDesk:
        """Open the desk: what waits for you, the evidence, sign or decline."""
        from scalekit.project.desk import open_desk

        return open_desk(self)

    def review(self, tier: int = 1) -> ReviewPage:
        """Return the page for a meeting: weekly on tier 1, fortnightly on tier 2 (and 3)."""
        return review_page(self.files.ledger(), tier, self.files.now())

    def sign_review(
        self, page: ReviewPage, dispositions: Mapping[str, str] | None = None, remarks: str = ""
    ) -> pl.DataFrame:
        """Sign a review: each decision is "upheld" unless *dispositions* say otherwise.

        "revisit" brings it to the next meeting; "overturn" also signs against it, with *remarks*
        as the reason. Another person signs the same page after you. Returns all reviews.

        Raises
        ------
        DecisionRefusedError
            When you may not sign a review of this tier, or what is overturned.
        """
        name = self.me
        said = dict.fromkeys(page.decisions, "upheld") | dict(dispositions or {})
        fields = {
            "tier": page.tier, "begins": page.begins, "ends": page.ends,
            "decisions": page.decisions, "dispositions": said,
        }  # fmt: skip
        before = self.files.ledger().reviews
        meeting = (page.tier, page.ends)
        same = [n for n, held in before.items() if (held[0].tier, held[0].ends) == meeting]
        record = record_of(
            "review",
            {**fields, "id": same[0] if same else new_id(), "by": name, "remarks": remarks},
        )
        assert isinstance(record, Review)
        for decision in [d for d, what in said.items() if what == "overturn"]:
            if self.look(decision).status == "approved":
                self.reject(decision, remarks)
        self._write(("review", record.plain, {}))
        return review_table(self.files.ledger())

    def statistics(self) -> DecisionStatistics:
        """Return the figures: by tier for 1,000 labelled items, time to decide, overturns."""
        from scalekit.label import every_label, read_events
        from scalekit.project.annotators import EVENTS

        labels = every_label(read_events(self._folder / EVENTS))
        first = labels.group_by("item_id").agg(pl.col("at").min())["at"].to_list()
        runs = [e.at for e in self._folder.events("train/log.jsonl", "run")]
        run = runs[-1] if runs else ""
        return decision_statistics(self.files.ledger(), self.files.now(), tasks=first, run=run)

    def escalations(self) -> pl.DataFrame:
        """Return every time a decision went up: why, when, and how it ended."""
        return escalations(self.files.ledger(), self.files.now())

    def escalated(self, *, since: str = "", until: str = "") -> int | None:
        """Return how many decisions asked for in a time went to tier 2 or 3.

        ISO times, all time by default; None when no policy was in force within it.
        """
        ledger, now = self.files.ledger(), self.files.now()
        end = moment(until or now)
        if not ledger.policies or moment(read(self.files.path)[0].at) > end:
            return None
        begin = moment(since) if since else None
        asked = [e for e in ledger.entries.values() if moment(e.at) <= end]
        within = [e for e in asked if begin is None or moment(e.at) > begin]
        return sum(e.outcome(now).tier > 1 for e in within)

    def waivers(self) -> pl.DataFrame:
        """Return every waiver that was signed: open ones first, then what became of the rest."""
        return waiver_table(self.files.ledger(), self.files.now())

    @property
    def table(self) -> pl.DataFrame:
        """One row for each decision."""
        return decision_table(self.files.ledger(), self.files.now())

    def verify(
        self, head: Mapping[str, Any] | None = None, keys: tuple[bytes, ...] | None = None
    ) -> LedgerVerification:
        """Check the ledger against a signed head held elsewhere, by default this machine's.

        As :func:`scalekit.decide.verify_ledger`.
        """
        return verify_ledger(self.files.path, head or self.files.head(), keys)

    def to_html(self) -> str:
        """Show waivers, what waits, unapproved thresholds, and the head of the ledger."""
        try:
            ledger, now = self.files.ledger(), self.files.now()
        except (DecisionRefusedError, JournalError) as error:
            return block("Decisions", note(f"Nothing counts: {error}"))
        if not ledger.policies:
            return block("Decisions", note(NO_POLICY))
        policy = ledger.policy
        parts = [note(f"Policy, version {policy.version}; signers: {', '.join(policy.signers)}.")]
        try:
            self.files.policy(ledger)
        except DecisionRefusedError as error:
            parts.append(note(f"It decides nothing now: {error}"))
        waivers = waiver_table(ledger, now)
        if len(waivers):
            parts += [note("Gates that were waived, not passed:"), table(waivers)]
        changed = self.files.undecided_thresholds()
        if changed:
            parts.append(note(f"Changed without a decision: {_differences(changed)}."))
        rows = decision_table(ledger, now)
        open_ = rows.filter(pl.col("status") == "pending").drop("status")
        if len(open_):
            parts += [note("Not approved yet:"), table(titled(open_))]
        settled = rows.filter(pl.col("status") != "pending")
        if len(settled):
            parts.append(table(titled(settled.drop("decision")), where="project.decide.table"))
        last = read(self.files.path)[-1]
        head = f"Head of the ledger: {last.seq + 1} events, {last.hash}. Keep it elsewhere."
        return block("Decisions", counted(len(rows), "decision"), *parts, note(head))


def waiting(ledger: Ledger, now: str) -> list[Entry]:
    """Return what waits for a signature, the first due first."""
    found = [e for e in ledger.entries.values() if e.outcome(now).status == "pending"]
    return sorted(found, key=lambda e: moment(e.due))


def _differences(changed: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{name} is {now}, decided {was}" for name, (now, was) in changed.items())
