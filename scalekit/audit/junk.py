"""Junk: texts that teach nothing, each with the rule that says so."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.text import PLAIN, folded_words

__all__ = ["junk_rule", "junk_rules"]

Counts = NDArray[np.int64]
BLOCK = 512  # texts counted at a time: as much as the processor's cache holds

_ENDINGS = ("example", "com", "net", "org", "shop", "biz", "info")
_LINK = re.compile(rf"https?://\S+|www\.\S+|(?<![\w-])[\w-]++\.(?:{'|'.join(_ENDINGS)})\b/?\S*")
# What ``_LINK`` finds has one of these, and no white space in it.
_LINK_PARTS = ("http://", "https://", "www.", *(f".{ending}" for ending in _ENDINGS))
_AUTO_REPLY = re.compile(
    r"\b(?:out of (?:the )?office|automat(?:ic|ed) (?:reply|response)|auto[- ]?reply|"
    r"do not reply to this (?:e-?mail|message)|undeliverable)\b",
    re.IGNORECASE,
)
_CONSONANTS = re.compile(r"[^aeiouyàâäáãåèéêëìíîïòóôöõùúûüœæ]{4}")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Neighbouring keys in a row, from the left or from the right.
_NEIGHBOURS = frozenset(
    row[start:end]
    for keys in _KEYS
    for row in (keys, keys[::-1])
    for end in range(len(row) + 1)
    for start in range(end)
)


def junk_rule(text: str) -> str | None:
    """Return why *text* is junk, or None.

    The rules, in order: mostly signs, one word repeated, one sentence repeated, keyboard mashing,
    a link with little else, an automatic reply. They are deliberately few and blunt: what they
    mark can be seen and restored.
    """
    visible = "".join(text.split())
    letters = sum(map(str.isalpha, visible))
    if visible and letters / len(visible) < 0.4:
        return f"mostly signs: {letters} letters in {len(visible)} characters"
    found = folded_words(text)
    if not found:
        return "no words"
    common, times = Counter(found).most_common(1)[0]
    if len(found) >= 4 and times / len(found) > 0.5:
        return f"one word repeated: {common!r} {times} times in {len(found)} words"
    said = Counter(_sentences(text.casefold()))
    if said and said.most_common(1)[0][1] >= 4:
        return f"one sentence repeated {said.most_common(1)[0][1]} times"
    if _mashed(found):
        return "keyboard mashing: most words have not the shape of one"
    if any(sign in text for sign in _LINK_PARTS) and sum(map(len, _LINK.findall(text))) > 0.3 * len(
        text
    ):
        return "a link with little else"
    if _AUTO_REPLY.search(text):
        return "an automatic reply"
    return None


def _sentences(text: str) -> list[str]:
    """Return the sentences of two words or more; "e.g." and version numbers have none."""
    ends = text.replace("!", ".").replace("?", ".").replace("\n", ".").split(".")
    return [said for end in ends if " " in (said := end.strip())]


def _mashed(found: list[str]) -> bool:
    latin = [w for w in found if w.isascii() and w.isalpha() and len(w) > 3]
    if len(latin) < len(found) * 0.6:
        return False
    return sum(map(_shapeless, latin)) > len(latin) / 2


def _shapeless(word: str) -> bool:
    """A run of four consonants, or neighbouring keys; few words of a real text have either."""
    return bool(_CONSONANTS.search(word)) or word in _NEIGHBOURS


def junk_rules(texts: pl.Series) -> pl.Series:
    """Return what :func:`junk_rule` says of each text.

    Texts that patterns and counts prove to be none, which are most, are not looked at by the rules.
    """
    # Quotation marks and dashes of print are neither letters nor the end of a sentence.
    plain = texts.str.replace_all(_PRINTED, "-")
    size = plain.str.len_bytes().to_numpy()
    letters, spaces, words, common = _counts(plain)
    suspect = size != plain.str.len_chars().to_numpy()
    suspect |= (words == 0) | (letters < 0.4 * (size - spaces))
    suspect |= plain.str.count_matches(_SHAPELESS).to_numpy() > 0.3 * words
    suspect |= texts.str.contains(_REPLY).to_numpy()
    suspect[_mostly_links(texts)] = True
    rules: list[str | None] = [None] * len(texts)
    # Of a word that is more than half of them, more than half of the words have the first sign.
    alike = (common > words / 2).tolist()
    rows = zip(plain.cast(pl.Binary), suspect.tolist(), alike, strict=True)
    for at, (signs, odd, same) in enumerate(rows):
        if odd or (same and _one_word(signs)) or _one_sentence(signs):
            rules[at] = junk_rule(texts[at])
    return pl.Series("junk", rules, dtype=pl.String)


def _mostly_links(texts: pl.Series) -> pl.Series:
    """Return the places of texts that may be links with little else."""
    linked = texts.str.contains(_LINK_SIGN).arg_true()
    given = texts.gather(linked)
    rest = given.str.replace_all(rf"\S*(?:{_LINK_SIGN})\S*", "").str.len_chars()
    return linked.filter(rest < 0.7 * given.str.len_chars())


_PRINTED = "[‘’“”‚„–—•…«»€£©®™·°×]"
_LINK_SIGN = "|".join(map(re.escape, _LINK_PARTS))
# No letter in them that has other forms than its capital: the two engines fold those alike.
_REPLY = "(?i:out of |automat|auto[- ]?reply|do not reply|undel)"
_CONSONANT = "[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ]"
_ROWS = "|".join(sorted(n for n in _NEIGHBOURS if len(n) == 4 and set(n) & set("aeiouy")))
# Each shapeless word has at least one of these.
_SHAPELESS = rf"{_CONSONANT}{{4}}|(?i-u:{_ROWS})"


def _counts(texts: pl.Series) -> tuple[Counts, Counts, Counts, Counts]:
    """Return of each ASCII text: letters, blanks, words, those with the commonest first sign."""
    _, offsets, data = texts.rechunk().to_arrow().buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[: len(texts) + 1]
    signs = np.frombuffer(data, dtype=np.uint8) if data else np.empty(0, dtype=np.uint8)
    parts = []
    for first in range(0, len(texts), BLOCK):
        own = starts[first : first + BLOCK + 1]
        parts.append(_counts_of(signs[own[0] : own[-1]], own - own[0]))
    if not parts:
        return (np.empty(0, dtype=np.int64),) * 4
    letters, spaces, words, common = (np.concatenate(part) for part in zip(*parts, strict=True))
    return letters, spaces, words, common


def _counts_of(data: NDArray[np.uint8], starts: Counts) -> tuple[Counts, Counts, Counts, Counts]:
    signs = _SIGNS[data]
    many, kinds = len(starts) - 1, int(_SIGNS.max()) + 1
    found = []
    for which in ((signs - np.uint8(2)) < 26, data == ord(" ")):
        before = np.zeros(len(signs) + 1, dtype=np.int32)
        np.cumsum(which, out=before[1:])
        found.append(np.diff(before[starts]))
    ahead = np.ones(len(signs) + 1, dtype=bool)  # no word goes on here
    ahead[1:] = np.append(signs, 0)[:-1] == 0
    ahead[starts] = True
    begin = np.flatnonzero((signs > 0) & ahead[:-1])
    words = np.diff(np.searchsorted(begin, starts))
    key = np.repeat(np.arange(many), words) * kinds + signs[begin]
    common = np.bincount(key, minlength=many * kinds).reshape(many, kinds).max(axis=1)
    return found[0], found[1], words, common


# Of each byte: 0 where no word is, 1 for digits and such, 2 to 27 for letters.
_SIGNS = np.array(
    [
        0 if sign == " " else ord(sign) - ord("a") + 2 if sign.isalpha() else 1
        for sign in PLAIN + "_" * 128
    ],
    dtype=np.uint8,
)


def _one_word(text: bytes) -> bool:
    """Say whether one word is more than half of this ASCII text."""
    found = text.translate(_WORDS).split()
    return 2 * max(Counter(found).values(), default=0) > len(found)


def _one_sentence(text: bytes) -> bool:
    """Say whether this ASCII text has one sentence four times."""
    said = [s for part in text.translate(_ENDS).split(b".") if b" " in (s := part.strip())]
    return len(said) - len(set(said)) >= 3 and max(Counter(said).values()) >= 4


_WORDS = PLAIN.encode() + bytes(128)
_ENDS = bytes(ord("." if chr(c) in "!?\n" else chr(c).lower()) for c in range(128)) + bytes(128)
