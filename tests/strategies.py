"""Values that tests are fed with."""

from __future__ import annotations

from hypothesis import strategies as st

# Lone surrogates included, which UTF-8 can't hold.
texts = st.text(st.characters(exclude_categories=[]), max_size=10)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | decimals | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=4)
