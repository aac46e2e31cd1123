"""Keeps one program running: starts it again when it dies, passes its log on, and stops it for good.

Each program is the leader of its own process group. Ctrl-C at the terminal does not reach it, so that the order of
stopping is ours; and when the leader is gone, so is the rest of its group. When we are killed ourselves, the kernel
sends SIGTERM to it (PR_SET_PDEATHSIG, which follows the thread that started the program: one thread stays for each).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
STEADY = 10.0
"""Seconds after which a program that dies is started again as if for the first time."""
KEPT_LINES = 40
OURS = "NOTIFY_SOCKET"
"""Not handed on: Redis and rtpengine would tell systemd that they are ready, in our name."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    `pick` makes of a log line the one that the operator sees, or "" for none; `patience` is the seconds from SIGTERM
    to SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    pick: Callable[[str], str] = str
    patience: float = 5.0


class Daemon:
    """One program that is kept running from `start` until `stop`.

    `say(source, line)` is called from threads of its own: with what the program logs, and with what happens to it
    (then the source is "handoff").
    The file descriptors `inherited` stay open in the program: locks that are held for as long as it runs.
    """

    def __init__(self, program: Program, say: Callable[[str, str], None], *, inherited: Collection[int] = ()) -> None:
        self.program = program
        self._say = say
        self._inherited = tuple(inherited)
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._deaths: deque[float] = deque(maxlen=KEPT_LINES)
        self._stopping = threading.Event()
        self._tried = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid: int | None = None

    @property
    def name(self) -> str:
        """The name of the program."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """The process id, and that of the process group; None while the program does not run."""
        return self._pid

    @property
    def lines(self) -> list[str]:
        """The newest log lines, those that are not shown too."""
        return list(self._lines)

    def deaths(self, within: float) -> int:
        """Count how often it died by itself in the last seconds."""
        since = time.monotonic() - within
        return sum(1 for at in self._deaths.copy() if at >= since)

    def start(self) -> None:
        """Start it, and return when there is a process; what goes wrong is a death like any other."""
        self._stopping.clear()
        self._tried.clear()
        self._deaths.clear()
        self._thread = threading.Thread(target=self._keep, name=self.name, daemon=True)
        self._thread.start()
        self._tried.wait()

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL when its patience has passed; return when nothing of it is left."""
        if self._thread is None:
            return
        self._stopping.set()
        self._signal(signal.SIGTERM)
        self._thread.join(self.program.patience)
        if self._thread.is_alive():
            self._tell(f"has not ended within {self.program.patience:g} s: killing it")
            self._signal(signal.SIGKILL)
            self._thread.join()
        self._thread = None

    def _tell(self, what: str) -> None:
        self._say("handoff", f"{self.name} {what}")

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._pid is not None:
                send = os.killpg if number is signal.SIGKILL else os.kill
                send(self._pid, number)

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            how = self._run()
            if self._stopping.is_set():
                return
            now = time.monotonic()
            self._deaths.append(now)
            pause = FIRST_PAUSE if now - began > STEADY or len(self._deaths) == 1 else min(2 * pause, LONGEST_PAUSE)
            self._tell(f"{how}: starting it again in {pause:g} s")
            self._stopping.wait(pause)

    def _run(self) -> str:
        """Run it once; tell how it ended."""
        with self._lock:
            if self._stopping.is_set():
                return "was not started"
            try:
                process = self._spawn()
                self._pid = process.pid
            except OSError as error:
                self._lines.append(f"cannot be started: {error}")
                return f"cannot be started ({error.strerror})"
            finally:
                self._tried.set()
        assert process.stdout
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Not reaped yet, so that the id of the group cannot belong to anybody else. Workers that have lost their
        # leader would keep its ports; the log ends when the last of them is gone.
        os.killpg(process.pid, signal.SIGKILL)
        reader.join()
        with self._lock:
            self._pid = None
            status = process.wait()
        return f"was ended by {_name(-status)}" if status < 0 else f"ended with status {status}"

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ("setpriv", "--pdeathsig", "TERM", *self.program.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name != OURS} | dict(self.program.environ),
            pass_fds=self._inherited,
            start_new_session=True,
        )

    def _read(self, log: IO[bytes]) -> None:
        with log:
            for data in log:
                line = data.decode("utf-8", "replace").rstrip()
                self._lines.append(line)
                if shown := self.program.pick(line):
                    self._say(self.name, shown)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # one of the real-time signals, which have no names
