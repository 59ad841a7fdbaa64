"""Junk: texts that teach nothing, each with the rule that says so."""

from __future__ import annotations

import re
from collections import Counter

from scalekit.text import words

__all__ = ["junk_rule"]

_LINK = re.compile(r"https?://\S+|www\.\S+|\b[\w-]+\.(?:example|com|net|org|shop|biz|info)\b/?\S*")
_AUTO_REPLY = re.compile(
    r"\b(?:out of (?:the )?office|automat(?:ic|ed) (?:reply|response)|auto[- ]?reply|"
    r"do not reply to this (?:e-?mail|message)|undeliverable)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\n]*")
_VOWEL = re.compile(r"[aeiouyàâäáãåèéêëìíîïòóôöõùúûüœæ]", re.IGNORECASE)


def junk_rule(text: str) -> str | None:
    """Return why *text* is junk, or None.

    The rules, in order: mostly signs, one word repeated, one sentence repeated, keyboard mashing,
    a link with little else, an automatic reply. They are deliberately few and blunt: what they
    mark can be seen and restored.
    """
    visible = [c for c in text if not c.isspace()]
    letters = sum(c.isalpha() for c in visible)
    if visible and letters / len(visible) < 0.4:
        return f"mostly signs: {letters} letters in {len(visible)} characters"
    found = [w.folded for w in words(text)]
    if not found:
        return "no words"
    common, times = Counter(found).most_common(1)[0]
    if len(found) >= 4 and times / len(found) > 0.5:
        return f"one word repeated: {common!r} {times} times in {len(found)} words"
    lines = Counter(s.strip().casefold() for s in _SENTENCE.findall(text) if s.strip())
    if lines and lines.most_common(1)[0][1] >= 4:
        return f"one sentence repeated {lines.most_common(1)[0][1]} times"
    if _mashed(found):
        return "keyboard mashing: most words have not the shape of one"
    links = _LINK.findall(text)
    if links and sum(map(len, links)) > 0.3 * len(text):
        return "a link with little else"
    if _AUTO_REPLY.search(text):
        return "an automatic reply"
    return None


def _mashed(found: list[str]) -> bool:
    latin = [w for w in found if w.isascii() and w.isalpha() and len(w) > 3]
    if len(latin) < len(found) * 0.6:
        return False
    return sum(map(_shapeless, latin)) > len(latin) / 2


def _shapeless(word: str) -> bool:
    """A run of four consonants, or neighbouring keys; few words of a real text have either."""
    runs = max(map(len, _VOWEL.split(word)))
    rows = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    return runs >= 4 or any(word in row or word in row[::-1] for row in rows)
