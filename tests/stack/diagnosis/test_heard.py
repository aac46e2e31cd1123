"""The causes of transfers that connected two who did not hear one another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.diagnosis_heard import LONG_ENOUGH
from routing.faults import Fault
from routing.outcomes import Outcome
from rtpengine import Query
from tests.stack.diagnosis.shown import LISTED, connected, invited, shown
from tests.stack.rtcp import RtcpPeer

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.talk import Talk

PRIVATE = "10.1.2.3"


def lasts(talk: Talk, seconds: float = LONG_ENOUGH + 0.5) -> None:
    """Let the call go on for so long that who speaks would have been heard."""
    until = time.time() + seconds
    talk.system.wait_until(lambda: time.time() > until)


def invited_by_who_falls_silent(talk: Talk) -> Message:
    """Let the target ring, while nothing comes of the caller any more; gives the INVITE."""
    invite = invited(talk)
    talk.target.reply(invite, 180)
    talk.caller_voice.hush()
    lasts(talk)
    return invite


def behind_nat(sdp: str) -> str:
    """Write an SDP as a phone does that knows its own address only."""
    return sdp.replace("c=IN IP4 127.0.0.1", f"c=IN IP4 {PRIVATE}")


def over(talk: Talk, fault: Fault, outcome: Outcome) -> str:
    """Let the caller hang up, and give the page when it is known how the two were heard."""
    talk.hang_up_on_target()
    talk.nothing_left()
    talk.system.wait_until(lambda: talk.system.store.finished(1)[0].heard is not None)
    return shown(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.ONE_WAY_AUDIO, Outcome.CONNECTED)])
def test_a_person_of_whom_nothing_is_heard(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    connected(talk, invited(talk))
    lasts(talk)
    assert "the caller heard nothing: the person sent no audio that reached rtpengine" in over(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.ONE_WAY_AUDIO, Outcome.CONNECTED)])
def test_a_caller_of_whom_nothing_is_heard_any_more(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    invite = invited_by_who_falls_silent(talk)
    connected(talk, invite)
    talk.target_voice.talk_to(invite.body)
    lasts(talk)
    page = over(talk, fault, outcome)
    assert "the person heard nothing: the caller sent no audio" in page
    assert "since the two were connected" in page


@pytest.mark.parametrize(LISTED, [(Fault.NO_AUDIO, Outcome.CONNECTED)])
def test_two_of_whom_nothing_is_heard(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    invite = invited_by_who_falls_silent(talk)
    connected(talk, invite)
    lasts(talk)
    assert "neither heard the other" in over(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.NAT_ADDRESS, Outcome.CONNECTED)])
def test_a_person_behind_nat_whose_audio_does_not_get_out(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    connected(talk, invited(talk), sdp=behind_nat(talk.target_voice.sdp()))
    lasts(talk)
    page = over(talk, fault, outcome)
    assert (
        f"the SDP of the person wants audio at {PRIVATE}, a private address, but signalling is from 127.0.0.1" in page
    )
    assert "the person sent no audio" in page


@pytest.mark.parametrize(LISTED, [(Fault.NAT_ADDRESS, Outcome.CONNECTED)])
def test_a_caller_behind_nat_whose_audio_no_longer_gets_out(talk: Talk, fault: Fault, outcome: Outcome) -> None:
    talk.caller_voice.hush()
    offer = talk.caller.request("INVITE", talk.caller_dialog, sdp=behind_nat(talk.caller_voice.sdp(version=2)))
    talk.agent.reply(talk.agent.expect("INVITE"), 200, sdp=talk.agent_voice.sdp(version=2))
    talk.caller.ack(talk.caller.expect(200, to=offer))
    talk.agent.expect("ACK")
    invite = invited_by_who_falls_silent(talk)
    connected(talk, invite)
    talk.target_voice.talk_to(invite.body)
    lasts(talk)
    page = over(talk, fault, outcome)
    assert (
        f"the SDP of the caller wants audio at {PRIVATE}, a private address, but signalling is from 127.0.0.1" in page
    )


def test_a_person_behind_nat_who_is_heard_has_nothing_to_mend(talk: Talk) -> None:
    """rtpengine follows the packets."""
    invite = invited(talk)
    connected(talk, invite, sdp=behind_nat(talk.target_voice.sdp()))
    talk.target_voice.talk_to(invite.body)
    talk.hear_target()
    lasts(talk)
    talk.hang_up_on_target()
    talk.nothing_left()
    talk.system.wait_until(lambda: talk.system.store.finished(1)[0].heard is not None)
    with pytest.raises(AssertionError, match="'diagnosis': None"):
        shown(talk, Fault.NAT_ADDRESS, Outcome.CONNECTED)


@pytest.mark.parametrize(LISTED, [(Fault.ONE_WAY_AUDIO, Outcome.CONNECTED)])
@pytest.mark.parametrize("deaf", ["caller", "person"])
def test_somebody_whose_phone_reports_that_nothing_arrives(
    talk: Talk, deaf: str, fault: Fault, outcome: Outcome
) -> None:
    """All that both send reaches rtpengine."""
    invite = invited(talk)
    connected(talk, invite)
    talk.target_voice.talk_to(invite.body)
    talk.hear_target()
    call = talk.record.id
    with (
        RtcpPeer(talk.caller_voice.ssrc, talk.answer.body, loss=96 if deaf == "caller" else 1) as caller,
        RtcpPeer(talk.target_voice.ssrc, invite.body, loss=96 if deaf == "person" else 1) as person,
    ):

        def reported() -> bool:
            caller.report()
            person.report()
            found = talk.system.media.request("media1", Query(call))
            return all(found.quality(tag) for tag in ("caller", "leg1"))

        talk.system.wait_until(reported)
    lasts(talk)
    page = over(talk, fault, outcome)
    assert f"the {deaf} heard nothing: the {deaf} reports by RTCP" in page
