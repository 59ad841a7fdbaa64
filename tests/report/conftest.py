"""A small project's folder with a measurement, journals and gates, written without a project."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from scalekit.evaluate import measure
from scalekit.frames import write_atomically, write_parquet
from scalekit.gates import STAGES
from scalekit.intervals import wilson
from scalekit.journal import Journal

ANSWERS = ("billing", "returns")


@pytest.fixture
def measured_folder(tmp_path: Path) -> Path:
    """120 items in two sets, a sealed set's answer, five gates, one of them failed."""
    root = tmp_path / "p"
    items = pl.DataFrame(
        [{"item_id": f"i{n}", "text": f"text {n}", "category": ANSWERS[n % 3 % 2],
          "set": "dev" if n < 80 else "handwritten"} for n in range(120)]
    )  # fmt: skip
    found = measure(lambda texts: [ANSWERS[len(t) % 2] for t in texts], items)
    sealed = pl.DataFrame([{"set": "sealed", "right": 34, "n": 82, "accuracy": 34 / 82}])
    low, high = wilson(34, 82)
    sealed = sealed.with_columns(pl.lit(low).alias("from"), pl.lit(high).alias("to"))
    stem = root / "evaluate/measured"
    write_parquet(found.results, stem / "last-results.parquet")
    sets = found.sets.select(sealed.columns)
    write_parquet(pl.concat([sets, sealed]), stem / "last-sets.parquet")
    write_parquet(found.categories, stem / "last-categories.parquet")
    with Journal(root / "evaluate/sealed/ab.looks.jsonl") as journal:
        journal.append("look", {"purpose": "a claim"})
        journal.append("answer", {"right": 34, "n": 82})
    with Journal(root / "gates.jsonl") as journal:
        for stage in STAGES:
            check = {"check": "enough", "passed": str(stage != "evaluate"), "measured": "1"}
            data = {"stage": stage, "passed": stage != "evaluate", "inputs": "i",
                    "checks": [check]}  # fmt: skip
            journal.append("gate", data)
    write_atomically(root / "project.toml", 'name = "p"\n')
    write_atomically(root / "spec.yaml", yaml.safe_dump({"behaviour": "Name the intent."}))
    return root
