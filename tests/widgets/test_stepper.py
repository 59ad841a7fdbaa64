"""The stepper over a real run: threads, pauses, snapshots, errors, the static view."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_run import begin

from scalekit.widgets import Stepper


@pytest.fixture
def stepper(tmp_path: Path) -> Iterator[Stepper]:
    run = begin(tmp_path / "run")
    yield Stepper(run)
    run.close()


def act(stepper: Stepper, kind: str, **fields: Any) -> dict[str, Any]:
    reply = stepper._reply({"id": "1", "kind": kind, **fields})
    stepper.wait(120)
    return reply


def test_steps_and_runs_end_where_they_should(stepper: Stepper) -> None:
    assert act(stepper, "state")["state"]["last"] is None
    act(stepper, "step")
    assert stepper.run.update == 1
    act(stepper, "run", updates=5)
    assert stepper.run.update == 6
    act(stepper, "end")
    state = act(stepper, "state")["state"]
    assert (state["update"], state["finished"], state["running"]) == (24, True, False)
    assert "finished" in act(stepper, "step")["error"]
    assert len(state["losses"]["updates"]) == 24
    assert len(state["losses"]["depths"]) == 4


def test_the_view_without_a_kernel_has_the_last_state_once_the_run_stands(
    stepper: Stepper,
) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    stepper._summaries.append(handle)  # type: ignore[arg-type]
    for updates, last in ((1, 1), (10, 11)):
        act(stepper, "run", updates=updates)
        assert f"Update {last} of 24" in shown[-1]


def test_a_reply_comes_at_once_and_a_pause_after_the_update_in_progress(
    stepper: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    forward = stepper.run._forward  # type: ignore[attr-defined]

    def held(*given: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return forward(*given)

    monkeypatch.setattr(stepper.run, "_forward", held)
    assert stepper._reply({"id": "1", "kind": "end"})["state"]["running"]  # before any update ends
    assert begun.wait(60)
    assert "runs already" in stepper._reply({"id": "2", "kind": "step"})["error"]
    assert "pause first" in stepper._reply({"id": "3", "kind": "back"})["error"]
    stepper._reply({"id": "4", "kind": "pause"})
    go_on.set()
    stepper.wait(60)
    assert stepper.run.update == 1
    act(stepper, "end")
    assert stepper.run.finished


def test_back_goes_to_the_snapshot_before(stepper: Stepper) -> None:
    act(stepper, "run", updates=3)
    act(stepper, "snapshot")
    act(stepper, "run", updates=2)
    assert act(stepper, "back")["state"]["update"] == 3
    assert act(stepper, "back")["state"]["update"] == 0
    assert "no snapshot" in act(stepper, "back")["error"]


@pytest.mark.parametrize("updates", [0, -1, 2.5, None, True, "3"])
def test_a_number_of_updates_that_is_none_is_refused(stepper: Stepper, updates: Any) -> None:
    assert "whole number above 0" in act(stepper, "run", updates=updates)["error"]


def test_what_an_update_raises_is_shown_and_stops_the_run(
    stepper: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    act(stepper, "step")
    forward = stepper.run._forward  # type: ignore[attr-defined]

    def fail(*_: Any) -> Any:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(stepper.run, "_forward", fail)
    act(stepper, "run", updates=3)
    assert act(stepper, "state")["state"]["error"] == "the disk is full"
    assert "Stopped: the disk is full" in stepper.to_html()
    monkeypatch.setattr(stepper.run, "_forward", forward)
    act(stepper, "run", updates=2)
    assert act(stepper, "state")["state"]["error"] == ""
    assert stepper.run.update == 3


def test_the_static_view_shows_the_last_state(stepper: Stepper) -> None:
    assert "Nothing stepped yet" in stepper.to_html()
    act(stepper, "run", updates=4)
    shown = stepper.to_html()
    assert "Update 4 of 24" in shown
    assert "data:image/png;base64," in shown
    for name in stepper.run.depths:
        assert name in shown
