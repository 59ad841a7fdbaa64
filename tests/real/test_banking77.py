"""A whole project on BANKING77 (Casanueva et al. 2020): 13,083 real messages, 77 intents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from scipy.stats import binomtest

import scalekit as sk
from scalekit.audit import balance
from scalekit.evaluate import contamination

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "banking77"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs BANKING77 in {DATA} (train.csv, test.csv), see its NOTE.md"
)
OWN = {
    "source": "BANKING77", "tier": "public-web", "rights": "CC-BY-4.0", "collected": "2026-10-02",
    "category": "category",
}  # fmt: skip


def table(name: str) -> pl.DataFrame:
    frame = pl.read_csv(DATA / f"{name}.csv")
    return frame.with_columns(pl.format(f"{name}-{{}}", pl.int_range(pl.len())).alias("item_id"))


@pytest.fixture(scope="module")
def train() -> pl.DataFrame:
    return table("train")


@pytest.fixture(scope="module")
def test_rows() -> pl.DataFrame:
    return table("test")


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def test_the_copies_of_test_texts_in_train_are_found_as_leaks(
    train: pl.DataFrame, test_rows: pl.DataFrame
) -> None:
    known = set(map(plain, train["text"]))
    copies = [i for i, t in test_rows.select("item_id", "text").rows() if plain(t) in known]
    assert len(copies) == 25  # as counted beside the data
    leaks = contamination(test_rows, train).leaks
    assert set(copies) <= set(leaks["item_id"])
    assert leaks.filter(pl.col("item_id").is_in(copies))["cover"].min() == 1.0


def test_thin_intents_are_those_surely_under_an_equal_share(train: pl.DataFrame) -> None:
    counts = dict(train["category"].value_counts().iter_rows())
    assert (len(counts), min(counts.values()), max(counts.values())) == (77, 35, 187)
    found = balance(train, dict.fromkeys(counts, 1 / 77))
    status = dict(found.table.select("category", "status").iter_rows())
    for name, n in counts.items():
        upper = binomtest(n, 10_003).proportion_ci(method="wilson").high
        surely_thin = upper < 1 / 77 and n < 0.8 * 10_003 / 77
        assert (status[name] == "thin") == surely_thin, name
    assert set(found.gaps["category"]) == {c for c, s in status.items() if s == "thin"}
    assert found.gaps["still needed"].min() > 0
    assert "contactless_not_working" in set(found.gaps["category"])  # the rarest, 35 messages


def spec(train: pl.DataFrame) -> dict[str, Any]:
    names = sorted(train["category"].unique())
    shares = [0.013] * 76 + [round(1 - 0.013 * 76, 3)]
    return {
        "name": "banking77",
        "behaviour": "Given one message to a bank, name the intent by which it is to be routed.",
        "categories": [{"name": n, "share": s} for n, s in zip(names, shares, strict=True)],
        "examples": [
            {"text": f"Handwritten note {k} on {n}", "category": n, "kind": kind, "note": "said so"}
            for n in names
            for k, kind in (("one", "ideal"), ("two", "edge"))
        ],
        "rubric": [{"name": "one", "text": "one intent", "kind": "must", "depth": "surface"}],
        "metrics": [{"name": "accuracy", "target": 0.7, "margin": 0.05}],
        "instructions": "Choose the intent of what the customer wants to be done.",
    }


def test_a_project_goes_from_two_batches_to_a_measurement(
    tmp_path: Path, train: pl.DataFrame, test_rows: pl.DataFrame
) -> None:
    project = sk.Project(tmp_path / "banking77", profile="light")
    path = tmp_path / "banking77/project.toml"
    path.write_text(path.read_text() + "thin_categories = 77\n")
    project = sk.Project(tmp_path / "banking77")
    project.specify.save(spec(train))
    assert project.specify.gate().passed
    # Two deliveries with every intent in both, as real collections have.
    parts = {"first": train.gather_every(2), "second": train.gather_every(2, 1)}
    for name, part in parts.items():
        batch = project.collect.add(part, batch_id=name, **OWN)
        assert (batch.rows, batch.quarantined) == (len(part), 0)
    assert project.collect.gate().passed
    report = project.audit.run()
    assert len(report.items) == 10_003
    gate = project.audit.gate()
    assert gate.passed, gate.table
    project.label.invite("ana", "ben")
    items = project.audit.items()
    votes = items.select("item_id", pl.col("category").alias("value"))
    project.label.import_table(votes.join(pl.DataFrame({"annotator": ["ana", "ben"]}), how="cross"))
    assert project.label.gate().passed
    project.evaluate.decontaminate()
    sets = project.evaluate.seal()
    assert sets.contamination.leaks.is_empty() or not project.evaluate.decontaminate().leaks.height
    counts = dict(sets.table.select("set", "items").iter_rows())
    assert counts["train"] + counts["dev"] + counts["sealed"] <= len(items)
    assert counts["sealed"] == pytest.approx(0.15 * len(items), rel=0.05)
    assert sets.looks_left == 10
    predict = classifier(project.evaluate.train_items())
    found = project.evaluate.measure(predict, sealed="a linear model reaches 0.7")
    scores = dict(found.sets.select("set", "accuracy").iter_rows())
    assert scores["dev"] > 0.7
    assert scores["sealed"] == pytest.approx(scores["dev"], abs=0.06)
    assert found.categories.filter(set="sealed")["n"].min() >= 20
    names = [c.name for c in project.evaluate.gate().checks if c.passed]
    assert "the sealed set agrees with dev" in names


def classifier(rows: pl.DataFrame) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import ComplementNB
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), ComplementNB())
    model.fit(rows["text"].to_list(), rows["category"].to_list())
    return model.predict
