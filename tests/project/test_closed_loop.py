"""Once around the loop on the sample: a team that reads the guideline otherwise is found, and only
it; what is relabelled, forecast and compared is on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate import text_proxy
from scalekit.frames import FrameError
from scalekit.signing import Signer

WHY = "two seconds an item, agrees with nobody"
TEAMS = {"day": ("ana", "ben", "chloe"), "evening": ("farid", "gwen", "hana")}


def proxy_of(project: Any) -> Any:
    """A cheap model of what the project has to train on."""
    items = project.evaluate.train_items()
    proxy = text_proxy()
    proxy.fit(items["text"].to_list(), items["category"].to_list())
    return proxy


@pytest.fixture
def november(sealed: Any, samples: Path) -> Any:
    """The sample with its first release accepted and the second delivery labelled and checked."""
    project = sealed
    project.decide.found("dora", {"tom": Signer.load("tom").public.hex()}, tpm=["tom"])
    for annotator in ("ben", "dora"):
        project.decide.propose("exclude_annotator", {"annotator": annotator}, reason=WHY)
    project.evaluate.accept("adjudicated")
    project.collect.add(
        samples / "november_inbox.csv", batch_id="november", source="inbox", tier="first-party",
        rights="LicenseRef-internal", collected="2026-11-12", text="message", item_id="ticket",
        category="queue",
    )  # fmt: skip
    project.collect.gate()
    project.audit.run()
    project.audit.gate()
    project.label.invite(*TEAMS["evening"])
    project.label.import_table(pl.read_csv(samples / "labels_november.csv"))
    project.label.know(pl.read_csv(samples / "checks_november.csv"))
    assert project.label.gate().passed
    return project


def test_the_trace_names_the_team_and_what_it_reads_otherwise(november: Any, samples: Path) -> None:
    planted = json.loads((samples / "how_it_was_made/planted.json").read_text())
    wrong = planted["a team that reads the guideline otherwise"]
    alpha = november.label.agreement().interval[0]
    assert alpha > 0.8  # agreement can't see it: the team agrees with itself
    first = proxy_of(november)

    def answer(texts: list[str]) -> list[str]:
        return list(first.classes_[first.predict_proba(texts).argmax(1)])

    forecast = november.evaluate.forecast()
    found = november.evaluate.trace(cohorts=TEAMS)
    flagged = found.table.filter("flagged")
    assert flagged.select("factor", "level").rows() == [("cohort × domain", "evening × returns")]
    assert set(wrong) <= set(found.queue["item_id"])
    confirmed = november.evaluate.confirm(found)
    assert confirmed.table["finding"].to_list() == list(found.findings)
    assert confirmed.items > 0
    queued = november.evaluate.relabel(found)
    assert queued.to_list() == found.queue["item_id"].to_list()

    again = pl.read_csv(samples / "labels_november_again.csv")
    again = again.filter(pl.col("item_id").is_in(queued.to_list()))
    november.label.import_table(again, round=2)
    assert november.evaluate.trace(cohorts=TEAMS).abstains
    assert november.label.gate().passed

    november.evaluate.seal()
    before = november.evaluate.measure(answer)
    after = november.evaluate.measure(proxy_of(november))  # an estimator is taken as it is
    outcomes = november.evaluate.outcomes(before, after, rates=18.0)
    rows = {r["outcome"]: r for r in outcomes.table.to_dicts()}
    dev = november.evaluate.measured().sets.filter(set="dev")["n"][0]
    uplift = rows["benchmark uplift"]
    assert (uplift["n before"], uplift["n after"], uplift["compared"]) == (
        dev,
        dev,
        "paired, Tango",
    )
    escalated = rows["escalation reduction"]
    items = (escalated["n before"], escalated["n after"])
    assert escalated["before"] == pytest.approx(1000 * 2 / items[0])
    assert escalated["after"] == 0
    assert 340 < items[1] <= 348  # those whose votes are not tied

    held = november.evaluate.forecasts()
    assert held.forecasts["state"].to_list() == ["counted"]
    assert held.forecasts["expected"][0] == pytest.approx(forecast.expected, abs=1e-4)
    assert november.evaluate.forecasts().forecasts.equals(held.forecasts)  # settled once
    kinds = [e.kind for e in november.folder.events("evaluate/releases.jsonl")]
    assert kinds == ["accepted", "traced", "remediated", "traced", "cycle"]

    told = november.evaluate.history()
    assert told["at"].is_sorted()
    assert told["what"].to_list() == [
        "release", "forecast", "trace", "relabelled", "trace", "cycle closed", "forecast met",
    ]  # fmt: skip
    assert "evening × returns" in told.filter(what="trace")["said"][0]
    (cycle,) = november.evaluate.cycles()
    assert cycle.table.equals(outcomes.table)
    assert cycle.quality == outcomes.quality
    html = november.report().path.read_text()
    loop = html[html.index("<h2>Loop") : html.index("<h2>Evidence")]
    assert "evening × returns" in loop
    assert "Outcomes of now against release" in loop

    (line,) = november.account(18.0, currency="EUR").table.to_dicts()
    spared = len(set(november.evaluate.since()["item_id"]) | set(queued)) - len(queued)
    assert line["amount"] == pytest.approx(spared * november.cost(18.0).per_accepted)
    assert line["records"][0].startswith("releases.jsonl#")

    november.label.deliver()
    november.train.fit(epochs=1)
    november.evaluate.measure(november.train.model().predict, model=november.train.digest())
    moved = november.evaluate.trace(cohorts=TEAMS, moved=True).moved
    assert {n for team in TEAMS.values() for n in team} <= set(moved["level"])


def test_escalations_are_counted_by_when_they_were_asked_for(sealed: Any) -> None:
    assert sealed.decide.escalated() is None
    before = sealed.folder.events("evaluate/log.jsonl")[0].at
    sealed.decide.found("dora")
    asked = [
        sealed.decide.propose(kind, {"a": kind}, reason=WHY).entry.at
        for kind in ("exclude_annotator", "resolve", "change_guideline")
    ]
    assert sealed.decide.escalated() == 2  # to resolve is tier 1
    assert sealed.decide.escalated(since=asked[0]) == 1
    assert sealed.decide.escalated(until=asked[0]) == 1
    assert sealed.decide.escalated(until=before) is None  # no policy was in force


def test_a_trace_needs_new_labels_and_known_people(sealed: Any) -> None:
    with pytest.raises(FrameError, match="no release to go by"):
        sealed.evaluate.forecast()
    with pytest.raises(FrameError, match="say in words"):
        sealed.evaluate.accept("  ")
    assert sealed.evaluate.accept("adjudicated")["items"].to_list() == [
        len(sealed.evaluate.train_items())
    ]
    with pytest.raises(FrameError, match="nothing was labelled since"):
        sealed.evaluate.trace()
    with pytest.raises(FrameError, match="'zoe' is no annotator here"):
        sealed.evaluate.trace(cohorts={"day": ("zoe",)})
    with pytest.raises(FrameError, match="no training item is from a source of tier synthetic"):
        sealed.evaluate.keep_synthetic()


def test_answers_are_kept_and_unknown_ones_named(sealed: Any) -> None:
    asked: list[str] = []

    def answer(texts: list[str]) -> list[str]:
        asked.extend(texts)
        return ["returns" if "refund" in t else "no category" for t in texts]

    found = sealed.evaluate.measure(answer, model="m", resume=True)
    assert found.unknown is not None
    assert set(found.unknown["prediction"]) == {"no category"}
    kept = sealed.evaluate.measured()
    assert kept.unknown is not None
    assert kept.unknown.equals(found.unknown)
    once = len(asked)
    assert sealed.evaluate.measure(answer, model="m", resume=True).sets.equals(found.sets)
    assert len(asked) == once  # nothing is asked twice
    assert {"batch_id", "domain"} <= set(found.results.columns)


def test_open_test_items_go_to_inspect(sealed: Any, tmp_path: Path) -> None:
    path = sealed.evaluate.inspect_dataset(tmp_path / "items.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {r["metadata"]["set"] for r in rows} == {"handwritten", "dev"}
    dev = sealed.evaluate.sets().table.filter(set="dev")["items"][0]
    assert len(rows) == dev + 32


def test_the_learning_curve_goes_on_from_what_there_is(sealed: Any) -> None:
    found = sealed.evaluate.learning_curve(100)
    assert found.table["items"].to_list() == [100]
    low, high = found.interval
    assert low <= found.gain <= high
