"""Personal data: found by pattern and checksum, masked in what is handed on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Finding", "find_personal", "mask"]


@dataclass(frozen=True)
class Finding:
    """Personal data of one kind at the character span ``[start, end)``."""

    kind: str
    start: int
    end: int


Spans = Iterator[tuple[int, int]]

# Lengths by country, from the registry of ISO 13616 (SWIFT); others: the shortest that checks.
_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS", 23: "AE GI IL TL", 24: "AD CZ ES MD PK RO "
    "SA SE SK TN VG", 25: "PT", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB "
    "PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH_OF = {c: n for n, countries in _IBAN_LENGTHS.items() for c in countries.split()}
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ ]?[A-Za-z0-9])")
_DIGIT_RUN = re.compile(r"\d+(?:[ -]\d+)*")
_DATE = re.compile(r"\d{1,2}[. -]\d{1,2}[. -]\d{2,4}|\d{4}[. -]\d{1,2}[. -]\d{1,2}")
# Possessive, and only from the start of a word: otherwise a long word costs its square.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+")
_IP = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_PHONE = re.compile(
    r"(?<![\w-])(?:\+\d{1,3}[ .-]?|\(?0)\(?\d{1,4}\)?(?:[ .-]?\d{2,5}){1,4}(?![\w-])"
)
_STREET = re.compile(
    r"\b\d{1,5}[a-zA-Z]? (?:[A-Z][\w'’-]+ ){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Way|Court|Crescent|Terrace|"
    r"Boulevard|Blvd|Place|Square)\b\.?"
)


def _luhn(digits: str) -> bool:
    """Check digit of ISO/IEC 7812-1, annex B."""
    numbers = [int(c) for c in digits]
    if len(set(numbers)) == 1:
        return False
    doubled = [d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(numbers[::-1])]
    return sum(doubled) % 10 == 0


def _cards(text: str) -> Spans:
    """Numbers of 13 to 19 digits that check, beginning and ending with a group of the run."""
    for run in _DIGIT_RUN.finditer(text):
        groups = [(m.start(), m.end()) for m in re.finditer(r"\d+", run[0])]
        first = 0
        while first < len(groups):
            last = _card_end(run[0], groups, first)
            if last is None:
                first += 1
                continue
            yield run.start() + groups[first][0], run.start() + groups[last][1]
            first = last + 1


def _card_end(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    for last in reversed(range(first, len(groups))):
        digits = re.sub(r"\D", "", run[groups[first][0] : groups[last][1]])
        if 13 <= len(digits) <= 19 and _luhn(digits):
            return last
    return None


def _ibans(text: str) -> Spans:
    """Account numbers whose check digits hold (ISO 13616: 1 modulo 97), up to their length."""
    for start in _IBAN_START.finditer(text):
        plain = ""
        ends: list[int] = []
        for at in range(start.start(), min(len(text), start.start() + 45)):
            if text[at].isascii() and text[at].isalnum():
                plain, ends = plain + text[at].upper(), [*ends, at + 1]
            elif text[at] != " ":
                break
        known = _LENGTH_OF.get(plain[:2])
        for length in [known] if known else range(15, 35):
            if len(plain) >= length and _iban_holds(plain[:length]):
                yield start.start(), ends[length - 1]
                break


def _iban_holds(plain: str) -> bool:
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _matches(
    pattern: re.Pattern[str], holds: Callable[[str], bool] = bool
) -> Callable[[str], Spans]:
    def found(text: str) -> Spans:
        return ((m.start(), m.end()) for m in pattern.finditer(text) if holds(m[0]))

    return found


def _phone(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15 and not _DATE.fullmatch(text)


def _public_address(text: str) -> bool:
    parts = [int(p) for p in text.split(".")]
    return all(p < 256 for p in parts) and parts[0] not in (0, 10, 127)


# In order: an earlier kind keeps its span from the later, looser ones.
_KINDS: tuple[tuple[str, Callable[[str], Spans]], ...] = (
    ("email", _matches(_EMAIL)),
    ("iban", _ibans),
    ("card", _cards),
    ("ip address", _matches(_IP, _public_address)),
    ("phone", _matches(_PHONE, _phone)),
    ("street address", _matches(_STREET)),
)


def find_personal(text: str) -> list[Finding]:
    """Return personal data in *text*, in order of place, without overlaps.

    Kinds: email, iban (checksum), card (Luhn), ip address, phone, street address. Names are not
    found: that needs a model, which the user can bring.
    """
    found: list[Finding] = []
    for kind, spans in _KINDS:
        for start, end in spans(text):
            if all(end <= f.start or start >= f.end for f in found):
                found.append(Finding(kind, start, end))
    return sorted(found, key=lambda f: f.start)


def mask(text: str) -> str:
    """Return *text* with each finding replaced by its kind in brackets."""
    for finding in reversed(find_personal(text)):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return text
