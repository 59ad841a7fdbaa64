from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.audit import mend
from scalekit.engine import EngineError, Local, Pool, cut, result_path
from scalekit.frames import write_parquet

CALLS: list[list[int]] = []


def doubled(table: pl.DataFrame, times: int = 2) -> pl.DataFrame:
    CALLS.append(table["n"].to_list())
    if -1 in table["n"]:
        raise RuntimeError("a bad part")
    return table.with_columns(pl.col("n") * times)


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.clear()


def parts(folder: Path, *values: list[int]) -> list[Path]:
    paths = []
    for i, numbers in enumerate(values):
        path = folder / f"part-{i}.parquet"
        write_parquet(pl.DataFrame({"n": numbers}), path)
        paths.append(path)
    return paths


def results(paths: list[Path]) -> list[list[int]]:
    return [pl.read_parquet(p)["n"].to_list() for p in paths]


def test_results_stand_in_the_order_of_the_parts(tmp_path: Path) -> None:
    given = parts(tmp_path, [1], [2, 3], [4])
    seen: list[tuple[int, int]] = []
    got = Local().run(doubled, given, tmp_path / "out", {}, lambda d, t: seen.append((d, t)))
    assert results(got) == [[2], [4, 6], [8]]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_finished_parts_are_not_computed_again(tmp_path: Path) -> None:
    given = parts(tmp_path, [1], [2])
    first = Local().run(doubled, given, tmp_path / "out", {})
    before = [p.read_bytes() for p in first]
    assert Local().run(doubled, given, tmp_path / "out", {}) == first
    assert CALLS == [[1], [2]]
    assert [p.read_bytes() for p in first] == before

    more = [*given, *parts(tmp_path / "new", [3])]
    Local().run(doubled, more, tmp_path / "out", {})
    assert CALLS == [[1], [2], [3]]


def test_a_restart_after_a_failure_goes_on_where_it_stopped(tmp_path: Path) -> None:
    given = parts(tmp_path, [1], [-1], [3])
    with pytest.raises(RuntimeError, match="a bad part"):
        Local().run(doubled, given, tmp_path / "out", {})
    assert len(list((tmp_path / "out").iterdir())) == 1
    write_parquet(pl.DataFrame({"n": [2]}), given[1])
    assert results(Local().run(doubled, given, tmp_path / "out", {})) == [[2], [4], [6]]
    assert CALLS == [[1], [-1], [2], [3]]


def test_what_changes_the_result_changes_its_name(tmp_path: Path) -> None:
    (part,) = parts(tmp_path, [1])
    (other,) = parts(tmp_path / "other", [2])
    name = result_path(doubled, part, tmp_path, {"times": 2, "by": "x"})
    assert name == result_path(doubled, part, tmp_path, {"by": "x", "times": 2})
    changed = [
        result_path(doubled, other, tmp_path, {"times": 2, "by": "x"}),
        result_path(doubled, part, tmp_path, {"times": 3, "by": "x"}),
        result_path(doubled, part, tmp_path, {"times": 2}),
        result_path(parts, part, tmp_path, {"times": 2, "by": "x"}),  # type: ignore[arg-type]
    ]
    assert len({name, *changed}) == 5


def test_a_new_version_of_a_function_is_computed_anew(tmp_path: Path) -> None:
    given = parts(tmp_path, [1])
    for version in (1, 2, 2):
        Local().run(doubled, given, tmp_path / "out", {}, version=version)
    assert CALLS == [[1], [1]]


def test_two_functions_of_one_name_do_not_share_results(tmp_path: Path) -> None:
    given = parts(tmp_path, [5])
    spaces: list[dict[str, object]] = [{"__name__": "one"}, {"__name__": "two"}]
    for space, by in zip(spaces, (10, 100), strict=True):
        exec(f"def scaled(t): return t * {by}", space)
    got = [Local().run(s["scaled"], given, tmp_path / "out", {}) for s in spaces]  # type: ignore[arg-type]
    assert [results(g) for g in got] == [[[50]], [[500]]]


def test_two_unnamed_functions_never_give_each_others_result(tmp_path: Path) -> None:
    given = parts(tmp_path, [5])
    try:
        got = [
            Local().run(f, given, tmp_path / "out", {})
            for f in (lambda t: t * 10, lambda t: t * 100)
        ]
    except (TypeError, ValueError):
        return  # a clear refusal is as good
    assert [results(g) for g in got] == [[[50]], [[500]]]


def test_a_setting_with_a_fraction_is_refused_by_name(tmp_path: Path) -> None:
    given = parts(tmp_path, [1])
    with pytest.raises(TypeError, match=r"settings\.times: float"):
        Local().run(doubled, given, tmp_path / "out", {"times": 0.5})
    assert not CALLS


KILLED = """
import sys, time
from pathlib import Path
from scalekit.engine import Local
def slow(table):
    print("started", flush=True)
    if 2 in table["n"]:
        time.sleep(60)
    return table
parts = [Path(p) for p in sys.argv[2:]]
Local().run(slow, parts, Path(sys.argv[1]), {})
"""


def test_a_killed_run_leaves_only_whole_results(tmp_path: Path) -> None:
    given = parts(tmp_path, [1], [2], [3])
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(out), *map(str, given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
    assert [pl.read_parquet(p)["n"].to_list() for p in out.glob("*.parquet")] == [[1]]


def dies(table: pl.DataFrame) -> pl.DataFrame:
    if 2 in table["n"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return table


def test_a_pool_gives_bit_by_bit_what_one_process_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefgh"), 30)) for _ in range(400)]
    given = []
    for n in range(5):
        table = pl.DataFrame({"item_id": [f"{n}-{i}" for i in range(80)]})
        given.append(tmp_path / f"{n}.parquet")
        write_parquet(table.with_columns(pl.Series("text", texts[n * 80 :][:80])), given[-1])
    one = Local().run(mend, given, tmp_path / "one", {})
    seen: list[tuple[int, int]] = []
    two = Pool(2).run(mend, given, tmp_path / "two", {}, lambda d, t: seen.append((d, t)))
    assert [p.name for p in one] == [p.name for p in two]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert seen == [(n, 5) for n in range(1, 6)]
    before = [p.stat().st_mtime_ns for p in two]
    assert Pool(2).run(mend, given, tmp_path / "two", {}) == two
    assert [p.stat().st_mtime_ns for p in two] == before


def test_large_parts_are_cut_once_and_lose_nothing(tmp_path: Path) -> None:
    given = parts(tmp_path, list(range(7)), [7], list(range(8, 12)))
    pieces = cut(given, tmp_path / "cut", rows=3)
    assert results(pieces) == [[0, 1, 2], [3, 4, 5], [6], [7], [8, 9, 10], [11]]
    assert pieces[3] == given[1]
    before = [p.stat().st_mtime_ns for p in pieces]
    assert cut(given, tmp_path / "cut", rows=3) == pieces
    assert [p.stat().st_mtime_ns for p in pieces] == before


def test_a_worker_that_dies_is_said_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    given = parts(tmp_path, [1], [2], [3])
    work = importlib.import_module("test_engine").dies
    with pytest.raises(EngineError, match="a worker died, perhaps for want of memory"):
        Pool(1).run(work, given, tmp_path / "out", {})
    assert results(sorted((tmp_path / "out").glob("*.parquet"))) == [[1]]


@pytest.mark.parametrize("function", [lambda table: table, doubled.__class__(
    doubled.__code__, {"__name__": "__main__"}, "doubled")])  # fmt: skip
def test_a_function_that_can_not_be_imported_is_refused(tmp_path: Path, function: Any) -> None:
    function.__module__ = "__main__"
    with pytest.raises(EngineError, match="put it in a module"):
        Pool(2).run(function, parts(tmp_path, [1]), tmp_path / "out", {})
