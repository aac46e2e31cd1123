"""A daemon of the stack as a test needs it: ready when it answers, and to be stopped, killed or frozen at will."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Daemon:
    """One process, its log, and the question that tells whether it is ready."""

    def __init__(
        self, command: list[str], log: Path, ready: Callable[[], bool], env: dict[str, str] | None = None
    ) -> None:
        self.command = command
        self.log = log
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 10.0) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self._env, start_new_session=True)
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{self.command[0]} did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it and wait until it has gone."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """End it and all its processes without warning."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it do nothing for a while: it takes what it is sent, and answers when it is thawed."""
        assert self.process is not None, "it runs"
        os.killpg(self.process.pid, signal.SIGSTOP)
        while not self._stands_still():
            time.sleep(0.001)  # threads that are at work stop a moment later, and would answer what is sent until then
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def _stands_still(self) -> bool:
        assert self.process is not None, "it runs"
        stats = [path.read_text() for path in Path(f"/proc/{self.process.pid}/task").glob("*/stat")]
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it be stopped for a while."""
        self.stop()
        try:
            yield
        finally:
            if self.process is None:
                self.start()
