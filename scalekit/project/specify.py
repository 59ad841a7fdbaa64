"""``project.specify``: write the spec, keep its versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.frames import write_atomically
from scalekit.gates import Gate
from scalekit.project.taxonomy import Taxonomy
from scalekit.specify import Problem, Spec, SpecError, diff, gate, problems, read_spec, refuse_newer

__all__ = ["Specify"]

VERSIONS = "specify/versions.jsonl"
DRAFT = "specify/draft.json"


class Specify(Taxonomy):
    """Write the behaviour down, with handwritten examples and a rubric."""

    name = "specify"
    _read: tuple[Any, Spec] | None = None
    purpose = "The behaviour in one sentence, handwritten examples, rubrics with depth."

    @property
    def spec(self) -> Spec:
        """The spec as it stands in ``spec.yaml``."""
        path = self._folder / "spec.yaml"
        state = path.stat() if path.is_file() else None
        mark = (state.st_mtime_ns, state.st_size) if state else None
        if self._read is None or self._read[0] != mark or mark is None:
            self._read = (mark, read_spec(path))
        return self._read[1]

    def save(self, spec: Spec | Mapping[str, Any] | str | Path) -> Spec:
        """Check a spec and write it as the next version; an unchanged one makes no new version.

        Takes a :class:`Spec`, its fields, or a YAML file.

        Raises
        ------
        SpecError
            When something is wrong: every field with its reason. Nothing is written.
        """
        if isinstance(spec, str | Path):
            spec = read_spec(Path(spec))
        if not isinstance(spec, Spec | Mapping):
            raise SpecError(
                "a spec is a Spec, its fields by name, or the path of a YAML file; this is "
                f"{type(spec).__name__}"
            )
        fields = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
        path = self._folder / "spec.yaml"
        if path.is_file():
            refuse_newer(path)
        wrong = problems(fields)
        if wrong:
            lines = [f"- {p}" for p in wrong]
            raise SpecError("\n".join(["the spec was not saved:", *lines]))
        whole = Spec.model_validate(fields)
        known = self._folder.events(VERSIONS, "version")
        if not known or known[-1].data["digest"] != whole.digest:
            version = {"number": len(known) + 1, "digest": whole.digest, "yaml": whole.to_yaml()}
            self._folder.append(VERSIONS, "version", version)
        write_atomically(path, whole.to_yaml())
        return whole

    def edit(self) -> Any:
        """Open the SpecWriter: every change is saved as a draft, *Save version* writes the spec.

        A draft that is newer than ``spec.yaml`` is taken up where it was left.
        """
        from scalekit.widgets import SpecWriter

        draft = self._folder / DRAFT
        written = self._folder / "spec.yaml"
        if draft.is_file() and not (
            written.is_file() and written.stat().st_mtime > draft.stat().st_mtime
        ):
            fields = json.loads(draft.read_text(encoding="utf-8"))
        elif written.is_file():
            fields = self.spec.model_dump(mode="json")
        else:
            fields = {"name": self._folder.name}

        def save_draft(changed: dict[str, Any]) -> None:
            write_atomically(draft, json.dumps(changed, ensure_ascii=False, indent=1))

        def save(changed: dict[str, Any]) -> str:
            self.save(changed)
            draft.unlink(missing_ok=True)
            return f"saved as version {len(self.versions())}"

        return SpecWriter(fields, self.problems, save_draft, save)

    def problems(self, draft: Mapping[str, Any]) -> list[Problem]:
        """Return what is wrong with a draft, field by field."""
        return problems(draft)

    def versions(self) -> pl.DataFrame:
        """Return the versions: ``number, at, digest, changes`` (fields changed since the last)."""
        rows, before = [], None
        for event in self._folder.events(VERSIONS, "version"):
            spec = self._version(event.data["yaml"])
            changes = len(diff(before, spec)) if before else 0
            number, mark = event.data["number"], event.data["digest"]
            rows.append({"number": number, "at": event.at, "digest": mark, "changes": changes})
            before = spec
        text = dict.fromkeys(("at", "digest"), pl.String)
        return pl.DataFrame(rows, schema={"number": pl.Int64, **text, "changes": pl.Int64})

    def diff(self, old: int, new: int) -> pl.DataFrame:
        """Return what changed between two versions: ``field, before, after``.

        Raises
        ------
        SpecError
            When there is no such version.
        """
        texts = {e.data["number"]: e.data["yaml"] for e in self._folder.events(VERSIONS, "version")}
        for number in (old, new):
            if number not in texts:
                raise SpecError(f"there is no version {number}; there are {list(texts)}")
        return diff(self._version(texts[old]), self._version(texts[new]))

    @staticmethod
    def _version(text: str) -> Spec:
        import yaml

        return Spec.model_validate(yaml.safe_load(text))

    def _own_inputs(self) -> list[str]:
        path = self._folder / "spec.yaml"
        return [self.spec.digest] if path.is_file() else []

    def _judge(self) -> Gate:
        return gate(self.spec, examples_per_category=self._folder.thresholds.examples_per_category)
