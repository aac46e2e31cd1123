"""Rules for a transfer that connected two who did not hear one another.

What is known is what came from each to rtpengine, and what each says by RTCP of how it receives the other. Where that
is nothing, nothing is told: a phone need not send RTCP.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from routing.diagnosis_facts import Diagnosis
from routing.faults import Fault
from routing.records import Party
from routing.uris import host_of

if TYPE_CHECKING:
    from routing.heard import Heard, PartyHeard
    from routing.transfer_record import Transfer

LONG_ENOUGH = 2.0
"""Seconds after the bridge in which whoever speaks has sent something."""
AT_THE_BRIDGE = 2.0
"""Seconds by which a time may be before the bridge that is the bridge's own, to the second."""
AS_GOOD_AS_ALL = 90
"""Percent of lost packets with which nothing can be understood."""
_OPEN = (
    "open the UDP ports of rtpengine in the firewalls between here and there, and see that rtpengine says the address "
    "by which it is reached"
)
_PUBLIC = (
    "have it write the address in its SDP by which it is reached from here (its setting for an external address, STUN "
    "or ICE; switch off SIP ALG in the router), and let its UDP out: rtpengine sends to where the first packet comes "
    "from, but none came"
)
_PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7"))
)
"""RFC 1918, RFC 6598 (CGNAT), RFC 3927 and RFC 4193."""
_NAMES = {Party.CALLER: "caller", Party.TARGET: "person"}


def audio(transfer: Transfer, heard: Heard) -> Diagnosis | None:
    """Tell who was not heard at all, and why as far as that is known."""
    bridged_at = transfer.ended_at or heard.ended_at
    if heard.ended_at - bridged_at < LONG_ENOUGH:
        return None
    mute = [party for party in _NAMES if party in heard.parties and _is_mute(heard.parties[party], bridged_at)]
    lost = [party for party in _NAMES if party in heard.parties and _is_lost(heard.parties[party])]
    unheard = [party for party in _NAMES if party in mute or party in lost]
    if not unheard:
        return None
    addresses = list(filter(None, (_private(transfer, party) for party in mute)))
    why = [_why(heard.parties[party], party, mute=party in mute) for party in unheard]
    cause = "; ".join((*why, *addresses))
    if addresses:
        return Diagnosis(Fault.NAT_ADDRESS, cause, _PUBLIC)
    if len(unheard) == len(_NAMES):
        return Diagnosis(Fault.NO_AUDIO, f"neither heard the other: {cause}", _OPEN)
    return Diagnosis(Fault.ONE_WAY_AUDIO, f"the {_other(unheard[0])} heard nothing: {cause}", _OPEN)


def _is_mute(heard: PartyHeard, since: float) -> bool:
    """Tell whether nothing came of a party that was to send.

    rtpengine takes the bridge itself for a packet: of a party of whom nothing has come since, the last one came then.
    A time long before it is that of another clock, which says nothing.
    """
    stopped = heard.last_at is not None and since - AT_THE_BRIDGE <= heard.last_at <= since
    return not heard.on_hold and (not heard.packets or stopped)


def _is_lost(heard: PartyHeard) -> bool:
    return heard.loss is not None and heard.loss >= AS_GOOD_AS_ALL


def _why(heard: PartyHeard, party: Party, *, mute: bool) -> str:
    if mute:
        since = " since the two were connected" if heard.packets else ""
        return f"the {_NAMES[party]} sent no audio that reached rtpengine{since}"
    return f"the {_other(party)} reports by RTCP that {heard.loss} % of what the {_NAMES[party]} sent did not arrive"


def _other(party: Party) -> str:
    return _NAMES[Party.CALLER if party is Party.TARGET else Party.TARGET]


def _private(transfer: Transfer, party: Party) -> str:
    """Say which private address is in the SDP of who signals from another network; nothing where that is not so."""
    if party is Party.CALLER:
        media, source = transfer.caller_media, host_of(f"sip:{transfer.origin.source}" if transfer.origin else "")
    else:
        media, source = (transfer.attempts[-1].media, transfer.attempts[-1].source) if transfer.attempts else ("", "")
    if not source or not _is_private(media) or _is_private(source):
        return ""
    return f"the SDP of the {_NAMES[party]} wants audio at {media}, a private address, but signalling is from {source}"


def _is_private(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _PRIVATE)
