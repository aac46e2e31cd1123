"""Tones as voices: each phone hums its own, and a recording tells who was heard when.

A tone is one sine of a whole number of hertz, so that one second of it loops without a click and survives G.711 and
G.722. No tone may be a harmonic of another one: a codec's distortion would be heard as somebody else.
"""

from __future__ import annotations

import array
import math
import wave
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

RATE = 16000
"""Samples per second of all voices and recordings: what G.722 carries."""

WINDOW = 0.02
"""Seconds judged at a time: one RTP packet."""

CALLER, AGENT, TARGET = 440, 620, 1010
"""Hertz of the three parties."""

PAUSE = "pause"
UNKNOWN = "unknown"

_LOUDNESS = 8000
_SILENCE = 150.0  # mean amplitude below which nobody speaks; line noise of G.711 is about 8
_PRESENT = 0.12  # share of the energy from which on a tone counts as heard
_NAMED = 0.5  # share of the energy that the tones must explain together
_DECIMATION = 2  # the tones lie far below 4 kHz: every other sample is enough


@dataclass(frozen=True, slots=True)
class Sound:
    """What was heard from `start` to `end` (seconds of the recording, or of `time.time()` where that is said).

    `name` is a name of a tone, several joined by `+` (in order of their names), `pause`, or `unknown`.
    """

    start: float
    end: float
    name: str

    @property
    def seconds(self) -> float:
        """How long it was heard, in seconds."""
        return self.end - self.start


def write_tone(path: Path, hertz: int, *, rate: int = RATE) -> Path:
    """Write one second of a sine to a 16-bit mono WAV file that loops without a click; 0 Hz is silence."""
    wheel = [round(_LOUDNESS * math.sin(2 * math.pi * hertz * i / rate)) for i in range(rate)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array.array("h", wheel).tobytes())
    return path


def listen(samples: Sequence[int], tones: Mapping[str, int], *, rate: int, shortest: float = 0.05) -> list[Sound]:
    """Tell who is heard when in `samples` (16-bit mono), by the `tones` given as name to hertz.

    Times are seconds from the first sample. What lasts less than `shortest` seconds is given to the sound before it (a
    window in which one voice follows another has a bit of both); 0 shows every window of 20 ms.
    """
    sounds: list[Sound] = []
    for index, name in enumerate(_windows(samples, tones, rate)):
        start, end = index * WINDOW, (index + 1) * WINDOW
        if sounds and sounds[-1].name == name:
            sounds[-1] = Sound(sounds[-1].start, end, name)
        else:
            sounds.append(Sound(start, end, name))
    return without_crumbs(sounds, shortest)


def _windows(samples: Sequence[int], tones: Mapping[str, int], rate: int) -> Iterator[str]:
    """Name each window of the recording."""
    rate //= _DECIMATION
    thin = samples[::_DECIMATION]
    size = round(rate * WINDOW)
    probes = {name: _probe(hertz, rate, size) for name, hertz in sorted(tones.items())}
    for start in range(0, len(thin) - size + 1, size):
        yield _name(thin[start : start + size], probes)


_Probe = tuple[list[float], list[float]]


def _probe(hertz: int, rate: int, size: int) -> _Probe:
    """Sine and cosine that a window is multiplied with: the Goertzel filter written as two sums."""
    angles = [2 * math.pi * hertz * i / rate for i in range(size)]
    return [math.cos(a) for a in angles], [math.sin(a) for a in angles]


def _name(window: Sequence[int], probes: Mapping[str, _Probe]) -> str:
    energy = sum(map(mul, window, window))
    if energy < len(window) * _SILENCE**2:
        return PAUSE
    shares = {}
    for name, (cosine, sine) in probes.items():
        power = sum(map(mul, window, cosine)) ** 2 + sum(map(mul, window, sine)) ** 2
        shares[name] = 2 * power / (len(window) * energy)
    heard = [name for name, share in shares.items() if share >= _PRESENT]
    return "+".join(heard) if sum(shares[name] for name in heard) >= _NAMED else UNKNOWN


def without_crumbs(sounds: Iterable[Sound], shortest: float) -> list[Sound]:
    """Give sounds that are too short to mean anything to the one before them, and join equal neighbours."""
    joined: list[Sound] = []
    for sound in sounds:
        if joined and (sound.seconds < shortest - WINDOW / 10 or sound.name == joined[-1].name):
            joined[-1] = Sound(joined[-1].start, sound.end, joined[-1].name)
        else:
            joined.append(sound)
    return joined
