"""The sample project's account, from its own records."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.project.returns import cost_of, runs_avoided
from scalekit.report import entered


def test_the_time_of_all_labels_is_in_the_cost_of_those_accepted(labelled: Any) -> None:
    spent = labelled.label.cost(24.0, currency="EUR")
    whole = spent.table.row(0, named=True)
    found = cost_of(labelled, 24.0, currency="EUR")
    assert found.total == pytest.approx(whole["cost"], rel=1e-6)
    assert found.accepted == whole["accepted"]
    assert found.table.filter(part="rework")["cost"][0] > 0
    assert found.missing == ["review", "panel", "setup", "tools", "compute"]
    more = cost_of(labelled, 24.0, entered("tools", 90.0, source="invoice"))
    assert more.per_accepted == pytest.approx(found.per_accepted + 90.0 / found.accepted)


def test_the_audit_that_sent_back_for_more_spared_a_run(labelled: Any) -> None:
    line = runs_avoided(labelled, run_cost=50.0, share_failing=0.5)
    assert line is not None
    events = {e.hash[:16] for e in labelled.folder.events("gates.jsonl", "gate")
              if not e.data["passed"]}  # fmt: skip
    assert {r.partition("#")[2] for r in line.records} <= events
