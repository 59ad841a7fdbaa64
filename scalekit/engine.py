"""The same table work on one machine or many: one method, ``run(function, parts)``.

A part is a Parquet file. A function takes a part's table and returns a table. The result of a part
is a Parquet file named by what went in (the function's name, code and version, its settings, the
part's digest), written under a temporary name and renamed: a restart finds finished parts and goes
on, a new batch leaves the results of the earlier ones standing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Protocol

import polars as pl

from scalekit.frames import write_parquet
from scalekit.signing import digest, digest_file

__all__ = ["Engine", "Local", "Work"]

Work = Callable[..., pl.DataFrame]
Progress = Callable[[int, int], None]


class Engine(Protocol):
    """Runs a function over parts; results are the same whichever engine ran them."""

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


class Local:
    """One process, one part after another."""

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
        """
        results = []
        for done, part in enumerate(parts, 1):
            result = result_path(function, part, into, settings, version)
            if not result.exists():
                write_parquet(function(pl.read_parquet(part), **settings), result)
            results.append(result)
            if progress is not None:
                progress(done, len(parts))
        return results
