from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit import find_personal, mask

anything = st.text(st.sampled_from("ab1 4-.+@()/:\nÉ٣²①é05DE"), max_size=60)

# Published examples: IBANs of the SWIFT registry, test cards of the payment networks.
IBANS = (
    "BE68 5390 0754 7034",
    "DE89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "AT61 1904 3002 3457 3201",
    "NO93 8601 1117 947",
    "ES91 2100 0418 4502 0005 1332",
    "SE45 5000 0000 0583 9825 7466",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "BE68539007547034",
)
CARDS = (
    "4111 1111 1111 1111",
    "4111111111111111",
    "4111-1111-1111-1111",
    "5555 5555 5555 4444",
    "3782 822463 10005",
    "6011111111111117",
)


def kinds(text: str) -> list[str]:
    return [f.kind for f in find_personal(text)]


@settings(deadline=None, max_examples=300)
@given(anything)
def test_findings_are_in_order_apart_and_inside(text: str) -> None:
    at = 0
    for finding in find_personal(text):
        assert at <= finding.start < finding.end <= len(text)
        at = finding.end


@settings(deadline=None, max_examples=300)
@given(anything)
def test_masking_replaces_the_findings_and_nothing_else(text: str) -> None:
    expected, at = "", 0
    for finding in find_personal(text):
        expected += text[at : finding.start] + f"[{finding.kind}]"
        at = finding.end
    assert mask(text) == expected + text[at:]


AFTER = (
    "",
    ".",
    " is mine",
    " to pay",
    " from ING please",
    " and 12 more",
    ", thanks",
    " or call",
    " 7 days ago",
)


@pytest.mark.parametrize("after", AFTER)
def test_an_iban_is_masked_whatever_follows(after: str) -> None:
    for iban in IBANS:
        assert mask(f"My account {iban}{after}") == f"My account [iban]{after}", iban


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("card ", "."),
        ("", " 12/27"),
        ("", " 123"),
        ("", " cvv 123"),
        ("order 12: ", ""),
        ("2 ", ""),
        ("", "-thanks"),
        ("(", ")"),
        ("no.", "!"),
    ],
)
def test_a_card_number_is_masked_whatever_stands_beside_it(before: str, after: str) -> None:
    for card in CARDS:
        masked = mask(f"{before}{card}{after}")
        assert "[card]" in masked
        assert not re.search(r"\d[\d -]{6,}\d", masked), "no half of it is left"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "BE68 5390 0754 7035",
        "0000 0000 0000 0000",
        "version 10.2.0.1",
        "127.0.0.1",
        "999.1.1.1",
        "at 12:30",
        "page 12345",
        "5 apples and 6 pears",
        "2026-10-02",
        "user@host",
        "@name",
    ],
)
def test_numbers_that_only_look_alike_are_left(text: str) -> None:
    assert not set(kinds(text)) & {"card", "iban", "email", "ip address"}


@pytest.mark.parametrize(
    "text",
    [
        "Delivered on 05.03.2026 at noon",
        "since 01-02-2026",
        "by 09.10.2026.",
        "from 05.03.2026 to 07.03.2026",
        "at 08:30 on 2026-10-02",
        "chapter 0.1.2",
        "a 0.25 share",
        "on 03 04 2026",
    ],
)
def test_dates_and_fractions_are_no_telephone_numbers(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ana.b+x@mail.example.org now", "write to [email] now"),
        ("jürgen@straße.de", "[email]"),
        ("call +49 30 901820 today", "call [phone] today"),
        ("call 0171 2345678.", "call [phone]."),
        ("(020) 7946 0018 or +1 202 555 0143", "[phone] or [phone]"),
        ("from 8.8.8.8 today", "from [ip address] today"),
        ("I live at 12 Baker Street, London", "I live at [street address], London"),
        ("no data here", "no data here"),
        ("a@b.co\na@b.co", "[email]\n[email]"),
    ],
)
def test_each_kind_by_hand(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text", ["²²²² ²²²² ²²²² ²²²²", "DE٨٩ 3704 0044 0532 0130 00", "٣.٣.٣.٣", "①②③@④.⑤"]
)
def test_strange_digits_do_not_stop_the_search(text: str) -> None:
    assert isinstance(mask(text), str)


@pytest.mark.parametrize("part", ["1 ", "0 1", "+1 ", "a-", "api", "secret_key=", "://a:", "DE12 "])
def test_the_search_of_a_long_strange_text_ends(part: str) -> None:
    """Each was or could be a pattern's worst case: the square of this length would not end."""
    assert isinstance(mask(part * 8000), str)
