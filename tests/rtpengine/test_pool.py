"""The pool spreads calls over healthy nodes and lets the sick rest."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from rtpengine import BadReply, CommandRefused, NodeFailed, NoNodeAvailable, Ping, Pong, Pool, Query, UnknownNode
from tests.rtpengine.scripted import ScriptedServer, reply
from tests.rtpengine.test_client import unused_address

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = [f"{number:016x}" for number in range(300)]
NODES = {"media1": "127.0.0.1:1", "media2": "127.0.0.1:2", "media3": "127.0.0.1:3"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def answering(stack: ExitStack, **keys: object) -> str:
    return stack.enter_context(ScriptedServer(lambda _, cookie, __: [reply(cookie, **keys)])).address


def test_every_process_chooses_the_same_node_for_a_call_whatever_the_order_of_the_settings() -> None:
    one, other = Pool(NODES), Pool(dict(reversed(NODES.items())))
    assert [one.choose(call) for call in CALLS] == [other.choose(call) for call in CALLS]


def test_calls_are_spread_over_all_nodes() -> None:
    pool = Pool(NODES)
    chosen = [pool.choose(call) for call in CALLS]
    assert all(chosen.count(node) > 60 for node in NODES)


def test_when_a_node_falls_out_only_its_own_calls_go_elsewhere() -> None:
    pool = Pool(NODES)
    before = {call: pool.choose(call) for call in CALLS}
    pool.mark("media2", healthy=False)
    after = {call: pool.choose(call) for call in CALLS}
    assert {before[call] for call in CALLS if before[call] != after[call]} == {"media2"}
    assert set(after.values()) == {"media1", "media3"}


def test_a_node_that_has_rested_is_tried_again() -> None:
    clock = Clock()
    pool = Pool({"media1": "127.0.0.1:1"}, rest=2.0, clock=clock)
    pool.mark("media1", healthy=False)
    with pytest.raises(NoNodeAvailable, match="media1"):
        pool.choose("c1")
    clock.now = 2.0
    assert pool.choose("c1") == "media1"


def test_without_nodes_there_is_none_to_choose() -> None:
    with pytest.raises(NoNodeAvailable, match="none"):
        Pool({}).choose("c1")


def test_a_request_goes_to_the_node_named(stack: ExitStack) -> None:
    pool = Pool({"media1": unused_address(), "media2": answering(stack, result="pong")}, deadline=5)
    assert pool.request("media2", Ping()) == Pong()
    assert pool.nodes == ("media1", "media2")
    pool.close()


def test_a_node_that_fails_rests_and_one_that_answers_is_well_again(stack: ExitStack) -> None:
    pool = Pool({"media1": answering(stack, result="pong"), "media2": unused_address()}, deadline=5)
    with pytest.raises(NodeFailed):
        pool.request("media2", Ping())
    assert {pool.choose(call) for call in CALLS} == {"media1"}
    pool.mark("media1", healthy=False)
    pool.request("media1", Ping())
    assert {pool.choose(call) for call in CALLS} == {"media1"}
    pool.close()


def test_a_node_that_cannot_be_told_rests_and_who_tells_does_not_learn_whether_it_is_well(stack: ExitStack) -> None:
    seen: list[tuple[str, str, str]] = []
    nodes = {"media1": answering(stack, result="error"), "media2": "no-such-host.invalid:2223"}
    pool = Pool(nodes, deadline=5, observer=lambda node, command, _, outcome: seen.append((node, command, outcome)))
    pool.tell("media1", Query("c1"))
    with pytest.raises(NodeFailed):
        pool.tell("media2", Query("c1"))
    assert {pool.choose(call) for call in CALLS} == {"media1"}
    pool.mark("media1", healthy=False)
    pool.tell("media1", Query("c1"))
    with pytest.raises(NoNodeAvailable):
        pool.choose("c1")
    pool.close()
    assert seen == [("media1", "query", "ok"), ("media2", "query", "failed"), ("media1", "query", "ok")]


def test_a_node_that_refuses_is_well(stack: ExitStack) -> None:
    pool = Pool({"media1": answering(stack, result="error")}, deadline=5)
    with pytest.raises(CommandRefused):
        pool.request("media1", Query("c1"))
    assert pool.choose("c1") == "media1"
    pool.close()


def test_a_node_that_is_not_in_the_settings_is_told_by_name() -> None:
    pool = Pool(NODES)
    with pytest.raises(UnknownNode, match=r"'media9' \(known: media1, media2, media3\)") as unknown:
        pool.request("media9", Ping())
    assert unknown.value.node == "media9"
    with pytest.raises(UnknownNode):
        pool.mark("media9", healthy=True)


def test_a_ping_to_all_tells_and_remembers_who_is_there(stack: ExitStack) -> None:
    nodes = {"up": answering(stack, result="pong"), "down": unused_address(), "odd": answering(stack, result="what")}
    pool = Pool(nodes, deadline=5)
    assert pool.ping_all() == {"up": True, "down": False, "odd": False}
    assert {pool.choose(call) for call in CALLS} == {"up"}
    pool.close()


def test_the_observer_learns_how_each_request_ended(stack: ExitStack) -> None:
    seen: list[tuple[str, str, float, str]] = []
    nodes = {
        "well": answering(stack, result="pong"),
        "down": unused_address(),
        "odd": answering(stack, result="what"),
        "unwilling": answering(stack, result="error"),
    }
    pool = Pool(nodes, deadline=5, clock=Clock(), observer=lambda *observed: seen.append(observed))
    assert pool.request("well", Ping()) == Pong()
    for node, error in (("down", NodeFailed), ("odd", BadReply), ("unwilling", CommandRefused)):
        with pytest.raises(error):
            pool.request(node, Ping())
    pool.close()
    assert seen == [
        ("well", "ping", 0.0, "ok"),
        ("down", "ping", 0.0, "failed"),
        ("odd", "ping", 0.0, "bad_reply"),
        ("unwilling", "ping", 0.0, "refused"),
    ]
