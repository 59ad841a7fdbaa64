"""What an annotator sees of an item: text, code, a conversation, an image, or two to compare."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.label.tasks import Task
from scalekit.signing import digest

__all__ = ["check_content", "content", "sides_of"]

SHOWN_AS_IS = {"PNG": "png", "JPEG": "jpeg", "GIF": "gif", "WEBP": "webp"}
LARGE = 600_000  # bytes of an image, above which a smaller copy is shown
WIDEST = 1600  # pixels of such a copy
TOKENS = ("Comment", "Keyword", "Literal.String", "Literal.Number", "Name.Function", "Name.Class")


def check_content(items: pl.DataFrame, task: Task) -> None:
    """Raise ValueError where the columns can't show an item of this task."""
    wanted: Sequence[str]
    if task.kind == "pair":
        wanted = ("first", "second")
    elif task.kind in ("span", "turns"):
        wanted = ("text",) if task.kind == "span" else ("messages",)
    else:
        shown = [c for c in ("text", "messages", "image") if c in items.columns]
        wanted = () if shown else ("text",)
    for column in wanted:
        if column not in items.columns:
            raise ValueError(f"the items have no column {column!r}; there are {items.columns}")
    if "language" in items.columns:
        for language in items["language"].drop_nulls().unique(maintain_order=True):
            _lexer(language)


def content(item: Mapping[str, Any], *, shown_first: str = "") -> dict[str, Any]:
    """Return what the front end draws for an item, as JSON values.

    *item* is a row with those of ``text``, ``language`` (then the text is code), ``messages``,
    ``image`` (a path or bytes), ``draft`` (where a rewriting starts) that it has; of a pair
    ``prompt``, ``first`` and ``second``, of which *shown_first* is shown first. Nothing else of
    the row is looked at: no name of a model reaches the browser.
    """
    if shown_first:
        other = "second" if shown_first == "first" else "first"
        sides = [_body({**item, "text": item[side]}) for side in (shown_first, other)]
        context = _body({"text": item.get("prompt"), "messages": item.get("messages")})
        return {**context, "sides": sides}
    found = _body(item)
    if item.get("image") is not None:
        found |= _image(item["image"])
    if item.get("draft") is not None:
        found["draft"] = str(item["draft"])
    return found


def _body(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"text": item.get("text") or ""}
    if item.get("messages") is not None:
        found["messages"] = _messages(item["messages"])
    if item.get("language"):
        found["tokens"] = _tokens(found["text"], item["language"])
    return found


def _messages(messages: Any) -> list[dict[str, str]]:
    turns = json.loads(messages) if isinstance(messages, str) else messages
    return [{"role": str(t["role"]), "content": str(t.get("content") or "")} for t in turns]


def _lexer(language: str) -> Any:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        raise ValueError(
            f"language {language!r} is not known; use a name Pygments knows, such as 'python'"
        ) from None


def _tokens(code: str, language: str) -> list[list[str]]:
    """Return the code in pieces: each its text, and what it is where a colour tells it apart."""
    from pygments.token import string_to_tokentype

    kinds = {string_to_tokentype(f"Token.{name}"): name.split(".")[-1].lower() for name in TOKENS}
    pieces: list[list[str]] = []
    for token, text in _lexer(language).get_tokens(code):
        kind = next((name for known, name in kinds.items() if token in known), "")
        if pieces and pieces[-1][1] == kind:
            pieces[-1][0] += text
        else:
            pieces.append([text, kind])
    # A lexer makes line ends alike; marked places must be those of the text itself.
    return pieces if "".join(text for text, _ in pieces) == code else [[code, ""]]


def _image(image: Any) -> dict[str, str]:
    from PIL import Image

    try:
        raw = bytes(image) if isinstance(image, bytes | bytearray) else Path(image).read_bytes()
        with Image.open(io.BytesIO(raw)) as opened:
            kind = SHOWN_AS_IS.get(opened.format or "")
            if kind is None or len(raw) > LARGE:
                raw, kind = _smaller(opened)
    except (OSError, TypeError, ValueError) as error:
        return {"trouble": f"The image can't be shown: {error}"}
    return {"image": f"data:image/{kind};base64,{base64.b64encode(raw).decode()}"}


def _smaller(opened: Any) -> tuple[bytes, str]:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((WIDEST, WIDEST))
    made = io.BytesIO()
    upright.save(made, "JPEG", quality=85)
    return made.getvalue(), "jpeg"


def sides_of(ids: Iterable[str], annotator: str) -> dict[str, str]:
    """Return which of a pair's two is shown first: each as often, the same on every day."""
    drawn = sorted(ids, key=lambda item: digest([annotator, item]))
    return {item: ("first", "second")[place % 2] for place, item in enumerate(drawn)}
