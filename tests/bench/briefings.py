"""The measurements of warm transfers: who is heard where it must not be, and the silence at the change of voices."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import cycle, islice, product
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from cli.speech.sound_file import duration
from kemi.hearing import AHEAD
from routing.speech import file_of
from routing.transfer_record import Sound, Standard
from tests.bench.result import Result, percentile
from tests.bench.voices import AROUND, longest_gap, prompt_threads
from tests.stack.audio import FRAME, RATE, Wave, encode, read, tone
from tests.stack.leaks import who
from tests.stack.rtp import RtpPeer
from tests.stack.talk import TARGET
from tests.stack.warm_talk import WarmTalk, warm_system

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack import leaks
    from tests.stack.system import System
    from tests.stack.ua import Ua
    from tests.stack.wire import RtpPacket

CODECS, MODES = ("PCMU", "G722"), ("message", "summary")
CALLER, AGENT, PERSON = 450, 550, 1000
"""Hertz, of which 20 ms are whole waves: one packet over and over is a tone. None is in the music."""
TEXT, PAUSE = "An order was lost.", 0.2
MUSIC = 8
"""Seconds of music, from its beginning, in which a transfer is over."""
LOUD = 1000
"""Root mean square of 20 ms that are put into a recording, at least: where a sound is silent nothing can leak."""
_PCMU = 0


@dataclass(frozen=True, slots=True)
class _Ear:
    """What a party got: it hears `first`, then `later`, but that not before `over`, and those of `never` not at all."""

    codec: str
    packets: list[RtpPacket]
    first: str
    later: str
    never: tuple[str, ...]
    over: float

    def leaked(self, sounds: Mapping[str, leaks.Sound]) -> Counter[str]:
        """Count the packets of each who must not be heard; AssertionError when one who should be heard is missing."""
        names = who(_as_pcmu(self.packets, self.codec), sounds)
        missing = {self.first, self.later}.difference(names)
        assert not missing, f"a party with {self.codec} did not hear {' and '.join(missing)}"
        heard = zip(self.packets, names, strict=True)
        return Counter(name for p, name in heard if name in self.never or (name == self.later and p.at < self.over))

    def with_leaks(self, sounds: Mapping[str, leaks.Sound]) -> _Ear:
        """Put 20 ms of each who must not be heard into the place of a packet from before the bridge."""
        packets, names = list(self.packets), [*self.never, self.later]
        early = [place for place, packet in enumerate(packets) if packet.at < self.over]
        for ssrc, (name, place) in enumerate(zip(names, random.sample(early, len(names)), strict=True)):
            payload = _encoded(_piece(sounds[name]), self.codec)
            packets[place] = replace(packets[place], ssrc=ssrc, payload=payload)
        return replace(self, packets=packets)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What caller and person got in one transfer."""

    caller: _Ear
    person: _Ear

    @property
    def gaps(self) -> tuple[float, float]:
        """The longest gaps in the caller's RTP, in ms: around the bridge, and before it."""
        packets = self.caller.packets
        bridged = next(packet.at for packet in packets if packet.ssrc == packets[-1].ssrc)
        around = [packet for packet in packets if abs(packet.at - bridged) <= AROUND]
        return longest_gap(around), longest_gap(packet for packet in around if packet.at < bridged)


def warm_transfers(quick: bool) -> list[Result]:
    """Judge each packet that caller and person get in warm transfers, and once more with leaks put in.

    Half of the persons have PCMU, as the caller has, the others G.722; half get a message, the others a summary.
    """
    transfers = 20 if quick else 60
    with prompt_threads(), warm_system() as (agent, system):
        heard = [_hand_over(system, agent, *how) for how in islice(cycle(product(CODECS, MODES)), transfers)]
        sounds = _sounds(system)
    return [*(_gap(heard, codec) for codec in CODECS), _leaks(heard, sounds)]


def _gap(heard: list[_Heard], codec: str) -> Result:
    """Compare the gaps around the bridge with those of the music alone, whose packets rtpengine paces unevenly."""
    around, before = zip(*(each.gaps for each in heard if each.person.codec == codec), strict=True)
    what, alone = f"longest gap in the caller's RTP, warm, {codec}, p50", round(percentile(before, 50), 1)
    details = {"transfers": len(around), "before_the_bridge_p50_ms": alone, "p99_ms": round(percentile(around, 99), 1)}
    note = f"{alone:g} ms before the bridge, in the music alone"
    return Result(what, percentile(around, 50), 21, "ms", note=note, details=details)


def _leaks(heard: list[_Heard], sounds: Mapping[str, leaks.Sound]) -> Result:
    leaked: Counter[str] = Counter()
    put = found = 0
    for party, ear in (pair for each in heard for pair in (("caller", each.caller), ("person", each.person))):
        clean, forged = ear.leaked(sounds), ear.with_leaks(sounds).leaked(sounds)
        leaked += Counter({f"{name} at {party}": count for name, count in clean.items()})
        put += len(ear.never) + 1
        found += sum(forged[name] > clean[name] for name in (*ear.never, ear.later))
    note = f"of {put} leaks of 20 ms that were put into the recordings, {found} were found"
    assert found == put, note
    packets = sum(len(ear.packets) for each in heard for ear in (each.caller, each.person))
    details = {"transfers": len(heard), "packets": packets, "leaked": dict(leaked), "put in": put, "found": found}
    return Result(
        "leaked frames: briefing or agent at the caller, caller at the target",
        leaked.total(),
        0,
        note=note,
        details=details,
    )


def _hand_over(system: System, agent: Ua, codec: str, mode: str) -> _Heard:
    """Let a person be briefed, and talk with the caller for a while."""
    with RtpPeer(codec) as voice, WarmTalk(system, agent, add_target=False) as talk:
        talk.target_voice = voice
        for one, hertz in ((talk.caller_voice, CALLER), (talk.agent_voice, AGENT), (voice, PERSON)):
            one.say(_encoded(tone(hertz, 0.02), one.codec))
        pauses = {"pause_before": PAUSE, "pause_after": PAUSE}
        system.add_target(TARGET, talk.target.uri, mode=mode, message=TEXT, **pauses)
        talk.agent.expect(202, to=talk.refer(headers={"X-Handoff-Summary": quote(TEXT)}))
        talk.notified(100)
        invite = talk.invited()
        time.sleep(random.uniform(0, 0.02))  # each voice has a clock of its own
        answered = time.time()
        talk.target_answers(invite)
        talk.told(200)
        talk.agent_leaves()
        for ear in (talk.caller_voice, voice):
            ear.wait_heard(count=round(2 * AROUND * 50), since=time.time())
        talk.hang_up_on_target()
        got = talk.caller_voice.packets()
        music = next(place for place, packet in enumerate(got) if packet.ssrc != talk.agent_voice.ssrc)
    # rtpengine is done with a file that much sooner than it lasts: the bridge follows the last packet.
    spoken = duration(file_of(system.settings.speech, Sound(text=TEXT))) - AHEAD
    over = answered + PAUSE + spoken + PAUSE
    return _Heard(
        _Ear("PCMU", got[music:], "music", "person", ("agent", "caller", "briefing"), over),
        _Ear(codec, voice.packets(), "briefing", "caller", ("agent", "person"), over),
    )


def _sounds(system: System) -> Mapping[str, leaks.Sound]:
    speech = system.settings.speech
    music, briefing = (read(file_of(speech, sound)) for sound in (Standard.MUSIC, Sound(text=TEXT)))
    tones: dict[str, leaks.Sound] = {"caller": CALLER, "agent": AGENT, "person": PERSON}
    return {**tones, "music": music[: MUSIC * RATE], "briefing": briefing}


def _piece(sound: leaks.Sound) -> Wave:
    """Take 20 ms of a sound that are not silent."""
    if not isinstance(sound, np.ndarray):
        return tone(sound, 0.02)
    levels = np.convolve(sound**2, np.ones(FRAME) / FRAME, "valid")
    at = random.choice(np.flatnonzero(levels > LOUD**2).tolist())
    return sound[at : at + FRAME]


# -- G.722, which takes 16 kHz; the sounds here have 8 kHz


def _encoded(sound: Wave, codec: str) -> bytes:
    if codec == "PCMU":
        return encode(sound, _PCMU)
    return _ffmpeg(sound.astype(np.int16).tobytes(), "-f s16le -ar 8000 -i - -ar 16000 -c:a g722 -f g722 -")


def _as_pcmu(packets: list[RtpPacket], codec: str) -> list[RtpPacket]:
    """Give the same packets with PCMU in them; each source has been encoded for itself."""
    if codec == "PCMU":
        return packets
    decoded = list(packets)
    for ssrc in {packet.ssrc for packet in packets}:
        own = [place for place, packet in enumerate(packets) if packet.ssrc == ssrc]
        coded = b"".join(packets[place].payload for place in own)
        samples = _ffmpeg(coded, "-f g722 -i - -ar 8000 -c:a pcm_mulaw -f mulaw -")
        for at, place in enumerate(own):
            part = samples[at * FRAME : (at + 1) * FRAME]
            decoded[place] = replace(packets[place], payload_type=_PCMU, payload=part)
    return decoded


def _ffmpeg(data: bytes, arguments: str) -> bytes:
    command = ["ffmpeg", "-v", "error", *arguments.split()]
    return subprocess.run(command, check=True, input=data, capture_output=True).stdout
