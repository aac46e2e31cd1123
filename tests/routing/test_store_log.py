"""The call log of both stores: transfers joined with how they were heard, pages, and rows that cannot be read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from routing.heard import Heard, PartyHeard
from routing.records import Party
from routing.store import Damaged, Logged, MemoryStore, RedisStore, layout
from routing.store.log import PAGE, Row, page_through, read_log
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from routing.store import Store
    from tests.routing.store_help import RedisServer

CALL_ID = a_call().id
QUALITY = Heard(transfer="t1", ended_at=1060.0, parties={Party.CALLER: PartyHeard(codec="PCMA", packets=500, mos=4.4)})


def finish(store: Store, *transfers: str) -> None:
    store.create(a_call())
    with store.lease(CALL_ID) as lease:
        lease.save(lease.call, finished=tuple(a_transfer(transfer) for transfer in transfers))


def entries(store: Store) -> list[tuple[str, Heard | None]]:
    logged = [entry for entry in store.log() if isinstance(entry, Logged)]
    return [(entry.transfer.id, entry.heard) for entry in logged]


def test_a_transfer_is_joined_with_how_it_was_heard(store: Store) -> None:
    finish(store, "t1", "t2")
    store.tick(1.0, "node1", heard={CALL_ID: QUALITY})
    assert entries(store) == [("t2", None), ("t1", QUALITY)]
    assert [logged.transfer.id for logged in store.finished(1)] == ["t2"]


def test_how_an_unknown_transfer_was_heard_is_no_entry(store: Store) -> None:
    """The row of its transfer has been dropped from the log."""
    store.tick(1.0, "node1", heard={CALL_ID: QUALITY})
    assert entries(store) == []


def test_pages_follow_one_another_without_gap_or_overlap(store: Store) -> None:
    names = [f"t{number}" for number in range(7)]
    finish(store, *names)
    pages = list(page_through(store.log_page, 3))
    assert [len(page) for page in pages] == [3, 3, 1]
    rows = [row for page in pages for row in page]
    assert [entry.transfer.id for entry in read_log([rows]) if isinstance(entry, Logged)] == names[::-1]
    first = store.log_page(rows[1].position, 2, after=rows[4].position)
    assert first == rows[2:4]


def test_a_log_of_exactly_one_page_is_read_once(store: Store) -> None:
    finish(store, "t1", "t2")
    assert [len(page) for page in page_through(store.log_page, 2)] == [2]


def test_what_was_logged_since_a_position_is_read(store: Store) -> None:
    finish(store, "t1")
    (row,) = store.log_page()
    store.tick(1.0, "node1", heard={CALL_ID: QUALITY})
    assert [found.kind for found in store.log_page(after=row.position)] == ["heard"]
    assert list(store.log(after=row.position)) == []


def test_what_a_newer_version_has_written_besides_is_passed_over() -> None:
    """Nodes are upgraded one after the other; the rest of the row is what it was. Webhooks are sent of it as well."""
    store = MemoryStore()
    finish(store, "t1")
    store.tick(1.0, "node1", heard={CALL_ID: QUALITY})
    before = list(store.log())
    store.rows[:] = [row._replace(data=row.data[:-1] + b',"newer":{"x":1}}') for row in store.rows]
    assert list(store.log()) == before
    assert [news.id for news in store.news_after("0-0 0-0", 5).news] == ["t1"]


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("transfer", b"rubbish", "the whole: Invalid JSON"),
        ("transfer", b'{"id":"t9"}', "target: Field required"),
        ("heard", b'{"transfer":7}', "transfer: Input should be a valid string"),
        ("other", b"{}", "id: Field required"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_the_others_are_given(kind: str, data: bytes, why: str) -> None:
    store = MemoryStore()
    finish(store, "t1")
    store.rows.append(Row("9-0", CALL_ID, kind, data))
    damaged, good = store.log()
    assert isinstance(damaged, Damaged)
    assert isinstance(good, Logged)
    assert damaged.text.startswith(f"entry 9-0 of the call log (call {CALL_ID}) cannot be read ({why}")
    assert [logged.transfer.id for logged in store.finished()] == ["t1"]


def test_rows_that_others_have_written_into_redis_are_told(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    with RedisStore(redis_server.url, deadline=2.0) as store:
        finish(store, "t1")
        redis_server.ask("XADD", layout.LOG, "*", "some", "thing")
        redis_server.ask("XADD", layout.LOG, "*", "call", b"\xff", "transfer", b"\xff")
        kinds = [type(entry) for entry in store.log()]
    assert kinds == [Damaged, Damaged, Logged]


def test_the_log_is_read_in_pages_however_long_it_is() -> None:
    """What was read before is not kept."""
    store = MemoryStore()
    finish(store, *(f"t{number}" for number in range(PAGE + 1)))
    pages = page_through(store.log_page)
    assert len(next(pages)) == PAGE
    assert all(int(a.position[:-2]) > int(b.position[:-2]) for a, b in pairwise(next(pages)))
