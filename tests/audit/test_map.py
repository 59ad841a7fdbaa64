"""The map of items: its colours, its figure kept small, its picture without a script."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.audit import item_map
from scalekit.frames import FrameError


def items(rows: int = 60, **more: Any) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(50)]
    made = {
        "item_id": [f"i{n}" for n in range(rows)],
        "text": [" ".join(rng.choice(words, 12)) for _ in range(rows)],
        "category": [("a", "b", "c")[n % 3] for n in range(rows)],
        **more,
    }
    return pl.DataFrame(made)


def test_the_table_has_places_and_the_columns_to_colour_by() -> None:
    given = items(
        original=["call 555-0100"] * 60,
        score=[n / 7 for n in range(60)],
        kept=[True] * 60,
        changes=[["spaces"]] * 60,
    )
    made = item_map(given)
    assert made.table.columns == ["item_id", "x", "y", "category", "score", "words"]
    assert made.table["words"].to_list() == [12] * 60
    assert made.by == "category"
    assert item_map(given, by=["score"]).columns == ["score", "words"]
    assert "555" not in made.to_html()


def test_the_same_items_and_seed_make_the_same_map_from_any_data_frame() -> None:
    given = items()
    first = item_map(given, seed=3)
    assert item_map(given.to_pandas(), seed=3).table.equals(first.table)
    assert item_map(given.lazy(), seed=3).table.equals(first.table)


def test_vectors_come_from_an_encoder_or_are_given() -> None:
    given = items()
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, 8))

    class Encoder:
        def encode(self, texts: list[str]) -> Any:
            assert texts == given["text"].to_list()
            return vectors

    own = item_map(given, vectors=vectors)
    assert "Given vectors" in own.method
    for encoder in (Encoder(), Encoder().encode):
        assert item_map(given, encoder=encoder).table.equals(own.table)
    with pytest.raises(FrameError, match="give one of"):
        item_map(given, vectors=vectors, encoder=Encoder())


def test_places_made_by_other_means_are_taken_and_scaled() -> None:
    given = items()
    first = item_map(given)
    again = item_map(given, places=first.table.select("x", "y"))
    assert again.table.equals(first.table)
    own = np.random.default_rng(0).normal(size=(60, 2)) * 40 + 300
    found = item_map(given, places=own).table.select("x", "y").to_numpy()
    assert np.abs(found).max() == pytest.approx(1)
    assert np.corrcoef(found[:, 0], own[:, 0])[0, 1] == pytest.approx(1)
    with pytest.raises(FrameError, match="x and y are needed, got 3"):
        item_map(given, places=np.ones((60, 3)))
    with pytest.raises(FrameError, match="places: 60 rows are needed"):
        item_map(given, places=own[:5])


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ({"item_id": ["a"]}, {}, "'text' is missing"),
        ({"item_id": ["a", "a"], "text": ["x", "y"]}, {}, "repeat"),
        ({"item_id": ["a"], "text": [None]}, {}, "text"),
        ({"item_id": ["a"], "text": ["x"]}, {"by": "topic"}, "'topic' is missing"),
        ({"item_id": ["a"], "text": ["x"]}, {"by": "text"}, "nothing to colour by"),
        ({"item_id": ["a"], "text": ["x"], "t": [["y"]]}, {"by": "t"}, "nothing to colour by"),
    ],
)
def test_bad_input_is_said(given: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        item_map(given, **options)


def test_groups_of_text_numbers_and_what_is_missing() -> None:
    given = items(
        flag=[n % 4 == 0 for n in range(60)],
        few=[float(n % 3) for n in range(60)],
        score=[float("nan") if n == 5 else None if n == 6 else n / 10 for n in range(60)],
        rater=[None if n % 2 else f"r{n % 10}" for n in range(60)],
        many=[f"v{n}" for n in range(60)],
    )
    made = item_map(given)
    assert made.groups("flag").names == ("no", "yes")
    assert made.groups("few").names == ("0", "1", "2")
    assert made.groups("rater").names[-1] == "(none)"
    assert made.groups("rater").counts[-1] == 30
    score = made.groups("score")
    assert score.ordered
    assert score.names[-1] == "(none)"
    assert score.counts[-1] == 2
    assert sum(score.counts) == 60
    assert max(score.counts[:-1]) - min(score.counts[:-1]) <= 2
    for code, value in zip(score.codes, given["score"], strict=True):
        if value is None or value != value:
            continue
        low, high = (float(v) for v in score.names[code].split(" to "))
        assert low <= value <= high
    assert len(made.groups("many").names) == 60
    assert len(made.groups("many").few().names) == 13
    assert sum(made.groups("many").few().counts) == 60
    with pytest.raises(FrameError, match="no column 'topic'"):
        made.plot("topic")


def test_more_values_than_a_byte_holds_become_one_group() -> None:
    given = items(400, who=[f"p{n}" if n else None for n in range(400)])
    found = item_map(given, by="who").groups()
    assert len(found.names) == 255
    assert found.names[-2:] == ("(others)", "(none)")
    assert found.counts[-2:] == [399 - 253, 1]


def size(figure: Any) -> int:
    return len(json.dumps(json.loads(figure.to_json())))


def test_a_figure_stays_small_whatever_the_items() -> None:
    long = items(7_000).with_columns(pl.col("text").str.replace("$", " x" * 3_000))
    made = item_map(long, vectors=np.random.default_rng(0).normal(size=(7_000, 4)), laid_out=200)
    drawn = made.plot()
    assert sum(len(t.x) for t in drawn.data) == 5_000
    assert "5,000 of them, drawn by lot" in drawn.layout.title.text
    assert size(drawn) < 1_000_000
    assert len(made.to_html()) < 1_000_000
    assert drawn.to_json() == made.plot().to_json()
    assert sum(len(t.x) for t in made.plot(limit=10)["data"]) == 10


def test_texts_and_names_are_shown_as_text() -> None:
    attack = "<a href='javascript:alert(1)'><script>x</script></a>"
    given = items(30, category=[attack] * 30).with_columns(pl.lit(attack).alias("text"))
    made = item_map(given)
    drawn = made.plot().to_json()
    assert "<script" not in drawn
    assert "<a " not in drawn
    html = made.to_html()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_static_view_is_a_picture_and_a_table() -> None:
    made = item_map(items())
    html = made.to_html()
    raw = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert raw
    assert base64.b64decode(raw[1]).startswith(b"\x89PNG")
    assert "<script" not in html
    assert 'alt="Map of 60 items coloured by category"' in html
    assert ">a</td>" in re.sub(r" (style|align)=\"[^\"]*\"", "", html)
    assert "no items" in item_map(items(0)).to_html()
