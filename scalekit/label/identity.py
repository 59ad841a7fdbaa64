"""Who labels: as JupyterHub says, else as the person says; never a name that two could share."""

from __future__ import annotations

import os
from collections.abc import Callable

from scalekit.label.events import check_name
from scalekit.label.tasks import LabelError

__all__ = ["annotator_name"]


def annotator_name(given: str | None = None, *, ask: Callable[[str], str] = input) -> str:
    """Return who labels.

    *given* if there is one; else the user that JupyterHub started this server for; else the answer
    to a question in the notebook. There is no default: the login name of a shared machine would
    make one annotator of several people.

    Raises
    ------
    LabelError
        When nobody can be asked (a notebook run without a person), or the name can't name an
        annotator.
    """
    name = given or os.environ.get("JUPYTERHUB_USER", "")
    if not name:
        try:
            name = ask("Your name, as annotator: ").strip()
        except (EOFError, OSError, RuntimeError):  # ipykernel's own error is a RuntimeError
            raise LabelError("who labels? Say it: open(annotator=…)") from None
    check_name(name)
    return name
