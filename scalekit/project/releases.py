"""Releases: the labels that were accepted, against which what comes later is held."""

from __future__ import annotations

import polars as pl

from scalekit.frames import FrameError, write_parquet
from scalekit.project.folder import who
from scalekit.project.measuring import Measuring

__all__ = ["Releases"]

RELEASES = "evaluate/releases.jsonl"
FOLDER = "evaluate/releases"


class Releases(Measuring):
    """What was accepted, and what was labelled since."""

    def accept(self, why: str) -> pl.DataFrame:
        """Accept the training items as they stand as a release; later ones are held against it.

        Returns :meth:`releases`. *why* is kept with it, in words.

        Raises
        ------
        FrameError
            When no reason is given.
        SealError
            When nothing is split yet.
        """
        if not why.strip():
            raise FrameError("say in words why these labels are good enough to be held against")
        items = self.train_items().select("item_id", pl.col("category").alias("value"))
        number = len(self._folder.events(RELEASES, "accepted")) + 1
        write_parquet(items, self._folder / f"{FOLDER}/{number}.parquet")
        seen = pl.DataFrame({"item_id": self._project.audit.item_ids()})
        write_parquet(seen, self._folder / f"{FOLDER}/{number}-seen.parquet")
        model = self._newest_run()[-1:] or [""]
        said = {"release": number, "items": len(items), "model": model[0], "why": why}
        said["alpha"] = [f"{x:.6f}" for x in self._alpha() or ()]
        self._folder.append(RELEASES, "accepted", {**said, "actor": who()})
        return self.releases()

    def releases(self) -> pl.DataFrame:
        """Return what was accepted: ``release, at, items, model, why``."""
        rows = [{**e.data, "at": e.at} for e in self._folder.events(RELEASES, "accepted")]
        text = dict.fromkeys(("at", "model", "why"), pl.String)
        schema = {"release": pl.Int64, "at": pl.String, "items": pl.Int64, **text}
        return pl.DataFrame(rows, schema=schema)

    def accepted(self) -> pl.DataFrame | None:
        """Return the last release, ``item_id, value, domain, text``; None when there is none."""
        made = self._folder.events(RELEASES, "accepted")
        if not made:
            return None
        items = pl.read_parquet(self._folder / f"{FOLDER}/{made[-1].data['release']}.parquet")
        return items.join(self.open_items(), on="item_id").select(
            "item_id", "value", pl.col("domain").fill_null(pl.col("value")), "text"
        )

    def _alpha(self) -> tuple[float, float, float] | None:
        """Return alpha as it stands with its 95 % interval, where it is defined."""
        found = self._project.label.agreement()
        if found.alpha.value is None or found.interval is None:
            return None
        return found.alpha.value, *found.interval

    def _accepted_or_refuse(self) -> pl.DataFrame:
        found = self.accepted()
        if found is None:
            raise FrameError(
                "there is no release to go by: project.evaluate.accept(why) names the training "
                "items as they stand"
            )
        return found

    def since(self) -> pl.DataFrame:
        """Return what was labelled since the last release, or all where there is none.

        ``item_id, text, batch_id, domain, value``.

        Raises
        ------
        FrameError
            When nothing was.
        """
        votes = self._project.label.consensus().drop_nulls("value").select("item_id", "value")
        rows = self._new_items().join(votes, on="item_id")
        if rows.is_empty():
            raise FrameError(
                "nothing was labelled since the accepted release: collect and label first"
            )
        return rows.with_columns(pl.col("domain").fill_null(pl.col("value")))

    def _new_items(self) -> pl.DataFrame:
        """Return the open items that were not there when the last release was accepted."""
        return self.open_items().join(self._seen(), on="item_id", how="anti")

    def _seen(self) -> pl.DataFrame:
        """Return ``item_id`` of all items that were there at the last release."""
        made = self._folder.events(RELEASES, "accepted")
        if not made:
            return pl.DataFrame(schema={"item_id": pl.String})
        return pl.read_parquet(self._folder / f"{FOLDER}/{made[-1].data['release']}-seen.parquet")
