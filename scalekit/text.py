"""Words, shingles and their overlap: used by audit (near-duplicates) and by decontamination."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

__all__ = [
    "PLAIN",
    "Pairs",
    "ShingleIndex",
    "Word",
    "fold",
    "folded_words",
    "jaccard_pairs",
    "shingles",
    "words",
]

# Zero-width and bidirectional controls, soft hyphen: invisible, so they must not hide a duplicate.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Word:
    """A folded word and the character span ``[start, end)`` it has in the original text."""

    folded: str
    start: int
    end: int


def fold(text: str) -> str:
    """Return *text* as compared: without case, width, compatibility forms, invisible characters.

    Compatibility caseless matching of the Unicode standard (section 3.13, D146), composed.
    """
    bare = unicodedata.normalize("NFD", _INVISIBLE.sub("", text))
    once = unicodedata.normalize("NFKD", bare.casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def words(text: str) -> list[Word]:
    """Split *text* into folded words, each with its place in the original.

    A word is a run of letters, digits and underscores with the marks that belong to them.
    """
    if text.isascii():
        return [Word(m[0].lower(), m.start(), m.end()) for m in _WORD.finditer(text)]
    spans = list(_clusters(text))
    pieces = [fold(text[start:end]) for start, end in spans]
    if "".join(pieces) != fold(text):  # signs that fold otherwise together: keep them together
        spans, pieces = [(0, len(text))], [fold(text)]
    found: list[Word] = []
    word, first, last = "", 0, 0
    for (start, end), piece in zip(spans, pieces, strict=True):
        for sign in piece:
            if _WORD.match(sign) or (word and unicodedata.category(sign)[0] == "M"):
                first = first if word else start
                word, last = word + sign, end
            elif word:
                found.append(Word(word, first, last))
                word = ""
    return [*found, Word(word, first, last)] if word else found


# Of each ASCII sign: its lower case where it belongs to a word, else a blank.
PLAIN = "".join(chr(c).lower() if _WORD.match(chr(c)) else " " for c in range(128))
_FOREIGN = re.compile(r"[^\x00-\x7f]+")


def folded_words(text: str) -> list[str]:
    """Return the words as :func:`words` folds them, many times faster, without their places."""
    if text.isascii():
        return text.translate(PLAIN).split()
    folded = fold(text)
    foreign = set("".join(_FOREIGN.findall(folded)))
    marks = "".join(sign for sign in foreign if unicodedata.category(sign)[0] == "M")
    return re.findall(rf"\w[\w{marks}]*" if marks else r"\w+", folded)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Return spans that fold on their own: a sign with all that composes with it."""
    start, before = 0, ""
    for i, sign in enumerate(text):
        if i and not _composes(before, sign):
            yield start, i
            start = i
        if not _INVISIBLE.match(sign):  # what is not seen keeps no two signs apart
            before = sign
    if text:
        yield start, len(text)


def _composes(before: str, sign: str) -> bool:
    hangul = "\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"
    return (
        unicodedata.category(sign)[0] == "M"
        or (hangul and "\u1160" <= sign <= "\u11ff")  # vowels and finals
        or sign in "\uff9e\uff9f"  # half-width voicing marks
        or bool(_INVISIBLE.match(sign))
    )


def shingles(folded: Sequence[str], n: int) -> list[str]:
    """Return the word n-grams, in order; a text of fewer than *n* words gives one whole shingle."""
    if not folded:
        return []
    n = min(n, len(folded))
    return [" ".join(folded[i : i + n]) for i in range(len(folded) - n + 1)]


class ShingleIndex:
    """Numbers for shingles, so that sets of them become rows of a sparse 0/1 matrix."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def matrix(self, texts: Sequence[str], n: int) -> sparse.csr_array:
        """Return texts x shingles, each entry 1 where the text has the shingle."""
        from scipy import sparse

        columns: list[int] = []
        ends = [0]
        for text in texts:
            grams = dict.fromkeys(shingles(folded_words(text), n))
            columns.extend(self._numbers.setdefault(g, len(self._numbers)) for g in grams)
            ends.append(len(columns))
        data = np.ones(len(columns), dtype=np.int32)
        shape = (len(texts), len(self._numbers))
        return sparse.csr_array((data, np.array(columns), np.array(ends)), shape=shape)


@dataclass(frozen=True)
class Pairs:
    """Pairs of row numbers with ``left < right`` and their exact Jaccard similarity."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    score: NDArray[np.float64]


def jaccard_pairs(texts: Sequence[str], n: int, threshold: float, block: int = 2048) -> Pairs:
    """Return all pairs of texts whose sets of word n-grams have Jaccard similarity >= threshold.

    Exact: no pair is missed and each score is the true one. The intersections come from sparse
    products of a block of rows with all rows, so memory stays bounded by the pairs that share a
    shingle. Texts without words match nothing.

    Parameters
    ----------
    texts
        The texts.
    n
        Words in a shingle; shorter texts are one whole shingle.
    threshold
        In (0, 1].
    block
        Rows multiplied at a time.

    Raises
    ------
    ValueError
        When *threshold* is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold}")
    rows = ShingleIndex().matrix(texts, n)
    sizes = np.diff(rows.indptr).astype(np.int64)
    columns = rows.T.tocsr()
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for start in range(0, len(texts), block):
        shared = (rows[start : start + block] @ columns).tocoo()
        left, right = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
        union = sizes[left] + sizes[right] - shared.data
        score = shared.data / union
        keep = (left < right) & (score >= threshold)
        found.append((left[keep], right[keep], score[keep]))
    if not found:
        empty = np.empty(0, dtype=np.int64)
        return Pairs(empty, empty, np.empty(0))
    left, right, score = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((right, left))
    return Pairs(left[order], right[order], score[order])
