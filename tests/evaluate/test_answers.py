"""Answers kept batch by batch: nothing acknowledged is lost, nothing known is asked again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from scalekit.evaluate import measure
from scalekit.evaluate.answers import Answered, ask
from scalekit.evaluate.scoring import exact_match
from scalekit.journal import JournalError

TEXTS = [f"text {n}" for n in range(100)]


class Model:
    """Says the text in capitals, remembers what it was asked, and fails when it is told to."""

    def __init__(self, fails_at: str = "") -> None:
        self.asked: list[str] = []
        self.fails_at = fails_at

    def __call__(self, texts: list[str]) -> list[str]:
        if self.fails_at in texts:
            raise ConnectionError("the line is down")
        self.asked += texts
        return [t.upper() for t in texts]


def test_after_a_failure_only_the_rest_is_asked(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    first = Model(fails_at="text 57")
    with pytest.raises(ConnectionError):
        ask(first, TEXTS, batch=10, store=store, model="m1")
    second, seen = Model(), []
    answers, cost = ask(
        second, TEXTS, batch=10, store=store, model="m1", progress=lambda d, n: seen.append((d, n))
    )
    assert first.asked == TEXTS[:50]
    assert second.asked == TEXTS[50:]
    assert answers == [t.upper() for t in TEXTS]
    assert (cost.asked, cost.stored, cost.items) == (50, 50, 100)
    assert seen == [(60, 100), (70, 100), (80, 100), (90, 100), (100, 100)]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from scalekit.evaluate.answers import ask

    def model(texts):
        if "text 40" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        with open(sys.argv[2], "a") as out:
            out.write("".join(t + "\\n" for t in texts))
        return [t.upper() for t in texts]

    ask(model, [f"text {n}" for n in range(100)], batch=8, store=Path(sys.argv[1]), model="m1")
"""


def test_a_killed_process_loses_no_batch_that_was_answered(tmp_path: Path) -> None:
    store, asked = tmp_path / "answers.jsonl", tmp_path / "asked.txt"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(store), str(asked)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with store.open("ab") as stream:  # and a last line cut off in its middle
        stream.write(store.read_bytes().splitlines()[-1][:40])
    model = Model()
    answers, _ = ask(model, TEXTS, batch=8, store=store, model="m1")
    assert asked.read_text().split("\n")[:-1] + model.asked == TEXTS
    assert answers == [t.upper() for t in TEXTS]


def test_another_model_protocol_or_text_is_asked_anew(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    ask(Model(), TEXTS, batch=50, store=store, model="m1")
    for texts, model, protocol, asked in (
        (TEXTS, "m1", "", []),
        (TEXTS[::-1], "m1", "", []),
        (["text 1", "text 1 "], "m1", "", ["text 1 "]),
        (TEXTS[:2], "m2", "", TEXTS[:2]),
        (TEXTS[:2], "m1", "warmer", TEXTS[:2]),
    ):
        again = Model()
        answers, _ = ask(again, texts, batch=50, store=store, model=model, protocol=protocol)
        assert again.asked == asked
        assert answers == [t.upper() for t in texts]


def test_a_text_that_repeats_is_asked_once(tmp_path: Path) -> None:
    model, seen = Model(), []
    answers, cost = ask(
        model, ["a", "b", "a"], batch=1, store=tmp_path / "s.jsonl", model="m",
        progress=lambda *at: seen.append(at),
    )  # fmt: skip
    assert (model.asked, answers) == (["a", "b"], ["A", "B", "A"])
    assert seen == [(2, 3), (3, 3)]
    assert cost.items == 3


def test_what_was_paid_is_summed_and_kept(tmp_path: Path) -> None:
    def model(texts: list[str]) -> Answered:
        return Answered([t.upper() for t in texts], 5 * len(texts), len(texts), "0.001")

    _, cost = ask(model, TEXTS, batch=10)
    assert (cost.tokens_in, cost.tokens_out, cost.price) == (500, 100, Decimal("0.010"))
    assert "500 tokens in, 100 out; price 0.01." in cost.to_html()
    store = tmp_path / "answers.jsonl"
    ask(model, TEXTS[:30], batch=10, store=store, model="m")
    _, cost = ask(model, TEXTS, batch=10, store=store, model="m")
    assert (cost.tokens_in, cost.price, cost.stored) == (500, Decimal("0.010"), 30)
    assert cost.table["price an item"][0] == pytest.approx(0.0001)


def test_the_store_is_one_writers_and_is_checked(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    ask(Model(), TEXTS, batch=50, store=store, model="m1")

    def meanwhile(texts: list[str]) -> list[str]:
        with pytest.raises(JournalError, match="another process or kernel"):
            ask(Model(), TEXTS, batch=50, store=store, model="m3")
        return texts

    ask(meanwhile, TEXTS, batch=100, store=store, model="m2")
    line = json.loads(store.read_text().splitlines()[0])
    line["data"]["answers"][0] = "forged"
    rest = store.read_text().splitlines()[1:]
    store.write_text("\n".join([json.dumps(line), *rest, ""]))
    with pytest.raises(JournalError, match="line 1"):
        ask(Model(), TEXTS, batch=50, store=store, model="m1")


def test_a_store_needs_to_know_the_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="say model="):
        ask(Model(), TEXTS, batch=50, store=tmp_path / "s.jsonl")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="batch"):
        ask(Model(), TEXTS, batch=0)


def test_measured_again_with_another_scorer_nothing_is_asked(tmp_path: Path) -> None:
    items = pl.DataFrame(
        {"item_id": TEXTS, "text": TEXTS, "set": ["dev"] * 100, "category": TEXTS, "answer": TEXTS}
    )
    store = tmp_path / "answers.jsonl"
    first = measure(Model(), items, store=store, model="m1")
    assert first.sets["right"].to_list() == [0]
    model = Model()
    found = measure(model, items, store=store, model="m1", scorer=exact_match())
    assert model.asked == []
    assert found.sets["right"].to_list() == [100]
    assert found.cost is not None
    assert (found.cost.asked, found.cost.stored) == (0, 100)
