"""The signed test result: which checks passed, on which files, dated, by whom (in-toto, DSSE).

An in-toto Statement (v1) with the predicate ``test-result`` v0.1: its subjects are the files of the
package with their SHA-256, its configuration the spec and thresholds, its tests the checks of the
gates and the replay. What the predicate does not have stands under ``scalekit``.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scalekit.gates import STAGES
from scalekit.report.records import Records
from scalekit.report.replay import replay
from scalekit.signing import SignatureError, Signer, open_envelope

__all__ = ["STATEMENT", "TEST_RESULT", "open_test_result", "result_statement"]

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD = "application/vnd.in-toto+json"
SETTINGS = ("spec.yaml", "project.toml", "policy.toml")


def result_statement(root: Path, files: Iterable[str], *, responsible: str) -> dict[str, Any]:
    """Return the statement on the *files* (relative to *root*) of a project.

    *responsible*: who answers for the test, by name.

    Raises
    ------
    ValueError
        When nobody is named, or there are no files.
    """
    from scalekit import __version__

    if not responsible.strip():
        raise ValueError("name who is responsible for the test result")
    names = sorted(files)
    if not names:
        raise ValueError("there are no files to answer for")
    passed, failed = checks(root)
    judged = {name.partition(": ")[0] for name in (*passed, *failed)}
    unjudged = [f"{stage}: not judged" for stage in STAGES if stage not in judged]
    result = "FAILED" if failed else "WARNED" if unjudged else "PASSED"
    return {
        "_type": STATEMENT,
        "subject": [_resource(root, name) for name in names],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": result,
            "configuration": [_resource(root, n) for n in SETTINGS if (root / n).is_file()],
            "passedTests": passed,
            "warnedTests": unjudged,
            "failedTests": failed,
            "scalekit": {
                "version": __version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "dated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "responsible": responsible.strip(),
            },
        },
    }


def checks(root: Path) -> tuple[list[str], list[str]]:
    """Return the tests that passed and those that failed: the last judgement of each gate, and
    the replay of the scores."""
    records = Records(root)
    passed: list[str] = []
    failed: list[str] = []
    for stage in STAGES:
        for check in records.judgement(stage).get("checks", []):
            name = f"{stage}: {check['check']}"
            (passed if check["passed"] == "True" else failed).append(name)
    replayed = replay(root)
    if len(replayed.table):
        (passed if replayed else failed).append("replay: scores from stored predictions")
    return passed, failed


def sign(statement: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Return the DSSE envelope of a statement."""
    return signer.envelope(statement, PAYLOAD)


def open_test_result(envelope: Mapping[str, Any], public_keys: Iterable[bytes]) -> dict[str, Any]:
    """Return the statement that one of *public_keys* signed.

    Raises
    ------
    SignatureError
        When none of them did, or it is no test result.
    """
    statement: dict[str, Any] = open_envelope(envelope, public_keys, PAYLOAD)
    kind = statement.get("predicateType")
    if statement.get("_type") != STATEMENT or kind != TEST_RESULT:
        raise SignatureError(f"the envelope holds {kind!r}, a test result is needed")
    return statement


def _resource(root: Path, name: str) -> dict[str, Any]:
    with (root / name).open("rb") as stream:
        mark = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"name": name, "digest": {"sha256": mark}}
