"""The Stepper: step a training run, watch each depth learn, go back if need be."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scalekit.display import block, counted, note, table
from scalekit.figures import INK, PALETTE, figure, figure_png
from scalekit.govern.step_report import StepReport
from scalekit.widgets.base import Widget, script, style

__all__ = ["Steppable", "Stepper"]

PUSHES = 8  # of the live state, at most, in a second
SHOWN_POINTS = 240
SHOWN_EXAMPLES = 24
COLOURS = PALETTE[:-1]  # of the depths; grey is all of them together


class Steppable(Protocol):
    """A run that can be stepped; :class:`scalekit.govern.GovernedRun` is one."""

    @property
    def depths(self) -> tuple[str, ...]:
        """Names of the depth groups, input side first."""
        ...

    @property
    def total(self) -> int:
        """Updates planned."""
        ...

    @property
    def finished(self) -> bool:
        """Whether all of them are done."""
        ...

    update: int
    snapshots: tuple[int, ...]

    def step(self) -> StepReport:
        """Do one update."""
        ...

    def snapshot(self) -> int:
        """Keep the present state; return its update."""
        ...

    def back(self) -> int:
        """Go back to the newest snapshot before the present update; return its update."""
        ...

    def history(self) -> Sequence[StepReport]:
        """Return the reports of the updates that stand."""
        ...


class Stepper(Widget):
    """Steps *run*: one update, several, to the end; pause, snapshot, back.

    The run works in a thread of its own, so that the notebook stays usable; a pause takes effect
    after the update in progress. What an update raises is shown, and nothing after it runs.
    """

    _esm = script("stepper")
    _css = style("stepper")

    def __init__(self, run: Steppable) -> None:
        self.run = run
        self._goal = 0
        self._busy = False
        self._worker: threading.Thread | None = None
        self._error = ""
        self._pushed = 0.0
        self._pace: list[float] = []
        config = {"depths": list(run.depths), "total": run.total, "colours": list(COLOURS)}
        super().__init__(config)

    @property
    def running(self) -> bool:
        """Whether updates are being done: after a pause, until the one in progress has ended."""
        return self._busy

    def wait(self, timeout: float | None = None) -> None:
        """Return when the updates asked for are done (for scripts)."""
        if self._worker is not None:
            self._worker.join(timeout)

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a message asks; every reply carries the state."""
        kind = message.get("kind")
        if kind in ("step", "run", "end"):
            many = {"step": 1, "run": message.get("updates"), "end": self.run.total}[kind]
            self.start(many)
        elif kind == "pause":
            self.pause()
        elif kind in ("snapshot", "back"):
            if self.running:
                raise ValueError("pause first: an update is being done")
            self._error = ""
            getattr(self.run, kind)()
        elif kind != "state":
            raise ValueError(f"a stepper does not know {kind!r}")
        return {"state": self.state()}

    def start(self, updates: Any = 1) -> None:
        """Begin to do *updates* more updates, in the background.

        Raises
        ------
        ValueError
            When it is no whole number above 0, the run is finished, or it runs already.
        """
        if not isinstance(updates, int) or isinstance(updates, bool) or updates < 1:
            raise ValueError(f"how many updates? A whole number above 0 is needed, got {updates!r}")
        if self.running:
            raise ValueError("it runs already; pause first")
        if self.run.finished:
            raise ValueError(f"the run is finished: {counted(self.run.total, 'update')} done")
        self._error = ""
        self._goal = min(self.run.total, self.run.update + updates)
        self._busy = True
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def pause(self) -> None:
        """Stop after the update in progress."""
        self._goal = 0

    def _work(self) -> None:
        try:
            while self.run.update < self._goal:
                report = self.run.step()
                self._pace = [*self._pace[-19:], report.seconds]
                if time.monotonic() - self._pushed > 1 / PUSHES:
                    self._push()
        except Exception as error:
            self._error = str(error) or type(error).__name__
        self._busy = False
        self._push()
        self._update_summaries()  # at once: who saves the notebook now keeps the last state

    def _push(self) -> None:
        self._pushed = time.monotonic()
        self.send({"kind": "state", "state": self.state()})
        self._refresh.request()

    def state(self) -> dict[str, Any]:
        """Return what the front end draws."""
        reports = list(self.run.history())
        rate = len(self._pace) / sum(self._pace) if self._pace else None
        return {
            "update": self.run.update,
            "running": self.running,
            "finished": self.run.finished,
            "snapshots": list(self.run.snapshots),
            "rate": rate,
            "error": self._error,
            "losses": _lines(reports),
            "last": _last(reports[-1]) if reports else None,
        }

    def to_html(self) -> str:
        """Show where the run stands: the last update by depth, and the loss so far."""
        reports = list(self.run.history())
        said = f"Update {self.run.update:,} of {self.run.total:,}."
        if not reports:
            return block("Stepper", note(f"{said} Nothing stepped yet."))
        last = reports[-1]
        rows = [
            {
                "depth": name,
                "loss": last.losses[i],
                "effective contributors": last.effective[i],
                "capped": last.capped[i],
                "effective rank": last.rank[i],
            }
            for i, name in enumerate(self.run.depths)
        ]
        error = note(f"Stopped: {self._error}") if self._error else ""
        picture = ""
        if len(reports) > 1:
            raw = base64.b64encode(figure_png(_figure(self.run.depths, reports), 640)).decode()
            alt = f"Loss by depth over {len(reports)} updates, now {last.loss:.3f}"
            picture = f'<img alt="{alt}" src="data:image/png;base64,{raw}">'
        return block("Stepper", note(f"{said} Loss {last.loss:.3f}."), error, table(rows), picture)


def _thinned(reports: Sequence[StepReport]) -> list[StepReport]:
    stride = max(1, -(-len(reports) // SHOWN_POINTS))
    kept = list(reports[::-1][::stride])
    return kept[::-1]


def _lines(reports: Sequence[StepReport]) -> dict[str, Any]:
    """Return the update numbers, and the loss of all and of each depth, thinned for drawing."""
    kept = _thinned(reports)
    return {
        "updates": [r.update for r in kept],
        "all": [round(r.loss, 5) for r in kept],
        "depths": [
            [None if r.losses[i] is None else round(r.losses[i], 5) for r in kept]  # type: ignore[arg-type]
            for i in range(len(kept[0].losses) if kept else 0)
        ],
    }


def _last(report: StepReport) -> dict[str, Any]:
    """Return the last update's numbers, with the examples that contributed most."""
    order = sorted(range(len(report.items)), key=lambda i: -sum(report.applied[i]))
    kept = order[:SHOWN_EXAMPLES]
    return {
        "loss": report.loss,
        "losses": list(report.losses),
        "items": [report.items[i] for i in kept],
        "applied": [[float(f"{v:.4g}") for v in report.applied[i]] for i in kept],
        "hidden": len(order) - len(kept),
        "effective": [round(v, 4) for v in report.effective],
        "capped": [round(v, 4) for v in report.capped],
        "rank": [None if v is None else round(v, 2) for v in report.rank],
    }


def _figure(depths: Sequence[str], reports: Sequence[StepReport]) -> Any:
    import plotly.graph_objects as go

    kept = _thinned(reports)
    drawn = figure("Loss by depth", x="update", y="loss", height=260)
    updates, losses = [r.update for r in kept], [r.loss for r in kept]
    drawn.add_trace(go.Scatter(x=updates, y=losses, name="all", marker={"color": INK}))
    for i, name in enumerate(depths):
        points = [(r.update, r.losses[i]) for r in kept if r.losses[i] is not None]
        if points:
            x, y = zip(*points, strict=True)
            mark = {"color": COLOURS[i % len(COLOURS)]}  # as in the live view
            drawn.add_trace(go.Scatter(x=list(x), y=list(y), name=f"to {name}", marker=mark))
    return drawn
