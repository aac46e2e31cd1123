"""What speaks a text into a file: one small interface, and any command line behind it."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Protocol

from cli.daemons import find_program
from cli.speech.sound_file import BadSound, transcode, trim
from routing.texts import shown

SECONDS = 30.0
"""How long an engine may take for one text."""
LONGEST = 600.0
"""Seconds that a spoken text may last: a thousand characters take a minute and a half."""
MEND = "see speech.command, and `handoff doctor`"


class SpeechError(Exception):
    """A text could not be spoken; `text` says why, `mend` what to do, `late` that the engine took too long."""

    def __init__(self, text: str, mend: str = MEND, *, late: bool = False) -> None:
        super().__init__(f"{text}; {mend}")
        self.text = text
        self.mend = mend
        self.late = late


class Engine(Protocol):
    """Speaks texts."""

    def speak(self, text: str, language: str, voice: str, path: Path) -> None:
        """Speak a text into a file that rtpengine plays at once; raises SpeechError.

        The file is there complete or not at all. A `voice` of "" is left to the language.
        """
        ...


class CommandEngine(Engine):
    """Any program that takes a text at its stdin and writes a sound file.

    `template` is its command line with {file}, {voice} and {language}. No shell sees it, and no text is ever a part of
    it. It and all that it starts are killed after `seconds`.
    """

    def __init__(self, template: str, seconds: float = SECONDS) -> None:
        self._words = shlex.split(template)
        self._seconds = seconds

    def speak(self, text: str, language: str, voice: str, path: Path) -> None:
        """Run the program, and convert what it wrote."""
        try:
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as work:
                made, converted = Path(work, "speech.wav"), Path(work, "converted.aiff")
                self._run(text, self._command(language, voice, made), work)
                if not made.exists() or not made.stat().st_size:
                    raise SpeechError(f"{self._words[0]} ended well, but wrote nothing into {{file}}")
                transcode(made, converted, LONGEST)
                trim(converted)
                converted.replace(path)
        except BadSound as error:
            raise SpeechError(f"what {self._words[0]} wrote cannot be used: {error.text}") from error
        except OSError as error:
            mend = "check speech.folder, its access rights and the space there"
            raise SpeechError(f"{path.parent} cannot be written to ({error.strerror})", mend) from error

    def _command(self, language: str, voice: str, file: Path) -> list[str]:
        program = find_program(self._words[0])
        if program is None:
            raise SpeechError(
                f"the speech engine {self._words[0]} is not installed", "run deploy/install.sh, or see speech.command"
            )
        filled = {"{file}": str(file), "{voice}": voice or language, "{language}": language}
        return [program, *(_fill(word, filled) for word in self._words[1:])]

    def _run(self, text: str, command: list[str], work: str) -> None:
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as given:
            given.write(text.encode())
            given.seek(0)
            try:
                status = _run_group(command, given, said, work, self._seconds)
            except OSError as error:
                raise SpeechError(f"{self._words[0]} cannot be run ({error.strerror})") from error
            if status is None:
                raise SpeechError(f"{self._words[0]} was not done in {self._seconds:g} s and was killed", late=True)
            if status:
                said.seek(0)
                lines = said.read(10_000).decode(errors="replace").strip().splitlines()
                words = f": {shown(lines[-1])}" if lines else ""
                raise SpeechError(f"{self._words[0]} ended with status {status}{words}")


def _fill(word: str, filled: dict[str, str]) -> str:
    for placeholder, value in filled.items():
        word = word.replace(placeholder, value)
    return word


def _run_group(command: list[str], given: IO[bytes], said: IO[bytes], folder: str, seconds: float) -> int | None:
    """Run a program in a group of its own and give its status; None when it took too long.

    Nothing of the group is left: not when it ends, and not when the thread that waits for it is no more (the kernel
    sees to that, PR_SET_PDEATHSIG).
    """
    process = subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", *command),
        stdin=given,
        stdout=said,
        stderr=said,
        cwd=folder,
        start_new_session=True,
    )
    try:
        handle = os.pidfd_open(process.pid)
        try:
            ended = bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)
    finally:
        # Not reaped yet, so that the id of the group cannot belong to anybody else.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode if ended else None
