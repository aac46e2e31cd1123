"""Whether the receiver of an offer is to encrypt its media: SRTP (RFC 3711) with keys in SDP (SDES, RFC 4568), or DTLS.

DTLS (RFC 5763) is what web pages have (RFC 8827 section 6.5), which want ICE and one port for RTP and RTCP, too.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from rtpengine.sdp import has_fingerprint, has_keys, profile

if TYPE_CHECKING:
    from rtpengine.replies import Dictionary

_LEFT_OUT = (
    "AEAD_AES_128_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_32",
    "F8_128_HMAC_SHA1_80",
    "F8_128_HMAC_SHA1_32",
    "NULL_HMAC_SHA1_80",
    "NULL_HMAC_SHA1_32",
)
# Two of these encrypt nothing, and with all of its twelve an INVITE does not fit into UDP. What stays is the best one
# and the two that everybody has: AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80 and AES_CM_128_HMAC_SHA1_32.
_SDES: Dictionary = {"DTLS": "off", "SDES": tuple(f"no-{suite}" for suite in _LEFT_OUT)}


class Security(Enum):
    """What an offer asks for; each value is how rtpengine is told."""

    PLAIN = {"transport-protocol": "RTP/AVP", "rtcp-mux": ("demux",)}  # noqa: RUF012 - the members are the values
    OFFERED = {"transport-protocol": "RTP/AVP", "OSRTP": ("offer",)} | _SDES
    """Keys in an offer of plain RTP, which the receiver may ignore (OSRTP, RFC 8643)."""
    REQUIRED = {"transport-protocol": "RTP/SAVP"} | _SDES
    DTLS = {  # noqa: RUF012
        "transport-protocol": "UDP/TLS/RTP/SAVPF",
        "SDES": ("off",),
        "ICE": "force",
        "rtcp-mux": ("require",),
    }
    """Keys by DTLS; an offer of ICE may be ignored, but pages must have it."""

    def keys(self) -> Dictionary:
        """Give the ng keys of it."""
        return dict(self.value)

    @classmethod
    def between(cls, sender: str, receiver: str) -> Security | None:
        """Tell how the receiver of an offer has agreed to get its media, by the last SDP of both.

        None where neither of them encrypts: then rtpengine need not be told.
        """
        if has_fingerprint(receiver):
            return cls.DTLS
        if not has_keys(receiver):
            return cls.PLAIN if has_keys(sender) or has_fingerprint(sender) else None
        return cls.REQUIRED if "SAVP" in profile(receiver) else cls.OFFERED
