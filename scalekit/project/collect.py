"""``project.collect``: bring batches in, with their provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.collect import (
    Batch,
    Croissant,
    DataCard,
    ProvenanceError,
    ReadingError,
    SourceTable,
    batch_record,
    croissant,
    data_card,
    evidence_of,
    gate,
    read_rows,
    still_whole,
)
from scalekit.collect.croissant import flat
from scalekit.collect.data_card import limits
from scalekit.collect.rows import stem
from scalekit.frames import FrameError, require, to_polars, write_atomically, write_parquet
from scalekit.gates import Gate
from scalekit.project.folder import who
from scalekit.project.stage import Stage
from scalekit.signing import digest_file

__all__ = ["Collect"]

BATCHES = "collect/batches.jsonl"
NEEDED = (
    "give the path of a file, a data frame (polars, pandas, pyarrow…), a list of rows such as "
    "[{'text': '…'}], or a mapping of columns. Nothing was stored"
)


class Collect(Stage):
    """Bring in the smallest set of sources, each with its rights."""

    name = "collect"
    purpose = "The smallest set of sources; no batch without source, date and usage rights."

    def add(
        self,
        data: Any,
        *,
        source: str = "",
        tier: str = "",
        rights: str = "",
        collected: str = "",
        collector: str | None = None,
        batch_id: str | None = None,
        gap: str = "",
        generator: str = "",
        text: str = "text",
        item_id: str | None = None,
        category: str | None = None,
        encoding: str = "utf-8",
        evidence: str | Path | None = None,
    ) -> Batch:
        """Read a file or data frame and store it as a batch; bad rows are set aside with reasons.

        The same content under the same name is not stored twice: the batch that is there is
        returned.

        Parameters
        ----------
        data
            A file (CSV, JSON lines, JSON, Parquet, WARC, WET, exports of Label Studio and
            Argilla), any data frame, or a split of Hugging Face ``datasets``.
        source, tier, rights, collected, collector
            Where it comes from; first-party, licensed, public-web or synthetic; SPDX expression or
            LicenseRef-…; date YYYY-MM-DD; who (default: the user).
        batch_id
            Short name (default: the file's).
        gap, generator
            For synthetic text: the category it was made for, and what made it.
        text, item_id, category, encoding
            Which columns hold what, and the encoding, as in :func:`scalekit.collect.read_rows`.
        evidence
            A file that shows how the batch came about: the log of a crawl or an export, a
            contract; not the texts themselves. Its SHA-256 is recorded and, up to 10 MB, a copy
            kept in the project.

        Raises
        ------
        GateClosedError
            When Specify's gate is not passed.
        ProvenanceError
            When provenance is missing or wrong, or another batch has the name. Nothing is stored.
        ReadingError
            When the file can't be read, or is neither file nor table. Nothing is stored.
        """
        self.require_before()
        _refuse_other_rows(data)
        path = Path(data) if isinstance(data, str | Path) else None
        name = batch_id or (stem(path) if path else "")
        fields = {
            "batch_id": name,
            "source": source,
            "tier": tier,
            "rights": rights,
            "collected": collected,
            "collector": collector or who(),
            "gap": gap,
            "generator": generator,
            "file": path.name if path else "",
        }
        batch_record(fields, rows=0, quarantined=0, digest="")  # refuse before reading
        self._check_gap(fields)
        shown = evidence_of(evidence, name) if evidence is not None else None
        columns = {"text": text, "item_id": item_id, "category": category, "encoding": encoding}
        try:
            reading = read_rows(data, batch_id=name, **columns)  # type: ignore[arg-type]
        except FrameError as error:
            mapped = isinstance(data, Mapping | list)
            if isinstance(error.__cause__, TypeError) and not mapped:  # not even a table
                raise ReadingError(f"data: {type(data).__name__} is not read; {NEEDED}") from error
            raise
        batch = batch_record(
            fields,
            rows=len(reading.items),
            quarantined=len(reading.quarantine),
            passed_over=reading.passed_over,
            evidence=shown,
            digest=reading.digest,
        )
        known = self._known().get(name)
        if known is not None:
            self._same(known, batch)
            return known
        self._check_ids(reading.items)
        origin = pl.lit(name), pl.lit(source), pl.lit(tier)
        items = reading.items.with_columns(
            c.alias(n) for c, n in zip(origin, ("batch_id", "source", "tier"), strict=True)
        )
        if shown and shown.kept:
            write_atomically(self._folder / shown.kept, Path(str(evidence)).read_bytes())
        write_parquet(items, self._folder / f"collect/{name}.parquet")
        write_parquet(reading.quarantine, self._folder / f"collect/{name}.quarantine.parquet")
        # The record last: a batch without it does not exist.
        self._folder.append(BATCHES, "batch", batch.model_dump())
        return batch

    def _same(self, known: Batch, batch: Batch) -> None:
        """Do nothing if *batch* is the known one once more, else say what is different."""
        name = known.batch_id
        if name in self._retired():
            raise ProvenanceError(
                f"batch_id: {name!r} was retired ({self._retired()[name]}); choose another name"
            )
        if known.digest != batch.digest:
            raise ProvenanceError(f"batch_id: there is another batch {name!r} already; rename one")
        fields = ["source", "tier", "rights", "collected", "gap", "generator"]
        if batch.evidence:
            fields.append("evidence")
        other = [f for f in fields if getattr(known, f) != getattr(batch, f)]
        if other:
            said = "; ".join(
                f"{f}: {getattr(known, f)!r} then, {getattr(batch, f)!r} now" for f in other
            )
            raise ProvenanceError(
                f"batch {name!r} is there with other provenance ({said}). Retire it and add it "
                "under another name, so that both stay on record"
            )

    def _check_gap(self, fields: dict[str, str]) -> None:
        shares = self._project.specify.spec.shares
        if fields["tier"] == "synthetic" and fields["gap"] not in shares:
            raise ProvenanceError(
                f"gap: {fields['gap']!r} is no category of the spec; those are {', '.join(shares)}"
            )

    def _check_ids(self, items: pl.DataFrame) -> None:
        there = set(self._sealed_ids())
        for path in self.parts():
            there |= set(pl.read_parquet(path, columns=["item_id"])["item_id"])
        twice = [i for i in items["item_id"] if i in there]
        if twice:
            raise ProvenanceError(
                f"item_id: {len(twice)} ids are in other batches already, first {twice[0]!r}; give "
                "the batch ids of its own"
            )

    def retire(self, batch_id: str, why: str) -> None:
        """Take a batch out of use; its rows and record stay.

        Raises
        ------
        ProvenanceError
            When there is no such batch, or no reason is given.
        """
        if batch_id not in self._known():
            raise ProvenanceError(f"there is no batch {batch_id!r}")
        if not why.strip():
            raise ProvenanceError("say why the batch is retired")
        if batch_id not in self._retired():
            self._folder.append(BATCHES, "retired", {"batch_id": batch_id, "because": why})

    def sources(self) -> SourceTable:
        """Return all batches with their provenance, and the rows set aside."""
        known = self._known()
        aside = [
            pl.read_parquet(self._folder / f"collect/{b}.quarantine.parquet").select(
                pl.lit(b).alias("batch"), pl.all()
            )
            for b in known
        ]
        quarantine = pl.concat(aside) if aside else pl.DataFrame()
        proven = {n: b.evidence for n, b in known.items() if b.evidence}
        altered = {n for n, e in proven.items() if not still_whole(e, self._folder.root)}
        return SourceTable(tuple(known.values()), self._retired(), quarantine, frozenset(altered))

    def card(self, path: str | Path | None = None) -> DataCard:
        """Return the data card of what is in use; written to *path* as Markdown if one is given.

        Raises
        ------
        ProvenanceError
            When there is no batch in use.
        """
        spec = self._project.specify.spec
        text = data_card(
            self._used(),
            self.items(),
            name=self._folder.name,
            purpose=spec.behaviour,
            targets=spec.shares,
            setting=spec.setting,
            assumptions=spec.assumptions,
        )
        if path is not None:
            write_atomically(Path(path), text)
        return DataCard(text, Path(path) if path is not None else None)

    def croissant(
        self,
        path: str | Path,
        *,
        items: Any = None,
        version: str = "1.0.0",
        url: str = "",
        creator: str | None = None,
        responsible: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Croissant:
        """Write the items as ``items.parquet`` and, beside it, their Croissant 1.1 description.

        Parameters
        ----------
        path
            The JSON file, or a folder for ``croissant.json``.
        items
            Any data frame of items with ``item_id`` and ``batch_id``; by default the items in use
            as collected, which nobody has audited.
        version, url
            MAJOR.MINOR.PATCH of the data; the data set's page, if there is one.
        creator
            Who made the data set (default: the user).
        responsible
            Fields of Croissant RAI by name, such as ``dataBiases``, beside or in place of what the
            project knows.

        Raises
        ------
        ProvenanceError
            When there is no batch in use, or the items name other batches.
        FrameError
            When the items lack a column.
        """
        used, spec = self._used(), self._project.specify.spec
        table = flat(self.items() if items is None else to_polars(items, "items"))
        require(table, ("item_id", "batch_id"), "items")
        named = set(table["batch_id"])
        batches = [b for b in self.batches() if b.batch_id in named]
        if strangers := sorted(named - {b.batch_id for b in batches}, key=str):
            raise ProvenanceError(f"items: batch {strangers[0]!r} is not in use in this project")
        path = Path(path)
        path = path if path.suffix else path / "croissant.json"
        data = path.with_name("items.parquet")
        known: dict[str, Any] = {"dataUseCases": [spec.behaviour], "dataLimitations": limits(used)}
        if items is None:
            known["personalSensitiveInformation"] = [
                "The texts are as collected: personal data were neither looked for nor masked."
            ]
        write_parquet(table, data)
        document = croissant(
            table,
            batches,
            name=self._folder.name,
            description=f"{spec.behaviour} {len(table):,} items of {len(batches)} batches.",
            file=data.name,
            sha256=digest_file(data).rsplit(":", 1)[1],
            size=data.stat().st_size,
            creator=creator or who(),
            published=date.today().isoformat(),
            version=version,
            url=url,
            responsible={**known, **(responsible or {})},
        )
        write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return Croissant(document, path, data)

    def _used(self) -> SourceTable:
        if not self.batches():
            raise ProvenanceError(
                "there is no batch in use yet; project.collect.add(…) brings one in"
            )
        return self.sources()

    def parts(self) -> list[Path]:
        """Return the Parquet files of the batches in use, in the order of their arrival."""
        return [self._folder / f"collect/{b.batch_id}.parquet" for b in self.batches()]

    def batches(self) -> list[Batch]:
        """Return the batches in use."""
        retired = self._retired()
        return [b for name, b in self._known().items() if name not in retired]

    def items(self) -> pl.DataFrame:
        """Return the items of the batches in use, as collected."""
        parts = self.parts()
        return pl.concat(map(pl.read_parquet, parts), how="diagonal") if parts else pl.DataFrame()

    def _sealed_ids(self) -> list[str]:
        events = self._folder.events("evaluate/log.jsonl", "sealed")
        return [i for e in events for i in e.data["item_ids"]]

    def _known(self) -> dict[str, Batch]:
        events = self._folder.events(BATCHES, "batch")
        return {e.data["batch_id"]: Batch(**e.data) for e in events}

    def _retired(self) -> dict[str, str]:
        events = self._folder.events(BATCHES, "retired")
        return {e.data["batch_id"]: e.data["because"] for e in events}

    def _own_inputs(self) -> list[str]:
        return [b.digest for b in self.batches()]

    def _judge(self) -> Gate:
        return gate(
            self.batches(), max_quarantined_share=self._folder.thresholds.max_quarantined_share
        )


def _refuse_other_rows(data: Any) -> None:
    """Raise ReadingError at the first row of a list that is no mapping of columns."""
    for number, row in enumerate(data if isinstance(data, list | tuple) else (), 1):
        if not isinstance(row, Mapping):
            raise ReadingError(
                f"data, row {number}: {row!r:.60} is no mapping of columns; {NEEDED}"
            )
