"""Who hears whom around a briefing, to the frame, on the real rtpengine."""

from __future__ import annotations

import array
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cli.speech.sound_file import RATE, write
from routing.events import MediaBridged, MediaFailed
from routing.outcomes import Mode
from routing.records import Party
from routing.transfer_record import Hold
from rtpengine import CommandRefused, Pool
from tests.stack.frames import Stage, numbers, planned
from tests.stack.test_rtpengine import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.frames import FramePeer
    from tests.stack.wire import RtpPacket

BRIEFED = planned(mode=Mode.MESSAGE, hold=Hold.MUSIC)
MESSAGE_PACKETS = 50
KEY = 5


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


@pytest.fixture
def music(tmp_path: Path) -> str:
    return silence(tmp_path / "music.aiff")


@pytest.fixture
def message(tmp_path: Path) -> str:
    return silence(tmp_path / "message.aiff")


def silence(path: Path) -> str:
    """Write a second as handoff writes all that rtpengine is to play."""
    write(path, array.array("h", bytes(2 * RATE)))
    return str(path)


def only_ssrc(packets: list[RtpPacket]) -> int:
    """Give the one source of some packets, none of which may be missing; AssertionError else."""
    (ssrc,) = {packet.ssrc for packet in packets}
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in pairwise(packets)} <= {1}
    return ssrc


def foreign(peer: FramePeer, *others: FramePeer, since: float = 0.0) -> list[RtpPacket]:
    """Give the packets that a peer heard from others."""
    return [p for p in peer.packets(since=since) if p.ssrc in {other.ssrc for other in others}]


def test_while_the_caller_is_held_not_a_frame_passes_between_it_and_the_agent(daemon: Daemon, music: str) -> None:
    """Keys neither; and the music has no gap where it is repeated."""
    with Stage(daemon, planned(), events=True) as stage:
        stage.media.hold(stage.call, music)
        since = time.time()
        stage.agent.press(KEY)
        stage.caller.press(KEY)
        stage.caller.wait_heard(count=60, since=since)
        assert only_ssrc(stage.caller.packets(since=since)) not in {stage.agent.ssrc, stage.caller.ssrc}
        assert stage.agent.packets(since=since) == []
        stage.media.resume(stage.call)
        resumed = time.time()
        stage.caller.wait_heard(stage.agent.ssrc, since=resumed)
        stage.agent.wait_heard(stage.caller.ssrc, since=resumed)
        assert only_ssrc(stage.caller.packets(since=resumed)) == stage.agent.ssrc


def test_new_offers_of_caller_and_agent_change_nothing_while_they_are_held(
    daemon: Daemon, music: str, message: str
) -> None:
    """The music plays on, and the message to the person too."""
    with Stage(daemon, BRIEFED) as stage:
        stage.media.hold(stage.call, music)
        since = time.time()
        stage.open()
        stage.media.play(stage.call, Party.TARGET, message)
        stage.renegotiate(Party.CALLER, stage.caller, stage.agent)
        stage.renegotiate(Party.AGENT, stage.agent, stage.caller)
        stage.person.wait_heard(count=MESSAGE_PACKETS - 1)
        assert only_ssrc(stage.caller.packets(since=since)) != stage.agent.ssrc
        assert stage.agent.packets(since=since) == []
        only_ssrc(stage.person.packets())


@pytest.mark.parametrize("events", [True, False], ids=["with keys", "without keys"])
@pytest.mark.parametrize("codec", ["PCMU", "G722", "opus"])
def test_no_frame_is_heard_where_it_must_not_be(
    daemon: Daemon, music: str, message: str, codec: str, *, events: bool
) -> None:
    """rtpengine gives each source an SSRC of its own, so that a single frame of somebody else would show."""
    with Stage(daemon, BRIEFED, codec=codec, events=events) as stage:
        caller, agent, person = stage.caller, stage.agent, stage.person
        stage.media.hold(stage.call, music)
        held = time.time()
        stage.open()
        caller.wait_heard(count=10, since=time.time())  # the pause
        assert person.packets() == []
        assert stage.media.play(stage.call, Party.TARGET, message) == pytest.approx(0.95, abs=0.01)
        person.wait_heard(count=MESSAGE_PACKETS - 1)
        caller.wait_heard(count=10, since=time.time())
        before = time.time()
        assert isinstance(stage.media.bridge(stage.call, stage.leg), MediaBridged)
        bridged = time.time()
        caller.wait_heard(count=15, since=bridged)
        person.wait_heard(count=15, since=bridged)

        played = only_ssrc(person.packets(until=before))
        assert len(person.packets(until=before)) in {MESSAGE_PACKETS - 1, MESSAGE_PACKETS}
        heard_music = only_ssrc(caller.packets(since=held, until=before))
        assert agent.packets(since=held) == []
        assert only_ssrc(person.packets(since=bridged)) != played
        assert only_ssrc(caller.packets(since=bridged)) != heard_music
        assert len({(p.source, p.payload_type) for p in caller.packets()}) == 1
        around = caller.packets(since=before - 0.1, until=bridged + 0.2)
        assert max(b.at - a.at for a, b in pairwise(around)) < 0.1
        if codec == "PCMU":
            for peer, other in ((caller, person), (person, caller)):
                heard = numbers([p.payload for p in peer.packets(since=before)], other.ssrc)
                assert heard == list(range(heard[0], heard[0] + len(heard)))
                assert numbers([p.payload for p in peer.packets(until=before)], other.ssrc) == []


def test_a_bridge_that_is_undone_joins_nobody_and_a_second_person_can_be_called(
    daemon: Daemon, music: str, message: str
) -> None:
    """The caller stays mute until it is given back to the agent."""
    with Stage(daemon, BRIEFED) as stage:
        caller, agent, person = stage.caller, stage.agent, stage.person
        stage.media.hold(stage.call, music)
        held = time.time()
        stage.open()
        garbled = stage.call.media.model_copy(update={"target_sdp": "nothing"})
        failed = stage.media.bridge(stage.call.model_copy(update={"media": garbled}), stage.leg)
        assert isinstance(failed, MediaFailed)
        undone = time.time()
        stage.media.play(stage.call, Party.CALLER, message)
        caller.wait_heard(count=20, since=undone)
        assert foreign(caller, agent, since=held) == foreign(caller, person, since=undone) == []
        assert foreign(person, caller) == foreign(agent, caller, since=held) == []
        stage.media.resume(stage.call)
        caller.wait_heard(agent.ssrc, since=undone)
        agent.wait_heard(caller.ssrc, since=undone)
        stage.media.hold(stage.call, music)
        stage.open(2)
        assert isinstance(stage.media.bridge(stage.call, stage.leg), MediaBridged)
        bridged = time.time()
        caller.wait_heard(person.ssrc, since=bridged)
        person.wait_heard(caller.ssrc, since=bridged)
        assert foreign(caller, agent, since=bridged) == []


def test_a_person_who_declines_is_released_and_the_music_plays_on(daemon: Daemon, music: str) -> None:
    """For the next endpoint is called."""
    with Stage(daemon, BRIEFED) as stage:
        stage.media.hold(stage.call, music)
        since = time.time()
        stage.open()
        stage.media.play(stage.call, Party.TARGET, music)
        stage.person.wait_heard(count=5)
        stage.media.release_leg(stage.call, 1)
        released = time.time()
        stage.caller.wait_heard(count=20, since=released)
        only_ssrc(stage.caller.packets(since=since))
        assert stage.person.packets(since=released) == []


def test_a_blind_transfer_with_music_ends_the_music_at_the_bridge(daemon: Daemon, music: str) -> None:
    with Stage(daemon, planned(hold=Hold.MUSIC)) as stage:
        stage.media.hold(stage.call, music)
        stage.open()
        assert isinstance(stage.media.bridge(stage.call, stage.leg), MediaBridged)
        bridged = time.time()
        stage.person.wait_heard(stage.caller.ssrc, since=bridged)
        stage.caller.wait_heard(stage.person.ssrc, since=bridged)
        assert set(stage.caller.heard(since=bridged)) == {stage.person.ssrc}


def test_the_agent_is_heard_no_more_after_the_bridge_whatever_gets_lost(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent without waiting may get lost; the agent may go on speaking until it gets its BYE."""
    with Stage(daemon, planned()) as stage:
        stage.open()
        monkeypatch.setattr(Pool, "tell", lambda *_: None)
        assert isinstance(stage.media.bridge(stage.call, stage.leg), MediaBridged)
        bridged = time.time()
        stage.caller.wait_heard(stage.person.ssrc, since=bridged)
        stage.caller.wait_heard(count=20, since=bridged)
        on_its_way = 0.1
        assert set(stage.caller.heard(since=bridged + on_its_way)) == {stage.person.ssrc}


def test_a_sound_that_cannot_be_played_ends_the_one_that_plays(daemon: Daemon, music: str) -> None:
    with Stage(daemon, planned()) as stage:
        stage.media.hold(stage.call, music)
        stage.caller.wait_heard(count=5, since=time.time())
        with pytest.raises(CommandRefused, match="play"):
            stage.media.play(stage.call, Party.CALLER, "/nowhere.wav")
        stopped = time.time()
        stage.media.play(stage.call, Party.AGENT, music)
        stage.agent.wait_heard(count=10, since=stopped)
        assert stage.caller.packets(since=stopped) == []
