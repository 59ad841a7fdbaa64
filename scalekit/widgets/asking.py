"""How a task is put to an annotator: the answers there are and their keys; what was answered."""

from __future__ import annotations

import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from scalekit.label.tasks import Criterion, Task

__all__ = ["COMMAND_KEYS", "form", "tally"]

COMMAND_KEYS = "usfng?"
LABEL_KEYS = [*"1234567890", *(c for c in string.ascii_lowercase if c not in COMMAND_KEYS)]
DEGREES = {1: ("",), 2: ("a little ", "much "), 3: ("slightly ", "", "much ")}


def form(task: Task, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return what the front end asks: the kind, the question, and each possible answer's key.

    *keys* gives the key of a value where the default (digits, then letters) is not wanted. Raises
    ValueError when a key is taken or for no value.
    """
    assigned = _assign_keys(task.names, keys)
    return {
        "kind": task.kind,
        "question": task.question,
        "roles": list(task.roles),
        "values": [
            {"name": v.name, "description": v.description, "key": assigned.get(v.name, "")}
            for v in task.values
        ],
        "criteria": [
            {"name": c.name, "description": c.description, "points": _points(c)}
            for c in task.criteria
        ],
        "options": _preferences(task) if task.kind == "pair" else [],
    }


def _points(criterion: Criterion) -> list[dict[str, Any]]:
    points = range(criterion.low, criterion.high + 1)
    keys = _assign_keys([str(p) for p in points], {})
    return [{"points": p, "key": keys.get(str(p), "")} for p in points]


def _preferences(task: Task) -> list[dict[str, Any]]:
    """Return the answers to a comparison from left to right, as on a scale."""
    degrees = DEGREES.get(task.strength) or [f"{n} of {task.strength}: " for n in _levels(task)]
    left = [
        ("first", level, f"left is {degrees[level - 1]}better") for level in _levels(task)[::-1]
    ]
    right = [("second", level, f"right is {degrees[level - 1]}better") for level in _levels(task)]
    tie = [("tie", 0, "about the same")] if task.ties else []
    return [
        {"answer": {"preferred": side, "strength": level}, "name": said, "key": key}
        for (side, level, said), key in zip([*left, *tie, *right], LABEL_KEYS, strict=False)
    ]


def _levels(task: Task) -> list[int]:
    return list(range(1, task.strength + 1))


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
    given = {name: key.lower() for name, key in wanted.items()}
    if len(set(given.values())) != len(given):
        raise ValueError(f"two values have the same key: {dict(wanted)}")
    if all(name.isdecimal() for name in names):  # then each has the key of its own digit
        own = [n for n in names if n in LABEL_KEYS and n not in given.values()]
        given = {**{n: n for n in own}, **given}
    free = iter([key for key in LABEL_KEYS if key not in given.values()])
    chosen = {n: given[n] if n in given else next(free, "") for n in names}
    return {name: key for name, key in chosen.items() if key}


def tally(task: Task, answers: Iterable[str], before: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return what the answers say, as rows of a small table.

    Values are counted, also in spans and turns; of points the mean is given; of preferences how
    strong they are, not for whom: the annotator who sees it must stay blind. *before* counts values
    given earlier.
    """
    given = [task.decode(answer) for answer in answers]
    if task.kind == "rubric":
        points: dict[str, list[int]] = defaultdict(list)
        for name, value in chain.from_iterable(scores.items() for scores in given):
            points[name].append(value)
        return [
            {
                "criterion": c.name,
                "mean": round(fmean(points[c.name]), 2) if points[c.name] else None,
                "of": f"{c.low} to {c.high}",
                "labels": len(points[c.name]),
            }
            for c in task.criteria
        ]
    if task.kind == "text":
        return [{"texts": len(given), "words": sum(len(text.split()) for text in given)}]
    if task.kind == "pair":
        strengths = Counter(pair["strength"] for pair in given)
        names = {0: "tie", **{n: f"strength {n}" for n in _levels(task)}}
        return [{"preference": names[n], "labels": strengths[n]} for n in names if n or task.ties]
    counts = Counter(before)
    for answer in given:
        counts.update(_named(answer))
    return [{"value": name, "labels": counts[name]} for name in task.names]


def _named(answer: Any) -> list[str]:
    """Return the values that an answer names, each time it does."""
    if isinstance(answer, str):
        return [answer]
    if isinstance(answer, Mapping):
        return list(answer.values())
    return [part["label"] if isinstance(part, Mapping) else part for part in answer]
