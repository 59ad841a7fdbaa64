"""Personal data: found by pattern and checksum, masked in what is handed on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Finding", "find_personal", "mask"]


@dataclass(frozen=True)
class Finding:
    """Personal data of one kind at the character span ``[start, end)``."""

    kind: str
    start: int
    end: int


def _luhn(text: str) -> bool:
    """Check digit of ISO/IEC 7812-1, annex B."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    """Check digits of ISO 13616: the rearranged number is 1 modulo 97."""
    plain = re.sub(r"\s", "", text).upper()
    number = "".join(str(int(c, 36)) for c in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1


def _phone(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15


def _public_address(text: str) -> bool:
    parts = [int(p) for p in text.split(".")]
    return all(p < 256 for p in parts) and parts[0] not in (0, 10, 127)


def _always(_: str) -> bool:
    return True


# In order: an earlier kind keeps its span from the later, looser ones.
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _always),
    (
        "iban",
        re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"),
        _iban,
    ),
    ("card", re.compile(r"(?<![\d-])(?:\d[ -]?){12,18}\d(?![\d-])"), _luhn),
    ("ip address", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"), _public_address),
    (
        "phone",
        re.compile(
            r"(?<![\w-])(?:\+\d{1,3}[ .-]?|\(?0)\(?\d{1,4}\)?(?:[ .-]?\d{2,5}){1,4}(?![\w-])"
        ),
        _phone,
    ),
    (
        "street address",
        re.compile(
            r"\b\d{1,5}[a-zA-Z]? (?:[A-Z][\w'’-]+ ){1,3}"
            r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Way|Court|Crescent|Terrace|"
            r"Boulevard|Blvd|Place|Square)\b\.?"
        ),
        _always,
    ),
)


def find_personal(text: str) -> list[Finding]:
    """Return personal data in *text*, in order of place, without overlaps.

    Kinds: email, iban (checksum), card (Luhn), ip address, phone, street address. Names are not
    found: that needs a model, which the user can bring.
    """
    found: list[Finding] = []
    for kind, pattern, holds in _KINDS:
        for match in pattern.finditer(text):
            free = all(match.end() <= f.start or match.start() >= f.end for f in found)
            if free and holds(match[0]):
                found.append(Finding(kind, match.start(), match.end()))
    return sorted(found, key=lambda f: f.start)


def mask(text: str) -> str:
    """Return *text* with each finding replaced by its kind in brackets."""
    for finding in reversed(find_personal(text)):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return text
