"""Music and speech in a recording: found by comparing it with the files that were played."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from cli.tones import PAUSE, UNKNOWN, WINDOW, Sound, without_crumbs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Wave: TypeAlias = NDArray[np.float64]

_RATE = 8000  # what telephones carry lies below half of it
_CUTOFF = 3400.0
_SIZE = round(_RATE * WINDOW)
_SLIP = 240  # samples, 30 ms, that a jitter buffer may leave out or put in
_SILENCE = 40.0  # root mean square, after sharpening, below which there is nothing to compare
_ALIKE = 0.6  # share of a window's energy that the file must explain
_LEAST = 10  # such windows from which on a file counts as heard


@dataclass(frozen=True, slots=True)
class _Match:
    """A window of the recording is like a file at the place where it would be; `loud` where there is something."""

    window: int
    loud: bool


def recognise(sounds: Iterable[Sound], recording: Path, files: Mapping[str, Path]) -> list[Sound]:
    """Name what of `files` is heard in a recording; `sounds` is all that `cli.tones.listen` heard in it.

    A file is found where it is heard best, once, from its first sample to where it ends or breaks off, pauses between
    its words included. Borders are right within 20 ms. All have one channel.
    """
    sounds = list(sounds)
    if not sounds:
        return []
    names = [sound.name for sound in sounds for _ in range(round(sound.seconds / WINDOW))]
    heard = _read(recording)
    for name, path in files.items():
        for window in _windows(heard, _read(path), names):
            names[window] = name
    start = sounds[0].start
    named = [Sound(start + i * WINDOW, start + (i + 1) * WINDOW, name) for i, name in enumerate(names)]
    return without_crumbs(named, 0.0)


def _read(path: Path) -> Wave:
    """Read a file, cut down to what a telephone carries, with the high frequencies lifted: vowels are alike else."""
    samples, rate = soundfile.read(path, dtype="int16")
    count = round(len(samples) * _RATE / rate)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    spectrum[round(_CUTOFF * len(samples) / rate) :] = 0
    narrow = np.fft.irfft(spectrum, count) * (count / len(samples))
    return np.append(narrow[:1], narrow[1:] - 0.9 * narrow[:-1])


def _windows(heard: Wave, file: Wave, names: Sequence[str]) -> list[int]:
    """List the windows in which the file is heard; none where it is heard too little to be sure."""
    lag = _lag(heard, file)
    windows = range(max(0, -(-lag // _SIZE)), min(len(names), (lag + len(file)) // _SIZE))
    matches = [match for window in windows if (match := _match(heard, file, window, lag))]
    if sum(match.loud for match in matches) < _LEAST:
        return []
    found = {match.window for match in matches}
    first, last = (next(m.window for m in order if m.loud) for order in (matches, matches[::-1]))
    for here, group in groupby(range(first, last + 1), key=found.__contains__):
        gap = list(group)
        if not here and all(names[window] in {PAUSE, UNKNOWN} for window in gap):
            found.update(gap)
    return sorted(found)


def _lag(heard: Wave, file: Wave) -> int:
    """Find the sample of the recording at which the file begins, if it is in there at all."""
    size = 1 << (len(heard) + len(file)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(file, size)), size)
    best = int(product.argmax())
    return best if best <= len(heard) else best - size


def _match(heard: Wave, file: Wave, window: int, lag: int) -> _Match | None:
    start = window * _SIZE
    here = heard[start : start + _SIZE]
    near = file[max(0, start - lag - _SLIP) : start - lag + _SIZE + _SLIP]
    if len(here) < _SIZE or len(near) < _SIZE:
        return None
    floor = _SIZE * _SILENCE**2
    own = float(here @ here)
    energy = np.convolve(near**2, np.ones(_SIZE), "valid")
    if own < floor and energy.min() < floor:
        return _Match(window, loud=False)
    product = np.correlate(near, here, "valid")
    shares = np.where(product > 0, product**2, 0) / np.maximum(energy, floor) / max(own, floor)
    return _Match(window, loud=True) if shares.max() >= _ALIKE else None
