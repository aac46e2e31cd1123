"""Finding 20 ms of a sound where it must not be.

    assert leaked(read(what_the_caller_heard), message, allowed=(AGENT, music)) == []
    assert "agent" not in who(caller_voice.packets(since=held), {"agent": AGENT, "music": music})

A sound is a tone, given in hertz, or a `Wave`, of which any 20 ms may leak. Windows of 15 ms, so that one lies wholly
within a leak of 20 ms, are compared with every place of the sound. A window that is like it is a leak, unless one of
the sounds that are `allowed` explains it nearly as well: 15 ms of a vowel are like another vowel of the same voice.

What cannot be found: places where the sound itself is silent (below about -50 dBFS), and a sound that is covered by
another one which is louder than half its level: mixed sounds are found only where the leak is the loud one. (A leaked
RTP packet takes the place of another packet, or stands beside it: nobody mixes.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tests.stack.audio import FRAME, RATE, Wave, decode
from tests.stack.correlate import SILENT, between, sharpen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tests.stack.wire import RtpPacket

Sound: TypeAlias = float | Wave
"""A tone in hertz, or samples."""

PAUSE = "pause"
UNKNOWN = "unknown"

_WINDOW = 120  # samples, 15 ms
_HOP = 40  # samples, 5 ms
_ALIKE = 0.75  # share of a window's energy that a sound explains
_CLICK = 8  # samples, 1 ms
_CLEARER = 0.4  # of what the allowed sounds leave unexplained, a leak leaves so much at most
_ROWS, _COLUMNS = 512, 4096  # windows and places that are compared at a time

_Windows: TypeAlias = NDArray[np.float32]
_Shares: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Leak:
    """A sound was heard where it must not be, from `start` seconds of the recording on.

    The edges are right within 15 ms: a leak of 20 ms is shown as one of 15 to 50.
    """

    start: float
    milliseconds: float
    share: float

    @property
    def end(self) -> float:
        """When it was over, in seconds of the recording."""
        return self.start + self.milliseconds / 1000


def leaked(recording: Wave, sound: Sound, *, allowed: Collection[Sound] = ()) -> list[Leak]:
    """Find every place of a recording at which 20 ms or more of a sound are heard."""
    if len(recording) < _WINDOW:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(sharpen(recording), _WINDOW)[::_HOP]
    shares = _shares(windows, sound)
    likely = np.flatnonzero(shares >= _ALIKE)
    if len(likely) and allowed:
        likely = likely[_clearly(windows[likely], shares[likely], allowed)]
    leaks: list[Leak] = []
    end = -1
    for index in map(int, likely):
        if index * _HOP > end:
            first = index
        end = index * _HOP + _WINDOW
        share = float(shares[first : index + 1].max())
        leaks[len(leaks) - (first != index) :] = [Leak(first * _HOP / RATE, 1000 * (end - first * _HOP) / RATE, share)]
    return leaks


def who(packets: Iterable[RtpPacket], sounds: Mapping[str, Sound]) -> list[str]:
    """Tell who is in each packet of PCMU or PCMA: one of `sounds`, `pause` or `unknown`; frame by frame, exactly."""
    frames = np.array([_frame(packet) for packet in packets], np.float32).reshape(-1, FRAME)
    shares = np.array([_shares(frames, sound) for sound in sounds.values()]).reshape(len(sounds), len(frames))
    names = [*sounds, UNKNOWN]
    best = np.where(shares.max(axis=0, initial=0) >= _ALIKE, shares.argmax(axis=0) if len(sounds) else 0, len(sounds))
    silent = (frames**2).mean(axis=1) < SILENT**2
    return [PAUSE if quiet else names[index] for quiet, index in zip(silent, best, strict=True)]


def _frame(packet: RtpPacket) -> Wave:
    samples = sharpen(decode(packet.payload, packet.payload_type))
    samples[0] = 0  # what was before it is in another packet
    return np.pad(samples, (0, max(0, FRAME - len(samples))))[:FRAME]


def _clearly(windows: _Windows, shares: _Shares, allowed: Iterable[Sound]) -> NDArray[np.bool_]:
    """Tell which windows are clearly more like the sound than like all that is allowed."""
    tones = [sound for sound in allowed if not isinstance(sound, np.ndarray)]
    explained = _tones_share(windows, tones)
    for sound in allowed:
        if isinstance(sound, np.ndarray):
            explained = np.maximum(explained, _shares(windows, sound))
    return np.asarray(1 - shares < _CLEARER * (1 - explained), np.bool_)


def _shares(windows: _Windows, sound: Sound) -> _Shares:
    """Give the share of each window's energy that a sound explains, at the place where it explains most."""
    if isinstance(sound, np.ndarray):
        return _wave_share(windows, sound)
    return (_most(windows, [sound]) / _energy(windows)).astype(np.float32)


def _energy(windows: _Windows) -> NDArray[np.float32]:
    energy: NDArray[np.float32] = np.maximum((windows**2).sum(axis=1), windows.shape[1] * SILENT**2)
    return energy


def _wave_share(windows: _Windows, sound: Wave) -> _Shares:
    size = windows.shape[1]
    best = np.zeros(len(windows), np.float32)
    loud = np.flatnonzero((windows**2).sum(axis=1) > size * SILENT**2)
    for half in between(sound):
        places = np.lib.stride_tricks.sliding_window_view(sharpen(half), size)
        for column, row in product(range(0, len(places), _COLUMNS), range(0, len(loud), _ROWS)):
            some, rows = places[column : column + _COLUMNS], loud[row : row + _ROWS]
            found = (windows[rows] @ some.T) / np.sqrt(_energy(some))
            best[rows] = np.maximum(best[rows], found.max(axis=1))
    return (best**2 / _energy(windows)).astype(np.float32)


def _sines(hertz: float, size: int) -> NDArray[np.float32]:
    angles = 2 * np.pi * hertz * np.arange(size) / RATE
    return np.array([np.cos(angles), np.sin(angles)], np.float32)


def _tones_share(windows: _Windows, tones: Collection[float]) -> _Shares:
    """Give the share that allowed tones explain: any up to a moment in the window, and any after it.

    The moment itself is left out: one sine that breaks off and another one that sets in are a click, as in a voice.
    """
    size = windows.shape[1]
    least = np.full(len(windows), np.inf)
    for cut in range(-_CLICK, size + 1, _CLICK // 2):
        sides = [windows[:, : max(0, cut)], windows[:, cut + _CLICK :]]
        least = np.minimum(least, sum((side**2).sum(axis=1) - _most(side, tones) for side in sides))
    return (1 - least / _energy(windows)).astype(np.float32)


def _most(windows: _Windows, tones: Collection[float]) -> NDArray[np.float32]:
    """Give the energy that one of the tones explains at most."""
    most = np.zeros(len(windows), np.float32)
    if windows.shape[1] > _CLICK:
        for hertz in tones:
            base = np.linalg.qr(_sines(hertz, windows.shape[1]).T)[0]
            most = np.maximum(most, ((windows @ base) ** 2).sum(axis=1))
    return most
