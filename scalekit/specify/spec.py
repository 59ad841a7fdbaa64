"""The spec: one behaviour, its categories, handwritten examples, rubrics with depth, metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scalekit.display import View, block, note, table
from scalekit.signing import digest

__all__ = [
    "Category",
    "Criterion",
    "Example",
    "Metric",
    "Spec",
    "SpecError",
    "read_spec",
]

FORMAT = 1
DEPTHS = {"surface": (0.0, 0.34), "middle": (0.33, 0.67), "concept": (0.66, 1.0)}
"""Named depth targets as intervals of relative depth: 0 is the layer at the input, 1 the output."""


class SpecError(ValueError):
    """A spec file can't be read as one; the message names the file and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Category(_Part):
    """One group that the data must hold, with its target share of all items (0 to 1)."""

    name: str = Field(min_length=1)
    description: str = ""
    share: float = Field(gt=0, le=1)


class Example(_Part):
    """A handwritten example: part of the first evaluation set."""

    text: str = Field(min_length=1)
    category: str = Field(min_length=1)
    kind: Literal["ideal", "edge"] = "ideal"
    note: str = ""


class Criterion(_Part):
    """One rubric criterion, with the depth at which the model should learn it.

    ``depth`` is ``surface``, ``middle``, ``concept`` or an interval [low, high] of relative depth.
    """

    name: str = Field(min_length=1)
    text: str = Field(min_length=1)
    kind: Literal["must", "should", "must-not"] = "must"
    points: int = Field(default=1, ge=1)
    pass_example: str = ""
    fail_example: str = ""
    depth: Literal["surface", "middle", "concept"] | tuple[float, float]

    @model_validator(mode="after")
    def _interval_in_order(self) -> Criterion:
        low, high = self.interval
        if not 0 <= low < high <= 1:
            raise ValueError(
                "depth goes from a lower to a higher share of the layers, within 0 and 1 (0 and "
                f"100 %); got {low:g} to {high:g} ({low:.0%} to {high:.0%})"
            )
        return self

    @property
    def interval(self) -> tuple[float, float]:
        """The depth target as an interval of relative depth."""
        return DEPTHS[self.depth] if isinstance(self.depth, str) else self.depth


class Metric(_Part):
    """A success metric: what to reach, and the margin within which a loss counts as none."""

    name: Literal["accuracy"] = "accuracy"
    target: float = Field(gt=0, le=1)
    margin: float = Field(ge=0, lt=1)


class Spec(View, _Part):
    """What the data shall teach. Read and written as ``spec.yaml``."""

    scalekit_spec: Literal[1] = 1
    name: str = Field(min_length=1)
    behaviour: str = Field(min_length=1)
    task: Literal["choice"] = "choice"
    categories: Annotated[tuple[Category, ...], Field(min_length=2)]
    examples: tuple[Example, ...] = ()
    rubric: tuple[Criterion, ...] = ()
    metrics: tuple[Metric, ...] = ()
    setting: str = ""
    assumptions: tuple[str, ...] = ()
    instructions: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """Target share of each category."""
        return {c.name: c.share for c in self.categories}

    @property
    def digest(self) -> str:
        """Content identity; fractions enter as their decimal text."""
        return digest(exact(self.model_dump(mode="json")))

    @property
    def table(self) -> pl.DataFrame:
        """One row for each category: share, ideal and edge examples."""
        kinds = [(e.category, e.kind) for e in self.examples]
        rows = [
            {
                "category": c.name,
                "description": c.description,
                "target share": c.share,
                "ideal examples": kinds.count((c.name, "ideal")),
                "edge cases": kinds.count((c.name, "edge")),
            }
            for c in self.categories
        ]
        return pl.DataFrame(rows)

    @property
    def target(self) -> float | None:
        """What the first metric is to reach; None where none is named."""
        return self.metrics[0].target if self.metrics else None

    @property
    def handwritten(self) -> pl.DataFrame:
        """The examples as gold items: ``item_id, text, category, kind``."""
        rows = [
            {
                "item_id": f"handwritten-{i:03d}",
                **e.model_dump(include={"text", "category", "kind"}),
            }
            for i, e in enumerate(self.examples, 1)
        ]
        columns = ("item_id", "text", "category", "kind")
        return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))

    def to_yaml(self) -> str:
        """Return the text of ``spec.yaml``."""
        plain = self.model_dump(mode="json")
        text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)
        return text

    def to_html(self) -> str:
        """Show the sentence, categories, rubric and metrics."""
        rubric = [
            {
                "criterion": c.name,
                "kind": c.kind,
                "points": c.points,
                "what it asks": c.text,
                "depth": c.depth if isinstance(c.depth, str) else f"{c.depth[0]} to {c.depth[1]}",
            }
            for c in self.rubric
        ]
        metrics = [m.model_dump() for m in self.metrics]
        shown = (note(self.behaviour), table(self.table), table(rubric), table(metrics))
        return block(f"Spec of {self.name}", *shown)


def exact(value: Any) -> Any:
    """Return *value* with its fractions as decimal text, which has a canonical form."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    return [exact(v) for v in value] if isinstance(value, list) else value


class _Loader(yaml.SafeLoader):
    """YAML in which a field given twice is an error: one of the two would be lost unsaid."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((k for i, k in enumerate(keys) if k in keys[:i]), None)
        if twice is not None:
            mark = f"line {node.start_mark.line + 1}"
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} stands twice ({mark})")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


class _Dumper(yaml.SafeDumper):
    """YAML in which every text comes back as it was."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # YAML folds these in plain style, as it takes them for line breaks.
    style = '"' if re.search("[\r\x85\u2028\u2029\ufeff]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def read_spec(path: Path) -> Spec:
    """Read ``spec.yaml``.

    Raises
    ------
    SpecError
        When the file is missing, is not YAML, was written by a newer version, or a field is wrong:
        with the file, the field and the reason.
    """
    raw = _raw(path)
    refuse_newer(path, raw)
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        lines = [f"- {where}: {why}" for where, why in flaws(error).items()]
        raise SpecError("\n".join([f"{path}: {len(lines)} field(s) wrong:", *lines])) from error


def _raw(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise SpecError(
            f"{path}: no spec here yet; write one with project.specify.edit()"
        ) from None
    except OSError as error:
        raise SpecError(f"{path}: can't be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not readable as YAML ({error})") from error
    if not isinstance(raw, dict):
        raise SpecError(f"{path}: a mapping of fields is needed, found {type(raw).__name__}")
    return raw


def refuse_newer(path: Path, raw: dict[str, Any] | None = None) -> None:
    """Do nothing unless the spec at *path* was written in a newer format: then raise SpecError."""
    version = (_raw(path) if raw is None else raw).get("scalekit_spec")
    if isinstance(version, int) and version > FORMAT:
        raise SpecError(
            f"{path}: written in spec format {version}, this scalekit reads up to {FORMAT}; "
            "update scalekit"
        )


SAID = {
    "String should have at least 1 character": "write something here",
    "Field required": "this is needed",
    "Value error, ": "",
    "Input should be greater than 0": "must be above 0",
    "Input should be less than or equal to 1": "must be at most 1",
    "Input should be a valid number, unable to parse string as a number": "a number is needed",
    "Input should be a valid number": "a number is needed",
    "Input should be a valid integer": "a whole number is needed",
    "Input should be a valid string": "text is needed",
    "Input should be a valid tuple": "a list is needed",
}


def flaws(error: ValidationError, model: type[BaseModel] | None = None) -> dict[str, str]:
    """Return what a validation of *model* (a spec) found, in plain words: field to reason.

    One reason a field; what concerns no single field stands under the model's name.
    """
    model = model or Spec
    found: dict[str, str] = {}
    for flaw in error.errors():
        where, why = place(flaw["loc"]) or model.__name__.lower(), flaw["msg"]
        if where.rpartition(".")[2].startswith("depth"):
            where = where[: where.rindex("depth") + 5]
            why = "write surface, middle, concept, or an interval such as [0.2, 0.5]"
        if where == "categories" and flaw["type"] == "too_short":
            if any(name.startswith("categories[") for name in found):
                continue  # those that are wrong are not counted
            why = "name at least two categories"
        if flaw["type"] == "model_type":
            why = "a mapping of fields is needed"
        if flaw["type"] == "extra_forbidden":
            why = _no_such(str(flaw["loc"][-1]), _fields(model, flaw["loc"][:-1]))
        if where.endswith(".share") and (
            flaw["type"] == "less_than_equal"
            or (isinstance(flaw["input"], str) and "%" in flaw["input"])
        ):
            why = f"must be at most 1: 0.5 is half, or 50 %; got {flaw['input']!r}"
        for said, better in SAID.items():
            why = why.replace(said, better)
        found.setdefault(where, why)
    return found


def _no_such(name: str, fields: Sequence[str]) -> str:
    near = get_close_matches(name.lower(), fields, n=1)
    if near:
        return f"there is no such field; did you mean {near[0]!r}?"
    return f"there is no such field; there are {', '.join(fields)}"


def _fields(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the fields of the part of *model* at a location."""
    for part in location:
        if isinstance(part, str):
            kind: Any = model.model_fields[part].annotation
            model = next((a for a in get_args(kind) if a is not Ellipsis), kind)
    return [name for name in model.model_fields if not name.startswith("scalekit_")]


def place(location: tuple[int | str, ...]) -> str:
    """Return a pydantic error location as a path a person reads: ``examples[2].category``."""
    out = ""
    for part in location:
        if isinstance(part, int):
            out += f"[{part}]"
        elif not part.startswith(("literal", "tuple")):
            out += f".{part}" if out else part
    return out
