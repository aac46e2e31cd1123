"""Sound as arrays of numbers, all at 8 kHz: what every codec of a telephone carries, and what the instruments judge."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from cli.phones import State
from tests.stack.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cli.phones import PhoneCall
    from tests.stack.wire import RtpPacket

RATE = 8000
"""Samples per second of every `Wave`."""
FRAME = 160
"""Samples of 20 ms, which is one RTP packet."""

Wave: TypeAlias = NDArray[np.float32]
"""Samples from -32768 to 32767, mono, at RATE."""


def read(path: Path) -> Wave:
    """Read a WAV or AIFF file of any rate; of several channels the first."""
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    return resample(samples[:, 0].astype(np.float32), rate)


def read_recording(call: PhoneCall) -> Wave:
    """Read what a phone heard in a call, once that is over and the phone has written the length into the file."""
    call.wait(State.DISCONNECTED)
    path = call.phone.phones.folder / f"{call.phone.name}.{call.number}.wav"
    System.wait_until(lambda: int.from_bytes(path.read_bytes()[40:44], "little") > 0)
    return read(path)


def write(path: Path, sound: Wave, rate: int = RATE) -> Path:
    """Write a 16-bit mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.clip(resample(sound, RATE, rate), -32768, 32767).astype(np.int16).tobytes())
    return path


def resample(samples: NDArray[np.float32], rate: int, to: int = RATE) -> Wave:
    """Change the rate of samples; what lies above both is faded out, since a sharp edge would ring for milliseconds."""
    if rate == to or not len(samples):
        return samples
    count = round(len(samples) * to / rate)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    hertz = np.arange(len(spectrum)) * rate / len(samples)
    spectrum *= 0.5 + 0.5 * np.cos(np.pi * np.clip(hertz / min(rate, to) * 8 - 3, 0, 1))
    return (np.fft.irfft(spectrum, count) * (count / len(samples))).astype(np.float32)


def tone(hertz: float, seconds: float, *, level: float = 8000, phase: float = 0.0) -> Wave:
    """Make a sine; 8000 is as loud as the phones of the tests hum."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * times + phase)).astype(np.float32)


def silence(seconds: float) -> Wave:
    """Make silence."""
    return np.zeros(round(seconds * RATE), np.float32)


# -- G.711


def _ulaw() -> Wave:
    """What the 256 bytes of PCMU stand for (ITU-T G.711)."""
    byte = ~np.arange(256) & 0xFF
    size = ((((byte & 0x0F) << 3) + 0x84) << (byte >> 4 & 7)) - 0x84
    return np.where(byte & 0x80, -size, size).astype(np.float32)


def _alaw() -> Wave:
    """What the 256 bytes of PCMA stand for (ITU-T G.711)."""
    byte = np.arange(256) ^ 0x55
    segment = byte >> 4 & 7
    size = ((byte & 0x0F) << 4) + np.where(segment, 0x108, 8)
    size <<= np.maximum(segment - 1, 0)
    return np.where(byte & 0x80, size, -size).astype(np.float32)


_DECODED = {0: _ulaw(), 8: _alaw()}


def decode(payload: bytes, payload_type: int) -> Wave:
    """Decode what an RTP packet of PCMU (0) or PCMA (8) carries; KeyError for another payload type."""
    return _DECODED[payload_type][np.frombuffer(payload, np.uint8)]


def encode(sound: Wave, payload_type: int) -> bytes:
    """Encode as PCMU (0) or PCMA (8)."""
    values = _DECODED[payload_type]
    order = np.argsort(values, kind="stable")
    borders = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(borders, sound)].astype(np.uint8).tobytes()


def decode_all(packets: Iterable[RtpPacket]) -> Wave:
    """Decode packets of PCMU and PCMA one after another, in the order given; other payload types are left out."""
    known = [decode(packet.payload, packet.payload_type) for packet in packets if packet.payload_type in _DECODED]
    return np.concatenate(known) if known else silence(0)
