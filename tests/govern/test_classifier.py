"""The text classifier: the same everywhere, saved and read back as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scalekit.govern import TextClassifier
from scalekit.govern.classifier import BUCKETS, features

KINDS = ("billing", "returns", "delivery")
TEXTS = ["where is my parcel", "charged twice!", "", "日本語のテキスト", "🙂🙂", "a" * 5000]


def test_features_are_the_same_in_another_process() -> None:
    code = f"from scalekit.govern.classifier import features; print(features({TEXTS[0]!r}))"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip() == repr(features(TEXTS[0]))


def test_features_ignore_case_and_signs_and_lie_in_the_table() -> None:
    assert features("Where IS my, parcel?") == features("where is my parcel")
    assert all(0 <= b < BUCKETS for t in TEXTS for b in features(t))
    assert features("") == (1,)


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other, third = (TextClassifier(KINDS, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.embed.weight, other.embed.weight)
    assert not torch.equal(one.embed.weight, third.embed.weight)


def test_the_answer_does_not_depend_on_the_company() -> None:
    model = TextClassifier(KINDS)
    alone = [model.predict([t])[0] for t in TEXTS]
    assert model.predict(TEXTS) == alone
    assert set(alone) <= set(KINDS)


def test_nothing_asked_nothing_answered() -> None:
    assert TextClassifier(KINDS).predict([]) == []


def test_a_saved_model_comes_back_to_the_bit(tmp_path: Path) -> None:
    model = TextClassifier(KINDS, width=16, seed=3).eval()
    model.save(tmp_path / "m.safetensors")
    back = TextClassifier.load(tmp_path / "m.safetensors").eval()
    assert back.categories == KINDS
    with torch.inference_mode():
        assert torch.equal(back(TEXTS), model(TEXTS))
    back.save(tmp_path / "n.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()


def test_no_pickle_is_ever_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    torch.save({"weights": torch.zeros(1)}, path)
    with pytest.raises(Exception, match=r"(?i)header|safetensors"):
        TextClassifier.load(path)
