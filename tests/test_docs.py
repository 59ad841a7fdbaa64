"""The code in the docs runs, page by page, as a reader would type it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import scalekit as sk

DOCS = Path(__file__).parents[1] / "docs"
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
CODE = {
    str(path.relative_to(DOCS)): code
    for path in sorted(DOCS.rglob("*.md"))
    if (code := "\n".join(BLOCK.findall(path.read_text(encoding="utf-8"))))
}
ON_THE_SAMPLE = {"evaluate.md", "governed_run.md", "seal.md"}


def test_no_page_of_the_docs_is_passed_over() -> None:
    told = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert told - set(CODE) == {"scaling.md"}


@pytest.mark.parametrize("page", CODE)
def test_the_code_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page in ON_THE_SAMPLE:
        request.getfixturevalue("sealed")
    monkeypatch.chdir(tmp_path)
    exec(compile(CODE[page], page, "exec"), {"__name__": "__main__"})


def test_the_script_prints_what_a_terminal_can_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # run again, it goes on with what is there
        exec(compile(CODE["how_to/from_a_script.md"], "script", "exec"), {})
        said = capsys.readouterr().out
        assert [line for line in said.splitlines() if line.startswith(("Gate", "The report"))] == [
            *(
                f"Gate of {s}: ✔ passed"
                for s in ("Specify", "Collect", "Audit", "Label", "Evaluate")
            ),
            f"The report: {tmp_path / 'coffee-mail/report.html'}",
        ]
    assert "1 of 3 looks" in str(sk.Project("coffee-mail").evaluate.measured().account)
    assert (tmp_path / "coffee-mail/report.html").is_file()


@pytest.mark.parametrize(
    "page", [*DOCS.rglob("*.md"), DOCS.parent / "README.md"], ids=lambda p: p.stem
)
def test_every_link_to_a_file_opens(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert Path(os.path.normpath(page.parent / target)).exists(), target
