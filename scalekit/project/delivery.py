"""What Label hands to training: the signed manifest of examples, labels and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from scalekit.frames import require, to_polars, write_parquet
from scalekit.label import LabelError, NoiseEstimate, dawid_skene, most_probable
from scalekit.project.gatebook import standing
from scalekit.project.sealing import SPLIT
from scalekit.project.stage import require_gates
from scalekit.signing import SIGNER, Signer, digest_file

if TYPE_CHECKING:
    from scalekit.govern import Manifest
    from scalekit.project.folder import Folder
    from scalekit.project.project import Project

__all__ = ["deliver", "delivered"]


def deliver(project: Project, *, gold: Any, rubrics: Any) -> Manifest:
    """Sign what may be trained on; see :meth:`scalekit.project.label.Label.deliver`."""
    from scalekit.govern.manifest import Manifest

    label, folder = project.label, project.folder
    label.require_before()
    require_gates(project, [label.name], "Nothing can be delivered")
    waivers = [s.waiver for s in standing(folder, project.stages).values() if s.waiver]
    write_parquet(label.counted(), folder / "label/labels.parquet")
    write_parquet(told_consensus(project), folder / "label/consensus.parquet")
    return Manifest.write(
        folder / "label",
        examples(project, rubrics),
        noise=_said(label.noise(gold)),
        signer=Signer.load(SIGNER, outside=folder.root),
        about={
            "project": folder.name,
            "spec": digest_file(folder / "spec.yaml"),
            "inputs": label.inputs(),
            **({"waivers": [f"{w.stage}: {w.decision}" for w in waivers]} if waivers else {}),
        },
    )


def told_consensus(project: Project) -> pl.DataFrame:
    """Return the consensus with the posterior of its value, and where each item is from."""
    decided = project.label.consensus()
    items = project.audit.items()
    about = [c for c in ("item_id", "batch_id", "source", "tier", "category") if c in items.columns]
    posterior = dawid_skene(project.label.counted())
    entropy = most_probable(posterior).select(
        "item_id", pl.col("entropy").alias("posterior_entropy")
    )
    return (
        decided.join(posterior, on=["item_id", "value"], how="left")
        .join(entropy, on="item_id", how="left")
        .join(items.select(about), on="item_id")
    )


def delivered(folder: Folder) -> Manifest:
    """Return what was delivered last, verified with the user's own key."""
    from scalekit.govern.manifest import Manifest

    key = Signer.load(SIGNER, outside=folder.root).public
    return Manifest.load(folder / "label", [key])


def _said(noise: NoiseEstimate) -> dict[str, str]:
    said = {"source": noise.source, "n": str(noise.n)}
    if noise.estimate is None:
        return said
    low, high = noise.interval or (0.0, 1.0)
    return said | {"estimate": f"{noise.estimate:.6f}", "from": f"{low:.6f}", "to": f"{high:.6f}"}


def examples(project: Project, rubrics: Any) -> pl.DataFrame:
    """Return one row for each item that may be trained on, as a manifest has it."""
    label = project.label
    criteria = {c.name: c.interval for c in project.specify.spec.rubric}
    low = min((a for a, _ in criteria.values()), default=0.0)
    high = max((b for _, b in criteria.values()), default=1.0)
    chosen = _chosen(rubrics, list(criteria), set(project.audit.item_ids()))
    decided = label.consensus().drop_nulls("value")
    votes = decided.select("item_id", pl.col("value").alias("label"), "adjudicated")
    items = project.audit.items().filter(pl.col("text").str.len_chars() > 0)
    if (project.folder / SPLIT).is_file():
        # Neither dev items nor what holds a test item: the guard refuses what is not in here.
        items = items.join(project.evaluate.train_items(), on="item_id", how="semi")
    posterior = dawid_skene(label.counted()).rename({"value": "label"})
    frame = (
        items.select("item_id", "text", "batch_id")
        .join(votes, on="item_id")
        .join(_who(project, votes), on="item_id")
        .join(posterior, on=["item_id", "label"], how="left")
    )
    names = [chosen.get(i, "") for i in frame["item_id"]]
    spans = [criteria.get(n, (low, high)) for n in names]
    return frame.with_columns(
        pl.Series("rubric", [n or "all" for n in names], dtype=pl.String),
        pl.Series("low", [a for a, _ in spans], dtype=pl.Float64),
        pl.Series("high", [b for _, b in spans], dtype=pl.Float64),
        # How likely a decision is wrong was not measured by votes that it overrules.
        pl.when(~pl.col("adjudicated")).then(1 - pl.col("posterior")).alias("noise"),
    ).drop("adjudicated")


def _chosen(rubrics: Any, criteria: list[str], items: set[str]) -> dict[str, str]:
    """Return the criterion that each named item teaches."""
    if rubrics is None:
        return {}
    named = require(to_polars(rubrics, "rubrics"), ("item_id", "rubric"), "rubrics")
    chosen = dict(named.select("item_id", "rubric").iter_rows())
    if unknown := sorted(set(chosen.values()) - set(criteria)):
        raise LabelError(
            f"no criterion {unknown[0]!r} in the spec; there are {', '.join(criteria)}"
        )
    if strangers := sorted(set(chosen) - items):
        raise LabelError(
            f"item {strangers[0]!r} is not in use; rubrics may only name audited items"
        )
    return chosen


def _who(project: Project, votes: pl.DataFrame) -> pl.DataFrame:
    """Return those who gave the label that is delivered, the adjudicator among them."""
    label = project.label
    given = label.counted().select("item_id", "annotator", pl.col("value").alias("label"))
    decided = label.resolutions().select(
        "item_id", pl.col("adjudicator").alias("annotator"), pl.col("value").alias("label")
    )
    both = pl.concat([given, decided]).join(votes, on=["item_id", "label"])
    return both.group_by("item_id").agg(pl.col("annotator").unique().sort().alias("annotators"))
