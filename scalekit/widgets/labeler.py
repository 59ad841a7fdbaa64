"""The labeler: one item at a time, one key a label, each on disk before it is called saved."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from scalekit.display import block, table
from scalekit.label.events import Judgement, LabelSession, fold
from scalekit.signing import digest
from scalekit.widgets.base import Widget, script, style

__all__ = ["Labeler"]

BATCH = 40
PAST = 20
COMMAND_KEYS = "usfng?"
LABEL_KEYS = [*"1234567890", *(c for c in string.ascii_lowercase if c not in COMMAND_KEYS)]

Standing = Mapping[str, Judgement]


class Labeler(Widget):
    """Label items one by one, by key or by button.

    Parameters
    ----------
    items
        The items still to label, in order: columns ``item_id`` and ``text``.
    session
        Where acts are written; an act counts as saved once its ``record`` has returned.
    values
        The labels that may be given: ``name`` and ``description`` of each.
    guidelines
        Plain text that the annotator can open beside the item.
    done
        How many items this annotator labelled before: a number, or a number for each value.
    keys
        The key of a value, where the default (digits, then letters) is not wanted.

    Raises
    ------
    ValueError
        When a column, an item or a value is not known to the session, or a key is taken.
    """

    _esm = script("labeler")
    _css = style("labeler")

    def __init__(
        self,
        items: pl.DataFrame,
        session: LabelSession,
        values: Sequence[Mapping[str, str]],
        *,
        guidelines: str = "",
        done: int | Mapping[str, int] = 0,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        _check_items(items, session)
        names = [v["name"] for v in values]
        _check_values(names, session)
        self._ids: list[str] = items["item_id"].to_list()
        self._places = {item: place for place, item in enumerate(self._ids)}
        self._texts = items["text"]
        self._session = session
        self._names = names
        self._before = Counter(done) if isinstance(done, Mapping) else Counter()
        self._done = done if isinstance(done, int) else self._before.total()
        self._acts: dict[str, Judgement] = {}
        assigned = _assign_keys(names, keys or {})
        super().__init__(
            {
                "task": session.task.name,
                "annotator": session.annotator,
                "values": [
                    {
                        "name": v["name"],
                        "description": v.get("description", ""),
                        "key": assigned.get(v["name"], ""),
                    }
                    for v in values
                ],
                "guidelines": guidelines,
                "done": self._done,
                "total": self._done + len(self._ids),
                "store": _store(session),
            }
        )

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Record an act, or return the next items."""
        if message.get("kind") == "items":
            return self._items(message)
        event = self._session.record(message)
        place = (self._session.session, event.seq)
        self._acts[event.data["id"]] = Judgement(place, self._session.annotator, event)
        return {}

    def to_html(self) -> str:
        """Show the labels on disk by value, and the items that were flagged or noted."""
        state = self._standing()
        labels = Counter(s["label"].event.data["value"] for s in state.values() if "label" in s)
        counts = self._counts(state)
        total = self._done + len(self._ids)
        said = [f"{counts['labelled']:,} of {total:,} labelled"]
        said += [f"{counts[k]:,} {k}" for k in ("skipped", "flagged") if counts[k]]
        both = self._before + labels
        rows = [{"value": name, "labels": both[name]} for name in self._names]
        if unsorted := self._done - self._before.total():
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
            "labelled": self._done + sum("label" in s for s in state.values()),
            "skipped": sum("skip" in s and "label" not in s for s in state.values()),
            "flagged": sum("flag" in s for s in state.values()),
        }

    def _items(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the next batch from a place on: unanswered items, or again the skipped ones."""
        state = self._standing()
        again = bool(message.get("again"))
        batch: list[dict[str, Any]] = []
        following: int | None = None
        for place in range(int(message.get("from", 0)), len(self._ids)):
            stands = state.get(self._ids[place], {})
            wanted = ("skip" in stands) if again else ("skip" not in stands)
            if "label" in stands or not wanted:
                continue
            if len(batch) == BATCH:
                following = place
                break
            batch.append(self._entry(place, stands))
        reply: dict[str, Any] = {"items": batch, "next": following}
        if message.get("opening"):
            reply["past"] = self._past(state)
            reply["counts"] = self._counts(state)
        return reply

    def _past(self, state: Mapping[str, Standing]) -> list[dict[str, Any]]:
        """Return the items answered last, the latest at the end: they can be seen and undone."""
        answered = [
            (max(s[kind].order for kind in ("label", "skip") if kind in s), item)
            for item, s in state.items()
            if item in self._places and ("label" in s or "skip" in s)
        ]
        return [self._entry(self._places[i], state[i]) for _, i in sorted(answered)[-PAST:]]

    def _entry(self, place: int, stands: Standing) -> dict[str, Any]:
        answers = [stands[kind] for kind in ("label", "skip") if kind in stands]
        acts = [judgement.event for judgement in sorted(answers, key=lambda j: j.order)]
        return {
            "id": self._ids[place],
            "text": self._texts[place] or "",
            "acts": [
                {"id": e.data["id"], "kind": e.kind, "value": e.data.get("value", "")} for e in acts
            ],
            "flag": stands["flag"].event.data["id"] if "flag" in stands else "",
            "note": stands["note"].event.data.get("text", "") if "note" in stands else "",
        }


def _marks(state: Mapping[str, Standing]) -> Iterator[dict[str, str | bool]]:
    for item, stands in state.items():
        noted = stands["note"].event.data.get("text", "") if "note" in stands else ""
        if noted or "flag" in stands:
            yield {"item": item, "flagged": "flag" in stands, "note": noted}


def _check_items(items: pl.DataFrame, session: LabelSession) -> None:
    for column in ("item_id", "text"):
        if column not in items.columns:
            raise ValueError(f"the items have no column {column!r}; there are {items.columns}")
    strange = next((i for i in items["item_id"] if i not in session.items), None)
    if strange is not None:
        raise ValueError(f"item {strange!r} is not one of the session's items")
    if items["item_id"].n_unique() != items.height:
        raise ValueError("an item_id stands twice among the items")


def _check_values(names: Sequence[str], session: LabelSession) -> None:
    strange = [name for name in names if name not in session.task.names]
    if not names or strange or len(set(names)) != len(names):
        said = f"{strange[0]!r} is not one of them" if strange else "each once, at least one"
        raise ValueError(f"the values must be of {', '.join(session.task.names)}: {said}")


def _assign_keys(names: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each value; values beyond the keys there are have a button only."""
    for name, key in wanted.items():
        if name not in names:
            raise ValueError(f"key {key!r} is for {name!r}, which is not a value")
        if len(key) != 1 or key.lower() in COMMAND_KEYS or key.isspace():
            raise ValueError(
                f"{key!r} can't be the key of {name!r}: one character, "
                f"and none of {' '.join(COMMAND_KEYS)}"
            )
    taken = [key.lower() for key in wanted.values()]
    if len(set(taken)) != len(taken):
        raise ValueError(f"two values have the same key: {dict(wanted)}")
    free = iter([key for key in LABEL_KEYS if key not in taken])
    chosen = {n: wanted[n].lower() if n in wanted else next(free, "") for n in names}
    return {name: key for name, key in chosen.items() if key}


def _store(session: LabelSession) -> str:
    """Name where the browser keeps unsaved acts, so that the same task finds them again."""
    whose = [session.annotator, session.task.name, session.round, sorted(session.items)]
    return f"scalekit/labels/{digest(whose)}"
