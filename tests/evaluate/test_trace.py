"""What trace reads and says, confirmation, the queue and what it brought."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted import CLASSES, Release, World, fitted, flags, proxy, queued, scored, traced
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from scalekit.evaluate.confirmation import Confirmation, confirm
from scalekit.evaluate.evidence import label_evidence
from scalekit.evaluate.levels import Effect, Rule, labels_needed
from scalekit.evaluate.random_effects import crossed_effects
from scalekit.evaluate.remediation import excess_change, loss_recovered, moved_by, remediation_cost
from scalekit.evaluate.tracing import Trace, trace
from scalekit.figures import figure_png
from scalekit.frames import FrameError


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def releases() -> tuple[World, Release, Release]:
    world = World(5)
    return world, world.release("old", 2000, 0.03), world.release("new", 1500)


@pytest.fixture(autouse=True)
def _draws_of_its_own(releases: tuple[World, Release, Release]) -> None:
    """Let no test depend on which were run before it in this process."""
    releases[0].rng = np.random.default_rng(7)


@pytest.fixture(scope="module")
def misread(releases: tuple[World, Release, Release]) -> tuple[Release, Trace]:
    world, old, new = releases
    world.rng = np.random.default_rng(6)
    bad = world.systematic_fault(new, (new.cohort == 1) & (new.domain == 2), 0.9)
    return bad, traced(bad, old, regressed=["domain2"])


def test_a_label_is_judged_by_a_model_that_has_not_seen_its_item(
    releases: tuple[World, Release, Release],
) -> None:
    _, old, _ = releases
    seen: list[set[float]] = []

    class Spy:
        def __init__(self) -> None:
            self.model = proxy()

        def fit(self, inputs: Any, labels: Any) -> None:
            self.trained = {float(v) for v in inputs[:, 0]}
            self.model.fit(inputs, labels)
            self.classes_ = self.model.classes_

        def predict_proba(self, inputs: Any) -> Any:
            seen.append(self.trained & {float(v) for v in inputs[:, 0]})
            return self.model.predict_proba(inputs)

    words = old.words.copy()
    words[:, 0] = np.arange(len(old)) / 1e6  # each item by a number of its own
    marked = Release("old", words, old.truth, old.label, old.domain, old.annotator, old.batch)
    half = marked.table().head(400)
    label_evidence(half, marked.table(), features=marked.features(), make_proxy=Spy)
    assert len(seen) == 10
    assert not any(seen)


def test_what_is_expected_is_what_the_accepted_release_shows(
    releases: tuple[World, Release, Release],
) -> None:
    world, old, _ = releases
    again = world.release("again", 4000, 0.03)
    features = pl.concat([old.features(), again.features()])
    found = label_evidence(again.table(), old.table(), features=features, make_proxy=proxy)
    cells = found.table.with_columns(domain=again.table()["domain"]).group_by("domain").agg(
        pl.col("disagrees").mean(), pl.col("expected").mean(), pl.len()
    )  # fmt: skip
    spread = cells["expected"].max() - cells["expected"].min()  # type: ignore[operator]
    assert spread > 0.1  # difficulties differ, and are met
    assert (cells["disagrees"] - cells["expected"]).abs().max() < 0.05  # type: ignore[operator]
    assert found.by == "accepted release"


def test_the_queue_holds_the_labels_behind_the_finding(misread: tuple[Release, Trace]) -> None:
    bad, found = misread
    behind = np.flatnonzero((bad.cohort == 1) & (bad.domain == 2))
    assert ("cohort × domain", "cohort1 × domain2") in flags(found)
    assert set(queued(found)) >= set(behind)
    assert found.queue["priority"].to_list() == list(range(1, len(found.queue) + 1))
    assert found.queue["probability"].is_sorted()
    wrong = bad.label[queued(found)] != bad.truth[queued(found)]
    half = len(wrong) // 2
    assert wrong[:half].mean() > 2 * wrong[half:].mean()
    assert "excess disagreement" in found.findings[0]
    assert found.suspects["row"].to_list()[:3] == behind[:3].tolist()


def test_the_views_show_it(misread: tuple[Release, Trace]) -> None:
    _, found = misread
    page = found.to_html()
    assert "excess disagreement" in page
    assert "To label again" in page
    assert "bad annotator" not in page
    assert len(figure_png(found.plot())) > 5000


def test_a_finding_is_confirmed_and_one_put_on_others_is_not(
    releases: tuple[World, Release, Release], misread: tuple[Release, Trace]
) -> None:
    world, _, _ = releases
    bad, found = misread
    dev = world.release("dev", 500, 0.0)
    truth = dev.table().with_columns(pl.Series("value", CLASSES[dev.truth]))
    features = pl.concat([bad.features(), dev.features()])

    def held(rows: Any, **options: Any) -> Confirmation:
        suspects = pl.DataFrame({"finding": ["x"] * len(rows), "row": rows})
        accused = Trace(found.table, found.queue, ("x",), suspects, found.domains, "", found.notes)
        return confirm(accused, bad.table(), truth, features=features, make_proxy=proxy, **options)

    mine, theirs = (np.flatnonzero((bad.cohort == c) & (bad.domain == 2)) for c in (1, 3))
    assert held(mine).confirmed == ("x",)
    assert held(theirs).confirmed == ()
    whole = np.flatnonzero(bad.domain == 2)
    assert held(whole).table["confirmed"].to_list() == [None]  # nothing left to compare with
    right = pl.DataFrame({"item_id": bad.ids, "value": CLASSES[bad.truth]})
    again = held(whole, relabelled=right).table.row(0, named=True)
    assert again["confirmed"]
    assert again["labelled again"] > again["accuracy"]
    assert "1 of 1 findings hold" in held(mine).to_html()
    with pytest.raises(FrameError, match="no item is of the domains traced"):
        confirm(found, bad.table(), truth.filter(domain="domain0"), features=features,
                make_proxy=proxy)  # fmt: skip


def test_before_and_after_for_the_same_domain(
    releases: tuple[World, Release, Release], misread: tuple[Release, Trace]
) -> None:
    world, old, _ = releases
    bad, found = misread
    dev = world.release("dev", 1500, 0.0)
    repaired = bad.relabelled(queued(found))
    scores = [scored(fitted(r), dev) for r in (old, bad, repaired)]
    row = loss_recovered(*scores).table.filter(domain="domain2").row(0, named=True)
    lost = 100 * (row["incumbent"] - row["candidate"])
    assert row["lost"] == pytest.approx(lost)
    assert row["recovered"] == pytest.approx(row["regained"] / lost)
    assert row["recovered"] > 0.5
    assert row["p"] < 0.01
    assert row["from"] < row["regained"] < row["to"]
    later = traced(repaired, old, regressed=["domain2"])
    change = excess_change(found.table, later.table)
    mended = change.filter(level="cohort1 × domain2").row(0, named=True)
    assert mended["change"] < -10
    assert (mended["flagged before"], mended["flagged after"]) == (True, False)


def test_what_the_queue_costs(misread: tuple[Release, Trace]) -> None:
    bad, found = misread
    cost = remediation_cost(found.queue, bad.table(), 0.25, currency="€")
    assert cost.table["cost"].to_list() == [len(found.queue) * 0.25, 1500 * 0.25]
    assert "in place of €375.00" in cost.to_html()
    with pytest.raises(FrameError, match="not in training"):
        remediation_cost([{"item_id": "other"}], bad.table(), 1.0)
    with pytest.raises(ValueError, match="under 0"):
        remediation_cost(found.queue, bad.table(), -1.0)


def test_influence_stands_beside_and_finds_nothing(
    releases: tuple[World, Release, Release],
) -> None:
    _, old, new = releases
    mine = new.annotator == 3
    influence = pl.DataFrame({"item_id": new.ids, "influence": np.where(mine, 5.0, -1.0)})
    with_it, without = traced(new, old, influence=influence), traced(new, old)
    assert with_it.table.equals(without.table)
    assert with_it.moved is not None
    first = with_it.moved.filter(by="annotator").row(0, named=True)
    assert (first["level"], first["share in favour"]) == ("a03", 1.0)
    assert first["items"] == mine.sum()
    assert "beside the findings" in with_it.to_html()
    several = pl.DataFrame({"item_id": ["a", "a", "b"], "annotator": ["x", "y", "x"]})
    parts = moved_by(several, [{"item_id": "a", "influence": 4.0}])
    assert parts["in favour"].to_list() == [2.0, 2.0]
    with pytest.raises(FrameError, match="none of its items"):
        moved_by(several, [{"item_id": "c", "influence": 1.0}])


def test_gold_failures_count_as_further_evidence(
    releases: tuple[World, Release, Release],
) -> None:
    world, old, _ = releases
    small = world.release("small", 400)
    bad = world.random_fault(small, small.annotator == 3, 0.35)
    failed = pl.Series("gold_failed", (bad.label != bad.truth).astype(int))
    checked = np.random.default_rng(0).random(len(bad)) < 0.7
    table = bad.table().with_columns(pl.when(pl.Series(checked)).then(failed).alias("gold_failed"))
    features = pl.concat([bad.features(), old.features()])
    alone, more = (
        trace(table, accepted=old.table(), features=features, make_proxy=proxy, also=also)
        for also in ((), ("gold_failed",))
    )
    rows = [
        t.table.filter(factor="annotator", level="a03").row(0, named=True) for t in (alone, more)
    ]
    assert rows[1]["sure"] > rows[0]["sure"]
    with pytest.raises(FrameError, match="'gold_failed' must hold 1"):
        trace(table.with_columns(gold_failed=pl.lit(2)), accepted=old.table(), features=features,
              make_proxy=proxy, also=("gold_failed",))  # fmt: skip


def test_a_first_release_has_no_accepted_one(releases: tuple[World, Release, Release]) -> None:
    world, _, new = releases
    found = traced(world.random_fault(new, new.annotator == 3, 0.4), None)
    assert flags(found) == {("annotator", "a03")}
    assert "no accepted release" in found.to_html()
    assert "domain" not in set(found.table["factor"])


def test_a_release_that_differs_everywhere_accuses_no_domain(
    releases: tuple[World, Release, Release],
) -> None:
    world, old, new = releases
    everywhere = world.systematic_fault(new, np.ones(len(new), dtype=bool), 0.3)
    found = traced(everywhere, old, regressed=["domain2"])
    assert not any(factor == "domain" for factor, _ in flags(found))
    drift = float(found.notes[0].split()[2])
    assert drift > 8


def texts(n: int, seed: int, wrong: float = 0.0) -> pl.DataFrame:
    """Return support tickets of two kinds; annotator ben labels *wrong* of his at random."""
    rng = np.random.default_rng(seed)
    about = {
        "refund": ["money back", "refund", "charged twice", "invoice wrong", "return payment"],
        "delivery": ["parcel late", "courier", "not arrived", "tracking number", "wrong address"],
    }
    rows = []
    for i in range(n):
        value = ["refund", "delivery"][int(rng.integers(2))]
        who = ["ana", "ben", "chloe", "dora"][int(rng.integers(4))]
        said = (
            f"{rng.choice(about[value])} and {rng.choice(about[value])} please {rng.integers(99)}"
        )
        if who == "ben" and rng.random() < wrong:
            value = "delivery" if value == "refund" else "refund"
        rows.append((f"s{seed}-{i}", said, value, ["eu", "us"][i % 2], who))
    columns = ["item_id", "text", "value", "domain", "annotator"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_texts_and_any_data_frame_are_read_as_they_come() -> None:
    new, old = texts(300, 1, wrong=0.4), texts(300, 2)
    found = trace(new.to_pandas(), accepted=old.to_arrow())
    assert flags(found) == {("annotator", "ben")}
    assert set(found.table["factor"]) == {"annotator", "domain"}
    assert trace(new, accepted=old, reference=label_evidence(new, old)).table.equals(found.table)


def test_several_labels_of_an_item_are_one_row_each() -> None:
    old, new = texts(300, 2), texts(150, 3)
    more = [new.with_columns(annotator=pl.lit(who)) for who in ("emil", "fay", "gus")]
    wrong = more[1].with_columns(
        value=pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.col("value").replace({"refund": "delivery", "delivery": "refund"}))
        .otherwise("value")
    )
    found = trace(pl.concat([more[0], wrong, more[2]]), accepted=old)
    assert flags(found) == {("annotator", "fay")}
    assert len(found.queue) == 150
    assert found.table.filter(level="fay")["labels"].to_list() == [150]


def test_unknown_values_and_domains_are_said_and_not_judged() -> None:
    old, new = texts(300, 2), texts(200, 4)
    strange = new.with_columns(
        value=pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("chitchat")).otherwise("value"),
        domain=pl.when(pl.int_range(pl.len()) < 60).then(pl.lit("apac")).otherwise("domain"),
    )
    found = trace(strange, accepted=old)
    assert found.abstains
    assert "10 labels of values that the reference does not know" in " ".join(found.notes)
    assert "too few accepted items: apac" in " ".join(found.notes)
    assert "apac" not in found.table.filter(factor="domain")["level"].to_list()


def test_too_few_labels_end_in_an_abstention() -> None:
    found = trace(texts(20, 5), accepted=texts(100, 2))
    assert found.abstains
    assert "too few" in found.unresolved
    assert found.table.is_empty()
    assert found.queue.is_empty()
    assert "Nothing is flagged" in found.to_html()


@pytest.mark.parametrize(
    ("new", "options", "said"),
    [
        (texts(50, 1).drop("domain"), {}, "'domain' is missing"),
        (texts(50, 1).drop("text"), {}, "'text' is missing"),
        (texts(50, 1), {"regressed": ["mars"]}, "'mars' has no training labels"),
        (texts(50, 1), {"also": ["gold"]}, "'gold' is missing"),
        (texts(50, 1).with_columns(value=pl.lit(None)), {}, "row 0 has no 'value'"),
        (texts(50, 1), {"features": texts(50, 1)}, "give make_proxy"),
        (
            texts(50, 1),
            {"features": pl.DataFrame({"item_id": ["x"], "f": [1.0]}), "make_proxy": proxy},
            "'s1-0' of training has none",
        ),
        (texts(50, 1), {"accepted": texts(50, 2).with_columns(value=pl.lit("one"))}, "two values"),
    ],
)
def test_bad_tables_are_refused_by_name(new: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        trace(new, **{"accepted": texts(50, 2), **options})


@pytest.mark.parametrize(("excess", "sure"), [(0.1, 0.95), (0.2, 0.95), (0.12, 0.8)])
def test_the_labels_said_to_be_needed_tell_in_four_of_five_cases(
    excess: float, sure: float
) -> None:
    rng = np.random.default_rng(0)
    level = rng.integers(0, 20, 3000)
    y = rng.normal(0, 0.02, 20)[level] + rng.normal(0, 0.3, 3000)
    effects, rule = crossed_effects(y, {"annotator": level}), Rule(0.05, sure)
    share = np.full(3000, 0.1)
    noise = np.sqrt(0.15 * 0.85)  # at delta over the share: more than 0.3
    needed = labels_needed(excess, effects, "annotator", rule, share)
    assert needed is not None
    between = max(effects.spread["annotator"] ** 2, excess**2 / 20)

    def told(n: int) -> float:
        """The share of 20,000 levels with this excess that are flagged on n labels."""
        mean = excess + rng.normal(0, noise / np.sqrt(n), 20_000)
        kept = between / (between + noise**2 / n)
        deviation = np.sqrt(kept) * noise / np.sqrt(n)
        return float((norm.sf((rule.delta - kept * mean) / deviation) >= sure).mean())

    assert 0.79 <= told(needed) <= 0.92
    assert told(needed // 2) < 0.75
    assert labels_needed(0.05, effects, "annotator", rule, share) is None


def test_labels_tell_no_more_than_they_would_at_delta_over_their_share() -> None:
    rule = Rule(0.05, 0.95)
    share = np.full(40, 0.1)
    there = 40 / (0.15 * 0.85)  # their precision, at 0.15
    assert 1 / rule.variance(share) == pytest.approx(there / 40)
    for told, counted in ((40 / (0.1 * 0.9), there), (100.0, 100.0)):
        prior, rest = 30.0, 0.002  # what else is not known, the mean of all say
        mean = 0.2 * told / (prior + told)
        effect = Effect(mean, (rest + 1 / (prior + told)) ** 0.5, prior, told)
        deviation = (rest + 1 / (prior + counted)) ** 0.5
        wanted = norm.sf(0.05, 0.2 * counted / (prior + counted), deviation)
        assert rule.probability(effect, share) == pytest.approx(wanted)
