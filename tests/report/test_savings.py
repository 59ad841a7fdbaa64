"""Savings: by hand, with records, and never from what was not mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scalekit.journal import Journal
from scalekit.report import Line, avoided_runs, remediation_line, return_on_cost, reuse_line


def remediation(**more: Any) -> Line:
    about: dict[str, Any] = {"items": 1000, "flagged": 50, "unit_cost": 0.4,
                             "interval": (0.3, 0.5), "finding_cost": 20.0,
                             "records": ("queue.jsonl#1",)}  # fmt: skip
    return remediation_line(**{**about, **more})


def gates(path: Path, *judged: tuple[str, bool, str]) -> Path:
    with Journal(path / "gates.jsonl") as journal:
        for stage, passed, inputs in judged:
            journal.append("gate", {"stage": stage, "passed": passed, "inputs": inputs})
    return path / "gates.jsonl"


def test_targeted_against_full_by_hand() -> None:
    line = remediation()
    assert line.amount == pytest.approx(950 * 0.4 - 20)
    assert (line.low, line.high) == pytest.approx((950 * 0.3 - 20, 950 * 0.5 - 20))
    assert "full re-annotation was not done" in line.assumption
    assert "5.0%" in line.assumption
    assert remediation(flagged=1000, finding_cost=5).amount == -5
    for wrong in (
        {"flagged": 1001},
        {"items": 0, "flagged": 0},
        {"unit_cost": -1, "interval": None},
    ):
        with pytest.raises(ValueError, match=r"flagged|cost"):
            remediation(**wrong)


def test_a_line_without_records_or_assumption_is_refused() -> None:
    with pytest.raises(ValueError, match="name the records"):
        remediation(records=())
    with pytest.raises(ValueError, match="what it assumes"):
        Line("x", "cost", 1, 1, 1, ("r",), " ")
    with pytest.raises(ValueError, match="lies outside"):
        Line("x", "cost", 2, 0, 1, ("r",), "a")


def test_a_run_was_avoided_only_where_the_data_was_mended_after(tmp_path: Path) -> None:
    path = gates(
        tmp_path,
        ("specify", False, "s0"), ("specify", True, "s1"),  # before any data: no run
        ("audit", False, "a0"), ("audit", False, "a0"), ("audit", False, "a1"),
        ("audit", True, "a2"),  # two states of the data were held back
        ("label", False, "l0"), ("label", True, "l0"),  # the same data passed: nothing was mended
        ("evaluate", False, "e0"),  # still closed
    )  # fmt: skip
    line = avoided_runs(path, run_cost=100, share_failing=0.5)
    assert line is not None
    assert (line.amount, line.low, line.high) == (100, 0, 200)
    assert len(line.records) == 2
    assert all(r.startswith("gates.jsonl#") for r in line.records)
    less = avoided_runs(path, run_cost=100, share_failing=0.5, waived=["a0"])
    assert less is not None
    assert less.amount == 50, "what was waived was run"


def test_without_a_closed_gate_no_run_was_avoided(tmp_path: Path) -> None:
    path = gates(tmp_path, ("audit", True, "a0"))
    assert avoided_runs(path, run_cost=100, share_failing=1) is None
    with pytest.raises(ValueError, match="share_failing"):
        avoided_runs(path, run_cost=100, share_failing=1.2)


def test_the_net_takes_costs_off_and_leaves_out_what_may_not_count() -> None:
    lines = [
        remediation(),
        reuse_line(criteria=6, cost_of_one=40, records=("taxonomy.jsonl#2",), non_inferior=False),
        Line("tools and review", "cost", 100, 90, 120, ("cost.json",), "as invoiced"),
        None,
    ]
    found = return_on_cost(lines, currency="EUR")
    assert found.net == pytest.approx(360 - 100)
    assert found.range == pytest.approx((265 - 120, 455 - 90))
    assert found.table["counts"].to_list() == [True, False, True]
    assert "not counted: quality was not shown" in found.to_html()
    better = reuse_line(criteria=6, cost_of_one=40, records=("r",), non_inferior=True)
    assert return_on_cost([better]).net == 240
    assert return_on_cost([]).net == 0
