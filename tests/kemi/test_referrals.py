"""What the caller's side reports by NOTIFY is read, and what says nothing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.message import SipError
from kemi.referrals import read_report
from routing.events import ReferralReported

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

TIMED_OUT = (408, "Request Timeout")


def report(
    ksr: FakeKsr, body: str, *, event: str = "refer", state: str = "active;expires=60"
) -> ReferralReported | None:
    """Let a NOTIFY in, and read it."""
    ksr.receive(f"NOTIFY sip:h SIP/2.0\r\nEvent: {event}\r\nSubscription-State: {state}\r\n\r\n{body}")
    return read_report()


@pytest.mark.parametrize(
    ("body", "state", "expected"),
    [
        ("SIP/2.0 100 Trying\r\n", "active", (100, "Trying", False)),
        ("SIP/2.0 180\r\n", "active", (180, "", False)),
        ("SIP/2.0 200 OK", "active", (200, "OK", True)),
        ("SIP/2.0 486 Busy Here\r\nVia: x", "terminated;reason=noresource", (486, "Busy Here", True)),
        ("SIP/2.0 100 Trying", "terminated;reason=timeout", (*TIMED_OUT, True)),
        ("", "Terminated", (*TIMED_OUT, True)),
    ],
)
def test_a_status_line_is_read(ksr: FakeKsr, body: str, state: str, expected: tuple[int, str, bool]) -> None:
    """A side that ends its reports before the end of its call has not told how that went."""
    status, reason, final = expected
    assert report(ksr, body, state=state) == ReferralReported(0, status, reason, final)


@pytest.mark.parametrize(("event", "refer"), [("refer", 0), ("Refer;id=7", 7), ("refer; a=b; id=93809823", 93809823)])
def test_it_may_say_which_refer_it_is_about(ksr: FakeKsr, event: str, refer: int) -> None:
    found = report(ksr, "SIP/2.0 200 OK", event=event)
    assert found is not None
    assert found.refer == refer


@pytest.mark.parametrize("event", ["presence", "message-summary"])
def test_what_is_not_about_a_refer_is_the_agent_s(ksr: FakeKsr, event: str) -> None:
    assert report(ksr, "SIP/2.0 200 OK", event=event) is None


@pytest.mark.parametrize("body", ["", "how nice", "SIP/2.0 999 No"])
def test_one_that_says_nothing_is_refused(ksr: FakeKsr, body: str) -> None:
    with pytest.raises(SipError, match="status line"):
        report(ksr, body)
