"""What the adapter asks of rtpengine, against one in memory; the same flows run on the real one in tests/stack."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from routing.events import MediaBridged, MediaFailed, MediaLost, PartyLost
from routing.records import Call, Party, State
from routing.transfer_record import Hold, Srtp
from rtpengine import (
    Answer,
    BlockMedia,
    Delete,
    FakeRtpengine,
    Offer,
    Query,
    Security,
    UnblockMedia,
)
from rtpengine.sdp import codec_names, payload_types
from tests.kemi.calls import CALL_ID, anchored, leg, sdp, transfer

if TYPE_CHECKING:
    from kemi.media import CallMedia


def ringing(pool: FakeRtpengine, media: CallMedia, target_sdp: str) -> Call:
    """Make a call whose target was offered media and has answered with this SDP."""
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": transfer()})
    media.offer_leg(call, leg(), ("PCMU", "PCMA"))
    return call.model_copy(update={"media": call.media.model_copy(update={"target_sdp": target_sdp})})


def tags(pool: FakeRtpengine) -> set[str]:
    """Name the parties of the call that are still there."""
    return {tag for tag in ("caller", "agent", "shadow1", "leg1") if pool.calls("fake")[CALL_ID].find(tag)}


def test_a_bridge_leaves_caller_and_target(pool: FakeRtpengine, media: CallMedia) -> None:
    """Agent and shadow are gone."""
    assert isinstance(media.bridge(ringing(pool, media, sdp(6000)), leg()), MediaBridged)
    assert tags(pool) == {"caller", "leg1"}


@pytest.mark.parametrize(
    ("body", "hold", "commands"),
    [
        (sdp(6000), Hold.AGENT, ["offer", "answer"]),
        (sdp(6000, "8"), Hold.AGENT, ["offer", "answer", "unblock media", "unblock media"]),
        (sdp(6000), Hold.MUSIC, ["offer", "answer", "stop media", "unblock DTMF", "unblock media"]),
    ],
)
def test_the_changeover_is_the_time_of_all_that_may_keep_the_caller_from_hearing_anybody(  # noqa: PLR0917 cases
    pool: FakeRtpengine,
    media: CallMedia,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    hold: Hold,
    commands: list[str],
) -> None:
    """From the offer, with which the agent falls silent, to the last answer; on a clock that only commands move."""
    call = ringing(pool, media, body).model_copy(update={"transfer": transfer().model_copy(update={"hold": hold})})
    monkeypatch.setattr(time, "monotonic", lambda: 0.5 * len(pool.requests))
    joined = media.bridge(call, leg())
    assert joined == MediaBridged(0.5 * len(commands))
    names = [command.name for _, command in pool.requests]
    assert names[-2 - len(commands) :] == [*commands, "delete", "delete"]


@pytest.mark.parametrize("body", [sdp(0), sdp(6000, "18", "a=rtpmap:18 G729/8000"), ""])
def test_an_answer_without_a_codec_in_common_is_not_bridged(pool: FakeRtpengine, media: CallMedia, body: str) -> None:
    """rtpengine would take it, and nobody would hear anything."""
    result = media.bridge(ringing(pool, media, body), leg())
    assert result == MediaFailed(488, "The answer has no codec that was offered")
    assert {"caller", "agent"} <= tags(pool)


@pytest.mark.parametrize("command", [Offer, Answer])
def test_a_bridge_that_fails_gives_the_caller_back_to_the_agent(
    pool: FakeRtpengine, media: CallMedia, command: type[Offer | Answer]
) -> None:
    """The agent is told what rtpengine said."""
    call = ringing(pool, media, sdp(6000))
    pool.refuse_next(command, "no ports left")
    result = media.bridge(call, leg())
    assert isinstance(result, MediaFailed)
    assert "no ports left" in result.reason
    assert {"caller", "agent"} <= tags(pool)
    assert "leg1" not in tags(pool)


@pytest.mark.parametrize(("agent_leg", "types"), [(0, ("0", "8")), (1, ("0",))])
def test_the_one_before_is_joined_again_with_what_was_agreed(
    pool: FakeRtpengine, media: CallMedia, agent_leg: int, types: tuple[str, ...]
) -> None:
    """An agent may have answered several codecs; a person in its place was bridged with the one that is spoken."""
    call = ringing(pool, media, sdp(6000))
    assert media.open_leg(call, leg()) is None
    told = call.media.model_copy(update={"caller_view": sdp(4000, "0 8"), "agent_sdp": sdp(5000, "0 8")})
    media.restore(call.model_copy(update={"agent_leg": agent_leg, "media": told}), Party.AGENT)
    offer = next(command for _, command in reversed(pool.requests) if isinstance(command, Offer))
    assert payload_types(offer.sdp) == types


@pytest.mark.parametrize(("codec", "muted"), [(sdp(6000), []), (sdp(6000, "8"), ["caller", "leg1"])])
def test_who_must_be_transcoded_is_mute_until_the_answer_is_known(
    pool: FakeRtpengine, media: CallMedia, codec: str, muted: list[str]
) -> None:
    """Between offer and answer rtpengine passes on what it gets as it is."""
    media.bridge(ringing(pool, media, codec), leg())
    commands = [command for _, command in pool.requests]
    assert [command.from_tag for command in commands if isinstance(command, BlockMedia)] == muted
    assert [command.from_tag for command in commands if isinstance(command, UnblockMedia)] == muted


@pytest.mark.parametrize(("answer", "told"), [("0", []), ("8", [("PCMA",), ("PCMA",)])])
def test_rtpengine_is_told_only_of_the_codecs_that_the_answer_needs(
    pool: FakeRtpengine, media: CallMedia, answer: str, told: list[tuple[str, ...]]
) -> None:
    """It would keep a transcoder of each to the end of the call: once from the shadow, and once for the bridge."""
    planned = transfer().model_copy(update={"codecs": ("PCMU", "G722", "PCMA", "opus")})
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": planned})
    offer = media.offer_leg(call, leg(), planned.codecs)
    assert codec_names(offer) == ("PCMU", "G722", "PCMA", "opus")
    call = call.model_copy(update={"media": call.media.model_copy(update={"target_sdp": sdp(6000, answer)})})
    assert isinstance(media.bridge(call, leg()), MediaBridged)
    offers = [command for _, command in pool.requests if isinstance(command, Offer)]
    assert [offer.codecs.transcode for offer in offers if offer.codecs.transcode] == told


def test_a_caller_who_was_mute_for_a_bridge_that_fails_is_heard_again(pool: FakeRtpengine, media: CallMedia) -> None:
    """Or it would be connected with an agent who does not hear it."""
    planned = transfer().model_copy(update={"codecs": ("PCMA",)})  # rtpengine knows of it before the answer
    call = ringing(pool, media, sdp(6000, "8")).model_copy(update={"transfer": planned})
    pool.refuse_next(Offer, "no ports left")
    assert isinstance(media.bridge(call, leg()), MediaFailed)
    assert BlockMedia(CALL_ID, "caller") in [command for _, command in pool.requests]
    assert not pool.calls("fake")[CALL_ID].party("caller").blocked


SAFE = Security.REQUIRED


@pytest.mark.parametrize(
    ("uri", "srtp", "security"),
    [
        ("sip:person@127.0.0.1", None, None),
        ("sips:person@127.0.0.1", None, SAFE),
        ("sips:person@127.0.0.1", Srtp.OFF, None),
        ("sip:person@127.0.0.1", Srtp.OPTIONAL, Security.OFFERED),
        ("sip:person@127.0.0.1", Srtp.REQUIRED, SAFE),
    ],
)
def test_an_endpoint_is_offered_srtp_where_its_target_says_so_or_its_uri(
    pool: FakeRtpengine, media: CallMedia, uri: str, srtp: Srtp | None, security: Security | None
) -> None:
    """A sips: URI wants all to be safe."""
    call = anchored(pool).model_copy(update={"transfer": transfer().model_copy(update={"srtp": srtp})})
    media.offer_leg(call, leg().model_copy(update={"uri": uri}), ("PCMU",))
    _, offer = pool.requests[-1]
    assert isinstance(offer, Offer)
    assert offer.security is security


def test_an_answer_without_keys_is_refused_where_they_are_required(pool: FakeRtpengine, media: CallMedia) -> None:
    """What was to be secret would not be."""
    call = ringing(pool, media, sdp(6000))
    call = call.model_copy(update={"transfer": transfer().model_copy(update={"srtp": Srtp.REQUIRED})})
    assert media.bridge(call, leg()) == MediaFailed(488, "The answer has no keys for SRTP, which is required")
    assert {"caller", "agent"} <= tags(pool)


def test_each_party_is_offered_media_as_safe_as_it_has_agreed_to(pool: FakeRtpengine, media: CallMedia) -> None:
    """Also when it is the other one that offers anew."""
    keys = sdp(6000).replace("RTP/AVP", "RTP/SAVP") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key\r\n"
    call = ringing(pool, media, keys)
    assert isinstance(media.bridge(call, leg()), MediaBridged)
    call = call.model_copy(update={"state": State.CONNECTED, "target": call.caller, "leg": leg()})
    media.renegotiate(call, Party.TARGET, keys)
    media.renegotiate(call, Party.CALLER, call.media.caller_sdp)
    offers = [command.security for _, command in pool.requests if isinstance(command, Offer)]
    assert offers[-3:] == [SAFE, Security.PLAIN, SAFE]


def test_media_that_is_not_the_callers_is_dropped(
    pool: FakeRtpengine, media: CallMedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An rtpengine that was started anew has given the caller another port, of which nobody can tell it.

    What is sent without waiting may get lost, and the caller would keep the new call alive.
    """
    call = ringing(pool, media, sdp(6000))
    monkeypatch.setattr(pool, "tell", lambda *_: None)
    call = call.model_copy(update={"media": call.media.model_copy(update={"caller_view": sdp(1)})})
    result = media.bridge(call, leg())
    assert result == MediaFailed(500, "rtpengine no longer has the caller's media")
    assert media.check(call, 1000.0) == MediaLost("no media at rtpengine")


def test_a_silent_target_is_lost_unless_it_is_on_hold(pool: FakeRtpengine, media: CallMedia) -> None:
    """A hold is a promise to send nothing."""
    call = ringing(pool, media, sdp(6000))
    media.bridge(call, leg())
    done = transfer().model_copy(update={"answered_at": 1000.0})
    target = call.caller
    call = call.model_copy(update={"state": State.CONNECTED, "target": target, "history": (done,)})
    pool.hears(CALL_ID, "caller", packets=5, at=1095)
    assert media.check(call, 1050.0) is None
    assert media.check(call, 1100.0) == PartyLost(Party.TARGET, "no media")
    on_hold = call.media.model_copy(update={"target_sdp": sdp(6000, "0", "a=recvonly")})
    assert media.check(call.model_copy(update={"media": on_hold}), 1100.0) is None


def test_an_agent_may_be_silent(pool: FakeRtpengine, media: CallMedia) -> None:
    """A voice agent that listens need not send."""
    assert media.check(anchored(pool), 9999.0) is None


def test_a_call_that_rtpengine_has_given_up_is_lost(pool: FakeRtpengine, media: CallMedia) -> None:
    """But one that cannot be asked about is not."""
    call = anchored(pool)
    pool.lose_next(Query)
    assert media.check(call, 9999.0) is None
    pool.request("fake", Delete(CALL_ID))
    assert media.check(call, 9999.0) == MediaLost("no media at rtpengine")


def test_releasing_never_raises(pool: FakeRtpengine, media: CallMedia) -> None:
    """rtpengine is away when the call ends: its own time-out ends it there."""
    call = anchored(pool)
    pool.stop("fake")
    media.release("fake", CALL_ID)
    media.release_leg(call, 1)
    media.restore(call)
    assert pool.calls("fake") == {}


def test_a_node_that_is_away_is_waited_for_as_long_as_a_party_may_be_silent(
    pool: FakeRtpengine, media: CallMedia
) -> None:
    """What it forwards in the kernel outlives it for a while."""
    call = ringing(pool, media, sdp(6000))
    pool.stop("fake")
    assert media.check(call, 1000.0) is None
    assert media.check(call, 1060.0) is None
    assert media.check(call, 1061.0) == MediaLost("no media server")
