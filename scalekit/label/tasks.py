"""What can be asked of an annotator: seven kinds of task, and the one form of their answers.

An answer travels and is stored as text. A choice is the value's own name; free text is itself; the
other kinds are canonical JSON, so that equal answers are equal texts:

- ``multi``: the names given, in the task's order: ``["billing","login"]``
- ``pair``: ``{"preferred":"first","strength":2}``; a tie has strength 0
- ``rubric``: points for each criterion: ``{"clear":4,"correct":1}``
- ``span``: ``[{"end":7,"label":"person","start":0}]``; offsets count Unicode code points
- ``turns``: a value for each turn by its place, from 0: ``{"1":"helpful","3":"evasive"}``
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["Criterion", "Kind", "LabelError", "Task", "Value"]

Kind = Literal["choice", "multi", "pair", "rubric", "span", "text", "turns"]
SIDES = ("first", "second")


class LabelError(ValueError):
    """A label was refused: unknown item, annotator, value or event; nothing was recorded."""


@dataclass(frozen=True)
class Value:
    """A value that may be given, in words."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class Criterion:
    """A dimension of a rubric: whole points from ``low`` to ``high``, in words at both ends."""

    name: str
    description: str = ""
    low: int = 1
    high: int = 5


@dataclass(frozen=True)
class Task:
    """One question put to annotators.

    Parameters
    ----------
    name
        Kept with every label.
    kind
        What kind of answer it asks for.
    values
        The values of a choice, multi, span or turns task.
    criteria
        The dimensions of a rubric task.
    strength
        Levels of preference in a pair task: 1 is no more than which one.
    ties
        Whether a pair task may be answered with a tie.
    roles
        Whose turns a turns task asks about; everybody's where empty.
    question
        What the annotator is asked, in words.

    Raises
    ------
    LabelError
        When it lacks what its kind needs.
    """

    name: str
    kind: Kind = "choice"
    values: tuple[Value, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    strength: int = 3
    ties: bool = True
    roles: tuple[str, ...] = ()
    question: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise LabelError(f"a task is one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if bare := [v for v in self.values if not isinstance(v, Value)]:
            raise LabelError(
                f"task {self.name!r}: the value {bare[0]!r} is no Value. Write "
                f"Value({bare[0]!r}), or Task.choice({self.name!r}, […]), which takes names"
            )
        names = [v.name for v in self.values]
        if self.kind in ("choice", "multi", "span", "turns") and not names:
            raise LabelError(f"a {self.kind} task needs values")
        if self.kind == "rubric" and not self.criteria:
            raise LabelError("a rubric task needs criteria")
        _unique("value", names)
        _unique("criterion", [c.name for c in self.criteria])
        for criterion in self.criteria:
            if not criterion.low < criterion.high:
                raise LabelError(f"criterion {criterion.name!r}: low must be under high")
        if not 1 <= self.strength <= 5:
            raise LabelError(f"strength must be 1 to 5 levels, got {self.strength}")

    @classmethod
    def choice(cls, name: str, values: Sequence[str]) -> Task:
        """Return the task of choosing one of *values*."""
        return cls(name, values=tuple(Value(v) for v in values))

    @property
    def names(self) -> tuple[str, ...]:
        """The values' names."""
        return tuple(v.name for v in self.values)

    def encode(self, answer: Any, *, length: int | None = None) -> str:
        """Return the one text form of an answer.

        Parameters
        ----------
        answer
            As the front end or a script gives it: a name, a list, a mapping, or its text form.
        length
            Of the item, in code points (span) or turns (turns), where known: places beyond it are
            refused.

        Raises
        ------
        LabelError
            When it is no answer to this task.
        """
        return _ENCODERS[self.kind](self, answer, length)

    def decode(self, value: str) -> Any:
        """Return a stored answer as Python values."""
        return value if self.kind in ("choice", "text") else json.loads(value)


def _unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names) or not all(names):
        raise LabelError(f"each {what} needs a name of its own, got {', '.join(names)}")


def _canonical(answer: Any) -> str:
    return json.dumps(answer, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _parsed(task: Task, answer: Any, wanted: type) -> Any:
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except ValueError:
            answer = None
    if not isinstance(answer, wanted):
        shape = "a list" if wanted is list else "a mapping"
        raise LabelError(f"{task.name}: the answer to a {task.kind} task is {shape}")
    return answer


def _name(task: Task, value: Any) -> str:
    if value not in task.names:
        raise LabelError(f"{value!r} is not one of {', '.join(task.names)}")
    return str(value)


def _whole(what: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise LabelError(f"{what} must be a whole number from {low} to {high}, got {value!r}")
    return value


def _choice(task: Task, answer: Any, _: int | None) -> str:
    return _name(task, answer)


def _multi(task: Task, answer: Any, _: int | None) -> str:
    given = [_name(task, a) for a in _parsed(task, answer, list)]
    _unique("value", given) if given else None
    return _canonical([name for name in task.names if name in given])


def _pair(task: Task, answer: Any, _: int | None) -> str:
    given = _parsed(task, answer, dict)
    preferred = given.get("preferred")
    allowed = (*SIDES, "tie") if task.ties else SIDES
    if preferred not in allowed:
        raise LabelError(f"preferred is {preferred!r}; it must be {' or '.join(allowed)}")
    bounds = (0, 0) if preferred == "tie" else (1, task.strength)
    strength = _whole("strength", given.get("strength", bounds[0]), *bounds)
    return _canonical({"preferred": preferred, "strength": strength})


def _rubric(task: Task, answer: Any, _: int | None) -> str:
    given = _parsed(task, answer, dict)
    known = {c.name: c for c in task.criteria}
    if strange := sorted(set(given) - set(known)):
        raise LabelError(f"there is no criterion {strange[0]!r}; there are {', '.join(known)}")
    if missing := [name for name in known if name not in given]:
        raise LabelError(f"no points for {missing[0]!r}; each criterion needs them")
    points = {n: _whole(f"points for {n!r}", given[n], c.low, c.high) for n, c in known.items()}
    return _canonical(points)


def _span(task: Task, answer: Any, length: int | None) -> str:
    spans = set()
    for span in _parsed(task, answer, list):
        if not isinstance(span, Mapping) or set(span) != {"start", "end", "label"}:
            raise LabelError(f"a span has start, end and label, got {span!r}")
        top = length if length is not None else 1 << 53
        start = _whole("start", span["start"], 0, max(0, top - 1))
        end = _whole("end", span["end"], start + 1, top)
        spans.add((start, end, _name(task, span["label"])))
    return _canonical([{"start": a, "end": b, "label": n} for a, b, n in sorted(spans)])


def _text(task: Task, answer: Any, _: int | None) -> str:
    if not isinstance(answer, str) or not answer.strip():
        raise LabelError(f"{task.name}: the answer is empty; write something, or skip the item")
    return answer


def _turns(task: Task, answer: Any, length: int | None) -> str:
    given = _parsed(task, answer, dict)
    if not given:
        raise LabelError(f"{task.name}: no turn is labelled")
    for turn in given:
        if not (isinstance(turn, str) and turn.isdecimal() and str(int(turn)) == turn):
            raise LabelError(f"a turn is named by its place, from 0; got {turn!r}")
        if length is not None and int(turn) >= length:
            raise LabelError(f"there is no turn {turn}; the conversation has {length}")
    order = sorted(given, key=int)
    return json.dumps(
        {t: _name(task, given[t]) for t in order}, ensure_ascii=False, separators=(",", ":")
    )


_ENCODERS: Mapping[str, Callable[[Task, Any, int | None], str]] = {
    "choice": _choice, "multi": _multi, "pair": _pair, "rubric": _rubric, "span": _span,
    "text": _text, "turns": _turns,
}  # fmt: skip
