"""Takes copies of SIP messages from Kamailio, keeps them, sends them on, and gives them out when asked."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from cli.traces.direction import OurPlaces
from cli.traces.hep import read_packet
from cli.traces.keeper import Keeper
from cli.traces.secrets import hide_secrets

if TYPE_CHECKING:
    from routing.settings import Settings

WAITING = 8 << 20
"""Bytes of packets that may wait for us; the kernel may grant less."""
GATHER = 0.02
"""Seconds in which packets are let gather."""
SO_RCVBUFFORCE = 33
LONGEST = 65535


class Tracer:
    """Listens at trace.listen, in a thread of its own; a context manager. Raises OSError where that is not possible."""

    def __init__(self, settings: Settings) -> None:
        trace = settings.trace
        self.keeper = Keeper(plain=trace.mode == "all", seconds=60 * trace.minutes, limit=trace.megabytes * 1_000_000)
        self._mode, self._minutes, self._seen = trace.mode, trace.minutes, 0
        self._node = settings.node.id
        self._ours = OurPlaces(settings)
        self._socket = _bind(trace.listen or "")
        self._homer = _connect(trace.homer) if trace.homer else None
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)
        self._thread.start()

    def answer(self, prefix: str) -> dict[str, Any]:
        """Give, as JSON values, the ids of all calls that begin so, and where that is one, its messages.

        `seen` is how many SIP messages have come so far, of calls or not.
        """
        found = self.keeper.find(prefix)
        told = {"ok": True, "ids": sorted(found), "mode": self._mode, "minutes": self._minutes, "seen": self._seen}
        if len(found) != 1:
            return told
        ((packets, left_out),) = found.values()
        messages = []
        for packet in packets:
            with contextlib.suppress(ValueError):  # anybody can send to a UDP port, and little was looked at yet
                messages.append(self._message(packet))
        return {**told, "left_out": left_out, "messages": messages}

    def _message(self, packet: bytes) -> dict[str, Any]:
        sent, copied = self._ours.judge(read_packet(hide_secrets(packet)))
        return {
            "at": copied.at,
            "node": self._node,
            "sent": sent,
            "from": list(copied.source),
            "to": list(copied.destination),
            "transport": copied.transport,
            "text": copied.text.decode("latin-1"),
        }

    def _run(self) -> None:
        while True:
            select.select([self._socket], [], [])
            time.sleep(GATHER)  # to be woken for each packet would cost us, and Kamailio, more than all else here
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._take(self._socket.recv(LONGEST))

    def _take(self, packet: bytes) -> None:
        try:
            is_sip = self.keeper.add(packet)
        except ValueError:
            return  # anybody can send to a UDP port
        self._seen += is_sip
        if self._homer and is_sip:
            with contextlib.suppress(OSError):  # it is away: nobody waits for it
                self._homer.send(hide_secrets(packet))


def _bind(place: str) -> socket.socket:
    family, kind, protocol, address = _look_up(place)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING)
    with contextlib.suppress(OSError):  # only root may have more than others
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WAITING)
    listener.setblocking(False)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _connect(place: str) -> socket.socket:
    family, kind, protocol, address = _look_up(place)
    sender = socket.socket(family, kind, protocol)
    sender.setblocking(False)
    sender.connect(address)
    return sender


def _look_up(place: str) -> tuple[socket.AddressFamily, socket.SocketKind, int, Any]:
    host, _, port = place.rpartition(":")
    family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
    return family, kind, protocol, address
