"""Making a seal: items encrypted under a new key, their public header beside them."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scalekit.evaluate.seal import Seal
from scalekit.evaluate.seal_header import FORMAT, budget, header_mac
from scalekit.evaluate.sealed_files import marked
from scalekit.evaluate.sealed_keys import (
    SealError,
    encrypt,
    key_check,
    look_up_key,
    make_key,
    sub_key,
)
from scalekit.evaluate.sealed_tags import tag_index
from scalekit.frames import ids_unique, require, texts_given, to_polars, write_atomically
from scalekit.signing import canonical, merkle_root

__all__ = ["seal"]


def seal(
    items: Any,
    folder: Path,
    *,
    project: Path,
    name: str = "sealed",
    scorer: str = "",
    passphrase: bool = False,
    second_share: Path | None = None,
) -> Seal:
    """Encrypt test items and return the seal.

    Parameters
    ----------
    items
        ``item_id, text, category``.
    folder
        Where ``<id>.bin``, ``<id>.tags`` and ``<id>.json`` are written.
    project
        The project folder, in which the key must not lie.
    name
        "sealed", or "vault": that one is looked at once.
    scorer
        Digest of what will score.
    passphrase
        Ask for a passphrase, or take it from ``SCALEKIT_PASSPHRASE``, and wrap the key in it.
    second_share
        A new file, held by a second person, without which the seal does not open.

    Raises
    ------
    SealError
        When there are no items, no passphrase, or the second share can't lie there.
    KeyFileError
        When a key would lie in the project or in a git checkout.
    """
    table = require(to_polars(items, "items"), ("item_id", "text", "category"), "items to seal")
    table = texts_given(ids_unique(table, "item_id", "items to seal"), "items to seal")
    if table.is_empty():
        raise SealError(f"there is nothing to seal: the {name} set of the split is empty")
    seal_id = secrets.token_hex(6)
    master, held = make_key(
        seal_id, project=project, passphrase=passphrase, second_share=second_share
    )
    look_up = look_up_key(master)
    lines = [
        canonical({"salt": secrets.token_hex(16), **row}, compose=False)
        for row in table.select("item_id", "text", "category").to_dicts()
    ]
    header: dict[str, Any] = {
        "format": FORMAT,
        "seal": seal_id,
        "set": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "items": len(lines),
        "categories": dict(sorted(Counter(table["category"]).items())),
        "merkle_root": merkle_root(lines),
        "looks": budget(name, len(lines)),
        "scorer": scorer,
        "key": held,
        "key_check": key_check(look_up),
    }
    bound_to = canonical(header)
    index = tag_index(table["text"], sub_key(look_up, "decontaminate"))
    made = {
        "bin": encrypt(sub_key(master, "bin"), b"\n".join(lines), bound_to),
        "tags": encrypt(sub_key(look_up, "tags"), canonical(index), bound_to),
    }
    files = {ending: marked(seal_id, ending, content) for ending, content in made.items()}
    header["files"] = {
        ending: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for ending, content in files.items()
    }
    header["mac"] = header_mac(look_up, header)
    for ending, content in files.items():
        write_atomically(folder / f"{seal_id}.{ending}", content)
    # The header last: a seal without it does not exist.
    write_atomically(folder / f"{seal_id}.json", json.dumps(header, indent=1) + "\n")
    return Seal(folder, header)
