"""What is read from bodies: the summary of a REFER, INFO or MESSAGE, and the key of an INFO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kemi.bodies import read_key, read_summary, summary_in_refer
from kemi.message import SipError

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr


def receive(ksr: FakeKsr, kind: str, body: str, *more: str) -> None:
    """Let a request with this body in."""
    head = ("INFO sip:h SIP/2.0", "Call-ID: trunk-call", f"Content-Type: {kind}", *more)
    ksr.receive("\r\n".join(head) + "\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
        ("application/dtmf-relay", "Signal= 5\nDuration= 160", "5"),
        ("Application/DTMF-Relay;x=y", "Duration=160\r\n SIGNAL = # ", "#"),
        ("application/dtmf-relay", "Signal=10", "*"),
        ("application/dtmf-relay", "Signal=11\r\n", "#"),
        ("application/dtmf-relay", "signal=a", "A"),
        ("application/dtmf-relay", "Signal=15", "D"),
        ("application/dtmf", "5", "5"),
        ("application/dtmf", " * \r\n", "*"),
        ("application/dtmf", "10", "*"),
    ],
)
def test_a_key_is_read_however_it_is_written(ksr: FakeKsr, kind: str, body: str, key: str) -> None:
    """Phones differ in case, blanks and names for star and pound."""
    receive(ksr, kind, body)
    assert read_key() == key


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", "Signal=55"),
        ("application/dtmf-relay", "Duration=160"),
        ("application/dtmf-relay", "XSignal=5"),
        ("application/dtmf-relay", "5"),
        ("application/dtmf", "Signal=5"),
        ("application/dtmf", "hf"),
        ("application/dtmf", ""),
    ],
)
def test_what_is_no_key_is_refused(ksr: FakeKsr, kind: str, body: str) -> None:
    """With 400: the phone's maker should know."""
    receive(ksr, kind, body)
    with pytest.raises(SipError) as caught:
        read_key()
    assert caught.value.status == 400


def test_a_summary_may_have_lines(ksr: FakeKsr) -> None:
    """They are put on one, since it will be spoken and may become a header."""
    receive(ksr, "text/plain;charset=UTF-8", "Wants a refund.\r\n\r\n  Grüße\tan alle.\n")
    assert read_summary() == "Wants a refund. Grüße an alle."


@pytest.mark.parametrize(("body", "status"), [("", 400), (" \r\n", 400), ("a\0b", 400), ("x" * 1001, 413)])
def test_a_summary_that_cannot_be_spoken_is_refused(ksr: FakeKsr, body: str, status: int) -> None:
    """With the status that says what is wrong."""
    receive(ksr, "text/plain", body)
    with pytest.raises(SipError) as caught:
        read_summary()
    assert caught.value.status == status


@pytest.mark.parametrize("header", ["Content-Type: Text/Plain; charset=utf-8", "c: text/plain"])
def test_the_text_of_a_refer_is_its_summary(ksr: FakeKsr, header: str) -> None:
    """In whatever way its type is written."""
    ksr.receive(f"REFER sip:h SIP/2.0\r\nCall-ID: x\r\n{header}\r\n\r\nWants\r\na refund")
    assert summary_in_refer() == "Wants a refund"


def test_a_refer_need_not_have_a_body(ksr: FakeKsr) -> None:
    """Most have none."""
    ksr.receive("REFER sip:h SIP/2.0\r\nCall-ID: x\r\n\r\n")
    assert summary_in_refer() == ""


def test_a_body_of_another_type_is_refused_with_those_that_are_taken(ksr: FakeKsr) -> None:
    """RFC 3261 section 21.4.13 wants Accept in a 415."""
    ksr.allow("hdr.append_to_reply")
    receive(ksr, "application/json", "{}")
    with pytest.raises(SipError) as caught:
        summary_in_refer()
    assert caught.value.status == 415
    assert ksr.called("hdr.append_to_reply") == [("Accept: text/plain\r\n",)]


def test_a_body_that_may_be_ignored_is(ksr: FakeKsr) -> None:
    """Its sender says so in Content-Disposition."""
    receive(ksr, "message/sipfrag", "From: x", "Content-Disposition: aib; handling=OPTIONAL")
    assert summary_in_refer() == ""
