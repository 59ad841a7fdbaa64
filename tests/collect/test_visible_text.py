"""The visible text of pages, against the words they were made from and against Beautiful Soup."""

from __future__ import annotations

from html import escape

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.collect.visible_text import UNSEEN, visible_text

words = st.text("abcdefäß<&>\"'€", min_size=1, max_size=8).filter(lambda w: not w.isspace())
hidden = st.tuples(st.sampled_from(sorted(UNSEEN - {"head"})), st.text("abc", min_size=1)).map(
    lambda made: (f"<{made[0]}>{made[1]}</{made[0]}>", [])
)
page = st.recursive(
    words.map(lambda w: (escape(w), [w])) | hidden,
    lambda inner: st.tuples(
        st.sampled_from(["p", "div", "ul", "b", "td", "section"]), st.lists(inner, max_size=4)
    ).map(
        lambda node: (
            f"<{node[0]}>" + " ".join(html for html, _ in node[1]) + f"</{node[0]}>",
            [w for _, seen in node[1] for w in seen],
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(page)
def test_every_word_that_is_seen_comes_in_order_and_no_other(made: tuple[str, list[str]]) -> None:
    html, seen = made
    text = visible_text(f"<html><head><title>no</title></head><body>{html}</body></html>")
    assert "".join(text.split()) == "".join("".join(seen).split())


REAL = """<!doctype html><html lang=de><head><meta charset=utf-8><title>Titel</title>
<style>p{color:red}</style><body><nav><ul><li><a href=/>Start</a><li><a href=/x>Über uns</a></ul>
</nav><h1>Rück&shy;gabe &amp; Umtausch</h1><p>Sie haben 14&nbsp;Tage<br>Zeit. <!-- nicht zeigen -->
<script>if (1 < 2) document.write("<p>nein</p>")</script><table><tr><th>Frist<th>Kosten
<tr><td>14 Tage<td>0&nbsp;€</table><pre>Zeile 1
Zeile 2</pre><noscript>kein</noscript><p>Ende <b>gut</b>, alles gut."""


def test_a_page_as_people_write_them_reads_as_it_is_seen() -> None:
    assert visible_text(REAL).split("\n") == [
        "Start", "Über uns", "Rück\xadgabe & Umtausch", "Sie haben 14 Tage", "Zeit.",
        "Frist Kosten", "14 Tage 0 €", "Zeile 1", "Zeile 2", "Ende gut, alles gut.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "html", [REAL, REAL * 3, REAL[::2], REAL.replace("</", "<"), REAL.upper(), "<" * 50, "&#x;&"]
)
def test_no_sign_is_lost_that_a_known_library_finds(html: str) -> None:
    soup = BeautifulSoup(html, "html.parser")
    for hidden in soup(sorted(UNSEEN)):
        hidden.extract()
    theirs = set("".join(soup.get_text().split()))
    assert theirs <= set("".join(visible_text(html).split())) | {"\ufffd"}


SIGNS = ["<", "<!", "<![", "<![CDATA[", "]]>", "<!DOCTYPE", "<!--", "-->", "<?", ">", "</", "&",
         "&#", "x;", '"', "'", "=", "p", "script", "</script>", " "]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(SIGNS), max_size=12).map("".join))
def test_no_markup_is_so_broken_that_reading_fails(html: str) -> None:
    assert isinstance(visible_text(html), str)


@pytest.mark.parametrize("sign", ["<p ", "<!--", "<a b='", "<![ ", "<svg>"])
def test_a_page_of_open_markup_is_read_in_time_that_grows_with_its_length(sign: str) -> None:
    # In the square of its length, this would take the better part of an hour.
    assert visible_text(f"<p>seen</p>{sign * 200_000}").startswith("seen")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<![if !mso]><p>two<![endif]><p>three", "one\ntwo\nthree"),
        ("<p>one<![ broken> two", "one two"),
        ("<p>one<!-- never closed <p>two", "one two"),
        ("<p>1 < 2 and 2 > 1", "1 < 2 and 2 > 1"),
        ("<p>one <3", "one <3"),
        ("<head><title>t</title><p>the head was never closed", "the head was never closed"),
        ("no markup at all", "no markup at all"),
        ("<p>one</script></p><p>two", "one\ntwo"),
        ("", ""),
    ],
)
def test_broken_markup_loses_no_text_after_it(html: str, text: str) -> None:
    assert visible_text(html) == text
