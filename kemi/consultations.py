"""Consultations: an agent calls a person through us, and may then put the caller in its own place.

That is an attended transfer (RFC 5589 section 7): the REFER names, by Replaces (RFC 3891), the dialog in which agent
and person talk. The person's phone is sent the caller's INVITE with that Replaces; where it does not understand that,
it rings as for any call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import KSR

from kemi.message import SipError, done, headers, name_call, text
from routing.outcomes import Mode
from routing.pools import pool_set
from routing.records import Party, State
from routing.store import CallUnknown, StoreError
from routing.target_fields import Endpoint, Strategy
from routing.targets import Target
from routing.transfer_record import Destination, Method
from routing.uris import host_of
from routing.values import BadValue, ReferTo, check_endpoint

if TYPE_CHECKING:
    from kemi.context import Context
    from routing.dialog import Dialog
    from routing.records import Call
    from routing.replaces import Replaces
    from routing.transfer_record import Transfer

RINGING = "consulting"
"""Shared memory of this node: the tag of the agent in each consultation that has not been answered yet."""
NOBODY = {400, 403, 404}
"""What is answered where the Request-URI names nobody to consult."""
_ANY_SET = -1
_ANY_PROTOCOL = 2
_ANY_PORT = 1
"""How Kamailio's dispatcher compares where a request came from with the URIs of agents."""


def find_consulted(context: Context, *, trunk: bool) -> tuple[str, Destination] | None:
    """Find whom the INVITE at hand is for, if it is an agent's that may refer: target and place; else None.

    An agent at the address of a trunk may also call a pool: its INVITE is an agent's only where it comes from the
    agent's own port and names somebody to consult. Raises SipError as for a Refer-To, 503 when the store is away.
    """
    if not _from_agent(context, 0 if trunk else _ANY_PORT):
        return None
    try:
        target = context.transfers.find(ReferTo.parse(f"<{text('$ru')}>"), lambda uri: done(KSR.is_myself(uri)))
        return context.transfers.consulted(target, time.time())
    except (SipError, BadValue) as error:
        if trunk and error.status in NOBODY:
            return None
        if isinstance(error, BadValue):
            raise SipError.of(error) from error
        raise
    except StoreError as error:
        if trunk:
            return None
        raise SipError(503, "Nobody can be consulted right now", retry_after=2) from error


def _from_agent(context: Context, mode: int) -> bool:
    if not done(KSR.dispatcher.ds_is_from_list_mode(_ANY_SET, mode | _ANY_PROTOCOL)):
        return False
    pools = [pool_set(context.settings, pool) for pool in context.settings.pools if pool.may_refer]
    return any(done(KSR.dispatcher.ds_is_from_list_mode(number, mode | _ANY_PROTOCOL)) for number in pools)


@dataclass(frozen=True, slots=True)
class Attended:
    """The target of an attended transfer, and what its transfer has beside that."""

    target: Target
    headers: dict[str, str] = field(default_factory=dict)
    place: Destination | None = None
    consultation: str = ""

    def applied(self, transfer: Transfer) -> Transfer:
        """Have the transfer call the person where it talks with the agent; fallbacks are called as ever."""
        changes: dict[str, object] = {"headers": transfer.headers | self.headers, "consultation": self.consultation}
        if self.place:
            changes["endpoints"] = (self.place,)
        if self.headers:
            changes["method"] = Method.INVITE  # by a REFER the caller's side could not know what it is to replace
        return transfer.model_copy(update=changes)


def attend(context: Context, call: Call, party: Party, refer_to: ReferTo) -> Attended:
    """Find out what a REFER with Replaces is about; the person is to hear the caller at once, whatever the mode.

    Raises SipError: 403 for a dialog that is not this agent's, 491 for one that is being transferred itself, and as
    without Replaces where the dialog is not known to us. While that only rings, it cannot be replaced (RFC 3891
    section 3): the person is called as without Replaces, and the agent ends its own call.
    """
    replaces = refer_to.replaces
    assert replaces is not None, "else this is no attended transfer"
    call_id = name_call(replaces.call_id)
    try:
        consultation = context.store.peek(call_id)
    except CallUnknown:
        rings = KSR.htable.sht_get(RINGING, call_id) == replaces.from_tag
        target = context.transfers.find(refer_to, lambda uri: done(KSR.is_myself(uri)))
        return Attended(target) if rings else Attended(_blind(target), {"Replaces": str(replaces)})
    role, person = _person_in(consultation, call, party, replaces)
    try:
        uri = check_endpoint(person.remote_target)
    except BadValue as error:
        raise SipError.of(error) from error
    transfer = context.settings.transfer
    name = consultation.pool if role is Party.AGENT else ""
    target = context.transfers.named(name) or Target(
        name=name or "person",
        endpoints=(Endpoint(uri=uri),),
        ring_timeout=transfer.ring_timeout,
        caller_id=transfer.caller_id,
    )
    place = Destination(uri=uri, ring_timeout=target.ring_timeout, route=", ".join(person.routes))
    required = {"Require": "replaces"} if consultation.takes_replaces else {}
    # It has been asked already: neither hours nor another endpoint, nor anybody else, are of interest any more.
    alone: dict[str, object] = {"endpoints": (Endpoint(uri=uri),), "strategy": Strategy.IN_ORDER, "hunt_timeout": 0.0}
    always: dict[str, object] = {"hours": (), "holidays": (), "fallback": None}
    target = _blind(target).model_copy(update=alone | always)
    return Attended(target, {"Replaces": str(replaces)} | required, place, consultation.id)


def _blind(target: Target) -> Target:
    """Leave out what the person, and what the caller about the person, would be told: the agent has done that."""
    return target.model_copy(
        update={"mode": Mode.BLIND, "accept": None, "announce": None, "announce_file": None},
    )


def _person_in(consultation: Call, call: Call, party: Party, replaces: Replaces) -> tuple[Party, Dialog]:
    """Find who of the consultation is the person, and its dialog, the other end of which must be the agent's."""
    agent = call.dialog(party)
    for one, other in ((Party.AGENT, Party.CALLER), (Party.CALLER, Party.AGENT)):
        person, consulting = consultation.dialog(one), consultation.dialog(other)
        if person is None or consulting is None or agent is None or consultation.id == call.id:
            continue
        named = (person.call_id, person.remote_tag, person.local_tag)
        if named != (replaces.call_id, replaces.to_tag, replaces.from_tag):
            continue
        if host_of(consulting.remote_target) == host_of(agent.remote_target):
            if consultation.state is not State.TALKING:
                raise SipError(491, "The call to replace is being transferred", retry_after=1)
            return one, person
    raise SipError(403, "Replaces names no call of this agent")


def takes_replaces() -> bool:
    """Tell whether who sent the message at hand understands Replaces."""
    supported = ",".join((*headers("Supported"), *headers("k")))
    return "replaces" in (option.strip().lower() for option in supported.split(","))
