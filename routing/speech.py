"""Texts that are spoken: what may be said, and the name of the file that it is spoken into.

The name is made from everything that the sound depends on, so that whoever needs a sound finds it, or finds that it is
not there yet, without asking anyone.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from routing.texts import BadValue, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.settings_model import Speech
    from routing.transfer_record import Sound, Standard

LONGEST = 1000
"""Characters that a text may have."""


def check_speech(text: str, what: str = "the text") -> str:
    """Check a text that is to be spoken; raises BadValue for control characters, no words or too many."""
    words = check_text(text, what).strip()
    if not words:
        raise BadValue(f"{what} is empty", mend="write what is to be said")
    if len(words) > LONGEST:
        raise BadValue(f"{what} has {len(words)} characters", 413, mend=f"use {LONGEST} at most")
    return words


def fold(text: str) -> str:
    """Put the text of a body, which may have lines, on one line."""
    return " ".join(text.split())


def requests_for(sounds: Iterable[Sound]) -> list[dict[str, str]]:
    """Write down the texts that are to be spoken, as the store brings them to a sidecar."""
    return [{"text": sound.text, "language": sound.language, "voice": sound.voice} for sound in sounds]


def file_of(settings: Speech, sound: Sound | Standard) -> Path:
    """Find the file of a sound, whether it is there or not; `settings.folder` must be known."""
    assert settings.folder is not None, "handoff up sets it"
    folder = Path(settings.folder)
    if isinstance(sound, str):
        return folder / f"{sound}.aiff"
    if sound.file:
        return Path(sound.file)
    language, voice = sound.language or settings.language, sound.voice or settings.voice
    words = f"{settings.command}\0{language}\0{voice}\0{sound.text}"
    return folder / f"{hashlib.blake2b(words.encode(), digest_size=12).hexdigest()}.aiff"


def failure_of(path: Path) -> Path:
    """Find the mark that is there while a text could not be spoken into its file."""
    return path.with_suffix(".failed")
