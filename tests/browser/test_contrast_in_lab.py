"""Every kind of task, and the adjudicator, can be read in JupyterLab's light and dark theme."""

from __future__ import annotations

from collections.abc import Callable

from lab import Notebook

SAVED = '.sk-labeler .sk-saved[data-state="saved"]'
TEXT = "On 3 May 👩‍💻 Ada met Charles in London."
CHAT = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "On its way."}]

EVERY_KIND = f"""
import polars as pl
import tempfile
from pathlib import Path
from scalekit.label import AdjudicationSession, Criterion, LabelSession, Task, Value, disputed
from scalekit.widgets import Adjudicator, Labeler
text, chat = {TEXT!r}, {CHAT!r}
values = (Value("person", "somebody's name"), Value("place"), Value("date"))
folder = Path(tempfile.mkdtemp())
code = "def f(x):\\n    return 'a' + str(1)  # b"
asked = [
    (
        Task("choice", "choice", values, question="What is it?"),
        {{"text": code, "language": "python"}},
    ),
    (Task("multi", "multi", values), {{"text": text, "draft": "x"}}),
    (Task("pair", "pair"), {{"prompt": "why?", "first": "because", "second": "why not"}}),
    (Task("rubric", "rubric", criteria=(Criterion("clear", "is it?"),)), {{"messages": chat}}),
    (Task("span", "span", values), {{"text": text}}),
    (Task("text", "text"), {{"text": text, "draft": "x"}}),
    (Task("turns", "turns", values, roles=("assistant",)), {{"messages": chat}}),
]
for task, item in asked:
    items = pl.DataFrame([{{"item_id": "i", **item}}])
    display(Labeler(items, LabelSession(folder, "ana", task, ["i"]), guidelines="Be kind."))
task, items = asked[1][0], pl.DataFrame([{{"item_id": "i", "text": text}}])
task = Task("adjudicated", values=values)
rows = [("i", "a", "place"), ("i", "b", "date")]
votes = pl.DataFrame(rows, schema=["item_id", "annotator", "value"], orient="row")
session = AdjudicationSession(folder, "mia", task, ["i"])
display(Adjudicator(items, disputed(votes), session))
"""
# Contrast of WCAG 2.2, success criterion 1.4.3, of every text that is seen and not disabled.
CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, under) =>
        [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
    const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            layers.unshift(getComputedStyle(at).backgroundColor);
        }
        return layers.reduce((under, layer) => over(rgba(layer), under), [255, 255, 255]);
    };
    const luminance = (c) => {
        const [r, g, b] = c.map((v) => v / 255).map((v) =>
            v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const weak = [];
    for (const root of document.querySelectorAll(".sk-labeler")) {
        const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const node = walk.currentNode.parentElement;
            const hidden = !node.checkVisibility() || !walk.currentNode.data.trim();
            if (hidden || node.closest("button:disabled")) continue;
            const back = ground(node);
            let share = 1;
            for (let at = node; at !== root; at = at.parentElement) {
                share *= getComputedStyle(at).opacity;
            }
            const ink = rgba(getComputedStyle(node).color);
            const front = over([...ink.slice(0, 3), ink[3] * share], back);
            const [a, b] = [luminance(front), luminance(back)].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            const said = `${root.ariaLabel}: ${walk.currentNode.data}`;
            if (ratio < 4.5) weak.push(`${said} ${ratio.toFixed(2)}`);
        }
    }
    return weak;
}"""

GROUND = """(light) => {
    const [red] = getComputedStyle(document.querySelector(".sk-labeler")).backgroundColor
        .match(/\\d+/g).map(Number);
    return light ? red > 200 : red < 80;
}"""


def test_every_kind_is_readable_in_light_and_dark(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(EVERY_KIND)
    notebook.run_all()
    page = notebook.page
    page.wait_for_function(f"document.querySelectorAll('{SAVED}').length === 8")
    try:
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            notebook.desk.command("apputils:change-theme", theme=theme)
            # The style sheet of a theme comes after its name: wait until it is seen.
            page.wait_for_function(GROUND, arg=theme.endswith("Light"))
            assert page.evaluate(CONTRAST) == []
    finally:
        notebook.desk.command("apputils:change-theme", theme="JupyterLab Light")
