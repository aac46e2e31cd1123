"""Sound through a telephone's codec and back, by ffmpeg."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.stack.audio import read, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.audio import Wave

CODECS = {
    "PCMU": ("coded.wav", ("-ar", "8000", "-c:a", "pcm_mulaw")),
    "PCMA": ("coded.wav", ("-ar", "8000", "-c:a", "pcm_alaw")),
    "G722": ("coded.g722", ("-ar", "16000", "-c:a", "g722")),
    "opus": ("coded.ogg", ("-c:a", "libopus", "-b:a", "24k", "-application", "voip")),
}


def through(codec: str, sound: Wave, folder: Path) -> Wave:
    """Encode and decode a sound."""
    name, options = CODECS[codec]
    source, coded, result = write(folder / "source.wav", sound, 16000), folder / name, folder / "result.wav"
    for command in ([source, *options, coded], [coded, "-ac", "1", "-c:a", "pcm_s16le", result]):
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", *map(str, command)], check=True)
    return read(result)
