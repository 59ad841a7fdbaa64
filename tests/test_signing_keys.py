from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from canonical_values import quick, text, value
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from scalekit.signing import (
    KeyFileError,
    SignatureError,
    Signer,
    canonical,
    keys_folder,
    open_envelope,
    private_file,
    public_key_id,
)

# --- keys ---------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALEKIT_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_a_key_is_made_once_for_the_owner_alone(keys: Path) -> None:
    first = Signer.load("lead")
    assert keys_folder() == keys
    assert (keys / "lead.pem").stat().st_mode & 0o777 == 0o600
    assert keys.stat().st_mode & 0o777 == 0o700
    assert Signer.load("lead").public == first.public
    assert Signer.load("other").public != first.public
    assert public_key_id(first.public) == hashlib.sha256(first.public).hexdigest()[:16]


def test_a_secret_is_made_once_and_not_replaced(keys: Path) -> None:
    assert private_file(keys / "k", b"one") == b"one"
    assert private_file(keys / "k", b"two") == b"one"


def test_a_key_that_others_can_read_is_refused(keys: Path) -> None:
    Signer.load("lead")
    (keys / "lead.pem").chmod(0o640)
    with pytest.raises(
        KeyFileError, match=r"others can read this key; run `chmod 600 .*lead\.pem`"
    ):
        Signer.load("lead")


def test_a_key_never_lies_in_the_project_or_a_checkout(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="inside the project folder"):
        Signer.load("lead", outside=tmp_path)
    (tmp_path / ".git").mkdir()
    with pytest.raises(KeyFileError, match="inside a git checkout"):
        Signer.load("lead")
    assert not keys.exists()


def test_a_link_into_the_project_does_not_fool_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "keys").mkdir(parents=True)
    (tmp_path / "link").symlink_to(project / "keys")
    monkeypatch.setenv("SCALEKIT_KEYS", str(tmp_path / "link"))
    with pytest.raises(KeyFileError, match="inside the project folder"):
        Signer.load("lead", outside=project)
    assert not list((project / "keys").iterdir())


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_key_file_is_named_and_kept(keys: Path, content: bytes) -> None:
    Signer.load("lead")
    (keys / "lead.pem").write_bytes(content)
    with pytest.raises(KeyFileError, match=r"lead\.pem"):
        Signer.load("lead")
    assert (keys / "lead.pem").read_bytes() == content


def test_a_secret_file_left_empty_by_a_crash_is_refused_not_used(keys: Path) -> None:
    keys.mkdir(mode=0o700)
    (keys / "seal.key").touch(mode=0o600)
    with pytest.raises(KeyFileError, match=r"seal\.key"):
        private_file(keys / "seal.key", b"32 bytes of secret")


def test_a_key_of_another_kind_is_refused(keys: Path) -> None:
    keys.mkdir(mode=0o700)
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = keys / "lead.pem"
    path.touch(mode=0o600)
    path.write_bytes(other)
    with pytest.raises(KeyFileError, match="an Ed25519 key is needed"):
        Signer.load("lead")


@pytest.mark.parametrize("below", [".", "sub/keys"])
def test_a_folder_where_no_key_can_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("kept")
    monkeypatch.setenv("SCALEKIT_KEYS", str(blocked / below))
    with pytest.raises(KeyFileError, match=r"lead\.pem"):
        Signer.load("lead")
    assert blocked.read_text() == "kept"


# --- envelopes ----------------------------------------------------------------------------------

KIND = "application/vnd.in-toto+json"


def pae(kind: str, body: bytes) -> bytes:
    """The formula of the DSSE protocol, with SP for a space and LEN in ASCII decimals."""
    parts = [b"DSSEv1", str(len(kind.encode())).encode(), kind.encode()]
    return b" ".join([*parts, str(len(body)).encode(), body])


def test_the_encoding_equals_the_published_example() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, test vectors.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


@quick
@given(value, text)
def test_an_envelope_verifies_with_the_raw_key_and_opens(payload: Any, kind: str) -> None:
    signer = Signer("s", Ed25519PrivateKey.generate())
    envelope = json.loads(json.dumps(signer.envelope(payload, kind)))
    body = base64.b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    raw = Ed25519PublicKey.from_public_bytes(signer.public)
    raw.verify(base64.b64decode(signature["sig"]), pae(kind, body))
    with pytest.raises(InvalidSignature):
        raw.verify(base64.b64decode(signature["sig"]), body)
    assert body == canonical(payload)
    assert open_envelope(envelope, [signer.public], kind) == json.loads(body)


@quick
@given(st.data())
def test_no_byte_of_an_envelope_changes_unnoticed(choose: st.DataObject) -> None:
    signer = Signer("s", Ed25519PrivateKey.generate())
    envelope = signer.envelope({"events": 3, "hash": "ab"}, KIND)
    which = choose.draw(st.sampled_from(["payload", "sig"]))
    holder = envelope if which == "payload" else envelope["signatures"][0]
    raw = bytearray(base64.b64decode(holder[which]))
    raw[choose.draw(st.integers(0, len(raw) - 1))] ^= choose.draw(st.integers(1, 255))
    holder[which] = base64.b64encode(raw).decode()
    with pytest.raises(SignatureError):
        open_envelope(envelope, [signer.public], KIND)


def test_other_keys_and_other_types_are_refused() -> None:
    signer, other = (Signer("s", Ed25519PrivateKey.generate()) for _ in range(2))
    envelope = signer.envelope({"a": 1}, KIND)
    with pytest.raises(SignatureError, match="none of the given keys"):
        open_envelope(envelope, [other.public], KIND)
    with pytest.raises(SignatureError, match="none of the given keys"):
        open_envelope(envelope, [], KIND)
    with pytest.raises(SignatureError, match="expected 'application/json'"):
        open_envelope(envelope, [signer.public], "application/json")
    assert open_envelope(envelope, [other.public, signer.public], KIND) == {"a": 1}
    relabelled = {**envelope, "payloadType": "application/json"}
    with pytest.raises(SignatureError, match="changed after signing"):
        open_envelope(relabelled, [signer.public], "application/json")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"payloadType": KIND},
        {"payloadType": KIND, "payload": "!!", "signatures": []},
        {"payloadType": KIND, "payload": "e30=", "signatures": [{}]},
        {"payloadType": KIND, "payload": "e30=", "signatures": 3},
        {"payloadType": KIND, "payload": None, "signatures": []},
        {"payloadType": KIND, "payload": "e30=", "signatures": []},
        [],
    ],
)
def test_what_is_no_envelope_is_refused(broken: Any) -> None:
    with pytest.raises(SignatureError):
        open_envelope(broken, [Ed25519PrivateKey.generate().public_key().public_bytes_raw()], KIND)
