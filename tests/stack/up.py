"""`handoff up` as a process, and its configuration on free ports of loopback."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from cli.ports import find_port_problem, free_port
from cli.probes import redis_answers, rtpengine_answers, sip_answers
from tests.cli.lines import Lines
from tests.cli.processes import await_end, descendants

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 30.0


def a_config(**changes: Any) -> dict[str, dict[str, Any]]:
    """Settings with free ports; the changes are laid over them, section by section."""
    port = free_port("tcp")
    data: dict[str, Any] = {
        "node": {"id": "node1", "workers": 1},
        "sip": {"listen": [f"udp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"]},
        "metrics": {"listen": f"127.0.0.1:{free_port('tcp')}"},
        "pools": [{"name": "agents", "numbers": ["*"], "agents": [{"uri": f"sip:agent@127.0.0.1:{free_port()}"}]}],
    }
    return data | changes


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


class Up:
    """`handoff up` in a folder of the test; what is left of it at the end of the test is killed."""

    def __init__(
        self, folder: Path, *, run: str = "run", environ: Mapping[str, str] | None = None, **changes: Any
    ) -> None:
        self.config = a_config(**changes)
        self.run, self.state = folder / run, folder / f"{run}-state"
        file = folder / f"{run}.toml"
        file.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in self.config.items()))
        command = [sys.executable, "-m", "cli.main", "up", "--config", str(file)]
        command += ["--run-dir", str(self.run), "--state-dir", str(self.state)]
        self.lines, self.errors = Lines(), Lines()
        self._command, self._environ = command, {**os.environ, **(environ or {})}

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self._command, stdout=pipe, stderr=pipe, env=self._environ, text=True)
        assert self.process.stdout
        assert self.process.stderr
        pairs = ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        self._readers = [threading.Thread(target=_read, args=pair) for pair in pairs]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            family = self.family
            self.process.kill()
            await_end(family)
        self._finish()

    def _finish(self) -> int:
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join()
        return status

    @property
    def listen(self) -> list[str]:
        return list(self.config["sip"]["listen"])

    @property
    def family(self) -> set[int]:
        """It and its daemons, with their workers."""
        return {self.process.pid, *descendants(self.process.pid)}

    def await_ready(self) -> None:
        self.lines.expect("ready")

    def leader(self, name: str) -> int:
        """The process of one daemon."""
        for pid in sorted(self.family - {self.process.pid}):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                return pid
        raise AssertionError(f"no {name} runs")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, and wait for its exit status."""
        self.process.send_signal(number)
        return self._finish()

    def status(self) -> int:
        """Wait until it has ended by itself."""
        return self._finish()

    def await_answer(self, name: str) -> None:
        """Ask one daemon until it answers."""
        settings = json.loads((self.run / "settings.json").read_text())
        probes = {
            "kamailio": lambda: self.answers,
            "rtpengine": lambda: rtpengine_answers(settings["rtpengine"]["nodes"]["node1"]),
            "redis-server": lambda: redis_answers(settings["redis"]["url"]),
        }
        end = time.monotonic() + PATIENCE
        while not probes[name]():
            assert time.monotonic() < end, f"{name} does not answer"
            select.select([], [], [], 0.05)

    @property
    def answers(self) -> bool:
        return sip_answers(self.listen)

    def assert_nothing_left(self, family: set[int]) -> None:
        await_end(family)
        port = int(self.listen[0].rpartition(":")[2])
        assert find_port_problem("", "udp", "127.0.0.1", port) is None
        assert find_port_problem("", "tcp", "127.0.0.1", port) is None


def _read(stream: IO[str], lines: Lines) -> None:
    with stream:
        for line in stream:
            lines.add(line.rstrip("\n"))
