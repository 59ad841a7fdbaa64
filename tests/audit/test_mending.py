"""The mending of many texts at once, against the rules for one text at a time."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalekit.audit import find_personal, junk_rule, mask, mend, normalise
from scalekit.frames import FrameError

# Broken encodings, blanks of every kind, control characters, marks, scripts; things that are found.
SIGNS = (
    " \n\t\r\x00\x0b\x0c\x1a\x1b\x1c\x1f\x7f\x80\x85\x9d\u00a0\u00ad\u1680\u2003\u200b\u200d\u2028"
    "\u202e\u206f\u3000\ufeff\ufffc\ufffd\u0301\u0323\u20e3ÃÂâ€œ™×²°éßſıİKŒœвЂГСёа你각\u11a8\uff9e"
    "aeiouybcdfgXYZ013٣²½_.,!?@:/-+()'\"“”’–…•"
)
PIECES = (
    "the cat sat on the mat", "no no no no", "Call me now. ", "asdfgh qwerty ", "strngth ", "uiop",
    "naÃ¯ve ", "â€œx†", "https://a.example/x ", "www.x.org", "out of the office", "me@x.example ",
    "4111 1111 1111 1111", "+49 30 901820", "8.8.8.8", "12 Baker Street", "DE89370400440532013000",
    "password: h1dden!x", "078-05-1121", "SSN 078 05 1121", "\x1b[31m", "e\u0301", "  ", "\n\n\n",
    "token = ", "0a1B2c3D4e5F6g7H8i9J", "://u:p4ss@h", "AKIA" + "A2B3" * 4, "eyJhbGciOiJub25lIn0.",
)  # fmt: skip
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MIXED = st.lists(st.sampled_from(PIECES) | st.sampled_from(SIGNS), max_size=14).map("".join)


def items(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [str(n) for n in range(len(texts))], "text": texts})


def one_by_one(text: str) -> dict[str, object]:
    mended, changes = normalise(text)
    return {
        "text": mask(mended),
        "original": text,
        "changes": list(changes),
        "junk": junk_rule(mended),
        "personal": [f.kind for f in find_personal(mended)],
    }


def assert_as_one_by_one(texts: list[str]) -> None:
    found = mend(items(texts)).drop("item_id").to_dicts()
    for row, text in zip(found, texts, strict=True):
        assert row == one_by_one(text)


@settings(deadline=None, max_examples=1000)
@example([""])
@example(["Ã\u00a0x", "x\u00c3\u00a0 "])
@example(["\x85", "\x81", "\r", "a\rb", "\x1b[0m"])
@given(st.lists(ANYTHING | MIXED, max_size=6))
def test_many_texts_are_mended_as_one_by_one(texts: list[str]) -> None:
    assert_as_one_by_one(texts)


def test_texts_of_this_machine_are_mended_as_one_by_one() -> None:
    draw = random.Random(7)
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    broken = Path(sysconfig.get_paths()["stdlib"]) / "email"
    texts = []
    for path in draw.sample([*files, *broken.glob("*.py")], 60):
        told = path.read_text(encoding="utf-8")
        texts += [told[at : at + 900] for at in range(0, len(told), 900)]
        texts += [told[:400].encode().decode("latin-1"), told[:400].upper()]
        texts += [told[at : at + 900].replace(" ", "\u3000 ") for at in range(0, 2700, 900)]
    assert len(texts) > 1000
    assert_as_one_by_one(texts)


@pytest.mark.parametrize("texts", [[], [""], ["", "", "a"]])
def test_few_texts_and_empty_ones_are_mended(texts: list[str]) -> None:
    assert len(mend(items(texts))) == len(texts)


def test_an_item_without_text_is_named() -> None:
    rows = pl.DataFrame({"item_id": ["a", "b"], "text": ["x", None]})
    with pytest.raises(FrameError, match="first of item 'b'"):
        mend(rows)
