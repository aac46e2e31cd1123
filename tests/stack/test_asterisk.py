"""A real Asterisk as the PBX of the people, set up as the manual says: calls are handed over to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cli.phones import State
from routing.outcomes import Outcome
from routing.records import State as CallState
from rtpengine.sdp import has_keys, voices
from tests.stack.office_pbx import PASSWORD, PHONES
from tests.stack.office_talk import PATIENCE, office_talk
from tests.stack.system import MEDIA_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.office_talk import OfficeTalk


@pytest.fixture(scope="module")
def stage() -> Iterator[OfficeTalk]:
    with office_talk(sidecar=True) as talk:
        yield talk


@pytest.fixture
def talk(stage: OfficeTalk) -> Iterator[OfficeTalk]:
    yield stage
    stage.end()


def test_the_phone_of_the_example_takes_the_call(talk: OfficeTalk) -> None:
    """It is called by the very target of the manual."""
    desk = talk.desk(answer_after=0.2)
    call, agent = talk.connect(talk.phone("caller"))
    talk.office.example.type_in(talk.system)
    talk.refers(agent, "support")
    answered = desk.incoming()
    assert talk.told(agent) == 200
    talk.hear_each_other(call, answered)
    agent.wait(State.DISCONNECTED)
    answered.hangup()
    call.wait(State.DISCONNECTED)
    assert talk.voices(call) == ["agent", "1001"]
    assert set(talk.voices(answered)) == {"caller"}


@pytest.mark.parametrize("extension", ["tone", "echo"])
def test_an_application_of_the_dialplan_takes_the_call(talk: OfficeTalk, extension: str) -> None:
    call, agent = talk.hand_to(extension)
    assert talk.told(agent) == 200
    call.wait_heard({"tone": "tone", "echo": "caller"}[extension], time.time())
    agent.wait(State.DISCONNECTED)
    call.hangup()


@pytest.mark.parametrize(
    ("extension", "status", "outcome", "q850"),
    [
        ("engaged", 486, Outcome.BUSY, 17),
        ("full", 503, Outcome.UNREACHABLE, 34),
        ("declined", 403, Outcome.NOT_ALLOWED, 21),
        ("nobody", 404, Outcome.NOT_FOUND, 1),
        ("7777", 404, Outcome.NOT_FOUND, None),
    ],
)
def test_why_an_extension_refuses_is_in_the_call_log(
    talk: OfficeTalk, extension: str, status: int, outcome: Outcome, q850: int | None
) -> None:
    call, agent = talk.hand_to(extension)
    assert talk.told(agent) == status
    talk.hear_each_other(call, agent)
    transfer = talk.system.store.finished(1)[0].transfer
    assert (transfer.outcome, transfer.attempts[-1].status, transfer.attempts[-1].cause) == (outcome, status, q850)


def test_nobody_answers_and_the_phone_stops_ringing(talk: OfficeTalk) -> None:
    desk = talk.desk(answer_after=None)
    call, agent = talk.hand_to("1001", ring_timeout=1.5)
    ringing = desk.incoming()
    assert talk.told(agent) == 408
    assert ringing.wait(State.DISCONNECTED).code == 487
    talk.hear_each_other(call, agent)
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize(("refusal", "status"), [(486, 486), (603, 403)])
def test_a_phone_refuses_and_asterisk_tells_so(talk: OfficeTalk, refusal: int, status: int) -> None:
    talk.desk(answer_after=0.2, answer_with=refusal)
    call, agent = talk.hand_to("1001")
    assert talk.told(agent) == status
    talk.hear_each_other(call, agent)
    assert talk.diagnosis() == {486: "busy", 603: "declined"}[refusal]


@pytest.mark.parametrize(
    ("extension", "status", "rule"), [("off", 480, "away"), ("brief", 480, "away"), ("1009", 404, "away")]
)
def test_a_phone_is_not_registered_or_rings_in_vain(talk: OfficeTalk, extension: str, status: int, rule: str) -> None:
    """As the manual has it, and with a dialplan that does not care."""
    talk.desk(answer_after=None)
    call, agent = talk.hand_to(extension)
    assert talk.told(agent) == status
    talk.hear_each_other(call, agent)
    assert talk.diagnosis() == rule


@pytest.mark.parametrize(("password", "status"), [(PASSWORD, 200), ("another", 401)])
def test_asterisk_asks_for_a_login(talk: OfficeTalk, password: str, status: int) -> None:
    endpoint = {"uri": talk.office.uri("tone"), "user": "handoff", "secret": f"plain:{password}"}
    talk.system.add_target("extension", endpoint, headers={"X-Way": "login"})
    call, agent = talk.connect(talk.phone("caller"))
    talk.refers(agent)
    assert talk.told(agent) == status
    if status == 200:
        call.wait_heard("tone", time.time())
    else:
        talk.hear_each_other(call, agent)
        assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.AUTH_FAILED


@pytest.mark.parametrize(("way", "codec"), [("g722", "G722"), ("alaw", "PCMA"), ("opus", "opus"), ("srtp", "PCMU")])
def test_asterisk_wants_its_own_kind_of_media(talk: OfficeTalk, way: str, codec: str) -> None:
    settings = {"srtp": "required"} if way == "srtp" else {}
    call, agent = talk.hand_to("tone", way, **settings)
    assert talk.told(agent) == 200
    call.wait_heard("tone", time.time())
    agent.wait(State.DISCONNECTED)
    call.hangup()
    (answer,) = {
        m.body
        for m in talk.wire.messages(method="INVITE", status=200, since=talk.began)
        if m.source[0] == talk.office.host
    }
    assert voices(answer)[0] == codec
    assert has_keys(answer) is (way == "srtp")


def test_a_session_timer_that_asterisk_wants_is_agreed_on(talk: OfficeTalk) -> None:
    call, agent = talk.hand_to("tone", "timers")
    assert talk.told(agent) == 200
    call.wait_heard("tone", time.time())
    (answer,) = [
        m for m in talk.wire.messages(method="INVITE", status=200, since=talk.began) if m.source[0] == talk.office.host
    ]
    assert answer["Session-Expires"].startswith("90;refresher=")


def test_an_invite_too_large_for_udp_reaches_an_asterisk_that_has_no_tcp(talk: OfficeTalk) -> None:
    talk.system.add_target("extension", talk.office.uri("tone"), headers={"X-Long": "x" * 1400})
    call, agent = talk.connect(talk.phone("caller"))
    talk.refers(agent)
    assert talk.told(agent) == 200
    call.wait_heard("tone", time.time())


def test_srtp_that_only_one_side_wants_is_told_as_such(talk: OfficeTalk) -> None:
    call, agent = talk.hand_to("tone", "srtp")
    assert talk.told(agent) == 488
    talk.hear_each_other(call, agent)
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.MEDIA_FAILED


@pytest.mark.parametrize("way", ["", "info"])
def test_a_person_at_asterisk_is_briefed_and_takes_the_call_by_a_key(talk: OfficeTalk, way: str) -> None:
    """Asterisk sends the key on as RFC 4733 events, or as SIP INFO."""
    desk = talk.desk(answer_after=0.2)
    call, agent = talk.hand_to("1001", way, mode="message", message="A call for you.", accept="1")
    answered = desk.incoming()
    answered.wait(State.CONFIRMED)
    talk.system.wait_until(lambda: [each.state for each in talk.system.calls()] == [CallState.ACCEPTING])
    answered.dtmf("1")
    assert talk.told(agent) == 200
    talk.hear_each_other(call, answered)
    agent.wait(State.DISCONNECTED)
    answered.hangup()
    call.wait(State.DISCONNECTED)
    assert "1001" not in talk.voices(agent)


def test_media_go_past_asterisk_when_it_wants_so(talk: OfficeTalk) -> None:
    """It sends a re-INVITE with the address of the phone, and one to the phone with ours.

    A last packet of Asterisk may teach rtpengine, and then the phone, to send to Asterisk all the same: they go by what
    they receive. Asterisk passes it on, so both are heard in any case.
    """
    phone = talk.desk("1003", answer_after=0.2)
    call, agent = talk.hand_to("1003", "direct")
    began = time.time()
    answered = phone.incoming()
    assert talk.told(agent) == 200
    agent.wait(State.DISCONNECTED)
    offer = talk.wire.wait_for(
        lambda m: m.method == "INVITE" and m.is_request and m.source == (talk.office.host, 5060) and m.at > began,
        timeout=PATIENCE,
    )
    assert f"IN IP4 {PHONES}" in offer.body
    talk.system.wait_until(lambda: answered.media.remote.startswith(f"{MEDIA_ADDRESS}:"))
    talk.hear_each_other(call, answered)
    answered.hangup()
    call.wait(State.DISCONNECTED)


@pytest.mark.parametrize("attended", [False, True])
def test_the_person_hands_the_caller_on_within_asterisk(talk: OfficeTalk, attended: bool) -> None:
    desk = talk.desk(answer_after=0.2)
    colleague = talk.desk("1002", answer_after=0.2)
    call, agent = talk.hand_to("1001")
    answered = desk.incoming()
    assert talk.told(agent) == 200
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    if attended:
        other = desk.call(talk.office.uri("1002"))
        second = colleague.incoming()
        talk.hear_each_other(other, second)
        assert answered.refer_replacing(other).code == 202
    else:
        assert answered.refer(talk.office.uri("1002")).code == 202
        second = colleague.incoming()
    talk.hear_each_other(call, second)
    assert set(talk.voices(second)) <= {"1001", "caller", "pause"}
    call.hangup()
    second.wait(State.DISCONNECTED)


def test_asterisk_hands_the_caller_on_to_a_target_of_handoff(talk: OfficeTalk) -> None:
    """Its application Transfer sends us REFER."""
    desk = talk.desk(answer_after=0.2)
    talk.system.add_target("desk", talk.office.uri("1001"))
    call, agent = talk.hand_to("elsewhere")
    assert talk.told(agent) == 200
    agent.hangup()
    answered = desk.incoming()
    agent.wait(State.DISCONNECTED)
    talk.hear_each_other(call, answered)
    call.hangup()
    answered.wait(State.DISCONNECTED)


@pytest.mark.parametrize("leaver", ["caller", "asterisk"])
def test_whoever_hangs_up_ends_the_call_of_the_other(talk: OfficeTalk, leaver: str) -> None:
    call, agent = talk.hand_to("tone")
    assert talk.told(agent) == 200
    call.wait_heard("tone", time.time())
    agent.wait(State.DISCONNECTED)
    if leaver == "asterisk":
        talk.office.order("channel request hangup all")
    else:
        call.hangup()
    call.wait(State.DISCONNECTED)
    talk.system.wait_until(lambda: "0 active calls" in talk.office.order("core show channels"))
    talk.nothing_left()
