"""The project's folder: plain files that a person can read and git can diff."""

from __future__ import annotations

import getpass
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from scalekit.frames import StorageError, write_atomically
from scalekit.journal import Event, Journal, read
from scalekit.project.profiles import PROFILES, Profile

__all__ = ["Folder", "ProjectError"]

FORMAT = 1
STAGE_FOLDERS = ("specify", "collect", "audit", "label", "evaluate", "train")
JOURNALS = ("gates.jsonl", "decisions.jsonl")
OWN_FILES = ("spec.yaml", *JOURNALS)


class ProjectError(RuntimeError):
    """A project folder can't be used; the message says why and what to do."""


@dataclass(frozen=True)
class Folder:
    """Where everything of a project lies."""

    root: Path
    name: str
    profile: str
    thresholds: Profile

    @classmethod
    def open(cls, root: Path, profile: str | None) -> Folder:
        """Open the project at *root*, or make it when nothing of one is there.

        Raises
        ------
        ProjectError
            When the folder can't be written, is half a project, was made by a newer version, or
            ``project.toml`` is not what it should be.
        """
        root = root.absolute()  # a notebook may change its folder later
        path = root / "project.toml"
        if path.is_file():
            return cls._load(root, path)
        leftovers = [n for n in (*STAGE_FOLDERS, *OWN_FILES) if (root / n).exists()]
        if leftovers:
            raise ProjectError(
                f"{root}: half a project: {', '.join(leftovers)} there, project.toml not. Bring "
                "project.toml back from a copy, or choose another folder"
            )
        chosen = profile or "full"
        if chosen not in PROFILES:
            raise ProjectError(f"profile {chosen!r} is unknown; there are {', '.join(PROFILES)}")
        settings = {"format": FORMAT, "name": root.resolve().name, "profile": chosen}
        try:
            write_atomically(path, tomli_w.dumps({**settings, "thresholds": {}}))
        except StorageError as error:
            raise ProjectError(
                f"{root}: no project can be made here ({error}); choose a folder that you may write"
            ) from error
        return cls._load(root, path)

    @classmethod
    def _load(cls, root: Path, path: Path) -> Folder:
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
            made, name, profile = settings["format"], settings["name"], settings["profile"]
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ProjectError(f"{path}: not readable as TOML ({error})") from error
        except KeyError as error:
            raise ProjectError(f"{path}: the field {error.args[0]!r} is missing") from error
        if not isinstance(made, int) or made > FORMAT:
            raise ProjectError(
                f"{path}: made by a newer scalekit (project format {made}, this one reads up to "
                f"{FORMAT}); update scalekit"
            )
        if not isinstance(profile, str) or profile not in PROFILES:
            raise ProjectError(f"{path}: profile {profile!r} is none of {', '.join(PROFILES)}")
        try:
            changed = settings.get("thresholds", {})
            if not isinstance(changed, dict):
                raise ValueError(f"thresholds must be a table, got {changed!r}")
            thresholds = PROFILES[profile].with_thresholds(changed)
        except ValueError as error:
            raise ProjectError(f"{path}: {error}") from error
        return cls(root, str(name), profile, thresholds)

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def events(self, name: str, kind: str | None = None) -> list[Event]:
        """Return the events of the journal *name* (of one *kind*); none when there is no file."""
        path = self.root / name
        found = read(path) if path.exists() else []
        return [e for e in found if kind is None or e.kind == kind]

    def append(self, name: str, kind: str, data: dict[str, Any]) -> None:
        """Add one event to the journal *name*."""
        with Journal(self.root / name) as journal:
            journal.append(kind, data)

    def journals(self) -> list[Path]:
        """Return every journal of the project."""
        own = [p for stage in STAGE_FOLDERS for p in (self.root / stage).rglob("*.jsonl")]
        return sorted(p for p in [*(self.root / name for name in JOURNALS), *own] if p.is_file())


def who() -> str:
    """Return who is at work: JupyterHub's user, else the login name, else 'unknown'."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
