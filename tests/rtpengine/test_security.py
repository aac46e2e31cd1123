"""How rtpengine is told that the receiver of an offer is to encrypt its media."""

from __future__ import annotations

import pytest

from rtpengine import Offer, Security
from tests.rtpengine.sdp import sdp

KEYS = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key\r\n"
PLAIN = sdp(20000, "PCMU")
MAY = PLAIN + KEYS
MUST = MAY.replace("RTP/AVP", "RTP/SAVP")
PAGE = PLAIN.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + "a=fingerprint:sha-256 00:11\r\na=ice-ufrag:page\r\n"


@pytest.mark.parametrize(
    ("sender", "receiver", "security"),
    [
        (PLAIN, PLAIN, None),
        ("", "", None),
        (PLAIN, MUST, Security.REQUIRED),
        (PLAIN, MAY, Security.OFFERED),
        (MUST, PLAIN, Security.PLAIN),
        (MAY, PLAIN, Security.PLAIN),
        (MUST, MAY, Security.OFFERED),
        (MUST, MUST, Security.REQUIRED),
        (PLAIN, PAGE, Security.DTLS),
        (PAGE, PAGE, Security.DTLS),
        (PAGE, PLAIN, Security.PLAIN),
        (PAGE, MAY, Security.OFFERED),
    ],
)
def test_an_offer_is_as_safe_as_its_receiver_has_agreed_to(
    sender: str, receiver: str, security: Security | None
) -> None:
    """Whatever its sender does."""
    assert Security.between(sender, receiver) is security


def test_a_plain_call_gives_rtpengine_no_key_for_it() -> None:
    assert {"transport-protocol", "SDES", "OSRTP", "DTLS"}.isdisjoint(Offer("c1", "caller", PLAIN).body())


def test_suites_that_encrypt_nothing_are_never_offered() -> None:
    for security in (Security.OFFERED, Security.REQUIRED):
        body = Offer("c1", "caller", PLAIN, security=security).body()
        assert body["DTLS"] == "off"
        assert {"no-NULL_HMAC_SHA1_80", "no-NULL_HMAC_SHA1_32"} <= set(body["SDES"])  # type: ignore[call-overload]


def test_keys_go_with_plain_rtp_where_they_may_be_ignored() -> None:
    """An answer to RTP/SAVP without keys would be none at all (RFC 4568 section 5.1.2)."""
    optional = Offer("c1", "caller", PLAIN, security=Security.OFFERED).body()
    required = Offer("c1", "caller", PLAIN, security=Security.REQUIRED).body()
    assert (optional["transport-protocol"], optional["OSRTP"]) == ("RTP/AVP", ("offer",))
    assert (required["transport-protocol"], required.get("OSRTP")) == ("RTP/SAVP", None)


def test_a_page_is_offered_what_browsers_want() -> None:
    """RFC 8827 section 6.5, RFC 8834 section 4.5, RFC 8835 section 3.4."""
    body = Offer("c1", "caller", PLAIN, security=Security.DTLS).body()
    wanted = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "rtcp-mux": ("require",), "SDES": ("off",)}
    assert wanted.items() <= body.items()
