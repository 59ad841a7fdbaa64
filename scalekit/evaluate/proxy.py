"""The cheap model that stands in for the real one where many trainings are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["MakeProxy", "Proxy", "text_proxy"]


class Proxy(Protocol):
    """What is asked of a proxy: the interface of a scikit-learn classifier."""

    classes_: NDArray[np.str_]

    def fit(self, inputs: Any, labels: Sequence[str]) -> Any:
        """Train on *inputs* (texts, or rows of features) and their labels."""

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        """Return one row an input, one column a class of ``classes_``."""


MakeProxy = Callable[[], Proxy]
"""Makes a new, untrained proxy each time."""


def text_proxy() -> Proxy:
    """Return TF-IDF of words, word pairs and parts of words under a logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    vectors = make_union(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)),
        TfidfVectorizer(sublinear_tf=True, ngram_range=(2, 4), analyzer="char_wb"),
    )
    model: Proxy = make_pipeline(vectors, LogisticRegression(C=30.0, max_iter=300))
    return model
