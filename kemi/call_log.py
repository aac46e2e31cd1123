"""What only the media can tell the call log: which codecs were offered, and how well the parties were heard."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kemi.offers import offered, spoken_sdp
from routing.heard import Heard, PartyHeard
from routing.outcomes import Outcome
from routing.records import Party
from rtpengine.sdp import media_address, sends, voices

if TYPE_CHECKING:
    from routing.records import Call
    from routing.transfer_record import Transfer
    from rtpengine import CallQueried, PartyMedia, Quality


def with_media(call: Call, transfer: Transfer) -> Transfer:
    """Note in a finished transfer what the caller speaks, where, and what the endpoints were offered if called."""
    sdp = spoken_sdp(call)
    spoken, choice = voices(sdp), offered(sdp, transfer.codecs, keys=False)
    kept = () if choice.mask else spoken
    names = tuple(dict.fromkeys((*kept, *choice.transcode)))
    called = any(attempt.leg for attempt in transfer.attempts)
    noted = {
        "caller_codec": spoken[0] if spoken else "",
        "caller_media": media_address(sdp),
        "offered": names if called else (),
    }
    return transfer.model_copy(update=noted)


def connected(call: Call) -> tuple[str, int] | None:
    """Find the transfer whose two parties talk, or did last, and the number of the person's leg; None for none."""
    for transfer in reversed(call.history):
        if transfer.outcome is Outcome.CONNECTED:
            number = transfer.attempts[-1].leg if transfer.attempts else 0
            return (transfer.id, number) if number else None
    return None


def heard(call: Call, transfer_id: str, number: int, found: CallQueried, now: float) -> Heard:
    """Tell how caller and person were heard: each says by RTCP how it hears the other one.

    A person who tried to hand the call on has the agent's place.
    """
    person = Party.AGENT if call.agent_leg == number else Party.TARGET
    caller, leg = "caller", f"leg{number}"
    parties = {}
    if caller in found.tags:
        parties[Party.CALLER] = _party(found.tags[caller], found.quality(leg), call.media.caller_sdp)
    if leg in found.tags:
        parties[Party.TARGET] = _party(found.tags[leg], found.quality(caller), call.media.of(person))
    return Heard(transfer=transfer_id, ended_at=now, parties=parties)


def _party(media: PartyMedia, quality: Quality | None, sdp: str) -> PartyHeard:
    heard = PartyHeard(
        codec=media.codecs[0].partition("/")[0] if media.codecs else "",
        packets=media.packets,
        last_at=media.last_packet or None,
        on_hold=not sends(sdp),
    )
    return heard.model_copy(update=asdict(quality)) if quality else heard
