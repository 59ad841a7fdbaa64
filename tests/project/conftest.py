"""A project whose decisions three people sign."""

from __future__ import annotations

from typing import Any

import pytest
from teams import Team


@pytest.fixture
def team(audited: Any) -> Team:
    """The sample project behind the closed gate of Audit: two gaps, one check on each."""
    audited.label.invite("ana")
    return Team(audited)
