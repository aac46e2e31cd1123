"""Two who were connected, and what is told of why they did not hear one another, where that is known."""

from __future__ import annotations

from typing import Any

import pytest

from routing.diagnosis import diagnose
from routing.faults import Fault
from routing.heard import Heard, PartyHeard
from routing.outcomes import Mode, Outcome
from routing.records import Party
from routing.transfer_record import Attempt, Destination, Origin, Transfer

URI = "sip:desk@192.0.2.9"
BRIDGED_AT = 121.5
TALKS = PartyHeard(packets=500, last_at=130)
MUTE = PartyHeard()
STOPPED = PartyHeard(packets=500, last_at=121)
LOST = PartyHeard(packets=500, last_at=130, loss=97, mos=1.0)
ON_HOLD = PartyHeard(on_hold=True)


def connected(*, media: str = "", source: str = "", caller_media: str = "", caller_source: str = "") -> Transfer:
    """Make a transfer that connected two, with the addresses that they gave for media, and signalled from."""
    return Transfer(
        id="1",
        target="support",
        mode=Mode.BLIND,
        source="refer",
        endpoints=(Destination(uri=URI, ring_timeout=20.0),),
        sender="<sip:caller@192.0.2.1>",
        requested_at=99.0,
        ended_at=BRIDGED_AT,
        outcome=Outcome.CONNECTED,
        status=200,
        attempts=(
            Attempt(uri=URI, status=200, reason="OK", started_at=1.0, ended_at=2.0, leg=1, media=media, source=source),
        ),
        caller_media=caller_media,
        origin=Origin(caller="", called="", pool="", node="", media_node="", source=caller_source),
    )


def heard(caller: PartyHeard, person: PartyHeard | None, *, seconds: float = 10.0) -> Heard:
    parties = {Party.CALLER: caller} | ({Party.TARGET: person} if person else {})
    return Heard(transfer="1", ended_at=BRIDGED_AT + seconds, parties=parties)


@pytest.mark.parametrize(
    ("caller", "person", "fault", "words"),
    [
        (MUTE, MUTE, Fault.NO_AUDIO, "neither heard the other"),
        (TALKS, MUTE, Fault.ONE_WAY_AUDIO, "the caller heard nothing: the person sent no audio"),
        (MUTE, TALKS, Fault.ONE_WAY_AUDIO, "the person heard nothing: the caller sent no audio"),
        (STOPPED, TALKS, Fault.ONE_WAY_AUDIO, "since the two were connected"),
        (LOST, TALKS, Fault.ONE_WAY_AUDIO, "the person reports by RTCP that 97 % of what the caller sent did not"),
        (TALKS, LOST, Fault.ONE_WAY_AUDIO, "the caller heard nothing: the caller reports by RTCP that 97 %"),
        (LOST, MUTE, Fault.NO_AUDIO, "did not arrive; the person sent no audio"),
    ],
)
def test_who_was_not_heard_is_told(caller: PartyHeard, person: PartyHeard, fault: Fault, words: str) -> None:
    found = diagnose(connected(), heard(caller, person))
    assert found
    assert found.rule is fault
    assert words in found.cause
    assert "UDP ports" in found.mend


def test_two_who_were_heard_have_no_diagnosis() -> None:
    assert diagnose(connected(), heard(TALKS, TALKS)) is None
    assert diagnose(connected()) is None, "it is not known yet"
    assert diagnose(connected(), heard(TALKS, MUTE, seconds=1.0)) is None, "too short to tell"
    assert diagnose(connected(), heard(TALKS, None)) is None
    assert diagnose(connected(), heard(TALKS, ON_HOLD)) is None
    assert diagnose(connected(), heard(TALKS, PartyHeard(packets=5, last_at=122))) is None, "it has sent since"
    assert diagnose(connected(), heard(TALKS, PartyHeard(packets=5, last_at=90))) is None, "by another clock"


@pytest.mark.parametrize("private", ["10.1.2.3", "172.16.0.1", "192.168.178.2", "100.64.9.9", "169.254.1.1", "fd00::1"])
def test_a_private_address_that_is_signalled_from_elsewhere_is_told(private: str) -> None:
    found = diagnose(connected(media=private, source="203.0.113.7"), heard(TALKS, MUTE))
    assert found
    assert found.rule is Fault.NAT_ADDRESS
    assert f"the SDP of the person wants audio at {private}" in found.cause
    assert "203.0.113.7" in found.cause
    assert "STUN" in found.mend


def test_so_it_is_of_a_caller() -> None:
    found = diagnose(connected(caller_media="10.1.2.3", caller_source="203.0.113.7:5060"), heard(MUTE, TALKS))
    assert found
    assert found.rule is Fault.NAT_ADDRESS
    assert "the SDP of the caller wants audio at 10.1.2.3" in found.cause
    assert "203.0.113.7" in found.cause


ONE_WAY = [
    {"media": "203.0.113.9", "source": "203.0.113.7"},
    {"media": "10.0.0.1", "source": "10.0.0.2"},
    {"media": "10.0.0.1"},
    {"media": "phone.example", "source": "203.0.113.7"},
]


@pytest.mark.parametrize("addresses", ONE_WAY)
def test_addresses_that_can_be_reached_are_not_blamed(addresses: dict[str, Any]) -> None:
    found = diagnose(connected(**addresses), heard(TALKS, MUTE))
    assert found
    assert found.rule is Fault.ONE_WAY_AUDIO


def test_nor_is_the_address_of_somebody_who_was_heard() -> None:
    """rtpengine follows the packets, wherever the SDP wanted them."""
    assert diagnose(connected(media="10.0.0.1", source="203.0.113.7"), heard(TALKS, TALKS)) is None


def test_what_older_versions_have_recorded_says_no_more_than_that() -> None:
    transfer = connected().model_copy(update={"attempts": (), "origin": None, "ended_at": None})
    assert diagnose(transfer, heard(MUTE, MUTE)) is None
    found = diagnose(transfer.model_copy(update={"ended_at": BRIDGED_AT}), heard(MUTE, MUTE))
    assert found
    assert found.rule is Fault.NO_AUDIO
