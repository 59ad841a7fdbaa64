"""The text of a web page: what a reader sees, without scripts, styles and menus' markup."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

__all__ = ["decoded_page", "visible_text"]

UNSEEN = {"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object",
          "canvas", "audio", "video", "select", "textarea", "title"}  # fmt: skip
"""Elements whose content no reader sees as text; of the head, that is the title too."""
BLOCKS = {"address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details",
          "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2",
          "h3", "h4", "h5", "h6", "header", "hr", "legend", "li", "main", "nav", "ol", "option",
          "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr",
          "ul"}  # fmt: skip
"""Elements that start a new line."""
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
WESTERN = {"iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"}
"""On the web these names mean windows-1252 (WHATWG Encoding Standard, section 4.2)."""


def decoded_page(body: bytes, charset: str | None) -> str | None:
    """Return *body* as text, or None where no encoding fits it.

    In order: a byte-order mark, *charset* (of the HTTP header), the page's own ``<meta>``, UTF-8,
    and what charset-normalizer finds most probable.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"),
                           (b"\xfe\xff", "utf-16")):  # fmt: skip
        if body.startswith(mark):
            charset = encoding
    meta = _META.search(body[:4096])
    for name in (charset, meta.group(1).decode("ascii", "ignore") if meta else None, "utf-8"):
        try:
            if name:
                known = name.strip().lower()
                return body.decode("cp1252" if known in WESTERN else known)
        except (LookupError, UnicodeDecodeError):
            continue
    from charset_normalizer import from_bytes

    best = from_bytes(body[:200_000]).best()
    try:
        return body.decode(best.encoding) if best else None
    except UnicodeDecodeError:
        return None


def visible_text(html: str) -> str:
    """Return what a reader sees of a page: one line for each block, spaces as shown.

    No style sheet is read: what CSS hides comes too.
    """
    page = _Page()
    page.feed(_ended(html))
    page.close()
    lines = (" ".join(line.split()) for line in "".join(page.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _ended(html: str) -> str:
    """Return *html* without markup that is open at its end.

    Over such markup Python's parser takes time that grows with its square (CVE-2025-6069).
    """
    comment, tag = html.rfind("-->") + 1, html.rfind(">") + 1
    within = html[comment:tag].replace("<!--", " <!")
    return html[:comment] + within + html[max(comment, tag) :].replace("<", "&lt;")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen: list[str] = []
        self._open: Counter[str] = Counter()  # how often each tag stands in that list
        self._pre = 0

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        # Of HTML, what starts with <![ is a comment that is written wrongly; the base class fails
        # on most of them (WHATWG HTML, 13.2.5.42, markup declaration open state).
        return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body" or (tag in BLOCKS and self._unseen == ["head"]):
            # A head that was never closed ends where content starts.
            self._unseen.clear()
            self._open.clear()
        if tag in UNSEEN:
            self._unseen.append(tag)
            self._open[tag] += 1
        elif tag in BLOCKS:
            self.parts.append("\n")
            self._pre += tag == "pre"
        elif tag in ("td", "th"):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._open[tag]:
            closed = ""
            while closed != tag:
                closed = self._unseen.pop()
                self._open[closed] -= 1
        elif tag in BLOCKS:
            self.parts.append("\n")
            self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data if self._pre else data.replace("\n", " "))
