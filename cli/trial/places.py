"""Where requests to a URI go, found in DNS as Kamailio finds it (RFC 3263): NAPTR, SRV, then A and AAAA."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import dns.exception
import dns.resolver

from routing.uris import host_of, transport_of
from routing.values import parse_sip_uri

PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
SERVICES = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
NAPTR = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}
LIFETIME = 3.0
"""Seconds that all name servers together have for one question."""


class NotFound(Exception):
    """DNS has nothing for a host; the text says what was asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """One address that requests can be sent to; `host` is the name that a certificate must have."""

    transport: str
    host: str
    address: str
    port: int

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.transport}:{address}:{self.port}"


def find_places(uri: str, resolver: dns.resolver.Resolver | None = None) -> tuple[str, list[Place]]:
    """Find the places of a URI, the one tried first before all others, and say how; raises NotFound."""
    host, port, transport = host_of(uri), parse_sip_uri(uri).port, transport_of(uri)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _Names(resolver).find(host, port, transport)
    transport = transport or "udp"
    return "an address, DNS is not asked", [Place(transport, host, host, port or PORTS[transport])]


class _Names:
    """The questions to DNS for one URI."""

    def __init__(self, resolver: dns.resolver.Resolver | None) -> None:
        try:
            self._resolver = resolver or dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise NotFound(f"no name server is configured ({error})") from error

    def find(self, host: str, port: int | None, transport: str) -> tuple[str, list[Place]]:
        if port is None:
            for service, over in self._services(host, transport):
                if places := self._behind(host, service, over):
                    return f"SRV {service}", places
        over = transport or "udp"
        addresses = self._addresses(host)
        if not addresses:
            kinds = "A or AAAA" if port else "NAPTR, SRV, A or AAAA"
            raise NotFound(f"DNS has no {kinds} record for {host}")
        return f"A/AAAA {host}", [Place(over, host, address, port or PORTS[over]) for address in addresses]

    def _services(self, host: str, transport: str) -> list[tuple[str, str]]:
        if transport:
            return [(SERVICES[transport] + host, transport)]
        records = sorted(self._ask(host, "NAPTR"), key=lambda each: (each.order, each.preference))
        named = [(str(each.replacement), NAPTR.get(each.service.decode().lower())) for each in records]
        found = [(name.rstrip("."), over) for name, over in named if over]
        return found or [(service + host, over) for over, service in SERVICES.items()]

    def _behind(self, host: str, service: str, transport: str) -> list[Place]:
        records = sorted(self._ask(service, "SRV"), key=lambda each: (each.priority, -each.weight))
        return [
            Place(transport, host, address, each.port)
            for each in records
            for address in self._addresses(str(each.target).rstrip("."))
        ]

    def _addresses(self, host: str) -> list[str]:
        return [str(each.address) for kind in ("A", "AAAA") for each in self._ask(host, kind)]

    def _ask(self, name: str, kind: str) -> list:  # type: ignore[type-arg]
        try:
            return list(self._resolver.resolve(name, kind, search=True, lifetime=LIFETIME))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.resolver.NoNameservers as error:
            raise NotFound(f"the name servers refuse to tell {kind} of {name}") from error
        except dns.exception.DNSException as error:
            raise NotFound(f"no name server tells {kind} of {name}: {error}") from error
