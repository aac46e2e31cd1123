"""What the parties of a call are offered: codecs, and encrypted media."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.transfer_record import Srtp
from routing.uris import is_web
from rtpengine import Codecs, Security
from rtpengine.sdp import EVENTS, codec_names, has_fingerprint, has_ice, narrow, payload_types, spoken, voices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.records import Call
    from routing.transfer_record import Leg

# What an endpoint is offered to listen at before it is bridged: the discard port (RFC 863).
_SINK = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP {types}\r\n"
    "{maps}a=sendrecv\r\na=ptime:20\r\n"
)


def spoken_types(call: Call) -> frozenset[str]:
    """Find what the caller sends: that alone is bridged, since rtpengine transcodes one codec, not several."""
    return spoken(call.media.caller_sdp, call.media.caller_view)


def spoken_sdp(call: Call) -> str:
    """Cut what the caller offered down to what it sends."""
    return narrow(call.media.caller_sdp, spoken_types(call))


def sink_for(sdp: str) -> str:
    """Make the offer of a shadow that speaks as this SDP does, and listens nowhere."""
    maps = "".join(f"{line}\r\n" for line in sdp.splitlines() if line.startswith(("a=rtpmap:", "a=fmtp:")))
    return _SINK.format(types=" ".join(payload_types(sdp)), maps=maps)


def agree(offer: str, answer: str) -> bool:
    """Tell whether two SDPs have a voice codec in common, so that nothing need be transcoded."""
    return not set(voices(offer)).isdisjoint(voices(answer))


def codecs_of(call: Call) -> tuple[str, ...]:
    """Find the codecs of the transfer that is or was last made."""
    transfer = call.transfer or (call.history[-1] if call.history else None)
    return transfer.codecs if transfer else ()


def offered(sdp: str, codecs: Sequence[str], *, keys: bool) -> Codecs:
    """Offer the caller's own codec first where the target takes it: what need not be transcoded sounds best.

    `keys` wants DTMF events offered even where the SDP has none.
    """
    names = (*codecs, EVENTS) if keys and EVENTS not in codec_names(sdp) else tuple(codecs)
    if not codecs or set(codec_names(sdp)) & set(codecs):
        return Codecs.adding(names)
    return Codecs.only(names)


def offered_to_leg(call: Call, sdp: str, codecs: Sequence[str]) -> Codecs:
    """Tell what an endpoint is offered beside this SDP: DTMF events too where the person takes the call by a key."""
    keys = call.transfer is not None and call.transfer.accept is not None
    return offered(sdp, codecs, keys=keys)


def srtp_of(call: Call, leg: Leg) -> Srtp:
    """Tell how an endpoint is to encrypt; a web page always does, others at a sips: URI by default."""
    if is_web(leg.registered.hop if leg.registered else leg.uri):
        return Srtp.DTLS
    wanted = call.transfer.srtp if call.transfer else None
    return wanted or (Srtp.REQUIRED if leg.uri.startswith("sips:") else Srtp.OFF)


def to_plain(offer: str) -> Security | None:
    """Offer plain RTP to who has not been heard of yet, in the place of DTLS; keys in SDP are passed on."""
    return Security.PLAIN if has_fingerprint(offer) else None


def security_for(offer: str, receiver: str, *, to_agent: bool) -> Security | None:
    """Tell how the receiver of an offer is to encrypt, by the last SDP of it.

    Between caller and agent what has keys in SDP is passed on as it is.
    """
    if to_agent and not (has_fingerprint(offer) or has_fingerprint(receiver)):
        return None
    return Security.between(offer, receiver)


def ice_for(offer: str) -> str:
    """Tell what an answer is to do with ICE: give it to an offerer that has it."""
    return "force" if has_ice(offer) else "remove"
