"""Licences of 1,262 real data sets (Data Provenance Collection, Longpre et al. 2023)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from scalekit.collect import probable_licences, rights_problem

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "data_provenance_a"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason=f"needs the Data Provenance sample in {DATA} (datasets.parquet), see its NOTE.md",
)
MEANT = {
    "Apache License 2.0": "Apache-2.0", "Artistic License 2.0": "Artistic-2.0",
    "BSD 2-Clause License": "BSD-2-Clause", "BSD 3-Clause License": "BSD-3-Clause",
    "C-UDA": "C-UDA-1.0", "CC BY 2.5": "CC-BY-2.5", "CC BY 3.0": "CC-BY-3.0",
    "CC BY 4.0": "CC-BY-4.0", "CC BY-NC 2.0": "CC-BY-NC-2.0", "CC BY-NC 3.0": "CC-BY-NC-3.0",
    "CC BY-NC 4.0": "CC-BY-NC-4.0", "CC BY-NC-ND 4.0": "CC-BY-NC-ND-4.0",
    "CC BY-NC-SA 3.0": "CC-BY-NC-SA-3.0", "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0",
    "CC BY-SA 3.0": "CC-BY-SA-3.0", "CC BY-SA 4.0": "CC-BY-SA-4.0", "CC0 1.0": "CC0-1.0",
    "CDLA Permissive 1.0": "CDLA-Permissive-1.0", "EPL 1.0": "EPL-1.0", "ISC License": "ISC",
    "MIT License": "MIT", "MPL 2.0": "MPL-2.0", "ODC BY 1.0": "ODC-By-1.0",
}  # fmt: skip
"""Written by hand from the SPDX list: what each everyday name in the data stands for."""
OPEN = {
    "CC BY-SA": {f"CC-BY-SA-{v}" for v in ("1.0", "2.0", "2.5", "3.0", "4.0")},
    "LGPL 2.1": {"LGPL-2.1-only", "LGPL-2.1-or-later"},
}
"""Names that leave open which version counts."""
NO_LICENCE = {"Custom", "No License", "Non Commercial", "OpenAI", "Request Form", "Unspecified",
              "Various", "Academic Research Purposes Only",
              "Google Cloud Translation API"}  # fmt: skip
"""Terms, or their absence: nothing in the SPDX list stands for them."""
NOT_FOUND = {
    "Academic Free License v3.0": "AFL-3.0",
    "BigScience OpenRAIL-M": "",
    "GNU General Public License v2.0": "GPL-2.0-only or GPL-2.0-or-later",
    "GNU General Public License v3.0": "GPL-3.0-only or GPL-3.0-or-later",
    "Llama 2": "",
    "Meta Llama3 Community License": "",
    "Microsoft Data Licensing Agreement": "",
    "OANC": "",
    "OGL 3.0": "OGL-UK-3.0",
}
"""Each failure by name, with what a person would have said (nothing: not in the SPDX list)."""
FIELDS = ("licenses", "hf_yaml_license", "hf_config_license", "github_license", "pwc_license")


@pytest.fixture(scope="module")
def cards() -> pl.DataFrame:
    return pl.read_parquet(DATA / "datasets.parquet")


@pytest.fixture(scope="module")
def names(cards: pl.DataFrame) -> Counter[str]:
    said = (name.strip() for f in FIELDS for cell in cards[f] for name in cell.split(";"))
    # One card holds the template's own explanation in place of a licence.
    return Counter(name for name in said if name and not name.startswith("string ("))


def test_the_sample_is_the_one_that_was_counted(cards: pl.DataFrame) -> None:
    expected = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))["computed_here"]
    share = len(cards.filter(licenses="Unspecified")) / len(cards)
    assert round(share, 4) == expected["share with unspecified manual licence"]
    top = dict(cards["licenses"].value_counts().iter_rows())
    assert {k: top[k] for k in expected["top licences"]} == expected["top licences"]


def test_no_everyday_name_passes_for_rights(names: Counter[str]) -> None:
    assert len(names) == len(MEANT) + len(OPEN) + len(NO_LICENCE) + len(NOT_FOUND)
    assert [n for n in names if rights_problem(n) is None] == []


def test_the_identifier_is_named_for_every_name_that_stands_for_one(names: Counter[str]) -> None:
    told = {name: probable_licences(name) for name in names}
    assert {n: m[0] for n, m in told.items() if len(m) == 1} == {n: MEANT[n] for n in MEANT}
    assert {n: set(m) for n, m in told.items() if len(m) > 1} == OPEN
    failures = {n for n, m in told.items() if not m}
    assert failures == NO_LICENCE | set(NOT_FOUND)
    for name, meant in MEANT.items():
        assert f"say {meant!r}" in str(rights_problem(name))
        assert rights_problem(meant) is None


def test_how_much_of_what_is_said_of_rights_can_be_told(names: Counter[str]) -> None:
    every = sum(names.values())
    share = {
        "one licence": sum(names[n] for n in MEANT) / every,
        "version open": sum(names[n] for n in OPEN) / every,
        "no licence": sum(names[n] for n in NO_LICENCE) / every,
        "not found": sum(names[n] for n in NOT_FOUND) / every,
    }
    assert sum(share.values()) == pytest.approx(1)
    assert {k: round(v, 3) for k, v in share.items()} == {
        "one licence": 0.648, "version open": 0.021, "no licence": 0.295, "not found": 0.036,
    }  # fmt: skip


def test_a_card_of_several_licences_is_refused_with_how_to_join_them(cards: pl.DataFrame) -> None:
    several = [c for c in cards["licenses"].unique() if ";" in c]
    assert len(several) > 100
    assert all("AND (all hold) or OR" in str(rights_problem(c)) for c in several)
