"""The spec writer in JupyterLab: what is typed is on disk, what is wrong says so beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from lab import Notebook

ROOT = ".sk-spec"
SAVED = f'{ROOT} .sk-saved[data-state="draft saved"]'
GOOD = "The model sorts an incoming message into the queue of the team that must act first."
DRAFT = {
    "name": "triage",
    "behaviour": "",
    "categories": [
        {"name": "billing", "description": "", "share": 0.6},
        {"name": "delivery", "description": "", "share": 0.4},
    ],
    "examples": [
        {"text": "I was charged twice.", "category": "billing", "kind": "ideal", "note": ""}
    ],
}

Open = Callable[..., Notebook]


def writing(folder: Path, draft: dict[str, Any]) -> str:
    """Return a cell that writes a spec; it goes on from the draft in *folder* when there is one."""
    return f"""
import yaml
from pathlib import Path
from scalekit.specify import Spec, problems
from scalekit.widgets import SpecWriter

folder = Path({str(folder)!r})
written = folder / "draft.yaml"

def save_draft(draft):
    written.write_text(yaml.safe_dump(draft))

def save(draft):
    versions = len(list(folder.glob("spec-*.yaml"))) + 1
    (folder / f"spec-{{versions}}.yaml").write_text(Spec.model_validate(draft).to_yaml())
    return f"saved as version {{versions}}"

draft = yaml.safe_load(written.read_text()) if written.exists() else {draft!r}
SpecWriter(draft, problems, save_draft, save)
"""


def started(open_notebook: Open, folder: Path, draft: dict[str, Any] = DRAFT) -> Notebook:
    notebook = open_notebook(writing(folder, draft), "1 + 1")
    notebook.run_all()
    notebook.page.wait_for_selector(SAVED)
    return notebook


def field(path: str) -> str:
    return f'{ROOT} [data-field="{path}"] :is(input, textarea, select)'


def reason(path: str) -> str:
    return f'{ROOT} [data-field="{path}"] .sk-problem'


def wait_for_draft(notebook: Notebook, folder: Path, holds: Callable[[Any], bool]) -> Any:
    """Return the draft on disk once it is the one wanted."""
    for _ in range(100):
        path = folder / "draft.yaml"
        draft = yaml.safe_load(path.read_text()) if path.exists() else None
        if draft and holds(draft):
            return draft
        notebook.page.wait_for_timeout(100)
    raise AssertionError(f"the draft on disk is still {draft}")


def test_a_wrong_sentence_says_why_and_a_right_one_is_saved(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    assert page.inner_text(f"{ROOT} .sk-form").count("▲") == 0  # nothing noisy before it is touched
    page.click(field("behaviour"))
    page.keyboard.type("Sort the message. Also answer it.")
    page.wait_for_selector(f"{reason('behaviour')}:has-text('these are 2')")
    described = page.get_attribute(field("behaviour"), "aria-describedby")
    assert "these are 2" in page.inner_text(f"#{described}")
    assert page.get_attribute(field("behaviour"), "aria-invalid") == "true"
    wait_for_draft(notebook, folder, lambda d: d["behaviour"].startswith("Sort the"))
    page.keyboard.press("Control+s")
    assert not list(folder.glob("spec-*.yaml"))

    page.fill(field("behaviour"), GOOD)
    page.wait_for_function(f"!document.querySelector('{ROOT} .sk-problem:not(:empty)')")
    page.keyboard.press("Control+s")
    page.wait_for_selector(f"{ROOT} .sk-status:has-text('saved as version 1')")
    assert yaml.safe_load((folder / "spec-1.yaml").read_text())["behaviour"] == GOOD
    page.wait_for_selector(".jp-RenderedHTML:has-text('Spec of triage')")
    assert "Spec of triage" in str(notebook.saved().cells[0].outputs)


def test_rows_come_go_and_move_by_keyboard_and_shares_are_percent(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, folder, {**DRAFT, "behaviour": GOOD})
    page = notebook.page
    page.click(field("categories[0].name"))
    page.keyboard.press("Control+Enter")
    page.keyboard.type("returns d d x")
    page.fill(field("categories[1].share"), "18")
    page.wait_for_selector(f"{ROOT} .sk-total:has-text('118 % of 100 %')")
    page.fill(field("categories[0].share"), "42,0 %")
    page.wait_for_selector(f"{ROOT} .sk-total:has-text('100 % ✓')")
    draft = wait_for_draft(notebook, folder, lambda d: d["categories"][0]["share"] == 0.42)
    names = [(c["name"], c["share"]) for c in draft["categories"]]
    assert names == [("billing", 0.42), ("returns d d x", 0.18), ("delivery", 0.4)]

    moves = page.locator(f"{ROOT} .sk-list-categories .sk-icon:visible")
    assert "".join(moves.all_inner_texts()) == "↓✕↑↓✕↑✕"
    page.focus(field("categories[1].name"))
    page.keyboard.press("Alt+ArrowUp")
    assert page.input_value(field("categories[0].name")) == "returns d d x"
    assert page.evaluate("document.activeElement.value") == "returns d d x"
    page.keyboard.press("Alt+Delete")
    notebook.press("x")  # into the field that has the focus now
    page.click(f"{ROOT} button:has-text('Put back')")
    draft = wait_for_draft(notebook, folder, lambda d: d["examples"][0]["category"] == "billingx")
    assert [c["name"] for c in draft["categories"]] == ["returns d d x", "billingx", "delivery"]
    page.focus(f"{ROOT} .sk-icon >> nth=2")  # ✕
    notebook.press("xddb")  # a button has the focus: the notebook must not hear these either
    assert notebook.cell_count() == 2


def test_a_rubric_criterion_with_an_interval_of_depth(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder, {**DRAFT, "behaviour": GOOD})
    page = notebook.page
    page.click(f"{ROOT} .sk-section-rubric .sk-add")
    page.keyboard.type("right queue")
    page.fill(field("rubric[0].text"), "The queue is the one whose team must act first.")
    page.select_option(f'{ROOT} [data-field="rubric[0].depth"] select', "interval")
    ends = page.locator(f'{ROOT} [data-field="rubric[0].depth"] .sk-interval input')
    wrong = page.locator(f"{reason('rubric[0].depth')}:not(:empty)")

    def marked() -> list[str | None]:
        return [end.get_attribute("aria-invalid") for end in ends.all()]

    for low, high in (("70", "30"), ("-5", "30"), ("70", "130"), ("70", "much"), ("", "30")):
        ends.nth(0).fill(low)
        ends.nth(1).fill(high)
        wrong.wait_for()
        assert marked() == ["true", "true"]
        ends.nth(0).fill("70")
        ends.nth(1).fill("95")
        page.wait_for_function(f"!document.querySelector('{ROOT} .sk-problem:not(:empty)')")
        assert marked() == ["false", "false"]
    page.click(f"{ROOT} .sk-primary >> nth=0")
    page.wait_for_selector(f"{ROOT} .sk-status:has-text('saved as version 1')")
    saved = yaml.safe_load((folder / "spec-1.yaml").read_text())
    assert saved["rubric"][0]["depth"] == [0.7, 0.95]


def test_asking_for_a_version_leads_to_the_first_problem(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    assert "1 to settle" in page.inner_text(ROOT)
    page.click(f"{ROOT} .sk-primary >> nth=1", force=True)  # marked as disabled, but it leads on
    assert page.evaluate("document.activeElement.dataset.key") == "behaviour"
    assert page.inner_text(reason("behaviour")) != ""
    assert notebook.unreadable(ROOT) == []


def test_edits_typed_to_a_dead_kernel_come_back(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder, {**DRAFT, "behaviour": GOOD})
    page = notebook.page
    notebook.kill_kernel()
    page.fill(field("setting"), "A small shop.")
    # At first nothing is lost, the kernel only does not answer; then the edit waits.
    page.wait_for_selector(f"{ROOT} .sk-banner:visible:has-text('NOT SAVED')")
    page.wait_for_selector(".jp-Dialog")
    page.keyboard.press("Enter")
    notebook.wait_for_kernel()
    notebook.run_all()
    wait_for_draft(notebook, folder, lambda d: d["setting"] == "A small shop.")
    assert page.input_value(field("setting")) == "A small shop."
