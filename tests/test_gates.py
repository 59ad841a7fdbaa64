from __future__ import annotations

from html.parser import HTMLParser

import polars as pl
import pytest

from scalekit.gates import STAGES, Check, Gate, GateClosedError


def check(name: str, passed: bool, back: str = "collect", **more: object) -> Check:
    return Check(name, passed, "3 of 9", "at least 8", back, f"mend {name}", **more)  # type: ignore[arg-type]


def test_a_gate_is_open_when_all_passed_and_only_then() -> None:
    good, bad = check("a", True), check("b", False)
    assert Gate("audit", (good,)).passed
    assert not Gate("audit", (good, bad)).passed
    assert Gate("audit", (good, bad)).failed == (bad,)
    assert not Gate("audit").passed, "nothing was judged"


def test_a_failure_sends_back_to_the_earliest_stage_named() -> None:
    assert STAGES == ("specify", "collect", "audit", "label", "evaluate")
    failed = (check("a", False, "label"), check("b", False, "collect"), check("c", False, "audit"))
    open_early = check("d", True, "specify")
    assert Gate("evaluate", (*failed, open_early)).send_back_to == "collect"
    assert Gate("evaluate", (open_early,)).send_back_to is None


def test_a_closed_gate_says_each_failed_check_its_stage_and_remedy() -> None:
    gate = Gate(
        "label", (check("agreement", False, "label"), check("rows", False), check("x", True))
    )
    with pytest.raises(GateClosedError) as caught:
        gate.require()
    assert str(caught.value).splitlines() == [
        "the gate of Label is closed:",
        "- agreement: 3 of 9, needed at least 8. Back to label: mend agreement",
        "- rows: 3 of 9, needed at least 8. Back to collect: mend rows",
    ]
    Gate("label", (check("x", True),)).require()


def test_a_gate_that_was_not_judged_says_what_to_run() -> None:
    with pytest.raises(GateClosedError, match=r"not been judged yet; run project\.audit\.gate\(\)"):
        Gate("audit").require()


def test_the_table_names_the_remedy_only_of_what_failed() -> None:
    table = Gate("audit", (check("a", True), check("b", False))).table
    assert table["passed"].to_list() == [True, False]
    assert table["remedy"].to_list() == ["", "mend b"]
    assert table["back to"].to_list() == ["", "collect"]
    assert Gate("audit").table.columns == table.columns
    assert Gate("audit").table.height == 0


def test_a_printed_gate_says_every_text_whole() -> None:
    long = "go through each of the items that two annotators read in different ways, " * 4
    bad = Check("agreement", False, "0.41", "0.667", "label", long)
    assert str(Gate("label", (check("x", True), bad))).splitlines() == [
        "Gate of Label: ✘ not passed",
        "✔ x: 3 of 9 (needed: at least 8)",
        "✘ agreement: 0.41 (needed: 0.667)",
        f"  → back to label: {long}",
    ]
    assert str(Gate("label", (bad,), waived="waived by dora")).startswith(
        "Gate of Label: ✘ not passed, waived by dora\n"
    )
    assert str(Gate("label")) == "Gate of Label: ○ not judged"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_view_escapes_everything_and_shows_evidence_once() -> None:
    evil = "<script>alert('x')</script><img src=x onerror=alert(1)>"
    evidence = pl.DataFrame({evil: [evil], "text": ["the one row"]})
    hostile = Check(evil, False, evil, evil, "collect", evil, evidence)
    for html in (hostile.to_html(), Gate(evil, (hostile, hostile)).to_html()):
        seen = Tags(html)
        assert not seen.tags & {"script", "img"}
        assert seen.said.count("the one row") == 1
        assert "not\u00a0passed" in seen.said.replace("✘\u00a0", "✘ ").replace(
            " passed", "\u00a0passed"
        )


def test_an_open_gate_shows_no_evidence() -> None:
    gate = Gate("audit", (check("a", True, evidence=pl.DataFrame({"text": ["hidden"]})),))
    assert "hidden" not in gate.to_html()
    assert "remedy" not in gate.to_html()
    assert gate._repr_mimebundle_()["text/html"] == gate.to_html()
