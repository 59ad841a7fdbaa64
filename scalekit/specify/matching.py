"""Which assets come near a spec: three candidates with the words that matched, never applied.

Cosine of TF-IDF vectors of words (one and two) and of character 3- to 5-grams within words (Salton
and Buckley 1988), then re-ranked by how the structure fits. The score orders; it says nothing of
how probable it is that a candidate fits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from scalekit.display import View, block, note, table
from scalekit.specify.asset import Asset, AssetError
from scalekit.specify.asset_library import Library
from scalekit.specify.criteria_reuse import adopt
from scalekit.specify.spec import Spec
from scalekit.specify.versions import diff

__all__ = ["Candidates", "candidates"]

CONTENTS = ("ordinary", "harmful")
SHOWN = 3
EXAMPLES = 3  # that count, lest what the data are about drown what is asked of them


@dataclass(frozen=True)
class Candidates(View):
    """The assets nearest to a spec, best first, with why and what adopting one would change.

    ``table`` has ``rank, id, version, title, score, text, structure, matched words, matched
    criteria, licence, derived from``: text is the mean of two cosines, structure the share of the
    hints that fit, both in [0, 1]. ``diffs``: for each id ``field, before, after``, where a spec
    was given.
    """

    table: pl.DataFrame
    diffs: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def to_html(self) -> str:
        """Show the candidates, and the difference that each would make."""
        if self.table.is_empty():
            return block("Candidates", note("No asset is left by the filters."))
        empty = [c for c in ("derived from",) if not any(self.table[c])]
        parts = [
            table(self.table.drop(empty)),
            note(
                "The score orders candidates, it is no probability that one fits. Nothing is taken "
                "over before you adopt(id) or adapt(id, …); if none fits, none_fits(reason) keeps "
                "that."
            ),
        ]
        for name, changes in self.diffs.items():
            parts += [
                note(f"Adopting {name} would change:"),
                table(changes, empty="Nothing.", chars=None),
            ]
        return block("Candidates", *parts)


def candidates(
    wanted: Spec | str,
    library: Library,
    *,
    domain: Sequence[str] = (),
    unit: str = "",
    slots: Collection[str] = (),
    language: str = "",
    metric: str = "",
    licences: Collection[str] | None = None,
    contents: Collection[str] = CONTENTS,
    count: int = SHOWN,
) -> Candidates:
    """Return the assets of *library* nearest to a spec, or to a text that describes the target.

    Parameters
    ----------
    wanted
        A spec (its sentence, setting, criteria and first three examples count), or words.
    domain, unit, slots, language, metric
        What is known of the structure: a domain path such as ``("reasoning", "math")``; "single",
        "pairwise" or "multi-turn"; names of the prompt's slots; a language tag; a metric. Each that
        is given lifts the assets that fit it.
    licences
        Only assets under one of these; by default under any.
    contents
        "ordinary", "harmful": whether annotators may be shown what harms. Only these.
    count
        How many to show.

    Raises
    ------
    AssetError
        When there are no words to go by, or *contents* names something else.
    """
    if unknown := sorted(set(contents) - set(CONTENTS)):
        raise AssetError(f"contents: {unknown[0]!r} is not one of {', '.join(CONTENTS)}")
    text = wanted if isinstance(wanted, str) else _said_by(wanted)
    if not text.strip():
        raise AssetError("there are no words to go by: describe the target in a sentence")
    newest = {a.id: a for a in reversed(library.assets)}
    allowed = [
        a
        for a in newest.values()
        if a.content in contents and (licences is None or a.licence in licences)
    ]
    if not allowed:
        return Candidates(_rows([]))
    near, matched = _similarity(text, [_said_by_asset(a) for a in allowed])
    hints = {"domain": tuple(domain), "unit": unit, "slots": set(slots), "language": language,
             "metric": metric}  # fmt: skip
    known = {k: v for k, v in hints.items() if v}
    fit = [_structure(a, known) for a in allowed]
    scores = [t * (1 + s) for t, s in zip(near, fit, strict=True)]
    order = sorted(range(len(allowed)), key=lambda i: (-scores[i], allowed[i].id))[:count]
    rows = [
        {
            "rank": rank,
            "id": allowed[i].id,
            "version": allowed[i].version,
            "title": allowed[i].title,
            "score": scores[i],
            "text": near[i],
            "structure": fit[i],
            "matched words": matched[i],
            "matched criteria": _criteria_with(allowed[i], matched[i]),
            "licence": allowed[i].licence,
            "derived from": allowed[i].derived_from,
        }
        for rank, i in enumerate(order, 1)
    ]
    if isinstance(wanted, str):
        return Candidates(_rows(rows))
    diffs = {allowed[i].id: diff(wanted, adopt(allowed[i], wanted)) for i in order}
    return Candidates(_rows(rows), diffs)


def _rows(rows: list[dict[str, Any]]) -> pl.DataFrame:
    text = ("id", "version", "title", "licence", "derived from")
    schema: dict[str, Any] = {"rank": pl.Int64, **dict.fromkeys(text, pl.String)}
    schema |= dict.fromkeys(("score", "text", "structure"), pl.Float64)
    schema |= dict.fromkeys(("matched words", "matched criteria"), pl.List(pl.String))
    order = ("rank", "id", "version", "title", "score", "text", "structure", "matched words",
             "matched criteria", "licence", "derived from")  # fmt: skip
    return pl.DataFrame(rows, schema={name: schema[name] for name in order})


def _said_by(spec: Spec) -> str:
    parts = [spec.behaviour, spec.setting]
    parts += [f"{c.name} {c.text}" for c in spec.rubric]
    parts += [e.text for e in spec.examples[:EXAMPLES]]
    return "\n".join(parts)


def _said_by_asset(asset: Asset) -> str:
    parts = [asset.title, asset.target, *asset.evaluation.criteria]
    parts += [f"{c.name} {c.text}" for c in asset.rubric]
    parts += [e.text for e in asset.examples[:EXAMPLES]]
    return "\n".join(parts)


def _similarity(text: str, others: list[str]) -> tuple[list[float], list[list[str]]]:
    """Return how near *text* is to each of *others*, and the words that weigh most in that."""
    import numpy as np
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

    cosines = []
    words: list[list[str]] = []
    forms: tuple[dict[str, Any], ...] = (
        {"analyzer": "word", "ngram_range": (1, 2)},
        {"analyzer": "char_wb", "ngram_range": (3, 5)},
    )
    for form in forms:
        known = TfidfVectorizer(sublinear_tf=True, **form)
        there, asked = known.fit_transform(others), known.transform([text])
        cosines.append((there @ asked.T).toarray()[:, 0])
        if form["analyzer"] == "word":
            names = known.get_feature_names_out()
            shared = there.multiply(asked).tocsr()
            for row in range(len(others)):
                part = shared[row]
                best = sorted(zip(-part.data, names[part.indices], strict=True))
                single = [n for _, n in best if " " not in n and n not in ENGLISH_STOP_WORDS]
                words.append([str(n) for n in single[:6]])
    return [float(x) for x in np.mean(cosines, axis=0)], words


def _criteria_with(asset: Asset, matched: Sequence[str]) -> list[str]:
    """Return the names of the criteria in which matched words stand."""
    from scalekit.text import folded_words

    found = []
    for criterion in asset.rubric:
        said = set(folded_words(f"{criterion.name} {criterion.text}"))
        if said & set(matched):
            found.append(criterion.name)
    return found


def _structure(asset: Asset, hints: Mapping[str, Any]) -> float:
    """Return the mean fit of an asset to what is known of the structure, in [0, 1]."""
    fits = []
    if path := hints.get("domain"):
        shared = next((i for i, (a, b) in enumerate(zip(path, asset.domain, strict=False))
                       if a != b), min(len(path), len(asset.domain)))  # fmt: skip
        fits.append(shared / len(path))
    if unit := hints.get("unit"):
        fits.append(float(asset.unit == unit))
    if slots := hints.get("slots"):
        own = {s.name for s in asset.prompt.slots}
        fits.append(len(own & slots) / len(own | slots))
    if language := hints.get("language"):
        fits.append(float(asset.language.partition("-")[0] == language.partition("-")[0]))
    if metric := hints.get("metric"):
        fits.append(float(asset.evaluation.metric.name == metric))
    return sum(fits) / len(fits) if fits else 0.0
