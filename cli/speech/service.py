"""Speaks what is asked for: a few threads, so that one slow text does not hold up the others."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.speech.engine import SpeechError
from routing.settings_fields import check_voice
from routing.speech import check_speech, failure_of, file_of
from routing.texts import BadValue
from routing.transfer_record import Sound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cli.speech.cache import Cache
    from cli.speech.engine import Engine
    from routing.settings import Speech

THREADS = 4
WAITING = 100
"""Texts that wait here at most; the others wait in Redis, which drops the oldest."""


@dataclass(frozen=True, slots=True)
class Job:
    """A text and the file it is to be spoken into."""

    text: str
    language: str
    voice: str
    path: Path


class SpeechService:
    """Speaks texts into the files where the calls look for them.

    `say` gets a line for each that fails, `observe` the outcome of each request and its seconds: "ok", "cached" (it was
    there), "failed", or "late" (the engine took too long).
    """

    def __init__(
        self,
        settings: Speech,
        engine: Engine,
        cache: Cache,
        *,
        say: Callable[[str], None],
        observe: Callable[[str, float], None],
        threads: int = THREADS,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._cache = cache
        self._say = say
        self._observe = observe
        self._jobs: queue.Queue[Job] = queue.Queue(WAITING)
        self._pending: set[Path] = set()
        self._lock = threading.Lock()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"speech-{number}", daemon=True).start()

    def ask(self, request: Mapping[str, Any]) -> None:
        """Have a text spoken, unless its file is there or being made; waits while too many are before it."""
        try:
            job = self._read(request)
        except BadValue as error:
            self._say(f"speech failed: {error}")
            self._observe("failed", 0.0)
            return
        with self._lock:
            if job.path in self._pending:
                return
            if self._cache.use(job.path):
                self._observe("cached", 0.0)
                return
            self._pending.add(job.path)
        self._jobs.put(job)

    def wait(self) -> None:
        """Wait until everything asked for is done."""
        self._jobs.join()

    def _read(self, request: Mapping[str, Any]) -> Job:
        values = {name: request.get(name) or "" for name in ("text", "language", "voice")}
        if not all(isinstance(value, str) for value in values.values()):
            raise BadValue("the request is not made of texts", mend="let all nodes run the same version")
        text = check_speech(values["text"])
        language, voice = check_voice(values["language"]), check_voice(values["voice"])
        # The file is named after the text as it was asked for: that is where it is looked for.
        path = file_of(self._settings, Sound(text=values["text"], language=language, voice=voice))
        return Job(text, language or self._settings.language, voice or self._settings.voice, path)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._speak(job)
            finally:
                with self._lock:
                    self._pending.discard(job.path)
                self._jobs.task_done()

    def _speak(self, job: Job) -> None:
        began = time.monotonic()
        outcome = "ok"
        failure_of(job.path).unlink(missing_ok=True)
        try:
            self._engine.speak(job.text, job.language, job.voice, job.path)
            self._cache.added(job.path)
        except SpeechError as error:
            outcome = "late" if error.late else "failed"
            self._tell(job, str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live on; the person hears the fixed message
            outcome = "failed"
            self._tell(job, f"{type(error).__name__}: {error}; this is a fault of handoff: please report it")
        self._observe(outcome, time.monotonic() - began)

    def _tell(self, job: Job, why: str) -> None:
        """Mark the failure, so that no call waits in vain, and write one line; the text may be confidential."""
        with contextlib.suppress(OSError):  # a full disk, perhaps: then calls wait
            failure_of(job.path).touch()
        voice = f"language={job.language} voice={job.voice or job.language}"
        self._say(f"speech failed file={job.path.name} {voice} characters={len(job.text)}: {why}")
