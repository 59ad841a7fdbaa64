"""Identity and signatures: canonical digests, Merkle roots, Ed25519 keys, DSSE envelopes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "SIGNER",
    "KeyFileError",
    "SignatureError",
    "Signer",
    "canonical",
    "digest",
    "digest_file",
    "keys_folder",
    "merkle_root",
    "open_envelope",
    "private_file",
    "public_key_id",
]

SIGNER = "scalekit"
"""Name of the user's own signing key."""

DIGEST_RECIPE = "sk1:sha256:"


class KeyFileError(ValueError):
    """A key is missing, lies in a forbidden place, or can be read by others."""


class SignatureError(ValueError):
    """A signed document is malformed, or none of the given keys signed it."""


# --- canonical JSON and digests -----------------------------------------------------------------


def _plain(value: Any, where: str, compose: bool) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise TypeError(f"{where}: half a surrogate pair in the text, which has no UTF-8 form")
        return unicodedata.normalize("NFC", value) if compose else value
    if isinstance(value, Mapping):
        keys = [_plain(k, where, compose) if isinstance(k, str) else k for k in value]
        if any(not isinstance(k, str) for k in keys) or len(set(keys)) != len(keys):
            raise TypeError(f"{where}: keys must be distinct strings, got {list(value)!r}")
        pairs = zip(keys, value.values(), strict=True)
        return {k: _plain(v, f"{where}.{k}", compose) for k, v in pairs}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(v, f"{where}[{i}]", compose) for i, v in enumerate(value)]
    raise TypeError(
        f"{where}: {type(value).__name__} has no canonical form; write numbers with a fraction "
        "as text or as whole units (milliseconds, counts)"
    )


def canonical(value: Any, *, compose: bool = True) -> bytes:
    """Encode *value* as canonical JSON: sorted keys, NFC text, no spaces, no floats.

    Without *compose* text stays as it was given: for what must come back byte for byte.

    Raises
    ------
    TypeError
        For floats, bytes, sets, non-string or colliding keys, naming where they stand.
    """
    plain = _plain(value, "value", compose)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """Return the content identity ``sk1:sha256:<hex>`` of *value*'s canonical JSON."""
    return DIGEST_RECIPE + hashlib.sha256(canonical(value)).hexdigest()


def digest_file(path: Path) -> str:
    """Return ``sk1:sha256:<hex>`` of the bytes of the file at *path*."""
    with path.open("rb") as stream:
        return DIGEST_RECIPE + hashlib.file_digest(stream, "sha256").hexdigest()


def merkle_root(leaves: Iterable[bytes]) -> str:
    """Return the hex Merkle root of *leaves*, in order (hash tree of RFC 6962, section 2.1).

    Leaves are hashed with prefix 0x00 and nodes with 0x01, so that a node can't pass as a leaf.
    The root of no leaves is the hash of nothing, as the RFC says.
    """
    row = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    if not row:
        return hashlib.sha256().hexdigest()
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        joined = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in pairs]
        # Pairing neighbours and lifting an odd last one gives the same tree as the RFC's split.
        row = joined + row[len(joined) * 2 :]
    return row[0].hex()


# --- keys ---------------------------------------------------------------------------------------


def keys_folder() -> Path:
    """Return the folder for private keys: ``$SCALEKIT_KEYS``, else the user's configuration."""
    named = os.environ.get("SCALEKIT_KEYS")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("scalekit")) / "keys"


def private_file(path: Path, make: bytes, *, outside: Path | None = None) -> bytes:
    """Return the bytes of a secret file, making it with *make* at mode 0600 if it is not there.

    Raises
    ------
    KeyFileError
        When *path* lies inside the folder *outside* or inside a git checkout, or when others may
        read it.
    """
    home = path.parent.resolve()
    if outside is not None and home.is_relative_to(outside.resolve()):
        raise KeyFileError(f"{path}: a key must not lie inside the project folder {outside}")
    checkout = next((p for p in (home, *home.parents) if (p / ".git").exists()), None)
    if checkout is not None:
        raise KeyFileError(
            f"{path}: a key must not lie inside a git checkout ({checkout}); "
            "set SCALEKIT_KEYS to another folder"
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_secret(path, make)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path}: others can read this key; run `chmod 600 {path}`")
        secret = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"{path}: no key can be kept here ({error.strerror}); set SCALEKIT_KEYS to a folder "
            "that you may write"
        ) from error
    if not secret:
        raise KeyFileError(f"{path}: this key is empty; bring it back from a copy, or remove it")
    return secret


def _write_secret(path: Path, secret: bytes) -> None:
    """Write a file at mode 0600 that is there whole or not at all; an earlier one wins."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secret)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def public_key_id(public_key: bytes) -> str:
    """Return the short name of a raw 32-byte Ed25519 public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


@dataclass(frozen=True)
class Signer:
    """An Ed25519 key (RFC 8032) that signs DSSE envelopes."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def load(cls, name: str, *, outside: Path | None = None) -> Signer:
        """Load the key *name* from :func:`keys_folder`, making it on first use.

        *outside* is the project folder, in which no key may lie.
        """
        fresh = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path = keys_folder() / f"{name}.pem"
        pem = private_file(path, fresh, outside=outside)
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise KeyFileError(f"{path}: not a PEM private key ({error})") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(f"{path}: an Ed25519 key is needed, this is another kind")
        return cls(name, key)

    @property
    def public(self) -> bytes:
        """The raw 32-byte public key."""
        return self.key.public_key().public_bytes_raw()

    def envelope(self, payload: Any, payload_type: str) -> dict[str, Any]:
        """Sign the canonical JSON of *payload* and return a DSSE v1 envelope."""
        body = canonical(payload)
        signature = self.key.sign(_pae(payload_type, body))
        return {
            "payloadType": payload_type,
            "payload": base64.b64encode(body).decode(),
            "signatures": [
                {
                    "keyid": public_key_id(self.public),
                    "sig": base64.b64encode(signature).decode(),
                }
            ],
        }


def _pae(payload_type: str, body: bytes) -> bytes:
    """Pre-authentication encoding of the DSSE protocol, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def open_envelope(
    envelope: Mapping[str, Any], public_keys: Iterable[bytes], payload_type: str
) -> Any:
    """Return the payload of a DSSE envelope that one of *public_keys* (raw 32 bytes) signed.

    Raises
    ------
    SignatureError
        When the envelope is malformed, of another type, or signed by none of the keys.
    """
    try:
        kind = envelope["payloadType"]
        body = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise SignatureError(f"not a DSSE envelope: {error!r}") from error
    if kind != payload_type:
        raise SignatureError(f"the envelope holds {kind!r}, expected {payload_type!r}")
    message = _pae(kind, body)
    for raw in public_keys:
        key = Ed25519PublicKey.from_public_bytes(raw)
        for signature in signatures:
            try:
                key.verify(signature, message)
            except InvalidSignature:
                continue
            return json.loads(body)
    raise SignatureError("none of the given keys signed this, or it was changed after signing")
