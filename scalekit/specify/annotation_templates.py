"""An asset as a labelling project of Argilla or Label Studio.

Argilla: the JSON of a dataset's settings (``Settings.from_json``, Argilla 2). Label Studio: the XML
of a labelling configuration. Questions have the names of the criteria, so that what is labelled
there is read back by :func:`scalekit.label.read_labels` as a rubric task.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from scalekit.frames import write_atomically
from scalekit.specify.asset import Asset, AssetError

__all__ = ["argilla_settings", "label_studio_config", "write_template"]

VERDICT, PREFERENCE, REASON = "verdict", "preference", "reason"
MOST_POINTS = 10
"""Argilla's ratings go from 0 to 10."""


def argilla_settings(asset: Asset) -> dict[str, Any]:
    """Return the settings of an Argilla dataset: guidelines, fields, questions, ``item_id``.

    One label question for the categories (or a ranking of the two answers), one rating from 0 to
    the points of each criterion, one optional text for the reason.

    Raises
    ------
    AssetError
        When a criterion has more points than a rating can say, or names clash.
    """
    _check(asset)
    fields = [_argilla_field(name, meaning, chat) for name, meaning, chat in _shown(asset)]
    if asset.unit == "pairwise":
        sides = [{"value": s, "text": f"{s.title()} answer"} for s in ("first", "second")]
        questions = [_question(PREFERENCE, asset.target, {"type": "ranking", "options": sides})]
    else:
        options = [
            {"value": c.name, "text": c.name, "description": c.description}
            for c in asset.categories
        ]
        form = {"type": "label_selection", "options": options, "visible_options": None}
        questions = [_question(VERDICT, asset.target, form)]
        questions += [
            _question(
                c.name,
                _asks(c.text, c.kind),
                {"type": "rating", "options": [{"value": n} for n in range(c.points + 1)]},
            )
            for c in asset.rubric
        ]
    said = {"type": "text", "use_markdown": False}
    questions.append(_question(REASON, "Why, in a sentence.", said, required=False))
    kept = {"type": "terms", "values": None}
    return {
        "guidelines": _guidelines(asset),
        "questions": questions,
        "fields": fields,
        "vectors": [],
        "metadata": [
            {"name": "item_id", "title": "item_id", "settings": kept,
             "visible_for_annotators": False}
        ],
        "allow_extra_metadata": True,
    }  # fmt: skip


def _question(name: str, asked: str, form: dict[str, Any], required: bool = True) -> dict[str, Any]:
    said = {"name": name, "title": name.replace("-", " "), "description": asked}
    return {**said, "required": required, "settings": form}


def _argilla_field(name: str, meaning: str, chat: bool) -> dict[str, Any]:
    form = (
        {"type": "chat", "use_markdown": True} if chat else {"type": "text", "use_markdown": False}
    )
    return {"name": name, "title": name, "description": meaning, "required": True, "settings": form}


def label_studio_config(asset: Asset) -> str:
    """Return the labelling configuration for Label Studio, as XML.

    Task data needs a field for each slot of the prompt and, but for pairs, ``response``; a
    conversation is a list of ``role`` and ``content``.

    Raises
    ------
    AssetError
        When names clash.
    """
    _check(asset)
    view = Xml.Element("View")
    Xml.SubElement(view, "Header", value=asset.title)
    Xml.SubElement(view, "Header", value=asset.instructions, size="5")
    shown = _shown(asset)
    for name, meaning, chat in shown:
        Xml.SubElement(view, "Header", value=meaning, size="5")
        if chat:
            form = {"layout": "dialogue", "nameKey": "role", "textKey": "content"}
            Xml.SubElement(view, "Paragraphs", {"name": name, "value": f"${name}", **form})
        else:
            Xml.SubElement(view, "Text", name=name, value=f"${name}")
    judged = shown[-1][0]
    if asset.unit == "pairwise":
        Xml.SubElement(view, "Pairwise", name=PREFERENCE, toName="first,second")
    else:
        form = {"choice": "single", "required": "true"}
        choices = Xml.SubElement(view, "Choices", {"name": VERDICT, "toName": judged, **form})
        for category in asset.categories:
            Xml.SubElement(choices, "Choice", value=category.name, hint=category.description)
        for c in asset.rubric:
            asked = f"{c.name.replace('-', ' ')} (0 to {c.points}): {_asks(c.text, c.kind)}"
            Xml.SubElement(view, "Header", value=asked, size="5")
            limits = {"min": "0", "max": str(c.points), "step": "1", "required": "true"}
            Xml.SubElement(view, "Number", {"name": c.name, "toName": judged, **limits})
    Xml.SubElement(view, "Header", value="Why, in a sentence.", size="5")
    Xml.SubElement(view, "TextArea", name=REASON, toName=judged, rows="2", maxSubmissions="1")
    Xml.indent(view)
    return Xml.tostring(view, encoding="unicode") + "\n"


def write_template(asset: Asset, path: Path | str) -> Path:
    """Write the template that the ending names: ``.json`` for Argilla, ``.xml`` for Label Studio.

    Raises
    ------
    AssetError
        When the ending is another.
    """
    path = Path(path)
    if path.suffix == ".json":
        text = json.dumps(argilla_settings(asset), indent=1, ensure_ascii=False) + "\n"
    elif path.suffix == ".xml":
        text = label_studio_config(asset)
    else:
        raise AssetError(f"{path.name}: end it in .json for Argilla or .xml for Label Studio")
    write_atomically(path, text)
    return path


def _shown(asset: Asset) -> list[tuple[str, str, bool]]:
    """Return what annotators see: name, meaning, and whether it is a conversation."""
    chat = asset.unit == "multi-turn"
    shown = [(s.name, s.meaning, chat and s.name == "turns") for s in asset.prompt.slots]
    if asset.unit != "pairwise":
        shown.append(("response", "The answer to be judged.", False))
    return shown


def _asks(text: str, kind: str) -> str:
    return f"Full points if this does not occur: {text}" if kind == "must-not" else text


def _guidelines(asset: Asset) -> str:
    parts = [asset.instructions]
    for c in asset.rubric:
        parts.append(
            f"{c.name} ({c.kind}, {c.points}): {c.text}\n"
            f"  passes: {c.pass_example}\n  fails: {c.fail_example}"
        )
    return "\n\n".join(parts)


def _check(asset: Asset) -> None:
    names = [name for name, _, _ in _shown(asset)]
    names += [VERDICT, PREFERENCE, REASON, *(c.name for c in asset.rubric)]
    if twice := [n for i, n in enumerate(names) if n in names[:i]]:
        raise AssetError(f"{asset.reference}: {twice[0]!r} would name two things; rename one")
    if asset.unit == "pairwise" and not {"first", "second"} <= set(names):
        raise AssetError(f"{asset.reference}: a pair needs the slots 'first' and 'second'")
    for c in asset.rubric:
        if c.points > MOST_POINTS:
            raise AssetError(f"{asset.reference}: {c.name} has {c.points} points, at most 10 fit")
