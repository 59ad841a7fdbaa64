"""The labeler: one item at a time, one key a label, each on disk before it is called saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from scalekit.display import block, table
from scalekit.journal import Event
from scalekit.label.events import Judgement, LabelSession, fold
from scalekit.signing import digest
from scalekit.widgets.asking import form, tally
from scalekit.widgets.base import Widget, script, style
from scalekit.widgets.content import check_content, content, sides_of

__all__ = ["Labeler"]

BATCH = 40
BATCH_SIZE = 700_000  # characters: a Jupyter server drops what comes faster than 1 MB a second
PAST = 20

Standing = Mapping[str, Judgement]


class Labeler(Widget):
    """Label items one by one, by key or by button.

    Parameters
    ----------
    items
        The items still to label, in order: ``item_id``, and what is to be seen of them:

        - ``text``; with ``language`` (such as "python") it is code and shown in colours
        - ``messages``: a conversation, each with ``role`` and ``content``
        - ``image``: a path or the bytes of a file
        - for a pair ``first`` and ``second``, and ``prompt`` or ``messages`` before them. Which is
          shown first is drawn, each as often, and kept with the answer; a column ``side`` (from
          the assignment) decides instead
        - ``draft``: where a rewriting starts
    session
        Where acts are written; an act counts as saved once its ``record`` has returned. Its task
        says what is asked.
    guidelines
        Plain text that the annotator can open beside the item.
    done
        How many items this annotator labelled before: a number, or a number for each value.
    keys
        The key of a value, where the default (digits, then letters) is not wanted.

    Raises
    ------
    ValueError
        When a column is missing, an item is not known to the session, or a key is taken.
    """

    _esm = script("labeler")
    _css = style("labeler", "content", "answers")
    ANSWER = "label"

    def __init__(
        self,
        items: pl.DataFrame,
        session: LabelSession,
        *,
        guidelines: str = "",
        done: int | Mapping[str, int] = 0,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        _check_items(items, session)
        self._items = items
        self._ids: list[str] = items["item_id"].to_list()
        self._places = {item: place for place, item in enumerate(self._ids)}
        self._session = session
        self._sides = _sides(items, session) if session.task.kind == "pair" else {}
        self._before = Counter(done) if isinstance(done, Mapping) else Counter()
        self._done = done if isinstance(done, int) else self._before.total()
        self._acts: dict[str, Judgement] = {}
        self._opened = False
        super().__init__(
            {
                **form(session.task, keys or {}),
                **self._more(),
                "task": session.task.name,
                "annotator": session.annotator,
                "guidelines": guidelines,
                "done": self._done,
                "total": self._done + len(self._ids),
                "store": _store(session, self.ANSWER),
            }
        )

    def _more(self) -> dict[str, Any]:
        """Return what a subclass tells its front end besides."""
        return {}

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Record an act, or return the next items."""
        if message.get("kind") == "items":
            return self._batch(message)
        event = self._session.record(self._act(message))
        place = (self._session.session, event.seq)
        self._acts[event.data["id"]] = Judgement(place, self._session.annotator, event)
        return {}

    def _act(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the act as it is kept: of a pair, what was seen on the left may be the second."""
        side = self._sides.get(message.get("item", ""))
        if side is None or message.get("kind") != "label":
            return message
        return {**message, "value": _seen(message.get("value"), side), "shown_first": side}

    def to_html(self) -> str:
        """Show what the labels on disk say, and the items that were flagged or noted."""
        state = self._standing()
        labels = [s[self.ANSWER].event.data["value"] for s in state.values() if self.ANSWER in s]
        counts = self._counts(state)
        total = self._done + len(self._ids)
        said = [f"{counts['labelled']:,} of {total:,} labelled"]
        said += [f"{counts[k]:,} {k}" for k in ("skipped", "flagged") if counts[k]]
        rows = tally(self._session.task, labels, self._before)
        if (unsorted := self._done - self._before.total()) and "value" in rows[0]:
            rows.append({"value": "(labelled before)", "labels": unsorted})
        title = f"{self._session.task.name}, labelled by {self._session.annotator}"
        marks = table([*_marks(state)])
        return block(title, *said, table(rows), marks)

    def _standing(self) -> dict[str, Standing]:
        with self._lock:
            acts = list(self._acts.values())
        return {item: kinds for (_, item), kinds in fold(acts).items()}

    def _counts(self, state: Mapping[str, Standing]) -> dict[str, int]:
        return {
            "labelled": self._done + sum(self.ANSWER in s for s in state.values()),
            "skipped": sum("skip" in s and self.ANSWER not in s for s in state.values()),
            "flagged": sum("flag" in s for s in state.values()),
        }

    def _batch(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the next batch from a place on: unanswered items, or again the skipped ones."""
        state = self._standing()
        again = bool(message.get("again"))
        batch: list[dict[str, Any]] = []
        following: int | None = None
        size = 0
        for place in range(int(message.get("from", 0)), len(self._ids)):
            stands = state.get(self._ids[place], {})
            wanted = ("skip" in stands) if again else ("skip" not in stands)
            if self.ANSWER in stands or not wanted:
                continue
            if len(batch) == BATCH or size > BATCH_SIZE:
                following = place
                break
            batch.append(self._entry(place, stands))
            size += len(json.dumps(batch[-1]))
        reply: dict[str, Any] = {"items": batch, "next": following}
        if message.get("opening"):
            reply["past"] = self._past(state)
            reply["counts"] = self._counts(state)
            reply["just_run"] = not self._opened  # and not a page that was loaded again
            self._opened = True
        return reply

    def _past(self, state: Mapping[str, Standing]) -> list[dict[str, Any]]:
        """Return the items answered last, the latest at the end: they can be seen and undone."""
        answered = [
            (max(s[kind].order for kind in (self.ANSWER, "skip") if kind in s), item)
            for item, s in state.items()
            if item in self._places and (self.ANSWER in s or "skip" in s)
        ]
        return [self._entry(self._places[i], state[i]) for _, i in sorted(answered)[-PAST:]]

    def _entry(self, place: int, stands: Standing) -> dict[str, Any]:
        answers = [stands[kind] for kind in (self.ANSWER, "skip") if kind in stands]
        acts = [judgement.event for judgement in sorted(answers, key=lambda j: j.order)]
        item = self._ids[place]
        side = self._sides.get(item, "")
        return {
            "id": item,
            "content": content(self._items.row(place, named=True), shown_first=side),
            "acts": [
                {
                    "id": e.data["id"],
                    "kind": "skip" if e.kind == "skip" else "label",
                    "value": self._given(e, side),
                }
                for e in acts
            ],
            "flag": stands["flag"].event.data["id"] if "flag" in stands else "",
            "note": stands["note"].event.data.get("text", "") if "note" in stands else "",
        }

    def _given(self, event: Event, side: str) -> Any:
        """Return an answer as the front end gave it; "" for a skip."""
        return "" if event.kind == "skip" else self._as_seen(event.data["value"], side)

    def _as_seen(self, value: str, side: str) -> Any:
        """Return a stored answer as this item shows it."""
        answer = self._session.task.decode(value)
        return _seen(answer, side) if side else answer


def _marks(state: Mapping[str, Standing]) -> Iterator[dict[str, str | bool]]:
    for item, stands in state.items():
        noted = stands["note"].event.data.get("text", "") if "note" in stands else ""
        if noted or "flag" in stands:
            yield {"item": item, "flagged": "flag" in stands, "note": noted}


def _check_items(items: pl.DataFrame, session: LabelSession) -> None:
    if "item_id" not in items.columns:
        raise ValueError(f"the items have no column 'item_id'; there are {items.columns}")
    check_content(items, session.task)
    strange = next((i for i in items["item_id"] if i not in session.items), None)
    if strange is not None:
        raise ValueError(f"item {strange!r} is not one of the session's items")
    if items["item_id"].n_unique() != items.height:
        raise ValueError("an item_id stands twice among the items")


def _sides(items: pl.DataFrame, session: LabelSession) -> dict[str, str]:
    """Return which of each pair is shown first."""
    drawn = sides_of(session.items, session.annotator)
    if "side" in items.columns:
        drawn |= {i: s for i, s in items.select("item_id", "side").iter_rows() if s}
    if strange := sorted(set(drawn.values()) - {"first", "second"}):
        raise ValueError(f"side {strange[0]!r} is not first or second")
    return drawn


def _seen(answer: Any, side: str) -> Any:
    """Change an answer about the left and the right into one about first and second, or back."""
    other = {"first": "second", "second": "first"}
    if side == "first" or not isinstance(answer, Mapping):
        return answer
    preferred = answer.get("preferred")
    return {**answer, "preferred": other.get(str(preferred), preferred)}


def _store(session: LabelSession, acts: str) -> str:
    """Name where the browser keeps unsaved acts, so that the same task finds them again."""
    whose = [session.annotator, session.task.name, session.round, sorted(session.items), acts]
    return f"scalekit/labels/{digest(whose)}"
