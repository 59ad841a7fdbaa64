"""Croissant 1.1 JSON-LD of a table of items, with its responsible-AI and provenance fields.

MLCommons' specifications: mlcommons.org/croissant/1.1, mlcommons.org/croissant/RAI/1.0; provenance
in W3C PROV-O. Only what the batches' records say is written: nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.collect.provenance import Batch, listed_licence
from scalekit.display import View, block, table

__all__ = ["Croissant", "croissant", "flat"]

CONFORMS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
PARQUET = "application/x-parquet"
_CR = ("annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty",
       "excludes", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
       "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path",
       "readLines", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
       "sdVersion", "separator", "source", "subField", "transform", "unArchive",
       "value")  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _CR},
}
MEANING = {
    "item_id": "Names the item.",
    "text": "The text.",
    "category": "The category given at the source.",
    "batch_id": "The batch that brought the item.",
    "source": "Where the batch is from, in words.",
    "tier": "Kind of source: first-party, licensed, public-web or synthetic.",
    "url": "The address that the text was fetched from.",
    "fetched": "When it was fetched, ISO 8601.",
}
EQUIVALENT = {"url": "prov:hadPrimarySource", "fetched": "prov:generatedAtTime"}
"""What provenance columns mean in PROV-O, row by row."""


@dataclass(frozen=True)
class Croissant(View):
    """A Croissant description, the file that it was written to, and the table beside it."""

    document: dict[str, Any]
    path: Path
    data: Path

    @property
    def table(self) -> pl.DataFrame:
        """One row for each field of each record set: ``records, field, type, meaning``."""
        return pl.DataFrame(
            [
                {"records": s["name"], "field": f["name"], "type": f["dataType"],
                 "meaning": f.get("description", "")}
                for s in self.document["recordSet"]
                for f in s["field"]
            ]
        )  # fmt: skip

    def to_html(self) -> str:
        """Show where it lies and which fields it describes."""
        said = f"{self.path}, of {self.data.name} beside it"
        return block("Croissant", said, table(self.table, limit=30))


def flat(items: pl.DataFrame) -> pl.DataFrame:
    """Return *items* with columns that Croissant can describe: what is nested becomes JSON."""
    plain = (pl.String, pl.Boolean, pl.Date, pl.List(pl.String))
    other = [c for c, t in items.schema.items() if not t.is_numeric() and t not in plain]
    return items.with_columns(
        pl.Series(c, map(_json, items[c].to_list()), dtype=pl.String)
        if items[c].dtype.is_nested()
        else pl.col(c).cast(pl.String)
        for c in other
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def croissant(
    items: pl.DataFrame,
    batches: Sequence[Batch],
    *,
    name: str,
    description: str,
    file: str,
    sha256: str,
    size: int,
    creator: str,
    published: str,
    version: str = "1.0.0",
    url: str = "",
    responsible: Mapping[str, str | Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the Croissant description of *items*, a Parquet file, as JSON-LD.

    Parameters
    ----------
    items
        What is in the file: strings, numbers, booleans, dates, lists of strings (:func:`flat`).
    batches
        The batches in it; each becomes a record of its own and an origin in PROV-O.
    file, sha256, size
        Name of the Parquet file beside the JSON, its digest in hex, its bytes.
    published
        Date, YYYY-MM-DD.
    version
        MAJOR.MINOR.PATCH of the data.
    url
        The data set's page; without one it is named by the digest of its file.
    responsible
        Fields of Croissant RAI by their names (``dataLimitations``…); those on collection are
        made from the batches.
    """
    rights = list(dict.fromkeys(b.rights for b in batches))
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": name,
        "description": description,
        "url": url or f"urn:sha256:{sha256}",
        "version": version,
        "datePublished": published,
        "creator": {"@type": "sc:Person", "name": creator},
        "license": [_license(r) for r in rights],
        **{f"rai:{key}": value for key, value in _responsible(batches, responsible or {}).items()},
        "prov:wasDerivedFrom": [_origin(b) for b in batches],
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": file, "name": file, "contentUrl": file,
                "contentSize": f"{size} B", "encodingFormat": PARQUET, "sha256": sha256,
                "prov:wasDerivedFrom": [{"@id": f"batch/{b.batch_id}"} for b in batches],
            }
        ],
        "recordSet": [_items(items, file), _batches(batches)],
    }  # fmt: skip


def _license(rights: str) -> Any:
    """Return the page of a listed licence, or the expression by its name."""
    listed = listed_licence(rights)
    if listed:
        return f"https://spdx.org/licenses/{listed}.html"
    return {"@type": "sc:CreativeWork", "name": rights}


def _responsible(
    batches: Sequence[Batch], said: Mapping[str, str | Sequence[str]]
) -> dict[str, Any]:
    days = sorted(b.collected for b in batches)
    aside = sum(b.quarantined for b in batches)
    found: dict[str, Any] = {
        "dataCollection": "; ".join(map(_collected, batches)),
        "dataCollectionTimeframe": [days[0], days[-1]] if days else [],
        "dataCollectionMissingData": f"{aside} rows were set aside as unreadable or without text.",
        "dataCollectionRawData": "; ".join(f"{b.file}, {b.digest}" for b in batches if b.file),
    }
    return {**{k: v for k, v in found.items() if v}, **said}


def _collected(batch: Batch) -> str:
    said = f"{batch.source} ({batch.tier}), by {batch.collector} on {batch.collected}"
    made = f", generated by {batch.generator} for the gap {batch.gap!r}" if batch.generator else ""
    return f"{said}{made}: {batch.rows} rows"


def _origin(batch: Batch) -> dict[str, Any]:
    """Return the batch as an entity of PROV-O: how, when and by whom it came about."""
    made = f"generation by {batch.generator}" if batch.generator else "collection"
    activity: dict[str, Any] = {
        "@type": "prov:Activity",
        "rdfs:label": made,
        "prov:endedAtTime": batch.collected,
    }
    if batch.evidence:
        activity["prov:generated"] = {
            "@type": "prov:Entity",
            "rdfs:label": batch.evidence.file,
            "sha256": batch.evidence.sha256,
        }
    return {
        "@type": "prov:Entity",
        "@id": f"batch/{batch.batch_id}",
        "rdfs:label": batch.source,
        "license": _license(batch.rights),
        "prov:wasGeneratedBy": activity,
        "prov:wasAttributedTo": {"@type": "prov:Agent", "rdfs:label": batch.collector},
    }


def _items(items: pl.DataFrame, file: str) -> dict[str, Any]:
    fields = []
    for column, dtype in items.schema.items():
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"items/{column}",
            "name": column,
            "description": MEANING.get(column, f"Column {column} of the source."),
            "dataType": _type(dtype),
            "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
        }
        if dtype == pl.List(pl.String):
            field |= {"isArray": True, "arrayShape": "-1"}
        if column == "batch_id":
            field["references"] = {"field": {"@id": "batches/batch_id"}}
        if column in EQUIVALENT:
            field["equivalentProperty"] = EQUIVALENT[column]
        fields.append(field)
    return {
        "@type": "cr:RecordSet", "@id": "items", "name": "items",
        "description": "One record for each item.", "key": {"@id": "items/item_id"},
        "field": fields,
    }  # fmt: skip


def _batches(batches: Sequence[Batch]) -> dict[str, Any]:
    columns = {"batch_id": "sc:Text", "source": "sc:Text", "tier": "sc:Text", "rights": "sc:Text",
               "collected": "sc:Date", "collector": "sc:Text", "rows": "sc:Integer",
               "quarantined": "sc:Integer", "digest": "sc:Text"}  # fmt: skip
    fields = [
        {"@type": "cr:Field", "@id": f"batches/{c}", "name": c, "dataType": kind}
        for c, kind in columns.items()
    ]
    data = [{f"batches/{c}": getattr(b, c) for c in columns} for b in batches]
    return {
        "@type": "cr:RecordSet", "@id": "batches", "name": "batches",
        "description": "Where each batch is from and by what right.",
        "key": {"@id": "batches/batch_id"}, "field": fields, "data": data,
    }  # fmt: skip


def _type(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "sc:Integer"
    if dtype.is_float():
        return "sc:Float"
    return {pl.Boolean: "sc:Boolean", pl.Date: "sc:Date"}.get(type(dtype), "sc:Text")
