"""An explanation as a W3C PROV graph (PROV-O in JSON-LD)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from scalekit.govern.provenance import Explanation
from scalekit.govern.record import RunRecord

__all__ = ["prov_graph"]

CONTEXT = {
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "sk": "https://scalekit.dev/ns#",
    "run": "urn:scalekit:run:",
    "example": "urn:scalekit:example:",
    "batch": "urn:scalekit:batch:",
    "annotator": "urn:scalekit:annotator:",
    "rubric": "urn:scalekit:rubric:",
}


def _name(kind: str, value: str) -> str:
    return f"{kind}:{quote(value, safe='')}"


def prov_graph(folder: str | Path, explanation: Explanation, *, top: int = 20) -> dict[str, Any]:
    """Return the PROV graph of an answer: influenced by examples, attributed to annotators.

    Parameters
    ----------
    folder
        Of the run that made the model.
    explanation
        Of one of its answers.
    top
        How many examples, the most in favour first.

    Returns
    -------
    A JSON-LD document (W3C PROV-O, Recommendation of 30 April 2013); every node has an ``@id``.
    """
    record = RunRecord(Path(folder))
    run = _name("run", Path(folder).name)
    released = next(e.data["files"] for e in record.events if e.kind == "sealed")
    model = {"@id": f"{run}:model", "@type": "prov:Entity", "prov:wasGeneratedBy": {"@id": run}}
    model["sk:sha256"] = released["checkpoint.safetensors"]
    activity = {
        "@id": run,
        "@type": "prov:Activity",
        "prov:used": {"@id": f"{run}:manifest"},
        "prov:startedAtTime": _time(record.events[0].at),
        "prov:endedAtTime": _time(record.events[-1].at),
    }
    manifest = {
        "@id": f"{run}:manifest", "@type": "prov:Entity", "sk:sha256": record.header["manifest"],
    }  # fmt: skip
    rows = explanation.top(top).to_dicts()
    answer = {
        "@id": f"{run}:answer",
        "@type": "prov:Entity",
        "prov:value": explanation.answer,
        "sk:question": explanation.question,
        "prov:wasDerivedFrom": {"@id": model["@id"]},
        "prov:qualifiedInfluence": [
            {
                "@type": "prov:EntityInfluence",
                "prov:entity": {"@id": _name("example", row["item_id"])},
                "sk:influence": row["influence"],
                "sk:depth": row["mostly at"],
            }
            for row in rows
        ],
    }
    nodes = [answer, model, activity, manifest]
    for row in rows:
        nodes.append(
            {
                "@id": _name("example", row["item_id"]),
                "@type": "prov:Entity",
                "prov:wasDerivedFrom": {"@id": _name("batch", row["batch_id"])},
                "prov:wasAttributedTo": [{"@id": _name("annotator", a)} for a in row["annotators"]],
                "prov:wasInfluencedBy": {"@id": _name("rubric", row["rubric"])},
            }
        )
    for kind, values, what in (
        ("batch", {r["batch_id"] for r in rows}, ["prov:Entity", "prov:Collection"]),
        ("rubric", {r["rubric"] for r in rows}, ["prov:Entity", "prov:Plan"]),
        ("annotator", {a for r in rows for a in r["annotators"]}, ["prov:Agent", "prov:Person"]),
    ):
        nodes += [{"@id": _name(kind, value), "@type": what} for value in sorted(values)]
    return {"@context": CONTEXT, "@graph": nodes}


def _time(at: str) -> dict[str, str]:
    return {"@value": at, "@type": "xsd:dateTime"}
