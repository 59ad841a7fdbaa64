from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekit.audit import junk_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("!!! ??? ... ###", "mostly signs: 0 letters in 12 characters"),
        ("====== a b", "mostly signs: 2 letters in 8 characters"),
        ("buy buy buy now", "one word repeated: 'buy' 3 times in 4 words"),
        ("Call me. Call me. Call me. Call me. Please today now", "one sentence repeated 4 times"),
        ("asdfgh qwerty zxcvbn", "keyboard mashing"),
        ("xkcdqw plrtzk wrtgh", "keyboard mashing"),
        ("see https://example.com/a/very/long/link/indeed", "a link with little else"),
        ("I am out of the office until Monday.", "an automatic reply"),
        ("Automatic reply: thank you for writing.", "an automatic reply"),
        ("", "no words"),
        (" ", "no words"),
    ],
)
def test_each_rule_is_named_with_its_count(text: str, rule: str) -> None:
    assert rule in (junk_rule(text) or "")


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel?",
        "no",
        "Help!",
        "I was charged 18.90 twice on 2026-10-02, order 4411.",
        "No no no, I never asked for that plan",
        "The strengths of HTML and HTTPS are plain.",
        "Das Deutschlandticket gilt nächsten Samstag nicht.",
        "Wszystko przyszło, dziękuję za szybką wysyłkę",
        "मेरा पार्सल कहाँ है? मुझे आज चाहिए।",
        "พัสดุของฉันอยู่ที่ไหน",
        "أين طردي؟ أحتاجه اليوم",
        "我的包裹在哪里？我今天需要它。",
        "내 소포는 어디에 있나요?",
        "The link https://example.com/x is broken since your last update of it, please mend it",
        "My office is out of coffee; do you ship the office blend on Mondays?",
    ],
)
def test_a_real_message_is_not_junk(text: str) -> None:
    assert junk_rule(text) is None


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_judged(text: str) -> None:
    found = junk_rule(text)
    assert found is None or found
