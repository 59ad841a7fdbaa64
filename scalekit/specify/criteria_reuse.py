"""Take an asset into a spec as it is or changed, say how much was reused, make a spec an asset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import ValidationError

from scalekit.display import View, block, note, table
from scalekit.specify.asset import Asset, AssetError, Outcome
from scalekit.specify.spec import Criterion, Spec, flaws

__all__ = ["Reuse", "adapt", "adopt", "promote", "reuse", "with_outcome"]


def adopt(asset: Asset, spec: Spec | None = None, *, name: str = "") -> Spec:
    """Return a spec with the criteria of *asset* unchanged.

    Of a *spec* that is there, the sentence, categories, examples, setting and assumptions stay;
    metrics and instructions only where it has some; criteria of its own follow those of the asset,
    and of two with one name the asset's stands. Without one, everything is the asset's, under
    *name*.
    """
    if spec is None:
        return Spec(
            name=name or asset.id,
            behaviour=asset.target,
            categories=asset.categories,
            examples=asset.examples,
            rubric=asset.rubric,
            metrics=(asset.evaluation.metric,),
            instructions=asset.instructions,
        )
    taken = {c.name for c in asset.rubric}
    own = tuple(c for c in spec.rubric if c.name not in taken)
    changes = {
        "rubric": (*asset.rubric, *own),
        "metrics": spec.metrics or (asset.evaluation.metric,),
        "instructions": spec.instructions or asset.instructions,
    }
    return spec.model_copy(update=changes)


def adapt(
    asset: Asset,
    spec: Spec | None = None,
    *,
    change: Mapping[str, Mapping[str, Any] | None],
    name: str = "",
) -> Spec:
    """Return a spec with the criteria of *asset*, some of them changed.

    Parameters
    ----------
    change
        Criterion to the fields that differ, as ``{"references": {"points": 5}}``; None leaves it
        out.

    Raises
    ------
    AssetError
        When the asset has no such criterion, a field is wrong, or nothing is changed.
    """
    known = {c.name: c for c in asset.rubric}
    if unknown := [n for n in change if n not in known]:
        raise AssetError(
            f"{asset.reference} has no criterion {unknown[0]!r}; there are {', '.join(known)}"
        )
    changed = tuple(_changed(c, change.get(c.name, {})) for c in asset.rubric)
    kept = tuple(c for c in changed if c is not None)
    if kept == asset.rubric:
        raise AssetError(f"nothing of {asset.reference} is changed; adopt it as it is")
    if not kept:
        raise AssetError(f"no criterion of {asset.reference} is left")
    whole = adopt(asset.model_copy(update={"rubric": kept}), spec, name=name)
    gone = {n for n, fields in change.items() if fields is None}
    return whole.model_copy(
        update={"rubric": tuple(c for c in whole.rubric if c in kept or c.name not in gone)}
    )


def _changed(criterion: Criterion, fields: Mapping[str, Any] | None) -> Criterion | None:
    if fields is None:
        return None
    try:
        return Criterion.model_validate({**criterion.model_dump(), **fields})
    except ValidationError as error:
        wrong = "; ".join(f"{where}: {why}" for where, why in flaws(error, Criterion).items())
        raise AssetError(f"{criterion.name}: {wrong}") from error


@dataclass(frozen=True)
class Reuse(View):
    """How much of a spec's rubric was taken from assets.

    ``table`` has ``criterion, asset, state``: unchanged, changed or own.
    """

    table: pl.DataFrame

    @property
    def unchanged(self) -> int:
        """Criteria taken over as they are."""
        return int((self.table["state"] == "unchanged").sum())

    @property
    def rate(self) -> float | None:
        """Criteria reused unchanged, of all; None without any."""
        return self.unchanged / len(self.table) if len(self.table) else None

    def to_html(self) -> str:
        """Show the rate and each criterion's origin."""
        if self.rate is None:
            return block("Reuse", note("The spec has no criteria yet."))
        said = f"{self.unchanged} of {len(self.table)} criteria reused unchanged ({self.rate:.0%})."
        return block("Reuse", note(said), table(self.table))


def reuse(spec: Spec, assets: Iterable[Asset]) -> Reuse:
    """Hold a spec's criteria against those of the *assets* that it was made from.

    A criterion counts as unchanged when all its fields are those of an asset's criterion of the
    same name.
    """
    rows = []
    sources = list(assets)
    for criterion in spec.rubric:
        named = [(a, c) for a in sources for c in a.rubric if c.name == criterion.name]
        same = [a for a, c in named if c == criterion]
        asset = same or [a for a, _ in named]
        rows.append(
            {
                "criterion": criterion.name,
                "asset": asset[0].reference if asset else "",
                "state": "unchanged" if same else "changed" if named else "own",
            }
        )
    columns = dict.fromkeys(("criterion", "asset", "state"), pl.String)
    return Reuse(pl.DataFrame(rows, schema=columns))


def promote(
    spec: Spec,
    base: Asset,
    *,
    domain: Iterable[str],
    owner: str,
    licence: str,
    title: str,
    version: str = "1.0.0",
    outcome: Outcome | None = None,
) -> Asset:
    """Return a spec as an asset of its own that descends from *base*.

    The prompt, how it is checked, thresholds, unit and language are those of *base*; the rest is
    the spec's.

    Raises
    ------
    AssetError
        When a field is wrong: a domain that can't be one, a criterion without examples, a derived
        work of an asset under the same id and version.
    """
    path = tuple(domain)
    fields = base.model_dump(mode="json") | {
        "id": ".".join(path),
        "domain": list(path),
        "version": version,
        "title": title,
        "target": spec.behaviour,
        "owner": owner,
        "licence": licence,
        "derived_from": base.reference,
        "instructions": spec.instructions or base.instructions,
        "categories": [c.model_dump(mode="json") for c in spec.categories],
        "rubric": [c.model_dump(mode="json") for c in spec.rubric],
        "examples": [e.model_dump(mode="json") for e in spec.examples],
        "outcomes": [outcome.model_dump(mode="json")] if outcome else [],
    }
    try:
        made = Asset.model_validate(fields)
    except ValidationError as error:
        lines = [f"- {where}: {why}" for where, why in flaws(error, Asset).items()]
        raise AssetError("\n".join(["the spec can't be an asset yet:", *lines])) from error
    if made.reference == base.reference:
        raise AssetError(f"{base.reference} can't descend from itself; raise the version")
    return made


def with_outcome(asset: Asset, outcome: Outcome) -> Asset:
    """Return *asset* with what came of it in one more project; of the same project the last counts.

    Its content, and so its version and digest, stay.
    """
    kept = tuple(o for o in asset.outcomes if o.project != outcome.project)
    return asset.model_copy(update={"outcomes": (*kept, outcome)})
