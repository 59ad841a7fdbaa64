"""The record of a governed run: ledger, running store, checkpoints, one hash chain over all."""

from scalekit.govern.record.closing import Closed, verify_run
from scalekit.govern.record.reader import RunRecord
from scalekit.govern.record.recorder import Recorder, RecordError
from scalekit.govern.record.store import RunningStore

__all__ = ["Closed", "RecordError", "Recorder", "RunRecord", "RunningStore", "verify_run"]
