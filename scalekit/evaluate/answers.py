"""Answers: a model asked in batches, what it cost, and what is kept so that a crash loses nothing.

A store is a journal. Each batch is on disk before the next is asked; what is asked again, after a
crash or with another scorer, is only what is missing. An answer is found by the digests of the
model, of how it is asked, and of the text.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import View, block, counted, table
from scalekit.journal import Journal, read

__all__ = ["Answered", "Cost", "Predict", "PredictionError", "ask"]

Progress = Callable[[int, int], None]


class PredictionError(ValueError):
    """What was measured did not answer as asked; the message says how."""


@dataclass(frozen=True)
class Answered:
    """Answers with what they cost, for a model that reports it: returned in place of a list.

    ``tokens_in`` and ``tokens_out`` are sums over the batch, ``price`` the price of the batch in
    the currency of your choice (text or Decimal: no cent is lost).
    """

    answers: Sequence[str]
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: Decimal | str | None = None


Predict = Callable[[list[str]], Sequence[str] | Answered]


@dataclass(frozen=True)
class Cost(View):
    """What measuring took, answers from the store included at what they took then.

    ``asked`` were asked now, the ``stored`` others came from the store (a text that repeats is
    there the second time); ``seconds`` is time in the model.
    Tokens and price are None when the model does not report them.
    """

    items: int
    asked: int
    stored: int
    seconds: float
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: Decimal | None = None

    @property
    def table(self) -> pl.DataFrame:
        """One row; ``seconds an item`` counts each item once."""
        price = None if self.price is None else float(self.price)
        each = {"seconds an item": self.seconds / self.items if self.items else None}
        if price is not None and self.items:
            each["price an item"] = price / self.items
        counts = {"items": self.items, "asked now": self.asked, "from the store": self.stored}
        tokens = {"tokens in": self.tokens_in, "tokens out": self.tokens_out}
        whole = {**counts, "seconds": self.seconds, **each, **tokens, "price": price}
        return pl.DataFrame([{k: v for k, v in whole.items() if v is not None}])

    def plus(self, other: Cost) -> Cost:
        """Return the sum of both."""
        return Cost(
            self.items + other.items,
            self.asked + other.asked,
            self.stored + other.stored,
            self.seconds + other.seconds,
            _sum(self.tokens_in, other.tokens_in),
            _sum(self.tokens_out, other.tokens_out),
            _sum(self.price, other.price),
        )

    def said(self) -> str:
        """Return one sentence."""
        each = f"{1000 * self.seconds / self.items:.3g} ms an item" if self.items else ""
        parts = [f"{counted(self.items, 'item')} in {self.seconds:.3g} s in the model ({each})"]
        if self.stored:
            parts.append(f"{self.stored:,} answers came from the store")
        if self.tokens_in is not None or self.tokens_out is not None:
            parts.append(f"{self.tokens_in or 0:,} tokens in, {self.tokens_out or 0:,} out")
        if self.price is not None:
            parts.append(f"price {self.price.normalize():f}")
        return "; ".join(parts) + "."

    def to_html(self) -> str:
        """Show the sentence and the row."""
        return block("Cost of measuring", self.said(), table(self.table))


def ask(
    predict: Predict,
    texts: Sequence[str],
    *,
    batch: int,
    progress: Progress | None = None,
    store: Path | None = None,
    model: str = "",
    protocol: str = "",
) -> tuple[list[str], Cost]:
    """Return the answer to each text, and what they cost.

    Parameters
    ----------
    predict
        From a list of texts to as many answers, or :class:`Answered`.
    texts
        What is asked, in order; with a store a text that repeats is asked once.
    batch
        Texts handed over at a time.
    progress
        Called as ``progress(done, total)``.
    store
        The journal of answers; it is made if it is not there. It holds answers, so a sealed set
        must not be asked with one.
    model, protocol
        Digests of the model and of how it is asked; a store needs the first.

    Raises
    ------
    PredictionError
        When the number of answers is not that of the texts, or an answer is not text.
    ValueError
        When there is a store and no *model*, or *batch* is less than 1.
    JournalError
        When the store is held by another process or was changed from outside.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if store is None:
        answers: list[str] = []
        spent = _Spent()
        for start in range(0, len(texts), batch):
            answers += spent.asked(predict, texts[start : start + batch])
            if progress is not None:
                progress(len(answers), len(texts))
        return answers, spent.cost(len(texts))
    if not model:
        raise ValueError(
            "a store keeps answers by model: say model=, a digest or a name that changes when the "
            "model does"
        )
    return _with_store(predict, texts, batch, progress, Path(store), (model, protocol))


def _with_store(
    predict: Predict,
    texts: Sequence[str],
    batch: int,
    progress: Progress | None,
    store: Path,
    asked_as: tuple[str, str],
) -> tuple[list[str], Cost]:
    keys = [_key(text, *asked_as) for text in texts]
    first = dict(zip(reversed(keys), reversed(texts), strict=True))
    with Journal(store) as journal:
        known, spent = _kept(store, set(first))
        times = Counter(keys)
        missing = [key for key in times if key not in known]
        done = len(keys) - sum(times[key] for key in missing)
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            one = _Spent()
            said = one.asked(predict, [first[key] for key in part])
            journal.append("answers", {"keys": part, "answers": said, **one.record()})
            known.update(zip(part, said, strict=True))
            spent.add(one)
            done += sum(times[key] for key in part)
            if progress is not None:
                progress(done, len(texts))
    if progress is not None and not missing:
        progress(len(texts), len(texts))
    return [known[key] for key in keys], spent.cost(len(texts))


def _key(text: str, model: str, protocol: str) -> str:
    # With their lengths in front, so that no two of them run together into a third.
    asked = f"{len(model)}:{len(protocol)}:{model}{protocol}{text}"
    return hashlib.sha256(asked.encode()).hexdigest()[:32]


def _kept(store: Path, wanted: set[str]) -> tuple[dict[str, str], _Spent]:
    """Return the answers of the store that are wanted, and what their batches cost in share."""
    known: dict[str, str] = {}
    spent = _Spent()
    for event in read(store):
        if event.kind != "answers":
            continue
        keys, answers = event.data["keys"], event.data["answers"]
        here = {k: a for k, a in zip(keys, answers, strict=True) if k in wanted}
        if here:
            known.update(here)
            spent.add(_Spent.of(event.data), len(here) / len(keys))
    return known, spent


class _Spent:
    """Sums of time, tokens and price."""

    def __init__(self) -> None:
        self.texts = 0
        self.microseconds = 0
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.price: Decimal | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> _Spent:
        found = cls()
        found.microseconds = record["microseconds"]
        found.tokens_in, found.tokens_out = record.get("tokens_in"), record.get("tokens_out")
        found.price = Decimal(record["price"]) if "price" in record else None
        return found

    def asked(self, predict: Predict, texts: Sequence[str]) -> list[str]:
        start = time.perf_counter_ns()
        said = predict(list(texts))
        self.microseconds += (time.perf_counter_ns() - start) // 1000
        self.texts += len(texts)
        if isinstance(said, Answered):
            self.tokens_in = _sum(self.tokens_in, said.tokens_in)
            self.tokens_out = _sum(self.tokens_out, said.tokens_out)
            price = None if said.price is None else Decimal(str(said.price))
            self.price = _sum(self.price, price)
            said = said.answers
        return _checked(said, len(texts))

    def add(self, other: _Spent, share: float = 1.0) -> None:
        def part(value: int | None) -> int | None:
            return None if value is None else round(value * share)

        self.texts += other.texts
        self.microseconds += round(other.microseconds * share)
        self.tokens_in = _sum(self.tokens_in, part(other.tokens_in))
        self.tokens_out = _sum(self.tokens_out, part(other.tokens_out))
        price = None if other.price is None else other.price * Decimal(str(share))
        self.price = _sum(self.price, price)

    def record(self) -> dict[str, Any]:
        """Return the sums as a journal takes them: whole units and text."""
        optional = {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out}
        optional["price"] = None if self.price is None else str(self.price)  # type: ignore[assignment]
        kept = {name: value for name, value in optional.items() if value is not None}
        return {"microseconds": self.microseconds, **kept}

    def cost(self, items: int) -> Cost:
        seconds, stored = self.microseconds / 1e6, items - self.texts
        return Cost(items, self.texts, stored, seconds, self.tokens_in, self.tokens_out, self.price)


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _checked(said: Any, asked: int) -> list[str]:
    if isinstance(said, str) or not isinstance(said, Sized) or len(said) != asked:
        got = f"{len(said)} answers" if isinstance(said, Sized) else type(said).__name__
        got = "one text" if isinstance(said, str) else got
        raise PredictionError(
            f"predict was given {asked} texts and returned {got}; a list with one "
            "category name for each is needed"
        )
    answers = list(said)  # type: ignore[call-overload]
    wrong = [s for s in answers if not isinstance(s, str)]
    if wrong:
        raise PredictionError(f"predict must return category names, got {wrong[0]!r}")
    return [str(s) for s in answers]
