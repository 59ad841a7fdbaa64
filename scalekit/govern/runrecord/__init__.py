"""The record of a governed run: ledger, running store, checkpoints, one hash chain over all."""

from scalekit.govern.runrecord.closing import Closed, verify_run
from scalekit.govern.runrecord.reader import RunRecord
from scalekit.govern.runrecord.recorder import Recorder, RecordError
from scalekit.govern.runrecord.store import RunningStore

__all__ = ["Closed", "RecordError", "Recorder", "RunRecord", "RunningStore", "verify_run"]
