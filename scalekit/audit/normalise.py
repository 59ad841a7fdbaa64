"""Mend a text without changing what it says, and say what was mended."""

from __future__ import annotations

import re

import ftfy

__all__ = ["CHANGES", "normalise"]

CHANGES = ("broken encoding", "invisible characters", "white space")

# Joiners inside words stay (Persian, Hindi and emoji need them); direction overrides never do.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_CONFIG = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    fix_line_breaks=False,
    normalization="NFC",
)


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the mended text and which of :data:`CHANGES` were made.

    Broken encodings are repaired with ftfy (quotes, ligatures and HTML entities are left as
    written), invisible and direction-override characters dropped, runs of blanks made one.
    """
    mended = ftfy.fix_text(text, _CONFIG)
    visible = _INVISIBLE.sub("", mended)
    spaced = re.sub(r"[^\S\n]+", " ", visible)
    spaced = re.sub(r" ?\n ?", "\n", re.sub(r"\n{3,}", "\n\n", spaced)).strip()
    steps = ((text, mended), (mended, visible), (visible, spaced))
    return spaced, tuple(c for c, (a, b) in zip(CHANGES, steps, strict=True) if a != b)
