"""Quality rules: each measure against plain counting, and nothing dropped unless named."""

from __future__ import annotations

import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit.quality import RULES, quality

PROSE = (
    "The river that runs to the sea is wide, and the boats that sail on it have white sails. "
    "It is said that one may be happy with a small boat. " * 3
)
LINE = st.sampled_from(
    ["", "the end.", "- a bullet", "and so on...", "Short", "have a look at that, with care!",
     "{ code }", "lorem ipsum", "Please read our privacy policy", "x" * 40, "the end.", "a a a a b"]
)  # fmt: skip
TEXTS = st.lists(st.lists(LINE, min_size=1, max_size=6).map("\n".join), min_size=1, max_size=4)


def measured(texts: list[str]) -> pl.DataFrame:
    rows = [{"item_id": str(n), "text": text} for n, text in enumerate(texts)]
    return quality(rows).measures


def by_hand(text: str) -> dict[str, float | None]:
    """Measure one text by plain counting."""
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    enough = text.count("\n") + 1 >= 3
    stops = ("the", "be", "to", "of", "and", "that", "have", "with")
    found: dict[str, float | None] = {
        "words": len(words),
        "mean word length": sum(map(len, words)) / len(words) if words else None,
        "words with a letter": (
            sum(any(c.isalpha() for c in w) for w in words) / len(words) if words else None
        ),
        "stop words": sum(bool(re.search(rf"\b{w}\b", text.lower())) for w in stops),
        "curly brackets": text.count("{") + text.count("}"),
        "lorem ipsum": float("lorem ipsum" in text.lower()),
        "policy lines": sum("privacy policy" in line.lower() for line in lines),
    }
    firsts = {line: lines.index(line) for line in lines}
    later = [line for at, line in enumerate(lines) if firsts[line] != at]
    chars = sum(map(len, lines))
    found |= {
        "bullet lines": sum(line[0] in "•‣▪*-" for line in lines) / len(lines) if lines else None,
        "ellipsis lines": (
            sum(line.endswith(("...", "…")) for line in lines) / len(lines) if lines else None
        ),
        "repeated lines": len(later) / len(lines) if lines else None,
        "characters in repeated lines": sum(map(len, later)) / chars if chars else None,
        "short lines": sum(len(line) <= 30 for line in lines) / len(lines) if lines else None,
    }
    for name in ("bullet lines", "ellipsis lines", "repeated lines", "short lines"):
        found[name] = found[name] if enough else None
    if not enough:
        found["characters in repeated lines"] = None
    lower = text.lower().split()
    whole = sum(map(len, lower))
    for n in (2, 3, 4):
        runs = Counter(tuple(lower[i : i + n]) for i in range(len(lower) - n + 1))
        most = [count * sum(map(len, run)) for run, count in runs.items() if count > 1]
        found[f"characters in the top {n}-gram"] = max(most, default=0) / whole if whole else 0.0
    for n in (5, 10):
        seen: set[tuple[str, ...]] = set()
        inside: set[int] = set()
        for i in range(len(lower) - n + 1):
            run = tuple(lower[i : i + n])
            if run in seen:
                inside |= set(range(i, i + n))
            seen.add(run)
        share = sum(len(lower[i]) for i in inside) / whole if whole else 0.0
        found[f"characters in repeated {n}-grams"] = share
    return found


@settings(deadline=None, max_examples=80)
@given(TEXTS)
def test_every_measure_is_what_plain_counting_says(texts: list[str]) -> None:
    found = measured(texts).to_dicts()
    for text, row in zip(texts, found, strict=True):
        for name, value in by_hand(text).items():
            if value is None:
                assert row[name] in (None, 0.0), name
            else:
                assert row[name] == pytest.approx(value), name


def test_prose_is_kept_and_junk_is_caught_by_the_rule_that_means_it() -> None:
    texts = {
        "prose": PROSE,
        "loop": "buy now cheap watches today " * 30,
        "menu": "\n".join(["* Home", "* Shop", "* About"] * 8),
        "code": "function f() { return 1; }\n" * 20,
        "stub": "ok",
    }
    found = quality([{"item_id": k, "text": v} for k, v in texts.items()])
    caught = {
        name: set(found.dropped(name)["item_id"])
        for name in ("words", "bullet lines", "curly brackets", "characters in repeated 5-grams")
    }
    assert caught["words"] == {"menu", "stub"}
    assert caught["bullet lines"] == {"menu"}
    assert caught["curly brackets"] == {"code"}
    assert {"loop", "menu", "code"} <= caught["characters in repeated 5-grams"]
    assert "prose" not in set(found.dropped("c4")["item_id"])


def test_rules_about_lines_are_off_where_there_are_few_and_say_so() -> None:
    found = quality([{"item_id": "1", "text": PROSE}, {"item_id": "2", "text": "a\nb\nc"}])
    table = found.table
    lines = {rule.name for rule in RULES if rule.of_lines}
    assert set(table.filter(pl.col("on for") == 1)["rule"]) == lines
    assert set(found.dropped("fineweb")["item_id"]) == {"2"}
    assert "Nothing is dropped" in found.to_html()
    keeps = table.filter(rule="words").row(0, named=True)
    assert (keeps["drops"], keeps["keeps"], keeps["kept if"]) == (1, 0.5, "50 to 100000")


def test_families_and_names_that_are_none_are_said() -> None:
    rows = [{"item_id": "1", "text": PROSE}]
    assert {r.family for r in quality(rows, families=["c4"]).rules} == {"c4"}
    with pytest.raises(ValueError, match="family 'c5' is not one of gopher, gopher repetition"):
        quality(rows, families=["c5"])
    with pytest.raises(ValueError, match="no rule or family 'best'"):
        quality(rows).dropped("best")


def test_an_empty_text_is_dropped_by_its_length_and_breaks_nothing() -> None:
    found = quality([{"item_id": "1", "text": ""}, {"item_id": "2", "text": " \n\n\n "}])
    assert set(found.dropped("words")["item_id"]) == {"1", "2"}
