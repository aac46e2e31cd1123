"""The keys that people press during a call, as rtpengine tells them: one UDP packet of JSON for each (--dtmf-log-dest).

Such a packet, of rtpengine 10.5, when the event (RFC 4733) has ended:

    {"callid":"0123456789abcdef","source_tag":"leg1","tags":["caller","leg1"],"type":"DTMF","timestamp":1700000000,
     "source_ip":"192.0.2.7","event":5,"duration":120,"volume":10}
"""

from __future__ import annotations

import json
import logging
import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = "0123456789*#ABCD"
"""The keys by their number (RFC 4733 section 3.2); what follows are other sounds of a line, such as flash."""

_LOG = logging.getLogger("handoff.keys")
_LONGEST = 65535
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)
_SHOWN = 80
_TOLD_EVERY = 100


class KeyListener:
    """Listens at an address (host:port) and calls `on_key` with call id, tag and key, once for each key pressed.

    Anybody can send to a UDP port: what is no key is counted in `garbage`, told in the log now and then, and ignored.
    """

    def __init__(self, address: str, on_key: Callable[[str, str, str], None]) -> None:
        """Raise OSError where nobody can listen at the address."""
        host, _, port = address.rpartition(":")
        family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.bind(place)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._on_key = on_key
        self.garbage = 0

    def fileno(self) -> int:
        """Give the descriptor to wait at, for `select`."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take what is there; returns at once where nothing is."""
        while True:
            try:
                datagram = self._socket.recv(_LONGEST)
            except BlockingIOError:
                return
            try:
                pressed = read_key(datagram)
            except ValueError as error:
                self._ignore(datagram, error)
            else:
                self._on_key(*pressed)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def _ignore(self, datagram: bytes, error: ValueError) -> None:
        self.garbage += 1
        if self.garbage % _TOLD_EVERY == 1:
            _LOG.warning("ignored, no key of rtpengine: %r (%s; %d so far)", datagram[:_SHOWN], error, self.garbage)


def read_key(datagram: bytes) -> tuple[str, str, str]:
    """Read a packet of rtpengine's DTMF log as call id, tag and key; raises ValueError for anything else."""
    try:
        entry = json.loads(datagram)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(entry, dict) or entry.get("type") != "DTMF":
        raise ValueError('it is not of the type "DTMF"')
    call_id, tag, event = (entry.get(name) for name in ("callid", "source_tag", "event"))
    for word in (call_id, tag):
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ValueError("callid or source_tag is missing or strange")
    if type(event) is not int or not 0 <= event < len(KEYS):
        raise ValueError("event is not the number of a key")
    return str(call_id), str(tag), KEYS[event]
