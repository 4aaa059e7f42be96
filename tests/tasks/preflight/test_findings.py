"""Sizes as preflight shows them."""

import pytest

from tasks.preflight.findings import size_text


@pytest.mark.parametrize(
    ("size_bytes", "shown"), [(0, "0 MB"), (999_400_000, "999 MB"), (1e9, "1.0 GB"), (14.13e9, "14.1 GB")]
)
def test_a_size_is_in_gb_from_one_gb_on(size_bytes: float, shown: str) -> None:
    assert size_text(size_bytes) == shown
