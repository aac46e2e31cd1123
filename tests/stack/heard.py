"""What a party heard, one sound after another: silence, the message, silence, the caller.

    heard = phases(read(recording), {"message": message, "caller": CALLER})
    assert [phase.name for phase in heard] == ["pause", "message", "pause", "caller"]
    assert heard[2].seconds == pytest.approx(pause_after, abs=0.1)

A file is found by correlation and lasts from its first sample to its last one, with the silence at its ends and between
its words, when these were played; a tone is told by its frequency, in frames of 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cli.tones import PAUSE, UNKNOWN, listen
from tests.stack.audio import FRAME, RATE
from tests.stack.correlate import stretches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack.audio import Wave
    from tests.stack.leaks import Sound

SHORTEST = 0.05
"""Seconds that a phase lasts at least: a frame in which one voice follows another has a bit of both."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Something was heard from `start` to `end`, in seconds of the recording: a name, `pause` or `unknown`."""

    name: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was heard."""
        return self.end - self.start


def phases(recording: Wave, sounds: Mapping[str, Sound], *, shortest: float = SHORTEST) -> list[Phase]:
    """Tell what was heard one after another; borders are right within 20 ms.

    What lasts less than `shortest` seconds is given to the phase before it. Files go before tones where both are heard.
    """
    files = _files(recording, {name: sound for name, sound in sounds.items() if isinstance(sound, np.ndarray)})
    tones = {name: round(sound) for name, sound in sounds.items() if not isinstance(sound, np.ndarray)}
    heard: list[Phase] = []
    at = 0.0
    for phase in [*files, Phase("", len(recording) / RATE, 0.0)]:
        heard += _tones(recording, at, phase.start, tones)
        if phase.name:
            heard.append(phase)
            at = phase.end
    return _joined(heard, shortest)


def _files(recording: Wave, files: Mapping[str, Wave]) -> list[Phase]:
    """Find the files; a file that starts while another one is still heard takes its place."""
    found = sorted(
        (
            Phase(name, stretch.start, stretch.end)
            for name, file in files.items()
            for stretch in stretches(recording, file)
        ),
        key=lambda phase: phase.start,
    )
    ends = [after.start for after in found[1:]] + [len(recording) / RATE]
    return [Phase(p.name, p.start, max(p.start, min(p.end, end))) for p, end in zip(found, ends, strict=True)]


def _tones(recording: Wave, start: float, end: float, tones: Mapping[str, int]) -> list[Phase]:
    """Tell the tones between two moments, by the frames between them."""
    first, last = round(start * RATE), round(end * RATE)
    if last <= first:
        return []
    part = np.pad(recording[first:last], (0, -(last - first) % FRAME), "edge").astype(int).tolist()
    heard = listen(part, tones, rate=RATE, shortest=0)
    return [Phase(s.name, start + s.start, min(end, start + s.end)) for s in heard]


def _joined(heard: list[Phase], shortest: float) -> list[Phase]:
    """Give what is too short to the phase before it, and join equal neighbours."""
    joined: list[Phase] = []
    for phase in heard:
        if joined and (phase.seconds < shortest or phase.name == joined[-1].name):
            joined[-1] = Phase(joined[-1].name, joined[-1].start, phase.end)
        else:
            joined.append(phase)
    if len(joined) > 1 and joined[0].seconds < shortest:  # nothing is before it
        joined[:2] = [Phase(joined[1].name, joined[0].start, joined[1].end)]
    return joined


__all__ = ["PAUSE", "UNKNOWN", "Phase", "phases"]
