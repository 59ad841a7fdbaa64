"""Forecast without history: the last release, made as small and as wrong as the new data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalekit.display import View, block, note, table
from scalekit.evaluate.examples import Examples, examples, right
from scalekit.evaluate.gold_error import GoldError, gold_error
from scalekit.evaluate.proxy import MakeProxy, text_proxy
from scalekit.figures import error_bars, figure
from scalekit.frames import to_polars
from scalekit.intervals import wilson
from scalekit.signing import digest

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Forecast", "ForecastError", "forecast"]

MODEL = "noise injection"
Scores = NDArray[np.float64]


class ForecastError(ValueError):
    """There is not enough to forecast from; the message says what is missing."""


@dataclass(frozen=True)
class Forecast(View):
    """What the proxy will score on dev when it is trained on the new data.

    ``expected`` lies with 95 % between ``low`` and ``high``; ``last`` is what the same proxy scores
    after the accepted release. ``draws``: ``draw, error, score``, one row a training; ``domains``:
    ``domain, items, checked, wrong, dev, last, expected, from, to``. ``notes`` say what the
    forecast could not know.
    """

    expected: float
    low: float
    high: float
    last: float
    draws: pl.DataFrame
    domains: pl.DataFrame
    notes: tuple[str, ...]
    basis: Mapping[str, str | int]

    @property
    def table(self) -> pl.DataFrame:
        """The forecast of the whole, one row."""
        return pl.DataFrame(
            {
                "last release": [self.last],
                "expected": [self.expected],
                "from": [self.low],
                "to": [self.high],
                "items": [self.basis["items"]],
                "labels checked": [self.basis["checked"]],
                "of these wrong": [self.basis["wrong"]],
            }
        )

    def record(self) -> dict[str, str | int]:
        """Return the forecast for a journal, to be written before training: scores as text."""
        said = {"expected": self.expected, "from": self.low, "to": self.high, "last": self.last}
        return {**self.basis, **{name: f"{value:.4f}" for name, value in said.items()}}

    def plot(self) -> go.Figure:
        """Return last and expected scores, domain by domain."""
        import plotly.graph_objects as go

        whole = {"domain": "all", "last": self.last, "expected": self.expected}
        whole |= {"from": self.low, "to": self.high}
        rows = pl.DataFrame([whole, *(self.domains.to_dicts() if len(self.domains) > 1 else [])])
        names = rows["domain"].to_list()
        drawn = figure("Forecast of the dev score, with 95 % intervals", y="accuracy")
        error = error_bars(rows, "expected", 4)
        for name, extra in (("last", {}), ("expected", {"error_y": error})):
            heights = rows[name].round(4).to_list()
            drawn.add_trace(go.Bar(name=name, x=names, y=heights, **extra))
        return drawn.update_yaxes(range=[0, 1.05])

    def to_html(self) -> str:
        """Show the forecast, its domains, and what it could not know."""
        low, high = wilson(int(self.basis["wrong"]), int(self.basis["checked"]))
        said = (
            f"{self.basis['wrong']} of {self.basis['checked']} checked labels are wrong "
            f"({low:.1%} to {high:.1%}). The last release was made as wrong and as large "
            f"{len(self.draws)} times, and the proxy trained on each."
        )
        cells = table(self.domains) if len(self.domains) > 1 else ""
        return block("Forecast", table(self.table), note(said), cells, *map(note, self.notes))


def forecast(
    accepted: Any,
    dev: Any,
    checks: Any,
    *,
    planned: int | Mapping[str, int],
    accepted_checks: Any = None,
    features: Any = None,
    make_proxy: MakeProxy = text_proxy,
    proxy: str = "",
    draws: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast the dev score of the new data before anything is trained on it.

    As often as *draws* says: error rates are drawn from the Beta posterior of the new data's gold
    checks, domain by domain; the accepted release is subsampled to the planned size and mix; its
    labels are made wrong at these rates in the pattern that the checks show; the proxy is trained.
    The interval adds the sampling error of dev to what the draws vary, by Student's t with
    Satterthwaite's (1946, Biometrics Bulletin 2) degrees of freedom.

    Parameters
    ----------
    accepted
        The last accepted release: ``item_id, category`` and, without *features*, ``text``;
        ``domain`` if there are domains.
    dev
        Likewise.
    checks
        A random sample of the new labels beside gold: ``value, gold`` and, if known, ``domain``.
    planned
        How many items the new data has, or how many of each domain.
    accepted_checks
        Such a sample of the accepted release. Without it its labels are taken as right.
    features
        ``item_id`` and a column for each feature, of accepted and dev items, for a proxy that reads
        no texts.
    make_proxy
        Makes the untrained proxy; *proxy* is its name in the record, by default the function's.
    draws
        How often the proxy is trained, 4 or more.
    seed
        Another seed, other draws.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    FrameError
        When a column or a value is missing.
    ForecastError
        When a domain is planned that the accepted release does not have, or draws are too few.
    """
    if draws < 4:
        raise ForecastError(f"draws={draws}: with fewer than 4 trainings there is no interval")
    known = None if features is None else to_polars(features, "features")
    old, asked = examples(accepted, known, "accepted release"), examples(dev, known, "dev")
    wrong = gold_error(checks)
    before = None if accepted_checks is None else gold_error(accepted_checks, "accepted checks")
    plan = _plan(planned, old)
    rng = np.random.default_rng(seed)
    last = right(make_proxy, old, asked)
    scores, errors = [], []
    for done in range(draws):
        if progress is not None:
            progress(done + 1, draws + 1)
        made, error = _made_wrong(_subsample(old, plan, rng), wrong, before, rng)
        scores.append(right(make_proxy, made, asked))
        errors.append(error)
    if progress is not None:
        progress(draws + 1, draws + 1)
    answers = np.array(scores)
    found = _spread(answers)
    basis = {
        "model": MODEL,
        "proxy": proxy or getattr(make_proxy, "__qualname__", type(make_proxy).__name__),
        "dev": version(asked),
        "accepted": version(old),
        "items": sum(plan.values()),
        "checked": wrong.n,
        "wrong": wrong.wrong,
        "draws": draws,
        "seed": seed,
    }
    rows = {"draw": range(1, draws + 1), "error": errors, "score": answers.mean(1)}
    domains = _by_domain(answers, last, asked, plan, wrong)
    notes = tuple(_notes(old, plan, wrong, before))
    return Forecast(*found, float(last.mean()), pl.DataFrame(rows), domains, notes, basis)


def version(items: Examples) -> str:
    """Return the digest of items and labels by which two evaluations are told apart."""
    pairs = zip(items.ids.tolist(), items.labels.tolist(), strict=True)
    return digest(sorted([str(i), str(label)] for i, label in pairs))


def _plan(planned: int | Mapping[str, int], old: Examples) -> dict[str, int]:
    names, counts = np.unique(old.domains, return_counts=True)
    if isinstance(planned, Mapping):
        unknown = sorted(set(planned) - set(names))
        if unknown:
            raise ForecastError(
                f"domain {unknown[0]!r} is planned, and the accepted release has no item of it: "
                f"nothing tells what it will do. It has {', '.join(map(repr, names))}"
            )
        plan = {name: n for name, n in sorted(planned.items()) if n > 0}
    else:
        shares = np.floor(counts / counts.sum() * planned).astype(int)
        order = np.argsort(shares - counts / counts.sum() * planned, kind="stable")
        shares[order[: planned - shares.sum()]] += 1
        plan = {str(name): int(n) for name, n in zip(names, shares, strict=True) if n}
    if sum(plan.values()) < 2:
        raise ForecastError(f"planned={planned!r}: two items or more are needed")
    return plan


def _subsample(old: Examples, plan: Mapping[str, int], rng: np.random.Generator) -> Examples:
    rows = []
    for name, n in plan.items():
        own = rng.permutation(np.flatnonzero(old.domains == name))
        # Where more is planned than there is, the rest are repeats.
        rows.append(np.concatenate([own[:n], rng.choice(own, max(n - len(own), 0))]))
    return old[np.concatenate(rows)]


def _made_wrong(
    clean: Examples, wrong: GoldError, before: GoldError | None, rng: np.random.Generator
) -> tuple[Examples, float]:
    """Return the items at the new error rates, and the rate over all of them."""
    pooled, rates = wrong.draw(rng)
    there, theirs = before.draw(rng) if before is not None else (0.0, {})
    target = np.array([rates.get(d, pooled) for d in clean.domains])
    held = np.array([theirs.get(d, there) for d in clean.domains])
    # What is wrong already need not be made wrong: of k labels a wrong one turns right again with
    # 1 / (k - 1).
    k = max(len(wrong.classes), 2)
    added = (target - held) / np.maximum(1 - held * k / (k - 1), 1e-9)
    return wrong.corrupt(clean, np.clip(added, 0, 1), rng), float(target.mean())


def _spread(answers: Scores) -> tuple[float, float, float]:
    """Return mean and 95 % interval of the score, from 0 and 1 by draw and dev item."""
    from scipy.stats import t

    scores = answers.mean(1)
    draws, n = answers.shape
    middle = float(scores.mean())
    # The score of one more draw, not of their mean.
    between = float(scores.var(ddof=1)) * (1 + 1 / draws)
    items = middle * (1 - middle) / n
    total = between + items
    freedom = total**2 * (draws - 1) / between**2 if between > 0 else np.inf
    half = float(t.ppf(0.975, freedom)) * total**0.5
    return middle, max(0.0, middle - half), min(1.0, middle + half)


def _by_domain(
    answers: Scores, last: Scores, asked: Examples, plan: Mapping[str, int], wrong: GoldError
) -> pl.DataFrame:
    checked = {d: (n, k) for d, k, n in wrong.domains.select("domain", "wrong", "n").iter_rows()}
    rows = []
    for name in np.unique(asked.domains):
        own = asked.domains == name
        n, k = checked.get(name, (0, 0))
        middle, low, high = _spread(answers[:, own])
        ends = {"expected": middle, "from": low, "to": high}
        cell = {"domain": str(name), "items": plan.get(str(name), 0), "checked": n, "wrong": k}
        rows.append({**cell, "dev": int(own.sum()), "last": float(last[own].mean()), **ends})
    return pl.DataFrame(rows)


def _notes(
    old: Examples, plan: Mapping[str, int], wrong: GoldError, before: GoldError | None
) -> list[str]:
    said = []
    names, counts = np.unique(old.domains, return_counts=True)
    there = dict(zip(names.tolist(), counts.tolist(), strict=True))
    short = [name or "the data" for name, n in plan.items() if n > there[name]]
    if short:
        said.append(
            f"More is planned of {', '.join(short)} than the accepted release has: items were "
            "repeated, so what more data would add is not in the forecast."
        )
    checked = dict(wrong.domains.select("domain", "n").iter_rows())
    blind = [name for name in plan if checked.get(name, 0) == 0]
    if blind:
        said.append(f"No label of {', '.join(blind)} was checked: the rate of all was taken.")
    if before is None:
        said.append(
            "The accepted release was taken as right; if it has errors, the forecast counts them "
            "twice."
        )
    said.append("The forecast knows wrong labels, size and mix. It does not know other new text.")
    return said
