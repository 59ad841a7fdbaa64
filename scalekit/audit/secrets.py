"""Secrets: keys, tokens and passwords, found by the form that their issuers give them.

A token is masked although its checksum fails: one that was mistyped tells as much of the right one.
What has no form of its own, a password or a key of any service, is found by its label.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["SECRETS", "Kind", "Spans", "matches"]

Spans = Iterator[tuple[int, int]]


@dataclass(frozen=True)
class Kind:
    """A kind of finding: how to find it, and the pattern without which no text holds any."""

    name: str
    find: Callable[[str], Spans]
    must: str


def matches(
    pattern: re.Pattern[str], holds: Callable[[str], bool] = bool
) -> Callable[[str], Spans]:
    """Return a search for *pattern*, or for its group ``value``, where that *holds*."""
    named = "value" in pattern.groupindex

    def found(text: str) -> Spans:
        for match in pattern.finditer(text):
            group = "value" if named and match["value"] is not None else 0
            if holds(match[group]):
                yield match.span(group)

    return found


_PEM = r"-----{} (?:[A-Z0-9]+ ){{0,3}}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY = re.compile(
    rf"{_PEM.format('BEGIN')}(?:(?:(?!-----)[\s\S]){{0,20000}}{_PEM.format('END')}|[A-Za-z0-9+/=\s]+)"
)
_JWT = re.compile(r"(?<![\w.-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")
_GITHUB = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"
)
_SLACK = re.compile(
    r"(?<![A-Za-z0-9])(?:xox[a-z]-[A-Za-z0-9-]{10,250}|xapp-[0-9]-[A-Za-z0-9-]{10,250})"
    r"|https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}"
)
_AWS = re.compile(
    r"(?<![A-Za-z0-9/+])(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA|ABIA|ACCA)[A-Z0-9]{16}"
    r"(?![A-Za-z0-9/+])"
)
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9_-])(?:AIza[A-Za-z0-9_-]{35}|[srp]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|sk-(?:[a-z]+-)*[A-Za-z0-9_]{20,}[A-Za-z0-9_-]*|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}"
    r"|pypi-[A-Za-z0-9_-]{50,}|glpat-[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})"
)
_LABEL = (
    r"(?:api|access|account|auth|client|encryption|private|secret|service|signing|storage)"
    r"(?:[_ -]?[a-z]{1,12})?[_ -]?(?:key|token|secret)|secret|token|bearer"
)
_LABELLED = re.compile(
    rf"(?i:{_LABEL})[\"']?(?:\s?[:=]{{1,2}}>?\s?| is | )(?i:bearer )?[\"'`]?"
    r"(?P<value>[A-Za-z0-9_+/=-]{16,512}+(?:\.[A-Za-z0-9_+/=-]{4,512}+){0,4}+)(?![\w(\[]|\.\w)",
    re.ASCII,
)
_PASSWORD = re.compile(
    r"(?i:pass(?:word|wd|phrase|code)?|pwd)[\"']?\s?(?:[:=]|=>)\s?"
    r"(?:\"(?P<double>[^\"\n]{4,64})\"|'(?P<single>[^'\n]{4,64})'|[\"']?(?P<bare>[^\s\"',;<>(){}\[\]`]{4,64}+(?![(\[])))"
    r"|://[^\s:/@]{1,64}:(?P<url>[^\s:/@]{3,64})@",
    re.ASCII,
)
# Words that can be said, as people and programs make them: a key has few, its digits stand apart.
_WORDS = re.compile(r"[A-Za-z][a-z]{3,}|[A-Z]{4,}")
_UNSAID = re.compile(r"[^aeiouy]{3}$|[^aeiouy]{4}|^(?![aeiouys])[^aeiouy]{2}[^aeiouyrl]|q[^u]|q$")


def _is_key(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    if letters < 2 or len(set(text)) < 8:
        return False
    words = [w for w in _WORDS.findall(text) if not _UNSAID.search(w.lower())]
    worded = sum(map(len, words)) / letters
    return worded < 0.6 or (worded < 0.8 and len(re.findall(r"\d+", text)) >= 2)


def _is_token(text: str) -> bool:
    head = text.split(".")[0]
    try:
        said = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False
    return b'"alg"' in said


def _has_key(text: str) -> bool:
    return bool(re.search(r"[A-Za-z0-9+/=]{32}", re.sub(r"\s|\\n", "", text.split("-----")[2])))


def _passwords(text: str) -> Spans:
    for match in _PASSWORD.finditer(text):
        form = match.lastgroup or ""
        if not _NO_VALUE[form].search(match[form]):
            yield match.span(form)


# Programs name, look up and format passwords; prose speaks of them: those are no values.
_FORMATTED = re.compile(r"[{<(]|%[srd](?!\w)|\$\w|\*{3}|\.{3}")
_NO_VALUE = {
    "double": _FORMATTED,
    "single": _FORMATTED,
    "bare": re.compile(r"^(?:[$%*{<:=]|[A-Za-z_]\w*\.[A-Za-z_]|[^\d!@#$%^&*+?]*$)"),
    "url": re.compile(r"^[$%*{<]"),
}


SECRETS = (
    Kind("private key", matches(_PRIVATE_KEY, _has_key), "PRIVATE KEY"),
    Kind("jwt", matches(_JWT, _is_token), "eyJ"),
    Kind("github token", matches(_GITHUB), "gh[a-z]_[A-Za-z0-9]{36}|github_pat_"),
    Kind("slack token", matches(_SLACK), r"xox[a-z]-|xapp-|hooks\.slack"),
    Kind("aws key", matches(_AWS), "A[A-Z]{2}A[A-Z0-9]{16}"),
    Kind(
        "api key",
        matches(_ISSUED, _is_key),
        r"AIza|[srp]k_(?:live|test)_|sk-|hf_|npm_|pypi-|glpat-|SG\.",
    ),
    Kind(
        "api key",
        matches(_LABELLED, _is_key),
        r"(?i:key|token|secret|bearer)[\s:=>\x22'`]{1,6}(?:is )?(?i:bearer )?[\x22'`]?"
        "[A-Za-z0-9_+/=-]{16}",
    ),
    Kind("password", _passwords, r"(?i:pass[a-z]*|pwd)[\x22']?\s?[:=]|://[^:/@]+:[^:/@]+@"),
)
"""Kinds of secrets; an earlier one keeps its span from the later, looser ones."""
