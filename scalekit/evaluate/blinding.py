"""From models' outputs to what a panel sees: no name of a model, sides balanced, the key apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import polars as pl

from scalekit.display import View, block, counted, note, table
from scalekit.frames import FrameError, require, to_polars
from scalekit.signing import digest

__all__ = ["Kind", "PanelItems", "panel_items", "panel_sides"]

Kind = Literal["pair", "rubric"]
RUBRIC_KEY = ("item_id", "prompt_id", "model")
PAIR_KEY = ("item_id", "prompt_id", "first_name", "second_name")
SIDES = ("first", "second")


@dataclass(frozen=True)
class PanelItems(View):
    """What a panel is shown, and the key that says whose output each is.

    ``table`` has no name of a model in it, in an order that says nothing: ``item_id`` with ``text``
    or ``messages`` (rubric), or with ``prompt`` or ``messages``, ``first`` and ``second`` (pair).
    ``key`` has ``item_id, prompt_id`` with ``model`` (rubric; several where they gave the same
    output, which is judged once) or with ``first_name, second_name``. ``same`` has ``prompt_id,
    first_name, second_name`` of two outputs that are the same text: nobody can prefer one, so they
    are not shown, and count as ties.
    """

    kind: Kind
    table: pl.DataFrame
    key: pl.DataFrame
    same: pl.DataFrame
    seed: int

    @property
    def models(self) -> list[str]:
        """The models' names, sorted."""
        columns = ("model",) if self.kind == "rubric" else ("first_name", "second_name")
        frames = (self.key, self.same) if self.kind == "pair" else (self.key,)
        return sorted({name for f in frames for c in columns for name in f[c]})

    def to_html(self) -> str:
        """Show the counts and the first items as a panelist sees them."""
        prompts = self.key["prompt_id"].n_unique()
        said = f"{counted(len(self.table), 'item')} from {counted(prompts, 'prompt')} and "
        alike = f"{counted(len(self.same), 'pair')} with the same output twice: not shown, ties."
        return block(
            "Items for the panel",
            note(f"{said}{counted(len(self.models), 'model')}; the items name none of them."),
            note(alike) if len(self.same) else "",
            table(self.table, limit=3),
        )


def panel_items(
    outputs: Any, *, kind: Kind = "pair", against: str | None = None, seed: int = 0
) -> PanelItems:
    """Return models' outputs as items that people judge without knowing whose they are.

    Parameters
    ----------
    outputs
        ``item_id`` (the prompt's)``, model, output`` and, if there is one, what was asked:
        ``prompt``, or ``messages`` (a list, or JSON, of mappings with ``role, content``).
    kind
        ``pair``: every two outputs to a prompt, side by side. ``rubric``: each output by itself.
    against
        Compare every other model with this one only.
    seed
        Draws which of two is ``first`` (for every two models, each as often) and the order.

    Raises
    ------
    FrameError
        When a column or an output is missing, a model answers a prompt twice, *against* is no
        model, or no prompt has two outputs to compare.
    """
    given = _sound(outputs)
    if kind == "rubric":
        return _single(given, seed)
    if kind != "pair":
        raise FrameError(f"kind is {kind!r}; it must be pair or rubric")
    if against is not None and against not in set(given["model"]):
        names = ", ".join(given["model"].unique().sort())
        raise FrameError(f"outputs: no model is {against!r}; there are {names}")
    return _compared(given, against, seed)


def panel_sides(items: PanelItems, panelist: str) -> pl.DataFrame:
    """Return which output a panelist sees on the left: ``item_id, side`` (first or second).

    Drawn for each panelist from the items' seed; of every two models, each stands on the left as
    often (to within one), so what standing there is worth cancels and can be measured.
    """
    rows = []
    for _, own in items.key.group_by(
        pl.min_horizontal("first_name", "second_name").alias("one"),
        pl.max_horizontal("first_name", "second_name").alias("other"),
        maintain_order=True,
    ):
        drawn = sorted(own.to_dicts(), key=lambda r: digest([items.seed, panelist, r["item_id"]]))
        for place, row in enumerate(drawn):
            turned = row["first_name"] > row["second_name"]
            rows.append((row["item_id"], SIDES[(place + turned) % 2]))
    return pl.DataFrame(rows, schema={"item_id": pl.String, "side": pl.String}, orient="row")


def _sound(outputs: Any) -> pl.DataFrame:
    columns = ("item_id", "model", "output")
    given = require(to_polars(outputs, "outputs"), columns, "outputs")
    asked = [c for c in ("prompt", "messages") if c in given.columns]
    given = given.select(pl.col(columns).cast(pl.String), *asked[:1])
    if given.is_empty():
        raise FrameError("outputs: there is none")
    for column in columns:
        if lacking := given[column].null_count():
            item, model = given.filter(pl.col(column).is_null()).select("item_id", "model").row(0)
            raise FrameError(
                f"outputs: {counted(lacking, 'row')} without {column}, first item {item!r} of "
                f"model {model!r}; an empty answer is an empty text"
            )
    twice = given.filter(given.select("item_id", "model").is_duplicated())
    if len(twice):
        item, model = twice.select("item_id", "model").row(0)
        raise FrameError(f"outputs: {model!r} answers {item!r} twice; one output a model")
    return given.sort("item_id", "model")


def _single(given: pl.DataFrame, seed: int) -> PanelItems:
    shown, key = [], []
    for (prompt_id, output), own in given.group_by("item_id", "output", maintain_order=True):
        item = _mark(seed, prompt_id, str(output))
        row = own.row(0, named=True)
        turns = _turns(row)
        if turns is None:
            shown.append({"item_id": item, "text": output})
        else:
            said = [*turns, {"role": "assistant", "content": output}]
            shown.append({"item_id": item, "messages": json.dumps(said, ensure_ascii=False)})
        key += [(item, prompt_id, model) for model in own["model"]]
    return PanelItems(
        "rubric",
        pl.DataFrame(shown).sort("item_id"),
        pl.DataFrame(key, schema=dict.fromkeys(RUBRIC_KEY, pl.String), orient="row"),
        pl.DataFrame(schema=dict.fromkeys(PAIR_KEY[1:], pl.String)),
        seed,
    )


def _compared(given: pl.DataFrame, against: str | None, seed: int) -> PanelItems:
    found, same = [], []
    for prompt_id, one, other in _every_two(given):
        names = (one["model"], other["model"])
        if against is not None and against not in names:
            continue
        if one["output"] == other["output"]:
            same.append((prompt_id, *names))
        else:
            found.append((_mark(seed, prompt_id, *names), prompt_id, one, other))
    if not found:
        alike = f" ({counted(len(same), 'pair')} with the same output twice)" if same else ""
        raise FrameError(f"outputs: no prompt has two outputs to compare{alike}")
    met: dict[tuple[str, str], int] = {}
    shown: list[dict[str, Any]] = []
    key = []
    for item, prompt_id, one, other in sorted(found, key=lambda f: f[0]):
        names = (one["model"], other["model"])
        turn = met[names] = met.get(names, -1) + 1
        first, second = (one, other) if turn % 2 == 0 else (other, one)
        context: dict[str, Any] = {c: one[c] for c in ("prompt", "messages") if c in one}
        if "messages" in context:
            context["messages"] = json.dumps(_turns(one), ensure_ascii=False)
        sides = {"first": first["output"], "second": second["output"]}
        shown.append({"item_id": item, **context, **sides})
        key.append((item, prompt_id, first["model"], second["model"]))
    return PanelItems(
        "pair",
        pl.DataFrame(shown),
        pl.DataFrame(key, schema=dict.fromkeys(PAIR_KEY, pl.String), orient="row"),
        pl.DataFrame(same, schema=dict.fromkeys(PAIR_KEY[1:], pl.String), orient="row"),
        seed,
    )


def _every_two(given: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for (prompt_id,), own in given.group_by("item_id", maintain_order=True):
        for one, other in combinations(own.to_dicts(), 2):
            yield str(prompt_id), one, other


def _turns(row: dict[str, Any]) -> list[dict[str, str]] | None:
    """Return what was asked as turns of a conversation; None where nothing is known of it."""
    if row.get("prompt") is not None:
        return [{"role": "user", "content": str(row["prompt"])}]
    said = row.get("messages")
    if said is None:
        return [] if "prompt" in row or "messages" in row else None
    turns = json.loads(said) if isinstance(said, str) else said
    return [{"role": str(t["role"]), "content": str(t.get("content") or "")} for t in turns]


def _mark(seed: int, *parts: Any) -> str:
    return digest([seed, *parts]).rpartition(":")[2][:16]
