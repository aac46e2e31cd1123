"""What only the media can tell the call log: which codecs were offered, and how well the parties were heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kemi.offers import offered, spoken_sdp
from routing.heard import Heard, PartyHeard
from routing.outcomes import Outcome
from routing.records import Party
from rtpengine.sdp import voices

if TYPE_CHECKING:
    from routing.records import Call
    from routing.transfer_record import Transfer
    from rtpengine import CallQueried


def with_codecs(call: Call, transfer: Transfer) -> Transfer:
    """Note in a finished transfer what the caller speaks, and what the endpoints were offered if any was called."""
    sdp = spoken_sdp(call)
    spoken, choice = voices(sdp), offered(sdp, transfer.codecs, keys=False)
    kept = () if choice.mask else spoken
    names = tuple(dict.fromkeys((*kept, *choice.transcode)))
    called = any(attempt.leg for attempt in transfer.attempts)
    return transfer.model_copy(update={"caller_codec": spoken[0] if spoken else "", "offered": names if called else ()})


def connected(call: Call) -> tuple[str, int] | None:
    """Find the transfer whose two parties talk, or did last, and the number of the person's leg; None for none."""
    for transfer in reversed(call.history):
        if transfer.outcome is Outcome.CONNECTED:
            number = transfer.attempts[-1].leg if transfer.attempts else 0
            return (transfer.id, number) if number else None
    return None


def heard(transfer_id: str, number: int, found: CallQueried, now: float) -> Heard:
    """Tell how caller and person were heard."""
    tags = {Party.CALLER: "caller", Party.TARGET: f"leg{number}"}
    parties = {party: _party(found, tag) for party, tag in tags.items() if tag in found.tags}
    return Heard(transfer=transfer_id, ended_at=now, parties=parties)


def _party(found: CallQueried, tag: str) -> PartyHeard:
    media, quality = found.tags[tag], found.quality(tag)
    codec = media.codecs[0].partition("/")[0] if media.codecs else ""
    if quality is None:
        return PartyHeard(codec=codec, packets=media.packets)
    return PartyHeard(
        codec=codec,
        packets=media.packets,
        mos=quality.mos,
        jitter=quality.jitter,
        loss=quality.loss,
        lost=quality.lost,
    )
