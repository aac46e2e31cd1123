"""The causes of transfers that the caller's side was asked to make by itself, and did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from tests.stack.diagnosis.shown import LISTED, asked, ended, refuse
from tests.stack.test_refer_outwards import REPORT

if TYPE_CHECKING:
    from tests.stack.talk import Talk


def report(talk: Talk, status: int) -> None:
    """Let the caller's side tell how its call stands."""
    state = "terminated;reason=noresource" if status >= 200 else "active;expires=60"
    headers = {**REPORT, "Subscription-State": state}
    body = f"SIP/2.0 {status} Not Now\r\n"
    talk.caller.expect(200, to=talk.caller.request("NOTIFY", talk.caller_dialog, body=body, headers=headers))


@pytest.mark.parametrize(
    ("status", "words", *LISTED),
    [
        (405, "nobody was called", Fault.REFER_REFUSED, Outcome.REJECTED),
        (603, "nobody was called", Fault.REFER_REFUSED, Outcome.REJECTED),
        (491, "the trunk had another request pending", Fault.GLARE, Outcome.REJECTED),
        (407, "wants a login", Fault.REFER_LOGIN, Outcome.AUTH_FAILED),
        (202, "did not report", Fault.REFER_SILENT, Outcome.UNREACHABLE),
    ],
)
def test_a_trunk_that_does_not_do_what_the_refer_asks(
    talk: Talk, status: int, words: str, fault: Fault, outcome: Outcome
) -> None:
    asked(talk, method="refer")
    talk.caller.reply(talk.caller.expect("REFER"), status)
    assert words in ended(talk, fault, outcome)


@pytest.mark.parametrize(
    ("status", "words", *LISTED),
    [
        (486, "it is busy", Fault.REFER_FAILED, Outcome.BUSY),
        (404, "it does not know whom we called", Fault.REFER_FAILED, Outcome.NOT_FOUND),
        (502, "it could not be reached", Fault.REFER_FAILED, Outcome.UNREACHABLE),
    ],
)
def test_a_trunk_whose_own_call_fails(talk: Talk, status: int, words: str, fault: Fault, outcome: Outcome) -> None:
    """It takes REFER: nobody is to be asked whether it does."""
    asked(talk, method="refer")
    talk.caller.reply(talk.caller.expect("REFER"), 202)
    report(talk, 100)
    report(talk, status)
    page = ended(talk, fault, outcome)
    assert words in page
    assert "the trunk took the REFER" in page


@pytest.mark.parametrize(LISTED, [(Fault.GLARE_STORM, Outcome.REJECTED)])
def test_a_trunk_and_an_endpoint_at_which_something_is_always_pending(
    talk: Talk, fault: Fault, outcome: Outcome
) -> None:
    talk.system.store.forget_trunk("carrier")  # or REFER is not tried, by what was learned before
    asked(talk, method="auto")
    talk.caller.reply(talk.caller.expect("REFER"), 491)
    refuse(talk, talk.target.expect("INVITE"), 491)
    assert "2 requests of this transfer were refused" in ended(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.REFER_SILENT, Outcome.NO_ANSWER)])
def test_a_trunk_that_stops_to_report(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    asked(talk, method="refer", ring_timeout=1.0)
    talk.caller.reply(talk.caller.expect("REFER"), 202)
    report(talk, 180)
    assert "stopped to report" in ended(talk, fault, outcome)
