from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scalekit.collect import Batch, ProvenanceError, batch_record, probable_licences, rights_problem

TODAY = date.today().isoformat()
GOOD = {
    "batch_id": "export-1",
    "source": "helpdesk export",
    "tier": "first-party",
    "rights": "LicenseRef-internal",
    "collected": "2026-10-02",
    "collector": "ana",
}


def record(**change: Any) -> Batch:
    return batch_record({**GOOD, **change}, rows=3, quarantined=1, digest="sk1:sha256:0")


def test_a_complete_batch_is_recorded_as_said() -> None:
    assert record(source="  helpdesk export ").model_dump(include=set(GOOD)) == GOOD
    assert record(collected=TODAY).collected == TODAY
    assert record(collected=date(2026, 10, 2)).collected == "2026-10-02"
    assert (record().rows, record().quarantined) == (3, 1)


@pytest.mark.parametrize("field", GOOD)
@pytest.mark.parametrize("empty", ["", "  \n", None])
def test_a_missing_field_is_named_with_what_is_needed(field: str, empty: Any) -> None:
    with pytest.raises(
        ProvenanceError, match=rf"was refused, nothing was stored:\n{field}: missing; give "
    ):
        record(**{field: empty})


def test_all_missing_fields_are_named_at_once() -> None:
    with pytest.raises(ProvenanceError) as caught:
        batch_record({}, rows=0, quarantined=0, digest="")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == list(GOOD)


@pytest.mark.parametrize(
    "said",
    [
        "2026-13-01",
        "2026-02-30",
        "02.10.2026",
        "10/02/2026",
        "2026-10-2",
        "20261002",
        "2026-10",
        "yesterday",
        "2026-10-02T10:00:00",
        "2026-W01-1",
        "2026-10-0\u0662",
        "２０２６-10-02",
        "0000-01-01",
        "2026−10−02",
    ],
)
def test_a_malformed_date_is_refused(said: str) -> None:
    with pytest.raises(ProvenanceError, match=r"collected: .* is not a date written YYYY-MM-DD"):
        record(collected=said)
    with pytest.raises(ProvenanceError, match="collected"):
        record(collected=datetime(2026, 10, 2, 11, 30))


@pytest.mark.parametrize("days", [1, 400])
def test_a_date_in_the_future_is_refused(days: int) -> None:
    later = (date.today() + timedelta(days=days)).isoformat()
    with pytest.raises(ProvenanceError, match=f"collected: {later} lies in the future"):
        record(collected=later)


@pytest.mark.parametrize(
    "rights",
    [
        "MIT",
        "CC-BY-4.0",
        "CC0-1.0",
        "mit",
        "LicenseRef-internal",
        "LicenseRef-Fernway-2026.1",
        "Apache-2.0 OR MIT",
        "(MIT OR CC-BY-4.0) AND LicenseRef-contract",
        "GPL-2.0-or-later",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ],
)
def test_spdx_expressions_and_named_licences_are_rights(rights: str) -> None:
    assert rights_problem(rights) is None
    assert record(rights=rights).rights == rights


@pytest.mark.parametrize(
    "rights",
    [
        "yes",
        "ours",
        "public domain",
        "NONE",
        "NOASSERTION",
        "CC-BY",
        "MIT AND",
        "AND",
        "(MIT",
        "MIT)",
        "()",
        "MIT MIT",
        "MIT or, if not, BSD",
        "LicenseRef-",
        "LicenseRef-our contract",
        "MIT/BSD",
        "https://example.org/licence",
        "Classpath-exception-2.0",
        "MIT WITH MIT",
        "; DROP TABLE",
    ],
)
def test_what_names_no_rights_is_refused_by_field(rights: str) -> None:
    assert rights_problem(rights)
    with pytest.raises(ProvenanceError, match=r"refused, nothing was stored:\nrights: '"):
        record(rights=rights)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("CC BY-SA 4.0", ["CC-BY-SA-4.0"]),
        ("the MIT Licence", ["MIT"]),
        ("Apache License, Version 2.0", ["Apache-2.0"]),
        ("BSD 3-Clause", ["BSD-3-Clause"]),
        ("LGPL 2.1", ["LGPL-2.1-only", "LGPL-2.1-or-later"]),
        ("CC0", ["CC0-1.0"]),
        ("CC BY-ND", [f"CC-BY-ND-{v}" for v in ("1.0", "2.0", "2.5", "3.0", "4.0")]),
        ("ours", []),
        ("GNU General Public License v3.0", []),
        ("Unspecified", []),
        ("", []),
        ("licence", []),
    ],
)
def test_a_licence_by_its_everyday_name_is_never_taken_but_its_identifier_is_named(
    said: str, meant: list[str]
) -> None:
    assert probable_licences(said) == meant
    why = rights_problem(said)
    assert why is not None
    assert all(repr(m) in why for m in meant)
    assert all(rights_problem(m) is None for m in meant)


def test_licences_in_a_list_are_refused_with_how_to_join_them() -> None:
    assert "AND (all hold) or OR" in str(rights_problem("MIT License; Apache-2.0"))


pieces = st.lists(
    st.sampled_from(
        ["MIT", "AND", "OR", "WITH", "(", ")", "LicenseRef-a", "+", "x", "Classpath-exception-2.0"]
    ),
    max_size=6,
).map(" ".join)


@settings(deadline=None, max_examples=200)
@example("()")
@example("MIT AND ()")
@given(pieces | st.text(max_size=12))
def test_any_rights_are_judged_and_none_crash(rights: str) -> None:
    assert (
        rights_problem(rights) is None
        or rights in str(rights_problem(rights))
        or not rights.isprintable()
    )


@pytest.mark.parametrize(
    "name", ["Export", "a b", "../up", "a/b", "-a", "_a", "a.b", "ä", "a" * 65, "a\n", "a\x00"]
)
def test_a_batch_id_that_is_no_file_name_is_refused(name: str) -> None:
    if name.strip() != name:
        assert record(batch_id=name).batch_id == name.strip()
        return
    with pytest.raises(ProvenanceError, match=r"batch_id: .*is not a short name"):
        record(batch_id=name)


def test_a_tier_outside_the_list_is_refused_with_the_list() -> None:
    with pytest.raises(
        ProvenanceError, match="tier: 'web' is not one of first-party, licensed, public-web"
    ):
        record(tier="web")


def test_synthetic_text_needs_a_gap_and_a_generator() -> None:
    with pytest.raises(ProvenanceError, match=r"(?s)gap: missing.*generator: missing"):
        record(tier="synthetic")
    made = record(tier="synthetic", gap="billing", generator="templates v2")
    assert (made.gap, made.generator) == ("billing", "templates v2")
