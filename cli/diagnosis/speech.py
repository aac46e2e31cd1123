"""Checks of speech: whether the engine speaks, and whether the sounds are there that need none."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cli.daemons import find_program
from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.effective import START
from cli.preflight import INSTALL
from cli.speech.engine import CommandEngine, SpeechError
from cli.speech.sound_file import duration
from routing.transfer_record import Standard

if TYPE_CHECKING:
    from routing.settings import Settings

SECONDS = 9.0
"""How long the engine may take here; in a call it has more time, but a person waits then."""
WORDS = "One, two, three."


def check_speech(settings: Settings) -> list[Finding]:
    """Let the engine say a few words, and look for what is played where it fails."""
    found = [_check_engine(settings)]
    if find_program("ffmpeg") is None:
        found.append(warning("ffmpeg", "it is not installed: sound files of your own cannot be taken in", INSTALL))
    if settings.speech.folder is not None:
        found.append(_check_sounds(Path(settings.speech.folder)))
    return found


def _check_engine(settings: Settings) -> Finding:
    part, speech, began = "speech", settings.speech, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            CommandEngine(speech.command, SECONDS).speak(
                WORDS, speech.language, speech.voice, Path(folder, "words.aiff")
            )
        except SpeechError as error:
            return failed(part, f"{error.text}: the fixed message is heard in the place of each text", error.mend)
    took = time.monotonic() - began
    if took > speech.deadline:
        what = f"three words take {took:.1f} s, which is more than speech.deadline ({speech.deadline:g} s)"
        return warning(part, what, "use a faster engine or voice, see speech.command")
    return ok(part, f"three words are spoken in {took:.2f} s")


def _check_sounds(folder: Path) -> Finding:
    part = "sounds"
    missing = [name for name in Standard if not duration(folder / f"{name}.aiff")]
    if missing:
        what = f"missing in {folder}: {', '.join(missing)}"
        return warning(part, what, f"{START}; if it runs, look at the log of its sidecar")
    return ok(part, f"all {len(Standard)} standard sounds are in {folder}")
