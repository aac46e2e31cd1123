"""Who was heard when, told from recordings made here."""

from __future__ import annotations

import array
import math
import time
import wave
from typing import TYPE_CHECKING

from cli.tones import AGENT, CALLER, TARGET, listen, write_tone

if TYPE_CHECKING:
    from pathlib import Path


def test_two_voices_at_once_pauses_and_strange_sounds_are_named(tmp_path: Path) -> None:
    def samples(hertz: int) -> array.array[int]:
        with wave.open(str(write_tone(tmp_path / "tone.wav", hertz))) as file:
            return array.array("h", file.readframes(8000))

    tones = {"caller": CALLER, "agent": AGENT, "target": TARGET}
    both = array.array("h", (a + b for a, b in zip(samples(CALLER), samples(TARGET), strict=True)))
    recording = samples(AGENT) + samples(0) + both + samples(2000)
    heard = [(round(s.start, 2), round(s.end, 2), s.name) for s in listen(recording, tones, rate=16000)]
    assert heard == [(0, 0.5, "agent"), (0.5, 1, "pause"), (1, 1.5, "caller+target"), (1.5, 2, "unknown")]


def test_a_single_foreign_packet_shows_when_nothing_is_smoothed() -> None:
    def hum(hertz: int, seconds: float) -> array.array[int]:
        count = round(seconds * 16000)
        return array.array("h", (round(8000 * math.sin(2 * math.pi * hertz * i / 16000)) for i in range(count)))

    recording = hum(CALLER, 0.4) + hum(TARGET, 0.02) + hum(CALLER, 0.4)
    tones = {"caller": CALLER, "target": TARGET}
    assert [s.name for s in listen(recording, tones, rate=16000, shortest=0)] == ["caller", "target", "caller"]
    assert [s.name for s in listen(recording, tones, rate=16000)] == ["caller"]


def test_a_minute_is_judged_within_two_seconds() -> None:
    start = time.monotonic()
    listen(array.array("h", [1000, -1000] * 480_000), {"a": 440, "b": 620, "c": 1010, "d": 700}, rate=16000)
    assert time.monotonic() - start < 2
