"""The command line on evidence packages and stored scores."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import polars as pl
from typer.testing import CliRunner, Result

from scalekit.cli import app
from scalekit.frames import write_parquet
from scalekit.signing import Signer

NAMED = ("--responsible", "R. Lind", "--licence", "LicenseRef-internal")


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "400"})


def test_a_package_is_written_and_checked_with_the_key_alone(labelled: Any, tmp_path: Path) -> None:
    target = tmp_path / "e.zip"
    done = call("package", labelled.folder.root, *NAMED, "--to", target)
    assert done.exit_code == 0, done.output
    key = Signer.load("scalekit").public.hex()
    checked = call("verify", target, "--key", key)
    assert checked.exit_code == 0, checked.output
    assert "holds" in checked.output
    assert "R. Lind" in checked.output
    assert call("verify", target, "--key", "0" * 64).exit_code == 1
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("more.md", "x")
    spoilt = call("verify", target, "--key", key)
    assert spoilt.exit_code == 1
    assert "more.md was added" in spoilt.output


def test_no_package_without_a_name(labelled: Any, tmp_path: Path) -> None:
    done = call("package", labelled.folder.root, "--responsible", " ", "--licence", "MIT",
                "--to", tmp_path / "e.zip")  # fmt: skip
    assert done.exit_code == 2
    assert not (tmp_path / "e.zip").exists()


def test_verify_computes_the_scores_again(sealed: Any) -> None:
    sealed.evaluate.measure(lambda texts: ["billing"] * len(texts))
    root = sealed.folder.root
    done = call("verify", root)
    assert done.exit_code == 0, done.output
    assert "bit for bit" in done.output
    path = root / "evaluate/measured/last-sets.parquet"
    write_parquet(pl.read_parquet(path).with_columns(pl.col("accuracy") + 0.1), path)
    spoilt = call("verify", root)
    assert spoilt.exit_code == 1
    assert "last-sets.parquet, dev: stored" in spoilt.output
