"""The instruments that listen: what they find, how precisely, and that they find nothing where there is nothing.

Everything goes through the codecs of real telephones first. Positive controls insert 20 ms of a sound that must not be
there, at random places and in random phases.
"""

from __future__ import annotations

import subprocess
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cli.speech.music import write_music
from cli.tones import AGENT, CALLER, TARGET
from tests.stack.audio import FRAME, RATE, Wave, decode, decode_all, encode, read, silence, tone, write
from tests.stack.codecs import CODECS, through
from tests.stack.correlate import contains, locate
from tests.stack.heard import phases
from tests.stack.leaks import leaked, who
from tests.stack.wire import RtpPacket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.leaks import Leak, Sound

NEAR = 0.02
"""Seconds by which a border may be told wrong."""
LOUD = 1000.0
"""Root mean square from which on a frame of a voice is a positive control: quieter ones hide beside a loud tone."""
MISSED, MASKED = 0.02, 0.1
"""Shares of the positive controls that may be missed: places of a sound that are like nothing, or masked by a codec."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hearing")


@pytest.fixture(scope="module")
def message(folder: Path) -> Wave:
    return _speak(folder / "message.aiff", "You have a call. The customer wants to change the address of an order.")


@pytest.fixture(scope="module")
def other_text(folder: Path) -> Wave:
    return _speak(folder / "other.aiff", "Sorry, nobody could take your call just now. Please hold on.")


@pytest.fixture(scope="module")
def music(folder: Path) -> Wave:
    write_music(folder / "music.aiff")
    return read(folder / "music.aiff")


def _speak(path: Path, text: str) -> Wave:
    subprocess.run(["espeak-ng", "-v", "en", "-w", path, text], check=True)
    return read(path)


def _slipping(sound: Wave, random: np.random.Generator) -> Wave:
    """Leave out or repeat up to 20 ms once a second, as jitter buffers do."""
    parts = []
    at = 0
    while at < len(sound):
        parts.append(sound[at : at + RATE])
        at += RATE + int(random.integers(-FRAME, FRAME))
    return np.concatenate(parts)


# -- where a reference is


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("gain", [0.3, 1.5])
def test_a_message_is_found_to_the_frame(folder: Path, message: Wave, codec: str, gain: float) -> None:
    recording = np.concatenate([silence(0.713), gain * message, tone(CALLER, 0.5)])
    found = locate(through(codec, recording, folder), message)
    assert found is not None
    assert (found.start, found.end) == pytest.approx((0.713, 0.713 + len(message) / RATE), abs=NEAR / 4)
    assert found.score > 0.9
    assert found.part > 0.97


@pytest.mark.parametrize("codec", CODECS)
def test_slips_of_a_jitter_buffer_and_the_edges_of_a_part_do_no_harm(folder: Path, message: Wave, codec: str) -> None:
    part = _slipping(message[RATE : 3 * RATE], np.random.default_rng(1))
    recording = np.concatenate([tone(CALLER, 0.5), part, tone(TARGET, 0.5)])
    sounding = np.zeros(len(recording) // FRAME, np.bool_)
    sounding[25 : 25 + len(part) // FRAME] = (
        np.sqrt((part[: len(part) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(1)) > 300
    )
    told = contains(through(codec, recording, folder)[: len(recording)], message)
    assert not told[:24].any()
    assert not told[27 + len(part) // FRAME :].any()
    assert (told & sounding).sum() >= 0.93 * sounding.sum()


@pytest.mark.parametrize("codec", CODECS)
def test_another_text_music_and_tones_are_not_the_message(
    folder: Path, message: Wave, other_text: Wave, music: Wave, codec: str
) -> None:
    recording = np.concatenate([other_text, music[: 5 * RATE], tone(CALLER, 2), tone(AGENT, 2) + tone(TARGET, 2)])
    assert locate(through(codec, recording, folder), message) is None


# -- what was heard one after another


@pytest.mark.parametrize("codec", CODECS)
def test_what_each_party_of_a_warm_transfer_hears_is_told_within_a_frame(
    folder: Path, message: Wave, music: Wave, codec: str
) -> None:
    sounds: dict[str, Sound] = {
        "music": music,
        "message": message,
        "caller": CALLER,
        "agent": AGENT,
        "target": TARGET,
    }
    played = music[: round(4.21 * RATE)]
    heard_by_target = [silence(0.53), message, silence(0.5), tone(CALLER, 1)]
    heard_by_caller = [tone(AGENT, 1), silence(0.11), played, silence(0.09), tone(TARGET, 1)]
    for parts, names in (
        (heard_by_target, ["pause", "message", "pause", "caller"]),
        (heard_by_caller, ["agent", "pause", "music", "pause", "target"]),
    ):
        heard = phases(through(codec, np.concatenate(parts), folder), sounds)
        assert [phase.name for phase in heard] == names
        borders = np.cumsum([len(part) / RATE for part in parts])
        assert [phase.end for phase in heard] == pytest.approx(list(borders), abs=NEAR + 0.005)


def test_music_that_starts_anew_is_one_phase(music: Wave) -> None:
    short = music[: 3 * RATE]
    heard = phases(np.concatenate([short, short, short, tone(TARGET, 1)]), {"music": short, "target": TARGET})
    assert [phase.name for phase in heard] == ["music", "target"]
    assert heard[0].end == pytest.approx(9, abs=NEAR)


def test_a_message_that_is_cut_short_ends_where_it_was_cut(message: Wave) -> None:
    heard = phases(
        np.concatenate([message[: round(2.3 * RATE)], tone(CALLER, 1)]), {"message": message, "caller": CALLER}
    )
    assert [phase.name for phase in heard] == ["message", "caller"]
    assert heard[0].end == pytest.approx(2.3, abs=NEAR)


# -- leaks


class Listening:
    """What may leak, and 60 s of each kind of surroundings in which nothing has leaked, with what is allowed there."""

    def __init__(self, folder: Path, message: Wave, music: Wave) -> None:
        self.folder = folder
        self._music = music
        self._message = message
        self.sounds: dict[str, Sound] = {"message": message[: 2 * RATE], "music": music[: 2 * RATE], "agent": AGENT}
        self._minutes: dict[tuple[str, str], Wave] = {}

    def minute(self, around: str, codec: str) -> Wave:
        """Give clean surroundings as a codec carries them."""
        if (around, codec) not in self._minutes:
            self._minutes[around, codec] = through(codec, self.surroundings(around)[0], self.folder)
        return self._minutes[around, codec]

    def surroundings(self, name: str) -> tuple[Wave, list[Sound]]:
        minute = 60 * RATE
        if name == "silence":
            return silence(60), []
        if name == "music":
            return np.resize(self._music, minute), [self._music]
        if name == "message":
            paused = np.concatenate([silence(0.5), self._message, silence(0.5)])
            return np.resize(paused, minute), [self._message]
        random = np.random.default_rng(2)
        hums = [tone((CALLER, TARGET)[n % 2], random.uniform(0.1, 0.4), phase=random.uniform(0, 6)) for n in range(300)]
        return np.concatenate(hums)[:minute], [CALLER, TARGET]


@pytest.fixture(scope="module")
def listening(folder: Path, message: Wave, music: Wave) -> Listening:
    return Listening(folder, message, music)


def _with_leaks(clean: Wave, sound: Sound, random: np.random.Generator) -> tuple[Wave, list[float]]:
    """Put 20 ms of a sound into a recording about five times a second; gives where, in seconds."""
    recording, times = clean.copy(), []
    at = RATE // 10
    while at + FRAME < len(clean):
        recording[at : at + FRAME] = _piece(sound, random)
        times.append(at / RATE)
        at += RATE // 5 + int(random.integers(0, FRAME))
    return recording, times


def _piece(sound: Sound, random: np.random.Generator) -> Wave:
    if not isinstance(sound, np.ndarray):
        return tone(sound, 0.02, phase=random.uniform(0, 2 * np.pi))
    while True:
        at = int(random.integers(0, len(sound) - FRAME))
        piece = sound[at : at + FRAME]
        if np.sqrt((piece**2).mean()) > LOUD:
            return piece


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("leak", "around"),
    [
        ("agent", "music"),
        ("agent", "message"),
        ("agent", "silence"),
        ("agent", "tones"),
        ("message", "music"),
        ("message", "silence"),
        ("message", "tones"),
        ("music", "message"),
        ("music", "silence"),
    ],
)
def test_20_ms_are_found_and_nothing_in_a_clean_minute(
    listening: Listening, codec: str, leak: str, around: str
) -> None:
    sound, (clean, allowed) = listening.sounds[leak], listening.surroundings(around)
    assert leaked(listening.minute(around, codec), sound, allowed=allowed) == []
    recording, times = _with_leaks(clean[: 20 * RATE], sound, np.random.default_rng(3))
    leaks = leaked(through(codec, recording, listening.folder), sound, allowed=allowed)
    # Opus spends less on a quiet voice beside a loud one.
    lost = 0.0 if leak == "agent" else MASKED if codec == "opus" else MISSED
    assert sum(any(_overlap(one, at) for one in leaks) for at in times) >= (1 - lost) * len(times)
    assert all(any(_overlap(one, at) for at in times) for one in leaks)


def _overlap(leak: Leak, at: float) -> bool:
    return leak.start < at + 0.02 + NEAR / 2 and at - NEAR / 2 < leak.end


def test_a_leak_into_another_text_of_the_same_voice_is_mostly_found(message: Wave, other_text: Wave) -> None:
    clean = np.resize(other_text, 20 * RATE)
    assert leaked(clean, message, allowed=[other_text]) == []
    recording, times = _with_leaks(clean, message, np.random.default_rng(4))
    assert len(leaked(recording, message, allowed=[other_text])) >= 0.8 * len(times)


def test_a_voice_that_covers_music_is_found_as_well(music: Wave) -> None:
    recording = np.resize(music, 20 * RATE)
    _, times = _with_leaks(recording, AGENT, np.random.default_rng(5))
    for at in times:
        recording[round(at * RATE) : round(at * RATE) + FRAME] += tone(AGENT, 0.02)
    assert len(leaked(recording, AGENT, allowed=[music])) == len(times)


# -- single packets


def _packets(sound: Wave, payload_type: int) -> list[RtpPacket]:
    coded = encode(sound, payload_type)
    return [
        RtpPacket(number / 50, 0, 0, 1, payload_type, number, coded[number * FRAME : (number + 1) * FRAME])
        for number in range(len(coded) // FRAME)
    ]


@pytest.mark.parametrize("payload_type", [0, 8])
def test_each_packet_tells_who_is_in_it(message: Wave, music: Wave, payload_type: int) -> None:
    parts = [tone(AGENT, 0.2), silence(0.1), music[RATE : 2 * RATE], tone(AGENT, 0.02), music[2 * RATE : 3 * RATE]]
    parts += [tone(TARGET, 0.2), message[4000 : 4000 + FRAME], tone(1800, 0.1)]
    names = [["agent"] * 10, ["pause"] * 5, ["music"] * 50, ["agent"], ["music"] * 50]
    names += [["target"] * 10, ["message"], ["unknown"] * 5]
    sounds: dict[str, Sound] = {"agent": AGENT, "music": music, "target": TARGET, "message": message}
    assert who(_packets(np.concatenate(parts), payload_type), sounds) == list(chain.from_iterable(names))


def test_no_packets_are_nobody() -> None:
    assert who([], {"agent": AGENT}) == []
    assert len(decode_all([])) == 0
    assert leaked(silence(0.01), AGENT) == []


# -- samples


@pytest.mark.parametrize(("payload_type", "codec"), [(0, "PCMU"), (8, "PCMA")])
def test_g711_is_decoded_as_by_ffmpeg(folder: Path, payload_type: int, codec: str) -> None:
    sound = tone(CALLER, 0.2, level=20000)
    assert np.abs(decode(encode(sound, payload_type), payload_type) - sound).max() < 520
    theirs, ours = through(codec, sound, folder), decode_all(_packets(sound, payload_type))
    assert np.abs(theirs - ours)[FRAME:-FRAME].max() < 2 * 520  # each of them rounds


def test_files_of_other_rates_and_channels_are_read_alike(folder: Path) -> None:
    hum = tone(CALLER, 0.5)
    for rate in (8000, 16000, 48000):
        again = read(write(folder / "hum.wav", hum, rate))
        assert np.abs(again[400:-400] - hum[400:-400]).max() < 20
