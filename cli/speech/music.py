"""Hold music, made here: soft chords and a few bells that go round without an end.

Everything is a sine with a smooth beginning and a long end, and what sounds beyond the end sounds on at the beginning,
so the loop has no seam. The pitches keep away from those by which `cli.tones` tells voices apart (380 to 620, 1010,
1400 and 1750 Hz): music must not be taken for anybody.
"""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING

from cli.speech import sound_file

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16000
"""Samples per second that are reckoned; those between them lie on straight lines, which soft tones do not mind."""
BAR = 3.0
"""Seconds from one chord to the next."""
PAD_ATTACK, PAD_RELEASE = 1.0, 1.6
BELL_ATTACK, BELL_SECONDS = 0.03, 2.4
PAD_LEVEL, BELL_LEVEL = 1500.0, 1100.0

# Each bar: the notes that are held, and the bells with the time at which each is struck, all as MIDI numbers.
BARS: tuple[tuple[tuple[int, ...], tuple[tuple[float, int], ...]], ...] = (
    ((53, 57, 60), ((0.0, 81), (1.5, 77))),
    ((50, 53, 57, 62), ((0.0, 77), (0.75, 81), (1.5, 86))),
    ((46, 53, 58, 62), ((0.0, 82), (1.5, 77))),
    ((48, 55, 60, 62), ((0.0, 79), (0.75, 86))),
    ((53, 57, 60), ((0.0, 81), (0.75, 77), (1.5, 81))),
    ((50, 57, 62), ((0.0, 86), (1.5, 81))),
    ((55, 58, 62), ((0.0, 82), (0.75, 79), (1.5, 77))),
    ((48, 55, 60), ((0.0, 79), (1.5, 79))),
)


def make_music() -> array.array[int]:
    """Make the whole loop: 24 seconds of 16-bit samples, 16,000 of them a second."""
    total = [0.0] * round(len(BARS) * BAR * RATE)
    for number, (chord, bells) in enumerate(BARS):
        start = number * BAR
        for note in chord:
            _add(total, start, _pad(note))
        for at, note in bells:
            _add(total, start + at, _bell(note))
    return array.array("h", map(round, total))


def write_music(path: Path) -> None:
    """Write the loop into a file."""
    sound_file.write(path, _finer(make_music(), sound_file.RATE // RATE))


def _finer(samples: array.array[int], times: int) -> array.array[int]:
    """Put samples between the samples, and between the last and the first."""
    after = [*samples[1:], samples[0]]
    steps = range(times)
    return array.array("h", [a + (b - a) * i // times for a, b in zip(samples, after, strict=True) for i in steps])


def _add(total: list[float], start: float, sound: list[float]) -> None:
    """Lay a sound over what there is, going round at the end."""
    first, length = round(start * RATE), len(total)
    for at in range(0, len(sound), length):
        _lay(total, (first + at) % length, sound[at : at + length])


def _lay(total: list[float], first: int, sound: list[float]) -> None:
    fits = len(total) - first
    for begin, part in ((first, sound[:fits]), (0, sound[fits:])):
        end = begin + len(part)
        total[begin:end] = [one + other for one, other in zip(total[begin:end], part, strict=True)]


def _pad(note: int) -> list[float]:
    """Hold a note for a bar, rising and falling slowly."""
    seconds = BAR + PAD_RELEASE
    rise = [_ease(i / (PAD_ATTACK * RATE)) for i in range(round(PAD_ATTACK * RATE))]
    fall = [_ease(1 - i / (PAD_RELEASE * RATE)) for i in range(round(PAD_RELEASE * RATE))]
    steady = [1.0] * (round(seconds * RATE) - len(rise) - len(fall))
    return _sine(note, PAD_LEVEL, [*rise, *steady, *fall])


def _bell(note: int) -> list[float]:
    """Strike a note softly and let it fade."""
    count = round(BELL_SECONDS * RATE)
    shape = [math.exp(-3.0 * i / count) * min(1.0, i / (BELL_ATTACK * RATE)) for i in range(count)]
    return _sine(note, BELL_LEVEL, [level * _ease(4 * (1 - i / count)) for i, level in enumerate(shape)])


def _ease(part: float) -> float:
    """Go from 0 to 1 without a corner."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, part))


def _sine(note: int, level: float, shape: list[float]) -> list[float]:
    step = 2 * math.pi * 440.0 * 2 ** ((note - 69) / 12) / RATE
    return [level * loud * math.sin(step * i) for i, loud in enumerate(shape)]
