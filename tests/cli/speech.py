"""Speech engines and sounds for tests."""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING

import soundfile

from cli.speech.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ESPEAK = "espeak-ng -b 1 -v {voice} --stdin -w {file}"


def write_hum(path: Path, seconds: float = 0.5, *, rate: int = 48000, channels: int = 1) -> Path:
    """Write a hum, in the format that the suffix tells."""
    hum = [round(8000 * math.sin(2 * math.pi * 300 * i / rate)) for i in range(round(seconds * rate))]
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16", "LITTLE") as file:
        file.buffer_write(array.array("h", [sample for sample in hum for _ in range(channels)]), dtype="int16")
    return path


def script(folder: Path, lines: str) -> str:
    """Make a speech engine of a shell script, which gets the file as $1; give its template."""
    path = folder / "engine.sh"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return f"{path} {{file}}"


class ScriptedEngine(Engine):
    """Speaks by a function of the test; keeps what it was asked."""

    def __init__(self, speak: Callable[[str, Path], object] = lambda _, path: write_hum(path)) -> None:
        self._speak = speak
        self.asked: list[tuple[str, str, str]] = []

    def speak(self, text: str, language: str, voice: str, path: Path) -> None:
        self.asked.append((text, language, voice))
        self._speak(text, path)
