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
    from rtpengine import CallQueried


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
    """Tell how caller and person were heard; a person who tried to hand the call on has the agent's place."""
    person = Party.AGENT if call.agent_leg == number else Party.TARGET
    sources = {
        Party.CALLER: ("caller", call.media.caller_sdp),
        Party.TARGET: (f"leg{number}", call.media.of(person)),
    }
    parties = {party: _party(found, tag, sdp) for party, (tag, sdp) in sources.items() if tag in found.tags}
    return Heard(transfer=transfer_id, ended_at=now, parties=parties)


def _party(found: CallQueried, tag: str, sdp: str) -> PartyHeard:
    media, quality = found.tags[tag], found.quality(tag)
    heard = PartyHeard(
        codec=media.codecs[0].partition("/")[0] if media.codecs else "",
        packets=media.packets,
        last_at=media.last_packet or None,
        on_hold=not sends(sdp),
    )
    return heard.model_copy(update=asdict(quality)) if quality else heard
