"""Mend a text without changing what it says, and say what was mended."""

from __future__ import annotations

import re
import unicodedata

import ftfy

__all__ = ["CHANGES", "normalise"]

CHANGES = ("broken encoding", "invisible characters", "composed signs", "white space")

# Joiners inside words stay (Persian, Hindi and emoji need them); direction overrides never do.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
_CONFIG = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    fix_line_breaks=False,
    normalization=None,
)


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the mended text and which of :data:`CHANGES` were made.

    Broken encodings are repaired with ftfy (quotes, ligatures and HTML entities are left as
    written), invisible and direction-override characters dropped, accents composed (NFC), runs of
    blanks made one. Mending a mended text changes nothing.
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


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _spaced(text: str) -> str:
    blanks = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", blanks)).strip()


_STEPS = (_encoding, _visible, _composed, _spaced)
