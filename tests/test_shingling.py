"""Runs of words found by their hashes, against the words themselves."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit import shingling
from scalekit.shingling import Wanted, matching_windows, windows
from scalekit.text import words

SIGNS = st.characters(min_codepoint=32, max_codepoint=0x24F) | st.sampled_from("🅰🄰Ⓐ‿_⚧️☑ꦤ꧀")
TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "É", "d!", "ﬁn", "x_1", "ΟΔΟΣ", "中文"]), max_size=7)
    .map(" ".join) | st.text(SIGNS, max_size=12),
    max_size=12,
)  # fmt: skip


@pytest.fixture(autouse=True, params=[20, 300_000], ids=["small blocks", "one block"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shingling, "BLOCK", request.param)


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS, st.integers(1, 4))
def test_matches_are_the_runs_that_stand_in_the_other_texts(
    texts: list[str], others: list[str], n: int
) -> None:
    def runs(text: str) -> list[tuple[str, ...]]:
        own = [w.folded for w in words(text)]
        return [tuple(own[i : i + n]) for i in range(len(own) - n + 1)]

    wanted = {n: Wanted(windows(pl.Series(others, dtype=pl.String), n))}
    known = {run for text in others for run in runs(text)}
    assert len(wanted[n].hashes) == len(known)
    found, sizes, names = set(), [], {}
    for first, counts, matches in matching_windows(pl.Series(texts, dtype=pl.String), wanted):
        assert first == len(sizes)
        sizes += counts.tolist()
        own = matches[n]
        for code, text, at in zip(own.hash, own.text + first, own.at, strict=True):
            found.add((int(text), int(at)))
            assert names.setdefault(int(code), runs(texts[text])[at]) == runs(texts[text])[at]
    assert sizes == [len(words(text)) for text in texts]
    assert found == {
        (t, at) for t, text in enumerate(texts) for at, run in enumerate(runs(text)) if run in known
    }
    assert len(set(names.values())) == len(names)
