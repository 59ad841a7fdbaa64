from __future__ import annotations

import inspect
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit import Harm, harm
from scalekit.audit.harm import LISTS
from scalekit.frames import FrameError
from scalekit.text import words

CLEAN = (
    "Where is my parcel? It should have been here on Monday.",
    "The process was killed by the kernel; kill it with signal nine.",
    "A method of cooking rice; the methane sensor; a therapist's grape juice.",
    "She shot the film in Sussex and cut the scene herself.",
    "Please hang up and call again, or I will find another shop.",
)


def items(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{n}" for n in range(len(texts))], "text": list(texts)})


@pytest.mark.parametrize("category", LISTS)
def test_every_entry_is_found_in_its_category_whatever_stands_around_it(category: str) -> None:
    for entry in LISTS[category]:
        for text in (entry, f"So, {entry.upper()}!", f"they said “{entry}” twice"):
            found = harm(items("nothing", text)).findings
            mine = found.filter(pl.col("category") == category)
            assert mine["item_id"].to_list() == ["i1"], text
            # Words of one letter cannot be hidden behind their first.
            for word in words(entry):
                if len(word.folded) > 2:
                    assert word.folded not in mine["reason"][0].removeprefix(category).casefold()
                    assert f" {word.folded} " not in f" {mine['sample'][0]} ".casefold()


def test_clean_texts_have_no_finding() -> None:
    report = harm(items(*CLEAN))
    assert report.findings.is_empty()
    assert report.table["items"].sum() == 0
    assert report.items == len(CLEAN)


def test_findings_are_counted_masked_and_not_dropped() -> None:
    report = harm(items("cocaine, Cocaine and a pipe-bomb", "cocai\u200bne", "fine", "ＬＳＤ"))
    assert report.findings.rows() == [
        ("i0", "drugs", "drugs: c······ (2)", None, "c······, C······ and a p···-b···"),
        ("i1", "drugs", "drugs: c······", None, "c····\u200b··"),
        ("i3", "drugs", "drugs: l··", None, "Ｌ··"),
        ("i0", "weapons", "weapons: p··· b···", None, "c······, C······ and a p···-b···"),
    ]
    counts = {row["category"]: row["items"] for row in report.table.to_dicts()}
    assert (counts["drugs"], counts["weapons"], counts["slur"]) == (3, 1, 0)
    assert report.marks.columns == ["item_id", "rule", "reason", "kept_id", "score"]
    assert set(report.marks["rule"]) == {"harm"}
    page = report.to_html()
    assert "3 of 4 texts have something to look at" in page
    assert "cocaine" not in page.casefold()


def test_the_code_spells_no_slur() -> None:
    source = Path(inspect.getfile(Harm)).read_text(encoding="utf-8")
    assert not {word.folded for word in words(source)} & set(LISTS["slur"])


def test_lists_of_ones_own_are_added_or_stand_alone() -> None:
    added = harm(items("the Frobnicator, LSD"), lists={**LISTS, "mine": ["frobnicator"]})
    assert set(added.findings["category"]) == {"mine", "drugs"}
    alone = harm(items("the Frobnicator, LSD"), lists={"mine": ["frobnicator"]})
    assert alone.findings["category"].to_list() == ["mine"]
    with pytest.raises(ValueError, match=r"list 'mine': entry '\?!' has no word"):
        harm(items("a"), lists={"mine": ["?!"]})
    assert harm(items("a"), lists={}).findings.is_empty()


def test_a_classifier_adds_its_findings_with_their_scores() -> None:
    def classifier(texts: list[str]) -> list[float]:
        return [min(1.0, len(text) / 10) for text in texts]

    report = harm(items("short", "a long text", "LSD"), classifier=classifier, at_least=0.5)
    found = report.findings.filter(category="classifier")
    assert found.select("item_id", "score").rows() == [("i0", 0.5), ("i1", 1.0)]
    assert found["reason"][0] == "classifier: scores 0.50, 0.5 or more is a finding"
    assert report.table.row(-1) == ("classifier", "classifier", 2, 2 / 3)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.1], r"shape \(1,\) for 2 texts"),
        ([[0.1, 0.2], [0.1, 0.2]], r"shape \(2, 2\) for 2 texts"),
        ([0.1, float("nan")], "gave nan for text 1"),
        ([1.5, 0], "gave 1.5 for text 0"),
    ],
)
def test_a_classifier_that_gives_no_scores_is_refused(scores: list[object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        harm(items("a", "b"), classifier=lambda texts: scores)


def test_bad_input_is_named() -> None:
    with pytest.raises(FrameError, match="'text' is missing"):
        harm(pl.DataFrame({"item_id": ["a"]}))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.lists(
            st.sampled_from(["kill", "myself", "you", "LSD", "and", "a", "bomb", "make",
                             ", ", "-", " ", " ", "é", "\u00ad"]),
            max_size=8,
        ).map("".join),
        max_size=4,
    )
)  # fmt: skip
def test_findings_are_those_of_looking_at_every_run_of_words(texts: list[str]) -> None:
    phrases = {tuple(w.folded for w in words(e)): c for c, es in LISTS.items() for e in es}
    expected = set()
    for n, text in enumerate(texts):
        said = [w.folded for w in words(text)]
        for start in range(len(said)):
            for end in range(start + 1, len(said) + 1):
                if category := phrases.get(tuple(said[start:end])):
                    expected.add((f"i{n}", category))
    found = harm(items(*texts)).findings.select("item_id", "category").rows()
    assert set(found) == expected
    assert len(found) == len(expected), "one row for each text and category"
