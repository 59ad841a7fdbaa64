"""Who labels is said by JupyterHub or by a person, never assumed."""

from __future__ import annotations

import pytest

from scalekit.label import LabelError, annotator_name


def nobody(question: str) -> str:
    raise EOFError


def test_what_is_given_counts_then_the_hub_then_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "hub-ana")
    assert annotator_name("ben", ask=nobody) == "ben"
    assert annotator_name(ask=nobody) == "hub-ana"
    monkeypatch.delenv("JUPYTERHUB_USER")
    assert annotator_name(ask=lambda question: " cy ") == "cy"


def test_without_anybody_to_ask_there_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    with pytest.raises(LabelError, match="who labels"):
        annotator_name(ask=nobody)
    with pytest.raises(LabelError, match="'' can't name an annotator"):
        annotator_name(ask=lambda question: " ")
    with pytest.raises(LabelError, match="can't name an annotator"):
        annotator_name("../ana")
