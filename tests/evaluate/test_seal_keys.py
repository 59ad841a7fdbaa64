"""Keys of a seal: neither a wrapped key nor one of two shares opens alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.evaluate import Seal, SealError, check_seals, seal, sealed_keys
from scalekit.signing import KeyFileError

TEXT = "parcel {} was late and refund of order {} is due today please"


def items(n: int = 5) -> pl.DataFrame:
    texts = [TEXT.format(f"p{i}", f"o{i}") for i in range(n)]
    return pl.DataFrame(
        {"item_id": [f"i{i}" for i in range(n)], "text": texts, "category": ["a"] * n}
    )


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", asked)
    monkeypatch.setattr(sealed_keys, "_unlocked", {})


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in another process."""
    monkeypatch.setattr(sealed_keys, "_unlocked", {})


def key_file(made: Seal, keys: Path) -> Path:
    return keys / f"seal-{made.seal_id}.key"


def secrets_of(made: Seal) -> list[bytes]:
    master = sealed_keys.master_key(made.seal_id)
    look_up = sealed_keys.look_up_key(master)
    return [master, look_up, sealed_keys.sub_key(master, "bin")]


def wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seal:
    monkeypatch.setenv("SCALEKIT_PASSPHRASE", "correct horse")
    return seal(items(), tmp_path / "s", project=tmp_path, passphrase=True)


def test_a_wrapped_key_opens_with_its_passphrase_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wrapped(tmp_path, monkeypatch)
    assert len(made.item_ids()) == 5
    forget(monkeypatch)
    assert len(made.item_ids()) == 5
    forget(monkeypatch)
    monkeypatch.setenv("SCALEKIT_PASSPHRASE", "wrong horse")
    for use in (made.item_ids, lambda: made.contaminated(items())):
        with pytest.raises(SealError, match="not its passphrase"):
            use()
    monkeypatch.delenv("SCALEKIT_PASSPHRASE")
    with pytest.raises(SealError, match="SCALEKIT_PASSPHRASE"):
        made.item_ids()
    assert (
        dict(check_seals(made.folder).table.select("part", "verdict").iter_rows())["header"]
        == "not checked"
    )


def test_the_wrapped_file_holds_no_key_and_says_how_it_was_wrapped(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wrapped(tmp_path, monkeypatch)
    content = key_file(made, keys).read_bytes()
    assert json.loads(content)["held"]["n"] == 2**15
    for secret in secrets_of(made):
        assert secret not in content
        assert secret.hex().encode() not in content
    assert made.header["key"] == "one person, passphrase"
    changed = json.loads(content)
    changed["held"]["n"] = 2**14
    key_file(made, keys).write_text(json.dumps(changed))
    with pytest.raises(SealError, match="not its passphrase"):
        made.item_ids()


def test_who_is_there_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda p: asked.append(p) or "correct horse")
    made = seal(items(), tmp_path / "s", project=tmp_path, passphrase=True)
    made.item_ids()
    made.contaminated(items())
    assert len(asked) == 1
    forget(monkeypatch)
    made.item_ids()
    made.item_ids()
    assert len(asked) == 2
    assert made.seal_id in asked[1]


def test_without_a_passphrase_nothing_is_sealed(tmp_path: Path, keys: Path) -> None:
    with pytest.raises(SealError, match="needs its passphrase"):
        seal(items(), tmp_path / "s", project=tmp_path, passphrase=True)
    assert not (tmp_path / "s").exists()
    assert not list(keys.iterdir())


@pytest.fixture
def approver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("approver") / "share.txt"


@pytest.fixture
def shared(tmp_path: Path, approver: Path) -> Seal:
    return seal(items(), tmp_path / "s", project=tmp_path, second_share=approver)


def test_both_shares_together_open(shared: Seal, approver: Path) -> None:
    assert len(shared.item_ids()) == 5
    assert approver.stat().st_mode & 0o777 == 0o600
    assert shared.header["key"] == "two persons"


def test_neither_share_alone_opens_nor_holds_the_key(
    shared: Seal, approver: Path, keys: Path
) -> None:
    held = [key_file(shared, keys).read_bytes(), approver.read_bytes()]
    master, _, items_key = secrets_of(shared)
    for content in held:
        for secret in (master, items_key):
            assert secret not in content
            assert secret.hex().encode() not in content
    moved = approver.rename(approver.with_name("in a drawer"))
    with pytest.raises(SealError, match="held by two persons"):
        shared.item_ids()
    moved.rename(approver)
    own = key_file(shared, keys).rename(keys / "elsewhere")
    with pytest.raises(SealError, match="key of this seal is not here"):
        shared.item_ids()
    # The second share alone, put where the key belongs, is no key either.
    key_file(shared, keys).write_bytes(bytes.fromhex(approver.read_text()))
    with pytest.raises(SealError, match="not its key"):
        shared.item_ids()
    own.rename(key_file(shared, keys))
    assert shared.item_ids()


def test_the_share_is_found_where_the_variable_says(
    shared: Seal, approver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = approver.rename(approver.with_name("on a stick"))
    monkeypatch.setenv("SCALEKIT_SECOND_SHARE", str(moved))
    assert len(shared.item_ids()) == 5


def test_another_share_is_refused(shared: Seal, approver: Path) -> None:
    approver.write_text("00" * 32)
    with pytest.raises(SealError, match="two shares do not make its key"):
        shared.item_ids()
    approver.write_text("no share")
    with pytest.raises(SealError, match="no share of a key"):
        shared.item_ids()


def test_the_owner_alone_can_search_training_but_read_nothing(shared: Seal, approver: Path) -> None:
    approver.unlink()
    row = pl.DataFrame({"item_id": ["r"], "text": [TEXT.format("p3", "o3")]})
    assert shared.contaminated(row)["item_id"].to_list() == ["r"]
    assert check_seals(shared.folder)
    with pytest.raises(SealError, match="two persons"):
        shared.holds([row["text"][0]])


@pytest.mark.parametrize("where", ["project", "git", "beside", "taken"])
def test_a_second_share_may_not_lie_just_anywhere(
    tmp_path: Path, keys: Path, approver: Path, where: str
) -> None:
    (tmp_path / "checkout/.git").mkdir(parents=True)
    approver.parent.joinpath("taken").write_text("mine")
    places = {
        "project": tmp_path / "project/share", "git": tmp_path / "checkout/share",
        "beside": keys / "share", "taken": approver.parent / "taken",
    }  # fmt: skip
    with pytest.raises((SealError, KeyFileError)):
        seal(items(), tmp_path / "s", project=tmp_path / "project", second_share=places[where])
    assert not (tmp_path / "s").exists()
    assert not list(keys.iterdir())
    assert (approver.parent / "taken").read_text() == "mine"


def test_passphrase_and_second_share_are_both_needed(
    tmp_path: Path, approver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALEKIT_PASSPHRASE", "correct horse")
    made = seal(items(), tmp_path / "s", project=tmp_path, passphrase=True, second_share=approver)
    assert made.header["key"] == "two persons, passphrase"
    forget(monkeypatch)
    assert len(made.item_ids()) == 5
    forget(monkeypatch)
    monkeypatch.setenv("SCALEKIT_PASSPHRASE", "wrong")
    with pytest.raises(SealError, match="not its passphrase"):
        made.item_ids()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"x" * 31, b'{"format": 1}'])
def test_a_file_that_is_no_key_is_named(shared: Seal, keys: Path, content: bytes) -> None:
    key_file(shared, keys).write_bytes(content)
    with pytest.raises(SealError, match=rf"seal-{shared.seal_id}\.key: this is no key of a seal"):
        shared.item_ids()


def test_no_frame_of_a_refusal_holds_a_key(
    tmp_path: Path, shared: Seal, approver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = secrets_of(shared)
    path = shared.folder / f"{shared.seal_id}.bin"
    whole = path.read_bytes()
    refusals: list[Any] = []
    for spoil in (lambda: path.write_bytes(whole[:-1]), lambda: approver.write_text("00" * 32)):
        spoil()
        with pytest.raises(SealError) as refused:
            shared.item_ids()
        refusals.append(refused.value)
        path.write_bytes(whole)
    for error in refusals:
        frame = error.__traceback__
        while frame is not None:
            if "scalekit" in frame.tb_frame.f_code.co_filename and "tests" not in (
                frame.tb_frame.f_code.co_filename
            ):
                told = repr(frame.tb_frame.f_locals).encode()
                for secret in hidden:
                    assert secret.hex().encode() not in told
                    assert repr(secret).encode() not in told
            frame = frame.tb_next
