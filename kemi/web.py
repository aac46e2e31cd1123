"""SIP over WebSocket (RFC 7118), as web pages speak it: which pages may connect, and what they may do.

A page takes calls as a user who has registered; it makes none, since its address says nothing about whose it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.message import header, headers

if TYPE_CHECKING:
    from routing.settings import Settings


class Doorkeeper:
    """Lets pages in: turns their HTTP requests into WebSockets, and refuses all other HTTP."""

    def __init__(self, settings: Settings) -> None:
        """Take where pages may connect, and which."""
        web = [listen for listen in settings.sip.listen if listen.startswith("ws")]
        self._ports = frozenset(int(listen.rpartition(":")[2]) for listen in web)
        self._origins = frozenset(settings.sip.origins)

    def request(self) -> None:
        """Answer the HTTP request at hand (RFC 6455 section 4.2)."""
        if KSR.kx.get_rcvport() not in self._ports:
            _refuse(404, "Not Found")
        elif (header("Upgrade") or "").lower() != "websocket":
            KSR.hdr.append_to_reply("Upgrade: websocket\r\n")
            _refuse(426, "Upgrade Required")
        elif self._origins and (header("Origin") or "").lower() not in self._origins:
            KSR.info(f"web page of {header('Origin')} is refused: sip.origins does not list it\n")
            _refuse(403, "Forbidden")
        elif "sip" not in _protocols():
            _refuse(400, "Bad Request")
        else:
            KSR.websocket.handle_handshake()


def _protocols() -> set[str]:
    offered = ",".join(headers("Sec-WebSocket-Protocol"))
    return {word.strip().lower() for word in offered.split(",")}


def _refuse(status: int, reason: str) -> None:
    KSR.set_reply_close()
    KSR.xhttp.xhttp_reply(status, reason, "text/plain", f"{reason}\n")


def from_page() -> bool:
    """Tell whether the message at hand came by WebSocket."""
    return KSR.kx.get_proto().lower().startswith("ws")
