"""A real DNS server, dnsmasq, at an address of loopback that nobody else uses."""

from __future__ import annotations

import random
import socket
import struct
from typing import TYPE_CHECKING, Self

from tests.stack.daemon import Daemon

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\x04home\x04test\x00" + struct.pack("!2H", 1, 1)


class NameServer:
    """A context manager; it knows the records given, as dnsmasq's options, and nothing else below test.

    It takes port 53, since resolv.conf has no place for another one: that needs root.
    """

    def __init__(self, folder: Path, *records: str) -> None:
        self.address = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
        command = ["dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file"]
        command += ["--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={self.address}", "--user=root"]
        command += ["--local=/test/", "--host-record=home.test,127.0.0.1", *(f"--{record}" for record in records)]
        self._daemon = Daemon(command, folder / "dnsmasq.log", self._answers)

    def __enter__(self) -> Self:
        self._daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.stop()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2)
            asking.connect((self.address, 53))
            try:
                asking.send(QUESTION)
                return bool(asking.recv(512))
            except OSError:
                return False
