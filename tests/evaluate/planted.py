"""Simulated annotation with planted faults: what the tests and the benchmark of trace share.

Bags of words of two classes in five domains of unequal difficulty; an accepted release with 3 % of
its labels wrong; a new release labelled by 20 annotators of four cohorts in 15 batches, whose own
errors are drawn from Beta(2, 38): 5 % with a standard deviation of 3.4 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from scalekit.evaluate.tracing import Trace, trace

Array = NDArray[Any]
DOMAINS, ANNOTATORS, COHORTS, BATCHES = 5, 20, 4, 15
WORDS, LENGTH = 300, 30
HARD = (1.5, 1.15, 0.95, 0.75, 0.45)  # how far the words of yes and no lie apart, by domain
CLASSES = np.array(["no", "yes"])


@dataclass(frozen=True)
class Release:
    """Labelled items: bags of words, the truth and the label given, and who gave it where."""

    name: str
    words: Array
    truth: Array
    label: Array
    domain: Array
    annotator: Array
    batch: Array

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def cohort(self) -> Array:
        return self.annotator % COHORTS

    @property
    def ids(self) -> list[str]:
        return [f"{self.name}{i:05d}" for i in range(len(self))]

    def table(self) -> pl.DataFrame:
        """Return the columns that trace reads, one row a label."""
        return pl.DataFrame(
            {
                "item_id": self.ids,
                "value": CLASSES[self.label],
                "domain": [f"domain{d}" for d in self.domain],
                "annotator": [f"a{a:02d}" for a in self.annotator],
                "cohort": [f"cohort{c}" for c in self.cohort],
                "batch_id": [f"b{b:02d}" for b in self.batch],
            }
        )

    def features(self) -> pl.DataFrame:
        """Return ``item_id`` and a column for each word."""
        return pl.DataFrame({"item_id": self.ids}).hstack(
            pl.DataFrame(self.words, schema=[f"w{i:03d}" for i in range(WORDS)], orient="row")
        )

    def relabelled(self, rows: Array) -> Release:
        """Return the release with the right label in *rows*."""
        label = self.label.copy()
        label[rows] = self.truth[rows]
        return replace(self, label=label)


class World:
    """What words mean: fixed by the seed, the same for every release drawn from it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        topic = self.rng.normal(0, 1, (DOMAINS, 1, WORDS))
        apart = self.rng.normal(0, 1, (DOMAINS, 1, WORDS)) * np.array(HARD)[:, None, None]
        logits = topic + apart * np.array([-0.5, 0.5])[:, None]
        chances = np.exp(logits)
        self.chances = chances / chances.sum(2, keepdims=True)
        self.errors = self.rng.beta(2, 38, ANNOTATORS)

    def release(self, name: str, n: int, errors: float | None = None) -> Release:
        """Draw a release; its annotators err by their own rates, or all by *errors*."""
        domain = self.rng.integers(0, DOMAINS, n)
        truth = self.rng.integers(0, 2, n)
        words = np.zeros((n, WORDS))
        for d in range(DOMAINS):
            for y in range(2):
                own = (domain == d) & (truth == y)
                words[own] = self.rng.multinomial(LENGTH, self.chances[d, y], int(own.sum()))
        annotator = self.rng.integers(0, ANNOTATORS, n)
        rate = self.errors[annotator] if errors is None else np.full(n, errors)
        label = np.where(self.rng.random(n) < rate, 1 - truth, truth)
        batch = self.rng.integers(0, BATCHES, n)
        return Release(name, words, truth, label, domain, annotator, batch)

    def harder(self, given: Release, rows: Array, length: int = LENGTH // 3) -> Release:
        """Return the release with fewer words in *rows*: harder items, labelled as well as ever."""
        words = given.words.copy()
        for i in np.flatnonzero(rows):
            chances = self.chances[given.domain[i], given.truth[i]]
            words[i] = self.rng.multinomial(length, chances)
        return replace(given, words=words)

    def random_fault(self, given: Release, rows: Array, rate: float) -> Release:
        """Return the release with *rate* of the labels in *rows* wrong, at random."""
        wrong = self.rng.random(len(given)) < rate
        label = np.where(rows & wrong, 1 - given.truth, given.label)
        return replace(given, label=label)

    def systematic_fault(self, given: Release, rows: Array, rate: float) -> Release:
        """Return the release with *rate* of the noes in *rows* labelled yes."""
        hit = rows & (given.truth == 0) & (self.rng.random(len(given)) < rate)
        return replace(given, label=np.where(hit, 1, given.label))


def proxy() -> Any:
    """Return the logistic regression that stands for the model."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.05, tol=1e-3, max_iter=300)


def traced(new: Release, accepted: Release | None, **options: Any) -> Trace:
    """Return the trace of a release against the accepted one."""
    both = [new, accepted] if accepted is not None else [new]
    with threadpool_limits(1):  # the matrices are small: threads would only wait for each other
        return trace(
            new.table(),
            accepted=accepted.table() if accepted is not None else None,
            features=pl.concat([r.features() for r in both]),
            make_proxy=proxy,
            **options,
        )


def flags(found: Trace) -> set[tuple[str, str]]:
    """Return factor and level of what is flagged."""
    return set(found.table.filter("flagged").select("factor", "level").rows())


def first(found: Trace) -> tuple[str, str]:
    """Return factor and level of what is ranked first."""
    factor, level = found.table.select("factor", "level").row(0)
    return factor, level


def queued(found: Trace) -> Array:
    """Return the places of the items in the queue."""
    return np.array([int(i[-5:]) for i in found.queue["item_id"]], dtype=np.int64)


def scored(model: Any, items: Release) -> pl.DataFrame:
    """Return ``item_id, score, domain`` of a model on items with their truth."""
    right = CLASSES[items.truth] == model.predict(items.words)
    domain = [f"domain{d}" for d in items.domain]
    return pl.DataFrame({"item_id": items.ids, "score": right.astype(int), "domain": domain})


def fitted(given: Release) -> Any:
    """Return the proxy, trained on a release."""
    with threadpool_limits(1):
        return proxy().fit(given.words, CLASSES[given.label])
