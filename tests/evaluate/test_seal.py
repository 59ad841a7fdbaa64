"""The seal: opaque, bound to key and header, charged before it answers, silent on single items."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalekit.evaluate import Registration, Seal, SealError, contamination, look_budget, seal
from scalekit.evaluate.seal import SMALLEST_CELL
from scalekit.evaluate.sealed_keys import PAD
from scalekit.frames import FrameError
from scalekit.journal import read, verify
from scalekit.signing import KeyFileError


def items(counts: dict[str, int]) -> pl.DataFrame:
    kinds = [k for k, n in counts.items() for _ in range(n)]
    texts = [
        f"secret{n} asks about parcel{n} and refund{n} of order{n} today please now"
        for n in range(len(kinds))
    ]
    ids = [f"item-{n}" for n in range(len(kinds))]
    return pl.DataFrame({"item_id": ids, "text": texts, "category": kinds})


@pytest.fixture
def made(tmp_path: Path) -> Seal:
    return seal(items({"a": 25, "b": 5}), tmp_path / "sealed", project=tmp_path)


def always(answer: str):
    return lambda texts: [answer] * len(texts)


def look(sealed: Seal, answer: str = "a"):
    return sealed.measure(always(answer), Registration("claim"), said={"actor": "ana"}).measured


def test_nothing_of_an_item_stands_in_any_file(made: Seal) -> None:
    look(made)
    for path in made.folder.rglob("*"):
        content = path.read_bytes()
        for number in range(30):
            for word in (f"secret{number}", f"parcel{number} ", f"item-{number}"):
                assert word.encode() not in content, path.name


def test_the_size_says_little(tmp_path: Path) -> None:
    one = seal(items({"a": 1}), tmp_path / "1", project=tmp_path)
    hundred = seal(items({"a": 100}), tmp_path / "2", project=tmp_path)
    for ending in ("bin", "tags"):
        a, b = (s.folder / f"{s.seal_id}.{ending}" for s in (one, hundred))
        assert a.stat().st_size == b.stat().st_size == 30 + PAD + 12 + 16  # whose it is, nonce, tag


def test_equal_items_are_sealed_to_other_bytes_each_time(tmp_path: Path) -> None:
    one, other = (seal(items({"a": 3}), tmp_path / n, project=tmp_path) for n in "12")
    assert one.header["merkle_root"] != other.header["merkle_root"]
    assert one.seal_id != other.seal_id


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 0.999), bit=st.integers(0, 7), ending=st.sampled_from(["bin", "tags"]))
def test_one_flipped_bit_is_refused(made: Seal, where: float, bit: int, ending: str) -> None:
    path = made.folder / f"{made.seal_id}.{ending}"
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[int(where * len(whole))] ^= 1 << bit
    path.write_bytes(broken)
    try:
        with pytest.raises(SealError, match=rf"{path.name}: the seal does not open"):
            look(made) if ending == "bin" else made.contaminated(items({"a": 1}))
        assert made.looks_left == 3  # a seal that does not open costs no look
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("size", [0, 5, 12, 20, PAD])
def test_a_cut_blob_is_refused_in_words(made: Seal, size: int) -> None:
    path = made.folder / f"{made.seal_id}.bin"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SealError, match=f"does not open: the file was cut: {size:,} of"):
        look(made)


@pytest.mark.parametrize(
    "change", [{"looks": 99}, {"items": 31}, {"merkle_root": "0" * 64}, {"categories": {"a": 30}}]
)
def test_a_changed_header_is_refused(made: Seal, change: dict[str, object]) -> None:
    path = made.folder / f"{made.seal_id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SealError, match="does not open"):
        look(Seal.load(made.folder, made.seal_id))


def test_the_header_of_another_seal_is_refused(tmp_path: Path) -> None:
    one, other = (seal(items({"a": 25}), tmp_path / "s", project=tmp_path) for _ in "12")
    with pytest.raises(SealError):
        Seal(one.folder, {**other.header, "seal": one.seal_id}).item_ids()


def test_another_key_is_refused_and_a_missing_one_named(made: Seal, keys: Path) -> None:
    (key,) = keys.glob("seal-*.key")
    right = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(SealError, match="not its key"):
        look(made)
    key.unlink()
    with pytest.raises(SealError, match="SCALEKIT_KEYS"):
        look(made)
    assert made.looks_left == 3
    key.write_bytes(right)
    assert look(made).sets["n"][0] == 30


def test_the_key_is_readable_by_its_owner_only(made: Seal, keys: Path) -> None:
    (key,) = keys.glob("seal-*.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32


@pytest.mark.parametrize("where", ["inside", "inside/deeper"])
def test_a_key_in_the_project_is_refused_and_nothing_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("SCALEKIT_KEYS", str(tmp_path / where))
    with pytest.raises(KeyFileError, match="inside the project"):
        seal(items({"a": 3}), tmp_path / "sealed", project=tmp_path)
    assert not (tmp_path / "sealed").exists()


def test_a_key_in_a_git_checkout_is_refused_also_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkout/.git").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "checkout")
    for name in ("checkout/keys", "link/keys", "link"):
        monkeypatch.setenv("SCALEKIT_KEYS", str(tmp_path / name))
        with pytest.raises(KeyFileError, match="git checkout"):
            seal(items({"a": 3}), tmp_path / "sealed", project=tmp_path / "project")
    assert not (tmp_path / "sealed").exists()


def test_a_look_is_charged_before_anything_is_scored(made: Seal) -> None:
    seen: list[int] = []

    def broken(texts: list[str]) -> list[str]:
        seen.append(made.looks_left)
        raise RuntimeError("out of memory")

    with pytest.raises(SealError, match="failed with RuntimeError"):
        made.measure(broken, Registration("claim"), said={"actor": "ana"})
    assert seen == [2]
    assert made.looks_left == 2
    (event,) = made.ledger.events()
    assert event.data["claim"] == "claim"
    assert event.data["actor"] == "ana"


def test_no_look_is_given_beyond_the_budget(made: Seal) -> None:
    for _ in range(3):
        look(made)
    asked: list[str] = []
    with pytest.raises(SealError, match="all 3 looks"):
        made.measure(lambda t: asked.extend(t) or t, Registration("once more"))
    assert not asked
    assert made.looks_left == 0
    assert verify(made.ledger.path)
    assert [e.kind for e in read(made.ledger.path)] == ["look", "answer"] * 3


@pytest.mark.parametrize(
    ("size", "looks"), [(1, 3), (199, 3), (200, 5), (499, 5), (500, 10), (9999, 10)]
)
def test_budget_grows_with_the_set(size: int, looks: int) -> None:
    assert look_budget(size) == looks


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(counts=st.lists(st.integers(1, 45), min_size=1, max_size=6))
def test_no_cell_under_twenty_comes_out_nor_can_be_subtracted(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    made = seal(items({f"c{i}": n for i, n in enumerate(counts)}), folder / "s", project=folder)
    found = look(made, "c0")
    assert found.results.is_empty()
    told = found.categories["n"].to_list()
    assert all(n >= SMALLEST_CELL for n in told)
    # Whoever subtracts the categories told from the whole must not get a smaller cell either.
    rest = sum(counts) - sum(told)
    if told:
        assert rest == 0 or rest >= SMALLEST_CELL


def test_scores_are_those_of_the_plain_items(made: Seal) -> None:
    found = look(made, "a")
    assert found.sets.select("set", "right", "n").row(0) == ("sealed", 25, 30)


def test_tags_find_a_copy_however_it_is_written(made: Seal) -> None:
    copy = items({"a": 30})["text"][7]
    train = pl.DataFrame(
        {
            "item_id": ["same", "loud", "inside", "other"],
            "text": [copy, copy.upper() + "!!", f"Hi, {copy}, bye", "quite another text " * 4],
            "batch_id": ["x", "x", "y", "y"],
        }
    )
    found = made.contaminated(train)
    assert found["item_id"].to_list() == ["same", "loud", "inside"]
    assert found["cover"].to_list() == [1.0, 1.0, 1.0]
    assert set(found.columns) == {"item_id", "batch_id", "cover"}  # not which item was hit


@pytest.mark.parametrize("length", [4, 7, 8, 10, 14])
@pytest.mark.parametrize("shared", [0.5, 0.8, 1.0])
def test_tags_see_every_leak_that_the_open_search_sees(
    tmp_path: Path, length: int, shared: float
) -> None:
    words = [f"w{n}" for n in range(length)]
    text = " ".join(words)
    part = " ".join(words[: max(1, round(shared * length))])
    test = pl.DataFrame({"item_id": ["t"], "text": [text], "category": ["a"]})
    train = pl.DataFrame({"item_id": ["r"], "text": [f"well then {part} and so on"]})
    leaks = contamination(test, train).leaks
    hits = seal(test, tmp_path / "s", project=tmp_path).contaminated(train)
    assert len(hits) == len(leaks)


def test_nothing_to_seal_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="nothing to seal"):
        seal(items({"a": 1}).clear(), tmp_path, project=tmp_path)
    with pytest.raises(FrameError, match="repeat"):
        seal(pl.concat([items({"a": 1})] * 2), tmp_path, project=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_newer_or_missing_seal_is_said(made: Seal) -> None:
    path = made.folder / f"{made.seal_id}.json"
    path.write_text(json.dumps({**made.header, "format": 2}))
    with pytest.raises(SealError, match="older scalekit"):
        Seal.load(made.folder, made.seal_id)
    path.write_text(json.dumps({**made.header, "format": 4}))
    with pytest.raises(SealError, match="newer scalekit"):
        Seal.load(made.folder, made.seal_id)
    with pytest.raises(SealError, match="no such seal"):
        Seal.load(made.folder, "feedfeedfeed")
