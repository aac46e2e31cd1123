"""Who of a call hears whom, and what is played to it, while a transfer is under way.

Blocking and playing are facts about a party, not about a connection: they outlast offers and answers, so that caller
and agent may renegotiate while they are held, and the caller stays mute until it is told otherwise, whoever its peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from routing.records import Party
from rtpengine import BlockDtmf, BlockMedia, PlayMedia, Reply, StopMedia, UnblockDtmf, UnblockMedia

if TYPE_CHECKING:
    from routing.records import Call
    from rtpengine import Command, MediaPool

R = TypeVar("R", bound=Reply)

AHEAD = 0.05
"""Seconds by which rtpengine is done with a file sooner: it sends the first packets at once, and no part of one."""
_ENDLESS = 1_000_000  # the longest that a call could last is far less


def tag(call: Call, party: Party) -> str:
    """Name a party as rtpengine knows it."""
    if party is Party.AGENT and call.agent_leg:
        return f"leg{call.agent_leg}"
    if party is not Party.TARGET:
        return party.value
    assert call.leg is not None, "a target has a leg"
    return f"leg{call.leg.number}"


class Hearing:
    """What the parties of the calls hear; every method may raise RtpengineError, whose `text` says what is wrong."""

    def __init__(self, pool: MediaPool) -> None:
        """Take the pool of nodes."""
        self._pool = pool

    def hold(self, call: Call, music: str | None) -> None:
        """Let caller and agent not hear one another, and play a file to the caller without end; None for silence.

        May be repeated. Where the music cannot be played the two are parted all the same.
        """
        for party in (tag(call, Party.AGENT), "caller"):
            # A block of the voice alone lets DTMF events pass.
            self._request(call, BlockMedia(call.id, party))
            self._request(call, BlockDtmf(call.id, party))
        if music is None:
            self.silence(call, Party.CALLER)
        else:
            self._request(call, PlayMedia(call.id, "caller", music, repeat_times=_ENDLESS))

    def resume(self, call: Call) -> None:
        """Let caller and agent hear one another again, and nothing else; may be repeated."""
        self.silence(call, Party.CALLER)
        for party in (tag(call, Party.AGENT), "caller"):
            self._unblock(call, party)

    def play(self, call: Call, party: Party, file: str) -> float:
        """Play a file to a party, in the place of what plays to it; gives the seconds until its end.

        Raises RtpengineError for a file that cannot be played too: then the party hears nothing.
        """
        return max(0.0, self._request(call, PlayMedia(call.id, tag(call, party), file)).duration - AHEAD)

    def silence(self, call: Call, party: Party) -> None:
        """Stop what plays to a party, if anything does."""
        self._request(call, StopMedia(call.id, tag(call, party)))

    def _unblock(self, call: Call, party: str) -> None:
        self._request(call, UnblockDtmf(call.id, party))
        self._request(call, UnblockMedia(call.id, party))

    def _request(self, call: Call, command: Command[R]) -> R:
        return self._pool.request(call.media_node, command)
