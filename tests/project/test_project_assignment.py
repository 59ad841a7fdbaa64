"""Assignment in a project: qualification, the first round, drop-outs, disagreements."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest

from scalekit.label import LabelError

PEOPLE = ("ana", "ben", "chloe", "dora")


@pytest.fixture
def room(ready: Any) -> Any:
    ready.label.invite(*PEOPLE)
    ready.label.invite("ed", tier="expert")
    return ready.label


def ids_of(room: Any) -> list[str]:
    return list(room._project.audit.item_ids())


def texts(widget: Any) -> list[str]:
    return [e["id"] for e in widget.answer({"kind": "items", "from": 0})["items"]]


def test_a_project_without_an_assignment_shows_everybody_everything(room: Any) -> None:
    ana, ben = room.open("ana"), room.open("ben")
    assert ana.config["total"] == ben.config["total"] == len(ids_of(room))
    assert texts(ana) == texts(ben)


def test_everybody_sees_what_is_assigned_to_them_in_their_order(room: Any) -> None:
    found = room.assign(overlap=2, seed=7)
    assert found.overlap == (2, 2)
    assert found.load[1] - found.load[0] <= 1
    own = room.assignment.filter(pl.col("annotator") == "ana").sort("place")
    widget = room.open("ana")
    assert widget.config["total"] == len(own)
    assert texts(widget) == own["item_id"].to_list()[:40]
    with pytest.raises(LabelError, match="round 1 is assigned already"):
        room.assign(overlap=3)


def test_who_has_nothing_in_a_round_is_told_so(room: Any) -> None:
    room.assign("ana", "ben", overlap=2)
    with pytest.raises(LabelError, match="chloe has nothing in round 1"):
        room.open("chloe")
    with pytest.raises(LabelError, match="unknown annotator 'zoe'"):
        room.assign("ana", "zoe", overlap=2, round=2)


def test_qualification_then_gold_between_the_work(room: Any) -> None:
    ids = ids_of(room)[:30]
    with pytest.raises(LabelError, match="as many gold items: 0"):
        room.qualify()
    room.know([{"item_id": i, "value": "billing"} for i in ids])
    room.qualify(count=12, seed=1)
    widget = room.open("ana", round=0)
    assert widget.config["total"] == 12
    rows = [
        {"item_id": item, "annotator": who, "value": "billing" if who == "ana" else "returns"}
        for who in ("ana", "ben")
        for item in texts(widget)
    ]
    room.import_table(rows, round=0)
    found = {r["annotator"]: r for r in room.qualified().to_dicts()}
    assert (found["ana"]["passed"], found["ben"]["passed"]) == (True, False)

    room.assign(overlap=2, seed=1)
    kinds = Counter(room.assignment.filter(pl.col("round") == 1).select("kind", "annotator").rows())
    assert {kinds["gold", who] for who in (*PEOPLE, "ed")} == {18}
    first = room.assignment.filter(pl.col("round") == 1)
    assert not set(first["item_id"]) & set(texts(widget))


def test_gold_must_be_items_in_use_with_values_of_the_task(room: Any) -> None:
    item = ids_of(room)[0]
    with pytest.raises(LabelError, match="gold: item 'nowhere' is not in use"):
        room.know([{"item_id": "nowhere", "value": "billing"}])
    with pytest.raises(LabelError, match="'money' is not one of"):
        room.know([{"item_id": item, "value": "money"}])
    assert room.gold.is_empty()


def test_what_is_known_is_added_to_and_the_last_word_counts(room: Any) -> None:
    first, second = ids_of(room)[:2]
    room.know([{"item_id": first, "value": "billing"}])
    room.know([{"item_id": second, "value": "billing"}, {"item_id": first, "value": "returns"}])
    assert dict(room.gold.iter_rows()) == {first: "returns", second: "billing"}


def test_drop_outs_are_topped_up_and_disputes_go_to_the_expert(room: Any) -> None:
    room.assign(*PEOPLE, overlap=2, seed=3)
    first = room.assignment
    done = first.filter(pl.col("annotator") != "dora")
    values = {"ana": "billing", "ben": "billing", "chloe": "returns"}
    rows = [
        {"item_id": i, "annotator": a, "value": values[a]}
        for i, a in done.select("item_id", "annotator").iter_rows()
    ]
    room.import_table(rows)
    more = room.top_up("ana", "ben", "chloe", seed=3)
    assert sum(more.table["items"]) == len(first.filter(pl.col("annotator") == "dora"))
    again = room.disagreement_round(share=0.05, seed=3)
    assert again.table["annotator"].to_list() == ["ed"]
    assert set(room.assignment["round"]) == {1, 2, 3}
    assert not room.assignment.select("item_id", "annotator").is_duplicated().any()


def test_a_tier_is_one_of_two_and_the_last_said_counts(room: Any) -> None:
    assert room.tiers == {**dict.fromkeys(PEOPLE, "generalist"), "ed": "expert"}
    room.invite("ana", tier="expert")
    assert room.tiers["ana"] == "expert"
    assert room.annotators == [*PEOPLE, "ed"]
    with pytest.raises(LabelError, match="tier 'chief' is not one of"):
        room.invite("zoe", tier="chief")


def test_a_name_that_two_logins_share_is_noticed(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "hub-one")
    room.invite("hub-one")
    room.open("ana")
    assert room.open().config["annotator"] == "hub-one"  # not asked: the hub says who it is
    monkeypatch.setenv("JUPYTERHUB_USER", "hub-two")
    with pytest.warns(UserWarning, match="ana has also labelled as user hub-one"):
        room.open("ana")
    room.open("ben")


def test_a_disagreement_round_needs_no_assignment_and_repeats_nothing(room: Any) -> None:
    ids = ids_of(room)[:30]
    rows = [
        {"item_id": item, "annotator": who, "value": value}
        for item in ids
        for who, value in (("ana", "billing"), ("ben", "returns"))
    ]
    room.import_table(rows)
    found = room.disagreement_round(share=0.5, extra=2)
    assert found.rounds == (2,)
    assert "Round 2. Each item goes to 2 annotators" in found.to_html()
    assert set(room.assignment["annotator"]) <= {"chloe", "dora", "ed"}
    assert room.open("chloe").config["total"] > 30  # round 1 is not assigned: every item
    only = room.assignment.filter(pl.col("annotator") == "chloe")
    if len(only):
        assert room.open("chloe", round=2).config["total"] == len(only)
