"""A ledger of decisions that was edited, cut, rewritten or taken away counts for nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from teams import LABEL, WHY, Team, state, waived

from scalekit import GateClosedError
from scalekit.signing import Signer, keys_folder


def broken(team: Team, how: str) -> str:
    """Damage the ledger, which holds a waiver; return what is said of it."""
    path = team.project.folder / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "edited":
        path.write_bytes(b"".join(lines).replace(b"approve", b"reject!"))
        return "does not fit its hash"
    if how == "deleted":
        path.write_bytes(b"".join([lines[0], *lines[2:]]))
        return "is missing"
    if how == "truncated":
        path.write_bytes(b"".join(lines[:-1]))
        return "the ledger is truncated"
    if how == "gone":
        path.unlink()
        return "the ledger is gone"
    path.write_bytes(b"".join(lines[:-1]))
    (kept,) = heads_kept()
    said = kept.read_text()
    kept.unlink()
    team.ben.reject(team.ana.table["decision"][0], "this was never approved at all")
    kept.write_text(said)
    return "the ledger is rewritten"


def heads_kept() -> list[Path]:
    """The heads that this machine keeps beside its keys."""
    return list(keys_folder().glob("decisions-*.head.json"))


@pytest.mark.parametrize("how", ["edited", "deleted", "truncated", "rewritten", "gone"])
def test_a_broken_ledger_stops_everything_and_waives_nothing(team: Team, how: str) -> None:
    waived(team)
    said = broken(team, how)
    assert state(team.project) == "closed"
    with pytest.raises(GateClosedError):
        team.project.label.import_table(LABEL)
    for person in (team.ana, team.ben, team.dora):
        with pytest.raises(RuntimeError, match=said):
            person.propose("waive_gate", "audit", reason=WHY)
    assert re.search(said, team.project.board().next)
    assert "Nothing counts" in team.ana.to_html()
    if how in ("edited", "deleted"):
        with pytest.raises(RuntimeError, match=r"decisions\.jsonl, line \d"):
            team.project.report()
    else:
        assert "Nothing counts" in team.project.report().path.read_text()


def test_a_head_in_a_report_kept_elsewhere_shows_what_was_cut_and_rewritten(
    team: Team, tmp_path: Path
) -> None:
    waived(team)
    kept = tmp_path / "elsewhere.json"
    shutil.copy(team.project.report().path.with_suffix(".json"), kept)
    said = json.loads(kept.read_text())
    head = next(h["head"] for h in said["heads"] if h["journal"] == "decisions.jsonl")
    key = (bytes.fromhex(said["public_key"]),)
    assert team.ana.verify(head, key).verdict == "intact"
    for path in heads_kept():
        path.unlink()  # whoever rewrites it can also take this machine's head away
    path = team.project.folder / "decisions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert team.ana.verify().verdict == "intact"
    assert team.ana.verify(head, key).verdict == "truncated"
    team.ben.reject(team.ana.table["decision"][0], "this was never approved at all")
    assert team.ana.verify(head, key).verdict == "rewritten"
    assert team.ana.verify(head, (Signer.load("eve").public,)).verdict == "key unknown"
