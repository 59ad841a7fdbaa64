"""Predictors of real, tiny models: scikit-learn, torch, and Hugging Face from random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalekit.evaluate import PredictionError, measure
from scalekit.evaluate.answers import Answered
from scalekit.evaluate.predictors import predictor
from scalekit.evaluate.scoring import token_f1

TEXTS = [f"{word} number {n}" for n in range(20) for word in ("refund", "parcel", "login")]
NAMES = ["billing", "delivery", "access"]
KINDS = NAMES * 20
ITEMS = pl.DataFrame({"item_id": TEXTS, "text": TEXTS, "category": KINDS, "set": ["dev"] * 60})


def test_a_scikit_learn_pipeline() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, KINDS)
    assert measure(model, ITEMS).sets["right"].to_list() == [60]
    assert predictor(model).kind == "scikit-learn Pipeline"
    # Fitted on features and numbers.
    features = TfidfVectorizer().fit(TEXTS)
    numbers = LogisticRegression().fit(features.transform(TEXTS), [NAMES.index(k) for k in KINDS])
    ready = predictor(numbers, encode=features.transform, classes=NAMES)
    assert measure(ready, ITEMS).sets["right"].to_list() == [60]
    # Without their names the numbers are answers that are no category: seen, not lost.
    found = measure(predictor(numbers, encode=features.transform), ITEMS)
    assert found.unknown is not None
    assert found.unknown["n"].sum() == 60
    with pytest.raises(ValueError, match="gave class 2, there are 2 names"):
        measure(predictor(numbers, encode=features.transform, classes=NAMES[:2]), ITEMS)


def encode(texts: list[str]) -> Any:
    import torch

    return torch.tensor([[float(w in t) for w in ("refund", "parcel", "login")] for t in texts])


def module() -> Any:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.9))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3))
        model[0].bias.zero_()
    return model


def test_a_torch_module_in_evaluation_mode_and_back() -> None:
    model = module().train()
    ready = predictor(model, encode=encode, classes=NAMES)
    assert measure(ready, ITEMS).sets["right"].to_list() == [60]  # with dropout it would not be
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    wide = predictor(model, encode=lambda t: (encode(t),), classes=NAMES)
    assert wide(TEXTS[:2]) == NAMES[:2]
    named = predictor(model, encode=lambda t: {"input": encode(t)}, classes=NAMES)
    assert named(TEXTS[:2]) == NAMES[:2]


def test_the_digest_follows_the_weights() -> None:
    import torch

    model = module()
    before = predictor(model, encode=encode, classes=NAMES).digest
    assert predictor(module(), encode=encode, classes=NAMES).digest == before
    with torch.no_grad():
        model[0].bias[0] += 1e-6
    assert predictor(model, encode=encode, classes=NAMES).digest != before
    assert predictor(model, encode=encode, classes=NAMES, digest="mine").digest == "mine"


def test_a_store_takes_the_digest_of_the_module(tmp_path: Path) -> None:
    ready = predictor(module(), encode=encode, classes=NAMES)
    measure(ready, ITEMS, store=tmp_path / "s.jsonl")
    again = measure(
        predictor(module(), encode=encode, classes=NAMES), ITEMS, store=tmp_path / "s.jsonl"
    )
    assert again.cost is not None
    assert again.cost.asked == 0
    other = predictor(module(), encode=encode, classes=NAMES[::-1])
    assert measure(other, ITEMS, store=tmp_path / "s.jsonl").sets["right"].to_list() == [20]


def test_what_a_torch_module_needs() -> None:
    with pytest.raises(TypeError, match=r"encode= .* and classes="):
        measure(module(), ITEMS)
    with pytest.raises(ValueError, match=r"shape \(60, 3\) for 60 texts and 2 classes"):
        measure(predictor(module(), encode=encode, classes=NAMES[:2]), ITEMS)


def tokenizer() -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "[PAD]", "refund", "parcel", "login", "number", *map(str, range(20))]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        pad_token="[PAD]",
        padding_side="left",
        model_max_length=16,
    )


@pytest.fixture(scope="module")
def classifier() -> Any:
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=26, intermediate_size=16, max_position_embeddings=16, num_labels=3, **size
    )
    model = transformers.BertForSequenceClassification(config).eval()
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer())


def test_a_text_classification_pipeline(classifier: Any) -> None:
    import torch

    ready = predictor(classifier, classes=NAMES)
    given = classifier.tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = [NAMES[n] for n in classifier.model(**given).logits.argmax(1).tolist()]
    assert list(ready(TEXTS)) == expected
    assert set(predictor(classifier)(TEXTS[:5])) <= {"LABEL_0", "LABEL_1", "LABEL_2"}
    assert ready.digest.startswith("weights:sha256:")
    found = measure(ready, ITEMS)
    assert found.sets["right"].to_list() == [int(np.sum(np.array(expected) == np.array(KINDS)))]
    assert len(ready(["parcel " * 50])) == 1  # longer than the model: cut


def test_a_text_generation_pipeline() -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=26,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=32,
        bos_token_id=1,
        eos_token_id=1,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    pipe = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer())
    ready = predictor(pipe, settings={"max_new_tokens": 4})
    said = ready(TEXTS[:3])
    assert isinstance(said, Answered)
    assert said.tokens_in == 9
    assert all(not a.startswith(t) for a, t in zip(said.answers, TEXTS, strict=False))
    items = ITEMS.head(6).with_columns(pl.col("text").alias("answer"))
    found = measure(ready, items, scorer=token_f1())
    assert found.cost is not None
    assert found.cost.tokens_in == 18
    assert "tokens in" in found.to_html()
    other = predictor(pipe, settings={"max_new_tokens": 2})
    assert other.protocol != ready.protocol
    assert other.digest == ready.digest


def test_another_task_is_named(classifier: Any) -> None:
    import transformers

    other = transformers.pipeline(
        "feature-extraction", model=classifier.model, tokenizer=classifier.tokenizer
    )
    with pytest.raises(ValueError, match="'feature-extraction' pipeline can't be measured"):
        predictor(other)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="int can't be measured"):
        predictor(3)
    with pytest.raises(PredictionError):
        measure(lambda texts: "one", ITEMS)
    ready = predictor(lambda texts: ["billing"] * len(texts), digest="d")
    assert predictor(ready) is ready
