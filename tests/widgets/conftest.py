"""Views share the pairs they load; tests do not."""

import pytest

from recover_nb.widgets.models import shipped_pair


@pytest.fixture(autouse=True)
def no_pairs_kept():
    """Keep no pair from one test to the next: a test may put another in its place."""
    yield
    shipped_pair.cache_clear()
