"""Which way a SIP message went, and over what: Kamailio's copies say neither in so many words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.ports import split_listen
from routing.settings_lookup import advertised

if TYPE_CHECKING:
    from cli.traces.hep import Copied
    from cli.traces.sip import Place
    from routing.settings import Settings

VIA = re.compile(
    rb"^(?:via|v)[ \t]*:\s*SIP\s*/\s*2\.0\s*/\s*(\w+)\s+(\[[^\]]+\]|[^\s;:,]+)(?:\s*:\s*(\d{1,5}))?",
    re.IGNORECASE | re.MULTILINE,
)
SECURE = "tls"


class OurPlaces:
    """Where Kamailio listens, and what it calls these places in the Via fields that it writes."""

    def __init__(self, settings: Settings) -> None:
        self._transports: dict[Place, set[str]] = {}
        self._names: set[Place] = set()
        for listen in settings.sip.listen:
            transport, address, port = split_listen(listen)
            self._transports.setdefault((address, port), set()).add(transport)
            host, _, outer_port = advertised(settings.sip, listen).rpartition(":")
            self._names |= {(address, port), (host.strip("[]").lower(), int(outer_port))}

    def judge(self, copied: Copied) -> tuple[bool, Copied]:
        """Tell whether Kamailio sent it; the copy comes back with the transport, and our address, put right.

        A connection that Kamailio opened has a port of its own at our end. Then the top Via tells: ours is in requests
        that we send, and comes back in the responses to them (RFC 3261 section 18.2.2).
        """
        via = VIA.search(copied.text)
        name = (via[2].decode(errors="replace").strip("[]").lower(), int(via[3] or 5060)) if via else None
        sent_here, came_here = copied.source in self._transports, copied.destination in self._transports
        sent = sent_here
        if sent_here == came_here:
            sent = (name in self._names) != copied.text.startswith(b"SIP/2.0 ")
        if via and name in self._names:  # we wrote it
            return sent, self._corrected(copied, via[1].decode(errors="replace").lower(), sent=sent)
        return sent, replace(copied, transport=self._incoming(copied, copied.source if sent else copied.destination))

    def _corrected(self, copied: Copied, transport: str, *, sent: bool) -> Copied:
        """Name the WebSocket that it was sent by: Kamailio names the TCP or TLS place that it would have used."""
        places = [place for place, transports in self._transports.items() if transport in transports]
        moved = sent and transport in {"ws", "wss"} and len(places) == 1
        return replace(copied, transport=transport, source=places[0] if moved else copied.source)

    def _incoming(self, copied: Copied, ours: Place) -> str:
        """Tell what a connection to this place of ours is: for Kamailio's copies all but UDP and TCP are one."""
        if copied.transport != SECURE:
            return copied.transport
        return next(iter(self._transports.get(ours, set()) - {"udp", "tcp"}), SECURE)
