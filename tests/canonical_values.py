"""Values that have a canonical form."""

from __future__ import annotations

import unicodedata

from hypothesis import settings
from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalar = st.none() | st.booleans() | st.integers() | text
value = st.recursive(
    scalar,
    lambda v: (
        st.lists(v, max_size=4)
        | st.dictionaries(text.map(lambda t: unicodedata.normalize("NFC", t)), v, max_size=4)
    ),
    max_leaves=10,
)
quick = settings(deadline=None, max_examples=150)
