"""Ports of this machine: whether they can be had, who has them, and free ones."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from routing.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = {"udp": socket.SOCK_DGRAM} | dict.fromkeys(("tcp", "tls", "ws", "wss"), socket.SOCK_STREAM)
BELOW_WEBSOCKET = {"ws": "tcp", "wss": "tls"}
"""What a WebSocket begins as; Kamailio takes SIP there without it, too."""
SOCKET_LINK = re.compile(r"socket:\[(\d+)\]")
TCP_LISTEN = "0A"


def free_port(transport: str = "udp", address: str = "127.0.0.1") -> int:
    """Ask the kernel for a port that is free now."""
    with _bound(transport, address, 0) as probe:
        return int(probe.getsockname()[1])


def split_listen(text: str) -> tuple[str, str, int]:
    """Take "udp:[::1]:5060" apart: transport, address without brackets, port."""
    transport, _, rest = text.partition(":")
    address, _, port = rest.rpartition(":")
    return transport, address.strip("[]"), int(port)


def find_port_problem(where: str, transport: str, address: str, port: int) -> Problem | None:
    """Try to listen there; say why that is not possible. Port 0 tries the address alone."""
    place = f"{transport} {address}" + (f" port {port}" if port else "")
    try:
        _bound(transport, address, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holders = ", ".join(_holders(transport, port))
            named = "" if holders else f" (`ss -lntup sport = :{port}` names it to root)"
            taken = f"{place} is taken by {holders or 'another program'}"
            return Problem(where, taken, f"stop that{named}, or use another port")
        if error.errno == errno.EADDRNOTAVAIL:
            return Problem(where, f"{address} is no address of this machine", "see `ip address` for those it has")
        if error.errno == errno.EACCES:
            return Problem(
                where, f"{place} needs rights that this user does not have", "use a port above 1023, or be root"
            )
        return Problem(where, f"{place} cannot be used ({error.strerror})", "use another address or port")
    return None


def _bound(transport: str, address: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=KINDS[transport])[0]
    probe = socket.socket(family, kind, protocol)
    try:
        if transport in {"tcp", "ws"}:
            # As the daemons do: connections that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)
    except OSError:
        probe.close()
        raise
    return probe


def _holders(transport: str, port: int) -> list[str]:
    """Name the programs that have this port, each with its first process, as far as this user may see them."""
    inodes = set(_inodes(transport, port))
    found: dict[str, int] = {}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda folder: int(folder.name)):
        # Processes end while we look, and those of others may be hidden: then the text says "another program".
        with contextlib.suppress(OSError):
            if inodes & set(_sockets(folder)):
                found.setdefault((folder / "comm").read_text().strip(), int(folder.name))
    return [f"{name} (process {pid})" for name, pid in found.items()]


def _sockets(process: Path) -> Iterator[str]:
    """Give the inodes of the sockets that a process has open."""
    for link in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if found := SOCKET_LINK.fullmatch(str(link.readlink())):
                yield found[1]


def _inodes(transport: str, port: int) -> Iterator[str]:
    protocol = "udp" if transport == "udp" else "tcp"
    for table in (protocol, f"{protocol}6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue  # no IPv6 here
        for line in lines:
            fields = line.split()
            taken = transport == "udp" or fields[3] == TCP_LISTEN
            if taken and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
