"""The map of BANKING77 (Casanueva et al. 2020): messages of one intent lie together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from scalekit.audit import item_map, slice_statistics
from scalekit.audit.layout import text_vectors

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "banking77"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs BANKING77 in {DATA} (train.csv), see its NOTE.md"
)


@pytest.fixture(scope="module")
def messages() -> pl.DataFrame:
    frame = pl.read_csv(DATA / "train.csv").with_row_index("item_id")
    return frame.with_columns(pl.format("m{}", "item_id").alias("item_id")).sample(2_000, seed=0)


def purity(places: Any, intents: Any) -> float:
    """The share of the ten nearest that have the same intent."""
    near = NearestNeighbors(n_neighbors=11).fit(places)
    found = near.kneighbors(places, return_distance=False)[:, 1:]
    return float((intents[found] == intents[:, None]).mean())


def test_neighbours_on_the_map_are_those_of_the_vectors(messages: pl.DataFrame) -> None:
    intents = messages["category"].to_numpy()
    plane = item_map(messages).table.select("x", "y").to_numpy()
    vectors = text_vectors(messages["text"].to_list())
    kept = purity(plane, intents)
    assert kept > 0.95 * purity(vectors, intents)
    assert kept > 3 * purity(PCA(2).fit_transform(vectors), intents)


def test_the_words_typical_of_an_intent_are_those_of_its_name(messages: pl.DataFrame) -> None:
    for intent, word in (("exchange_rate", "exchange"), ("passcode_forgotten", "forgot")):
        ids = messages.filter(pl.col("category") == intent)["item_id"]
        found = slice_statistics(messages, ids)
        assert word in found.words["word"].to_list()[:5]
        assert found.items == len(ids)
        assert np.all(np.diff(found.words["z"].to_numpy()) <= 0)
