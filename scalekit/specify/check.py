"""What makes a spec good enough to collect for: problems beside their fields, and the gate."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import ValidationError

from scalekit.display import counted
from scalekit.gates import Check, Gate
from scalekit.specify.spec import Spec, flaws
from scalekit.text import words

__all__ = ["Problem", "gate", "problems", "sentences"]

# Full stops of scripts that set a blank after them, and of those that need none.
_END = re.compile(r"[.!?…।؟]+[\"'”’)\]]*(?=\s+\S|$)|[。！？]+[”’」』）]*")
_ABBREVIATIONS = {"e.g", "i.e", "etc", "vs", "cf", "approx", "dr", "mr", "mrs", "ms", "st"}


@dataclass(frozen=True)
class Problem:
    """Something wrong with one field of a spec, and what to do about it."""

    field: str
    reason: str

    def __str__(self) -> str:
        """Return the field and what is wrong with it."""
        return f"{self.field}: {self.reason}"


def sentences(text: str) -> int:
    """Count the sentences of *text*: ends marked by . ! ? … outside common abbreviations."""
    text = text.strip()
    count = closed = 0
    for match in _END.finditer(text):
        after = text[match.end() :].lstrip()
        if match[0] == "." and _abbreviated(text[: match.start()], after):
            continue
        if after[:1].islower():
            continue
        count, closed = count + 1, match.end()
    return count + bool(text[closed:].strip())


def _abbreviated(before: str, after: str) -> bool:
    """Whether a dot belongs to an abbreviation: e.g., U.S., No. 5."""
    word = re.search(r"([\w.]+)$", before)
    if not word or not after:
        return False
    said = word[1].lower()
    single = len(said.rpartition(".")[2]) == 1
    return said in _ABBREVIATIONS or single or (said == "no" and after[0].isdigit())


def problems(draft: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a draft, field by field; empty when it can be saved as a spec."""
    try:
        spec = Spec.model_validate(draft)
    except ValidationError as error:
        found = flaws(error)
        said = draft.get("behaviour") if isinstance(draft, Mapping) else None
        more = _sentence(said) if isinstance(said, str) and "behaviour" not in found else []
        wrong = [Problem(where, why) for where, why in found.items()]
        return [*more, *wrong, *([] if "categories" in found else _drafted_shares(draft))]
    return [*_sentence(spec.behaviour), *_categories(spec), *_examples(spec), *_rubric(spec)]


def _sentence(behaviour: str) -> list[Problem]:
    count = sentences(behaviour)
    if count != 1:
        split = f"one sentence is needed, these are {count}; keep the behaviour, move the rest"
        return [Problem("behaviour", f"{split} to the setting or the instructions")]
    if len(words(behaviour)) < 5:
        return [Problem("behaviour", "too short to say who does what on which input")]
    return []


def _categories(spec: Spec) -> list[Problem]:
    found = []
    names = [c.name for c in spec.categories]
    for i, name in enumerate(names):
        if name in names[:i]:
            found.append(Problem(f"categories[{i}].name", f"{name!r} stands here twice"))
    return found + _shares([c.share for c in spec.categories])


def _shares(shares: Sequence[float]) -> list[Problem]:
    total = sum(shares)
    if abs(total - 1) <= 0.005:
        return []
    parts = ", ".join(f"{share / total:.3g}" for share in shares)
    mend = f"divide each by {total:.4g}, which gives {parts}" if total > 0 else "raise them"
    return [Problem("categories", f"the shares add up to {total:.2f}, they must make 1: {mend}")]


def _drafted_shares(draft: Any) -> list[Problem]:
    """Return what is wrong with the sum of the shares of a draft whose fields are not all sound."""
    try:
        return _shares([float(category["share"]) for category in draft["categories"]])
    except (KeyError, TypeError, ValueError, OverflowError):
        return []


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
        key = tuple(w.folded for w in words(example.text)) or (example.text,)
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
    for field, parts in (("rubric", spec.rubric), ("metrics", spec.metrics)):
        names = [part.name for part in parts]
        twice = [i for i, name in enumerate(names) if name in names[:i]]
        found += [Problem(f"{field}[{i}].name", f"{names[i]!r} stands here twice") for i in twice]
    for i, criterion in enumerate(spec.rubric):
        if criterion.pass_example and criterion.pass_example == criterion.fail_example:
            found.append(
                Problem(f"rubric[{i}].fail_example", "the same as the example that passes")
            )
    return found


def gate(spec: Spec, *, examples_per_category: int) -> Gate:
    """Return the gate of Specify: is this enough to collect data for?"""
    found = problems(spec.model_dump(mode="json"))
    counts = Counter(e.category for e in spec.examples)
    few = [c for c in spec.shares if counts[c] < examples_per_category]
    edges = sum(e.kind == "edge" for e in spec.examples)
    wrong = pl.DataFrame([p.__dict__ for p in found]) if found else None
    back = "specify"
    return Gate(
        "specify",
        (
            Check("one behaviour, fields consistent", not found,
                  counted(len(found), "problem"), "0", back,
                  "correct the fields named in the evidence", wrong),
            Check("handwritten examples in every category", not few,
                  f"{len(spec.shares) - len(few)} of {len(spec.shares)} categories",
                  f"at least {examples_per_category} in each", back,
                  f"write examples for {', '.join(few) or 'none'}"),
            Check("edge cases written down", edges > 0,
                  counted(edges, "edge case"), "at least 1", back,
                  "add the cases on which two careful people might differ"),
            Check("rubric with depth targets", bool(spec.rubric), f"{len(spec.rubric)} criteria",
                  "at least 1", back, "say what a good answer must show and how deep to teach it"),
            Check("success metric with margin", bool(spec.metrics),
                  counted(len(spec.metrics), "metric"), "at least 1", back,
                  "name the metric, its target and the margin before any data"),
            Check("instructions for annotators", bool(spec.instructions.strip()),
                  f"{len(words(spec.instructions))} words", "some", back,
                  "write what an annotator must know to decide as you would"),
        ),
    )  # fmt: skip
