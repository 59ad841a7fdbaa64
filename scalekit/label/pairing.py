"""From responses to pairs that people compare blindly, and from their labels to judgements."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import polars as pl

from scalekit.frames import require, to_polars
from scalekit.label.events import Judgement, fold
from scalekit.label.tasks import LabelError, Task
from scalekit.signing import digest

__all__ = ["judgements_of", "pair_items"]

JUDGEMENTS = {
    "item_id": pl.String, "first": pl.String, "second": pl.String, "outcome": pl.String,
    "strength": pl.Int64, "shown_first": pl.String, "annotator": pl.String,
}  # fmt: skip


def pair_items(responses: Any) -> pl.DataFrame:
    """Return every two responses to the same prompt, as items of a pair task.

    *responses* has ``item_id`` (the prompt's)``, name, prompt, response``. Returns ``item_id`` (the
    pair's, which names nobody)``, prompt, first, second`` (the texts)``, prompt_id, first_name,
    second_name``: the labeler shows the texts alone. Two responses that are the same text are no
    pair: nobody can prefer one.

    Raises
    ------
    FrameError
        When a column is missing.
    LabelError
        When a name answers a prompt twice.
    """
    columns = ("item_id", "name", "prompt", "response")
    given = require(to_polars(responses, "responses"), columns, "responses").select(
        pl.col(columns).cast(pl.String)
    )
    twice = given.filter(given.select("item_id", "name").is_duplicated())
    if len(twice):
        row = twice.row(0, named=True)
        raise LabelError(f"{row['name']!r} answers {row['item_id']!r} twice; one response a name")
    rows = []
    for (prompt_id,), own in given.sort("item_id", "name").group_by("item_id", maintain_order=True):
        for one, other in combinations(own.to_dicts(), 2):
            if one["response"] == other["response"]:
                continue
            mark = digest([prompt_id, one["name"], other["name"]]).rpartition(":")[2][:10]
            rows.append(
                {
                    "item_id": f"{prompt_id}.{mark}",
                    "prompt": one["prompt"],
                    "first": one["response"],
                    "second": other["response"],
                    "prompt_id": prompt_id,
                    "first_name": one["name"],
                    "second_name": other["name"],
                }
            )
    names = ("item_id", "prompt", "first", "second", "prompt_id", "first_name", "second_name")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def judgements_of(judgements: Iterable[Judgement], pairs: Any, task: Task) -> pl.DataFrame:
    """Return what annotators judged, with the names back: what Bradley-Terry and others take.

    *judgements* is from :func:`scalekit.label.read_events`, *pairs* from :func:`pair_items`.
    Returns ``item_id`` (the prompt's)``, first, second`` (names)``, outcome`` ("first", "second",
    "tie")``, strength, shown_first, annotator``; labels on other items are left aside.

    Raises
    ------
    FrameError
        When a column of *pairs* is missing.
    """
    columns = ("item_id", "prompt_id", "first_name", "second_name")
    known = require(to_polars(pairs, "pairs"), columns, "pairs").select(columns)
    named = {row[0]: row[1:] for row in known.iter_rows()}
    rows = []
    for (annotator, item), kinds in fold(judgements).items():
        if "label" not in kinds or item not in named:
            continue
        data = kinds["label"].event.data
        answer = task.decode(data["value"])
        said = (answer["preferred"], answer["strength"], data.get("shown_first"), annotator)
        rows.append((*named[item], *said))
    return pl.DataFrame(rows, schema=JUDGEMENTS, orient="row").sort(
        "item_id", "first", "second", "annotator"
    )
