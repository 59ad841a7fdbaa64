"""Near-duplicates of parts: the same pairs as in memory, whoever works and however it is cut."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.audit import minhash, pairs_in_parts
from scalekit.audit.minhash import minhash_pairs
from scalekit.engine import Local, Pool
from scalekit.frames import write_parquet


def documents(many: int) -> list[str]:
    draw = random.Random(5)
    vocabulary = [f"w{n}" for n in range(2000)]
    texts: list[list[str]] = []
    for _ in range(many):
        told = list(draw.choice(texts)) if texts and draw.random() < 0.4 else []
        told = told or draw.choices(vocabulary, k=50)
        for _ in range(draw.choice([0, 1, 2, 4])):
            told[draw.randrange(len(told))] = draw.choice(vocabulary)
        texts.append(told)
    return [*map(" ".join, texts), "", "one"]


def cut(texts: list[str], folder: Path, size: int) -> list[Path]:
    paths = []
    for n in range(0, len(texts), size):
        paths.append(folder / f"part-{n}.parquet")
        write_parquet(pl.DataFrame({"text": texts[n : n + size]}), paths[-1])
    return paths


@pytest.mark.parametrize("size", [1000, 130])
@pytest.mark.parametrize("unit", [50_000, 40])
def test_pairs_of_parts_are_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, unit: int
) -> None:
    monkeypatch.setattr(pairs_in_parts, "UNIT", unit)
    texts = documents(600)
    seen: list[Any] = []
    got = pairs_in_parts.part_pairs(
        cut(texts, tmp_path, size), tmp_path / "work", threshold=0.5,
        progress=lambda step: lambda done, of: seen.append((step, done, of)),
    )  # fmt: skip
    known = minhash_pairs(pl.Series(texts), 3, 0.5)
    assert len(got) > 100
    for name in ("left", "right", "score"):
        assert got[name].to_list() == getattr(known, name).tolist()
    assert {step for step, *_ in seen} == {
        "Signing texts", "Fetching candidates", "Comparing candidates"
    }  # fmt: skip


def test_slices_in_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(documents(300))
    whole = minhash_pairs(texts, 3, 0.5)
    monkeypatch.setattr(minhash, "SLICE", 37)
    monkeypatch.setattr(minhash, "COMPARED", 50)
    cut_up = minhash_pairs(texts, 3, 0.5)
    for name in ("left", "right", "score"):
        assert getattr(whole, name).tolist() == getattr(cut_up, name).tolist()


def test_processes_give_bit_by_bit_the_same_files_and_a_new_part_alone_is_signed(
    tmp_path: Path,
) -> None:
    parts = cut(documents(500), tmp_path, 130)
    one = pairs_in_parts.part_pairs(parts, tmp_path / "one", engine=Local())
    two = pairs_in_parts.part_pairs(parts, tmp_path / "two", engine=Pool(2))
    assert one.equals(two)
    for name in ("sign", "fetch"):
        files = [sorted((tmp_path / way).glob(f"{name}-*.parquet")) for way in ("one", "two")]
        assert [p.name for p in files[0]] == [p.name for p in files[1]]
        assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]
    signed = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "one").glob("sign-*.parquet")}
    (tmp_path / "more").mkdir()
    more = [*parts, *cut(documents(40), tmp_path / "more", 100)]
    pairs_in_parts.part_pairs(more, tmp_path / "one")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "one").glob("sign-*.parquet")}
    assert signed.items() <= after.items()
    assert len(after) == len(signed) + 1


def test_nothing_alike_and_no_parts_give_no_pairs(tmp_path: Path) -> None:
    assert pairs_in_parts.part_pairs([], tmp_path).is_empty()
    parts = cut(["a b c d", "e f g h", ""], tmp_path, 2)
    found = pairs_in_parts.part_pairs(parts, tmp_path)
    assert found.is_empty()
    assert found.columns == ["left", "right", "score"]
    with pytest.raises(ValueError, match="threshold"):
        pairs_in_parts.part_pairs(parts, tmp_path, threshold=0)
