"""Fifty warm transfers with transcoding, and not one packet to whom it does not belong.

Four lanes side by side, each with a caller (PCMU), an agent and a person's phone of its own: two PJSIP phones with
G.722 alone, which get a message, and two baresips with Opus alone, which get a summary. What the callers get is judged
packet by packet; what the phones heard, in windows of 15 ms. Each is judged a second time with 20 ms of a leak in it.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cli.phones import Phones
from routing.speech import file_of
from routing.transfer_record import Sound, Standard
from tests.stack.audio import FRAME, RATE, Wave, encode, read, read_recording, tone
from tests.stack.baresip import Baresip
from tests.stack.correlate import locate
from tests.stack.leaks import leaked, who
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone
    from tests.stack import leaks
    from tests.stack.wire import RtpPacket

TRANSFERS = 50
LANES = 4
CALLER, AGENT, TARGET = 450, 550, 1000
"""Hertz; 20 ms of the first two are whole waves, so that one packet over and over is a tone. None is in the music."""
MESSAGE, SUMMARY = "An order was lost.", "The invoice is wrong."
SETTINGS = {"pause_before": 0.2, "pause_after": 0.2, "message": MESSAGE}
MUSIC = 8
"""Seconds of the music that a transfer may last; it starts from its beginning."""
PATIENCE = 10.0
LOUD = 1000
"""Root mean square from which on 20 ms of a voice are a positive control."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """What may be heard, as samples."""

    music: Wave
    message: Wave
    summary: Wave

    def briefing(self, lane: int) -> Wave:
        return self.message if _mode(lane) == "message" else self.summary


@dataclass(frozen=True, slots=True)
class Heard:
    """What the callers of a lane got in each of their calls, and what the person's phone heard in each."""

    lane: int
    callers: list[list[RtpPacket]]
    targets: list[Wave]

    @property
    def briefing(self) -> str:
        return _mode(self.lane)


def _mode(lane: int) -> str:
    return "message" if lane < LANES // 2 else "summary"


class LaneTalk(Talk):
    """A call beside others: it ends nothing but itself, and leaves the store to the thread that has opened it."""

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[list[Heard], Sounds]]:
    """Play all transfers, and give what was heard."""
    with ExitStack() as stack:
        agents = [stack.enter_context(Ua(f"agent{lane}")) for lane in range(LANES)]
        pools = [
            {"name": f"lane{lane}", "numbers": [f"+49{lane}*"], "agents": [{"uri": agent.uri}]}
            for lane, agent in enumerate(agents)
        ]
        system = stack.enter_context(System(sidecar=True, pools=pools))
        phones = stack.enter_context(Phones())
        persons = [Person(system, lane, phones, stack) for lane in range(LANES)]
        with ThreadPoolExecutor(LANES) as lanes:
            counts = [len(range(lane, TRANSFERS, LANES)) for lane in range(LANES)]
            heard = list(lanes.map(_play, persons, agents, counts))
        speech = system.settings.speech
        yield (
            heard,
            Sounds(
                read(file_of(speech, Standard.MUSIC))[: MUSIC * RATE],
                *(read(file_of(speech, Sound(text=text))) for text in (MESSAGE, SUMMARY)),
            ),
        )


class Person:
    """The person of a lane, with a phone of its own: the name of the target, and how its recordings are read."""

    def __init__(self, system: System, lane: int, phones: Phones, stack: ExitStack) -> None:
        self.system, self.lane, self.name = system, lane, f"person{lane}"
        self._phone: Phone | Baresip = (
            phones.add(self.name, tone=TARGET, codecs=("G722",), answer_after=0.1)
            if lane < LANES // 2
            else stack.enter_context(Baresip(tone=TARGET))
        )
        system.add_target(self.name, self._phone.uri, mode=_mode(lane), **SETTINGS)

    def recordings(self, count: int) -> list[Wave]:
        """Read what was heard in each call, when all are over."""
        if isinstance(self._phone, Baresip):
            self._phone.hung_up(count)
            return [read(path) for path in self._phone.recordings()]
        return [read_recording(call) for call in self._phone.calls]


def _play(person: Person, agent: Ua, count: int) -> Heard:
    callers = [_transfer(person, agent) for _ in range(count)]
    return Heard(person.lane, callers, person.recordings(count))


def _transfer(person: Person, agent: Ua) -> list[RtpPacket]:
    """Do one transfer; gives what the caller got from when the agent spoke until it hung up."""
    with LaneTalk(person.system, agent, add_target=False, number=f"+49{person.lane}1") as talk:
        for voice, hertz in ((talk.caller_voice, CALLER), (talk.agent_voice, AGENT)):
            voice.say(encode(tone(hertz, 0.02), 0))
        began = time.time()
        talk.hear_each_other()
        agent.expect(202, to=talk.refer(person.name, headers={"X-Handoff-Summary": SUMMARY.replace(" ", "%20")}))
        while True:
            notify = agent.expect("NOTIFY", timeout=PATIENCE)
            agent.reply(notify, 200)
            if notify["Subscription-State"].startswith("terminated"):
                break
        assert notify.body.startswith("SIP/2.0 200"), notify.body
        talk.agent_leaves()
        talk.caller_voice.wait_heard(count=20, since=time.time())
        talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
        return talk.caller_voice.packets(since=began + 0.06)


# -- the callers, packet by packet


def _names(packets: list[RtpPacket], sounds: Sounds) -> list[str]:
    known: dict[str, leaks.Sound] = {"agent": AGENT, "caller": CALLER, "target": TARGET}
    return who(packets, {**known, "music": sounds.music, "message": sounds.message, "summary": sounds.summary})


def test_callers_get_the_agent_then_music_then_the_person_and_no_packet_of_anything_else(
    played: tuple[list[Heard], Sounds],
) -> None:
    heard, sounds = played
    calls = [packets for lane in heard for packets in lane.callers]
    assert len(calls) == TRANSFERS
    for packets in calls:
        names = [name for name, _ in groupby(_without_onset(packets, _names(packets, sounds))) if name != "pause"]
        assert list(dict.fromkeys(names)) == ["agent", "music", "target"], names
        assert names.count("agent") == 1, names
        assert names.count("target") == 1, names


def _without_onset(packets: list[RtpPacket], names: list[str]) -> list[str]:
    """Call the packets in which the person's own stream sets in, a tone by halves, the person's."""
    own = {packet.ssrc for packet, name in zip(packets, names, strict=True) if name == "target"}
    return ["target" if n == "unknown" and p.ssrc in own else n for p, n in zip(packets, names, strict=True)]


def test_one_packet_of_anything_else_would_be_seen(played: tuple[list[Heard], Sounds]) -> None:
    heard, sounds = played
    for lane in heard:
        pieces = {"agent": tone(AGENT, 0.02), lane.briefing: _loud_piece(sounds.briefing(lane.lane))}
        for packets in lane.callers:
            for name, piece in pieces.items():
                forged = replace(random.choice(packets), payload=encode(piece, 0))
                assert _names([forged], sounds) == [name]


# -- the persons, by what their phones heard


def _before_the_caller(recording: Wave, briefing: Wave) -> Wave:
    """Cut off what a person heard from the caller's first sound on, which comes after the briefing."""
    found = locate(recording, briefing)
    assert found is not None, "the person was briefed"
    assert found.part > 0.8, found
    own = leaked(recording[round(found.end * RATE) :], CALLER)
    assert own, "the person heard the caller"
    return recording[: round((found.end + own[0].start) * RATE)]


def _forbidden(sounds: Sounds) -> list[leaks.Sound]:
    return [CALLER, AGENT, TARGET, sounds.music]


def test_persons_hear_neither_caller_nor_agent_nor_music_before_they_are_briefed(
    played: tuple[list[Heard], Sounds],
) -> None:
    heard, sounds = played
    assert sum(len(lane.targets) for lane in heard) == TRANSFERS
    for lane in heard:
        briefing = sounds.briefing(lane.lane)
        for recording in lane.targets:
            before = _before_the_caller(recording, briefing)
            for forbidden in _forbidden(sounds):
                assert leaked(before, forbidden, allowed=[briefing]) == []
            assert leaked(recording, AGENT, allowed=[briefing, CALLER]) == []
            assert leaked(recording, sounds.music, allowed=[briefing, CALLER]) == []


def test_20_ms_of_caller_agent_or_music_would_be_heard(played: tuple[list[Heard], Sounds]) -> None:
    heard, sounds = played
    for lane in heard:
        briefing = sounds.briefing(lane.lane)
        for recording in lane.targets:
            before = _before_the_caller(recording, briefing)
            pieces = {CALLER: tone(CALLER, 0.02), AGENT: tone(AGENT, 0.02), None: _loud_piece(sounds.music)}
            for hertz, piece in pieces.items():
                forged, at = before.copy(), random.randrange(RATE // 10, len(before) - RATE // 10)
                forged[at : at + FRAME] = piece
                found = leaked(forged, hertz or sounds.music, allowed=[briefing])
                assert any(abs(leak.start - at / RATE) < 0.02 for leak in found)


def _loud_piece(sound: Wave) -> Wave:
    """Take 20 ms of a sound that are not silent."""
    levels = np.convolve(sound**2, np.ones(FRAME) / FRAME, "valid")
    at = random.choice(np.flatnonzero(levels > LOUD**2).tolist())
    return sound[at : at + FRAME]
