"""Mend a text without changing what it says, and say what was mended."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import ftfy
import ftfy.badness
import polars as pl

__all__ = ["CHANGES", "lists", "normalise", "normalised"]

CHANGES = (
    "broken encoding",
    "control characters",
    "invisible characters",
    "composed signs",
    "white space",
)

# Joiners inside words stay (Persian, Hindi and emoji need them); direction overrides never do.
_HIDDEN = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc"
_INVISIBLE = re.compile(f"[{_HIDDEN}]")
# Category Cc but for what parts words, and with them the sequences that colour a terminal.
_CODES = r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_CONTROLS = re.compile(rf"\x1b\[[\d;]*[a-zA-Z]|[{_CODES}]")
# What Python's \s means, but for the line feed; other engines leave some of it out.
_BLANKS = r"\t\x0b-\r\x1c-\x1f \x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONFIG = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    fix_line_breaks=False,
    remove_control_chars=False,
    normalization=None,
)


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the mended text and which of :data:`CHANGES` were made.

    Broken encodings are repaired with ftfy (quotes, ligatures and HTML entities are left as
    written), control characters (category Cc but for line feeds and blanks), invisible and
    direction-override characters dropped, accents composed (NFC), runs of blanks made one. Mending
    a mended text changes nothing.
    """
    made: set[str] = set()
    before = None
    while before != text:  # one mend can uncover another: a sign between a letter and its accent
        before = text
        for change, mended in zip(CHANGES, _STEPS, strict=True):
            after = mended(text)
            if after != text:
                made.add(change)
            text = after
    return text, tuple(c for c in CHANGES if c in made)


def _encoding(text: str) -> str:
    mended: str = ftfy.fix_text(text, _CONFIG)
    return mended


def _controlled(text: str) -> str:
    return _CONTROLS.sub("", text)


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _spaced(text: str) -> str:
    blanks = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", blanks)).strip()


_STEPS = (_encoding, _controlled, _visible, _composed, _spaced)


def normalised(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return what :func:`normalise` makes of each text: the mended texts, the lists of changes.

    Only texts that a pattern says could change otherwise than by their white space are looked at
    one by one.
    """
    foreign = texts.str.len_bytes() != texts.str.len_chars()
    suspect = (foreign | texts.str.contains(_SUSPECT)).arg_true()
    given = texts.gather(suspect)
    spaced = _all_spaced(given)
    # Also afterwards: a blank made plain can uncover a broken encoding.
    odd = (_may_be_odd(given) | _may_be_odd(spaced)).arg_true()
    exact = [normalise(text) for text in given.gather(odd)]
    changes: list[tuple[str, ...]] = [()] * len(texts)
    for at, loose in zip(suspect, given != spaced, strict=True):
        changes[at] = ("white space",) if loose else ()
    for at, (_, made) in zip(suspect.gather(odd), exact, strict=True):
        changes[at] = made
    spaced = spaced.scatter(odd, pl.Series([text for text, _ in exact], dtype=pl.String))
    mended = texts.clone().scatter(suspect, spaced)
    return mended, lists("changes", changes)


def lists(name: str, rows: Sequence[Sequence[str]]) -> pl.Series:
    """Return a column of lists of text; by way of arrow, which is a hundred times as fast."""
    import pyarrow as pa

    return pl.Series(name, pa.array(rows, type=pa.large_list(pa.large_string())))


_LOOSE = rf"[{_BLANKS.replace(' ', '')}]|  | ?\n |\A[ \n]| \n|\n\n\n|[ \n]\z"
_SUSPECT = rf"[{_CODES}{_HIDDEN}]|{_LOOSE}"


def _all_spaced(texts: pl.Series) -> pl.Series:
    return (
        texts.str.replace_all(rf"[{_BLANKS}]+", " ")
        .str.replace_all(" ?\n ?", "\n")
        .str.replace_all("\n{3,}", "\n\n")
        .str.strip_chars(" \n")
    )


def _may_be_odd(texts: pl.Series) -> pl.Series:
    """Say of each text whether anything but its white space might be mended."""
    odd = texts.str.contains(rf"[{_CODES}{_HIDDEN}]")
    foreign = texts.str.len_bytes() != texts.str.len_chars()
    odd |= foreign & texts.str.contains(_broken())
    # Below U+0300 every text is composed.
    apart = (foreign & ~odd & texts.str.contains(r"[^\x00-\u02ff]")).arg_true()
    loose = [not unicodedata.is_normalized("NFC", text) for text in texts.gather(apart)]
    return odd.scatter(apart, pl.Series(loose, dtype=pl.Boolean))


@cache
def _broken() -> str:
    """Return ftfy's own pattern of broken encodings, as the engine of polars reads it.

    It finds no less: where the two engines differ (white space, letters) any sign will do.
    """
    out, inside, comment, signs = [], False, False, iter(ftfy.badness.BADNESS_RE.pattern)
    for sign in signs:
        if comment:
            comment = sign != "\n"
        elif sign == "\\":
            escaped = next(signs)
            out.append("(?s:.)" if escaped in "sw" and not inside else sign + escaped)
        elif sign == "[" and not inside:
            inside = True
            out.append(sign)
        elif inside:
            inside = sign != "]"
            out.append(sign if sign not in " [&~" else f"\\x{ord(sign):02x}")
        elif sign == "#":
            comment = True
        elif not sign.isspace():
            out.append(sign)
    return "(?m)" + "".join(out)
