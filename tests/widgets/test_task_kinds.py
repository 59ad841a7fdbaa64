"""Every kind of task in the labeler's Python half: what is shown, asked, kept and summed."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scalekit.label import Criterion, LabelSession, Task, Value, labels_of, read_events
from scalekit.widgets import Labeler
from scalekit.widgets.asking import tally
from scalekit.widgets.content import content, sides_of

YES_NO = (Value("yes"), Value("no"))


def opened(folder: Path, task: Task, items: list[dict[str, Any]], **options: Any) -> Labeler:
    frame = pl.DataFrame(items)
    session = LabelSession(folder, "ana", task, frame["item_id"])
    widget = Labeler(frame, session, **options)
    widget.sent = []
    widget.send = widget.sent.append
    return widget


def shown(widget: Labeler, **fields: Any) -> list[dict[str, Any]]:
    ask = {"id": "q", "kind": "items", "from": 0, **fields}
    widget._receive(widget, ask, [])
    reply = widget.sent[-1]
    assert "error" not in reply, reply
    return reply["items"]


def answer(widget: Labeler, item: str, value: Any, id: str = "") -> dict[str, Any]:
    act = {"id": id or f"a-{item}", "kind": "label", "item": item, "value": value}
    widget._receive(widget, {**act, "active_ms": 10}, [])
    return widget.sent[-1]


def pairs(count: int) -> list[dict[str, Any]]:
    return [
        {"item_id": f"p{n}", "prompt": "why?", "first": f"one {n}", "second": f"two {n}"}
        for n in range(count)
    ]


def test_a_preference_is_kept_for_the_answer_that_was_preferred_on_either_side(
    tmp_path: Path,
) -> None:
    widget = opened(tmp_path, Task("better", "pair"), pairs(10))
    entries = shown(widget)
    lefts = Counter(e["content"]["sides"][0]["text"].split()[0] for e in entries)
    assert lefts == {"one": 5, "two": 5}
    for entry in entries:
        assert answer(widget, entry["id"], {"preferred": "first", "strength": 2}) == {
            "reply": f"a-{entry['id']}"
        }
    events = [j.event.data for j in read_events(tmp_path)]
    for entry, data in zip(entries, events, strict=True):
        left = "first" if entry["content"]["sides"][0]["text"].startswith("one") else "second"
        assert data["shown_first"] == left
        assert json.loads(data["value"]) == {"preferred": left, "strength": 2}
    past = _past(widget)
    assert {p["acts"][0]["value"]["preferred"] for p in past} == {"first"}  # as it was seen
    # Sent again, it is the same act.
    assert "error" not in answer(widget, "p0", {"preferred": "first", "strength": 2})


def _past(widget: Labeler) -> list[dict[str, Any]]:
    widget._receive(widget, {"id": "o", "kind": "items", "from": 0, "opening": True}, [])
    return widget.sent[-1]["past"]


def test_no_side_and_no_name_of_a_model_reaches_the_browser(tmp_path: Path) -> None:
    rows = [{**row, "first_name": "model-a", "second_name": "model-b"} for row in pairs(3)]
    widget = opened(tmp_path, Task("better", "pair"), rows)
    said = json.dumps([shown(widget), widget.config])
    assert "model-a" not in said
    assert "shown_first" not in said


def test_the_assignment_decides_the_sides_where_it_says(tmp_path: Path) -> None:
    rows = [{**row, "side": "second"} for row in pairs(4)]
    entries = shown(opened(tmp_path, Task("better", "pair"), rows))
    assert all(e["content"]["sides"][0]["text"].startswith("two") for e in entries)
    with pytest.raises(ValueError, match="side 'left' is not first or second"):
        opened(tmp_path / "b", Task("better", "pair"), [{**pairs(1)[0], "side": "left"}])


@given(st.sets(st.text(min_size=1), max_size=30), st.sampled_from(["ana", "ben"]))
def test_sides_are_balanced_and_the_same_on_every_day(ids: set[str], who: str) -> None:
    sides = sides_of(ids, who)
    assert sides == sides_of(sorted(ids), who)
    counts = Counter(sides.values())
    assert abs(counts["first"] - counts["second"]) <= 1


@pytest.mark.parametrize(
    ("strength", "ties", "names"),
    [
        (1, False, ["left is better", "right is better"]),
        (1, True, ["left is better", "about the same", "right is better"]),
        (
            2,
            False,
            [
                "left is much better",
                "left is a little better",
                "right is a little better",
                "right is much better",
            ],
        ),
    ],
)
def test_preferences_stand_from_left_to_right(
    tmp_path: Path, strength: int, ties: bool, names: list[str]
) -> None:
    task = Task("better", "pair", strength=strength, ties=ties)
    options = opened(tmp_path, task, pairs(1)).config["options"]
    assert [o["name"] for o in options] == names
    assert [o["key"] for o in options] == [str(n + 1) for n in range(len(names))]
    for option in options:
        task.encode(option["answer"])


def test_every_step_of_the_longest_scale_has_a_key_and_is_an_answer(tmp_path: Path) -> None:
    task = Task("better", "pair", strength=5)
    options = opened(tmp_path, task, pairs(1)).config["options"]
    assert len({task.encode(o["answer"]) for o in options}) == 11
    assert len({o["key"] for o in options}) == 11


def test_points_have_the_key_of_their_digit_or_the_next_free_one(tmp_path: Path) -> None:
    criteria = (
        Criterion("a", low=1, high=5),
        Criterion("b", low=-1, high=1),
        Criterion("c", "", 0, 10),
    )
    task = Task("quality", "rubric", criteria=criteria)
    config = opened(tmp_path, task, [{"item_id": "i", "text": "x"}]).config
    keys = [[(p["points"], p["key"]) for p in c["points"]] for c in config["criteria"]]
    assert keys[0] == [(n, str(n)) for n in range(1, 6)]
    assert keys[1] == [(-1, "1"), (0, "2"), (1, "3")]
    assert keys[2] == [*((n, str(n)) for n in range(10)), (10, "a")]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["0", "1", "2"], "012"),
        (["1", "10", "9"], "129"),
        (["0", "no number"], "12"),
    ],
)
def test_a_value_that_is_a_number_has_the_key_of_its_digit(
    tmp_path: Path, names: list[str], keys: str
) -> None:
    task = Task("score", values=tuple(Value(n) for n in names))
    values = opened(tmp_path, task, [{"item_id": "i", "text": "x"}]).config["values"]
    assert "".join(v["key"] for v in values) == keys


def test_each_kind_records_what_the_front_end_sends(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    for task, item, said, kept in (
        (Task("m", "multi", YES_NO), {"text": "x"}, ["no", "yes"], '["yes","no"]'),
        (
            Task("r", "rubric", criteria=(Criterion("clear"),)),
            {"text": "x"},
            {"clear": 4},
            '{"clear":4}',
        ),
        (
            Task("s", "span", YES_NO),
            {"text": "👩‍💻 Ada"},
            [{"start": 4, "end": 7, "label": "yes"}],
            '[{"end":7,"label":"yes","start":4}]',
        ),
        (Task("w", "text"), {"text": "x", "draft": "y"}, "in my words", "in my words"),
        (Task("t", "turns", YES_NO), {"messages": chat}, {"1": "yes"}, '{"1":"yes"}'),
    ):
        widget = opened(tmp_path / task.name, task, [{"item_id": "i", **item}])
        assert (
            shown(widget)[0]["content"].items()
            >= {k: v for k, v in item.items() if k != "language"}.items()
        )
        assert answer(widget, "i", said) == {"reply": "a-i"}
        assert labels_of(read_events(tmp_path / task.name))["value"].to_list() == [kept]
        assert _past(widget)[0]["acts"][0]["value"] == task.decode(kept)
        assert "1 of 1 labelled" in widget.to_html()


def test_an_answer_that_is_none_is_refused_for_good(tmp_path: Path) -> None:
    widget = opened(tmp_path, Task("w", "text"), [{"item_id": "i", "text": "x"}])
    reply = answer(widget, "i", "  ")
    assert reply["final"]
    assert "write something" in reply["error"]


def test_code_comes_in_coloured_pieces_that_are_the_text_itself() -> None:
    code = "def f():\n    return 'é'  # ok\n"
    pieces = content({"text": code, "language": "python"})["tokens"]
    assert "".join(text for text, _ in pieces) == code
    assert {kind for _, kind in pieces} >= {"keyword", "function", "string", "comment", ""}
    # Where a lexer would change the text, it stays as it is: places in it are counted.
    odd = "x = 1\r\ny = 2\r\n"
    assert content({"text": odd, "language": "python"})["tokens"] == [[odd, ""]]


def test_an_unknown_language_is_said_before_anything_is_shown(tmp_path: Path) -> None:
    items = [{"item_id": "i", "text": "x", "language": "pyhton"}]
    with pytest.raises(ValueError, match="'pyhton' is not known"):
        opened(tmp_path, Task("c", values=YES_NO), items)


def picture(size: int, kind: str) -> bytes:
    made = io.BytesIO()
    noise = bytes(i * 7919 % 251 for i in range(size * size * 3))
    Image.frombytes("RGB", (size, size), noise).save(made, kind)
    return made.getvalue()


def drawn(item: dict[str, Any]) -> tuple[str, Image.Image]:
    head, data = content(item)["image"].split(",")
    return head, Image.open(io.BytesIO(base64.b64decode(data)))


def test_images_come_from_paths_or_bytes_and_large_ones_get_smaller(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(20, "PNG"))
    assert drawn({"image": str(path)})[0] == "data:image/png;base64"
    assert drawn({"image": path.read_bytes()})[1].size == (20, 20)
    assert drawn({"image": picture(20, "TIFF")})[0] == "data:image/jpeg;base64"
    large = picture(1800, "BMP")
    head, image = drawn({"image": large})
    assert (head, image.size) == ("data:image/jpeg;base64", (1600, 1600))
    assert "can't be shown" in content({"image": str(tmp_path / "none.png")})["trouble"]
    assert "can't be shown" in content({"image": b"no image"})["trouble"]


def test_a_batch_is_small_enough_for_the_server_to_let_it_through(tmp_path: Path) -> None:
    rows = [{"item_id": f"i{n}", "text": "x" * 200_000} for n in range(12)]
    widget = opened(tmp_path, Task("c", values=YES_NO), rows)
    seen: list[str] = []
    start: int | None = 0
    while start is not None:
        seen += [e["id"] for e in shown(widget, **{"from": start})]
        assert len(json.dumps(widget.sent[-1])) < 1_000_000
        start = widget.sent[-1]["next"]
    assert seen == [row["item_id"] for row in rows]


def test_messages_may_be_json(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hi", "name": "x"}]
    assert content({"messages": json.dumps(chat)})["messages"] == [
        {"role": "user", "content": "hi"}
    ]


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (Task("p", "pair"), "first"),
        (Task("s", "span", YES_NO), "text"),
        (Task("t", "turns", YES_NO), "messages"),
        (Task("c", values=YES_NO), "text"),
    ],
)
def test_what_a_task_needs_to_be_seen_must_be_there(
    tmp_path: Path, task: Task, missing: str
) -> None:
    with pytest.raises(ValueError, match=f"no column '{missing}'"):
        opened(tmp_path, task, [{"item_id": "i", "what": "x"}])


def test_what_was_answered_is_summed_for_each_kind() -> None:
    multi = Task("m", "multi", YES_NO)
    assert tally(multi, ['["yes","no"]', '["yes"]', "[]"], {"yes": 2}) == [
        {"value": "yes", "labels": 4},
        {"value": "no", "labels": 1},
    ]
    rubric = Task("r", "rubric", criteria=(Criterion("clear"), Criterion("kind", low=0, high=1)))
    assert tally(rubric, ['{"clear":4,"kind":0}', '{"clear":1,"kind":1}'], {}) == [
        {"criterion": "clear", "mean": 2.5, "of": "1 to 5", "labels": 2},
        {"criterion": "kind", "mean": 0.5, "of": "0 to 1", "labels": 2},
    ]
    assert tally(rubric, [], {})[0]["mean"] is None
    pair = Task("p", "pair", strength=2)
    answers = ['{"preferred":"first","strength":2}', '{"preferred":"tie","strength":0}']
    assert tally(pair, answers, {}) == [
        {"preference": "tie", "labels": 1},
        {"preference": "strength 1", "labels": 0},
        {"preference": "strength 2", "labels": 1},
    ]
    span = Task("s", "span", YES_NO)
    assert tally(span, ['[{"end":7,"label":"no","start":0}]'], {})[1] == {
        "value": "no",
        "labels": 1,
    }
    assert tally(Task("t", "turns", YES_NO), ['{"0":"no","2":"no"}'], {})[1]["labels"] == 2
    assert tally(Task("w", "text"), ["two words", "one"], {}) == [{"texts": 2, "words": 3}]
