"""Secrets, put together here so that no file holds what looks like one."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from scalekit.audit import find_personal, mask, normalise

LETTERS = string.ascii_letters + string.digits


def run(draw: random.Random, many: int, signs: str = LETTERS) -> str:
    return "".join(draw.choices(signs, k=many))


def token(draw: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": run(draw, 8), "iat": 1})
    said = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*said, run(draw, 43)])


def slack(draw: random.Random) -> str:
    return f"xox{draw.choice('bpa')}-{run(draw, 12, string.digits)}-{run(draw, 24)}"


def hook(draw: random.Random) -> str:
    return f"https://hooks.slack.com/services/T{run(draw, 8)}/B{run(draw, 8)}/{run(draw, 24)}"


def number(draw: random.Random) -> str:
    return f"{draw.randint(1, 665):03}-{draw.randint(1, 99):02}-{draw.randint(1, 9999):04}"


MAKERS: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "aws": ("aws key", lambda d: d.choice(["AKIA", "ASIA"]) + run(d, 16, "ABCDEFGH234567")),
    "github": ("github token", lambda d: f"gh{d.choice('pousr')}_{run(d, 36)}"),
    "github fine": ("github token", lambda d: f"github_pat_{run(d, 22)}_{run(d, 59)}"),
    "slack": ("slack token", slack),
    "slack hook": ("slack token", hook),
    "jwt": ("jwt", token),
    "google": ("api key", lambda d: "AI" + "za" + run(d, 35)),
    "stripe": ("api key", lambda d: f"sk_{d.choice(['live', 'test'])}_{run(d, 24)}"),
    "hugging face": ("api key", lambda d: "hf" + "_" + run(d, 34)),
    "ssn": ("social security number", number),
}
LABELS = ("api_key=", 'API key: "', "secret_key = '", "access-token: ", '"client_secret": "',
          "Authorization: Bearer ", "token is ", "AWS_SECRET_ACCESS_KEY=")  # fmt: skip
PLACES = ("{}", "use {} please", "key:\n{}\n", "({})", '"{}",', "it is {}.")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("place", PLACES)
def test_every_planted_secret_is_found_and_nothing_of_it_is_left(maker: str, place: str) -> None:
    kind, make = MAKERS[maker]
    draw = random.Random(maker)
    for _ in range(100):
        planted = make(draw)
        masked = mask(place.format(planted))
        assert masked == place.format(f"[{kind}]"), planted


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("form", ["hex", "letters and digits", "base64"])
def test_a_labelled_key_is_found(label: str, form: str) -> None:
    draw = random.Random(label)
    signs = {"hex": "0123456789abcdef", "letters and digits": LETTERS, "base64": LETTERS + "+/"}
    missed = 0
    for _ in range(300):
        planted = run(draw, draw.choice([24, 32, 40]), signs[form])
        missed += planted in mask(f"settings {label}{planted} end")
    assert missed == 0


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2", "password=[password]"),
        ("Password: Summer!2024, thanks", "Password: [password], thanks"),
        ("my pwd = 'correct horse'", "my pwd = '[password]'"),
        ('"passwd": "letmein"', '"passwd": "[password]"'),
        ("postgres://ana:s3cret@db.example.org/x", "postgres://ana:[password]@db.example.org/x"),
        ("SSN 536 22 1234", "SSN [social security number]"),
        ("social security number: 536221234.", "social security number: [social security number]."),
    ],
)
def test_passwords_and_labelled_numbers_lose_only_their_value(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("flat", [False, True])
def test_a_private_key_is_masked_whole(form: PrivateFormat, flat: bool) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    text = f"here:\n{pem}\nand more"
    text, _ = normalise(text.replace("\n", " ") if flat else text)
    assert " ".join(mask(text).split()) == "here: [private key] and more"
    cut = mask(text[: len(text) // 2])
    assert cut.split() == ["here:", "[private", "key]"], "also where the end is lost"


def test_a_private_key_with_a_password_is_masked_with_its_header() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    locked = BestAvailableEncryption(b"a long pass phrase")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, locked).decode()
    assert "DEK-Info: AES-256-CBC" in pem
    assert mask(f"here: {pem}") == "here: [private key]\n"


def test_a_private_key_in_a_json_file_is_masked() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert mask(json.dumps({"private_key": pem, "n": 1})) == (
        '{"private_key": "[private key]\\n", "n": 1}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "Please reset my password: it does not work any more",
        "The password is case-sensitive and must have 8 characters.",
        "password = getpass.getpass()",
        "def login(user, password=None): return check(password=password)",
        "password: ${DB_PASSWORD}",
        "the secret is in the sauce; the token of my affection",
        "token = self.tokenizer.get_next_token()",
        "api_key=os.environ['OPENAI_API_KEY']",
        "client_secret=YOUR_CLIENT_SECRET_GOES_HERE",
        "secret: this-is-a-long-hyphenated-phrase",
        "access_token_lifetime_in_seconds = default_lifetime",
        "-----BEGIN PRIVATE KEY----- is how the file begins",
        "the task-oriented desk-bound risk-averse-investment sk-learn",
        "order 666-12-3456 and 900-12-3456 and 123-00-4567 and 123-45-0000",
        "call 123-456-7890",
        "eyJub3QiOiJhIGhlYWRlciJ9.eyJub3QiOiJhIGhlYWRlciJ9.abc",
        "AKIA is a prefix, ghp_ is another, xoxb- too",
        "see https://example.org/a:b@c and commit 9d1f0c3e4b5a69788776655443322110ffeeddcc",
        "0.4111111111111111 and 3.0714285714 are shares",
    ],
)
def test_what_only_speaks_of_secrets_is_left(text: str) -> None:
    assert find_personal(text) == []
