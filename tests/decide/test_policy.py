"""The policy file: what is wrong is named with its line and field; what is written comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalekit.decide import Policy, PolicyError, default_policy, read_policy

ANA, BEN = bytes(range(32)), bytes(range(1, 33))


def written(folder: Path) -> tuple[Path, Policy]:
    policy = default_policy(
        {"ana": ANA, "ben": BEN}, director=("ben",), thresholds={"alpha": "0.7"}
    )
    path = folder / "policy.toml"
    path.write_text(policy.to_toml())
    return path, policy


def test_it_comes_back_as_it_was_and_comments_do_not_matter(tmp_path: Path) -> None:
    path, policy = written(tmp_path)
    path.write_text("# ours\n" + path.read_text().replace("version = 1", "version   =  1", 1))
    found = read_policy(path)
    assert found == policy
    assert found.digest == policy.digest
    assert found.rank("ben") == 3
    assert found.rank("ana") == 2
    assert found.may_sign("ben", 2) == "tpm"
    assert found.name_of(BEN) == "ben"


WRONG = {
    "a tier that is none": ("tier = 3", "tier = 4", r"rules\.\d+\.tier: .*less than or equal to 3"),
    "no number": ("sla_hours = 72", 'sla_hours = "soon"', r"tiers\.2\.sla_hours: .*valid integer"),
    "an unknown field": ("waiver_days = 14", "waver_days = 14", "waver_days: Extra inputs"),
    "a waiver for too long": ("waiver_days = 14", "waiver_days = 90", "less than or equal to 14"),
    "a role of nobody": ('[\n    "ben",\n]', '[\n    "eve",\n]', "roles.director: 'eve'"),
    "no key": (ANA.hex(), "abc", r"people\.ana\.key: a public key is 64 hex digits"),
    "an unknown kind": ('"open_vault"', '"open_fault"', r"rules\.\d+\.kind\.0"),
    "a time without zone": ('revoked = ""', 'revoked = "2026-11-20"', "a time with its zone"),
    "a soft gate": ('waiver = "hard"', 'waiver = "soft"', r"gates\.0\.waiver"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line_and_field(tmp_path: Path, name: str) -> None:
    path, _ = written(tmp_path)
    before, after, said = WRONG[name]
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(PolicyError, match=said) as refused:
        read_policy(path)
    line = int(str(refused.value).split(", line ")[1].split(":")[0])
    near = path.read_text().splitlines()[line - 1 : line + 3]
    assert any(after.splitlines()[-1].strip() in row or row.startswith("gates") for row in near)


def test_what_is_no_toml_or_not_there_says_so(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    path.write_text(path.read_text().replace("[roles]", "[roles"))
    with pytest.raises(PolicyError, match=r"not readable as TOML .*line \d+"):
        read_policy(path)
    with pytest.raises(PolicyError, match="there is no policy"):
        read_policy(tmp_path / "other.toml")


def test_two_names_for_one_key_and_a_policy_nobody_can_sign_are_refused() -> None:
    with pytest.raises(PolicyError, match="two have the same key"):
        default_policy({"ana": ANA, "also ana": ANA})
    plain = default_policy({"ana": ANA}).plain
    plain["people"]["ana"]["revoked"] = "2026-11-20T00:00:00Z"
    with pytest.raises(ValueError, match="nobody with a valid key"):
        Policy.model_validate(plain)
    twice = {**default_policy({"ana": ANA}).plain}
    twice["rules"] = [twice["rules"][0]] * 2
    with pytest.raises(ValueError, match="two have the same name"):
        Policy.model_validate(twice)


def test_it_shows_who_signs_what() -> None:
    html = default_policy({"ana": ANA, "<b>": BEN}, director=("ana",)).to_html()
    assert "1 of tpm or director, not who asks" in html
    assert "&lt;b&gt;" in html
