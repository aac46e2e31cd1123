"""REFER: which transfer it asks for, and in which of several places its settings are found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from kemi.message import SipError
from kemi.refer import read_refer
from kemi.sender import Sender
from kemi.transfers import Transfers
from routing.events import TransferRequested
from routing.outcomes import Mode
from routing.records import Party
from routing.settings import make_settings
from routing.store import MemoryStore
from routing.targets import Target
from routing.transfer_record import Sound
from rtpengine import FakeRtpengine
from tests.kemi.calls import anchored

if TYPE_CHECKING:
    from kemi.context import Context
    from routing.transfer_record import Transfer
    from tests.fake_ksr import FakeKsr

PERSON = ["sip:person@127.0.0.1"]
SUPPORT = {"name": "support", "endpoints": PERSON, "mode": "summary", "deliver": ["speech", "header"]}
DESK = {"name": "desk", "endpoints": PERSON}
AGENT = Sender("00c0ffee00c0ffee", Party.AGENT, None, 0)
POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}


@pytest.fixture
def context() -> Context:
    """Give the parts that reading a REFER needs, with two targets."""
    store = MemoryStore()
    for target in (SUPPORT, DESK):
        store.put_target(str(target["name"]), Target.make(target).model_dump_json().encode())
    return cast("Context", SimpleNamespace(transfers=Transfers(make_settings({"pools": [POOL]}), store)))


def refer(
    ksr: FakeKsr, context: Context, *headers: str, to: str = "<sip:support@handoff>", body: str | None = None
) -> Transfer:
    """Let a REFER in; gives the transfer that it asks for."""
    kind = [] if body is None or any(each.startswith("Content-Type") for each in headers) else ["text/plain"]
    lines = (
        "REFER sip:caller@127.0.0.1 SIP/2.0",
        "From: <sip:agent@127.0.0.1>;tag=a",
        "Call-ID: trunk-call",
        f"Refer-To: {to}",
        *(f"Content-Type: {each}" for each in kind),
        *headers,
    )
    ksr.receive("\r\n".join(lines) + "\r\n\r\n" + (body or ""))
    event = read_refer(context, AGENT, 1)(anchored(FakeRtpengine()))
    assert isinstance(event, TransferRequested)
    return event.transfer


def refused(
    ksr: FakeKsr, context: Context, *headers: str, to: str = "<sip:support@handoff>", body: str | None = None
) -> int:
    """Let a REFER in that is refused; gives the status."""
    with pytest.raises(SipError) as caught:
        refer(ksr, context, *headers, to=to, body=body)
    return caught.value.status


URI_PARAMETER = "<sip:support@handoff;handoff-summary=parameter>"
URI_HEADER = "<sip:support@handoff;handoff-summary=parameter?X-Handoff-Summary=uri>"
HEADER = "X-Handoff-Summary: he%C3%A4der"


def test_the_summary_is_taken_from_the_first_place_that_has_one(ksr: FakeKsr, context: Context) -> None:
    """Body, header, header in the URI, parameter of the URI."""
    assert refer(ksr, context, HEADER, to=URI_HEADER, body="the\r\nbody ü").summary == "the body ü"
    assert refer(ksr, context, HEADER, to=URI_HEADER, body=" \r\n").summary == "heäder"
    assert refer(ksr, context, HEADER, to=URI_HEADER).summary == "heäder"
    assert refer(ksr, context, to=URI_HEADER).summary == "uri"
    assert refer(ksr, context, to=URI_PARAMETER).summary == "parameter"
    assert refer(ksr, context).summary == ""


def test_mode_and_message_are_laid_over_the_target(ksr: FakeKsr, context: Context) -> None:
    """The message is percent-encoded, too."""
    message = "X-Handoff-Message: Ein%20Anruf%20f%C3%BCr%20Sie"
    wanted = refer(ksr, context, "X-Handoff-Mode: message", message, HEADER)
    assert (wanted.mode, wanted.summary) == (Mode.MESSAGE, "")
    assert wanted.message == Sound(text="Ein Anruf für Sie")


def test_a_summary_for_a_target_in_the_mode_blind_has_no_effect(ksr: FakeKsr, context: Context) -> None:
    """Agents that always send one need not know of it."""
    assert refer(ksr, context, to="<sip:desk@handoff>", body="the body").summary == ""


@pytest.mark.parametrize("bad", ["a%0D%0AX-Evil: 1", "a%00b", "%0A", "100 % sure", "%FF"])
@pytest.mark.parametrize("name", ["X-Handoff-Summary", "X-Handoff-Message"])
def test_a_value_that_could_break_a_message_is_refused(ksr: FakeKsr, context: Context, name: str, bad: str) -> None:
    """In a header of the REFER as in one of the URI."""
    assert refused(ksr, context, f"{name}: {bad}") == 400
    assert refused(ksr, context, to=f"<sip:support@handoff?{name}={bad.replace(' ', '%20')}>") == 400


@pytest.mark.parametrize(("body", "status"), [("x" * 1001, 413), ("a\0b", 400), ("a\x1bb", 400)])
def test_a_body_that_cannot_be_spoken_is_refused(ksr: FakeKsr, context: Context, body: str, status: int) -> None:
    """Line breaks aside, which are folded."""
    assert refused(ksr, context, body=body) == status


def test_a_text_that_is_too_long_is_refused_wherever_it_is(ksr: FakeKsr, context: Context) -> None:
    """It is not cut: what would be lost may be what matters."""
    long = "x" * 1001
    assert refused(ksr, context, f"X-Handoff-Summary: {long}") == 413
    assert refused(ksr, context, f"X-Handoff-Message: {long}") == 413
    assert refused(ksr, context, to=f"<sip:support@handoff;handoff-summary={long}>") == 413


def test_a_body_of_another_type_is_refused(ksr: FakeKsr, context: Context) -> None:
    """The agent may have meant something by it."""
    ksr.allow("hdr.append_to_reply")
    assert refused(ksr, context, "Content-Type: application/json", body="{}") == 415


def test_an_unknown_setting_is_refused(ksr: FakeKsr, context: Context) -> None:
    """A misspelt mode must not be a blind transfer."""
    assert refused(ksr, context, "X-Handoff-Mode: sumary") == 400
