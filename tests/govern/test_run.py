"""A run from manifest to seal: its record closes, or says where it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small_run
import torch
from small_run import begin, finish

from scalekit.govern import GovernError, ManifestError, RecordError, RunRecord, verify_run
from scalekit.govern.fingerprint import fingerprint_of_file
from scalekit.journal import JournalError
from scalekit.signing import Signer


def closed(folder: Path) -> object:
    header = RunRecord(folder).header
    return verify_run(
        folder,
        [Signer.load("scalekit").public],
        lambda path, nonce: fingerprint_of_file(path, nonce, header),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["SCALEKIT_KEYS"] = str(tmp_path_factory.mktemp("run-keys"))
    return finish(begin(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    monkeypatch.setenv("SCALEKIT_KEYS", str(next(finished.parent.parent.glob("run-keys*"))))
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_closes_over_its_released_weights(copy: Path) -> None:
    result = closed(copy)
    assert result, result.why
    record = RunRecord(copy)
    ledger = record.rows("ledger").collect()
    assert len(ledger) == 4 * 48
    counts = ledger.group_by("example").len()
    assert counts["len"].unique().to_list() == [4]
    deep = record.examples.filter(pl.col("rubric") == "concept")["example"]
    masks = ledger.filter(pl.col("example").is_in(deep.to_list()))["mask"].to_list()
    assert {tuple(m) for m in masks} == {(1.0, 0.0, 1.0, 1.0)}
    assert ledger["loss"].tail(48).mean() < 0.5 * ledger["loss"].head(48).mean()


@pytest.mark.parametrize("table", ["ledger", "updates"])
def test_an_edited_and_a_dropped_segment_are_named(copy: Path, table: str) -> None:
    name = RunRecord(copy).segments(table)[1]["file"]
    raw = bytearray((copy / name).read_bytes())
    raw[60] ^= 1
    (copy / name).write_bytes(raw)
    assert f"{name}: edited" in closed(copy).why
    (copy / name).unlink()
    assert f"{name}: dropped" in closed(copy).why


def test_other_weights_another_key_and_another_chain_are_named(copy: Path) -> None:
    path = copy / "checkpoint.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 64
    path.write_bytes(raw)
    assert "checkpoint.safetensors: changed after the seal" in closed(copy).why
    raw[-5] ^= 64
    path.write_bytes(raw)
    assert closed(copy)
    stranger = verify_run(copy, [Signer.load("stranger").public])
    assert "none of the given keys" in stranger.why
    header = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**header, "budget": {"floor": 0.1}}))
    assert "run.json: changed" in closed(copy).why
    lines = (copy / "chain.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "chain.jsonl").write_bytes(b"".join(lines[:3] + lines[4:]))
    assert "chain.jsonl" in closed(copy).why


def test_weights_that_no_update_made_do_not_close(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.run()
    with torch.no_grad():
        run.model.blocks[0].fc1.weight[0, 0] += 0.5
    run.seal(Signer.load("scalekit"), run.model.to_bytes())
    assert "not what the updates made" in closed(tmp_path / "run").why
    other = begin(tmp_path / "other")
    for _ in range(6):
        other.step()
    with torch.no_grad():
        other.model.blocks[0].fc1.weight[0, 0] += 1e-3
    finish(other)
    assert "before update 7" in closed(tmp_path / "other").why


def test_a_record_of_another_format_is_refused(copy: Path) -> None:
    header = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**header, "format": 1}))
    with pytest.raises(RecordError, match="a record of format 1, and this version reads format"):
        RunRecord(copy)


def test_it_goes_on_after_a_kill_at_any_update(tmp_path: Path) -> None:
    """Ten kills: no hole, no double, and the same weights, bit for bit, as without any."""
    straight = finish(begin(tmp_path / "straight"))
    rng = np.random.default_rng(0)
    folder, kills = tmp_path / "killed", 0
    code = [sys.executable, small_run.__file__, str(folder)]
    while kills < 10:
        with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            start = int(process.stdout.readline())
            stop = min(23, start + int(rng.integers(1, 8)))
            for line in process.stdout:
                if int(line) >= stop:
                    break
            process.send_signal(signal.SIGKILL)
        kills += 1
    done = subprocess.run(code, check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[0]) % 5 == 0
    result = closed(folder)
    assert result, result.why
    for name in ("checkpoint.safetensors", "store.safetensors"):
        assert (folder / name).read_bytes() == (straight / name).read_bytes()
    rows = RunRecord(folder).rows("ledger").select("update", "example").collect()
    assert rows.is_duplicated().sum() == 0
    assert len(rows) == 4 * 48
    assert sum(e.kind == "resumed" for e in RunRecord(folder).events) == 10


def test_going_back_supersedes_what_came_after(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    for _ in range(3):
        run.step()
    run.snapshot()
    kept = run.model.head.weight.clone()
    for _ in range(4):
        run.step()
    assert run.back() == 3
    assert torch.equal(kept, run.model.head.weight)
    assert [r.update for r in run.history()] == [1, 2, 3]
    assert run.back() == 0
    with pytest.raises(GovernError, match="no snapshot"):
        run.back()
    finish(run)
    assert closed(tmp_path / "run")
    with pytest.raises(RecordError, match="sealed"):
        begin(tmp_path / "run")


def test_a_refused_update_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.step()

    def smuggle(*_: object) -> None:
        run.model.head.weight.grad += 1.0

    hook = run.optimizer.register_step_pre_hook(smuggle)
    run.guard.remove()
    run.guard.__init__(run.governor, run.optimizer, run._account)  # after the smuggler
    before = run.model.head.weight.clone()
    with pytest.raises(GovernError, match="head"):
        run.step()
    assert torch.equal(before, run.model.head.weight)
    hook.remove()
    run.step()
    assert run.update == 2
    finish(run)
    assert closed(tmp_path / "run")


def test_a_run_resumes_only_as_the_run_it_was(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    run.step()
    run.close()
    with pytest.raises(GovernError, match="another settings"):
        begin(tmp_path / "run", epochs=9)


def test_an_altered_example_stops_the_run_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path / "run").close()
    table = small_run.frame()
    edited = table.with_columns(text=pl.col("text").str.replace("red", "rad"))
    monkeypatch.setattr(small_run, "frame", lambda: edited)
    with pytest.raises(ManifestError, match="altered after signing"):
        begin(tmp_path / "other")


def test_the_store_does_not_grow_with_the_updates(tmp_path: Path) -> None:
    sizes = []
    for epochs in (1, 4):
        folder = finish(begin(tmp_path / str(epochs), epochs=epochs, ledger=False))
        sizes.append((folder / "store.safetensors").stat().st_size)
        assert not (folder / "ledger").exists()
        assert closed(folder)
    assert sizes[0] == sizes[1]


def test_a_cut_chain_is_no_chain(copy: Path) -> None:
    text = (copy / "chain.jsonl").read_text().replace('"update":5', '"update":6', 1)
    (copy / "chain.jsonl").write_text(text)
    with pytest.raises(JournalError):
        _ = RunRecord(copy).events
