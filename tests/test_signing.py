from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from canonical_values import quick, value
from hypothesis import given
from hypothesis import strategies as st

from scalekit.signing import canonical, digest, digest_file, merkle_root


def rewritten(content: Any, form: str) -> Any:
    """The same content: keys in the other order, all text in another Unicode form."""
    if isinstance(content, str):
        return unicodedata.normalize(form, content)
    if isinstance(content, dict):
        turned = reversed(list(content.items()))
        return {unicodedata.normalize(form, k): rewritten(v, form) for k, v in turned}
    return tuple(rewritten(v, form) for v in content) if isinstance(content, list) else content


@quick
@given(value, st.sampled_from(["NFC", "NFD"]))
def test_a_digest_does_not_depend_on_key_order_or_unicode_form(content: Any, form: str) -> None:
    assert digest(content) == digest(rewritten(content, form))


@quick
@given(value, value)
def test_different_content_has_different_canonical_bytes(one: Any, other: Any) -> None:
    # repr tells 1 from True and None from "None"; NFC on both sides makes equal texts equal.
    same = repr(sorted_nfc(one)) == repr(sorted_nfc(other))
    assert (canonical(one) == canonical(other)) == same


def sorted_nfc(content: Any) -> Any:
    if isinstance(content, dict):
        return sorted((sorted_nfc(k), sorted_nfc(v)) for k, v in content.items()) or {}
    if isinstance(content, list):
        return tuple(map(sorted_nfc, content))
    return unicodedata.normalize("NFC", content) if isinstance(content, str) else content


@quick
@given(value)
def test_canonical_bytes_are_json_and_canonical_again(content: Any) -> None:
    assert canonical(json.loads(canonical(content))) == canonical(content)


def test_a_digest_by_hand() -> None:
    # Sorted keys, no blanks, é as one code point: the bytes are written out here.
    by_hand = b'{"a":[1,true,null],"b":"\xc3\xa9"}'
    expected = "sk1:sha256:" + hashlib.sha256(by_hand).hexdigest()
    assert digest({"b": "e\u0301", "a": (1, True, None)}) == expected


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"a": {"b": [1, 0.5]}}, r"value\.a\.b\[1\]: float"),
        ({"a": float("nan")}, r"value\.a: float"),
        ([b"x"], r"value\[0\]: bytes"),
        ([bytearray(b"x")], r"value\[0\]: bytearray"),
        ([memoryview(b"x")], r"value\[0\]: memoryview"),
        ({"s": {1}}, r"value\.s: set"),
        ({1: "x"}, "keys must be distinct strings"),
        ({"\u00e9": 1, "e\u0301": 2}, "keys must be distinct strings"),
        ({"a": ["x", "\ud800"]}, r"value\.a\[1\]"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_place(bad: Any, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        canonical(bad)


def test_a_file_digest_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(os.urandom(300_000))
    assert digest_file(path).endswith(hashlib.sha256(path.read_bytes()).hexdigest())


# --- Merkle -------------------------------------------------------------------------------------


def rfc_6962(leaves: list[bytes]) -> bytes:
    """Section 2.1 as it is written: split at the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + rfc_6962(leaves[:k]) + rfc_6962(leaves[k:])).digest()


@pytest.mark.parametrize("n", [*range(34), 63, 64, 65, 100])
def test_the_merkle_root_equals_the_recursive_definition(n: int) -> None:
    leaves = [str(i).encode() for i in range(n)]
    assert merkle_root(iter(leaves)) == rfc_6962(leaves).hex()


def test_the_merkle_root_equals_the_published_one() -> None:
    # Test vectors of google/certificate-transparency (merkletree/merkle_tree_test.cc).
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    leaves.append("606162636465666768696a6b6c6d6e6f")
    expected = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert merkle_root(bytes.fromhex(leaf) for leaf in leaves) == expected


@quick
@given(st.lists(st.binary(max_size=4), min_size=1, max_size=20), st.data())
def test_no_leaf_changes_unnoticed(leaves: list[bytes], choose: st.DataObject) -> None:
    place = choose.draw(st.integers(0, len(leaves) - 1))
    changed = [*leaves[:place], leaves[place] + b"x", *leaves[place + 1 :]]
    assert merkle_root(changed) != merkle_root(leaves)
