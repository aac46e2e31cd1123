"""Sound files as rtpengine plays them for sure and at once: little-endian AIFF with 16-bit samples, one channel.

Such samples in a WAV file are played as well, but newer versions of libavformat examine the whole of it first, for 5 ms
of CPU per second: DTS might be in it.
"""

from __future__ import annotations

import array
import errno
import subprocess
from typing import TYPE_CHECKING

import soundfile

from cli.daemons import find_program

if TYPE_CHECKING:
    from pathlib import Path

RATE = 48000
"""Samples per second of every sound: rtpengine sends its packets evenly at this rate, and in bursts at lower ones."""
SILENT = 100
"""Samples up to this are no voice: -50 dB."""
MARGIN = 0.02
"""Seconds that are left around the voice."""
FFMPEG_SECONDS = 60.0


class BadSound(Exception):
    """A file cannot be made into a sound that is played; `text` says why, and `mend` what to do."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(f"{text}; {mend}")
        self.text = text
        self.mend = mend


def duration(path: Path) -> float:
    """Measure a file that is as all sounds are to be, in seconds; 0 for any other file."""
    try:
        found = soundfile.info(path)
    except soundfile.SoundFileError:
        return 0.0
    form = (found.format, found.subtype, found.endian, found.channels, found.samplerate)
    return float(found.duration) if form == ("AIFF", "PCM_16", "LITTLE", 1, RATE) else 0.0


def read(path: Path) -> array.array[int]:
    """Read the samples of a file that `duration` knows."""
    with soundfile.SoundFile(path) as file:
        return array.array("h", bytes(file.buffer_read(dtype="int16")))


def write(path: Path, samples: array.array[int]) -> None:
    """Write samples, RATE of them a second; raises OSError."""
    try:
        # Never into memory: the callbacks for that need what MemoryDenyWriteExecute of the service forbids.
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", "LITTLE", "AIFF") as file:
            file.buffer_write(samples, dtype="int16")
    except soundfile.SoundFileError as error:
        raise OSError(errno.EIO, "perhaps the disk is full", str(path)) from error


def trim(path: Path) -> None:
    """Take the silence off both ends of a file that `duration` knows: pauses are what the settings say."""
    samples = read(path)
    loud = [place for place, sample in enumerate(samples) if abs(sample) > SILENT]
    if not loud:
        return  # then it is the engine's way of saying nothing
    margin = round(MARGIN * RATE)
    write(path, samples[max(0, loud[0] - margin) : loud[-1] + margin])


def transcode(source: Path, into: Path, longest: float) -> None:
    """Make such a file of anything that ffmpeg reads; raises BadSound, also for more than `longest` seconds."""
    ffmpeg = find_program("ffmpeg")
    if ffmpeg is None:
        raise BadSound("ffmpeg, which reads such files, is not installed", "run deploy/install.sh")
    # Playlists are sound files too: they may name local files only, and "file:" keeps - and : from meaning anything.
    command = [ffmpeg, "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file", "-i", f"file:{source}"]
    command += ["-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-c:a", "pcm_s16le", "-bitexact"]
    command += ["-t", f"{longest + 1:g}", "-f", "aiff", f"file:{into}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=FFMPEG_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BadSound(f"ffmpeg was not done with it in {FFMPEG_SECONDS:g} s", "give a shorter file") from None
    except OSError as error:
        raise BadSound(f"ffmpeg cannot be run ({error.strerror})", "run deploy/install.sh") from error
    if done.returncode or not into.exists():
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1].replace(str(source), source.name)[:200] if said else f"status {done.returncode}"
        raise BadSound(f"it is no sound that ffmpeg can read ({why})", "give a WAV, FLAC, Ogg or MP3 file")
    seconds = duration(into)
    if not seconds:
        raise BadSound("there is no sound in it", "give a file in which something is heard")
    if seconds > longest:
        raise BadSound(f"it lasts longer than {longest:g} s", "give a shorter file")
