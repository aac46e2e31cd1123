"""The order in which webhooks come, and receivers that refuse them, or behave worse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.stages import Reached, Stage
from tests.cli.receiver import ASTRAY, CLOSE, DRIP, NO_HTTP, Receiver, until
from tests.cli.test_exporter import Exporter
from tests.cli.test_webhooks import ID, configure, ids, log, nothing_waits
from tests.routing.store_help import a_call, a_transfer

if TYPE_CHECKING:
    from tests.cli.operator import Operator


def go_through(operator: Operator, name: str) -> list[str]:
    """Let a transfer go through all stages and reach a person; gives the ids of the events, in order."""
    under_way = a_transfer(name, outcome=None, ringing_at=1012.0, answered_at=1015.0)
    with operator.store() as store:
        store.create(a_call(ID))
        with store.lease(ID) as lease:
            lease.save(lease.call, stages=tuple(Reached(stage, under_way) for stage in Stage))
    log(operator, name, outcome=Outcome.CONNECTED, ended_at=1016.0)
    return [*(f"{name}-{stage}-0" for stage in Stage), name]


def test_the_stages_of_a_transfer_are_posted_before_its_end(operator: Operator) -> None:
    with Receiver() as receiver:
        configure(operator, receiver)
        with Exporter():
            expected = go_through(operator, "t1")
            assert ids(receiver, 4) == expected
    bodies = [json.loads(request.body) for request in receiver.received]
    events = ["transfer.requested", "transfer.ringing", "transfer.answered", "transfer.connected"]
    assert [(body["event"], body["at"]) for body in bodies] == list(
        zip(events, (1010.0, 1012.0, 1015.0, 1016.0), strict=True)
    )
    assert [body["transfer"]["outcome"] for body in bodies] == [None, None, None, "connected"]


def test_the_events_of_a_transfer_come_in_order_though_the_receiver_refuses_at_first(operator: Operator) -> None:
    with Receiver(500, 500, 200, 503) as receiver:
        configure(operator, receiver)
        with Exporter():
            one, two, three, four = go_through(operator, "t1")
            ids(receiver, 4)
    assert [each.headers["X-Handoff-Event-Id"] for each in receiver.received] == [one, one, one, two, two, three, four]


def test_the_next_transfer_does_not_wait_for_one_whose_event_is_refused(operator: Operator) -> None:
    with Receiver(500, 500) as receiver:
        configure(operator, receiver, retry_after=600.0)
        with Exporter():
            go_through(operator, "t1")
            go_through(operator, "t2")
            receiver.wait_for(lambda received: len(received) == 2)
            expected = go_through(operator, "t3")
            assert ids(receiver, 4) == expected


def test_an_event_that_is_refused_again_and_again_is_overtaken_by_those_after_it(operator: Operator) -> None:
    with Receiver(*[400] * 5) as receiver:
        configure(operator, receiver, retry_after=0.1)
        with Exporter():
            first, second, *_ = go_through(operator, "t1")
            assert ids(receiver, 1) == [second]
            assert first in ids(receiver, 4)
            until(lambda: nothing_waits(operator))


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (DRIP, "no answer within 1 s"),
        (NO_HTTP, "no answer (illegal status line: bytearray(b'hello'))"),
        (CLOSE, "no answer (Server disconnected without sending a response.)"),
        (ASTRAY, "no URL that leads anywhere (For absolute URLs, path must be empty or begin with '/')"),
    ],
)
def test_a_receiver_that_behaves_badly_is_left_and_told_of(operator: Operator, behaviour: int, error: str) -> None:
    """However slowly it gives each byte, it holds no other post."""
    with Receiver(*[behaviour] * 20) as receiver:
        configure(operator, receiver, timeout=1.0, attempts=1)
        with Exporter():
            log(operator, *(f"t{number}" for number in range(20)))
            until(lambda: len(operator.reads("webhooks")["dead"]) == 20)
            log(operator, "last")
            assert ids(receiver, 1) == ["last"]
    assert {post["error"] for post in operator.reads("webhooks")["dead"]} == {error}


def test_a_host_that_does_not_exist_is_told(operator: Operator) -> None:
    operator.writes_settings(webhooks={"urls": ["http://nobody.invalid/hooks"], "attempts": 1})
    with operator.store() as store:
        store.webhook_position()
    with Exporter():
        log(operator, "t1")
        until(lambda: operator.reads("webhooks")["dead"])
    error = operator.reads("webhooks")["dead"][0]["error"]
    assert error.startswith("no answer (")
    assert "ame" in error  # the resolver's words: Name or service not known, or a name resolution that failed
