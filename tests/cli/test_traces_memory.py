"""The memory that traces take is what the settings allow, whatever is sent."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from cli.traces.keeper import LINGER, name_call
from tests.cli.test_traces import Clock, invite, keeper, packet, sip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 2_000_000
ROUNDS = 20_000


@pytest.fixture
def memory() -> Iterator[Callable[[], int]]:
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


FLOODS: dict[str, Callable[[int], bytes]] = {
    "small calls": lambda number: invite(f"call{number}"),
    "large calls": lambda number: invite(f"call{number}", 3000),
    "small transfers": lambda number: packet(sip("REFER sip:a@b SIP/2.0", call_id=f"call{number}")),
    "messages of one call": lambda _: packet(sip("REFER sip:a@b SIP/2.0", body="x" * 20_000)),
    "hang-ups of a few calls": lambda number: packet(sip("BYE sip:a@b SIP/2.0", call_id=f"call{number % 5}")),
    "messages of no call": lambda number: packet(sip("OPTIONS sip:a@b SIP/2.0", call_id=f"call{number}")),
    "long names": lambda number: invite(f"{number}{'x' * 20_000}"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_takes_no_more_than_the_limit(memory: Callable[[], int], flood: str) -> None:
    kept, before = keeper(limit=LIMIT), memory()
    for number in range(ROUNDS if "one call" not in flood and "long" not in flood else 1000):
        kept.add(FLOODS[flood](number))
        assert kept.size <= LIMIT
    assert memory() - before <= LIMIT


def test_what_another_node_began_is_kept_from_its_first_message_here_on() -> None:
    """A node that takes a call over tells the agent, and lets the others hang up."""
    clock = Clock()
    kept = keeper(clock=clock)
    notify = packet(sip("NOTIFY sip:a@b SIP/2.0", "Content-Type: message/sipfrag", body="SIP/2.0 408 Gone"))
    bye = packet(sip("BYE sip:a@b SIP/2.0", call_id="stitched"))
    kept.add(notify)
    kept.add(bye)
    kept.add(packet(sip("BYE sip:a@b SIP/2.0", call_id=f"{name_call(b'stitched')}-1")))
    kept.add(packet(sip("NOTIFY sip:a@b SIP/2.0", "Event: keep-alive", call_id="alive")))
    clock.now = LINGER + 1
    kept.add(packet(sip("BYE sip:a@b SIP/2.0")))
    found = kept.find("")
    assert list(found) == [name_call(b"stitched"), name_call(b"abc")]
    assert found[name_call(b"stitched")][0][0] == bye


def test_a_reply_that_overtakes_the_copy_of_its_request_is_kept() -> None:
    """Kamailio copies what it sends when it has been sent."""
    kept = keeper()
    reply = packet(sip("SIP/2.0 200 OK", "CSeq: 2 NOTIFY"))
    notify = packet(sip("NOTIFY sip:a@b SIP/2.0", "Content-Type: message/sipfrag", body="SIP/2.0 408 Gone"))
    kept.add(packet(sip("SIP/2.0 200 OK", call_id="ping")))
    kept.add(reply)
    assert (kept.find(""), kept.size) == ({}, 0)
    kept.add(notify)
    assert kept.find("") == {name_call(b"abc"): ([reply, notify], 0)}
