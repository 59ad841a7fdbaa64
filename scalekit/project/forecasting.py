"""Looking ahead in a project: what a delivery will score, what more items would buy."""

from __future__ import annotations

import polars as pl

from scalekit.display import Progress
from scalekit.evaluate import (
    Forecast,
    ForecastCalibration,
    KeepTest,
    LearningCurve,
    forecast,
    forecast_calibration,
    keep_synthetic,
    learning_curve,
    text_proxy,
)
from scalekit.frames import FrameError, write_parquet
from scalekit.project.releases import Releases

__all__ = ["Forecasting"]

FORECASTS = "evaluate/forecasts.jsonl"
FOLDER = "evaluate/forecasts"


class Forecasting(Releases):
    """Forecasts are written down before training, and held against what came."""

    def learning_curve(self, more: int = 500, *, by_category: bool = False) -> LearningCurve:
        """Say what *more* items like those in training would buy on dev, for a cheap proxy.

        As :func:`scalekit.evaluate.learning_curve`; raises SealError when nothing is split yet.
        """
        with Progress("Training the proxy") as progress:
            return learning_curve(
                self.train_items(), self._dev(), more=more, by_category=by_category,
                progress=progress,
            )  # fmt: skip

    def forecast(self) -> Forecast:
        """Forecast what the labels that came after the last release will score, before training.

        From the gold among them, which must be drawn at random. Written to the journal; when they
        are trained on, :meth:`forecasts` holds it against what came.

        Raises
        ------
        FrameError
            When there is no release, or nothing was labelled since.
        ForecastError
            When they have a domain that the release does not have.
        """
        old, dev = self._accepted_or_refuse(), self._dev()
        new = self.since()
        gold = self._project.label.gold.select("item_id", pl.col("value").alias("gold"))
        checks = new.join(gold, on="item_id").select("value", "gold", "domain")
        planned = dict(new["domain"].value_counts().iter_rows())
        with Progress("Training the proxy") as progress:
            found = forecast(
                old.rename({"value": "category"}), dev, checks, planned=planned, progress=progress
            )
        run = f"forecast {len(self._folder.events(FORECASTS, 'forecast')) + 1}"
        write_parquet(new.select("item_id"), self._folder / f"{FOLDER}/{run}-items.parquet")
        columns = ("item_id", "text", "category", "domain")
        write_parquet(dev.select(columns), self._folder / f"{FOLDER}/{run}-dev.parquet")
        self._folder.append(FORECASTS, "forecast", {**found.record(), "run_id": run})
        return found

    def forecasts(self) -> ForecastCalibration:
        """Hold every forecast against what came.

        A forecast has its outcome once all its items that are in the open can be trained on: the
        proxy is trained on them as they are labelled now, and asked the same dev items.
        """
        told = [{**e.data, "at": e.at} for e in self._folder.events(FORECASTS, "forecast")]
        known = {e.data["run_id"] for e in self._folder.events(FORECASTS, "outcome")}
        for record in told:
            if record["run_id"] not in known:
                self._settle(record)
        rows = [{**e.data, "at": e.at} for e in self._folder.events(FORECASTS, "outcome")]
        text = dict.fromkeys(("run_id", "proxy", "dev", "score", "at"), pl.String)
        return forecast_calibration(told, pl.DataFrame(rows, schema=text))

    def _settle(self, record: dict[str, str | int]) -> None:
        run = record["run_id"]
        asked = pl.read_parquet(self._folder / f"{FOLDER}/{run}-items.parquet")
        rows = self.train_items().join(asked, on="item_id", how="semi")
        if len(rows) < len(asked) / 2:  # not trained on yet
            return
        dev = pl.read_parquet(self._folder / f"{FOLDER}/{run}-dev.parquet")
        proxy = text_proxy()
        proxy.fit(rows["text"].to_list(), rows["category"].to_list())
        answers = proxy.classes_[proxy.predict_proba(dev["text"].to_list()).argmax(1)]
        score = float((answers == dev["category"].to_numpy()).mean())
        said = {"run_id": run, "proxy": record["proxy"], "dev": record["dev"]}
        self._folder.append(FORECASTS, "outcome", {**said, "score": f"{score:.4f}"})

    def keep_synthetic(self, *, margin: float = 0.02) -> KeepTest:
        """Test whether the synthetic items in training earn their place; they go if not surely.

        As :func:`scalekit.evaluate.keep_synthetic`, on dev and the handwritten examples.

        Raises
        ------
        FrameError
            When no item in training is synthetic.
        """
        tiers = self._project.audit.items().select("item_id", "tier")
        rows = self.train_items().join(tiers, on="item_id", how="left")
        made = pl.col("tier") == "synthetic"
        if rows.filter(made).is_empty():
            raise FrameError("no training item is from a source of tier synthetic")
        with Progress("Training the proxy") as progress:
            return keep_synthetic(
                rows.filter(~made), rows.filter(made), self._dev(),
                handwritten=self._handwritten(), margin=margin, progress=progress,
            )  # fmt: skip

    def _dev(self) -> pl.DataFrame:
        """Return the dev items with their domains."""
        dev = self._opened().filter(pl.col("set") == "dev")
        about = self.open_items().select("item_id", "domain")
        found = dev.join(about, on="item_id", how="left", maintain_order="left")
        return found.with_columns(pl.col("domain").fill_null(pl.col("category")))
