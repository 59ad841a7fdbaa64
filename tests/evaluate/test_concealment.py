"""While sealed items are shown to predict, nothing of them reaches a page, a history or a log."""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import nbformat
import polars as pl
import pytest

from scalekit.evaluate import Registration, Seal, SealError, concealed, seal
from scalekit.report.notebooks import execute

SECRETS = ("xylophone", "quagmire")


@pytest.fixture
def made(tmp_path: Path) -> Seal:
    texts = [f"{SECRETS[0]}{n} {SECRETS[1]}{n} is due today" for n in range(30)]
    rows = {"item_id": [f"hidden-{n}" for n in range(30)], "text": texts, "category": ["a"] * 30}
    return seal(pl.DataFrame(rows), tmp_path / "project/sealed", project=tmp_path / "project")


def silent(said: str) -> None:
    for secret in (*SECRETS, "hidden-"):
        assert secret not in said


def frames(error: BaseException) -> str:
    """What a debugger shows of an error: all variables of all frames, its causes too."""
    told, left, seen = "", [error], set()
    while left:
        one = left.pop()
        seen.add(id(one))
        told += repr(one) + "".join(traceback.format_exception(one))
        frame = one.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename != __file__:
                told += repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
        left += [e for e in (one.__cause__, one.__context__) if e and id(e) not in seen]
    return told


def chained(texts: list[str]) -> list[str]:
    kept = list(texts)
    try:
        raise KeyError(kept[0])
    except KeyError as error:
        raise ValueError(f"can't read {kept[1]}") from error


def in_a_group(texts: list[str]) -> list[str]:
    raise ExceptionGroup(texts[0], [ValueError(texts[1]), TypeError(texts[2])])


def wrong_answers(texts: list[str]) -> list[str]:
    return [(t, "a") for t in texts]  # type: ignore[misc]


def too_few(texts: list[str]) -> list[str]:
    return texts[:1]


def leaves(texts: list[str]) -> list[str]:
    raise SystemExit(texts[0])


@pytest.mark.parametrize("predict", [chained, in_a_group, wrong_answers, too_few, leaves])
def test_an_error_shows_its_class_and_nothing_else(
    made: Seal, predict: Callable[[list[str]], list[str]]
) -> None:
    with pytest.raises(SealError, match=r"predict failed with \w+ while") as failed:
        made.measure(predict, Registration("claim"))
    assert failed.value.__cause__ is failed.value.__context__ is None
    silent(frames(failed.value))
    assert made.looks_left == 2


def test_an_error_that_is_kept_elsewhere_is_emptied(made: Seal) -> None:
    kept: list[BaseException] = []

    def predict(texts: list[str]) -> list[str]:
        own = list(texts)
        error = ValueError(own[0])
        kept.append(error)
        raise error

    with pytest.raises(SealError):
        made.measure(predict, Registration("claim"))
    silent(frames(kept[0]))


def test_a_stop_shows_nothing_and_is_a_stop(made: Seal) -> None:
    def predict(texts: list[str]) -> list[str]:
        own = list(texts)
        raise KeyboardInterrupt(own[0])

    with pytest.raises(KeyboardInterrupt) as stopped:
        made.measure(predict, Registration("claim"))
    silent(frames(stopped.value))
    assert made.looks_left == 2


def test_prints_logs_and_warnings_go_nowhere_and_come_back_afterwards(
    made: Seal, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import os
    import subprocess

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("model")
    logger.addHandler(handler)
    logger.setLevel(1)
    said: list[str] = []

    def predict(texts: list[str]) -> list[str]:
        print(texts[0])
        print(texts[0], file=sys.stderr)
        print(texts[0], file=sys.__stdout__)
        os.write(1, texts[0].encode())
        os.write(2, texts[0].encode())
        subprocess.run([sys.executable, "-c", f"print({texts[0]!r})"], check=True)
        logger.critical(texts[0])
        logger.log(10**9, texts[0])
        warnings.warn(texts[0], stacklevel=1)
        return ["a"] * len(texts)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        made.measure(predict, Registration("claim"))
        said += [str(w.message) for w in warned]
    silent("".join(capfd.readouterr()) + caplog.text + written.getvalue() + "".join(said))
    print("afterwards")
    os.write(1, b"below")
    logger.warning("logged again")
    told = capfd.readouterr()
    assert "afterwards" in told.out
    assert "below" in told.out
    assert "logged again" in written.getvalue()
    logger.removeHandler(handler)


def test_what_is_concealed_comes_back_as_it_is() -> None:
    assert concealed(lambda: 41 + 1) == (42, "")
    assert concealed(lambda: 1 // 0) == (None, "ZeroDivisionError")


CELLS = [
    """
import logging, os, subprocess, sys, warnings
from pathlib import Path
from IPython.display import display
from scalekit.evaluate import Registration, Seal
logging.basicConfig(level=1, filename="all.log")
made = Seal.load(Path({folder!r}), {seal_id!r})
""",
    """
def predict(texts):
    own = list(texts)
    print(own[0]); display(own[1]); display({{"text/html": own[2]}}, raw=True)
    print(own[3], file=sys.stderr)
    logging.getLogger("model").critical(own[0]); warnings.warn(own[0])
    os.write(1, own[4].encode()); subprocess.run(["echo", own[5]])
    if len(own) > 1:
        raise ValueError(own[0])
made.measure(predict, Registration("fails"))
""",
    "%tb",
    "%xmode Verbose",
    "made.measure(predict, Registration('fails again'))",
    "%tb",
    """
error = sys.last_value
print(repr(error), error.args, repr(error.__cause__), repr(error.__context__))
frame = sys.last_traceback
while frame:
    print(repr({{k: v for k, v in frame.tb_frame.f_locals.items() if k != "frame"}}))
    frame = frame.tb_next
""",
    "made.measure(lambda texts: ['a'] * len(texts), Registration('works'))",
    "_, __, ___, Out, In, _i",
    "_.measured.results if hasattr(_, 'measured') else Out",
    "%history",
    "[dict(o.__dict__) if hasattr(o, '__dict__') else o for o in Out.values()]",
    "dir(), {{k: v for k, v in globals().items() if not k.startswith('_')}}",
]


def test_in_a_real_kernel_no_output_history_traceback_or_log_holds_anything(
    made: Seal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    names = {"folder": str(made.folder), "seal_id": made.seal_id}
    cells = [nbformat.v4.new_code_cell(cell.format(**names)) for cell in CELLS]
    for cell in cells[1:]:
        cell.metadata["tags"] = ["raises-exception"]
    path = tmp_path / "look.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    shown = execute(path)
    said = json.dumps(shown)
    assert said.count("predict failed with ValueError") >= 4
    assert "Traceback" in said
    assert shown.cells[7].outputs, "the look that works shows its answer"
    outputs = json.dumps([cell.outputs for cell in shown.cells])
    silent(outputs)
    assert made.looks_left == 0
    for kept in tmp_path.rglob("*"):
        if kept.is_file():
            for secret in SECRETS:
                assert secret.encode() not in kept.read_bytes(), kept
    assert (tmp_path / "all.log").is_file()
