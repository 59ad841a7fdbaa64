"""From an answer back to those who taught it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_run import WORDS, begin, finish, frame

from scalekit.govern import Provenance, RecordError, influence, prov_graph


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import os

    os.environ["SCALEKIT_KEYS"] = str(tmp_path_factory.mktemp("explain-keys"))
    return finish(begin(tmp_path_factory.mktemp("explained") / "run", epochs=8))


def test_an_answer_is_explained_by_examples_that_say_the_same(folder: Path) -> None:
    found = Provenance(folder).explain("violet or green")
    assert found.answer == "colour"
    top = found.top(8)
    assert (top["label"] == "colour").sum() >= 6
    texts = dict(frame().select("item_id", "text").iter_rows())
    assert any(w in texts[i] for i in top["item_id"].head(5) for w in ("violet", "green"))
    assert found.by("label")["label"][0] == "colour"
    assert set(found.by("annotator")["annotator"]) == {"ana", "ben"}
    assert set(found.against(5)["label"]) <= set(WORDS)
    assert "violet or green" in found.to_html()
    assert len(found.plot().data) == 2


def test_what_a_rubric_taught_lies_where_its_profile_says(folder: Path) -> None:
    provenance = Provenance(folder)
    taught = provenance.taught_by(rubric="concept").table
    shares = dict(taught.select("depth", "share").iter_rows())
    assert shares["blocks.0"] == 0
    assert shares["blocks.1"] > 0
    parts = [provenance.taught_by(annotator=a).table["share"] for a in ("ana", "ben")]
    assert (parts[0] + parts[1]).to_list() == pytest.approx([1.0] * 4)
    with pytest.raises(ValueError, match="there are batch0, batch1"):
        provenance.taught_by(batch="batch9")
    with pytest.raises(ValueError, match="name one"):
        provenance.taught_by()


def test_effort_comes_from_the_ledger(folder: Path) -> None:
    found = Provenance(folder).self_influence()
    assert len(found) == 48
    assert found["effort"].is_sorted(descending=True)


def test_the_graph_is_linked_throughout(folder: Path) -> None:
    graph = prov_graph(folder, Provenance(folder).explain("five or two"), top=5)
    nodes = {n["@id"] for n in graph["@graph"]}
    assert len(nodes) == len(graph["@graph"])

    def links(value: object) -> list[str]:
        if isinstance(value, list):
            return [x for v in value for x in links(v)]
        if isinstance(value, dict):
            own = [value["@id"]] if set(value) == {"@id"} else []
            return own + [x for v in value.values() for x in links(v)]
        return []

    assert {x for node in graph["@graph"] for x in links(list(node.values()))} <= nodes
    assert json.loads(json.dumps(graph)) == graph


def test_influence_is_whitened_tracin() -> None:
    """Against the same sum written out for one example, query and depth at a time."""
    rng = np.random.default_rng(0)
    sums, query = rng.normal(size=(5, 2, 4)).astype("f4"), rng.normal(size=(3, 2, 4)).astype("f4")
    parts = rng.normal(size=(2, 50, 4))
    moments = np.einsum("lni,lnj->lij", parts, parts).astype("f4")
    found = influence(sums, moments, 50, query, damping=0.3)
    for e in range(5):
        for q in range(3):
            for depth in range(2):
                f = moments[depth] / 50
                inverse = np.linalg.inv(f + 0.3 * np.trace(f) / 4 * np.eye(4))
                expected = sums[e, depth] @ inverse @ query[q, depth]
                assert found[e, q, depth] == pytest.approx(expected, rel=1e-4)


def test_an_open_run_is_not_explained(tmp_path: Path) -> None:
    begin(tmp_path / "run").close()
    with pytest.raises(RecordError, match="not sealed"):
        Provenance(tmp_path / "run")
    assert isinstance(frame(), pl.DataFrame)
