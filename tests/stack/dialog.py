"""A SIP dialog from one side: what a request within it bears and where it is sent (RFC 3261 section 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sipmessage import URI, Address

if TYPE_CHECKING:
    from tests.stack.message import Endpoint, Headers, Message

_UAS_CSEQ = 100  # the two directions count apart: a number that shows whose it is


@dataclass(slots=True)
class Dialog:
    """A dialog; change any field to send something odd.

    `local` and `remote` are the values of From and To with their tags, `route_set` the values for Route in order.
    """

    call_id: str
    local: str
    remote: str
    remote_target: str
    route_set: tuple[str, ...]
    cseq: int

    @classmethod
    def of(cls, message: Message, own_tag: str) -> Self:
        """Make the dialog from the request that came in, or from the reply to ours."""
        routes = tuple(str(a) for value in message.all("Record-Route") for a in Address.parse_many(value))
        if message.is_request:
            local = message["To"] if message.to_tag else f"{message['To']};tag={own_tag}"
            return cls(message.call_id, local, message["From"], message.contact, routes, _UAS_CSEQ)
        return cls(
            message.call_id, message["From"], message["To"], message.contact, tuple(reversed(routes)), message.cseq
        )

    @property
    def next_hop(self) -> Endpoint:
        """Where a request is sent: to the first route, or to the peer."""
        return uri_address(str(Address.parse(self.route_set[0]).uri) if self.route_set else self.remote_target)

    def next_cseq(self) -> int:
        """Count one request and return its number."""
        self.cseq += 1
        return self.cseq

    def headers(self) -> Headers:
        """Return the headers that every request within the dialog bears, CSeq aside."""
        routes = (("Route", route) for route in self.route_set)
        return (*routes, ("From", self.local), ("To", self.remote), ("Call-ID", self.call_id))


def uri_address(uri: str) -> Endpoint:
    """Return host and port of a SIP URI."""
    parsed = URI.parse(uri)
    return parsed.host.strip("[]"), parsed.port or 5060
