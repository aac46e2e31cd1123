"""A PBX: another Kamailio, with pbx.cfg and nothing of ours, at which phones register and which asks who calls."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.stack.daemon import Daemon
from tests.stack.system import System

USER, PASSWORD = "handoff", "k3ep-this"


class Pbx:
    """A context manager; it has the standard port of an address of its own, `host`."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.host = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
        self._folder = Path(tempfile.mkdtemp(prefix="pbx-"))
        command = ["kamailio", "-f", str(Path(__file__).with_name("pbx.cfg")), "-DD", "-E", "-m", "64", "-n", "2"]
        command += ["-Y", str(self._folder), "-w", str(self._folder), "-l", f"udp:{self.host}:5060"]
        names = {"ALGORITHM": algorithm, "SECRET": PASSWORD, "CTL": f"unix:{self._folder}/ctl"}
        command += [part for name, value in names.items() for part in ("-A", f'{name}="{value}"')]
        self.kamailio = Daemon(command, self._folder / "kamailio.log", lambda: self._asked("core.version") is not None)

    def __enter__(self) -> Self:
        try:
            self.kamailio.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kamailio.stop()
        shutil.rmtree(self._folder)

    def wait_for(self, user: str) -> None:
        """Wait until a phone has registered for this user."""
        System.wait_until(lambda: f"AoR: {user}\n" in (self._asked("ul.dump") or ""))

    def _asked(self, command: str) -> str | None:
        kamcmd = ["kamcmd", "-s", f"unix:{self._folder}/ctl", command]
        answer = subprocess.run(kamcmd, check=False, capture_output=True, text=True)
        return answer.stdout if answer.returncode == 0 else None
