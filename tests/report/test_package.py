"""The evidence package: checked with the zip and the public key alone, and no change passes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from scalekit.journal import read
from scalekit.report import verify_package, write_package
from scalekit.report.package import CRATE, HEADS, RESULT
from scalekit.report.signed_result import result_statement, sign
from scalekit.signing import Signer

ABOUT = {"responsible": "R. Lind", "licence": "LicenseRef-internal"}
Files = dict[str, bytes]


@pytest.fixture
def signer() -> Signer:
    return Signer.load("auditee")


@pytest.fixture
def packed(measured_folder: Path, tmp_path: Path, signer: Signer) -> Path:
    return write_package(measured_folder, tmp_path / "e.zip", signer=signer, **ABOUT).path


def files(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def zipped(content: Files, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in content.items():
            archive.writestr(name, body)
    return path


def failed(path: Path, *keys: bytes) -> dict[str, str]:
    found = verify_package(path, keys)
    rows = found.table.filter(~pl.col("holds"))
    assert bool(found) == rows.is_empty()
    return dict(rows.select("check", "what was found").iter_rows())


def test_a_package_holds_and_says_who_and_what(packed: Path, signer: Signer) -> None:
    found = verify_package(packed, [signer.public])
    assert found
    assert found.table["check"].to_list() == [
        "signature", "files", "description", "journals", "scores", "tests", "evidence",
    ]  # fmt: skip
    said = dict(found.table.select("check", "what was found").iter_rows())
    assert said["signature"].startswith("FAILED, by R. Lind on 20")
    assert "bit for bit" in said["scores"]
    assert said["tests"] == "5 passed, 1 failed"
    assert verify_package(packed, [signer.public.hex()])


def test_the_reader_needs_neither_keys_nor_project(packed: Path, signer: Signer) -> None:
    code = (
        "import sys; from scalekit.report import verify_package as v;"
        "r = v(sys.argv[1], [sys.argv[2]]); print(bool(r), 'torch' in sys.modules)"
    )
    lone = packed.parent / "elsewhere"
    lone.mkdir()
    shutil.copyfile(packed, lone / "e.zip")
    environment = {**os.environ, "SCALEKIT_KEYS": str(lone / "no keys")}
    done = subprocess.run(
        [sys.executable, "-c", code, "e.zip", signer.public.hex()],
        capture_output=True, text=True, check=True, cwd=lone, env=environment,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False"]
    assert not (lone / "no keys").exists()


CHANGES: dict[str, tuple[Callable[[Files], object], str]] = {
    "a score": (lambda f: f.update({"spec.yaml": f["spec.yaml"] + b" "}), "spec.yaml was changed"),
    "a file less": (lambda f: f.pop("project.toml"), "project.toml is missing"),
    "a file more": (lambda f: f.update({"notes.md": b"fine"}), "notes.md was added"),
    "a journal cut": (
        lambda f: f.update({"gates.jsonl": f["gates.jsonl"].rsplit(b"\n", 2)[0] + b"\n"}),
        "gates.jsonl was changed",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_any_change_of_a_file_is_seen(packed: Path, signer: Signer, case: str) -> None:
    change, said = CHANGES[case]
    content = files(packed)
    change(content)
    assert said in failed(zipped(content, packed.with_name("x.zip")), signer.public)["files"]


def test_another_signer_or_a_changed_result_is_refused(packed: Path, signer: Signer) -> None:
    stranger = Signer.load("stranger")
    assert list(failed(packed, stranger.public)) == ["signature"]
    content = files(packed)
    envelope = json.loads(content[RESULT])
    payload = base64.b64decode(envelope["payload"]).replace(b'"FAILED"', b'"PASSED"')
    envelope["payload"] = base64.b64encode(payload).decode()
    content[RESULT] = json.dumps(envelope).encode()
    assert list(failed(zipped(content, packed.with_name("x.zip")), signer.public)) == ["signature"]
    content.pop(RESULT)
    assert list(failed(zipped(content, packed.with_name("x.zip")), signer.public)) == ["signature"]


def resigned(content: Files, signer: Signer, folder: Path) -> Path:
    """Sign changed files again, as somebody could who holds the key."""
    content.pop(RESULT)
    for name, body in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    statement = result_statement(folder, content, responsible="R. Lind")
    content[RESULT] = json.dumps(sign(statement, signer)).encode()
    return zipped(content, folder / "resigned.zip")


def test_scores_that_the_predictions_do_not_give_are_seen_even_when_signed(
    packed: Path, signer: Signer, tmp_path: Path
) -> None:
    content = files(packed)
    name = "evaluate/measured/last-sets.parquet"
    sets = pl.read_parquet(io.BytesIO(content[name]))
    buffer = io.BytesIO()
    sets.with_columns(pl.col("accuracy") + 0.01).write_parquet(buffer)
    content[name] = buffer.getvalue()
    wrong = failed(resigned(content, signer, tmp_path / "s"), signer.public)
    assert set(wrong) == {"description", "scores"}
    assert "not so on replay" in wrong["scores"]


def test_a_journal_rewritten_by_the_signer_does_not_fit_the_head_given_out(
    packed: Path, signer: Signer, tmp_path: Path
) -> None:
    content = files(packed)
    heads = json.loads(content[HEADS])
    content["gates.jsonl"] = content["gates.jsonl"].split(b"\n")[0] + b"\n"
    wrong = failed(resigned(content, signer, tmp_path / "s"), signer.public)
    assert "gates.jsonl: truncated" in wrong["journals"]
    assert "evidence" in wrong
    assert {h["journal"] for h in heads["heads"]} == {
        "gates.jsonl",
        "evaluate/sealed/ab.looks.jsonl",
    }


@pytest.mark.parametrize(
    ("names", "said"),
    [(["../x"], "leads out"), (["/etc/x"], "leads out"), (["a", "a"], "stands in it twice")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_is_a_trap_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    path = tmp_path / "trap.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    with pytest.raises(ValueError, match=said):
        verify_package(path, [b"k" * 32])
    assert [p.name for p in tmp_path.iterdir()] == ["trap.zip"]


def test_what_is_no_zip_or_no_key_is_said(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="not readable as a zip"):
        verify_package(tmp_path / "x.zip", [b"k" * 32])
    with pytest.raises(ValueError, match="64 hex digits"):
        verify_package(packed, ["abc"])


def test_nothing_is_written_without_a_name_or_a_licence(
    measured_folder: Path, tmp_path: Path, signer: Signer
) -> None:
    for wrong in ({"responsible": " "}, {"licence": ""}):
        with pytest.raises(ValueError, match=r"responsible|licence"):
            write_package(measured_folder, tmp_path / "e.zip", signer=signer, **{**ABOUT, **wrong})
    assert not (tmp_path / "e.zip").exists()


def test_the_description_is_a_crate(packed: Path, tmp_path: Path) -> None:
    content = files(packed)
    crate = json.loads(content[CRATE])
    entities = {e["@id"]: e for e in crate["@graph"]}
    about = entities[CRATE]
    assert about["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert about["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= set(entities["./"])
    parts = {p["@id"] for p in entities["./"]["hasPart"]}
    assert parts == set(content) - {CRATE}
    for name in parts - {RESULT}:
        assert entities[name]["sha256"] == hashlib.sha256(content[name]).hexdigest()
        assert entities[name]["contentSize"] == str(len(content[name]))
    named = re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(crate["@graph"]))
    assert set(named) - {"https://w3id.org/ro/crate/1.1"} <= set(entities)


def test_rocrate_reads_the_package(packed: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed here")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "crate")
    crate = library.ROCrate(str(tmp_path / "crate"))
    assert {e.id for e in crate.data_entities} == set(files(packed)) - {CRATE}
    assert crate.root_dataset["name"] == "Evidence package of p"


def test_the_signature_holds_by_the_equations_of_rfc_8032(packed: Path, signer: Signer) -> None:
    envelope = json.loads(files(packed)[RESULT])
    body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    assert holds(signer.public, message, signature)
    assert not holds(signer.public, message + b" ", signature)


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether [S]B = R + [k]A on edwards25519: slow, affine, from the equations alone."""
    key, nonce = point(public), point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    told = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(told, "little") % ORDER
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return times(scalar, base) == add(nonce, times(k, key))


def point(raw: bytes) -> Point:
    number = int.from_bytes(raw, "little")
    sign_of_x, y = number >> 255, number & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return (x if x & 1 == sign_of_x else P - x), y


def add(a: Point, b: Point) -> Point:
    both = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + both, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - both, -1, P)
    return x % P, y % P


def times(n: int, a: Point) -> Point:
    out: Point = (0, 1)
    while n:
        if n & 1:
            out = add(out, a)
        a, n = add(a, a), n >> 1
    return out


def test_the_statement_is_an_in_toto_test_result(packed: Path) -> None:
    envelope = json.loads(files(packed)[RESULT])
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["failedTests"] == ["evaluate: enough"]
    assert {c["name"] for c in predicate["configuration"]} == {"spec.yaml", "project.toml"}
    assert all(set(s) == {"name", "digest"} for s in statement["subject"])


def test_links_of_the_table_open_from_where_it_lies(packed: Path) -> None:
    content = files(packed)
    html = content["evidence/evidence.html"].decode()
    markdown = content["evidence/evidence.md"].decode()
    for links in (re.findall(r'href="(\.\./[^"]+)"', html), re.findall(r"\]\(([^)]+)\)", markdown)):
        assert links
        assert {link.removeprefix("../") for link in links} <= set(content)
    assert RESULT in {link.removeprefix("../") for link in re.findall(r"\]\(([^)]+)\)", markdown)}


def test_a_real_project_is_packed_without_its_texts(sealed: Any, tmp_path: Path) -> None:
    from scalekit.project.packaging import pack

    train = sealed.evaluate.train_items()
    sealed.evaluate.measure(lambda texts: ["billing"] * len(texts))
    sealed.evaluate.gate()
    made = pack(sealed, tmp_path / "e.zip", rates=24.0, currency="EUR", **ABOUT)
    key = Signer.load("scalekit").public
    assert verify_package(made.path, [key])
    content = files(made.path)
    assert "evidence/croissant.json" in content
    assert not [n for n in content if n.endswith((".bin", ".tags"))]
    every = b"\n".join(b for n, b in content.items() if n not in ("spec.yaml",))
    told = [t for t in train["text"].to_list()[:200] if len(t) > 40 and t.encode() in every]
    assert told == []
    assert read(sealed.folder / "gates.jsonl")
    state = dict(made.evidence.table.select("requirement", "status").iter_rows())
    assert state["AI Act Annex IV 2(d)"] == "evidenced"
