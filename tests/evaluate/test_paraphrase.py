"""Candidates for a paraphrase, and scores without flagged items."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from scalekit.evaluate import contamination, paraphrase, paraphrase_candidates, without_flagged


def rows(*texts: str, name: str = "t") -> pl.DataFrame:
    ids = [f"{name}{n}" for n in range(len(texts))]
    return pl.DataFrame({"item_id": ids, "text": list(texts)})


TRAIN = rows(
    "The parcel that I ordered on Monday never came to my house",
    "How do I change the address of my account?",
    "My beans were stale when the box came",
    "I want to change my delivery address, how do I do that in the account?",
    name="r",
)


@pytest.mark.parametrize("at_a_time", [1, 3, 100])
def test_candidates_are_the_nearest_rows(monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    monkeypatch.setattr(paraphrase, "ROWS", at_a_time)
    test = rows("How can I change the delivery address?", "zebra", "stale beans in my box")
    found = paraphrase_candidates(test, TRAIN, top=2, at_least=0.1)
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    both = vectors.fit_transform([*test["text"], *TRAIN["text"]])
    cosine = cosine_similarity(both[:3], both[3:])
    for number, item in enumerate(test["item_id"]):
        order = np.argsort(-cosine[number], kind="stable")[:2]
        known = [(f"r{r}", cosine[number, r]) for r in order if cosine[number, r] >= 0.1]
        got = found.table.filter(pl.col("item_id") == item).select("train_id", "similarity").rows()
        assert [r for r, _ in got] == [r for r, _ in known]
        assert [s for _, s in got] == pytest.approx([s for _, s in known], abs=1e-6)
    assert "not verdicts" in found.to_html()
    assert found.table["similarity"].is_sorted(descending=True)


def test_an_encoder_is_asked_for_a_vector_each() -> None:
    test = rows("short", "a much longer text than that")
    found = paraphrase_candidates(
        test, TRAIN, encoder=lambda texts: [[len(t), 10.0] for t in texts], top=1
    )
    assert len(found.table) == 2
    assert "encoder" in found.by
    with pytest.raises(ValueError, match=r"given 2 texts and made an array of shape \(1, 2\)"):
        paraphrase_candidates(test, TRAIN, encoder=lambda texts: [[1.0, 2.0]])


def test_texts_that_share_nothing_have_no_candidates() -> None:
    assert paraphrase_candidates(rows("abc def"), rows("ghi jkl")).table.is_empty()
    assert paraphrase_candidates(rows("abc def"), TRAIN.clear()).table.is_empty()


def test_scores_without_flagged_items() -> None:
    texts = [f"item {n} asks about thing {n} and about the day {n} of it" for n in range(10)]
    found = contamination(rows(*texts), rows(*texts[:4], name="r"))
    results = pl.DataFrame({
        "item_id": [f"t{n}" for n in range(10)], "set": ["dev"] * 8 + ["handwritten"] * 2,
        "score": [1, 1, 1, 1, 0, 1, 0, 0, 1, 0],
    })  # fmt: skip
    told = {row["set"]: row for row in without_flagged(results, found).table.to_dicts()}
    dev = told["dev"]
    assert (dev["items"], dev["flagged"], dev["accuracy"]) == (8, 4, 5 / 8)
    assert (dev["without flagged"], dev["on flagged"]) == (1 / 4, 1.0)
    interval = binomtest(1, 4).proportion_ci(method="wilson")
    assert (dev["from"], dev["to"]) == pytest.approx(tuple(interval))
    assert told["handwritten"]["on flagged"] is None
    every = without_flagged(results, contamination(rows(*texts), rows(*texts, name="r")))
    assert every.table["without flagged"].is_null().all()
