"""Rules for a transfer that connected two who did not hear one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.diagnosis_facts import Diagnosis
from routing.records import Party

if TYPE_CHECKING:
    from routing.heard import Heard
    from routing.transfer_record import Transfer

LONG_ENOUGH = 2.0
"""Seconds after the bridge in which whoever speaks has sent something."""
_OPEN = (
    "open the UDP ports of rtpengine in the firewalls between here and there, and see that rtpengine says the address "
    "by which it is reached"
)


def audio(transfer: Transfer, heard: Heard) -> Diagnosis | None:
    """Tell who was not heard at all: nothing came from them to rtpengine."""
    if heard.ended_at - (transfer.ended_at or heard.ended_at) < LONG_ENOUGH:
        return None
    mute = [
        party for party in (Party.CALLER, Party.TARGET) if party in heard.parties and not heard.parties[party].packets
    ]
    if len(mute) == 2:
        return Diagnosis("no_audio", "neither caller nor person sent any audio that reached rtpengine", _OPEN)
    if mute == [Party.TARGET]:
        return Diagnosis(
            "one_way_audio", "the person sent no audio that reached rtpengine: the caller heard nothing", _OPEN
        )
    if mute == [Party.CALLER]:
        return Diagnosis(
            "one_way_audio", "the caller sent no audio that reached rtpengine: the person heard nothing", _OPEN
        )
    return None
