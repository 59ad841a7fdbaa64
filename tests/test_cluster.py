"""The same work on a Ray cluster of two nodes: bit by bit what one process gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.audit import mend, part_pairs
from scalekit.engine import EngineError, Local, Ray
from scalekit.frames import write_parquet

pytest.importorskip("ray", reason="needs the extra scalekit[cluster]: make test-cluster")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    yield Ray(address=nodes.address, logging_level="ERROR")
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    draw = np.random.default_rng(2)
    words = [f"word{n}" for n in range(500)]
    texts = [" ".join(draw.choice(words, 40)) for _ in range(150)]
    texts += [f"{text} write to me{n}@example.com" for n, text in enumerate(texts[:90])]
    paths = []
    for n in range(4):
        own = texts[n::4]
        paths.append(tmp_path_factory.mktemp("parts") / f"{n}.parquet")
        write_parquet(
            pl.DataFrame({"item_id": [f"{n}-{i}" for i in range(len(own))], "text": own}), paths[-1]
        )
    return paths


def test_a_cluster_gives_bit_by_bit_what_one_process_gives(
    cluster: Any, parts: list[Path], tmp_path: Path
) -> None:
    one = Local().run(mend, parts, tmp_path / "one", {})
    two = cluster.run(mend, parts, tmp_path / "two", {})
    assert [p.name for p in one] == [p.name for p in two]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    pairs = [part_pairs(parts, tmp_path / f"p{n}", engine=e) for n, e in enumerate((None, cluster))]
    assert len(pairs[0]) == 90
    assert pairs[0].equals(pairs[1])


def test_what_a_cluster_has_finished_is_not_worked_again(
    cluster: Any, parts: list[Path], tmp_path: Path
) -> None:
    first = cluster.run(mend, parts[:2], tmp_path, {})
    before = [p.stat().st_mtime_ns for p in first]
    seen: list[tuple[int, int]] = []
    every = cluster.run(mend, parts, tmp_path, {}, lambda done, of: seen.append((done, of)))
    assert [p.stat().st_mtime_ns for p in every[:2]] == before
    assert seen == [(2, 4), (3, 4), (4, 4)]


def test_a_function_of_the_notebook_is_refused_in_words(
    cluster: Any, parts: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="put it in a module"):
        cluster.run(lambda table: table, parts, tmp_path, {})
