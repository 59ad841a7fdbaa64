"""Who labels: as JupyterHub says, else as the person says; a name that two share is noticed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path

from scalekit.journal import read
from scalekit.label.events import check_name
from scalekit.label.tasks import LabelError

__all__ = ["annotator_name", "login", "other_logins"]


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


def login() -> str:
    """Return who is logged in: JupyterHub's user, else the system's; "" where neither is known."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (OSError, KeyError):  # a container without a user database
        return ""


def other_logins(folder: Path, annotator: str) -> list[str]:
    """Return the other users under whose login this annotator has labelled.

    Sessions in *folder* keep their ``user``; two users with one annotator's name are probably two
    people, whose labels would count as one person's.
    """
    found = set()
    for path in (folder / annotator).glob("*.jsonl"):
        first = next(iter(read(path)), None)
        if first is not None:
            found.add(first.data.get("user") or "")
    return sorted(found - {"", login()})
