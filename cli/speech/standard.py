"""The sounds that every node has at hand: hold music, and what handoff says in its own words.

They are made from the settings when the sidecar starts. Where the engine fails, those made at installation take their
place, so that there is always something to be heard. `python -m cli.speech.standard FOLDER` makes those.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.speech.convert import take_in
from cli.speech.engine import CommandEngine, SpeechError
from cli.speech.music import write_music
from cli.speech.sound_file import BadSound, duration
from routing.settings import Speech, Transfer
from routing.transfer_record import Standard

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.speech.engine import Engine

INSTALLED = Path(sys.prefix, "share", "handoff", "sounds")
"""The sounds made at installation, in English."""
LIST = "standard.json"
"""Tells what the standard sounds of a folder were made from, and the process that saw to them last."""
LONGEST_MUSIC = 3600.0
PATIENCE = 10.0
"""Seconds after which a start no longer waits for the engine: what there is by then will do."""
SOME_KEY = "the agreed key"
"""What the standard prompt says in the place of a key, since it is for all of them."""


def texts(speech: Speech, transfer: Transfer) -> dict[Standard, str]:
    """Give the texts of all standard sounds but the music."""
    return {
        Standard.MESSAGE: speech.message,
        Standard.PROMPT: speech.prompt.replace("{key}", SOME_KEY),
        Standard.GOODBYE: speech.goodbye,
        Standard.CALLER_GONE: speech.caller_gone,
        Standard.APOLOGY: transfer.apology,
    }


class StandardSounds:
    """Makes the standard sounds of a folder; each that fails is told to `say` in one line."""

    def __init__(
        self, folder: Path, speech: Speech, transfer: Transfer, engine: Engine, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._speech = speech
        self._transfer = transfer
        self._engine = engine
        self._say = say
        self._made: dict[str, str] = {}
        self._ready = False
        self._lock = threading.Lock()

    def make(self, patience: float = PATIENCE) -> None:
        """Make those that are missing or made from something else; return when all are there in some form.

        What takes longer than `patience` seconds goes on in the background: until it is done the sounds are those made
        at installation.
        """
        before = read_list(self._folder).get("sounds", {})
        wanted = {name: self._mark(name) for name in Standard}
        self._made = {name: mark for name, mark in wanted.items() if before.get(name) == mark and self._is_there(name)}
        missing = [name for name in Standard if name not in self._made]
        for name in missing:
            self._put_installed(name)
        threads = [threading.Thread(target=self._make, args=(name, wanted[name]), daemon=True) for name in missing]
        until = time.monotonic() + patience
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._ready = True
        self._write_list()
        if late := [name for name, thread in zip(missing, threads, strict=True) if thread.is_alive()]:
            self._say(f"the speech engine is slow: {', '.join(late)} not made in {patience:g} s; it goes on")

    def _make(self, name: Standard, mark: str) -> None:
        try:
            self._render(name, self._folder / f"{name}.aiff")
        except (SpeechError, BadSound, OSError) as error:
            self._say(f"speech failed sound={name}: {error}")
            return
        self._made[name] = mark
        if self._ready:
            self._write_list()

    def _render(self, name: Standard, path: Path) -> None:
        if name is not Standard.MUSIC:
            text = texts(self._speech, self._transfer)[name]
            self._engine.speak(text, self._speech.language, self._speech.voice, path)
        elif self._transfer.music is not None:
            take_in(Path(self._transfer.music), path, LONGEST_MUSIC)
        elif not self._put_installed(name):
            make_music_file(path)

    def _put_installed(self, name: Standard) -> bool:
        """Copy the sound made at installation; without one, what there is stays."""
        source = INSTALLED / f"{name}.aiff"
        if not source.is_file():
            return False
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".making-") as work:
            Path(shutil.copyfile(source, Path(work, source.name))).replace(self._folder / source.name)
        return True

    def _is_there(self, name: Standard) -> bool:
        return (self._folder / f"{name}.aiff").is_file()

    def _mark(self, name: Standard) -> str:
        """Give a short text that changes with all that a sound is made from."""
        if name is Standard.MUSIC:
            music = self._transfer.music
            from_what = [music, Path(music).stat().st_mtime if music and Path(music).exists() else 0]
        else:
            speech = self._speech
            from_what = [texts(speech, self._transfer)[name], speech.command, speech.language, speech.voice]
        return hashlib.blake2b(json.dumps(from_what).encode(), digest_size=8).hexdigest()

    def _write_list(self) -> None:
        with self._lock:
            work = self._folder / f".{LIST}.{os.getpid()}"
            work.write_text(json.dumps({"pid": os.getpid(), "sounds": dict(self._made)}))
            work.replace(self._folder / LIST)


def read_list(folder: Path) -> dict[str, Any]:
    """Read what was made from what, and by whom; nothing where nobody can tell."""
    try:
        data = json.loads((folder / LIST).read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def is_ready(folder: Path, pid: int) -> bool:
    """Say whether the sidecar with this process id has seen to the standard sounds."""
    return read_list(folder).get("pid") == pid


def make_music_file(path: Path) -> None:
    """Write the hold music to its place."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as work:
        made = Path(work, path.name)
        write_music(made)
        made.replace(path)


def install(folder: Path, engine: Engine, speech: Speech, transfer: Transfer) -> None:
    """Make the sounds of an installation that are missing; raises SpeechError."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[Standard, str | None] = {Standard.MUSIC: None, **texts(speech, transfer)}
    for name, text in wanted.items():
        path = folder / f"{name}.aiff"
        if duration(path):
            continue
        if text is None:
            make_music_file(path)
        else:
            engine.speak(text, speech.language, speech.voice, path)


def main() -> None:
    """Make the sounds of an installation in the folder that is named."""
    (folder,) = sys.argv[1:]
    speech = Speech()
    try:
        install(Path(folder), CommandEngine(speech.command), speech, Transfer())
    except SpeechError as error:
        sys.exit(f"the standard sounds cannot be made: {error}")


if __name__ == "__main__":
    main()
