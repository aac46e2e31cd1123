"""A strict fake KSR in the place of Kamailio, and an rtpengine in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.media import CallMedia
from rtpengine import FakeRtpengine
from tests import fake_ksr

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ksr() -> Iterator[fake_ksr.FakeKsr]:
    """A KSR that knows no answer but those that the test scripts."""
    fake_ksr.MODULE.fake = fake_ksr.FakeKsr()
    yield fake_ksr.MODULE.fake
    fake_ksr.MODULE.fake = None


@pytest.fixture
def pool() -> FakeRtpengine:
    """Give an rtpengine in memory."""
    return FakeRtpengine()


@pytest.fixture
def media(pool: FakeRtpengine) -> CallMedia:
    """Give the media of its calls."""
    return CallMedia(pool, silence=60.0)
