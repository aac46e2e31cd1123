"""The causes of transfers in which media cannot be agreed on."""

from __future__ import annotations

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from tests.stack.diagnosis.shown import LISTED, asked, ended, invited, refuse, shown, told
from tests.stack.rtp import RtpPeer
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua


@pytest.mark.parametrize(
    ("srtp", "words", *LISTED),
    [
        ("off", "not encrypted", Fault.CODEC, Outcome.MEDIA_FAILED),
        ("optional", "with or without SRTP", Fault.CODEC, Outcome.MEDIA_FAILED),
        ("required", "--srtp required", Fault.SRTP, Outcome.MEDIA_FAILED),
        ("dtls", "--srtp dtls", Fault.SRTP, Outcome.MEDIA_FAILED),
    ],
)
def test_an_endpoint_that_refuses_the_offer(talk: Talk, srtp: str, words: str, fault: Fault, outcome: Outcome) -> None:
    refuse(talk, invited(talk, srtp=srtp), 488)
    page = ended(talk, fault, outcome)
    assert words in page
    assert "codecs PCMU" in page


@pytest.mark.parametrize(
    ("srtp", "words", *LISTED),
    [
        ("required", "no keys for SRTP", Fault.SRTP, Outcome.MEDIA_FAILED),
        ("dtls", "no fingerprint for DTLS", Fault.SRTP, Outcome.MEDIA_FAILED),
        ("off", "answered with ILBC", Fault.CODEC, Outcome.MEDIA_FAILED),
    ],
)
def test_an_answer_that_is_of_no_use(talk: Talk, srtp: str, words: str, fault: Fault, outcome: Outcome) -> None:
    invite = invited(talk, srtp=srtp)
    with RtpPeer("G722") as stranger:
        sdp = stranger.sdp()
        if fault is Fault.CODEC:
            sdp = sdp.replace(" 9\r\n", " 97\r\n").replace("9 G722/8000", "97 ILBC/8000")
        talk.target.reply(invite, 200, sdp=sdp)
        talk.target.expect("ACK")
        talk.target.reply(talk.target.expect("BYE"), 200)
        assert words in ended(talk, fault, outcome)


@pytest.mark.parametrize(LISTED, [(Fault.RTPENGINE, Outcome.MEDIA_FAILED)])
def test_an_rtpengine_that_is_away(fault: Fault, outcome: Outcome) -> None:
    """On a stack of its own: it is left alone for a while afterwards."""
    with Ua("agent") as agent, System(agent.uri) as system, Talk(system, agent) as talk, system.rtpengine.away():
        asked(talk)
        told(talk)
        assert "handoff doctor" in shown(talk, fault, outcome)
