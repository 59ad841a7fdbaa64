"""Personal data and secrets: found by pattern and checksum, masked in what is handed on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from scalekit.audit.normalise import lists
from scalekit.audit.secrets import SECRETS, Kind, Spans, matches

__all__ = ["KINDS", "Finding", "find_personal", "mask", "masked"]


@dataclass(frozen=True)
class Finding:
    """Personal data of one kind at the character span ``[start, end)``."""

    kind: str
    start: int
    end: int


# Lengths by country, from the registry of ISO 13616 (SWIFT), and of the countries that use the form
# without being in it.
_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS", 23: "AE GI IL OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "AO CV GW LY MZ PT ST", 26: "DZ IR IS TR",
    27: "BI CF CG CM DJ FR GA GQ GR IT KM MC MG MR SM TD",
    28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG", 29: "BR EG PS QA UA",
    30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH_OF = {c: n for n, countries in _IBAN_LENGTHS.items() for c in countries.split()}
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ ]?[A-Za-z0-9])")
_DIGIT_RUN = re.compile(r"(?<!\d)(?<!\d\.)\d+(?:[ -]\d+)*")  # no decimals
_DATE = re.compile(r"\d{1,2}[. -]\d{1,2}[. -]\d{2,4}|\d{4}[. -]\d{1,2}[. -]\d{1,2}")
# Possessive, and only from the start of a word: otherwise a long word costs its square.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+")
_IP = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_PHONE = re.compile(
    r"(?<![\w-])(?<!\d\.)(?:\+\d{1,3}[ .-]?|\(?0)\(?\d{1,4}\)?(?:[ .-]?\d{2,5}){1,4}(?![\w-])"
)
_STREET_ENDS = (
    "(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Way|Court|Crescent|Terrace|Boulevard|"
    "Blvd|Place|Square)"
)
_STREET = re.compile(rf"\b\d{{1,5}}[a-zA-Z]? (?:[A-Z][\w'’-]+ ){{1,3}}{_STREET_ENDS}\b\.?")
# Area, group and serial number that the Social Security Administration gives out (20 CFR 422.103),
# written with hyphens, or anyhow after its name.
_SSN_NUMBER = r"(?!000|666|9)[0-9]{3}{0}(?!00)[0-9]{2}{0}(?!0000)[0-9]{4}(?![\w-])"
_SSN = re.compile(
    rf"(?<![\w-]){_SSN_NUMBER.replace('{0}', '-')}"
    r"|(?i:\b(?:ssn|social security)(?: number| no\.?)?(?: is)?[:#=]? ?)"
    rf"(?P<value>{_SSN_NUMBER.replace('{0}', '[ -]?')})",
    re.ASCII,
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
        if len(run[0]) < 13:
            continue
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
    for last in reversed(range(first, min(first + 19, len(groups)))):
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
        length = _LENGTH_OF.get(plain[:2], len(plain) + 1)
        if len(plain) >= length and _iban_holds(plain[:length]):
            yield start.start(), ends[length - 1]


def _iban_holds(plain: str) -> bool:
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _phone(text: str) -> bool:
    return 8 <= sum(c.isdigit() for c in text) <= 15 and not _DATE.fullmatch(text)


def _public_address(text: str) -> bool:
    parts = [int(p) for p in text.split(".")]
    return all(p < 256 for p in parts) and parts[0] not in (0, 10, 127)


_PHONE_SIGNS = r"(?:\+\d|(?:^|[^0-9A-Za-z_.-]|[^0-9]\.)\(?0)(?:[() .-]{0,3}\d){7}"
# In order: an earlier kind keeps its span from the later, looser ones. Each with the pattern that a
# text must have to hold any, as the engine of polars reads it: it may say more than there is, never
# less, so where the engines differ on letters it takes any sign.
KINDS: tuple[Kind, ...] = (
    *SECRETS,
    Kind("email", matches(_EMAIL), r"\S@\S+\.\S"),
    Kind("iban", _ibans, "[A-Za-z]{2}[0-9]{2} ?[A-Za-z0-9](?: ?[A-Za-z0-9]){9}"),
    Kind("card", _cards, r"\d(?:[ -]?\d){12}"),
    Kind("social security number", matches(_SSN), "[0-9]{3}-[0-9]{2}-[0-9]{4}|(?i:ssn|social se)"),
    Kind("ip address", matches(_IP, _public_address), r"\d\.\d{1,3}\.\d{1,3}\.\d"),
    Kind("phone", matches(_PHONE, _phone), _PHONE_SIGNS),
    Kind("street address", matches(_STREET), rf"\d[a-zA-Z]? (?:[A-Z]\S+ ){{1,3}}{_STREET_ENDS}"),
)
"""What is looked for, in order."""


def find_personal(text: str) -> list[Finding]:
    """Return personal data and secrets in *text*, in order of place, without overlaps.

    Personal data: email, iban (checksum), card (Luhn), US social security number, ip address,
    phone, street address. Secrets: see :mod:`scalekit.audit.secrets`. Names are not found: that
    needs a model, which the user can bring.
    """
    return _found(text, KINDS)


def _found(text: str, kinds: Iterable[Kind]) -> list[Finding]:
    found: list[Finding] = []
    for kind in kinds:
        for start, end in kind.find(text):
            if all(end <= f.start or start >= f.end for f in found):
                found.append(Finding(kind.name, start, end))
    return sorted(found, key=lambda f: f.start)


def mask(text: str) -> str:
    """Return *text* with each finding replaced by its kind in brackets."""
    return _masked(text, find_personal(text))


def _masked(text: str, found: list[Finding]) -> str:
    for finding in reversed(found):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return text


def masked(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return what :func:`mask` makes of each text, and the kinds :func:`find_personal` finds there.

    Only texts that have the pattern of a kind are searched for it.
    """
    suspect = texts.str.contains("|".join(f"(?:{kind.must})" for kind in KINDS)).arg_true()
    given = texts.gather(suspect)
    may = zip(*(given.str.contains(kind.must) for kind in KINDS), strict=True)
    kinds: list[list[str]] = [[] for _ in range(len(texts))]
    out = []
    for at, text, flags in zip(suspect, given, may, strict=True):
        found = _found(text, itertools.compress(KINDS, flags))
        kinds[at] = [f.kind for f in found]
        out.append(_masked(text, found))
    told = texts.clone().scatter(suspect, pl.Series(out, dtype=pl.String))
    return told, lists("personal", kinds)
