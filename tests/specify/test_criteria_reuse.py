"""Adopt, adapt, how much was reused, and a spec that becomes an asset."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalekit.specify import (
    AssetError,
    Criterion,
    Spec,
    adapt,
    adopt,
    library,
    problems,
    promote,
    read_spec,
    reuse,
)

SHELF = library(Path("nowhere"))
SQL = SHELF.find("code.sql.query")
OWN = Criterion(name="polite", text="Is polite.", depth="surface")


@pytest.fixture
def triage(samples: Path) -> Spec:
    return read_spec(samples / "spec.yaml")


def test_adopting_keeps_what_is_the_projects_and_takes_the_criteria_unchanged(
    triage: Spec,
) -> None:
    made = adopt(SQL, triage)
    kept = ("behaviour", "categories", "examples", "setting", "assumptions", "instructions", "name")
    assert all(getattr(made, f) == getattr(triage, f) for f in kept)
    assert made.rubric[: len(SQL.rubric)] == SQL.rubric
    assert set(triage.rubric) <= set(made.rubric)
    assert made.metrics == triage.metrics
    assert problems(made.model_dump(mode="json")) == []
    assert adopt(SQL, triage.model_copy(update={"metrics": ()})).metrics == (SQL.evaluation.metric,)


def test_without_a_spec_the_asset_makes_one() -> None:
    made = adopt(SQL, name="warehouse")
    assert (made.name, made.behaviour, made.rubric) == ("warehouse", SQL.target, SQL.rubric)


def test_adapting_changes_only_what_is_named(triage: Spec) -> None:
    made = adapt(SQL, triage, change={"joins": {"points": 5}, "changes-data": None})
    by_name = {c.name: c for c in made.rubric}
    assert by_name["joins"] == SQL.rubric[1].model_copy(update={"points": 5})
    assert by_name["right-rows"] == SQL.rubric[0]
    assert "changes-data" not in by_name
    assert triage.rubric[0].name in by_name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"speed": {"points": 2}}, "has no criterion 'speed'; there are right-rows, joins"),
        ({"joins": {"points": 3}}, "nothing of code.sql.query@1.0.0 is changed"),
        ({}, "nothing of"),
        ({"joins": {"points": 0}}, "joins: points: "),
        ({"joins": {"weight": 2}}, "joins: weight: there is no such field"),
        (dict.fromkeys([c.name for c in SQL.rubric]), "no criterion of .* is left"),
    ],
)
def test_a_change_that_is_none_or_wrong_is_refused(change: dict[str, None], said: str) -> None:
    with pytest.raises(AssetError, match=said):
        adapt(SQL, change=change)


def test_the_rate_counts_criteria_that_are_the_assets_to_the_letter() -> None:
    made = adapt(SQL, change={"joins": {"points": 5}})
    made = made.model_copy(update={"rubric": (*made.rubric, OWN)})
    found = reuse(made, [SQL])
    assert found.table["state"].to_list() == ["unchanged", "changed", "unchanged", "unchanged",
                                              "own"]  # fmt: skip
    assert found.rate == 3 / 5
    assert "3 of 5 criteria reused unchanged (60%)" in found.to_html()
    assert reuse(adopt(SQL), [SQL]).rate == 1
    assert reuse(adopt(SQL), []).rate == 0
    assert reuse(made.model_copy(update={"rubric": ()}), [SQL]).rate is None


def test_a_criterion_of_two_assets_is_unchanged_if_it_is_that_of_one() -> None:
    fix, secure = SHELF.find("code.repair.bug-fix"), SHELF.find("code.repair.security-fix")
    changed = fix.model_copy(update={"rubric": (fix.rubric[0].model_copy(update={"points": 9}),)})
    found = reuse(adopt(secure), [changed, secure])
    assert found.rate == 1
    assert set(found.table["asset"]) == {secure.reference}


def test_a_promoted_spec_is_an_asset_that_names_where_it_is_from(triage: Spec) -> None:
    about = {"owner": "us", "licence": "LicenseRef-internal", "title": "Triage by SQL people"}
    ready = adopt(SQL, triage.model_copy(update={"rubric": ()}))
    made = promote(ready, SQL, domain=("support", "triage"), **about)
    assert made.derived_from == SQL.reference
    assert made.id == "support.triage"
    assert made.rubric == SQL.rubric
    assert made.examples == triage.examples
    bare = ready.model_copy(update={"rubric": (OWN,)})
    with pytest.raises(AssetError, match="'polite' needs an example that passes"):
        promote(bare, SQL, domain=("support", "triage"), **about)
    with pytest.raises(AssetError, match="can't descend from itself"):
        promote(adopt(SQL), SQL, domain=SQL.domain, **about)
    assert promote(adopt(SQL), SQL, domain=SQL.domain, version="1.1.0", **about).version == "1.1.0"
