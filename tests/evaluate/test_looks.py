"""Looks: registered, counted, answered by rungs, and how much the best of several overstates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalekit.evaluate import (
    ACCEPTED,
    NO_CHANGE,
    WORSE,
    Registration,
    Seal,
    SealError,
    climbed,
    expected_optimism,
    scorer_digest,
    seal,
)
from scalekit.journal import read

TODAY = datetime.now(UTC).date()


def items(n: int = 100) -> pl.DataFrame:
    texts = [f"parcel{i} was late and refund{i} of order{i} is due today" for i in range(n)]
    ids = [f"i{i}" for i in range(n)]
    return pl.DataFrame({"item_id": ids, "text": texts, "category": ["a"] * n})


@pytest.fixture
def made(tmp_path: Path) -> Seal:
    return seal(items(), tmp_path / "sealed", project=tmp_path)


def right_on(numbers: range) -> Any:
    wanted = {f"parcel{i}" for i in numbers}
    return lambda texts: ["a" if t.split()[0] in wanted else "b" for t in texts]


def ask(made: Seal, numbers: range, claim: str, **more: str) -> Any:
    return made.measure(right_on(numbers), Registration(claim, **more))


def row(answer: Any) -> tuple[int, int]:
    return answer.measured.sets.select("right", "n").row(0)


# --- the ladder ---------------------------------------------------------------------------------


def test_only_a_gain_beyond_two_paired_standard_errors_is_told(made: Seal) -> None:
    first = ask(made, range(60), "first")
    assert (first.verdict, row(first)) == (ACCEPTED, (60, 100))
    # Two items more: gain 0.02, standard error 0.014.
    near = ask(made, range(62), "near")
    assert (near.verdict, near.attempt, row(near)) == (NO_CHANGE, 2, (60, 100))
    far = ask(made, range(80), "far")
    assert (far.verdict, row(far)) == (ACCEPTED, (80, 100))


def test_the_step_is_paired_and_starts_from_the_best_accepted_one(made: Seal) -> None:
    ask(made, range(60), "first")
    # As many right, on other items: an unpaired comparison would say the same of both.
    other = ask(made, range(35, 100), "other items")
    assert other.verdict == NO_CHANGE
    worse = ask(made, range(30), "worse")
    assert (worse.verdict, len(worse.measured.sets)) == (WORSE, 0)
    told = [(e.data["answer"], e.data.get("right")) for e in read(made.ledger.path)[1::2]]
    assert told == [(ACCEPTED, 60), (NO_CHANGE, 60), (WORSE, None)]


def test_the_raw_figure_of_an_untold_answer_is_kept_but_in_no_plain_file(made: Seal) -> None:
    ask(made, range(60), "first")
    ask(made, range(61), "near")
    assert sum(p == "a" for p in made._predictions(2)) == 61
    plain = made.ledger.path.read_text() + (made.folder / f"{made.seal_id}.json").read_text()
    assert "61" not in [word.strip('",:{}') for word in plain.replace(":", " ").split()]
    assert '"right":61' not in plain


def test_a_registered_margin_raises_the_step(made: Seal) -> None:
    ask(made, range(60), "first")
    assert ask(made, range(80), "far", margin="0.25").verdict == NO_CHANGE


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=80))
def test_the_step_is_that_of_a_slow_reference_and_turns_round(
    pairs: list[tuple[bool, bool]],
) -> None:
    new, best = [[float(x) for x in side] for side in zip(*pairs, strict=True)]
    n = len(pairs)
    gains = [a - b for a, b in zip(new, best, strict=True)]
    mean = sum(gains) / n
    error = (sum((g - mean) ** 2 for g in gains) / (n - 1) / n) ** 0.5
    if abs(abs(mean) - 2 * error) > 1e-9:
        wanted = ACCEPTED if mean > 2 * error else WORSE if mean < -2 * error else NO_CHANGE
        assert climbed(new, best) == wanted
        turned = {ACCEPTED: WORSE, WORSE: ACCEPTED, NO_CHANGE: NO_CHANGE}
        assert climbed(best, new) == turned[wanted]
    assert climbed(best, best) == NO_CHANGE


# --- optimism -----------------------------------------------------------------------------------

# Points by which the best of so many looks overstates, every score told and by the step; from
# simulated text classifiers with correlated errors, measured apart from this package.
MEASURED = {
    (100, 3): (2.6, 0.6), (200, 3): (2.1, 0.2), (500, 3): (1.2, 0.2), (1000, 3): (0.75, 0.1),
    (100, 5): (3.5, 0.8), (200, 5): (2.7, 0.4), (500, 5): (1.6, 0.4), (1000, 5): (1.1, 0.2),
    (100, 10): (4.8, 1.6), (200, 10): (3.5, 0.9), (500, 10): (2.1, 0.4), (1000, 10): (1.5, 0.4),
    (200, 20): (4.2, 1.2), (500, 20): (2.5, 1.0),
}  # fmt: skip


@pytest.mark.parametrize(("n", "looks"), MEASURED)
def test_expected_optimism_is_what_was_measured(n: int, looks: int) -> None:
    naive, step = MEASURED[n, looks]
    assert 100 * expected_optimism(n, looks) == pytest.approx(naive, abs=0.3)
    assert 100 * expected_optimism(n, looks, ladder=True) == pytest.approx(step, abs=0.4)


@pytest.mark.parametrize(("n", "looks"), [(100, 3), (200, 5), (500, 10)])
def test_expected_optimism_is_what_models_on_items_show(n: int, looks: int) -> None:
    draw = np.random.default_rng(5)
    naive, step = [], []
    for _ in range(1500):
        # Answers of equally good models that agree item by item: a shared part and an own one.
        shared, own = draw.normal(size=n), draw.normal(size=(looks, n))
        right = (np.sqrt(0.71) * shared + np.sqrt(0.29) * own < 0.674).astype(float)
        naive.append(right.mean(axis=1).max() - 0.75)
        best = right[0]
        for new in right[1:]:
            best = new if climbed(new, best) == ACCEPTED else best
        step.append(best.mean() - 0.75)
    rho = np.corrcoef(right)[0, 1:].mean()
    assert rho == pytest.approx(0.5, abs=0.15)
    assert np.mean(naive) == pytest.approx(expected_optimism(n, looks), abs=0.004)
    assert np.mean(step) == pytest.approx(expected_optimism(n, looks, ladder=True), abs=0.004)
    assert np.mean(step) < np.mean(naive) / 2


def test_one_look_overstates_nothing_and_more_looks_more() -> None:
    assert expected_optimism(100, 1) == expected_optimism(0, 9) == 0.0
    grown = [expected_optimism(100, k) for k in range(1, 12)]
    assert grown == sorted(grown)
    # The larger of two standard normals is 1 / sqrt(pi) on average.
    spread = (0.75 * 0.25 * 0.5 / 100) ** 0.5
    assert expected_optimism(100, 2) == pytest.approx(spread / np.pi**0.5, rel=1e-3)


# --- registration -------------------------------------------------------------------------------


def test_the_claim_stands_in_the_ledger_before_predict_sees_an_item(made: Seal) -> None:
    asked = Registration("claim", model="m1", data="d1", protocol=scorer_digest(), margin="0.02")
    seen: list[Any] = []

    def predict(texts: list[str]) -> list[str]:
        seen.extend(made.ledger.events())
        return ["a"] * len(texts)

    made.measure(predict, asked, said={"actor": "ana", "git": "abc"})
    data = seen[0].data
    assert data["registration"] == asked.digest
    assert (data["attempt"], data["claim"], data["model"], data["margin"], data["metric"]) == (
        1, "claim", "m1", "0.02", "accuracy",
    )  # fmt: skip
    assert (data["actor"], data["git"], data["seal"]) == ("ana", "abc", made.seal_id)


def test_the_ledger_numbers_attempts_also_those_that_failed(made: Seal) -> None:
    def fails(texts: list[str]) -> list[str]:
        raise ValueError(texts[0])

    with pytest.raises(SealError):
        made.measure(fails, Registration("one"))
    assert ask(made, range(60), "two").attempt == 2
    assert ask(made, range(60), "three").attempt == 3


def test_the_same_registration_of_a_named_model_is_free_and_others_are_not(made: Seal) -> None:
    asked = Registration("claim", model="m1", data="d1")
    given = made.measure(right_on(range(60)), asked)
    again = made.answered(asked)
    assert again is not None
    assert (again.attempt, row(again)) == (1, row(given))
    assert again.measured.categories.equals(given.measured.categories)
    for other in (
        Registration("another claim", model="m1", data="d1"),
        Registration("claim", model="m2", data="d1"),
        Registration("claim", model="m1", data="d2"),
        Registration("claim", model="m1", data="d1", margin="0.1"),
        Registration("claim", data="d1"),
    ):
        assert made.answered(other) is None
    assert made.looks_left == 2


@pytest.mark.parametrize("claim", ["", "  ", 3])
def test_a_claim_that_says_nothing_is_refused(claim: Any) -> None:
    with pytest.raises(SealError, match="in words"):
        Registration(claim)


@pytest.mark.parametrize("margin", ["-0.1", "1", "much", "nan"])
def test_a_margin_that_is_no_share_is_refused(margin: str) -> None:
    with pytest.raises(SealError, match="a share from 0 to 1"):
        Registration("claim", margin=margin)


def test_the_scorer_is_known_by_its_code_and_not_by_its_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import inspect

    source = (Path(str(inspect.getsourcefile(Seal))).parent / "measure.py").read_text()
    digests = []
    changes = [source, f"# a remark\n{source}", source + "\nnothing = 1\n"]
    for number, changed in enumerate(changes):
        path = tmp_path / f"scorer{number}.py"
        path.write_text(changed)
        with monkeypatch.context() as patch:
            patch.setattr(inspect, "getsourcefile", lambda _, path=path: str(path))
            digests.append(scorer_digest())
    assert digests[0] == digests[1] == scorer_digest()
    assert digests[2] != digests[0]


# --- budget and grants --------------------------------------------------------------------------


def use_up(made: Seal) -> None:
    for n in range(made.looks_left):
        ask(made, range(60), f"claim {n}")


def test_a_grant_is_a_record_that_runs_out(made: Seal) -> None:
    use_up(made)
    made.ledger.grant("D-7", (TODAY + timedelta(days=3)).isoformat(), {"actor": "tim"})
    assert made.looks_left == 2
    assert made.ledger.left(TODAY + timedelta(days=3)) == 2
    assert made.ledger.left(TODAY + timedelta(days=4)) == 0
    ask(made, range(60), "one more")
    assert made.looks_left == 1
    assert made.ledger.left(TODAY + timedelta(days=4)) == 0
    granted = next(e for e in read(made.ledger.path) if e.kind == "grant")
    assert granted.data["decision"] == "D-7"
    use_up(made)
    with pytest.raises(SealError, match=r"all 5 looks .* are used"):
        ask(made, range(60), "too many")


def test_a_grant_before_the_budget_is_used_adds_to_it_and_is_spent_last(made: Seal) -> None:
    made.ledger.grant("D-1", TODAY.isoformat(), {})
    assert made.looks_left == 5
    ask(made, range(60), "claim")
    assert made.ledger.left(TODAY + timedelta(days=1)) == 2


@pytest.mark.parametrize(
    ("decision", "expires", "said"),
    [("", "2999-01-01", "name the decision"), ("D-1", "soon", "YYYY-MM-DD"),
     ("D-1", "2020-01-01", "is past"), (True, "2999-01-01", "name the decision")],
)  # fmt: skip
def test_a_grant_without_decision_or_date_is_refused(
    made: Seal, decision: Any, expires: str, said: str
) -> None:
    with pytest.raises(SealError, match=said):
        made.ledger.grant(decision, expires, {})
    assert made.looks_left == 3


def test_a_decision_grants_once(made: Seal) -> None:
    made.ledger.grant("D-1", "2999-01-01", {})
    with pytest.raises(SealError, match="granted its looks already"):
        made.ledger.grant("D-1", "2999-01-02", {})
    assert made.looks_left == 5


def test_order_is_that_of_the_numbers_whatever_the_clock_says(
    made: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Back(datetime):
        hours = 0

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            cls.hours += 1
            return datetime.now(tz) - timedelta(hours=cls.hours)

    monkeypatch.setattr("scalekit.journal.datetime", Back)
    verdicts = [ask(made, range(n), f"up to {n}").attempt for n in (20, 50, 90)]
    assert verdicts == [1, 2, 3]
    times = [e.at for e in read(made.ledger.path)]
    assert times == sorted(times, reverse=True)
    assert [a["right"] for a in made.ledger.answers()] == [20, 50, 90]
    assert made.looks_left == 0
