"""The adjudicator: an item with its votes; decide it, say why votes differed, write the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from scalekit.display import block, table
from scalekit.journal import Event
from scalekit.label.adjudication import REASONS, AdjudicationSession
from scalekit.widgets.labeler import Labeler, Standing

__all__ = ["Adjudicator"]


class Adjudicator(Labeler):
    """Decide disputed items one by one, by key or by button.

    Parameters
    ----------
    items
        What is to be seen of the items, as for :class:`Labeler`; those without votes are left out.
    disputes
        The votes, from :func:`scalekit.label.disputed`; items come in its order.
    session
        Where decisions are written.
    guidelines
        The instructions as they are now.
    done
        How many items were decided before.

    Raises
    ------
    ValueError
        When a column is missing, or an item is not known to the session.
    """

    ANSWER = "adjudicate"

    def __init__(
        self,
        items: pl.DataFrame,
        disputes: pl.DataFrame,
        session: AdjudicationSession,
        *,
        guidelines: str = "",
        done: int = 0,
    ) -> None:
        self._votes = dict(disputes.select("item_id", "votes").iter_rows())
        ordered = disputes.select("item_id").join(items, on="item_id", maintain_order="left")
        super().__init__(ordered, session, guidelines=guidelines, done=done)

    def _more(self) -> dict[str, Any]:
        reasons = [
            {"name": name, "description": said, "key": key}
            for (name, said), key in zip(REASONS.items(), "AGERS", strict=True)
        ]
        return {"reasons": reasons}

    def _act(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if message.get("kind") != "label":
            return message
        decided = message.get("value")
        if not isinstance(decided, Mapping):
            raise ValueError("a decision has a value, a reason and a rule")
        plain = super()._act({**message, "value": decided.get("value")})
        return {
            **plain,
            "kind": "adjudicate",
            "reason": decided.get("reason"),
            "rule": decided.get("rule"),
        }

    def _entry(self, place: int, stands: Standing) -> dict[str, Any]:
        entry = super()._entry(place, stands)
        side = self._sides.get(entry["id"], "")
        votes = self._votes[entry["id"]]
        entry["votes"] = [{**v, "value": self._as_seen(v["value"], side)} for v in votes]
        return entry

    def _given(self, event: Event, side: str) -> Any:
        if event.kind == "skip":
            return ""
        value = event.data.get("value")
        return {
            "value": None if value is None else self._as_seen(value, side),
            "reason": event.data["reason"],
            "rule": event.data.get("rule", ""),
        }

    def to_html(self) -> str:
        """Show the decisions on disk: the item, its value, why votes differed, and the rule."""
        state = self._standing()
        counts = self._counts(state)
        rows = [
            {"item": item, **{k: s["adjudicate"].event.data.get(k, "") for k in
                              ("value", "reason", "rule")}}
            for item, s in state.items()
            if "adjudicate" in s
        ]  # fmt: skip
        total = self._done + len(self._ids)
        said = [f"{counts['labelled']:,} of {total:,} decided"]
        said += [f"{counts['skipped']:,} skipped"] if counts["skipped"] else []
        title = f"{self._session.task.name}, adjudicated by {self._session.annotator}"
        return block(title, *said, table(rows, empty="Nothing is decided yet."))
