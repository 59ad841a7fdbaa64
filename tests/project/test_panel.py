"""A panel in a project: blind votes through the labeler, results, judges, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate.judge import JudgeError
from scalekit.label import Criterion, LabelError, Task

RUBRIC = Task("quality", "rubric", criteria=(Criterion("clear"), Criterion("kind", low=0, high=1)))
MODELS = ("alder", "birch")


def outputs(n: int = 12) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"item_id": f"q{i}", "model": m, "prompt": f"ask {i}", "output": f"{m[0]} says {i}"}
            for i in range(n)
            for m in MODELS
        ]
    )


def vote(widget: Any, choose: Any) -> list[dict[str, Any]]:
    """Answer every item through the widget's own messages; return what the panelist saw."""
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    widget._receive(widget, {"id": "q", "kind": "items", "from": 0}, [])
    entries = sent[-1]["items"]
    for entry in entries:
        act = {"id": f"a{entry['id']}", "kind": "label", "item": entry["id"]}
        value = choose(entry["content"])
        widget._receive(widget, {**act, "value": value, "active_ms": 3000}, [])
        assert sent[-1] == {"reply": f"a{entry['id']}"}
    return list(entries)


def prefers_birch(content: dict[str, Any]) -> dict[str, Any]:
    left = content["sides"][0]["text"].startswith("b")
    return {"preferred": "first" if left else "second", "strength": 1}


def test_blind_pairs_through_the_labeler(labelled: Any) -> None:
    evaluate = labelled.evaluate
    before = evaluate.inputs(), labelled.label.inputs()
    for who in ("eva", "fay"):
        widget = evaluate.panel(outputs(), panelist=who)
        seen = vote(widget, prefers_birch)
        told = json.dumps([seen, widget.config])
        assert not any(model in told for model in MODELS)
        left = [e["content"]["sides"][0]["text"][0] for e in seen]
        assert left.count("a") == left.count("b") == 6
    found = evaluate.panel_result()
    assert found.table["model"].to_list() == ["birch", "alder"]
    assert found.pairs["win rate"].to_list() == [1.0]
    assert found.bias["n"].to_list() == [24, 12, 12]
    assert found.bias["share"][0] == 0.5
    assert (evaluate.inputs(), labelled.label.inputs()) == before  # no gate depends on it
    assert "eva" not in set(labelled.label.labels()["annotator"])
    panel = evaluate.panels["preference"]
    assert panel.open("eva").config["done"] == 12
    assert panel.agreement().table.filter(pl.col("part") == "preferred").height == 1
    assert "12 items from 2 models" in panel.to_html()
    assert evaluate.panel_roster().rows() == [("eva", 12, 0.6, False), ("fay", 12, 0.6, False)]
    with pytest.raises(LabelError, match="votes are on an evaluation set"):
        panel.deliver("anywhere")


def test_names_stand_in_no_file_that_is_shown(labelled: Any) -> None:
    evaluate = labelled.evaluate
    evaluate.panel(outputs(), panelist="eva")
    folder = labelled.folder.root / "evaluate" / "panel" / "preference"
    assert {p.name for p in folder.iterdir()} == {
        "events", "items.parquet", "key.parquet", "panel.json", "same.parquet", "task.json"
    }  # fmt: skip
    shown = pl.read_parquet(folder / "items.parquet")
    assert shown.columns == ["item_id", "prompt", "first", "second"]
    assert not any(m in json.dumps(shown.to_dicts()) for m in MODELS)


def test_rubric_scores(labelled: Any) -> None:
    evaluate = labelled.evaluate

    def scores(content: dict[str, Any]) -> dict[str, int]:
        said = content["messages"][-1]["content"]
        return {"clear": 5 if said.startswith("b") else 3, "kind": 1}

    for who in ("eva", "fay"):
        vote(evaluate.panel(outputs(), task=RUBRIC, panelist=who), scores)
    found = evaluate.panel_result("quality")
    clear = found.table.filter(pl.col("criterion") == "clear")
    assert clear.select("model", "mean").rows() == [("birch", 5.0), ("alder", 3.0)]
    row = found.differences.filter(pl.col("criterion") == "clear").row(0, named=True)
    assert (row["model"], row["difference"], row["resolved"]) == ("birch", 2.0, True)
    verdicts = pl.DataFrame({"item_id": evaluate.panels["quality"].items["item_id"], "value": 4})
    judged = evaluate.judge(verdicts, "m", margin=0.2, criterion="clear")
    assert judged.level == "interval"
    assert judged.table["judge agrees"][0] == pytest.approx(0.75)
    with pytest.raises(LabelError, match="criterion 'short' is not one of clear, kind"):
        evaluate.judge(verdicts, "m", margin=0.2, criterion="short")


def test_a_judge_scores_only_after_it_agrees_with_the_panel(labelled: Any) -> None:
    evaluate = labelled.evaluate
    scores = [{"item_id": "q1", "set": "dev", "score": 1.0}]
    with pytest.raises(JudgeError, match="no agreement of this judge"):
        evaluate.judge_scores(scores, "m@1")
    for who in ("eva", "fay", "gus"):
        # Each panelist and the judge dissents now and then, elsewhere.
        def choose(content: dict[str, Any], who: str = who) -> dict[str, Any]:
            said = prefers_birch(content)
            number = int(content["sides"][0]["text"].split()[-1])
            if number % 10 == len(who) + ord(who[0]) % 7:
                return {"preferred": "tie", "strength": 0}
            return said

        vote(evaluate.panel(outputs(120), panelist=who), choose)
    panel = evaluate.panels["preference"]
    side = (
        pl.when(pl.col("first_name") == "birch").then(pl.lit("first")).otherwise(pl.lit("second"))
    )
    good = panel.key.select("item_id", side.alias("value"))
    assert evaluate.judge(good, "m@1", margin=0.1).passed
    assert evaluate.judge_scores(scores, "m@1")["scored_by"].to_list() == ["m@1"]
    with pytest.raises(JudgeError, match="no agreement of this judge"):
        evaluate.judge_scores(scores, "m@2")
    with pytest.raises(LabelError, match=r"margin 0\.1 was declared for judge 'm@1'"):
        evaluate.judge(good, "m@1", margin=0.3)
    assert not evaluate.judge(good.with_columns(value=pl.lit("tie")), "m@3", margin=0.1).passed
    with pytest.raises(JudgeError, match="may not stand in for a panelist"):
        evaluate.judge_scores(scores, "m@3")
    with pytest.raises(ValueError, match="value 'alder' is not one of first, second, tie"):
        evaluate.judge(good.with_columns(value=pl.lit("alder")), "m@4", margin=0.1)


def test_what_is_sealed_is_shown_to_nobody(sealed: Any) -> None:
    evaluate = sealed.evaluate
    hidden = sealed.folder.events("evaluate/log.jsonl", "sealed")[-1].data["item_ids"]
    asked = outputs().with_columns(pl.col("item_id").replace("q3", hidden[0]))
    with pytest.raises(LabelError, match=r"is sealed \(1 such item\)"):
        evaluate.panel(asked, panelist="eva")
    assert not (sealed.folder.root / "evaluate" / "panel").exists()


def test_the_same_panel_is_found_again_and_another_needs_another_name(labelled: Any) -> None:
    evaluate = labelled.evaluate
    with pytest.raises(LabelError, match="no panel was asked yet"):
        evaluate.panel_result()
    evaluate.panel(outputs(), panelist="eva")
    with pytest.raises(LabelError, match="nobody has voted yet"):
        evaluate.panel_result()
    evaluate.panel(outputs(), panelist="fay")
    assert len(labelled.folder.events("evaluate/panel/log.jsonl", "asked")) == 1
    with pytest.raises(LabelError, match="'preference' was asked already"):
        evaluate.panel(outputs(5), panelist="eva")
    with pytest.raises(LabelError, match="no panel is named 'other'; there are preference"):
        evaluate.panel_result("other")
    with pytest.raises(LabelError, match="not 'choice'"):
        evaluate.panel(outputs(), task=Task.choice("x", ["a"]), panelist="eva")
    assert "Nobody has voted yet" in evaluate.panels["preference"].to_html()
    evaluate.panel(outputs(), task=RUBRIC, panelist="eva")
    renamed = outputs().with_columns(pl.col("model").replace("birch", "beech"))
    with pytest.raises(LabelError, match="'quality' was asked of other models"):
        evaluate.panel(renamed, task=RUBRIC, panelist="eva")
