"""UDP packets as they cross the loopback interface, each once, with the kernel's time (needs root)."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stack.message import Endpoint

_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_UDP = 17
_BUFFER = 8 << 20


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP packet; `at` is the kernel's time in seconds."""

    at: float
    source: Endpoint
    destination: Endpoint
    payload: bytes


class Capture:
    """Hands each UDP packet from or to one of `ports` to `receive`, in a thread of its own; a context manager."""

    def __init__(self, ports: tuple[int, ...], receive: Callable[[Datagram], None]) -> None:
        self._receive = receive
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _attach(self._socket, _port_filter(ports))
        # Bound to IP alone it is shown arriving packets only; bound to all protocols it would see each one leave too.
        self._socket.bind(("lo", _ETH_P_IP))
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="capture")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_writer.close()
        self._thread.join()
        self._stop_reader.close()
        self._socket.close()

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket, self._stop_reader], [], [])
            if self._socket in readable:
                packet, ancillary, _, _ = self._socket.recvmsg(1 << 16, 64)
                self._receive(_datagram(packet, ancillary))
            else:  # only when nothing is left to read: what was sent before the end is seen
                return


def kernel_time(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return the time that the kernel put beside a packet, in seconds."""
    stamp = next(data for level, kind, data in ancillary if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS))
    seconds, nanoseconds = struct.unpack("qq", stamp)
    return float(seconds + nanoseconds / 1e9)


def want_kernel_time(udp: socket.socket) -> None:
    """Have the kernel put its time beside each packet."""
    udp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def _datagram(packet: bytes, ancillary: list[tuple[int, int, bytes]]) -> Datagram:
    start = (packet[0] & 0xF) * 4
    source_port, destination_port, length = struct.unpack_from("!HHH", packet, start)
    return Datagram(
        kernel_time(ancillary),
        (socket.inet_ntoa(packet[12:16]), source_port),
        (socket.inet_ntoa(packet[16:20]), destination_port),
        packet[start + 8 : start + length],
    )


def _port_filter(ports: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Write a classic BPF program: arriving UDP packets from or to one of the ports."""
    load_byte, load_half, load_start = 0x30, 0x48, 0xB1
    jump_if_equal, give = 0x15, 0x06
    tests = [(offset, port) for offset in (0, 2) for port in ports]
    program = [
        (load_byte, 0, 0, 9),
        (jump_if_equal, 0, 1 + 2 * len(tests), _UDP),
        (load_start, 0, 0, 0),
    ]
    for index, (offset, port) in enumerate(tests):
        to_accept = 2 * (len(tests) - index) - 1
        program += [(load_half, 0, 0, offset), (jump_if_equal, to_accept, 0, port)]
    return [*program, (give, 0, 0, 0), (give, 0, 0, 0xFFFF)]


def _attach(raw: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))
