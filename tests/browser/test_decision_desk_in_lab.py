"""The decision desk in JupyterLab: settle what waits by key; refusals say why; both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab import Notebook

ROOT = ".sk-desk"
SAVED = f'{ROOT} .sk-saved[data-state="saved"]'
ATTACK = "<img src=x onerror=document.title='caught'> in 3 days"
Open = Callable[..., Notebook]


def deciding(folder: Path, *, asked: bool = True) -> str:
    """Return a cell that opens the desk of ben, who signs tier 2; ana asks, dora is director."""
    return f"""
import os
os.environ["SCALEKIT_KEYS"] = {str(folder / "keys")!r}
import scalekit as sk
from scalekit.signing import Signer
keys = {{n: Signer.load(n) for n in ("ana", "ben", "dora")}}
others = {{n: k.public.hex() for n, k in keys.items() if n != "dora"}}
project = sk.Project({str(folder / "project")!r})
desks = {{n: project.decide.acting(k) for n, k in keys.items()}}
ana, ben, dora = desks.values()
if not project.decide.files.in_force:
    dora.found("dora", others, team=["ana"], tpm=["ben"], director=["dora"])
if {asked} and ana.table.is_empty():
    failed = [{{"check": "few categories thin", "measured": "2 thin", "needed": "at most 0",
               "waiver": "soft"}},
              {{"check": "no source loses too much", "measured": "1 of 3 batches",
               "needed": "none over 50%", "waiver": "soft"}}]
    ana.propose("waive_gate", {{"gate": "audit", "failed": failed}}, days=5,
        reason="The next delivery fills both groups: {ATTACK}. " * 3,
        evidence=["https://example.org/delivery/12", "audit/report.html", "javascript:alert(1)"])
    ana.propose("extend_budget", "seal a1b2c3", reason="the last two looks found a wrong scorer")
    ana.propose("open_vault", "vault 77", reason="the release is frozen, nothing is tuned now")
    ben.propose("exclude_annotator", "emil", reason="fast, and seldom of the others' opinion")
desk = ben.desk()
desk
"""


def started(open_notebook: Open, folder: Path, *, asked: bool = True) -> Notebook:
    notebook = open_notebook(deciding(folder, asked=asked), "1 + 1")
    notebook.run_all()
    notebook.page.wait_for_selector(SAVED)
    return notebook


def test_what_waits_is_read_and_signed_by_key(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    assert page.inner_text(f"{ROOT} .sk-where") == "2 decisions for you, 2 for others"
    shown = page.inner_text(f"{ROOT} .sk-decision")
    assert "Waive: gate of Audit" in shown
    assert "a soft gate is waived" in shown
    assert "2 thin" in shown
    assert "<img src=x" in shown
    links = page.eval_on_selector_all(f"{ROOT} .sk-decision a", "all => all.map(a => a.href)")
    assert links == ["https://example.org/delivery/12"]
    assert page.title() != "caught"
    # All of it is on the page: nothing that is signed lies out of sight in a frame of its own.
    cut = "n => n.scrollHeight > n.clientHeight"
    assert not page.eval_on_selector(f"{ROOT} .sk-decision", cut)
    notebook.picture(ROOT, "waiting")

    page.focus(ROOT)
    notebook.press("s")
    assert page.evaluate("document.activeElement.textContent") == "Sign itCtrl+Enter"
    notebook.picture(ROOT, "signing")
    notebook.press(["Enter"])
    page.wait_for_selector(
        f"{ROOT} .sk-status:has-text('Waive: gate of Audit: approved: signed by ben')"
    )
    page.wait_for_selector(f"{ROOT} .sk-decision:has-text('seal a1b2c3')")
    assert page.inner_text(f"{ROOT} .sk-where") == "1 decision for you, 2 for others"
    notebook.picture(ROOT, "signed")
    assert notebook.printed("ana.table['status'][0]") == "approved"
    assert "ben" in notebook.saved_summary("Gates that were waived, not passed")
    assert notebook.cell_count() == 2


def test_declining_needs_a_reason_and_escalating_sends_it_up(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    page.focus(ROOT)
    notebook.press("jd")
    page.keyboard.type("too soon")
    page.keyboard.press("Control+Enter")
    assert "12 more characters" in page.inner_text(f"{ROOT} .sk-count")
    page.keyboard.type(", three looks are left")
    notebook.picture(ROOT, "declining")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{ROOT} .sk-status:has-text('rejected: ben: too soon, three looks')")

    page.focus(ROOT)
    notebook.press("e")
    page.keyboard.type("the director should know of both gaps")
    notebook.press(["Escape"])
    assert not page.is_visible(f"{ROOT} .sk-panel")
    notebook.press("e")
    page.keyboard.type("the director should know of both gaps")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(f"{ROOT} .sk-where:has-text('Nothing waits for you, 3 for others')")
    assert notebook.printed("[t for t in ana.table['tier']]") == "[3, 2, 3, 2]"


def test_what_is_not_yours_to_sign_says_why_and_a_refusal_is_shown(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    page.click(f"{ROOT} .sk-card:has-text('vault 77')")
    assert "ben (tpm) may not sign tier 3: director is needed" in page.inner_text(ROOT)
    notebook.press("s")
    assert not page.is_visible(f"{ROOT} .sk-panel")
    page.click(f"{ROOT} .sk-card:has-text('emil')")
    assert "nobody approves their own" in page.inner_text(f"{ROOT} .sk-fault")
    notebook.picture(ROOT, "others")

    # While ben reads, ana takes it back: the desk learns of it when ben signs.
    page.click(f"{ROOT} .sk-card:has-text('seal a1b2c3')")
    notebook.printed("ana.close(ana.table['decision'][1], 'asked for by mistake, sorry').status")
    notebook.press(["s", "Enter"])
    page.wait_for_selector(f"{ROOT} .sk-refused:has-text('Refused: it was closed before')")
    notebook.picture(ROOT, "refused")
    notebook.press("r")
    page.wait_for_function(f"document.querySelector('{ROOT} .sk-where').textContent[0] === '1'")


def test_an_empty_desk_says_so(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder, asked=False)
    assert notebook.page.inner_text(f"{ROOT} .sk-where") == "Nothing waits for you"
    assert "nothing was decided above tier 1" in notebook.page.inner_text(ROOT)
    notebook.picture(ROOT, "empty")


def test_a_signature_given_to_a_dead_kernel_is_not_taken_for_one(
    folder: Path, open_notebook: Open
) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    notebook.kill_kernel()
    page.focus(ROOT)
    notebook.press(["s", "Enter"])
    page.wait_for_selector(f"{ROOT} .sk-banner:visible")
    assert page.inner_text(f"{ROOT} .sk-saved") == "not saved"
    assert "approved" not in page.inner_text(ROOT)


def test_it_can_be_read_in_light_and_dark(folder: Path, open_notebook: Open) -> None:
    notebook = started(open_notebook, folder)
    page = notebook.page
    for key in ("s", "d"):
        page.focus(ROOT)
        notebook.press([key])
        if key == "d":
            page.keyboard.type("three looks are left, that is enough")
        assert notebook.unreadable(ROOT, f"{key}-") == []
        notebook.press(["Escape"])
