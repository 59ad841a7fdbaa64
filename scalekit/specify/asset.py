"""The taxonomy's asset: a prompt structure, criteria, rubric and thresholds that were used before.

One asset is one TOML file. What it teaches by example is ours; what it is worth is kept with it:
which projects used it, at what cost, with what agreement and which defects.
"""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scalekit.display import View, block, note, table
from scalekit.frames import write_atomically
from scalekit.signing import digest
from scalekit.specify.spec import Category, Criterion, Example, Metric, exact, flaws

__all__ = ["Asset", "AssetError", "Outcome", "Slot", "Thresholds", "read_asset", "write_asset"]

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DERIVED = re.compile(r"[a-z0-9.-]+@\d+\.\d+\.\d+")


class AssetError(ValueError):
    """An asset can't be read, or is not there; the message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Slot(_Part):
    """A place in the prompt that each item fills."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    meaning: str = Field(min_length=1)


class Prompt(_Part):
    """How an item is put: a text with ``{slots}``."""

    template: str = Field(min_length=1)
    slots: Annotated[tuple[Slot, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _slots_as_in_the_template(self) -> Prompt:
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(self.template) if name}
        except ValueError as error:
            raise ValueError(f"template: {error}") from None
        named = [s.name for s in self.slots]
        if len(set(named)) != len(named) or used != set(named):
            raise ValueError(f"the template has {sorted(used)}, the slots are {sorted(named)}")
        return self


class Evaluation(_Part):
    """How it is found out whether an answer is good."""

    checked_by: Literal["exact answer", "program", "source", "person"]
    criteria: Annotated[tuple[str, ...], Field(min_length=1)]
    metric: Metric


class Thresholds(_Part):
    """What labels must reach: chance-corrected agreement, accuracy on gold, share of points."""

    kappa: float = Field(gt=0, le=1)
    gold: float = Field(gt=0, le=1)
    passing: float = Field(gt=0, le=1)


class Outcome(_Part):
    """What came of the asset in one project; money as decimal text in one *currency*.

    ``agreement`` is Krippendorff's alpha, ``defects`` are items that had to be labelled again.
    """

    project: str = Field(min_length=1)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    tasks: int = Field(ge=1)
    cost_per_task: str = Field(pattern=r"^\d+(\.\d+)?$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    agreement: float = Field(ge=-1, le=1)
    defects: int = Field(ge=0)


class Asset(View, _Part):
    """One asset of the taxonomy. Read and written as TOML."""

    scalekit_asset: Literal[1] = 1
    id: str
    version: str
    title: str = Field(min_length=1)
    domain: Annotated[tuple[str, ...], Field(min_length=2)]
    target: str = Field(min_length=1)
    unit: Literal["single", "pairwise", "multi-turn"]
    language: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")
    content: Literal["ordinary", "harmful"] = "ordinary"
    owner: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    derived_from: str = ""
    instructions: str = Field(min_length=1)
    prompt: Prompt
    evaluation: Evaluation
    thresholds: Thresholds
    categories: Annotated[tuple[Category, ...], Field(min_length=2)]
    rubric: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    examples: Annotated[tuple[Example, ...], Field(min_length=1)]
    outcomes: tuple[Outcome, ...] = ()

    @field_validator("version")
    @classmethod
    def _three_numbers(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise ValueError(f"write MAJOR.MINOR.PATCH, not {version!r}")
        return version

    @field_validator("domain")
    @classmethod
    def _plain_names(cls, domain: tuple[str, ...]) -> tuple[str, ...]:
        for part in domain:
            if not _NAME.fullmatch(part):
                raise ValueError(f"{part!r}: lower-case letters, digits and single hyphens only")
        return domain

    @field_validator("derived_from")
    @classmethod
    def _names_a_version(cls, derived: str) -> str:
        if derived and not _DERIVED.fullmatch(derived):
            raise ValueError(f"write id@version, as in reasoning.math.proof@1.0.0, not {derived!r}")
        return derived

    @model_validator(mode="after")
    def _consistent(self) -> Asset:
        if self.id != ".".join(self.domain):
            raise ValueError(f"the id must be the domain's path, {'.'.join(self.domain)!r}")
        known = {c.name for c in self.categories}
        if unknown := [e.category for e in self.examples if e.category not in known]:
            raise ValueError(f"an example has the unknown category {unknown[0]!r}")
        names = [c.name for c in self.rubric]
        if len(set(names)) != len(names):
            raise ValueError("two criteria of the rubric have the same name")
        if bare := [c.name for c in self.rubric if not (c.pass_example and c.fail_example)]:
            raise ValueError(
                f"criterion {bare[0]!r} needs an example that passes and one that fails"
            )
        return self

    @property
    def digest(self) -> str:
        """Content identity, without what came of it."""
        return digest(exact(self.model_dump(mode="json", exclude={"outcomes"})))

    @property
    def reference(self) -> str:
        """``id@version``, as lineage names it."""
        return f"{self.id}@{self.version}"

    @property
    def table(self) -> pl.DataFrame:
        """One row for each criterion: name, kind, points, depth, what it asks, pass, fail."""
        return pl.DataFrame(
            [
                {
                    "criterion": c.name,
                    "kind": c.kind,
                    "points": c.points,
                    "depth": c.depth
                    if isinstance(c.depth, str)
                    else f"{c.depth[0]} to {c.depth[1]}",
                    "what it asks": c.text,
                    "passes": c.pass_example,
                    "fails": c.fail_example,
                }
                for c in self.rubric
            ]
        )

    def to_toml(self) -> str:
        """Return the text of the asset's file."""
        return tomli_w.dumps(self.model_dump(mode="json"), multiline_strings=True)

    def to_html(self) -> str:
        """Show the target, the prompt, how it is judged, the rubric and what came of it."""
        limits = self.thresholds
        said = f"{' > '.join(self.domain)}, {self.unit}, {self.language}, {self.licence}" + (
            f", derived from {self.derived_from}" if self.derived_from else ""
        )
        judged = f"Checked by {self.evaluation.checked_by}: {'; '.join(self.evaluation.criteria)}"
        needed = f"Labels: kappa {limits.kappa}, gold {limits.gold}; a pass: {limits.passing:.0%}"
        return block(
            f"{self.title} ({self.reference})",
            note(self.target), note(said), note(f"Prompt: {self.prompt.template}"), note(judged),
            note(needed), table(self.table), table([o.model_dump() for o in self.outcomes]),
        )  # fmt: skip


def read_asset(path: Path) -> Asset:
    """Read one asset's TOML file.

    Raises
    ------
    AssetError
        When the file is missing, is not TOML, or a field is wrong: with file, field and reason.
    """
    try:
        raw: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AssetError(f"{path}: can't be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: not readable as TOML ({error})") from error
    try:
        return Asset.model_validate(raw)
    except ValidationError as error:
        lines = [f"- {where}: {why}" for where, why in flaws(error, Asset).items()]
        raise AssetError("\n".join([f"{path}: {len(lines)} field(s) wrong:", *lines])) from error


def write_asset(asset: Asset, path: Path) -> Path:
    """Write *asset* as TOML, whole or not at all; return the path."""
    write_atomically(path, asset.to_toml())
    return path
