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


def test_every_kind_is_readable_in_light_and_dark(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(EVERY_KIND)
    notebook.run_all()
    notebook.page.wait_for_function(f"document.querySelectorAll('{SAVED}').length === 8")
    assert notebook.unreadable(".sk-labeler") == []
