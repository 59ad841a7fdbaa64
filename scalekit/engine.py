"""The same table work on one machine or many: one method, ``run(function, parts)``.

A part is a Parquet file. A function takes a part's table and returns a table. The result of a part
is a Parquet file named by what went in (the function's name, code and version, its settings, the
part's digest), written under a temporary name and renamed: a restart finds finished parts and goes
on, a new batch leaves the results of the earlier ones standing.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Protocol

import polars as pl

from scalekit.frames import write_parquet
from scalekit.signing import digest, digest_file

__all__ = ["Engine", "EngineError", "Local", "Pool", "Ray", "Work", "cut"]

Work = Callable[..., pl.DataFrame]
Progress = Callable[[int, int], None]
Order = tuple[Work, Path, Path, dict[str, Any]]


class EngineError(RuntimeError):
    """The work could not be given to other processes; the message says why and what to do."""


class Engine(Protocol):
    """Runs a function over parts; results are the same, bit by bit, whichever engine ran them."""

    def run(
        self,
        function: Work,
        parts: Sequence[Path],
        into: Path,
        settings: Mapping[str, Any],
        progress: Progress | None = None,
        version: int = 1,
    ) -> list[Path]:
        """Return the result file of each part, in order."""
        ...


def result_path(
    function: Work, part: Path, into: Path, settings: Mapping[str, Any], version: int = 1
) -> Path:
    """Return the name of a part's result: equal inputs give equal names."""
    named = f"{function.__module__}.{function.__qualname__}"
    code = _code_mark(function.__code__) if isinstance(function, FunctionType) else ""
    work = {"function": named, "code": code, "version": version, "settings": dict(settings)}
    name = digest({**work, "part": digest_file(part)})
    return into / f"{function.__name__}-{name.rpartition(':')[2][:24]}.parquet"


def _code_mark(code: CodeType) -> str:
    """Return a digest of a function's own code, so that two of one name are told apart."""
    constants = [_code_mark(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return digest([code.co_code.hex(), list(code.co_names), constants])


class _Parts:
    """What all engines share: which parts are to be worked, and telling how far it is."""

    def run(
        self,
        function: Work,
        parts: Sequence[Path],
        into: Path,
        settings: Mapping[str, Any],
        progress: Progress | None = None,
        version: int = 1,
    ) -> list[Path]:
        """Run ``function(table, **settings)`` on each part that has no result yet.

        Parameters
        ----------
        function
            From a table to a table.
        parts
            Parquet files.
        into
            Folder for the results.
        settings
            Keyword arguments, without floats (they are part of the result's name).
        progress
            Called as ``progress(done, total)`` after each part.
        version
            Of what the function does: another number, and every part is worked anew.

        Raises
        ------
        EngineError
            When another process can't find the function, or one died.
        """
        results = [result_path(function, part, into, settings, version) for part in parts]
        orders = {
            result: (function, part, result, dict(settings))
            for part, result in zip(parts, results, strict=True)
            if not result.exists()
        }
        done = len(parts) - len(orders)
        if progress is not None and done:
            progress(done, len(parts))
        for _ in self._worked(list(orders.values())):
            done += 1
            if progress is not None:
                progress(done, len(parts))
        return results

    def _worked(self, orders: list[Order]) -> Iterator[None]:
        raise NotImplementedError


def work(function: Work, part: Path, result: Path, settings: Mapping[str, Any]) -> None:
    """Work one part: the same in whichever process."""
    write_parquet(function(pl.read_parquet(part), **settings), result)


def cut(parts: Sequence[Path], into: Path, rows: int = 50_000) -> list[Path]:
    """Return the parts, those of more than *rows* rows as several files of as many; rows in order.

    The files are named by what is in the part, and written once.
    """
    found = []
    for part in parts:
        many = pl.scan_parquet(part).select(pl.len()).collect().item()
        if many <= rows:
            found.append(part)
            continue
        name = digest_file(part).rpartition(":")[2][:24]
        for start in range(0, many, rows):
            piece = into / f"{name}-{start // rows}.parquet"
            if not piece.exists():
                write_parquet(pl.scan_parquet(part).slice(start, rows).collect(), piece)
            found.append(piece)
    return found


class Local(_Parts):
    """One process, one part after another."""

    def _worked(self, orders: list[Order]) -> Iterator[None]:
        for order in orders:
            work(*order)
            yield


class Pool(_Parts):
    """Processes of this machine, as many as it has processors unless *workers* says otherwise."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1

    def _worked(self, orders: list[Order]) -> Iterator[None]:
        if not orders:
            return
        _importable(orders[0][0])
        # Spawned: a forked child of a process with threads (polars, a kernel) can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self.workers, len(orders)), mp_context=context) as pool:
            futures = [pool.submit(work, *order) for order in orders]
            try:
                for future in as_completed(futures):
                    future.result()
                    yield
            except BrokenProcessPool as error:
                raise EngineError(
                    "a worker died, perhaps for want of memory. What is finished is kept: run it "
                    "again, with fewer workers or smaller parts"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


class Ray(_Parts):
    """A Ray cluster (extra ``scalekit[cluster]``); parts and results lie on a path all nodes see.

    An open connection is used; else *address* and other arguments go to ``ray.init``.
    """

    def __init__(self, **connection: Any) -> None:
        self.connection = connection

    def _worked(self, orders: list[Order]) -> Iterator[None]:
        if not orders:
            return
        _importable(orders[0][0])
        try:
            import ray
        except ImportError as error:
            raise EngineError(
                "Ray is not installed: pip install 'scalekit[cluster]', or use Pool"
            ) from error
        if not ray.is_initialized():
            ray.init(**{"include_dashboard": False, "log_to_driver": False, **self.connection})
        remote = ray.remote(work)
        waiting = [remote.remote(*order) for order in orders]
        while waiting:
            done, waiting = ray.wait(waiting)
            for one in done:
                ray.get(one)
                yield


def _importable(function: Work) -> None:
    """Refuse a function that other processes can't import."""
    name = f"{function.__module__}.{function.__qualname__}"
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise EngineError(
            f"{name} can't be imported by another process: put it in a module (a .py file beside "
            "the notebook), or use Local"
        )
