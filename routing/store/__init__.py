"""The one place that knows Redis: records of calls, their leases and deadlines, targets, commands and the call log.

`open_store` gives a `Store` kept in Redis; `MemoryStore` behaves the same within one process, for tests.
"""

from routing.store.errors import CallBusy, CallUnknown, LeaseLost, StoreError, StoreUnavailable
from routing.store.lease import Lease
from routing.store.link import Observer
from routing.store.log import Damaged, Logged
from routing.store.memory import MemoryStore
from routing.store.protocol import Due, Store, Tick
from routing.store.redis_store import RedisStore, open_store
from routing.store.webhooks import News, Post, PostCount

__all__ = [
    "CallBusy",
    "CallUnknown",
    "Damaged",
    "Due",
    "Lease",
    "LeaseLost",
    "Logged",
    "MemoryStore",
    "News",
    "Observer",
    "Post",
    "PostCount",
    "RedisStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Tick",
    "open_store",
]
