"""Where parties reach us: the address for each transport, and the Contact that leads there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.settings_lookup import advertised
from routing.uris import host_of, is_web, transport_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.settings import Settings


class Places:
    """The `host:port` of each transport that we listen on; `address` where a transport has none of its own."""

    def __init__(self, address: str, listens: Mapping[str, str]) -> None:
        self.address = address
        self._listens = listens

    def contact(self, user: str, uri: str) -> str:
        """Make the Contact for a party called at `uri`; sips: answers sips: (RFC 5630 section 5.1.1.1)."""
        transport, family = "ws" if is_web(uri) else transport_of(uri), "6" if ":" in host_of(uri) else ""
        place = self._listens.get(f"{transport or 'udp'}{family}") or self._listens.get(transport, self.address)
        if uri.lower().startswith("sips:"):
            return f"<sips:{user}@{place}>"
        named = transport in {"tcp", "tls", "ws"} and transport in self._listens
        parameter = f";transport={transport}" if named else ""
        return f"<sip:{user}@{place}{parameter}>"


def by_transport(settings: Settings) -> dict[str, str]:
    """Give `host:port` by transport as others see it, the first of each; those over IPv6 by "udp6" and so on, too."""
    places: dict[str, str] = {}
    for listen in settings.sip.listen:
        transport, place = listen.partition(":")[0], advertised(settings.sip, listen)
        transports = (transport, "ws") if transport == "wss" else (transport,)  # wss is only a word for ws over TLS
        for name in transports:
            places.setdefault(name, place)
            if place.startswith("["):
                places.setdefault(f"{name}6", place)
    return places
