"""Stores under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from routing.store import MemoryStore, RedisStore, Store
from routing.store.layout import RECORD_TTL, keys
from tests.routing.store_help import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TTL = 0.1
PATIENCE = 2.0
"""Deadline of requests in tests that are not about it: the machine may be busy."""


class Kept(Protocol):
    """A store under test, and a way to spoil what it keeps."""

    @property
    def store(self) -> Store: ...

    def spoil(self, call_id: str, data: bytes) -> None: ...

    def lose(self, call_id: str) -> None: ...


class KeptInMemory:
    def __init__(self) -> None:
        self.store = MemoryStore(lease_ttl=TTL)

    def spoil(self, call_id: str, data: bytes) -> None:
        self.store.records[call_id] = data

    def lose(self, call_id: str) -> None:
        del self.store.records[call_id]


class KeptInRedis:
    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.store = RedisStore(server.url, deadline=PATIENCE, lease_ttl=TTL)

    def spoil(self, call_id: str, data: bytes) -> None:
        self.server.ask("SET", keys(call_id)[0], data, "EX", RECORD_TTL)

    def lose(self, call_id: str) -> None:
        self.server.ask("DEL", keys(call_id)[0])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["memory", "redis"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    if request.param == "memory":
        yield KeptInMemory()
        return
    server = request.getfixturevalue("redis_server")
    server.ask("FLUSHALL")
    in_redis = KeptInRedis(server)
    yield in_redis
    in_redis.store.close()


@pytest.fixture
def store(kept: Kept) -> Iterator[Store]:
    yield kept.store
    kept.store.close()
