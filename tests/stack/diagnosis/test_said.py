"""The causes of transfers that an endpoint refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from tests.stack.diagnosis.shown import LISTED, asked, ended, invited, refuse, told, typed
from tests.stack.test_challenges import USER, asks, challenge

if TYPE_CHECKING:
    from tests.stack.talk import Talk


@pytest.mark.parametrize(
    ("status", *LISTED),
    [
        (302, Fault.REDIRECTED, Outcome.REJECTED),
        (401, Fault.NO_LOGIN, Outcome.AUTH_FAILED),
        (403, Fault.FORBIDDEN, Outcome.NOT_ALLOWED),
        (404, Fault.NOT_FOUND, Outcome.NOT_FOUND),
        (407, Fault.NO_LOGIN, Outcome.AUTH_FAILED),
        (408, Fault.GIVEN_UP_THERE, Outcome.NO_ANSWER),
        (410, Fault.NOT_FOUND, Outcome.NOT_FOUND),
        (420, Fault.REFUSED, Outcome.REJECTED),
        (433, Fault.CALLER_ID, Outcome.REJECTED),
        (480, Fault.AWAY, Outcome.NO_ANSWER),
        (482, Fault.LOOP, Outcome.REJECTED),
        (483, Fault.LOOP, Outcome.REJECTED),
        (484, Fault.NOT_FOUND, Outcome.NOT_FOUND),
        (486, Fault.BUSY, Outcome.BUSY),
        (487, Fault.GIVEN_UP_THERE, Outcome.NO_ANSWER),
        (488, Fault.CODEC, Outcome.MEDIA_FAILED),
        (491, Fault.GLARE, Outcome.REJECTED),
        (500, Fault.SERVER_ERROR, Outcome.UNREACHABLE),
        (503, Fault.OUT_OF_ORDER, Outcome.UNREACHABLE),
        (513, Fault.TOO_LARGE, Outcome.UNREACHABLE),
        (600, Fault.BUSY, Outcome.BUSY),
        (603, Fault.DECLINED, Outcome.REJECTED),
        (606, Fault.CODEC, Outcome.MEDIA_FAILED),
    ],
)
def test_what_an_endpoint_says_has_a_cause(talk: Talk, status: int, fault: Fault, outcome: Outcome) -> None:
    refuse(talk, invited(talk), status, Contact="<sip:desk@elsewhere.test>")
    page = ended(talk, fault, outcome)
    assert f"{talk.target.uri} " in page
    assert f"{status} Not Now" in page


@pytest.mark.parametrize(LISTED, [(Fault.CONGESTION, Outcome.UNREACHABLE)])
def test_a_network_without_a_free_channel_is_known_by_its_cause(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    refuse(talk, invited(talk), 503, Reason="Q.850;cause=34")
    assert "Q.850 cause 34" in ended(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.GLARE_STORM, Outcome.REJECTED)])
def test_an_endpoint_at_which_something_else_is_always_pending(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    """Whatever of it is called."""
    lines = [talk.target.uri.replace("target@", f"line{number}@") for number in (1, 2, 3)]
    asked(talk, *lines)
    for _ in lines:
        refuse(talk, talk.target.expect("INVITE"), 491)
    page = ended(talk, fault, outcome)
    assert "3 requests of this transfer were refused" in page
    assert ", ".join(lines) in page


@pytest.mark.parametrize(
    ("answers", *LISTED),
    [(1, Fault.WRONG_LOGIN, Outcome.AUTH_FAILED), (4, Fault.STALE_NONCE, Outcome.AUTH_FAILED)],
)
def test_a_login_that_is_not_taken(talk: Talk, answers: int, fault: Fault, outcome: Outcome) -> None:
    invite = invited(talk, {"uri": talk.target.uri, "user": USER, "secret": "plain:secret"})
    for number in range(answers):
        asks(talk.target, invite, 401, challenge("MD5", f"n{number}", stale=number > 0))
        invite = talk.target.expect("INVITE")
    asks(talk.target, invite, 401, challenge("MD5", "last", stale=fault is Fault.STALE_NONCE))
    ended(talk, fault, outcome)


def test_handoff_calls_show_tells_it_as_well(talk: Talk) -> None:
    refuse(talk, invited(talk), 482)
    told(talk)
    call = talk.system.store.finished(1)[0].call_id
    page = typed(talk.system, "calls", "show", call)
    found = json.loads(typed(talk.system, "calls", "show", call, "--json"))["history"][0]["diagnosis"]
    assert found["rule"] == Fault.LOOP
    assert found["cause"] in page
    assert found["mend"] in page
    talk.hang_up()
    talk.nothing_left()
