"""Webhooks of a real transfer: each stage is posted, in order, and costs no request to Redis more."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.receiver import Receiver
from tests.stack.prometheus import exporter
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.test_metrics import Scrape
from tests.stack.ua import Ua

STAGES = ["transfer.requested", "transfer.ringing", "transfer.answered", "transfer.connected"]
BUDGET = 12
TIMER = ("tick", "beat", "due", "failing")


def requests(system: System) -> float:
    """Count the requests to Redis so far, those of the timer aside."""
    now, name = Scrape(system), "handoff_redis_seconds_count"
    return now.value(name) - sum(now.value(name, operation=operation) for operation in TIMER)


def cost(system: System, agent: Ua) -> float:
    """Hand a call over; gives the requests to Redis that it took."""
    with Talk(system, agent) as talk:
        before = requests(system)
        talk.hand_over()
        taken = requests(system) - before
        talk.hang_up_on_target()
        talk.nothing_left()
    return taken


def test_each_stage_of_a_transfer_is_posted_and_costs_no_request_more() -> None:
    with Receiver() as receiver, Ua("agent") as agent:
        with System(agent.uri) as system:
            silent = cost(system, agent)
        changes: dict[str, Any] = {"webhooks": {"urls": [receiver.url]}}
        with System(agent.uri, **changes) as system:
            served, _ = exporter(system)
            try:
                served.start(30)
                assert cost(system, agent) == silent <= BUDGET
                received = receiver.wait_for(lambda received: len(received) >= len(STAGES))
            finally:
                served.stop()
            logged = system.store.finished()[0]
    bodies = [json.loads(request.body) for request in received]
    assert [body["event"] for body in bodies] == STAGES
    assert {body["call"] for body in bodies} == {logged.call_id}
    assert {body["transfer"]["id"] for body in bodies} == {logged.transfer.id}
    assert len({body["id"] for body in bodies}) == len(STAGES)
    at = [body["at"] for body in bodies]
    assert at == sorted(at)
    assert bodies[1]["transfer"]["origin"]["caller"] == logged.transfer.origin.caller  # type: ignore[union-attr]
