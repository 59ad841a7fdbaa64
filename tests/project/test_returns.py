"""The sample project's account, from its own records."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.report import entered


def test_the_time_of_all_labels_is_in_the_cost_of_those_accepted(labelled: Any) -> None:
    spent = labelled.label.cost(24.0, currency="EUR")
    whole = spent.table.row(0, named=True)
    found = labelled.cost(24.0, currency="EUR")
    assert found.total == pytest.approx(whole["cost"], rel=1e-6)
    assert found.accepted == whole["accepted"]
    assert found.table.filter(part="rework")["cost"][0] > 0
    assert found.missing == ["review", "panel", "setup", "tools", "compute"]
    more = labelled.cost(24.0, entered("tools", 90.0, source="invoice"))
    assert more.per_accepted == pytest.approx(found.per_accepted + 90.0 / found.accepted)


def test_the_audit_that_sent_back_for_more_spared_a_run(labelled: Any) -> None:
    assert labelled.account(24.0).table.is_empty()  # no queue yet, and no cost of a run
    found = labelled.account(24.0, run_cost=50.0, share_failing=0.5, currency="EUR")
    (line,) = found.table.to_dicts()
    events = {e.hash[:16] for e in labelled.folder.events("gates.jsonl", "gate")
              if not e.data["passed"]}  # fmt: skip
    assert {r.partition("#")[2] for r in line["records"]} <= events
    assert found.net == pytest.approx(25.0 * len(line["records"]))
    assert "not randomised" in found.to_html()
