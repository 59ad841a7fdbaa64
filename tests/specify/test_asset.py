"""Assets: what comes with the package is whole, and what is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from scalekit.specify import (
    AssetError,
    Outcome,
    adopt,
    gate,
    library,
    problems,
    put,
    read_asset,
    with_outcome,
    write_asset,
)
from scalekit.specify.asset_library import BUILT_IN

FILES = sorted(BUILT_IN.rglob("*.toml"))
ONE = BUILT_IN / "reasoning/math/proof.toml"
OUTCOME = Outcome(
    project="p", date="2026-10-02", tasks=400, cost_per_task="0.31", currency="EUR",
    agreement=0.71, defects=12,
)  # fmt: skip


def test_five_domains_with_five_assets_or_more_come_with_the_package() -> None:
    shelf = library(Path("nowhere"))
    domains = [a.domain[0] for a in shelf.assets]
    assert set(domains) == {"reasoning", "instruction", "code", "knowledge", "safety"}
    assert min(domains.count(d) for d in set(domains)) >= 5
    assert len(FILES) == len(shelf.assets) >= 25
    assert {a.unit for a in shelf.assets} == {"single", "pairwise", "multi-turn"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_an_asset_is_where_its_domain_says_and_makes_a_good_spec(path: Path) -> None:
    asset = read_asset(path)
    assert path == BUILT_IN.joinpath(*asset.domain).with_suffix(".toml")
    assert problems(adopt(asset).model_dump(mode="json")) == []
    assert gate(adopt(asset), examples_per_category=0).passed
    assert any(e.kind == "edge" for e in asset.examples)
    assert any(c.kind == "must" for c in asset.rubric)
    assert len({c.pass_example for c in asset.rubric}) == len(asset.rubric)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_file_is_read_as_it_was_written(path: Path, tmp_path: Path) -> None:
    asset = read_asset(path)
    again = write_asset(asset, tmp_path / "a.toml")
    assert again.read_bytes() == path.read_bytes()
    assert read_asset(again).digest == asset.digest


def test_every_lineage_ends_in_an_asset_that_is_there() -> None:
    shelf = library(Path("nowhere"))
    derived = [a for a in shelf.assets if a.derived_from]
    assert len(derived) >= 2
    for asset in derived:
        (parent,) = shelf.lineage(asset)
        names = {c.name: c for c in shelf.find(parent).rubric}
        assert any(c == names.get(c.name) for c in asset.rubric), "nothing was inherited"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"version": "1.0"}, "version", "MAJOR.MINOR.PATCH"),
        ({"unit": "triple"}, "unit", "single"),
        ({"id": "reasoning.proof"}, "asset", "the id must be the domain's path"),
        ({"domain": ["Reasoning", "x"]}, "domain", "lower-case"),
        ({"derived_from": "proof"}, "derived_from", "id@version"),
        ({"colour": "red"}, "colour", "there is no such field"),
        ({"licence": ""}, "licence", "write something here"),
        ({"rubric": []}, "rubric", "at least 1 item"),
        ({"thresholds": {"kappa": 1.2, "gold": 0.9, "passing": 0.8}}, "thresholds.kappa",
         "at most 1"),
        ({"prompt": {"template": "Prove {claim}", "slots": [{"name": "statement",
          "meaning": "m"}]}}, "prompt", "the template has ['claim'], the slots are ['statement']"),
        ({"prompt": {"template": "Prove {", "slots": [{"name": "s", "meaning": "m"}]}}, "prompt",
         "template"),
        ({"examples": [{"text": "t", "category": "none"}]}, "asset", "unknown category 'none'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_and_field(
    tmp_path: Path, change: dict[str, Any], field: str, said: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(tomli_w.dumps(tomllib.loads(ONE.read_text()) | change))
    with pytest.raises(AssetError) as caught:
        read_asset(path)
    assert str(path) in str(caught.value)
    assert f"- {field}: " in str(caught.value)
    assert said in str(caught.value)


def test_a_criterion_needs_an_example_that_passes_and_one_that_fails(tmp_path: Path) -> None:
    raw = tomllib.loads(ONE.read_text())
    raw["rubric"][1]["fail_example"] = ""
    (tmp_path / "bad.toml").write_text(tomli_w.dumps(raw))
    with pytest.raises(AssetError, match="'all-cases' needs an example that passes"):
        read_asset(tmp_path / "bad.toml")


@pytest.mark.parametrize("text", ["a = ", "\xff"])
def test_what_is_no_toml_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AssetError, match="not readable as TOML"):
        read_asset(path)
    with pytest.raises(AssetError, match="can't be read"):
        read_asset(tmp_path / "none.toml")


def test_a_library_folder_adds_assets_and_what_came_of_them(tmp_path: Path) -> None:
    asset = with_outcome(read_asset(ONE), OUTCOME)
    put(asset, tmp_path)
    shelf = library(tmp_path)
    assert len(shelf.assets) == len(FILES)
    assert shelf.find(asset.id).outcomes == (OUTCOME,)
    assert with_outcome(asset, OUTCOME).outcomes == (OUTCOME,)
    newer = asset.model_copy(update={"version": "1.10.0", "title": "Proofs, longer"})
    put(newer, tmp_path)
    put(newer.model_copy(update={"version": "1.9.0"}), tmp_path)
    assert library(tmp_path).find(asset.id).version == "1.10.0"
    assert library(tmp_path).find(asset.reference).version == "1.0.0"


def test_two_assets_of_one_version_are_refused(tmp_path: Path) -> None:
    other = read_asset(ONE).model_copy(update={"title": "Something else"})
    with pytest.raises(AssetError, match=r"proof@1\.0\.0 is there already and is another"):
        put(other, tmp_path)
    assert not list(tmp_path.rglob("*.toml"))
    write_asset(other, tmp_path / "x.toml")
    with pytest.raises(AssetError, match="raise the version"):
        library(tmp_path)


def test_an_unknown_asset_is_refused_with_those_near_it() -> None:
    with pytest.raises(AssetError, match=r"near it are reasoning\.math\.proof"):
        library(Path("nowhere")).find("reasoning.math.prof")
