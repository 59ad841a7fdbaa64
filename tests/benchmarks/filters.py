"""Audit's filters: what they find, what they leave, how fast; one JSON object a line.

Documents: paragraphs of 90 to 200 words from the texts and sources that lie on this machine. For
the recall of a kind, one made-up instance of it stands between two words of a paragraph without
digits and at-signs, as people write it; it is found if it is masked whole, as that kind, and the
words beside it are left. Clean documents are such paragraphs with numbers in them that are no
personal data: dates, prices, versions, shares, times, order numbers. CPU seconds of one process
with one thread. Against presidio's recognisers of the same kinds, without a language model, where
presidio-analyzer is installed: it has none of secrets. ``--quick``: 1,000 documents and 100 of each
kind, else 20,000 and 1,000.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import random
import re
import string
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import near_duplicates  # first: it sets the number of threads
import polars as pl

from scalekit.audit import find_personal, harm, languages, masked, mend, quality

Draw = random.Random
LETTERS = string.ascii_letters + string.digits
FIRST = ("ana", "b.keller", "chloe_m", "d.o.brien", "emil", "fatima.z", "g-ito", "h.vega")
PLACES = ("example.org", "mail.example.com", "uni-example.edu", "example.co.uk")
IBANS = {"DE": 18, "FR": 23, "GB": 18, "NL": 14, "ES": 20, "AT": 16, "BE": 12, "PL": 24, "NO": 11}
PHONES = (
    "+49 30 {7}", "+1 202 555 {4}", "+44 20 7946 {4}", "(0{2}) {4} {4}", "0{3} {7}", "0{2}-{4}-{4}",
    "+33 1 {2} {2} {2} {2}", "+48{9}",
)  # fmt: skip
CITIES = ("Baker", "Elm", "Old Mill", "Queen Anne", "High", "Station", "Martin Luther")
ENDS = ("Street", "Road", "Avenue", "Lane", "Drive", "St", "Rd", "Blvd")
HARMLESS = (
    "{4}-0{1}-1{1}", "1{1}.0{1}.20{2}", "$ {3}.{2}", "v{1}.{2}.{1}", "{2} %", "0.{12}", "12:{2}",
    "page {3}", "order {6}", "ISBN-like {5}", "{2},{3}",
)  # fmt: skip


def run(draw: Draw, many: int, signs: str = LETTERS) -> str:
    """Return *many* signs."""
    return "".join(draw.choices(signs, k=many))


def digits(draw: Draw, form: str) -> str:
    """Return *form* with each ``{n}`` replaced by n digits that do not begin with 0."""
    return re.sub(
        r"\{(\d+)\}", lambda m: str(draw.randint(10 ** (int(m[1]) - 1), 10 ** int(m[1]) - 1)), form
    )


def iban(draw: Draw) -> str:
    """Return an IBAN whose checksum holds, in groups of four or not."""
    country = draw.choice(list(IBANS))
    own = run(draw, IBANS[country], string.digits)
    if country == "GB":
        own = run(draw, 4, string.ascii_uppercase) + own[4:]
    number = int("".join(str(int(c, 36)) for c in own + country + "00"))
    whole = f"{country}{98 - number % 97:02}{own}"
    return " ".join(re.findall(".{1,4}", whole)) if draw.random() < 0.5 else whole


def card(draw: Draw) -> str:
    """Return a card number whose check digit holds, in groups of four or not."""
    own = draw.choice("45") + run(draw, 14, string.digits)
    total = sum(sum(divmod(int(c) * (2 - place % 2), 10)) for place, c in enumerate(own))
    whole = own + str(-total % 10)
    return draw.choice([" ", "-", ""]).join(re.findall(".{4}", whole))


def jwt(draw: Draw) -> str:
    """Return a signed token of JSON."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": run(draw, 8), "iat": draw.randint(1, 10**9)})
    said = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*said, run(draw, 43)])


def private_key(draw: Draw) -> str:
    """Return what has the form of a private key in PEM."""
    kind = draw.choice(["", "RSA ", "EC ", "OPENSSH "])
    lines = "\n".join(run(draw, 64) for _ in range(12))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def address(draw: Draw) -> str:
    """Return a public address of IPv4."""
    first = draw.choice([n for n in range(1, 224) if n not in (10, 127)])
    return ".".join(map(str, [first, *(draw.randint(0, 255) for _ in range(3))]))


MAKERS: dict[str, Callable[[Draw], str]] = {
    "email": lambda d: f"{d.choice(FIRST)}{d.randint(1, 99)}@{d.choice(PLACES)}",
    "iban": iban,
    "card": card,
    "social security number": lambda d: (
        f"{d.randint(1, 665):03}-{d.randint(1, 99):02}-{d.randint(1, 9999):04}"
    ),
    "ip address": address,
    "phone": lambda d: digits(d, d.choice(PHONES)),
    "street address": lambda d: f"{d.randint(1, 999)} {d.choice(CITIES)} {d.choice(ENDS)}",
    "private key": private_key,
    "jwt": jwt,
    "github token": lambda d: f"gh{d.choice('pousr')}_{run(d, 36)}",
    "slack token": lambda d: f"xox{d.choice('bpa')}-{run(d, 12, string.digits)}-{run(d, 24)}",
    "aws key": lambda d: d.choice(["AKIA", "ASIA"]) + run(d, 16, string.ascii_uppercase + "234567"),
    "api key": lambda d: (
        d.choice(["api_key=", "API key: ", 'secret_key = "', "access-token: ", "Bearer "])
        + run(d, d.choice([32, 40]), d.choice([LETTERS, "0123456789abcdef"]))
    ),
    "password": lambda d: (
        d.choice(["password={}", "Password: {}", "pwd: {}", 'passwd="{}"'])
        .format(run(d, 8) + d.choice("!?#%") + str(d.randint(0, 99)))
    ),
}  # fmt: skip
# What is to be masked of an instance with a label.
LABELLED = re.compile(r"^.*?(?:[=:]\s?\"?|Bearer )([^\"]*)")
PRESIDIO = {
    "email": "EmailRecognizer",
    "iban": "IbanRecognizer",
    "card": "CreditCardRecognizer",
    "social security number": "UsSsnRecognizer",
    "ip address": "IpRecognizer",
    "phone": "PhoneRecognizer",
}


def planted(kind: str, many: int, base: list[str], draw: Draw) -> Iterator[tuple[str, str, str]]:
    """Return texts with an instance of *kind*, the instance, and how its place looks masked."""
    for _ in range(many):
        words = draw.choice(base).split()
        made = MAKERS[kind](draw)
        at = draw.randrange(1, len(words))
        named = LABELLED.match(made) if kind in ("api key", "password") else None
        secret = named[1] if named else made
        shown = f"{words[at - 1]} {made.replace(secret, f'[{kind}]')} {words[at]}"
        yield " ".join([*words[:at], made, *words[at:]]), secret, shown


def clean(many: int, draw: Draw) -> list[str]:
    """Return paragraphs with no personal data in them, but with numbers."""
    texts = []
    for text in near_duplicates.paragraphs(many * 15, draw):
        if re.search(r"[\d@]|://", text):
            continue
        words = text.split()
        for form in draw.sample(HARMLESS, 3):
            words.insert(draw.randrange(len(words)), digits(draw, form))
        texts.append(" ".join(words))
    return texts[:many]


def seconds(work: Callable[[], Any]) -> float:
    """Return the CPU seconds that the work takes: the median of three runs."""
    took = []
    for _ in range(3):
        begun = time.process_time()
        work()
        took.append(time.process_time() - begun)
    return sorted(took)[1]


def presidio() -> dict[str, Callable[[str], list[Any]]]:
    """Return presidio's recognisers of the kinds that it has, none that asks the network."""
    import tldextract

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    from presidio_analyzer import predefined_recognizers as there

    found: dict[str, Callable[[str], list[Any]]] = {}
    for kind, name in PRESIDIO.items():
        one = getattr(there, name)()
        found[kind] = lambda text, one=one: one.analyze(text, one.supported_entities, None)
    return found


def told(figure: str, value: float, **more: Any) -> None:
    """Print one figure."""
    print(json.dumps({"figure": figure, "value": round(value, 4), **more}), flush=True)


def main() -> None:
    """Measure and print."""
    quick = "--quick" in sys.argv[1:]
    draw = Draw(20260915)
    many, each = (1_000, 100) if quick else (20_000, 1_000)
    base = near_duplicates.paragraphs(many, Draw(20260914))
    texts = pl.Series("text", base)
    items = pl.DataFrame({"item_id": [str(n) for n in range(len(base))], "text": texts})
    spare = [text for text in base if not re.search(r"[\d@]|://", text)]
    there = presidio() if importlib.util.find_spec("presidio_analyzer") else {}

    for kind in MAKERS:
        texts_with, secrets, shown = zip(*planted(kind, each, spare, draw), strict=True)
        after, _ = masked(pl.Series(texts_with))
        found = sum(place in text for place, text in zip(shown, after, strict=True))
        told(f"recall_{kind.replace(' ', '_')}", found / each, planted=each)
        if kind in there:
            theirs = 0
            for text, part in zip(texts_with, secrets, strict=True):
                at = text.index(part)
                spans = [(hit.start, hit.end) for hit in there[kind](text)]
                theirs += any(a <= at and b >= at + len(part) for a, b in spans)
            told(f"recall_presidio_{kind.replace(' ', '_')}", theirs / each, planted=each)

    harmless = clean(each, draw)
    flagged = int((masked(pl.Series(harmless))[1].list.len() > 0).sum())
    told("clean_flagged", flagged, documents=len(harmless))
    if there:
        theirs = sum(any(find(text) for find in there.values()) for text in harmless)
        told("clean_flagged_presidio", theirs, documents=len(harmless))

    few = base[: len(base) // 10]
    parts = [texts[at : at + 1000] for at in range(0, len(texts), 1000)]
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "masked": (lambda: [masked(part) for part in parts], len(base)),
        "find_personal": (lambda: [find_personal(text) for text in few], len(few)),
        "mend": (lambda: mend(items), len(base)),
        "quality": (lambda: quality(items, families=["gopher", "c4", "fineweb"]), len(base)),
        "quality_repetition": (
            lambda: quality(items, families=["gopher repetition"]), len(base)
        ),
        "harm": (lambda: harm(items), len(base)),
        "languages": (lambda: languages(items[: len(few)]), len(few)),
    }  # fmt: skip
    speed = {}
    for name, (work, size) in works.items():
        speed[name] = size / seconds(work)
        told(f"{name}_docs_per_cpu_s", speed[name], documents=size, n=3)
    if there:
        part = few[:500]
        theirs = len(part) / seconds(lambda: [find(t) for t in part for find in there.values()])
        ratio = speed["masked"] / theirs
        told("masked_docs_per_cpu_s_ratio_presidio", ratio, documents=len(part), n=3)


if __name__ == "__main__":
    main()
