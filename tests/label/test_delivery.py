"""What is delivered adds up, by hand and by recount; what is written is whole or not there."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.frames import FrameError, StorageError
from scalekit.label import (
    LabelError,
    NoiseEstimate,
    Task,
    Value,
    dawid_skene,
    majority,
    most_probable,
    noise_estimate,
    preference_pairs,
    settled,
)
from scalekit.label.delivery import Delivery, deliver

TOPIC = Task.choice("topic", ["billing", "login"])
BETTER = Task("better", "pair", strength=5)
SIGN = {"first": 1, "second": -1, "tie": 0}
ITEMS = [
    {"item_id": f"i{n}", "batch_id": "b1", "source": "desk 🗂", "tier": "first-party", "text": "…"}
    for n in range(4)
]
PROMPTS = [
    {"item_id": f"p{n}", "prompt": f"why {n}?", "first": f"one {n} é", "second": f"two {n}"}
    for n in range(6)
]


def labelled(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["item_id", "annotator", "value"], orient="row")


def judged(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    return labelled(
        *((i, who, BETTER.encode({"preferred": p, "strength": s})) for i, who, p, s in rows)
    )


LABELS = labelled(
    ("i1", "ben", "login"), ("i0", "ana", "billing"), ("i0", "ben", "billing"),
    ("i1", "ana", "billing"), ("i2", "ana", "login"),
)  # fmt: skip


def choices(**more: Any) -> Delivery:
    return deliver(LABELS, majority(LABELS), ITEMS, task=TOPIC, **more)


def test_consensus_of_a_choice_has_posterior_entropy_and_origin() -> None:
    found = choices()
    model = most_probable(dawid_skene(LABELS))
    posterior = dict(
        dawid_skene(LABELS).filter(value="billing").select("item_id", "posterior").rows()
    )
    assert found.consensus.columns == [
        "item_id", "value", "posterior", "entropy", "n", "batch_id", "source", "tier",
    ]  # fmt: skip
    assert found.consensus["value"].to_list() == ["billing", None, "login"]
    assert found.consensus["n"].to_list() == [2, 2, 1]
    assert found.consensus["posterior"][0] == pytest.approx(posterior["i0"])
    assert found.consensus["posterior"][1] is None
    assert found.consensus["entropy"].to_list() == pytest.approx(model["entropy"].to_list())
    assert set(found.consensus["source"]) == {"desk 🗂"}
    assert found.pairs is None
    assert dict(found.table.rows()) == {
        "labels": 5, "annotators": 2, "items labelled": 3, "items decided": 2,
        "items labelled, not decided": 1,
    }  # fmt: skip
    decided = majority(LABELS).drop_nulls("value")
    assert found.noise == noise_estimate(LABELS, decided)


def test_of_other_kinds_the_entropy_is_that_of_the_votes() -> None:
    task = Task("rewrite", "text")
    labels = labelled(("i0", "a", "x"), ("i0", "b", "y"), ("i1", "a", "z"), ("i1", "b", "z"))
    found = deliver(labels, majority(labels), ITEMS, task=task)
    assert found.consensus["entropy"].to_list() == [1.0, 0.0]
    assert found.consensus["posterior"].to_list() == [None, None]
    assert found.noise == NoiseEstimate(None, None, "none", 0)
    assert "Label noise: not measured." in found.to_html()


def test_answers_come_out_in_their_one_form_and_columns_in_their_order() -> None:
    task = Task("topics", "multi", (Value("billing"), Value("login")))
    labels = [
        {"extra": 1, "round": 2, "value": '["login", "billing"]', "task": "topics",
         "annotator": "a", "item_id": 7},
    ]  # fmt: skip
    found = deliver(labels, [{"item_id": 7, "value": None}], [{"item_id": 7}], task=task)
    assert found.labels.columns == ["item_id", "annotator", "task", "value", "round", "extra"]
    assert found.labels.row(0) == ("7", "a", "topics", '["billing","login"]', 2, 1)
    assert found.consensus.columns == ["item_id", "value", "posterior", "entropy", "n"]


PAIRED = judged(
    ("p0", "a", "first", 5), ("p0", "b", "first", 2), ("p0", "c", "second", 1),
    ("p1", "a", "second", 4), ("p1", "b", "second", 4),
    ("p2", "a", "first", 1), ("p2", "b", "second", 1),
    ("p3", "a", "first", 1), ("p3", "b", "tie", 0),
    ("p4", "a", "first", 3), ("p4", "b", "first", 3),
    ("p5", "a", "first", 1), ("p5", "b", "first", 2), ("p5", "c", "second", 1),
    ("p5", "d", "tie", 0),
)  # fmt: skip


def decisions(**sides: str) -> list[dict[str, Any]]:
    """Undecided but for those that are named."""
    said = {i: BETTER.encode({"preferred": s, "strength": SIGN[s] and 1}) for i, s in sides.items()}
    return [{"item_id": p["item_id"], "value": said.get(p["item_id"])} for p in PROMPTS]


def test_pairs_by_hand_also_with_five_levels_of_strength() -> None:
    found = deliver(PAIRED, decisions(p0="first", p4="second"), PROMPTS, task=BETTER)
    assert found.pairs is not None
    assert found.pairs.rows() == [
        ("why 0?", "one 0 é", "two 0", 2.0, 3, pytest.approx(2 / 3), "p0"),
        ("why 1?", "two 1", "one 1 é", 4.0, 2, 1.0, "p1"),
    ]
    assert found.pairs.columns == [
        "prompt", "chosen", "rejected", "strength", "n", "agreement", "item_id",
    ]  # fmt: skip
    assert {k: n for k, n in found.counts.items() if k.startswith("pairs")} == {
        "pairs": 2,
        "pairs left out: tied": 2,
        "pairs left out: agreement below 0.6": 1,
        "pairs left out: the same response twice": 0,
        "pairs left out: against the consensus": 1,
    }


def test_what_nobody_labelled_has_no_votes_and_nothing_measured() -> None:
    found = deliver(LABELS, [{"item_id": "i3", "value": "login"}], ITEMS, task=TOPIC)
    assert found.consensus.row(0)[:5] == ("i3", "login", None, None, 0)
    assert found.counts["items labelled, not decided"] == 3


def test_a_pair_has_a_posterior_too() -> None:
    found = deliver(PAIRED, majority(PAIRED), PROMPTS, task=BETTER)
    known = dawid_skene(PAIRED).join(found.consensus, on=["item_id", "value"])
    assert len(known) == len(found.consensus.drop_nulls("value")) == 2
    assert known["posterior"].to_list() == pytest.approx(known["posterior_right"].to_list())
    assert found.noise.source == "consensus"


def test_a_decision_that_overrules_the_votes_leaves_no_pair_that_says_otherwise() -> None:
    votes = PAIRED.filter(pl.col("item_id") == "p1")
    overruled = BETTER.encode({"preferred": "first", "strength": 1})
    consensus = settled(
        majority(votes), [{"item_id": "p1", "value": overruled, "adjudicator": "z", "rule": ""}]
    )
    found = deliver(votes, consensus, PROMPTS, task=BETTER)
    assert found.consensus.select("value", "posterior", "n").row(0) == (overruled, None, 2)
    assert found.pairs is not None
    assert found.pairs.is_empty()
    assert found.counts["pairs left out: against the consensus"] == 1


VOTES = st.dictionaries(
    st.tuples(st.sampled_from([p["item_id"] for p in PROMPTS]), st.sampled_from("abcde")),
    st.one_of(
        st.tuples(st.sampled_from(["first", "second"]), st.integers(1, 3)), st.just(("tie", 0))
    ),
    min_size=1,
)


@given(votes=VOTES, backwards=st.booleans())
def test_pairs_are_those_of_preference_pairs_and_every_item_is_accounted_for(
    votes: dict[tuple[str, str], tuple[str, int]], backwards: bool
) -> None:
    rows = [(i, who, *said) for (i, who), said in votes.items()]
    labels = judged(*rows)
    found = deliver(labels, decisions(), PROMPTS[::-1] if backwards else PROMPTS, task=BETTER)
    judgements = [
        {"item_id": i, "annotator": who, "first": "x", "second": "y", "outcome": p,
         "strength": s or None}
        for i, who, p, s in rows
    ]  # fmt: skip
    responses = [
        {"item_id": p["item_id"], "name": name, "prompt": p["prompt"], "response": p[side]}
        for p in PROMPTS
        for name, side in (("x", "first"), ("y", "second"))
    ]
    expected = preference_pairs(judgements, responses).table.drop("annotators").sort("item_id")
    assert found.pairs is not None
    assert found.pairs.select(expected.columns).equals(expected)
    parts = [n for name, n in found.counts.items() if name.startswith("pairs")]
    assert sum(parts) == found.counts["items labelled"] == len({i for i, *_ in rows})
    again = deliver(labels[::-1], decisions()[::-1], PROMPTS, task=BETTER)
    assert again.pairs is not None
    assert again.pairs.equals(found.pairs)
    assert again.labels.equals(found.labels)


def test_what_is_written_reads_back_and_its_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    noise = NoiseEstimate(0.1, (0.05, 0.2), "gold", 40)
    found = deliver(
        PAIRED, decisions(p0="first"), PROMPTS, task=BETTER, noise=noise,
        provenance={"instructions": "v3 é"},
    )  # fmt: skip
    folder = found.write(tmp_path / "new" / "one")
    assert folder == tmp_path / "new" / "one"
    assert sorted(p.name for p in folder.iterdir()) == [
        "consensus.parquet", "delivery.json", "labels.parquet", "pairs.jsonl",
    ]  # fmt: skip
    assert [p.name for p in folder.parent.iterdir()] == ["one"]
    assert pl.read_parquet(folder / "labels.parquet").equals(found.labels)
    assert pl.read_parquet(folder / "consensus.parquet").equals(found.consensus)
    assert found.pairs is not None
    assert pl.read_ndjson(folder / "pairs.jsonl").rows() == found.pairs.rows()
    said = json.loads((folder / "delivery.json").read_text(encoding="utf-8"))
    for name, about in said["files"].items():
        assert about["digest"].endswith(hashlib.sha256((folder / name).read_bytes()).hexdigest())
    assert {n: a["rows"] for n, a in said["files"].items()} == {
        "labels.parquet": len(PAIRED), "consensus.parquet": 6, "pairs.jsonl": len(found.pairs),
    }  # fmt: skip
    assert said["noise"] == {"estimate": 0.1, "interval": [0.05, 0.2], "source": "gold", "n": 40}
    assert said["task"]["strength"] == 5
    assert said["counts"] == found.counts
    assert said["provenance"] == {"instructions": "v3 é"}
    assert said["scalekit"]


def test_without_pairs_no_file_of_pairs_and_the_same_bytes_again(tmp_path: Path) -> None:
    one, other = (choices().write(tmp_path / name) for name in ("a", "b"))
    assert not (one / "pairs.jsonl").exists()
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    folder = choices().write(tmp_path / "one")
    before = (folder / "delivery.json").read_bytes()
    with pytest.raises(LabelError, match="already there"):
        choices(provenance={"another": 1}).write(folder)
    assert (folder / "delivery.json").read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert (choices().write(tmp_path / "empty") / "delivery.json").exists()
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(LabelError, match="already there"):
        choices().write(file)
    with pytest.raises(StorageError, match="nothing was written"):
        choices().write(file / "below")
    assert file.read_text() == "mine"


def test_a_disk_that_fills_half_way_leaves_nothing(tmp_path: Path) -> None:
    """The second file is too large for a limit that the first one keeps."""
    long = [{**i, "source": hashlib.sha256(i["item_id"].encode()).hexdigest() * 900} for i in ITEMS]
    found = deliver(LABELS, majority(LABELS), long, task=TOPIC)
    whole = found.write(tmp_path / "whole")
    sizes = [(whole / f"{name}.parquet").stat().st_size for name in ("labels", "consensus")]
    assert sizes[0] + 500 < sizes[1]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[0] + 200, hard))
    try:
        with pytest.raises(StorageError, match="nothing was written"):
            found.write(tmp_path / "half")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]


def test_a_delivery_shows_itself() -> None:
    noise = NoiseEstimate(0.1, (0.05, 0.2), "gold", 40)
    items = [{**p, "prompt": f"<b>{p['prompt']}"} for p in PROMPTS]
    said = deliver(PAIRED, decisions(), items, task=BETTER, noise=noise).to_html()
    assert "15 labels for the task &#x27;better&#x27;" in said
    assert "Label noise: 10.00% (5.00% to 20.00%), on gold, 40 items." in said
    assert "&lt;b&gt;why 0?" in said
    assert "from the votes" in choices().to_html()
    assert "text/html" in choices()._repr_mimebundle_()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"item_id": "i9"}, r"labels, row 2: item_id 'i9' is not among the items \(1 such row\)"),
        ({"item_id": None}, "labels, row 2: item_id None is not among"),
        ({"annotator": None}, "labels, row 2: annotator None is nobody"),
        ({"value": None}, "labels, row 2: value None is no answer"),
        ({"value": "shoes"}, "labels, row 2: value 'shoes' is no answer: .* not one of billing"),
        ({"task": "tone"}, "labels, row 2: task 'tone' is not 'topic'"),
        ({"task": None}, "labels, row 2: task None is not 'topic'"),
        ({"annotator": "ana"}, r"'ana' answers item 'i0' more than once \(2 such rows\)"),
    ],
)
def test_an_unsound_label_is_named(change: dict[str, Any], why: str) -> None:
    row = {"item_id": "i0", "annotator": "ana", "value": "login", "task": "topic"}
    labels = [row, row | {"annotator": "ben"} | change]
    with pytest.raises(LabelError, match=why):
        deliver(labels, majority(LABELS), ITEMS, task=TOPIC)


def test_other_unsound_tables_are_named() -> None:
    votes = majority(LABELS)
    for consensus, why in (
        ([{"item_id": "i9", "value": "login"}], "consensus, row 1: item_id 'i9'"),
        ([{"item_id": "i0", "value": "x"}] * 2, r"row 1: value 'x' is no answer.*\(2 such rows\)"),
    ):
        with pytest.raises(LabelError, match=why):
            deliver(LABELS, consensus, ITEMS, task=TOPIC)
    with pytest.raises(FrameError, match="consensus: 1 values of 'item_id' repeat"):
        deliver(LABELS, pl.concat([votes, votes[:1]]), ITEMS, task=TOPIC)
    with pytest.raises(FrameError, match="items: 1 values of 'item_id' repeat"):
        deliver(LABELS, votes, [*ITEMS, ITEMS[0]], task=TOPIC)
    with pytest.raises(FrameError, match="column 'prompt', 'first', 'second' is missing"):
        deliver(PAIRED, decisions(), ITEMS, task=BETTER)
    with pytest.raises(LabelError, match="items, row 2: second None is no text"):
        deliver(PAIRED, decisions(), [PROMPTS[0], PROMPTS[1] | {"second": None}], task=BETTER)
    with pytest.raises(LabelError, match="there are no labels yet"):
        deliver(LABELS[:0], votes, ITEMS, task=TOPIC)
    with pytest.raises(LabelError, match="provenance: JSON has no form for it"):
        choices(provenance={"at": object()})
