"""A project's evidence package: card, description and costs written, then everything packed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from scalekit.frames import write_atomically
from scalekit.project.returns import cost_of
from scalekit.report import Amount
from scalekit.report.package import Package, write_package
from scalekit.signing import SIGNER, Signer

if TYPE_CHECKING:
    from scalekit.project.project import Project

__all__ = ["pack"]


def pack(
    project: Project,
    path: str | Path | None = None,
    *,
    responsible: str,
    licence: str,
    rates: float | Mapping[str, float] | None = None,
    amounts: tuple[Amount, ...] = (),
    currency: str = "",
) -> Package:
    """Write the evidence package of *project*; by default ``<name>-evidence.zip`` in it.

    The data card, the Croissant description and, with *rates* (money for an hour), the cost of an
    accepted task are written into the project's folder ``evidence`` first. The items that the
    description names by their digest are not in the package: ``project.collect.croissant`` writes
    them.

    Raises as :func:`scalekit.report.write_package` and, with *rates*,
    :func:`scalekit.project.returns.cost_of`.
    """
    folder = project.folder
    if project.collect.batches():
        project.collect.card(folder / "evidence/data_card.md")
        with TemporaryDirectory() as aside:  # the texts beside it must not be kept twice
            made = project.collect.croissant(Path(aside) / "croissant.json")
            write_atomically(folder / "evidence/croissant.json", made.path.read_bytes())
    if rates is not None:
        spent = cost_of(project, rates, *amounts, currency=currency)
        told = {
            "per accepted": spent.per_accepted, "interval": spent.interval,
            "accepted": spent.accepted, "unit": spent.unit, "currency": currency,
            "missing": spent.missing, "parts": spent.table.to_dicts(),
        }  # fmt: skip
        text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
        write_atomically(folder / "evidence/cost.json", text)
    return write_package(
        folder.root,
        Path(path) if path else folder / f"{folder.name}-evidence.zip",
        signer=Signer.load(SIGNER, outside=folder.root),
        responsible=responsible,
        licence=licence,
    )
