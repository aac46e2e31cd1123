"""What events show of endpoints, and in which order they are called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing import events as ev
from routing.hunting import Failing, Sign, Usage, full_reason, has_leg, left, longest_idle, sign_of, without_resting
from routing.transfer_record import Destination
from tests.routing.calls import answered
from tests.routing.store_help import a_call
from tests.routing.test_store_endpoints import DESK, a_leg

ID = "00000000000000aa"
A, B, C = (Destination(uri=f"sip:{name}@192.0.2.1", ring_timeout=30.0) for name in "abc")
CALLING = a_call(legs=(a_leg(ID), a_leg(ID, number=2, redirected=True)))
DOWN = Failing(failures=2, at=1.0, why="408 Request Timeout", since=1.0, ends=31.0)


@pytest.mark.parametrize(
    ("event", "sign"),
    [
        (ev.LegFailed(1, 408, "Request Timeout", answered=False), Sign(DESK, "408 Request Timeout")),
        (ev.LegFailed(1, 408, "TLS: zu spät", answered=False), Sign(DESK, "408 TLS: zu sp?t")),
        (ev.LegFailed(1, 503, "Service Unavailable"), Sign(DESK, "503 Service Unavailable")),
        (ev.LegFailed(1, 408, "Request Timeout"), Sign(DESK)),
        (ev.LegFailed(1, 500, "Server Internal Error"), Sign(DESK)),
        (ev.LegFailed(1, 404, "Not Found"), Sign(DESK)),
        (ev.LegRang(1), Sign(DESK)),
        (ev.LegChallenged(1, 401, "Unauthorized", ()), Sign(DESK)),
        (ev.LegRedirected(1, "sip:elsewhere@192.0.2.9"), Sign(DESK)),
        (ev.LegFailed(1, 486, "limit", called=False), None),
        (ev.LegFailed(2, 503, "Service Unavailable"), None),
        (ev.LegFailed(3, 503, "Service Unavailable"), None),
        (replace(answered(3), remote=f"Desk <{DESK}>"), Sign(DESK)),
        (ev.TransferCancelled(), None),
    ],
)
def test_only_no_reply_and_503_are_signs_of_an_endpoint_out_of_order(event: ev.Event, sign: Sign | None) -> None:
    assert sign_of(CALLING, event) == sign


def test_a_leg_that_is_over_is_named_if_it_was_counted() -> None:
    counted, uncounted = a_leg(ID), a_leg(ID, number=2, max_calls=None)
    ringing, talking = a_call(legs=(counted, uncounted)), a_call(leg=counted)
    assert left(ringing, talking) == []
    assert left(ringing, a_call()) == [(counted, False)]
    assert left(talking, a_call()) == [(counted, True)]


def test_who_hands_a_call_on_has_it_until_somebody_else_does() -> None:
    """Then nobody tells that it is over: that is found out when its place is wanted."""
    talking, handing_on = a_call(leg=a_leg(ID)), a_call(agent_leg=1)
    assert left(talking, handing_on) == left(handing_on, a_call(agent=None, agent_leg=1)) == []
    assert has_leg(handing_on, f"{ID}-1")
    assert not has_leg(a_call(agent=None, agent_leg=1), f"{ID}-1")


def test_who_rests_is_left_out_with_an_attempt_that_says_why() -> None:
    kept, attempts = without_resting((A, B), {A.uri: DOWN}, 5.0)
    assert kept == (B,)
    (attempt,) = attempts
    assert (attempt.uri, attempt.status, attempt.reason) == (A.uri, 503, "rested after 408 Request Timeout")
    assert (attempt.started_at, attempt.ended_at) == (5.0, 5.0)


def test_where_all_rest_nobody_is_left_out() -> None:
    assert without_resting((A, B), {A.uri: DOWN, B.uri: DOWN}, 5.0) == ((A, B), ())


def test_longest_idle_is_never_called_then_called_long_ago_then_in_a_call() -> None:
    usage = {A.uri: Usage(1, 10.0), B.uri: Usage(0, 30.0)}
    assert longest_idle((A, B, C), usage) == (C, B, A)
    assert longest_idle((A, B, C), usage | {C.uri: Usage(0, 40.0)}) == (B, C, A)


def test_the_limit_is_told_in_words() -> None:
    assert (full_reason(1), full_reason(2)) == ("limit of 1 call reached", "limit of 2 calls reached")
