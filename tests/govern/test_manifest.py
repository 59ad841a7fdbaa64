"""The signed manifest: what is refused, and with which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.govern import Manifest, ManifestError
from scalekit.signing import Signer

NOISE = {"estimate": "0.0420", "source": "gold", "n": "120"}


def examples(n: int = 6) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": [f"i{k}" for k in reversed(range(n))],
            "text": [f"text {k}" for k in range(n)],
            "label": ["yes", "no"] * (n // 2),
            "batch_id": ["b"] * n,
            "annotators": [["ana"], ["ana", "ben"]] * (n // 2),
            "rubric": ["tone", "fact"] * (n // 2),
            "low": [0.0, 0.5] * (n // 2),
            "high": [0.5, 1.0] * (n // 2),
            "noise": [0.1, None] * (n // 2),
        }
    )


@pytest.fixture
def signer() -> Signer:
    return Signer.load("scalekit")


def write(folder: Path, signer: Signer, **changed: Any) -> Manifest:
    frame = examples().with_columns(**{k: pl.lit(v) for k, v in changed.items()})
    return Manifest.write(folder, frame, noise=NOISE, signer=signer)


def test_it_comes_back_as_it_was_written(tmp_path: Path, signer: Signer) -> None:
    made = write(tmp_path, signer)
    assert made.table["item_id"].to_list() == [f"i{k}" for k in range(6)]
    assert made.noise == 0.042
    assert made.rows(["i3", "i0"]).tolist() == [3, 0]
    assert made.profiles[made.rows(["i5"])].tolist() == [[0.0, 0.5]]
    assert "6 examples, 2 annotators" in made.to_html()
    made.require_whole(examples())
    assert "text" not in made.table.columns


def test_a_changed_byte_a_wrong_key_and_a_missing_file_are_told_apart(
    tmp_path: Path, signer: Signer
) -> None:
    write(tmp_path, signer)
    with pytest.raises(ManifestError, match="none of the given keys"):
        Manifest.load(tmp_path, [Signer.load("other").public])
    path = tmp_path / "manifest.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with pytest.raises(ManifestError, match=r"manifest\.parquet: changed after it was signed"):
        Manifest.load(tmp_path, [signer.public])
    path.write_bytes(whole)
    envelope = tmp_path / "manifest.dsse.json"
    signed = json.loads(envelope.read_text())
    envelope.write_text(json.dumps({**signed, "payload": signed["payload"][:-8] + "AAAAAAA="}))
    with pytest.raises(ManifestError, match=r"dsse\.json"):
        Manifest.load(tmp_path, [signer.public])
    envelope.unlink()
    with pytest.raises(ManifestError, match="missing"):
        Manifest.load(tmp_path, [signer.public])


def test_missing_and_altered_examples_are_named(tmp_path: Path, signer: Signer) -> None:
    made = write(tmp_path, signer)
    with pytest.raises(ManifestError, match="1 example of the manifest missing: i0"):
        made.require_whole(examples().filter(pl.col("item_id") != "i0"))
    edited = examples().with_columns(
        text=pl.when(pl.col("item_id") == "i4").then(pl.lit("other")).otherwise("text")
    )
    with pytest.raises(ManifestError, match="1 example altered after signing: i4"):
        made.require_whole(edited)
    narrowed = made.select(["i1", "i2"])
    assert narrowed.rows(["i2"]).tolist() == [2]
    with pytest.raises(ManifestError, match="not in the manifest: i0"):
        narrowed.rows(["i0"])


def test_a_profile_that_is_no_interval_is_refused(tmp_path: Path, signer: Signer) -> None:
    with pytest.raises(ManifestError, match="low < high"):
        write(tmp_path, signer, low=0.7)
    assert not (tmp_path / "manifest.parquet").exists()
