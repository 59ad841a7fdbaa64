"""The search: what comes near, why, what is filtered, and that it is no oracle."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scalekit.specify import (
    AssetError,
    Library,
    Spec,
    adopt,
    candidates,
    diff,
    library,
    read_spec,
)

SHELF = library(Path("nowhere"))
SQL = "Turn questions of analysts into SELECT statements over tables, with the right joins."


def ids(*args: object, **hints: object) -> list[str]:
    return candidates(*args, SHELF, **hints).table["id"].to_list()  # type: ignore[arg-type]


def spec(behaviour: str) -> Spec:
    categories = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]
    rubric = [{"name": "joins", "text": "my own", "depth": "middle"}]
    return Spec.model_validate(
        {"name": "s", "behaviour": behaviour, "categories": categories, "rubric": rubric}
    )


def test_three_are_shown_best_first_with_words_that_stand_in_both() -> None:
    found = candidates(SQL, SHELF)
    assert found.table.height == 3
    assert found.table["id"][0] == "code.sql.query"
    assert found.table["score"].is_sorted(descending=True)
    for row in found.table.to_dicts():
        assert all(w in SQL.lower() for w in row["matched words"])
    assert "joins" in found.table["matched words"][0].to_list()
    assert "joins" in found.table["matched criteria"][0].to_list()
    assert "no probability" in found.to_html()


def test_the_text_score_is_the_mean_of_two_cosines_computed_by_hand() -> None:
    docs = ["red apple pie", "blue sky", "green apple"]
    from scalekit.specify.matching import _similarity

    near, _ = _similarity("apple sky", docs)
    vocabulary = sorted({g for d in docs for g in grams(d)})
    idf = {g: np.log(4 / (1 + sum(g in grams(d) for d in docs))) + 1 for g in vocabulary}

    def vector(text: str) -> np.ndarray:
        counts = [grams(text).count(g) for g in vocabulary]
        made = np.array([(1 + np.log(c)) * idf[g] if c else 0.0
                         for c, g in zip(counts, vocabulary, strict=True)])  # fmt: skip
        return made / (np.linalg.norm(made) or 1)

    words = [float(vector(d) @ vector("apple sky")) for d in docs]
    from sklearn.feature_extraction.text import TfidfVectorizer

    chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    there = chars.fit_transform(docs).toarray()
    char = there @ chars.transform(["apple sky"]).toarray()[0]
    assert near == pytest.approx([(w + c) / 2 for w, c in zip(words, char, strict=True)])


def grams(text: str) -> list[str]:
    said = text.split()
    return said + [f"{a} {b}" for a, b in pairwise(said)]


def test_structure_re_ranks_and_never_brings_in_what_shares_no_word() -> None:
    text = "Compare two answers of an assistant: which is the more helpful one?"
    rows = candidates(text, SHELF, unit="pairwise", count=27).table
    assert rows["structure"].to_list() == [
        float(SHELF.find(i).unit == "pairwise") for i in rows["id"]
    ]
    assert rows["score"].to_list() == pytest.approx(
        [t * (1 + s) for t, s in rows.select("text", "structure").iter_rows()]
    )
    alien = candidates("zzz qqq", SHELF, unit="pairwise", count=27).table
    assert set(alien["score"]) == {0.0}


@pytest.mark.parametrize(
    ("hints", "value"),
    [
        ({"domain": ("code", "sql", "query")}, 1.0),
        ({"domain": ("code", "sql", "view")}, 2 / 3),
        ({"domain": ("code",)}, 1.0),
        ({"slots": {"dialect", "schema", "question", "hint"}}, 3 / 4),
        ({"language": "en-GB"}, 1.0),
        ({"language": "de"}, 0.0),
        ({"metric": "accuracy", "unit": "pairwise"}, 0.5),
        ({}, 0.0),
    ],
)
def test_how_the_structure_fits(hints: dict[str, object], value: float) -> None:
    row = candidates(SQL, SHELF, count=27, **hints).table.filter(id="code.sql.query")  # type: ignore[arg-type]
    assert row["structure"][0] == pytest.approx(value)


def test_filters_are_hard() -> None:
    harm = "Decline a request that would help to do serious harm, such as a recipe for a weapon."
    assert ids(harm)[0] == "safety.refusal.harmful-request"
    spared = candidates(harm, SHELF, contents=("ordinary",), count=99).table["id"]
    assert {SHELF.find(i).content for i in spared} == {"ordinary"}
    assert ids(SQL, licences=["MIT"]) == []
    assert "No asset is left" in candidates(SQL, SHELF, licences=["MIT"]).to_html()
    with pytest.raises(AssetError, match="'gore' is not one of ordinary, harmful"):
        ids(SQL, contents=("gore",))
    with pytest.raises(AssetError, match="no words to go by"):
        ids("  ")


def test_a_spec_gets_a_difference_for_each_candidate_and_stays_as_it_is() -> None:
    mine = spec(SQL)
    before = mine.digest
    found = candidates(mine, SHELF)
    assert mine.digest == before
    assert list(found.diffs) == found.table["id"].to_list()
    for name, changes in found.diffs.items():
        assert changes.equals(diff(mine, adopt(SHELF.find(name), mine)))
    joins = found.diffs["code.sql.query"].filter(field="rubric[joins].text")
    assert joins["before"].to_list() == ["my own"]


def test_three_examples_count_so_that_the_data_do_not_drown_the_task(samples: Path) -> None:
    triage = read_spec(samples / "spec.yaml")
    few = triage.model_copy(update={"examples": triage.examples[:3]})
    assert candidates(triage, SHELF).table.equals(candidates(few, SHELF).table)


def test_only_the_newest_version_is_a_candidate() -> None:
    newer = SHELF.find("code.sql.query").model_copy(update={"version": "2.0.0"})
    rows = candidates(SQL, Library((newer, *SHELF.assets)), count=99).table
    assert rows.filter(id="code.sql.query")["version"].to_list() == ["2.0.0"]
