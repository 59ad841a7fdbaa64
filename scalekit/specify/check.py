"""What makes a spec good enough to collect for: problems beside their fields, and the gate."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import ValidationError

from scalekit.gates import Check, Gate
from scalekit.specify.spec import Spec, place
from scalekit.text import words

__all__ = ["Problem", "gate", "problems", "sentences"]

_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s+\S|$)")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|approx|no|dr|mr|mrs|ms|st)$", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """Something wrong with one field of a spec, and what to do about it."""

    field: str
    reason: str


def sentences(text: str) -> int:
    """Count the sentences of *text*: ends marked by . ! ? … outside common abbreviations."""
    text = text.strip()
    count = closed = 0
    for match in _END.finditer(text):
        after = text[match.end() :].lstrip()
        abbreviated = match[0] == "." and _ABBREVIATION.search(text[: match.start()])
        if after and (abbreviated or after[0].islower()):
            continue
        count, closed = count + 1, match.end()
    return count + bool(text[closed:].strip())


def problems(draft: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a draft, field by field; empty when it can be saved as a spec."""
    try:
        spec = Spec.model_validate(draft)
    except ValidationError as error:
        return [Problem(place(e["loc"]) or "spec", _plain(e["msg"])) for e in error.errors()]
    return [*_sentence(spec), *_categories(spec), *_examples(spec), *_rubric(spec)]


def _plain(message: str) -> str:
    for said, better in {
        "String should have at least 1 character": "write something here",
        "Field required": "this is needed",
        "Value error, ": "",
        "Input should be greater than 0": "must be above 0",
        "Input should be less than or equal to 1": "must be at most 1 (a share, not a percentage)",
        "Tuple should have at least 2 items after validation": "name at least two categories:",
    }.items():
        message = message.replace(said, better)
    return message


def _sentence(spec: Spec) -> list[Problem]:
    count = sentences(spec.behaviour)
    if count != 1:
        split = f"one sentence is needed, these are {count}; keep the behaviour, move the rest"
        return [Problem("behaviour", f"{split} to the setting or the instructions")]
    if len(words(spec.behaviour)) < 5:
        return [Problem("behaviour", "too short to say who does what on which input")]
    return []


def _categories(spec: Spec) -> list[Problem]:
    found = []
    names = [c.name for c in spec.categories]
    for i, name in enumerate(names):
        if name in names[:i]:
            found.append(Problem(f"categories[{i}].name", f"{name!r} stands here twice"))
    total = sum(c.share for c in spec.categories)
    if abs(total - 1) > 0.005:
        found.append(Problem("categories", f"the shares add up to {total:.2f}, they must make 1"))
    return found


def _examples(spec: Spec) -> list[Problem]:
    if not spec.examples:
        return [
            Problem("examples", "write at least one by hand: they are the first evaluation set")
        ]
    found = []
    known = set(spec.shares)
    seen: dict[tuple[str, ...], int] = {}
    for i, example in enumerate(spec.examples):
        if example.category not in known:
            reason = f"unknown category {example.category!r}; there are {', '.join(sorted(known))}"
            found.append(Problem(f"examples[{i}].category", reason))
        key = tuple(w.folded for w in words(example.text))
        if key in seen:
            found.append(
                Problem(f"examples[{i}].text", f"says the same as example {seen[key] + 1}")
            )
        seen.setdefault(key, i)
        if example.kind == "edge" and not example.note:
            found.append(Problem(f"examples[{i}].note", "say why this edge case is decided so"))
    return found


def _rubric(spec: Spec) -> list[Problem]:
    found = []
    for i, criterion in enumerate(spec.rubric):
        if criterion.pass_example and criterion.pass_example == criterion.fail_example:
            found.append(
                Problem(f"rubric[{i}].fail_example", "the same as the example that passes")
            )
    return found


def gate(spec: Spec, *, examples_per_category: int) -> Gate:
    """Return the gate of Specify: is this enough to collect data for?"""
    flaws = problems(spec.model_dump(mode="json"))
    counts = Counter(e.category for e in spec.examples)
    few = [c for c in spec.shares if counts[c] < examples_per_category]
    edges = sum(e.kind == "edge" for e in spec.examples)
    wrong = pl.DataFrame([p.__dict__ for p in flaws]) if flaws else None
    back = "specify"
    return Gate(
        "specify",
        (
            Check("one behaviour, fields consistent", not flaws, f"{len(flaws)} problems", "0",
                  back, "correct the fields named in the evidence", wrong),
            Check("handwritten examples in every category", not few,
                  f"{len(spec.shares) - len(few)} of {len(spec.shares)} categories",
                  f"at least {examples_per_category} in each", back,
                  f"write examples for {', '.join(few) or 'none'}"),
            Check("edge cases written down", edges > 0, f"{edges} edge cases", "at least 1", back,
                  "add the cases on which two careful people might differ"),
            Check("rubric with depth targets", bool(spec.rubric), f"{len(spec.rubric)} criteria",
                  "at least 1", back, "say what a good answer must show and how deep to teach it"),
            Check("success metric with margin", bool(spec.metrics), f"{len(spec.metrics)} metrics",
                  "at least 1", back, "name the metric, its target and the margin before any data"),
            Check("instructions for annotators", bool(spec.instructions.strip()),
                  f"{len(words(spec.instructions))} words", "some", back,
                  "write what an annotator must know to decide as you would"),
        ),
    )  # fmt: skip
