"""What is read from an SDP, and how an offer is cut down."""

from __future__ import annotations

import pytest

from rtpengine.sdp import (
    codec_names,
    endpoint,
    has_audio,
    has_fingerprint,
    has_ice,
    has_keys,
    media_address,
    narrow,
    payload_types,
    profile,
    sends,
    spoken,
    widen,
    without_sources,
)
from tests.rtpengine.sdp import sdp

NO_AUDIO = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 20000 RTP/AVP 96\r\n"
TWO_STREAMS = sdp(20000, "PCMU", "PCMA", "telephone-event") + "m=video 20002 RTP/AVP 8 31\r\n"


@pytest.mark.parametrize(
    ("text", "audio"),
    [(sdp(20000), True), (sdp(0), False), (NO_AUDIO, False), ("m=audio 5 RTP/AVP\r\n", False), ("", False)],
)
def test_an_answer_has_audio_if_it_gives_a_port_and_a_payload_type(text: str, *, audio: bool) -> None:
    assert has_audio(text) is audio


def test_payload_types_and_codecs_are_those_of_the_first_audio_stream() -> None:
    assert payload_types(TWO_STREAMS) == ("0", "8", "101")
    assert codec_names(TWO_STREAMS) == ("PCMU", "PCMA", "telephone-event")
    assert codec_names("m=audio 5 RTP/AVP 9 0 77\r\n") == ("G722", "PCMU")
    assert (payload_types(NO_AUDIO), codec_names(NO_AUDIO)) == ((), ())


def test_an_offer_is_narrowed_to_what_was_agreed_and_other_streams_are_left() -> None:
    narrowed = narrow(TWO_STREAMS, {"8"})
    assert payload_types(narrowed) == ("8",)
    assert codec_names(narrowed) == ("PCMA",)
    assert narrowed.endswith("m=video 20002 RTP/AVP 8 31\r\n")
    assert "a=rtpmap:0 " not in narrowed


def test_an_offer_gets_the_codecs_that_it_lacks_before_its_dtmf_events() -> None:
    wide = widen(sdp(20000, "G722", "telephone-event"), ("G722", "PCMA"))
    assert payload_types(wide) == ("9", "8", "101")
    assert wide.endswith("a=rtpmap:8 PCMA/8000\r\n")


@pytest.mark.parametrize("names", [(), ("PCMU",)])
def test_an_offer_that_lacks_nothing_is_left_as_it_is(names: tuple[str, ...]) -> None:
    assert widen(sdp(20000), names) == sdp(20000)


def test_opus_gets_a_free_payload_type_and_dtmf_events_of_its_clock_rate() -> None:
    offer = sdp(20000, "PCMU", "telephone-event").replace("101", "96")
    wide = widen(offer, ("opus",))
    assert payload_types(wide) == ("0", "97", "98", "96")
    assert wide.removeprefix(offer.replace("0 96", "0 97 98 96")) == (
        "a=rtpmap:97 opus/48000/2\r\na=rtpmap:98 telephone-event/48000\r\na=fmtp:98 0-15\r\n"
    )
    assert codec_names(widen(sdp(20000), ("opus",))) == ("PCMU", "opus")


def test_an_offer_without_room_for_more_types_is_not_widened() -> None:
    full = " ".join(str(number) for number in range(96, 128))
    offer = sdp(20000).replace("RTP/AVP 0", f"RTP/AVP 0 {full}")
    assert offer != sdp(20000)
    assert widen(offer, ("opus",)) == offer


def test_a_codec_is_known_however_it_is_spelt() -> None:
    offer = sdp(20000, "PCMU", "telephone-event") + "a=rtpmap:0 pcmu/8000\r\n"
    offer = offer.replace("telephone-event", "TELEPHONE-EVENT")
    assert codec_names(offer) == ("PCMU", "telephone-event")
    assert spoken(offer, offer) == {"0", "101"}
    wide = widen(offer, ("PCMU", "PCMA"))
    assert payload_types(wide) == ("0", "8", "101")
    assert wide.endswith("a=rtpmap:8 PCMA/8000\r\n")


def test_an_offer_of_which_nothing_was_agreed_is_left_as_it_is() -> None:
    assert narrow(TWO_STREAMS, {"9"}) == TWO_STREAMS


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (sdp(20000), "127.0.0.1"),
        (
            "v=0\r\nc=IN IP4 10.0.0.1\r\nm=video 5 RTP/AVP 96\r\nc=IN IP4 10.0.0.2\r\nm=audio 5 RTP/AVP 0\r\n",
            "10.0.0.1",
        ),
        ("v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 5 RTP/AVP 0\r\nc=IN IP4 10.0.0.3\r\n", "10.0.0.3"),
        ("v=0\r\nm=audio 5 RTP/AVP 0\r\n", ""),
    ],
)
def test_the_address_of_the_audio_is_its_own_or_that_of_the_session(text: str, address: str) -> None:
    assert media_address(text) == address


@pytest.mark.parametrize(
    ("own", "told", "sent"),
    [
        (("PCMU", "PCMA"), ("PCMA",), {"8"}),
        (("PCMU", "PCMA"), ("PCMA", "PCMU"), {"8"}),
        (("PCMA",), ("PCMU", "PCMA"), {"8"}),
        (("PCMU", "PCMA", "telephone-event"), ("PCMA", "telephone-event", "PCMU"), {"8", "101"}),
        (("telephone-event",), ("telephone-event",), {"101"}),
        (("PCMU",), ("PCMA",), set()),
    ],
)
def test_a_party_sends_the_first_voice_codec_of_the_answer(
    own: tuple[str, ...], told: tuple[str, ...], sent: set[str]
) -> None:
    assert spoken(sdp(20000, *own), sdp(30000, *told)) == sent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sdp(20000, "PCMU", "PCMA"), ("127.0.0.1", 20000, ("0", "8"))),
        ("m=audio 20000 RTP/AVP 0\r\n", ("", 20000, ("0",))),
        (NO_AUDIO, ("127.0.0.1", 0, ())),
        ("", ("", 0, ())),
    ],
)
def test_an_endpoint_is_address_port_and_payload_types(text: str, expected: tuple[str, int, tuple[str, ...]]) -> None:
    assert endpoint(text) == expected


@pytest.mark.parametrize(
    ("direction", "sending"), [("sendrecv", True), ("sendonly", True), ("recvonly", False), ("inactive", False)]
)
def test_who_sends_is_told_by_the_direction(direction: str, *, sending: bool) -> None:
    assert sends(sdp(20000, direction=direction)) is sending


def test_without_a_direction_a_party_sends() -> None:
    assert sends("m=audio 20000 RTP/AVP 0\r\n")


def test_the_profile_and_the_keys_tell_whether_media_are_encrypted() -> None:
    secure = sdp(20000, "PCMU").replace("RTP/AVP", "RTP/SAVP") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key\r\n"
    assert (profile(secure), has_keys(secure)) == ("RTP/SAVP", True)
    assert (profile(TWO_STREAMS), has_keys(TWO_STREAMS)) == ("RTP/AVP", False)
    assert profile(NO_AUDIO) == ""


def test_dtls_and_ice_are_known_by_their_attributes() -> None:
    page = sdp(20000) + "a=ice-ufrag:page\r\na=fingerprint:sha-256 00:11\r\n"
    assert (has_fingerprint(page), has_ice(page)) == (True, True)
    assert (has_fingerprint(sdp(20000)), has_ice(sdp(20000))) == (False, False)


def test_a_browser_is_not_told_who_sends_since_that_changes() -> None:
    plain = sdp(20000) + "a=ssrc:925860080 cname:someone\r\n"
    assert without_sources(plain) == plain
    page = sdp(20000) + "a=ice-ufrag:page\r\n"
    assert without_sources(page + "a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\n") == page
