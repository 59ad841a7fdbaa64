"""What every widget has: acts as messages, each acknowledged, and a static view beside it.

The front end sends ``{id, kind, ...}`` and waits for ``{reply: id, ...}``. Messages and not traits,
because trait sync drops fast changes; a reply for each, because an exception in a callback is
invisible in a notebook. A reply with ``error`` says why the act was not taken; ``final`` in it says
that sending the same act again can't help.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import HTML, DisplayHandle, display

__all__ = ["Throttle", "Widget", "script", "style"]

HERE = Path(__file__).parent
SUMMARY_INTERVAL = 1.0
_IMPORT = re.compile(r'^import .* from "\./(\w+)\.js";\n', re.MULTILINE)


def script(name: str) -> str:
    """Return the ES module *name* with the modules it imports from this folder put before it.

    The browser loads a widget's module from a Blob URL, where a relative import has no meaning.
    """
    return "\n".join(_modules(name, {}).values())


def _modules(name: str, found: dict[str, str]) -> dict[str, str]:
    """Add module *name* to *found*, after those it imports."""
    source = (HERE / f"{name}.js").read_text(encoding="utf-8")
    for imported in _IMPORT.findall(source):
        if imported not in found:
            _modules(imported, found)
    found[name] = _IMPORT.sub("", source)
    return found


def style(*names: str) -> str:
    """Return the style sheets *names*, after the colours and controls that all widgets share."""
    sheets = (HERE / f"{name}.css" for name in ("theme", *names))
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


class Throttle:
    """Calls *function* at most once in *interval* seconds, and always after the last request."""

    def __init__(self, function: Callable[[], None], interval: float = SUMMARY_INTERVAL) -> None:
        self._function, self._interval = function, interval
        self._lock = threading.Lock()
        self._waiting = False
        self._last = float("-inf")

    def request(self) -> None:
        """Ask for a call, now or when the interval has passed."""
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
            wait = max(0.0, self._last + self._interval - time.monotonic())
        timer = threading.Timer(wait, self._call)
        timer.daemon = True
        timer.start()

    def _call(self) -> None:
        # Cleared first: a request that comes while the function runs must lead to one more call.
        with self._lock:
            self._waiting = False
            self._last = time.monotonic()
        self._function()


class Widget(anywidget.AnyWidget):  # type: ignore[misc]
    """A widget whose front end sends acts and is told what became of each.

    It shows two outputs: itself, and beside it a static summary of what is saved. The summary is
    an output of its own, because updating the widget's would draw it anew and drop the focus, and
    because it is what a reader sees when the kernel is gone. A subclass gives ``answer`` (do what a
    message asks and return the fields of the reply) and ``to_html``.
    """

    config = traitlets.Dict().tag(sync=True)

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config=dict(config))
        self._lock = threading.RLock()  # of what messages change
        self._drawing = threading.Lock()
        self._summaries: list[DisplayHandle] = []
        self._shown = ""
        self._refresh = Throttle(self._update_summaries)
        self.on_msg(self._receive)

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what *message* asks; return what to reply."""
        raise NotImplementedError

    def to_html(self) -> str:
        """Return the static view of what is saved; called beside messages, which don't wait."""
        raise NotImplementedError

    def _receive(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        # JupyterLab may deliver in the main thread and in a subshell's at the same time.
        with self._lock:
            self.send(self._reply(message))
        self._refresh.request()

    def _reply(self, message: Mapping[str, Any]) -> dict[str, Any]:
        head = {"reply": message.get("id")}
        if message.get("kind") == "ping":
            return head
        try:
            return {**head, **self.answer(message)}
        except Exception as error:
            why = str(error) or type(error).__name__
            return {**head, "error": why, "final": isinstance(error, ValueError | TypeError)}

    def _update_summaries(self) -> None:
        if not self._summaries:
            return
        with self._drawing:
            before, summary = self._shown, self._summary()
            if summary.data != before:
                for handle in self._summaries:
                    handle.update(summary)

    def _summary(self) -> HTML:
        self._shown = self.to_html()
        return HTML(self._shown)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        plain = f"[{type(self).__name__}: interactive; what is saved stands below]"
        return {**data, "text/plain": plain}, metadata

    def _ipython_display_(self) -> None:
        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)
        handle = display(self._summary(), display_id=True)
        if handle is not None:
            self._summaries.append(handle)
