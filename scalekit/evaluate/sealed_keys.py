"""Keys of a seal: 32 bytes outside the project, with a passphrase or between two persons if asked.

What is told apart: a key file of 32 bytes is the key itself. Else it is JSON: what its owner holds,
in the open or wrapped by a passphrase (Scrypt, RFC 7914, with n = 2**15), and, if a second person
holds a share, where that lies. Between two persons the key is the XOR of both shares, each of them
random for itself; the owner's file then also holds the look-up key, which finds copies of sealed
items in training text but opens none.

Frames that may be shown in a traceback hold no key: what has one returns, and its caller raises.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import secrets
import warnings
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from scalekit.signing import KeyFileError, canonical, keys_folder, private_file

__all__ = [
    "PASSPHRASE",
    "SECOND_SHARE",
    "SealError",
    "decrypt",
    "encrypt",
    "held_look_up_key",
    "key_check",
    "key_path",
    "look_up_key",
    "make_key",
    "master_key",
    "sub_key",
]

PASSPHRASE = "SCALEKIT_PASSPHRASE"
"""Environment variable that holds the passphrase where nobody can be asked for it."""
SECOND_SHARE = "SCALEKIT_SECOND_SHARE"
"""Environment variable that names the second person's share where it is not at its first place."""
SCRYPT_N = 2**15
PAD = 65_536

_unlocked: dict[str, bytes] = {}  # by digest of the wrapped file: asked for once a process


class SealError(RuntimeError):
    """The seal can't be made or opened, or no looks are left; the message says what to do."""


def sub_key(master: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"scalekit {purpose}".encode()).derive(master)


def key_check(look_up: bytes) -> str:
    """Return what tells one key from another and says nothing of either."""
    return hmac.new(look_up, b"scalekit key check", hashlib.sha256).hexdigest()[:16]


def encrypt(key: bytes, payload: bytes, bound_to: bytes) -> bytes:
    """Encrypt with AES-256-GCM, length first, padded to 64 KiB."""
    framed = len(payload).to_bytes(8, "big") + payload
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key).encrypt(nonce, framed + b"\0" * (-len(framed) % PAD), bound_to)


def decrypt(key: bytes, blob: bytes, bound_to: bytes) -> bytes | None:
    """Return what :func:`encrypt` was given, or None when it does not open."""
    try:
        framed = AESGCM(key).decrypt(blob[:12], blob[12:], bound_to)
    except (InvalidTag, ValueError):
        return None
    return framed[8 : 8 + int.from_bytes(framed[:8], "big")]


def key_path(seal_id: str) -> Path:
    """Return where the key of a seal lies."""
    return keys_folder() / f"seal-{seal_id}.key"


def make_key(
    seal_id: str, *, project: Path, passphrase: bool = False, second_share: Path | None = None
) -> tuple[bytes, str]:
    """Make the key of a new seal; return it, and in words how it is held.

    Raises
    ------
    SealError
        When the second share would lie where it may not, or no passphrase is given.
    KeyFileError
        When a key would lie in the project or in a git checkout.
    """
    path = key_path(seal_id)
    if second_share is not None:
        second_share = second_share.absolute()
        if second_share.parent.resolve() == path.parent.resolve():
            raise SealError(
                f"{second_share}: the second share must not lie beside the first; name a place "
                "that the other person holds"
            )
        if second_share.exists():
            raise SealError(f"{second_share}: there is a file already; name another place")
    if not passphrase and second_share is None:
        return private_file(path, secrets.token_bytes(32), outside=project), "one person"
    master, other = secrets.token_bytes(32), secrets.token_bytes(32)
    own = _xor(master, other) if second_share is not None else master
    held = {"share": own.hex(), "look_up": look_up_key(master).hex()}
    record: dict[str, Any] = {"format": 1, "second_share": str(second_share or "")}
    wrapped = _wrap(held, _asked("Passphrase for the new seal: ")) if passphrase else held
    content = canonical({**record, "held": wrapped})
    private_file(path, content, outside=project)
    if second_share is not None:
        try:
            private_file(second_share, other.hex().encode(), outside=project)
        except KeyFileError:
            path.unlink()
            raise
    if passphrase:
        _unlocked[hashlib.sha256(content).hexdigest()] = canonical(held)
    forms = ["two persons" if second_share is not None else "one person"]
    return master, ", ".join([*forms, *(["passphrase"] if passphrase else [])])


def master_key(seal_id: str) -> bytes:
    """Return the key of a seal.

    Raises
    ------
    SealError
        When a share, the key or its passphrase is not there.
    """
    record = _record(seal_id)
    if isinstance(record, bytes):
        return record
    named = os.environ.get(SECOND_SHARE) or record["second_share"]
    if record["second_share"] and not Path(named).is_file():
        raise SealError(
            f"{named}: this seal is held by two persons, and the second share is not here. Who "
            f"holds it puts it there, or sets {SECOND_SHARE} to its path"
        )
    whole = _joined(record, named if record["second_share"] else "", seal_id)
    if whole is None:
        raise SealError(f"{named}: this is no share of a key; the second person has the right one")
    return whole


def look_up_key(master: bytes) -> bytes:
    """Return the key from which those of the tags come."""
    return sub_key(master, "look-up")


def held_look_up_key(seal_id: str) -> bytes:
    """Return the look-up key: the owner's file suffices. Raises as :func:`master_key`."""
    record = _record(seal_id)
    if isinstance(record, bytes):
        return look_up_key(record)
    return bytes.fromhex(_held(record, seal_id)["look_up"])


def _record(seal_id: str) -> bytes | dict[str, Any]:
    path = key_path(seal_id)
    if not path.is_file():
        raise SealError(
            f"{path}: the key of this seal is not here. Put it there, or set SCALEKIT_KEYS to "
            "the folder that holds it"
        )
    content = path.read_bytes()
    if len(content) == 32:
        return content
    try:
        record = json.loads(content)
        if record["format"] == 1 and isinstance(record["second_share"], str) and record["held"]:
            return dict(record)
    except (ValueError, KeyError, TypeError):
        pass
    del content
    raise SealError(f"{path}: this is no key of a seal; bring it back from a copy")


def _joined(record: dict[str, Any], second_share: str, seal_id: str) -> bytes | None:
    own = bytes.fromhex(_held(record, seal_id)["share"])
    if not second_share:
        return own
    try:
        other = bytes.fromhex(Path(second_share).read_text(encoding="ascii"))
    except ValueError:
        return None
    return _xor(own, other) if len(other) == 32 else None


def _held(record: dict[str, Any], seal_id: str) -> dict[str, str]:
    held = record["held"]
    if "wrapped" not in held:
        return dict(held)
    name = hashlib.sha256(canonical(record)).hexdigest()
    if name not in _unlocked:
        asked = f"Passphrase of seal {seal_id}: "
        found = _unwrap(held, _asked(asked))
        if found is None:
            raise SealError(f"seal {seal_id}: this is not its passphrase")
        _unlocked[name] = found
    return dict(json.loads(_unlocked[name]))


def _asked(prompt: str) -> str:
    given = os.environ.get(PASSPHRASE)
    if given is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                given = getpass.getpass(prompt)
        except (getpass.GetPassWarning, EOFError, OSError, NotImplementedError):
            given = None
    if not given:
        raise SealError(
            f"this seal needs its passphrase: give it where you are asked, or set {PASSPHRASE}"
        )
    return given


def _wrap(held: dict[str, str], passphrase: str) -> dict[str, Any]:
    salt = secrets.token_bytes(16)
    settings = {"kdf": "scrypt", "n": SCRYPT_N, "r": 8, "p": 1, "salt": salt.hex()}
    key = Scrypt(salt, 32, SCRYPT_N, 8, 1).derive(passphrase.encode())
    nonce = secrets.token_bytes(12)
    body = nonce + AESGCM(key).encrypt(nonce, canonical(held), canonical(settings))
    return {**settings, "wrapped": body.hex()}


def _unwrap(held: dict[str, Any], passphrase: str) -> bytes | None:
    body, settings = bytes.fromhex(held["wrapped"]), dict(held)
    del settings["wrapped"]
    salt, cost = bytes.fromhex(held["salt"]), (held["n"], held["r"], held["p"])
    key = Scrypt(salt, 32, *cost).derive(passphrase.encode())
    try:
        return AESGCM(key).decrypt(body[:12], body[12:], canonical(settings))
    except InvalidTag:
        return None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
