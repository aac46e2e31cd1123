"""Records and targets in Redis that cannot be read: the calls still hang up, and the log says what is wrong, once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import redis

from routing.records import SCHEMA
from routing.store import layout
from tests.stack.system import NODE, System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

ANOTHER_VERSION = (f'"schema_version":{SCHEMA}'.encode(), b'"schema_version":9')
NO_JSON = (b"{", b"[")
NO_KIND = (b"F", b"?")


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that looks at each call every second."""
    with Ua("agent") as agent, System(agent.uri, media={"check_every": 1}) as system:
        yield agent, system


@pytest.fixture
def raw(system: System) -> Iterator[redis.Redis]:
    """Give Redis itself, and leave nothing in it: what is spoiled here stays there for hours."""
    with redis.Redis(unix_socket_path=f"{system.folder}/redis.sock") as raw:
        yield raw
        raw.flushall()


def spoil(talk: Talk, raw: redis.Redis, old: bytes, new: bytes) -> str:
    """Change the record of the call by hand; gives its id."""
    call_id = talk.record.id
    key = layout.keys(call_id)[0]
    data = raw.get(key)
    assert isinstance(data, bytes)
    assert old in data
    raw.set(key, data.replace(old, new, 1), keepttl=True)
    return call_id


def complaints(system: System, call_id: str) -> list[str]:
    """Find the warnings about a call in Kamailio's log."""
    lines = system.kamailio.log.read_text().splitlines()
    return [line for line in lines if call_id in line and ("WARNING" in line or "ERROR" in line)]


@pytest.mark.parametrize("change", [ANOTHER_VERSION, NO_JSON, NO_KIND])
@pytest.mark.parametrize("side", ["caller", "agent"])
def test_a_call_whose_record_cannot_be_read_hangs_up(
    talk: Talk, raw: redis.Redis, change: tuple[bytes, bytes], side: str
) -> None:
    """The BYE goes along the route set, and the media is released."""
    spoil(talk, raw, *change)
    if side == "caller":
        talk.hang_up()
    else:
        bye = talk.agent.request("BYE", talk.agent_dialog)
        talk.caller.reply(talk.caller.expect("BYE"), 200)
        talk.agent.expect(200, to=bye)
    talk.system.wait_until(lambda: talk.system.media_calls() == 0)


def test_the_log_says_which_record_cannot_be_read(talk: Talk, raw: redis.Redis) -> None:
    """And what to do about it."""
    call_id = spoil(talk, raw, *NO_KIND)
    talk.hang_up()
    (line,) = [line for line in complaints(talk.system, call_id) if "BYE" in line]
    assert f"the stored record of call {call_id} cannot be read" in line
    assert "delete its key" in line


@pytest.mark.parametrize("side", ["caller", "target"])
def test_a_call_handed_over_whose_record_cannot_be_read_hangs_up(talk: Talk, raw: redis.Redis, side: str) -> None:
    """The copy in the node's memory tells where the BYE has to go."""
    invite = talk.hand_over()
    spoil(talk, raw, *ANOTHER_VERSION)
    if side == "caller":
        talk.hang_up_on_target()
    else:
        bye = talk.target.request("BYE", talk.target.dialog(invite))
        talk.caller.reply(talk.caller.expect("BYE"), 200)
        talk.target.expect(200, to=bye)
    talk.system.wait_until(lambda: talk.system.media_calls() == 0)


def test_a_call_whose_record_cannot_be_read_is_not_transferred(talk: Talk, raw: redis.Redis) -> None:
    """REFER gets 503, and caller and agent talk on; requests between them still pass."""
    spoil(talk, raw, *NO_JSON)
    talk.agent.expect(503, to=talk.refer())
    info = talk.caller.request("INFO", talk.caller_dialog)
    talk.agent.reply(talk.agent.expect("INFO"), 200)
    talk.caller.expect(200, to=info)
    talk.hear_each_other()
    talk.hang_up()


def test_a_bad_record_is_complained_of_once_and_not_at_each_look(talk: Talk, raw: redis.Redis) -> None:
    """Its deadline passes again and again, and is looked at each second; other calls have theirs done meanwhile."""
    call_id = spoil(talk, raw, *ANOTHER_VERSION)
    system = talk.system
    system.wait_until(lambda: bool(complaints(system, call_id)))
    (line,) = complaints(system, call_id)
    assert "schema_version" in line
    assert "written by another version or by hand" in line
    deadlines, member = layout.keys(call_id)[2], layout.member(call_id, NODE)
    for _ in range(3):  # looked at three times more
        put_off = raw.zscore(deadlines, member)
        system.wait_until(lambda before=put_off: raw.zscore(deadlines, member) != before)  # type: ignore[misc]
    assert complaints(system, call_id) == [line]
    talk.hang_up()


@pytest.mark.parametrize("garbage", [b"{", b"[]", b'{"name": "support", "endpoints": ["not a uri"]}', b"\xff\x00"])
def test_a_target_that_cannot_be_read_is_refused_and_logged(talk: Talk, raw: redis.Redis, garbage: bytes) -> None:
    """REFER gets 500 with the target's name, and the log says what is wrong with it."""
    raw.hset(layout.TARGETS, TARGET, garbage)
    began = len(talk.system.kamailio.log.read_text())
    refused = talk.agent.expect(500, to=talk.refer())
    assert refused.reason == "Target support cannot be read"
    lines = talk.system.kamailio.log.read_text()[began:].splitlines()
    assert any("target" in line and "support" in line and "problem" in line for line in lines)
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


def test_nothing_of_all_this_was_unforeseen(system: System) -> None:
    """No trace of an exception is in the log."""
    assert "Traceback" not in system.kamailio.log.read_text()


def test_the_log_tells_once_that_redis_went_and_came_back(system: System, raw: redis.Redis) -> None:
    """An idle node says it, too, and says it once."""
    began = len(system.kamailio.log.read_text())

    def lines(word: str) -> list[str]:
        return [line for line in system.kamailio.log.read_text()[began:].splitlines() if word in line]

    with system.redis.away():
        system.wait_until(lambda: bool(lines("is not available")))
        gone = time.monotonic()
        system.wait_until(lambda: time.monotonic() > gone + 1.5)  # more than one try
        assert len(lines("is not available")) == 1
    system.wait_until(lambda: len(lines("Redis is back")) == 1)
