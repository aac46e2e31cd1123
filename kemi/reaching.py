"""How users are reached whose phones have registered with us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.message import header, uri_of
from routing.transfer_record import Refusal, Registered
from routing.uris import host_of
from routing.users import read_contacts, user_of

if TYPE_CHECKING:
    from routing.settings import Settings
    from routing.store import Store
    from routing.transfer_record import Destination

TARGET_REFRESHES = {"INVITE", "UPDATE"}
"""The methods by which a party says where it is reached within a dialog."""
UNKNOWN = Refusal(status=404, reason="No such user")
AWAY = Refusal(status=480, reason="Registered nowhere")


def phones_of(settings: Settings, store: Store, place: Destination, now: float) -> list[Destination]:
    """Give the places where an endpoint is called: one of our users at all its phones, any other one at itself."""
    user = user_of(place.uri, settings.users)
    if user is None:
        return [place]
    known, entries = store.reach(user)
    phones = [each for each in read_contacts(entries, now) if each.suits(place.uri)]
    if not known or not phones:
        return [place.model_copy(update={"refusal": AWAY if known else UNKNOWN})]
    reached = [Registered(user=place.uri, hop=phone.hop or phone.uri) for phone in phones]
    return [
        place.model_copy(update={"uri": phone.uri, "together": number > 0, "registered": reached[number]})
        for number, phone in enumerate(phones)
    ]


def contact_of(settings: Settings, remote: str | None) -> str:
    """Give the Contact of the message at hand, in such a form that it leads to where that came from.

    Only for phones of our users, who are named in From or To, `remote`; others, and those behind a proxy, know best.
    """
    contact = uri_of(header("Contact"))
    if not contact or not settings.users.has(host_of(uri_of(remote))) or header("Record-Route"):
        return contact
    return at_source(contact)


def mend_response(settings: Settings) -> None:
    """Put a Contact that leads to the phone into its 2xx, before tm makes the ACK of it."""
    if 200 <= KSR.kx.get_status() < 300 and KSR.kx.get_method() in TARGET_REFRESHES:
        reachable = contact_of(settings, header("To"))
        if reachable != uri_of(header("Contact")):
            KSR.hdr.remove("Contact")
            KSR.hdr.append(f"Contact: <{reachable}>\r\n")
            KSR.textopsx.msg_apply_changes()


def at_source(contact: str) -> str:
    """Put the address and the transport that the message at hand came by into a Contact."""
    address, port, transport = KSR.kx.get_srcip(), KSR.kx.get_srcport(), KSR.kx.get_proto().lower()
    transport = "ws" if transport == "wss" else transport  # in URIs that is its name, with and without TLS
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    scheme, _, rest = contact.partition(":")
    user, at, parameters = rest.rpartition("@")
    kept = [each for each in parameters.split(";")[1:] if not each.lower().startswith("transport=")]
    return ";".join((f"{scheme}:{user}{at}{place}", *kept, *([] if transport == "udp" else [f"transport={transport}"])))
