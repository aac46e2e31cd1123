"""Who hears whom while a person is briefed, against an rtpengine in memory.

On the real one, tests/stack counts the frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.events import MediaBridged, MediaFailed
from routing.outcomes import Mode
from routing.records import Call, Party
from routing.transfer_record import Accept, Hold, Sound
from rtpengine import Answer, BlockMedia, CommandRefused, FakeRtpengine, Offer, UnblockMedia
from rtpengine.sdp import codec_names, payload_types
from tests.kemi.calls import CALL_ID, anchored, leg, sdp, transfer
from tests.rtpengine.contract import sound

if TYPE_CHECKING:
    from pathlib import Path

    from kemi.media import CallMedia

ACCEPT = Accept(key="1", prompt=Sound(text="press one"), rounds=1, seconds=5)
EVENTS = "a=rtpmap:101 telephone-event/8000"
G722 = "a=rtpmap:9 G722/8000"


@pytest.fixture
def music(tmp_path: Path) -> str:
    """Give a file of music."""
    return sound(tmp_path / "music.wav")


@pytest.fixture
def message(tmp_path: Path) -> str:
    """Give a file with a message."""
    return sound(tmp_path / "message.wav", seconds=3)


def hears(pool: FakeRtpengine) -> tuple[set[str], set[str]]:
    """Tell what caller and agent hear."""
    return pool.heard_by(CALL_ID, "caller"), pool.heard_by(CALL_ID, "agent")


def answered(pool: FakeRtpengine, media: CallMedia, body: str, **changes: object) -> Call:
    """Make a call whose caller is held without music, and whose target has answered with this SDP."""
    planned = transfer().model_copy(
        update={"mode": Mode.MESSAGE, "hold": Hold.MUSIC, "codecs": ("PCMU", "G722"), **changes}
    )
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": planned})
    media.hold(call, None)
    media.offer_leg(call, leg(), planned.codecs)
    return call.model_copy(update={"media": call.media.model_copy(update={"target_sdp": body})})


def test_caller_and_agent_are_parted_and_the_caller_hears_music_until_they_are_joined(
    pool: FakeRtpengine, media: CallMedia, music: str
) -> None:
    """Neither the voice nor a key of the one gets to the other."""
    call = anchored(pool)
    for _ in range(2):
        media.hold(call, music)
        assert hears(pool) == ({music}, set())
        assert all(pool.party(CALL_ID, tag).keys_blocked for tag in ("caller", "agent"))
    for _ in range(2):
        media.resume(call)
        assert hears(pool) == ({"agent"}, {"caller"})
        assert not any(pool.party(CALL_ID, tag).keys_blocked for tag in ("caller", "agent"))


def test_a_hold_without_music_stops_the_music(pool: FakeRtpengine, media: CallMedia, music: str) -> None:
    """An announcement may follow it."""
    call = anchored(pool)
    media.hold(call, music)
    media.hold(call, None)
    assert hears(pool) == (set(), set())


def test_joining_two_who_were_never_parted_changes_nothing(pool: FakeRtpengine, media: CallMedia) -> None:
    """The machine need not remember whether they were."""
    media.resume(anchored(pool))
    assert hears(pool) == ({"agent"}, {"caller"})


def test_music_that_cannot_be_played_is_an_error_and_the_two_are_parted(pool: FakeRtpengine, media: CallMedia) -> None:
    """Better silence than an agent who listens."""
    with pytest.raises(CommandRefused, match="play"):
        media.hold(anchored(pool), "/nowhere.wav")
    assert hears(pool) == (set(), set())


def test_a_new_offer_between_the_two_does_not_join_them(pool: FakeRtpengine, media: CallMedia, music: str) -> None:
    """A phone may refresh its session while it is held."""
    call = anchored(pool)
    media.hold(call, music)
    media.renegotiate(call, Party.AGENT, sdp(5000))
    media.conclude(call, Party.AGENT, sdp(4000))
    assert hears(pool) == ({music}, set())


def test_a_sound_takes_the_place_of_another_and_tells_its_seconds(
    pool: FakeRtpengine, media: CallMedia, music: str, message: str
) -> None:
    """An apology, for one, instead of the music."""
    call = anchored(pool)
    media.hold(call, music)
    assert media.play(call, Party.CALLER, message) == pytest.approx(2.95)
    assert hears(pool)[0] == {message}
    media.silence(call, Party.CALLER)
    media.silence(call, Party.AGENT)
    assert hears(pool) == (set(), set())


def test_an_open_leg_hears_what_is_played_to_it_and_nobody_else(
    pool: FakeRtpengine, media: CallMedia, message: str
) -> None:
    """And nobody hears it."""
    call = answered(pool, media, sdp(6000, "9", G722))
    assert media.open_leg(call, leg()) is None
    assert pool.heard_by(CALL_ID, "leg1") == {"shadow1"}  # who never sends
    media.play(call, Party.TARGET, message)
    assert pool.heard_by(CALL_ID, "leg1") == {"shadow1", message}
    assert hears(pool) == (set(), set())


@pytest.mark.parametrize(
    "body", [sdp(0), sdp(6000, "18", "a=rtpmap:18 G729/8000"), sdp(6000, "101", EVENTS), ""], ids=str
)
def test_a_leg_without_a_codec_in_common_is_not_opened(pool: FakeRtpengine, media: CallMedia, body: str) -> None:
    """Keys alone are no codec."""
    call = answered(pool, media, body)
    assert media.open_leg(call, leg()) == MediaFailed(488, "The answer has no codec that was offered")


def test_a_leg_that_rtpengine_does_not_take_is_a_failure(pool: FakeRtpengine, media: CallMedia) -> None:
    """A refusal is the fault of the SDP, a deadline that of the media."""
    call = answered(pool, media, sdp(6000))
    pool.refuse_next(Answer, "no ports left")
    refused = media.open_leg(call, leg())
    assert refused is not None
    assert (refused.status, "no ports left" in refused.reason) == (488, True)
    pool.lose_next(Answer)
    lost = media.open_leg(call, leg())
    assert lost is not None
    assert lost.status == 500


def test_after_the_briefing_caller_and_person_hear_one_another_alone(
    pool: FakeRtpengine, media: CallMedia, music: str, message: str
) -> None:
    """Music and message end, however long they are."""
    call = answered(pool, media, sdp(6000, "9", G722))
    media.hold(call, music)
    media.open_leg(call, leg())
    media.play(call, Party.TARGET, message)
    assert isinstance(media.bridge(call, leg()), MediaBridged)
    assert (pool.heard_by(CALL_ID, "caller"), pool.heard_by(CALL_ID, "leg1")) == ({"leg1"}, {"caller"})
    assert not pool.party(CALL_ID, "caller").keys_blocked
    with pytest.raises(LookupError):
        pool.party(CALL_ID, "agent")


def test_the_caller_is_mute_and_hears_music_until_it_is_joined(
    pool: FakeRtpengine, media: CallMedia, music: str
) -> None:
    """So nothing of it gets to the person before, and the pause in what it hears is short."""
    call = answered(pool, media, sdp(6000))
    media.hold(call, music)
    media.open_leg(call, leg())
    done = len(pool.requests)
    media.bridge(call, leg())
    names = [command.name for _, command in pool.requests[done:]]
    first = ["stop media", "offer", "answer", "stop media", "unblock DTMF", "unblock media"]
    assert names == [*first, "delete", "delete"]


def test_a_blind_transfer_with_music_joins_the_caller_too(pool: FakeRtpengine, media: CallMedia, music: str) -> None:
    """There the leg is opened by the bridge."""
    call = answered(pool, media, sdp(6000), mode=Mode.BLIND)
    media.hold(call, music)
    assert isinstance(media.bridge(call, leg()), MediaBridged)
    assert (pool.heard_by(CALL_ID, "caller"), pool.heard_by(CALL_ID, "leg1")) == ({"leg1"}, {"caller"})


@pytest.mark.parametrize("command", [Offer, Answer, UnblockMedia])
def test_a_briefed_bridge_that_fails_leaves_the_caller_with_the_agent_but_mute(
    pool: FakeRtpengine, media: CallMedia, music: str, command: type[Offer | Answer | UnblockMedia]
) -> None:
    """Who apologises comes between; then the two are joined."""
    call = answered(pool, media, sdp(6000))
    media.hold(call, music)
    media.open_leg(call, leg())
    pool.lose_next(command)
    failed = media.bridge(call, leg())
    assert isinstance(failed, MediaFailed)
    assert hears(pool)[0] <= {music}
    assert hears(pool)[1] == set()
    with pytest.raises(LookupError):
        pool.party(CALL_ID, "leg1")
    media.resume(call)
    assert hears(pool) == ({"agent"}, {"caller"})


def test_a_node_that_is_away_is_an_error_of_each_method(pool: FakeRtpengine, media: CallMedia) -> None:
    """Whoever asked decides what the call does without it."""
    call = answered(pool, media, sdp(6000))
    pool.refuse_next(BlockMedia, "Unknown call-id")
    with pytest.raises(CommandRefused, match="Unknown call-id"):
        media.hold(call, None)
    media.release("fake", CALL_ID)
    for act in (media.resume, lambda held: media.play(held, Party.TARGET, "/a.wav")):
        with pytest.raises(CommandRefused, match="Unknown call-id"):
            act(call)


@pytest.mark.parametrize("codecs", [(), ("PCMU", "PCMA"), ("PCMA",)], ids=str)
def test_keys_are_offered_where_they_are_waited_for_although_the_caller_has_none(
    pool: FakeRtpengine, media: CallMedia, codecs: tuple[str, ...]
) -> None:
    """Each codec that the endpoint may use has its place before them."""
    wanted = transfer().model_copy(update={"accept": ACCEPT, "codecs": codecs})
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": wanted})
    offered = codec_names(media.offer_leg(call, leg(), codecs))
    assert offered == (*(codecs or ("PCMU",)), "telephone-event")


def test_keys_are_offered_as_the_caller_numbers_them(pool: FakeRtpengine, media: CallMedia) -> None:
    """Whether anybody waits for one or not: it may need them after the bridge."""
    body = sdp(4000, "0 101", EVENTS)
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": transfer()})
    call = call.model_copy(update={"media": call.media.model_copy(update={"caller_sdp": body, "caller_view": body})})
    assert payload_types(media.offer_leg(call, leg(), ("PCMU", "PCMA"))) == ("0", "8", "101")


def test_keys_are_not_offered_where_nobody_waits_for_them(pool: FakeRtpengine, media: CallMedia) -> None:
    """The caller has none."""
    call = anchored(pool).model_copy(update={"leg": leg(), "transfer": transfer()})
    assert "telephone-event" not in codec_names(media.offer_leg(call, leg(), ("PCMU",)))


def test_a_person_who_has_keys_is_joined_to_a_caller_who_has_none(pool: FakeRtpengine, media: CallMedia) -> None:
    """What the caller was given stays as it is."""
    call = answered(pool, media, sdp(6000, "0 97", "a=rtpmap:97 telephone-event/8000"), accept=ACCEPT)
    media.open_leg(call, leg())
    assert isinstance(media.bridge(call, leg()), MediaBridged)
    offer = next(command for _, command in reversed(pool.requests) if isinstance(command, Offer))
    assert "telephone-event" in offer.codecs.transcode
