"""The fixture that puts a strict fake KSR in the place of Kamailio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import fake_ksr

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ksr() -> Iterator[fake_ksr.FakeKsr]:
    """A KSR that knows no answer but those that the test scripts."""
    fake_ksr.MODULE.fake = fake_ksr.FakeKsr()
    yield fake_ksr.MODULE.fake
    fake_ksr.MODULE.fake = None
