"""Run code that is shown sealed items so that nothing of them reaches a page, a log or a traceback.

What can't be prevented: the code itself may keep, write or send what it is shown, and whoever can
change this process can read its memory.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["concealed"]


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def concealed(act: Callable[[], Any]) -> tuple[Any, str]:
    """Return what *act* returns, or None and the kind of error it failed with.

    Its output goes nowhere: prints, displays, warnings, log records, and what is written to the
    process's standard streams below Python. Of an error only the name of its class is kept; the
    variables of its frames are cleared.

    Raises
    ------
    KeyboardInterrupt
        When it was stopped: anew, without what it interrupted.
    """
    said, stopped = "", False
    found = None
    with _silence():
        try:
            found = act()
        except BaseException as error:
            said, stopped = type(error).__name__, isinstance(error, KeyboardInterrupt)
            _forget(error)
    if stopped:
        raise KeyboardInterrupt("stopped while sealed items were shown; the look is charged")
    return found, said


def _forget(error: BaseException) -> None:
    """Clear the variables of every frame that an error, or what led to it, came through."""
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        left += [e for e in (one.__cause__, one.__context__) if e is not None]
        left += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        one.args, one.__traceback__ = (), None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(_streams())
        if "IPython" in sys.modules:
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output())
        stack.enter_context(contextlib.redirect_stdout(_Nowhere()))
        stack.enter_context(contextlib.redirect_stderr(_Nowhere()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(sys.maxsize)
        try:
            yield
        finally:
            logging.disable(before)


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Point the process's standard output and error nowhere, also for what is not Python."""
    kept: list[tuple[int, int]] = []
    with Path(os.devnull).open("wb") as nowhere:
        for number in (1, 2):
            with contextlib.suppress(OSError):  # a service may have none
                _flush()
                kept.append((number, os.dup(number)))
                os.dup2(nowhere.fileno(), number)
        try:
            yield
        finally:
            _flush()
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
