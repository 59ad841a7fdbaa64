"""Each way in which a seal can be tampered with is detected, and named apart from the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate import Registration, Seal, SealError, check_seals, seal
from scalekit.journal import Journal, read, signed_head, verify
from scalekit.signing import Signer


def items(n: int = 30) -> pl.DataFrame:
    texts = [f"parcel{i} was late and refund{i} of order{i} is due today" for i in range(n)]
    kinds = ["a" if i < 25 else "b" for i in range(n)]
    return pl.DataFrame({"item_id": [f"i{i}" for i in range(n)], "text": texts, "category": kinds})


@pytest.fixture
def made(tmp_path: Path) -> Seal:
    """A seal that was looked at twice: the second answer is no measurable change."""
    found = seal(items(), tmp_path / "sealed", project=tmp_path)
    for name in "xy":
        found.measure(lambda texts: ["a"] * len(texts), Registration(f"claim {name}"))
    return found


def file(made: Seal, ending: str) -> Path:
    return made.folder / f"{made.seal_id}.{ending}"


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def header(made: Seal, **change: Any) -> None:
    path = file(made, "json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def lines(made: Seal, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = made.ledger.path
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def other_seal(made: Seal) -> Seal:
    return seal(items(), made.folder.parent / "other", project=made.folder.parent)


def rewrite(made: Seal) -> None:
    told = [(e.kind, e.data) for e in read(made.ledger.path)]
    made.ledger.path.unlink()
    with Journal(made.ledger.path) as journal:
        journal.extend([(kind, {**data, "claim": "another"}) for kind, data in told])


def wrong_key(made: Seal) -> None:
    made.ledger.head.with_suffix(".key").write_bytes(bytes(32))


MUTATIONS: dict[str, tuple[Callable[[Seal], object], str]] = {
    "a bit of the items": (lambda m: flip(file(m, "bin"), 5000), r"\.bin: .*the file was changed"),
    "a bit of the tags": (lambda m: flip(file(m, "tags"), 5000), r"\.tags: .*file was changed"),
    "whose the file is": (lambda m: flip(file(m, "bin"), 20), "the file is of another seal"),
    "items cut": (
        lambda m: file(m, "bin").write_bytes(file(m, "bin").read_bytes()[:-100]),
        "the file was cut: 65,494 of 65,594 bytes are left",
    ),
    "items longer": (
        lambda m: file(m, "bin").write_bytes(file(m, "bin").read_bytes() + b"x"),
        "1 bytes were added",
    ),
    "items gone": (lambda m: file(m, "bin").unlink(), "the file is missing"),
    "another seal's items": (
        lambda m: file(m, "bin").write_bytes(file(other_seal(m), "bin").read_bytes()),
        "the file is of another seal, [0-9a-f]{12}",
    ),
    "tags in place of items": (
        lambda m: file(m, "bin").write_bytes(file(m, "tags").read_bytes()),
        "another file lies here: tags",
    ),
    "more items in the header": (
        lambda m: header(m, items=31), "the categories make 30 items, not 31",
    ),
    "more looks in the header": (
        lambda m: header(m, looks=99), "30 items of a sealed set give 3 looks, not 99",
    ),
    "another root in the header": (
        lambda m: header(m, merkle_root="0" * 64), r"\.json: .*its header was changed$",
    ),
    "a field of the header gone": (
        lambda m: file(m, "json").write_text(json.dumps({"format": 3, "seal": m.seal_id})),
        "lacks what every seal has",
    ),
    "no header at all": (lambda m: file(m, "json").write_text("{"), "not the header of a seal"),
    "another key": (wrong_key, r"\.key: .*this is not its key"),
    "a line of the ledger edited": (
        lambda m: lines(m, lambda got: [got[0].replace(b"claim x", b"claim z"), *got[1:]]),
        "line 1: its content does not fit its hash",
    ),
    "a line of the ledger gone": (
        lambda m: lines(m, lambda got: [got[0], *got[2:]]), "line 2: event 1 is missing",
    ),
    "lines of the ledger swapped": (
        lambda m: lines(m, lambda got: [got[1], got[0], *got[2:]]), "line 1: event 0 is missing",
    ),
    "the ledger's end cut off": (
        lambda m: lines(m, lambda got: got[:2]),
        "the ledger was cut: beside the key 4 events are noted, here are 2",
    ),
    "the whole ledger gone": (
        lambda m: m.ledger.path.unlink(), "the ledger was cut: .* 4 events are noted, here are 0",
    ),
    "the ledger written anew": (rewrite, "the ledger was rewritten: its event 3 is not"),
    "what the first attempt left, changed": (
        lambda m: flip(file(m, "attempt-1.bin"), 5000), r"attempt-1\.bin: .*file was changed",
    ),
    "what the second attempt left, in its place": (
        lambda m: file(m, "attempt-1.bin").write_bytes(file(m, "attempt-2.bin").read_bytes()),
        "attempt-1.*another file lies here: a002",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_named_and_costs_no_look(made: Seal, name: str) -> None:
    mutate, said = MUTATIONS[name]
    used = made.ledger.used
    mutate(made)
    asked: list[str] = []
    with pytest.raises(SealError, match=said):  # noqa: PT012
        again = Seal.load(made.folder, made.seal_id)
        again.contaminated(items(1))
        again.measure(lambda texts: asked.extend(texts) or texts, Registration("one more"))
    assert not asked
    if made.ledger.path.exists() and "ledger" not in name:
        assert made.ledger.used == used


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_check_of_all_seals_names_it_too(made: Seal, name: str) -> None:
    mutate, said = MUTATIONS[name]
    assert check_seals(made.folder)
    mutate(made)
    found = check_seals(made.folder)
    assert not found
    assert any(pl.Series([why]).str.contains(said)[0] for why in found.table["why"])
    assert "not passed" in found.to_html()


def test_no_two_mutations_are_named_alike(made: Seal, tmp_path: Path) -> None:
    told: dict[str, list[str]] = {}
    for name, (mutate, _) in MUTATIONS.items():
        kept = {p: p.read_bytes() for p in (*made.folder.iterdir(), *_beside_key(made))}
        mutate(made)
        why = check_seals(made.folder).table.filter(verdict="faulty")["why"].to_list()
        told[name] = why
        for path, content in kept.items():
            path.write_bytes(content)
    assert len({tuple(why) for why in told.values()}) == len(MUTATIONS)


def _beside_key(made: Seal) -> list[Path]:
    return list(made.ledger.head.parent.iterdir())


def test_without_the_key_files_are_checked_and_the_rest_is_said(made: Seal) -> None:
    made.ledger.head.with_suffix(".key").unlink()
    found = check_seals(made.folder)
    assert found
    verdicts = dict(found.table.select("part", "verdict").iter_rows())
    assert (verdicts["items"], verdicts["header"]) == ("intact", "not checked")
    flip(file(made, "tags"), 5000)
    assert not check_seals(made.folder)


def test_a_signed_head_kept_elsewhere_names_cut_and_rewritten_ledgers(
    made: Seal, tmp_path: Path
) -> None:
    signer = Signer.load("lead")
    head, path = signed_head(made.ledger.path, signer), made.ledger.path
    whole = path.read_bytes()
    assert verify(path, head, (signer.public,))
    lines(made, lambda got: got[:2])
    assert verify(path, head, (signer.public,)).verdict == "truncated"
    path.write_bytes(whole)
    rewrite(made)
    assert verify(path, head, (signer.public,)).verdict == "rewritten"


def test_looks_from_a_copy_of_the_key_elsewhere_are_no_fault(made: Seal) -> None:
    # Two people with the same key and folder: the end noted by one of them lags behind.
    behind = made.ledger.head.read_bytes()
    made.measure(lambda texts: ["a"] * len(texts), Registration("claim z"))
    made.ledger.head.write_bytes(behind)
    assert check_seals(made.folder)
    assert made.looks_left == 0
