"""What the tests of the commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.operator import Operator
from tests.routing.store_help import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis on a unix socket."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def operator(redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator on a machine where handoff seems to run, with that Redis."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HANDOFF_RUN_DIR", str(tmp_path))
    for name in ("HANDOFF_SETTINGS", "HANDOFF_CONFIG", "HANDOFF_REDIS_URL", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.delenv(name, raising=False)
    somebody = Operator(redis.url, tmp_path)
    somebody.writes_settings()
    return somebody
