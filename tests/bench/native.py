"""Kamailio without Python, with native.cfg."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.stack.daemon import Daemon
from tests.stack.sipp import free_port

if TYPE_CHECKING:
    from tests.stack.message import Endpoint
    from tests.stack.system import System

_MEMORY = ("-m", "-M", "-x", "-X")  # sizes and allocators: they make a great difference, and must be the same


class Native:
    """A Kamailio with native.cfg, which sends every call to one agent through the rtpengine of a system."""

    def __init__(self, system: System, agent_port: int) -> None:
        self.proxy: Endpoint = ("127.0.0.1", free_port())
        self._folder = system.folder / "native"
        self._folder.mkdir()
        workers = str(system.settings.node.workers)
        ((_, rtpengine),) = system.settings.rtpengine.nodes.items()
        command = ["kamailio", "-f", str(Path(__file__).with_name("native.cfg")), "-DD", "-E"]
        command += ["-Y", str(self._folder), "-w", str(self._folder), "-n", workers]
        ours = system.kamailio.command
        command += [part for flag in _MEMORY if flag in ours for part in (flag, ours[ours.index(flag) + 1])]
        command += [part for kind in ("udp", "tcp") for part in ("-l", f"{kind}:127.0.0.1:{self.proxy[1]}")]
        names = {
            "AGENT": f"sip:127.0.0.1:{agent_port}",
            "RTPENGINE": f"udp:{rtpengine}",
            "CTL": f"unix:{self._folder}/kamailio_ctl",
        }
        command += [part for name, value in names.items() for part in ("-A", f'{name}="{value}"')]
        self.kamailio = Daemon(command, self._folder / "kamailio.log", self._answers)

    def _answers(self) -> bool:
        kamcmd = ["kamcmd", "-s", f"unix:{self._folder}/kamailio_ctl", "core.version"]
        return subprocess.run(kamcmd, check=False, capture_output=True).returncode == 0

    def __enter__(self) -> Self:
        self.kamailio.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kamailio.stop()
