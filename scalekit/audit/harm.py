"""Harmful content: candidates by word lists and by a classifier of one's own; nothing is dropped.

The lists are short and blunt. They know words, not what is meant: a report of a crime, a help line,
a history book and a threat look the same to them, an ordinary word with a second meaning is found,
an insult in plain words or in another language than English is not, nor a word spelt to hide. So
what they find is a question for a person, and what they do not find is no proof. A ``classifier``
that was trained for one's own texts is the better judge; none comes with the package, as those
there are would have to be fetched and were trained on other texts.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import ids_unique, require, texts_given, to_polars
from scalekit.shingling import windows, with_windows
from scalekit.text import Word, words

__all__ = ["LISTS", "Harm", "harm"]

LISTS: Mapping[str, tuple[str, ...]] = {
    "self-harm": (
        "suicide", "suicidal", "self harm", "self harming", "kill myself", "killing myself",
        "hang myself", "cut myself", "cutting myself", "hurt myself", "harm myself", "end my life",
        "ending my life", "take my own life", "want to die", "wanna die", "kill yourself",
        "end it all",
    ),
    "threat": (
        "kill you", "kill him", "kill her", "kill them all", "murder you", "shoot you", "stab you",
        "beat you up", "hurt you", "i will find you", "cut your throat", "slit your throat",
        "blow you up", "burn your house", "burn down your", "you will die", "you are dead",
        "you re dead", "bomb threat", "mass shooting", "school shooting", "behead", "beheaded",
    ),
    "sexual": (
        "porn", "porno", "pornography", "pornographic", "nudes", "naked pictures", "sex tape",
        "sex video", "oral sex", "anal sex", "blowjob", "blow job", "handjob", "masturbate",
        "masturbating", "masturbation", "orgasm", "erotic", "rape", "raped", "rapist", "incest",
        "molest", "molested", "child abuse", "escort service",
    ),
    "drugs": (
        "cocaine", "heroin", "methamphetamine", "crystal meth", "fentanyl", "mdma", "lsd",
        "meth lab", "crack cocaine", "ketamine", "ghb", "magic mushrooms", "buy weed", "sell weed",
        "drug dealer", "snort", "snorting", "get high", "getting high", "overdose", "overdosed",
    ),
    "weapons": (
        "pipe bomb", "nail bomb", "car bomb", "make a bomb", "build a bomb", "bomb making",
        "molotov cocktail", "explosive device", "detonator", "ghost gun", "machine gun",
        "assault rifle", "sawed off shotgun", "ammunition", "nerve agent", "nerve gas", "sarin",
        "ricin", "anthrax", "chemical weapon", "chemical weapons", "dirty bomb",
    ),
    # Spelt in rot13: the words need not stand in a file that people read.
    "slur": tuple(
        codecs.decode(word, "rot13")
        for word in (
            "avttre", "avttref", "snttbg", "snttbgf", "xvxr", "xvxrf", "puvax", "puvaxf", "fcvp",
            "fcvpf", "genaal", "genaavrf", "jrgonpx", "jrgonpxf", "cnxv", "cnxvf", "enturnq",
            "gbjryurnq", "ergneq", "ergneqf", "ergneqrq",
        )
    ),
}  # fmt: skip
"""Words and phrases by category, without case."""
CLASSIFIER = "classifier"
CONTEXT = 60  # characters of a sample on either side
FOUND = {
    "item_id": pl.String,
    "category": pl.String,
    "reason": pl.String,
    "score": pl.Float64,
    "sample": pl.String,
}


@dataclass(frozen=True)
class Harm(View):
    """Texts that may do harm, to be looked at.

    ``findings``: ``item_id, category, reason, score, sample``, a row for each text and category;
    the score is the classifier's, null for a list. In reasons and samples the words are masked but
    for their first letter. ``items`` is how many texts were looked at.
    """

    findings: pl.DataFrame
    categories: tuple[str, ...]
    items: int

    @property
    def table(self) -> pl.DataFrame:
        """One row for each category: how many texts have it, and their share."""
        found = dict(self.findings["category"].value_counts().iter_rows())
        return pl.DataFrame(
            [
                {
                    "category": category,
                    "found by": "classifier" if category == CLASSIFIER else "words",
                    "items": found.get(category, 0),
                    "share": found.get(category, 0) / max(self.items, 1),
                }
                for category in self.categories
            ]
        )

    @property
    def marks(self) -> pl.DataFrame:
        """The findings as the audit's marks: ``item_id, rule, reason, kept_id, score``."""
        return self.findings.select(
            "item_id",
            pl.lit("harm").alias("rule"),
            "reason",
            pl.lit(None, dtype=pl.String).alias("kept_id"),
            "score",
        )

    def to_html(self) -> str:
        """Show the counts and, of each category, a few samples with the words masked."""
        said = (
            f"{self.findings['item_id'].n_unique():,} of {counted(self.items, 'text')} have "
            "something to look at. Nothing is dropped: words are no proof of harm, and harm can do "
            "without them."
        )
        samples = self.findings.group_by("category", maintain_order=True).head(3)
        shown = samples.select("category", "item_id", "reason", "sample")
        return block("Harm", note(said), table(self.table), table(shown))


def harm(
    items: Any,
    *,
    lists: Mapping[str, Sequence[str]] = LISTS,
    classifier: Callable[[list[str]], Any] | None = None,
    at_least: float = 0.5,
) -> Harm:
    """Find texts that may do harm.

    Parameters
    ----------
    items
        ``item_id, text``.
    lists
        Category to words and phrases; :data:`LISTS` without it, ``{**LISTS, "mine": […]}`` adds to
        them. Compared as whole words, without case, compatibility forms and invisible characters.
    classifier
        Takes all texts, gives a score for each, in [0, 1], high for harmful.
    at_least
        The score of the classifier from which a text is a finding.

    Raises
    ------
    FrameError
        When a column is missing, an item_id repeats or a text is null.
    ValueError
        When a list has an entry without words, or the classifier gives other than a score for each
        text.
    """
    given = require(to_polars(items, "items"), ("item_id", "text"), "items")
    given = texts_given(ids_unique(given, "item_id", "items"), "items")
    ids, texts = given["item_id"].cast(pl.String), given["text"].cast(pl.String)
    phrases = _phrases(lists)
    rows: list[tuple[str, str, str, float | None, str]] = []
    for at in _may_have(texts, phrases).arg_true():
        rows += [(ids[at], *found) for found in _found(texts[at], phrases)]
    categories = tuple(lists)
    if classifier is not None:
        categories = (*categories, CLASSIFIER)
        scores = _scores(classifier, texts.to_list())
        for at in np.flatnonzero(scores >= at_least).tolist():
            score = float(scores[at])
            reason = f"{CLASSIFIER}: scores {score:.2f}, {at_least:g} or more is a finding"
            rows.append((ids[at], CLASSIFIER, reason, score, _veiled(texts[at], [])))
    findings = pl.DataFrame(rows, schema=FOUND, orient="row")
    order = {category: place for place, category in enumerate(categories)}
    place = pl.col("category").replace_strict(order, return_dtype=pl.Int64)
    return Harm(findings.sort(place, maintain_order=True), categories, len(given))


Phrases = dict[tuple[str, ...], str]


def _phrases(lists: Mapping[str, Sequence[str]]) -> Phrases:
    """Return the category of each run of folded words; the first list that has it wins."""
    phrases: Phrases = {}
    for category, entries in lists.items():
        for entry in entries:
            run = tuple(word.folded for word in words(entry))
            if not run:
                raise ValueError(f"list {category!r}: entry {entry!r} has no word")
            phrases.setdefault(run, category)
    return phrases


def _may_have(texts: pl.Series, phrases: Phrases) -> pl.Series:
    wanted = {
        n: windows(pl.Series([" ".join(run) for run in phrases if len(run) == n]), n)
        for n in {len(run) for run in phrases}
    }
    return pl.Series(with_windows(texts, wanted), dtype=pl.Boolean)


def _found(text: str, phrases: Phrases) -> Iterator[tuple[str, str, None, str]]:
    """Return what of the lists is in a text, by category: the reason and a sample."""
    said = words(text)
    longest = max(map(len, phrases), default=0)
    hits: dict[str, list[list[Word]]] = {}
    for at in range(len(said)):
        for n in range(1, longest + 1):
            run = said[at : at + n]
            category = phrases.get(tuple(word.folded for word in run))
            if category is not None and len(run) == n:
                hits.setdefault(category, []).append(run)
    spans = [(word.start, word.end) for runs in hits.values() for run in runs for word in run]
    for category, runs in hits.items():
        times = Counter(_masked(" ".join(word.folded for word in run)) for run in runs)
        told = ", ".join(f"{entry} ({n})" if n > 1 else entry for entry, n in times.items())
        yield category, f"{category}: {told}", None, _veiled(text, spans, runs[0][0].start)


def _masked(entry: str) -> str:
    """Return the first letter of each word, and a sign for each of the others."""
    return " ".join(word[0] + "·" * (len(word) - 1) for word in entry.split())


def _veiled(text: str, spans: list[tuple[int, int]], about: int = 0) -> str:
    """Return the part of a text about a place, with the words at *spans* masked."""
    signs = list(text)
    for start, end in spans:
        signs[start + 1 : end] = [
            "·" if sign.isalnum() else sign for sign in signs[start + 1 : end]
        ]
    begin, end = max(0, about - CONTEXT), about + CONTEXT
    cut = "".join(signs[begin:end])
    return f"{'…' if begin else ''}{cut}{'…' if end < len(text) else ''}"


def _scores(classifier: Callable[[list[str]], Any], texts: list[str]) -> np.ndarray[Any, Any]:
    given = np.asarray(classifier(texts), dtype=np.float64) if texts else np.empty(0)
    if given.shape != (len(texts),):
        raise ValueError(
            f"the classifier gave scores of shape {given.shape} for {len(texts)} texts; a list of "
            "one number for each text is needed"
        )
    wrong = np.flatnonzero(~((given >= 0) & (given <= 1)))
    if len(wrong):
        raise ValueError(
            f"the classifier gave {given[wrong[0]]} for text {wrong[0]}; scores lie in [0, 1]"
        )
    return given
