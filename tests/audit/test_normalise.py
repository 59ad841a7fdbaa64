from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalekit.audit import normalise

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
spaced = st.text(st.sampled_from("ab \n\t\r\u00a0\u200b\u3000e\u0301\u200d"), max_size=30)


@settings(deadline=None, max_examples=300)
@example("a\n \n \nb")
@example("e\u200b\u0301")
@example("\u200b \u200b")
@given(anything | spaced)
def test_mending_twice_mends_nothing_more(text: str) -> None:
    once, _ = normalise(text)
    again, changes = normalise(once)
    assert again == once
    assert changes == ()


@settings(deadline=None, max_examples=300)
@given(anything | spaced)
def test_no_change_is_unsaid_and_none_is_made_up(text: str) -> None:
    mended, changes = normalise(text)
    assert bool(changes) == (mended != text)


@settings(deadline=None, max_examples=300)
@given(anything | spaced)
def test_a_mended_text_is_trimmed_composed_and_shows_all_it_has(text: str) -> None:
    mended, _ = normalise(text)
    assert mended == mended.strip()
    assert "  " not in mended
    assert "\n\n\n" not in mended
    assert unicodedata.is_normalized("NFC", mended)
    assert not {c for c in mended if unicodedata.category(c) == "Cc"} - {"\n"}
    hidden = {
        c for c in mended if unicodedata.bidirectional(c) in ("LRE", "RLE", "PDF", "LRO", "RLO")
    }
    assert not hidden
    assert not {c for c in mended if unicodedata.bidirectional(c) in ("LRI", "RLI", "FSI", "PDI")}


@pytest.mark.parametrize(
    ("text", "mended", "changes"),
    [
        ("all fine", "all fine", ()),
        ("naÃ¯ve cafÃ©", "naïve café", ("broken encoding",)),
        ("â€œquotedâ€\x9d", "“quoted”", ("broken encoding",)),
        ("pass\u200bword", "password", ("invisible characters",)),
        ("\u202eevil\u202c", "evil", ("invisible characters",)),
        ("\u061cevil", "evil", ("invisible characters",)),
        ("soft\u00adhyphen", "softhyphen", ("invisible characters",)),
        ("red \x1b[31mtext\x1b[0m", "red text", ("control characters",)),
        ("nu\x00ll \x07bell \x7f\x81", "null bell", ("control characters", "white space")),
        ("page\fpage\rline\r\nend", "page page line\nend", ("white space",)),
        ("wait\x85", "wait…", ("broken encoding",)),
        ("  a \t b\u00a0c  ", "a b c", ("white space",)),
        ("a\n\n\n\nb", "a\n\nb", ("white space",)),
        ("می\u200cخواهم", "می\u200cخواهم", ()),
        ("👩\u200d🚀", "👩\u200d🚀", ()),
        ("क्\u200dष", "क्\u200dष", ()),
        ("“curly” ﬁ ＡＢ &amp; &lt;b&gt;", "“curly” ﬁ ＡＢ &amp; &lt;b&gt;", ()),
        ("", "", ()),
    ],
)
def test_mends_by_hand(text: str, mended: str, changes: tuple[str, ...]) -> None:
    assert normalise(text) == (mended, changes)


def test_composing_an_accent_is_not_called_a_broken_encoding() -> None:
    mended, changes = normalise("cafe\u0301")
    assert mended == "caf\u00e9"
    assert changes
    assert "broken encoding" not in changes
