"""The report: every stage, no network, also of a project that is only begun."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import scalekit as sk

SECTIONS = [
    "Summary", "Gates", "Specify", "Collect", "Audit", "Label", "Train", "Evaluate", "Loop",
    "Evidence", "Journals",
]  # fmt: skip


class Targets(HTMLParser):
    """Whatever a page could fetch, and the scripts in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                self.found.append(value or "")


def targets(html: str) -> Targets:
    parser = Targets()
    parser.feed(html)
    return parser


def test_it_holds_every_stage_and_asks_the_network_for_nothing(sealed: Any) -> None:
    sealed.evaluate.measure(lambda t: ["billing"] * len(t), sealed="claim")
    report = sealed.report()
    html = report.path.read_text()
    assert list(report.sections) == SECTIONS
    assert re.findall(r"<h2>(.*?)</h2>", html) == SECTIONS
    seen = targets(html)
    outward = [t for t in seen.found if not t.startswith(("#", "data:"))]
    assert outward, "the evidence is linked"
    assert all((report.path.parent / t).is_file() for t in outward), "to files of the project"
    assert seen.scripts == 0
    assert not re.search(r"url\(\s*['\"]?(?!data:)|@import", html)
    assert "Krippendorff" in html
    assert html.count("data:image/png;base64,") == 3
    assert html.count("Nothing to show yet") == 1  # nothing was trained


@pytest.mark.parametrize("fixture", ["audited", "labelled", "sealed"])
def test_it_can_be_written_at_any_stage(fixture: str, request: pytest.FixtureRequest) -> None:
    project = request.getfixturevalue(fixture)
    assert re.findall(r"<h2>(.*?)</h2>", project.report().path.read_text()) == SECTIONS


def test_it_can_be_written_of_an_empty_project(tmp_path: Path) -> None:
    html = sk.Project(tmp_path / "p").report().path.read_text()
    assert "No spec yet." in html
    assert html.count("Nothing to show yet") >= 5


def test_it_can_be_written_before_the_first_label(labelled: Any) -> None:
    shutil.rmtree(labelled.folder / "label")
    assert "Audit" in labelled.report().path.read_text()


def test_text_of_the_data_is_never_markup(labelled: Any) -> None:
    # P-1073 holds markup; a script in a spec is no script either.
    fields = labelled.specify.spec.model_dump(mode="json")
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    labelled.specify.save({**fields, "instructions": fields["instructions"] + evil, "name": evil})
    labelled.collect.retire("forum", evil)
    html = labelled.report().path.read_text()
    assert targets(html).scripts == 0
    assert "<img src=x" not in html


def test_the_machine_readable_part_holds_gates_and_a_head_for_every_journal(labelled: Any) -> None:
    said = json.loads(labelled.report().path.with_suffix(".json").read_text())
    root = labelled.folder.root
    journals = sorted(str(p.relative_to(root)) for p in root.rglob("*.jsonl"))
    assert sorted(h["journal"] for h in said["heads"]) == journals
    assert len(bytes.fromhex(said["public_key"])) == 32
    assert [g["stage"] for g in said["gates"]] == [
        "specify",
        "collect",
        "audit",
        "label",
        "evaluate",
    ]


def test_the_summary_says_what_stands_and_what_is_not_there_yet(
    labelled: Any, sealed: Any, tmp_path: Path
) -> None:
    def summary(project: Any) -> dict[str, str]:
        html = project.report().path.read_text()
        section = html[html.index("<h2>Summary") : html.index("<h2>Gates")]
        cells = [unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", section)]
        return dict(zip(cells[::2], cells[1::2], strict=True))

    assert set(summary(sk.Project(tmp_path / "p")).values()) >= {"not yet"}
    begun = summary(labelled)
    found = labelled.label.agreement()
    assert begun["labels"].startswith(f"{found.labels:,} by ")
    assert f"alpha {found.alpha}" in begun["labels"]
    assert begun["score"] == "not yet"
    sealed.evaluate.measure(lambda t: ["billing"] * len(t))
    dev = sealed.evaluate.measured().sets.row(by_predicate=pl.col("set") == "dev", named=True)
    assert f"dev {dev['accuracy']:.3f}" in summary(sealed)["score"]


def test_a_foreign_file_of_json_lines_in_the_folder_stops_no_report(labelled: Any) -> None:
    (labelled.folder / "my_export.jsonl").write_text('{"text": "mine"}\n')
    (labelled.folder / "notes").mkdir()
    (labelled.folder / "notes/raw.jsonl").write_text("not even json\n")
    assert labelled.report().path.is_file()


def test_it_goes_where_it_is_asked_to(labelled: Any, tmp_path: Path) -> None:
    report = labelled.report(tmp_path / "out/page.html")
    assert report.path == tmp_path / "out/page.html"
    links = [t for t in targets(report.path.read_text()).found if not t.startswith(("#", "data:"))]
    assert links
    assert all((report.path.parent / t).resolve().is_file() for t in links)
    assert (tmp_path / "out/page.json").is_file()


def test_without_the_key_of_the_seal_it_shows_what_was_measured_and_no_place(
    sealed: Any, keys: Path
) -> None:
    sealed.evaluate.measure(lambda t: ["billing"] * len(t))
    for key in keys.glob("seal-*"):
        key.unlink()
    html = sealed.report().path.read_text()
    assert "the key of this seal is not here" in html
    assert "<b>Evaluation</b>" in html
    assert str(keys) not in html


def test_it_can_be_written_where_the_spec_names_no_metric(sealed: Any) -> None:
    sealed.evaluate.measure(lambda t: ["billing"] * len(t))
    fields = sealed.specify.spec.model_dump(mode="json")
    sealed.specify.save({**fields, "metrics": []})
    html = sealed.report().path.read_text()
    assert "no target to hold scores against" in html
