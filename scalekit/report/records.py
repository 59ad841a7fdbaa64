"""The records of a project, read from its folder: which kinds of evidence lie where.

A record speaks for itself from its file alone; no project is opened, so that a reader who has
only the files finds the same.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from scalekit.display import counted
from scalekit.evaluate.resolution import least_detectable
from scalekit.journal import Event, read

__all__ = ["KINDS", "Found", "Kind", "Records"]

LOG = "evaluate/log.jsonl"
RELEASES = "evaluate/releases.jsonl"
RESULTS = "evaluate/measured"
MASKING = "personal-data"  # the rule that masks and leaves nothing out


@dataclass(frozen=True)
class Found:
    """A piece of evidence: the file, relative to the project, and what it says."""

    path: str
    said: str


@dataclass
class Records:
    """The files of a project."""

    root: Path
    _journals: dict[str, list[Event]] = field(default_factory=dict)

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The spec's fields; empty without one."""
        path = self.root / "spec.yaml"
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found if isinstance(found, dict) else {}

    def events(self, name: str, *kinds: str) -> list[Event]:
        """Return the events of a journal (of some kinds); none without the file."""
        if name not in self._journals:
            path = self.root / name
            self._journals[name] = read(path) if path.is_file() else []
        return [e for e in self._journals[name] if not kinds or e.kind in kinds]

    def files(self, pattern: str) -> list[str]:
        """Return the files that match, relative to the project, in order."""
        found = sorted(p for p in self.root.glob(pattern) if p.is_file())
        return [p.relative_to(self.root).as_posix() for p in found]

    def table(self, name: str) -> pl.DataFrame:
        """Return a Parquet table; without rows and columns where there is no such file."""
        path = self.root / name
        return pl.read_parquet(path) if path.is_file() else pl.DataFrame()

    def judgement(self, stage: str) -> dict[str, Any]:
        """Return the last judgement of a stage's gate; empty without one."""
        judged = [e.data for e in self.events("gates.jsonl", "gate") if e.data["stage"] == stage]
        return judged[-1] if judged else {}

    def check(self, stage: str, name: str) -> dict[str, str]:
        """Return one check of the last judgement of a stage; empty without one."""
        checks = self.judgement(stage).get("checks", [])
        return next((c for c in checks if c["check"] == name), {})


@dataclass(frozen=True)
class Kind:
    """A kind of evidence, in words, where it is found, and which verb makes it."""

    said: str
    find: Callable[[Records], Found | None]
    made_by: str = ""


def _spec(name: str, say: Callable[[Any], str]) -> Callable[[Records], Found | None]:
    def find(records: Records) -> Found | None:
        value = records.spec.get(name)
        return Found("spec.yaml", say(value)) if value and str(value).strip() else None

    return find


def _events(name: str, *kinds: str, noun: str) -> Callable[[Records], Found | None]:
    def find(records: Records) -> Found | None:
        found = records.events(name, *kinds)
        return (
            Found(name, f"{counted(len(found), noun)}, last {found[-1].at[:10]}") if found else None
        )

    return find


def _file(*names: str, said: str) -> Callable[[Records], Found | None]:
    def find(records: Records) -> Found | None:
        paths = [p for name in names for p in records.files(name)]
        return Found(paths[0], said) if paths else None

    return find


def _sources(records: Records) -> Found | None:
    name = "collect/batches.jsonl"
    batches = [e.data for e in records.events(name, "batch")]
    needed = ("source", "tier", "rights", "collected", "collector", "digest")
    if not batches or not all(b.get(field) for b in batches for field in needed):
        return None
    made = sum(b["tier"] == "synthetic" for b in batches)
    said = f"{len(batches)} batches with origin, rights, date, collector and digest"
    return Found(name, f"{said}; {made} synthetic" if made else said)


def _annotators(records: Records) -> Found | None:
    paths = records.files("label/events/*/*.jsonl")
    people = {p.split("/")[2] for p in paths}
    return Found(paths[0], counted(len(people), "annotator")) if paths else None


def _check(stage: str, name: str) -> Callable[[Records], Found | None]:
    def find(records: Records) -> Found | None:
        check = records.check(stage, name)
        return Found("gates.jsonl", check["measured"]) if check else None

    return find


def _gold(records: Records) -> Found | None:
    n = len(records.table("label/gold.parquet"))
    return Found("label/gold.parquet", f"{n} items whose right answer is known") if n else None


def _cleaning(records: Records) -> Found | None:
    marks = records.table("audit/marks.parquet")
    if "rule" not in marks.columns or not records.events("audit/audits.jsonl", "audit"):
        return None
    out = marks.filter(pl.col("rule") != MASKING)
    rules = counted(out["rule"].n_unique(), "rule")
    return Found("audit/marks.parquet", f"{counted(len(out), 'row')} by {rules}, with reasons")


def _coverage(records: Records) -> Found | None:
    shares = records.table("audit/balance.parquet")
    if shares.is_empty():
        return None
    return Found("audit/balance.parquet", f"{len(shares)} categories, with intervals")


def _personal(records: Records) -> Found | None:
    marks = records.table("audit/marks.parquet")
    if "rule" not in marks.columns or not records.events("audit/audits.jsonl", "audit"):
        return None
    n = int((marks["rule"] == MASKING).sum())
    return Found("audit/marks.parquet", f"searched for; {counted(n, 'row')} masked")


def _gaps(records: Records) -> Found | None:
    name = "audit/audits.jsonl"
    audits = [e for e in records.events(name, "audit") if "gaps" in e.data]
    if not audits:
        return None
    first, last = (sum(e.data["gaps"].values()) for e in (audits[0], audits[-1]))
    return Found(name, f"items lacking: {first} at the first audit, {last} at the last")


def _diagnosis(records: Records) -> Found | None:
    judged = records.judgement("evaluate")
    if not judged:
        return None
    failed = [c["check"] for c in judged["checks"] if c["passed"] == "False"]
    return Found("gates.jsonl", f"open: {'; '.join(failed)}" if failed else "no open finding")


def _noise(records: Records) -> Found | None:
    path = records.root / "label/manifest.dsse.json"
    if not path.is_file():
        return None
    body = base64.b64decode(json.loads(path.read_text(encoding="utf-8"))["payload"])
    noise = json.loads(body)["predicate"].get("noise", {})
    if "estimate" not in noise:
        return None
    said = f"label errors {noise['estimate']} ({noise['from']} to {noise['to']}, {noise['source']})"
    return Found("label/manifest.dsse.json", said)


def _measured(records: Records) -> Found | None:
    for path in records.files(f"{RESULTS}/*-sets.parquet"):
        sets = records.table(path)
        if len(sets):
            return Found(path, f"on {', '.join(sets['set'])}")
    return None


def _resolution(records: Records) -> Found | None:
    for path in records.files(f"{RESULTS}/*-sets.parquet"):
        dev = records.table(path).filter(pl.col("set") == "dev")
        if len(dev):
            n = int(dev["n"][0])
            said = (
                f"{n} dev items find a difference of {100 * least_detectable(n):.1f} points or more"
            )
            return Found(path, said)
    return None


def _slices(records: Records) -> Found | None:
    for path in records.files(f"{RESULTS}/*-categories.parquet"):
        cells = records.table(path)
        if {"from", "to"} <= set(cells.columns) and len(cells):
            return Found(path, f"{len(cells)} scores")
    return None


def _looks(records: Records) -> Found | None:
    for path in records.files("evaluate/sealed/*.looks.jsonl"):
        looks = records.events(path, "look")
        if looks:
            return Found(path, f"{counted(len(looks), 'look')}, each charged with its purpose")
    return None


def _special(records: Records) -> Found | None:
    path = records.root / "statements.toml"
    if not path.is_file():
        return None
    said = tomllib.loads(path.read_text(encoding="utf-8")).get("special_categories", {})
    wanted = ("present", "retention", "access")
    if not all(k in said for k in wanted):
        return None
    return Found("statements.toml", "present or absent, retention and access, as stated")


def _words(value: Any) -> str:
    return f"{len(str(value).split())} words"


PACKAGE = "project.package(…)"
KINDS: Mapping[str, Kind] = {
    "target": Kind("the target in one sentence", _spec("behaviour", str)),
    "versions": Kind("versions of the spec", _events("specify/versions.jsonl", "version",
                                                     noun="version")),
    "assumptions": Kind("assumptions on what the data measure", _spec(
        "assumptions", lambda v: counted(len(v), "assumption"))),
    "setting": Kind("the setting", _spec("setting", _words)),
    "rubric": Kind("what is judged, criterion by criterion", _spec(
        "rubric", lambda v: f"{len(v)} criteria")),
    "guideline": Kind("instructions for annotators", _spec("instructions", _words)),
    "decisions": Kind("signed decisions", _events("decisions.jsonl", "decision", noun="decision")),
    "policy": Kind("who may decide what, and thresholds", _file("policy.toml", said="the policy"),
                   "project.decide.found()"),
    "sources": Kind("register of sources", _sources),
    "intake": Kind("what was set aside at intake", lambda r: Found(
        "gates.jsonl", "the gate of Collect was judged") if r.judgement("collect") else None),
    "cleaning": Kind("every row left out, by rule", _cleaning),
    "personal": Kind("search for personal data", _personal),
    "special": Kind("statement on special categories", _special),
    "coverage": Kind("categories against their targets", _coverage),
    "gaps": Kind("gaps, and whether they were filled", _gaps),
    "annotators": Kind("who labelled, by pseudonym", _annotators),
    "cohorts": Kind("what annotators told of themselves", _events(
        "label/log.jsonl", "cohort", noun="answer")),
    "agreement": Kind("agreement with its interval", _check("label", "agreement")),
    "gold": Kind("accuracy on gold", _gold),
    "adjudication": Kind("decisions that sharpened the instructions", _events(
        "label/log.jsonl", "sharpened", noun="edge case")),
    "noise": Kind("estimate of label errors", _noise),
    "split": Kind("how items were split and sealed", _events(LOG, "sealing", noun="split")),
    "seal": Kind("header of the sealed set", _file(
        "evaluate/sealed/*.json", said="counts and Merkle root; content stays sealed")),
    "looks": Kind("looks at the sealed set", _looks),
    "measured": Kind("scores with intervals", _measured),
    "slices": Kind("scores by category with intervals", _slices),
    "resolution": Kind("what difference the sets can find", _resolution),
    "diagnosis": Kind("what the evaluation found", _diagnosis),
    "forecast": Kind("forecast, written before training", _events(
        "evaluate/forecasts.jsonl", "forecast", noun="forecast")),
    "trace": Kind("which batches and cohorts were traced", _events(
        RELEASES, "traced", noun="trace")),
    "remediation": Kind("what was labelled again, before and after", _events(
        RELEASES, "remediated", noun="queue")),
    "cycles": Kind("outcomes of a cycle against the one before", _events(
        RELEASES, "cycle", noun="cycle")),
    "panel": Kind("a panel of people who did not label", _events(
        "evaluate/panel/log.jsonl", "asked", noun="panel")),
    "run": Kind("record of a training run", _events("train/log.jsonl", "run", noun="run")),
    "gates": Kind("judgements of the gates", _events("gates.jsonl", "gate", noun="judgement")),
    "card": Kind("data card", _file("evidence/data_card.md", said="the data card"), PACKAGE),
    "croissant": Kind("Croissant with its RAI fields", _file(
        "evidence/croissant.json", said="machine-readable description"), PACKAGE),
    "costs": Kind("costs and rates of pay", _file(
        "evidence/cost.json", said="cost of an accepted task by part"), PACKAGE),
    "test-result": Kind("signed, dated test result", _file(
        "evidence/test-result.dsse.json", said="in-toto test result, signed"), PACKAGE),
}  # fmt: skip
"""The kinds of evidence by name."""
