"""The decision desk: what waits for you, the evidence, the options; sign, decline or escalate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scalekit.decide.records import REASON, DecisionRefusedError
from scalekit.widgets.base import Widget, script, style

__all__ = ["DecisionDesk"]

ACTS = ("sign", "decline", "escalate")


class DecisionDesk(Widget):
    """Read what waits for a signature and settle it, by key or by button.

    Parameters
    ----------
    who
        Whose desk it is: the holder of the key that signs.
    cards
        Returns what is shown: for each decision ``id, kind, about, tier, rule, actor, asked, due,
        late, expires, reason, options, choice, evidence, checks, votes, raised, status, why`` and
        ``fault``, why this person may not sign it.
    act
        Signs ("sign"), signs against ("decline") or sends up ("escalate") a decision, with a
        reason; returns what became of it. A DecisionRefusedError is shown on the decision.
    summary
        Returns the static view of the ledger.
    """

    _esm = script("decision_desk")
    _css = style("decision_desk")

    def __init__(
        self,
        who: str,
        cards: Callable[[], Sequence[Mapping[str, Any]]],
        act: Callable[[str, str, str], str],
        summary: Callable[[], str],
    ) -> None:
        self._cards, self._act, self._ledger_html = cards, act, summary
        self._done: dict[str, dict[str, Any]] = {}
        super().__init__({"who": who, "reason": REASON})

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the cards, after doing what *message* asks; what is refused says why."""
        kind = message.get("kind")
        if kind == "cards":
            return {"cards": list(self._cards())}
        if kind not in ACTS:
            raise ValueError(f"{kind!r} is not one of cards, {', '.join(ACTS)}")
        if message["id"] in self._done:
            return self._done[message["id"]]
        decision, reason = message.get("decision"), message.get("reason", "")
        if not isinstance(decision, str) or not isinstance(reason, str):
            raise ValueError("the decision's name and a reason are needed, both text")
        try:
            said = {"said": self._act(str(kind), decision, reason)}
        except DecisionRefusedError as error:
            said = {"refused": str(error)}
        self._done[message["id"]] = {**said, "cards": list(self._cards())}
        return self._done[message["id"]]

    def to_html(self) -> str:
        """Show the ledger: waivers, what waits, and its head."""
        return self._ledger_html()
