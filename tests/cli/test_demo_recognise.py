"""Music and speech are recognised in recordings as telephones make them, and nothing else is taken for them."""

from __future__ import annotations

import array
import random
import subprocess
import wave
from typing import TYPE_CHECKING

import pytest

from cli.recognise import recognise
from cli.speech.music import make_music
from cli.tones import AGENT, CALLER, RATE, TARGET, Sound, listen, without_crumbs, write_tone

if TYPE_CHECKING:
    from pathlib import Path

Samples = array.array  # of "h", at RATE
TONES = {"caller": CALLER, "agent": AGENT, "target": TARGET}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with music, a message and another text, as the stack makes them."""
    path = tmp_path_factory.mktemp("sounds")
    write(path / "music.wav", make_music())
    speak(path / "message.wav", "A customer calls from the web shop.")
    speak(path / "other.wav", "Nobody can take your call just now.")
    return path


def speak(path: Path, text: str) -> None:
    subprocess.run(["espeak-ng", "-v", "en", "-w", path, text], check=True)


def write(path: Path, samples: Samples[int]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def read(path: Path) -> Samples[int]:
    """Read a file at RATE: what has another rate goes through ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ar", str(RATE), "-f", "s16le", "-"]
    return array.array("h", subprocess.run(command, check=True, capture_output=True).stdout)


def hum(folder: Path, hertz: int, seconds: float) -> Samples[int]:
    second = read(write_tone(folder / "tone.wav", hertz))
    return (second * 3)[: round(seconds * RATE)]


def through_telephone(folder: Path, samples: Samples[int]) -> Path:
    """Send samples through G.711, and give the recording of who heard them."""
    pcmu = ["-ar", "8000", "-c:a", "pcm_mulaw", "-f", "wav"]
    write(folder / "sent.wav", samples)
    for source, into, how in (("sent", "line", pcmu), ("line", "heard", ["-ar", str(RATE)])):
        command = [
            "ffmpeg",
            "-y",
            "-v",
            "error",
            "-i",
            str(folder / f"{source}.wav"),
            *how,
            str(folder / f"{into}.wav"),
        ]
        subprocess.run(command, check=True)
    return folder / "heard.wav"


def tell(folder: Path, recording: Path, *files: str) -> list[Sound]:
    sounds = listen(read(recording), TONES, rate=RATE, shortest=0)
    return without_crumbs(recognise(sounds, recording, {name: folder / f"{name}.wav" for name in files}), 0.05)


def test_music_and_message_are_named_with_their_borders(folder: Path) -> None:
    music, message = make_music()[: round(4.2 * RATE)], read(folder / "message.wav")
    silence = hum(folder, 0, 0.5)
    caller = through_telephone(folder, hum(folder, AGENT, 1) + music + hum(folder, TARGET, 1))
    heard = tell(folder, caller, "music", "message", "other")
    assert [sound.name for sound in heard] == ["agent", "music", "target"]
    assert [sound.end for sound in heard] == pytest.approx([1, 5.2, 6.2], abs=0.041)
    target = through_telephone(folder, silence + message + silence + hum(folder, CALLER, 1))
    heard = tell(folder, target, "music", "message", "other")
    assert [sound.name for sound in heard] == ["pause", "message", "pause", "caller"]
    lasts = len(message) / RATE
    assert [sound.end for sound in heard] == pytest.approx([0.5, 0.5 + lasts, 1 + lasts, 2 + lasts], abs=0.041)


def test_what_a_jitter_buffer_leaves_out_or_repeats_does_no_harm(folder: Path) -> None:
    message = read(folder / "message.wav")
    half, slip = len(message) // 2, round(0.02 * RATE)
    slipping = message[: half + slip] + message[half:]
    heard = tell(folder, through_telephone(folder, hum(folder, AGENT, 1) + slipping), "message")
    assert [sound.name for sound in heard] == ["agent", "message"]


def test_a_voice_within_a_message_and_a_message_that_breaks_off_show(folder: Path) -> None:
    message, part = read(folder / "message.wav"), round(0.6 * RATE)
    leak = hum(folder, CALLER, 0.2)
    spoilt = message[:part] + leak + message[part + len(leak) :]
    heard = tell(folder, through_telephone(folder, spoilt), "message")
    assert [sound.name for sound in heard] == ["message", "caller", "message"]
    heard = tell(folder, through_telephone(folder, message[:part] + hum(folder, TARGET, 1)), "message")
    assert [sound.name for sound in heard] == ["message", "target"]
    assert heard[0].seconds == pytest.approx(0.6, abs=0.041)


def test_another_text_noise_and_tones_are_not_taken_for_it(folder: Path) -> None:
    noise = array.array("h", (random.Random(1).randrange(-3000, 3000) for _ in range(RATE)))
    for recording in (
        read(folder / "other.wav"),
        noise,
        hum(folder, AGENT, 2) + hum(folder, CALLER, 2),
        make_music()[: 3 * RATE],
    ):
        heard = tell(folder, through_telephone(folder, recording), "message")
        assert "message" not in {sound.name for sound in heard}


def test_an_empty_recording_has_no_sounds(folder: Path) -> None:
    assert recognise([], write(folder / "empty.wav", array.array("h")), {"message": folder / "message.wav"}) == []
