"""What a call asks of rtpengine. Tags there are plain words: caller, agent, and shadow and leg with a number."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from kemi.call_log import connected, heard
from kemi.hearing import Hearing, tag
from kemi.offers import (
    agree,
    codecs_of,
    ice_for,
    offered,
    offered_to_leg,
    security_for,
    sink_for,
    spoken_sdp,
    spoken_types,
    srtp_of,
    to_plain,
)
from routing.events import MediaBridged, MediaFailed, MediaLost, PartyLost
from routing.held import is_held, unheld
from routing.records import Party
from routing.transfer_record import Srtp
from rtpengine import (
    Answer,
    BlockMedia,
    Codecs,
    CommandRefused,
    Delete,
    Offer,
    Query,
    RtpengineError,
    Security,
    UnblockMedia,
)
from rtpengine.sdp import (
    EVENTS,
    codec_names,
    endpoint,
    has_audio,
    has_fingerprint,
    has_keys,
    narrow,
    payload_types,
    sends,
    voices,
    widen,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.heard import Heard
    from routing.records import Call
    from routing.transfer_record import Leg
    from rtpengine import MediaPool

_OFFERS = {
    Srtp.OFF: None,
    Srtp.OPTIONAL: Security.OFFERED,
    Srtp.REQUIRED: Security.REQUIRED,
    Srtp.DTLS: Security.DTLS,
}


class CallMedia(Hearing):
    """Media of the calls; every method may raise RtpengineError, whose `text` says what is wrong."""

    def __init__(self, pool: MediaPool, *, silence: float) -> None:
        """Take the pool of nodes, and the seconds without RTP after which a party counts as lost; 0 for never."""
        super().__init__(pool)
        self._longest_silence = silence
        self._away: dict[str, float] = {}

    def offer(self, node: str, call_id: str, sdp: str) -> str:
        """Anchor the caller's offer; gives the SDP for the agent."""
        return self._pool.request(node, Offer(call_id, "caller", sdp, security=to_plain(sdp))).sdp

    def answer(self, node: str, call_id: str, sdp: str, offer: str = "") -> str:
        """Anchor the agent's answer to the caller's offer; gives the SDP for the caller."""
        return self._pool.request(node, Answer(call_id, "caller", "agent", sdp, ice=ice_for(offer))).sdp

    def delayed_offer(self, node: str, call_id: str, sdp: str) -> str:
        """Anchor an offer that came in the agent's 2xx; gives the SDP for the caller."""
        return self._pool.request(node, Offer(call_id, "agent", sdp, security=to_plain(sdp))).sdp

    def renegotiate(self, call: Call, offerer: Party, sdp: str) -> str:
        """Pass a new offer between the two who talk; gives the SDP for the other one."""
        peer = _peer(call, offerer)
        to_agent = "agent" in {tag(call, offerer), tag(call, peer)}
        codecs = Codecs() if to_agent else Codecs.adding(codecs_of(call))
        security = security_for(sdp, call.media.of(peer), to_agent=to_agent)
        command = Offer(call.id, tag(call, offerer), sdp, to_tag=tag(call, peer), codecs=codecs, security=security)
        return self._request(call, command).sdp

    def conclude(self, call: Call, offerer: Party, sdp: str) -> str:
        """Pass the answer to a new offer back; gives the SDP for the offerer."""
        peer = _peer(call, offerer)
        ice = ice_for(call.media.of(offerer))
        return self._request(call, Answer(call.id, tag(call, offerer), tag(call, peer), sdp, ice=ice)).sdp

    def offer_unrecorded(self, node: str, call_id: str, offerer: Party, sdp: str) -> str:
        """Pass a new offer between caller and agent of a call that has no record; gives the SDP for the other one."""
        peer = Party.AGENT if offerer is Party.CALLER else Party.CALLER
        return self._pool.request(node, Offer(call_id, offerer, sdp, to_tag=peer, security=to_plain(sdp))).sdp

    def answer_unrecorded(self, node: str, call_id: str, offerer: Party, sdp: str, offer: str) -> str:
        """Pass the answer to that offer back; gives the SDP for the offerer."""
        peer = Party.AGENT if offerer is Party.CALLER else Party.CALLER
        return self._pool.request(node, Answer(call_id, offerer, peer, sdp, ice=ice_for(offer))).sdp

    def offer_leg(self, call: Call, leg: Leg, codecs: Sequence[str]) -> str:
        """Make the offer for an endpoint from a shadow of the caller, who is left untouched; gives the SDP for it.

        Codecs that the caller does not speak are written into it here. rtpengine is told of them only if the answer has
        none that the caller speaks: it makes their transcoders at once, and keeps them to the call's end.
        """
        sdp = spoken_sdp(call)
        choice = offered_to_leg(call, sdp, codecs)
        if choice.only_adds:
            return widen(self._offer_leg(call, leg, sdp, Codecs()), choice.transcode)
        return self._offer_leg(call, leg, sdp, choice)

    def _offer_leg(self, call: Call, leg: Leg, sdp: str, choice: Codecs) -> str:
        """Have rtpengine make the offer; another one for the same leg has the same port and the same keys."""
        shadow, branch, sink = f"shadow{leg.number}", f"v{leg.number}", sink_for(sdp)
        command = Offer(call.id, shadow, sink, via_branch=branch, codecs=choice, security=_OFFERS[srtp_of(call, leg)])
        return self._request(call, command).sdp

    def open_leg(self, call: Call, leg: Leg) -> MediaFailed | None:
        """Take an endpoint's answer, so that sounds can be played to it; it hears nobody yet, and nobody hears it."""
        known = {*codecs_of(call), *voices(call.media.caller_sdp)}
        if not has_audio(call.media.target_sdp) or known.isdisjoint(voices(call.media.target_sdp)):
            return MediaFailed(488, "The answer has no codec that was offered")
        if srtp_of(call, leg) is Srtp.REQUIRED and not has_keys(call.media.target_sdp):
            return MediaFailed(488, "The answer has no keys for SRTP, which is required")
        if srtp_of(call, leg) is Srtp.DTLS and not has_fingerprint(call.media.target_sdp):
            return MediaFailed(488, "The answer has no fingerprint for DTLS, which is required")
        number = leg.number
        answer = Answer(call.id, f"shadow{number}", f"leg{number}", call.media.target_sdp, via_branch=f"v{number}")
        sdp = spoken_sdp(call)
        try:
            if not agree(sdp, answer.sdp):
                choice = offered_to_leg(call, sdp, codecs_of(call))
                if choice.only_adds:  # else rtpengine knows of all
                    self._offer_leg(call, leg, sdp, choice.needed_for(codec_names(answer.sdp)))
            self._request(call, answer)
        except RtpengineError as error:
            return _failed(error)
        return None

    def bridge(self, call: Call, leg: Leg) -> MediaBridged | MediaFailed:
        """Join caller and target, and let go of agent and shadow; a leg for which a person is briefed is open already.

        Where it fails, caller and agent are joined again; a caller that was held is still mute, perhaps without music.
        """
        peer = f"leg{leg.number}"
        briefed = call.transfer is not None and call.transfer.briefs
        if failure := self._close_briefing(call) if briefed else self.open_leg(call, leg):
            return failure
        joined = self._connect(call, peer)
        if isinstance(joined, MediaBridged):
            self._delete(call, tag(call, Party.AGENT))  # until then the caller hears it beside the person
            self.release_leg(call, leg.number)
        return joined

    def _close_briefing(self, call: Call) -> MediaFailed | None:
        """Stop what the person hears; a call that rtpengine does not know must not be made anew by an offer."""
        try:
            self.silence(call, Party.TARGET)
        except RtpengineError as error:
            return MediaFailed(500, error.text)
        return None

    def _connect(self, call: Call, peer: str) -> MediaBridged | MediaFailed:
        """Join caller and leg; a caller that is held is mute until then, and hears music so that no gap is heard.

        Two without a codec in common are mute meanwhile: between offer and answer rtpengine passes on what one of them
        sends as it is, in a codec that the other one has not agreed to.
        """
        types = spoken_types(call)
        offer = narrow(unheld(call.media.caller_sdp) if is_held(call) else call.media.caller_sdp, types)
        alike = agree(offer, call.media.target_sdp)
        mute = () if alike else (peer,) if call.held else ("caller", peer)
        try:
            for party in mute:
                self._request(call, BlockMedia(call.id, party))
            began = time.monotonic()  # until here the caller hears the agent; where it hears music, it does for longer
            view = self._join(call, peer, call.media.target_sdp, offer, alike=alike)
            if endpoint(view) != endpoint(narrow(call.media.caller_view, types)):
                # It was started anew, and has made another call of our offer: the next check is to find neither. The
                # caller's media would keep that call alive, so it does not go by itself.
                self._delete(call, None)
                return MediaFailed(500, "rtpengine no longer has the caller's media")
            if call.held:
                self.silence(call, Party.CALLER)
                self._unblock(call, "caller")
            for party in mute:
                self._request(call, UnblockMedia(call.id, party))
        except RtpengineError as error:
            self._undo(call, peer)
            return _failed(error)
        return MediaBridged(time.monotonic() - began)

    def _undo(self, call: Call, peer: str) -> None:
        """Give the caller back to the agent; the leg takes its shadow with it, to which it was linked.

        Only the leg's own end takes its voice from the caller. With it ends what is played to the caller.
        """
        self.restore(call, Party.AGENT)
        self._delete(call, peer)
        if not call.held:
            with contextlib.suppress(RtpengineError):
                self._request(call, UnblockMedia(call.id, "caller"))

    def _join(self, call: Call, peer: str, sdp: str, offer: str, *, alike: bool) -> str:
        to_agent = peer == "agent"
        keys = EVENTS in codec_names(sdp) and EVENTS not in codec_names(offer)
        as_given = to_agent or (alike and not keys)
        choice = Codecs() if as_given else offered(offer, codecs_of(call), keys=keys).needed_for(codec_names(sdp))
        security = security_for(offer, sdp, to_agent=to_agent)
        self._request(call, Offer(call.id, "caller", offer, to_tag=peer, codecs=choice, security=security))
        return self._request(call, Answer(call.id, "caller", peer, sdp, ice=ice_for(offer))).sdp

    def restore(self, call: Call, peer: Party | None = None) -> None:
        """Join the caller and whom it talks with again as they last agreed; a failure shows at the next check."""
        peer = peer or _peer(call, Party.CALLER)
        name, sdp = tag(call, peer), call.media.of(peer)
        # What the caller was told is what an agent of the pool answered; a person may speak none of it.
        types = payload_types(call.media.caller_view) if name == "agent" else spoken_types(call)
        offer = narrow(call.media.caller_sdp, types)
        try:
            self._join(call, name, sdp, offer, alike=agree(offer, sdp))
        except RtpengineError:
            return

    def release_leg(self, call: Call, number: int) -> None:
        """Drop the shadow of an endpoint, and its leg if that was not bridged.

        Nobody waits for it: where it gets lost, both are dropped with the call.
        """
        with contextlib.suppress(RtpengineError):
            self._pool.tell(call.media_node, Delete(call.id, f"shadow{number}"))

    def heard(self, call: Call) -> Heard | None:
        """Ask how well those were heard who are or were connected by a transfer; None where none did, or is known."""
        found = connected(call)
        if found is None:
            return None
        try:
            return heard(call, *found, self._request(call, Query(call.id)), time.time())
        except RtpengineError:
            return None

    def release(self, node: str, call_id: str) -> None:
        """Drop the whole call; one that rtpengine does not know is gone already.

        Nobody waits for it: where it gets lost, the call ends there by its own time-out.
        """
        with contextlib.suppress(RtpengineError):
            self._pool.tell(node, Delete(call_id))

    def _delete(self, call: Call, name: str | None) -> None:
        """Drop a party that must not go on being heard, or with None the call; a failure shows at the next check."""
        with contextlib.suppress(RtpengineError):
            self._request(call, Delete(call.id, name))

    def check(self, call: Call, now: float) -> MediaLost | PartyLost | None:
        """Find a party that has stopped sending, or find that rtpengine has given the call up.

        Before a transfer an agent may be silent as long as it likes; a person is not, unless on hold.
        """
        try:
            streams = self._pool.request(call.media_node, Query(call.id)).tags
        except CommandRefused:
            return MediaLost("no media at rtpengine")
        except RtpengineError:
            # Its calls may outlive it, in the kernel or in a Redis of its own; but not for ever.
            away_since = self._away.setdefault(call.media_node, now)
            lost = self._longest_silence and now - away_since > self._longest_silence
            return MediaLost("no media server") if lost else None
        self._away.pop(call.media_node, None)
        peer = call.peer(Party.CALLER)
        if not self._longest_silence or peer is None or tag(call, peer) == "agent":
            return None
        since = max(transfer.answered_at or 0.0 for transfer in call.history)
        for party in (Party.CALLER, peer):
            stream = streams.get(tag(call, party))
            quiet = stream is not None and now - max(stream.last_packet, since) > self._longest_silence
            if quiet and sends(call.media.of(party)):
                return PartyLost(party, "no media")
        return None


def _peer(call: Call, party: Party) -> Party:
    """Find whom a party talks with; the caller's agent keeps its place in rtpengine when it has left."""
    return call.peer(party) or (Party.AGENT if party is Party.CALLER else Party.CALLER)


def _failed(error: RtpengineError) -> MediaFailed:
    return MediaFailed(488 if isinstance(error, CommandRefused) else 500, error.text)
