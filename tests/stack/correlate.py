"""Finding a reference (a message, music) in a recording, whatever codec, gain, resampler and jitter buffer did to it.

    message, recording = read(rendered), read(what_the_target_heard)
    found = locate(recording, message)
    assert found.start == pytest.approx(pause, abs=0.02) and found.part > 0.95

Pieces of 200 ms are sought everywhere in the reference; from a piece that was found the reference is followed frame by
frame in both directions. Each frame may lie some milliseconds off the one before, so slips of a jitter buffer do no
harm. What is shorter than 200 ms is not found here, but by `tests.stack.leaks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.stack.audio import FRAME, RATE, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.stack.audio import Wave

SILENT = 40.0
"""Root mean square, sharpened, below which there is nothing to compare; the noise of G.711 is about 8."""

_PIECE = 10  # frames that are sought everywhere
_SLIP = 200  # samples, 25 ms, that a jitter buffer may leave out or put in
_ALIKE = 0.6  # share of a frame's energy that the reference explains
_SURE = 0.8  # the same of a piece
_STEADY = 10  # frames at an end that tell together where it is: in music one alone may be off by a period
_LOST = 5  # frames in a row without the reference after which it has ended


@dataclass(frozen=True, slots=True)
class Stretch:
    """The reference was heard from `start` to `end` (seconds of the recording), from its second `position` on.

    `score` is the share of the energy that the reference explains (its normalised correlation squared), over the frames
    that sound. Silence at both ends of the reference belongs to it where what is next to it was heard.
    """

    start: float
    end: float
    position: float
    score: float
    frames: tuple[int, ...]
    """Numbers of the 20 ms of the recording in which the reference sounds."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a reference is: its first sample at `start` seconds, and which `part` (0 to 1) of what sounds in it."""

    start: float
    end: float
    score: float
    part: float


def sharpen(sound: Wave) -> Wave:
    """Lift the high frequencies as far as those of speech are lower: else a vowel would be like any other one."""
    return np.append(sound[:1], sound[1:] - np.float32(0.9) * sound[:-1]).astype(np.float32)


def between(sound: Wave) -> tuple[Wave, Wave]:
    """Give a sound, and the same half a sample later: resampling moves it so, and high frequencies show it."""
    fine = resample(sound, RATE, 2 * RATE)
    return fine[::2], fine[1::2]


def locate(recording: Wave, reference: Wave) -> Found | None:
    """Find the longest stretch of a reference that is heard once; None where there is none of 200 ms."""
    found = max(stretches(recording, reference), key=lambda s: len(s.frames), default=None)
    if found is None:
        return None
    sounding = int(np.count_nonzero(_levels(sharpen(reference)) > SILENT))
    part = min(1.0, len(found.frames) / max(1, sounding))
    return Found(found.start - found.position, found.end, found.score, part)


def contains(recording: Wave, reference: Wave) -> NDArray[np.bool_]:
    """Tell of each 20 ms of a recording whether the reference sounds in it, or in half of it at least."""
    told = np.zeros(len(recording) // FRAME, np.bool_)
    for stretch in stretches(recording, reference):
        told[list(stretch.frames)] = True
    return told


def stretches(recording: Wave, reference: Wave) -> list[Stretch]:
    """Find all stretches of a reference, in their order; music that starts anew is a new one."""
    search = _Search(recording, reference)
    found: list[Stretch] = []
    first, free = 0, 0
    while first + _PIECE <= search.count:
        lag = search.seek(first)
        stretch = None if lag is None else search.follow(first, lag, free)
        if stretch is None:
            first += _PIECE // 2
        else:
            found.append(stretch)
            free = stretch.frames[-1] + 1
            first = max(free, first + 1)
    return found


class _Search:
    """A recording and a reference, prepared; a lag is where the reference's first sample is in the recording."""

    def __init__(self, recording: Wave, reference: Wave) -> None:
        self.recording = sharpen(recording)
        self.halves = [sharpen(half) for half in between(reference)]
        self.count, self.length = len(recording) // FRAME, len(reference)
        # A piece may begin before the reference does, or end after it.
        around = [np.pad(half, _PIECE * FRAME) for half in self.halves]
        self._padded = 1 << len(around[0]).bit_length()
        self._spectra = [np.fft.rfft(half, self._padded) for half in around]
        self._energy = np.concatenate(([0.0], np.cumsum(around[0].astype(np.float64) ** 2)))

    def seek(self, first: int) -> int | None:
        """Seek a piece of the recording everywhere in the reference."""
        size = _PIECE * FRAME
        piece = self.recording[first * FRAME : first * FRAME + size]
        own = float(piece @ piece)
        if own < size * SILENT**2:
            return None
        turned = np.conj(np.fft.rfft(piece, self._padded))
        product = np.max([np.fft.irfft(spectrum * turned, self._padded) for spectrum in self._spectra], axis=0)
        product = product[: self.length + size + 1]
        energy = np.maximum(self._energy[size:] - self._energy[:-size], size * SILENT**2)
        shares = np.where(product > 0, product**2 / energy / own, 0)
        best = int(shares.argmax())
        return first * FRAME - (best - size) if shares[best] >= _SURE else None

    def follow(self, first: int, lag: int, free: int) -> Stretch | None:
        """Follow the reference from frame `first` on, and before it as far back as `free`."""
        hits: dict[int, tuple[float, int]] = {}
        ends = self._walk(range(first, self.count), lag, hits)
        starts = self._walk(range(first - 1, free - 1, -1), lag, hits)
        if len(hits) < _PIECE // 2:
            return None
        frames = tuple(sorted(hits))
        lags = [hits[frame][1] for frame in frames]
        head, tail = (int(np.median(some)) for some in (lags[:_STEADY], lags[-_STEADY:]))
        start = max(0, head) if starts else frames[0] * FRAME
        end = min(len(self.recording), tail + self.length) if ends else (frames[-1] + 1) * FRAME
        score = float(np.mean([share for share, _ in hits.values()]))
        return Stretch(start / RATE, end / RATE, (start - head) / RATE, score, frames)

    def _walk(self, frames: range, lag: int, hits: dict[int, tuple[float, int]]) -> bool:
        """Follow the reference in one direction; tell whether it was followed to its end."""
        missed = 0
        for frame in frames:
            position = frame * FRAME - lag
            if position < 0 or position + FRAME > self.length:  # frames at its ends have a bit of others
                return missed < _PIECE // 3  # a jitter buffer that fills or empties garbles up to 60 ms
            here = self._compare(frame, position)
            if here is None:
                continue
            share, slip = here
            missed = 0 if share >= _ALIKE else missed + 1
            if missed > _LOST:
                return False
            if share >= _ALIKE:
                lag -= slip
                hits[frame] = share, lag
        return False

    def _compare(self, frame: int, position: int) -> tuple[float, int] | None:
        """Give the share that the reference explains around a position, and how far it has slipped; None in silence."""
        window = self.recording[frame * FRAME : (frame + 1) * FRAME]
        low, high = position - _SLIP, position + FRAME + _SLIP
        floor, own = FRAME * SILENT**2, float(window @ window)
        shares = np.zeros(2 * _SLIP + 1, np.float32)
        for half in self.halves:
            near = half[max(0, low) : max(0, high)]
            near = np.pad(near, (max(0, -low), high - low - len(near) - max(0, -low)))
            energy = np.convolve(near**2, np.ones(FRAME, np.float32), "valid")
            if max(own, float(energy[_SLIP])) < floor:
                return None
            product = np.maximum(np.correlate(near, window, "valid"), 0)
            shares = np.maximum(shares, product**2 / np.maximum(energy, floor) / max(own, floor))
        best = int(shares.argmax())
        if shares[_SLIP] >= 0.9 * shares[best]:  # a vowel is like itself one period on
            best = _SLIP
        return float(shares[best]), best - _SLIP


def _levels(sound: Wave) -> NDArray[np.float64]:
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)))
