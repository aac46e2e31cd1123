"""New calls: from a trunk to an agent of the pool that the called number or domain belongs to, or a consultation."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import KSR

from kemi.certificates import name_peer
from kemi.consultations import RINGING, find_consulted, takes_replaces
from kemi.message import (
    Mark,
    SipError,
    addressed_call,
    body,
    done,
    header,
    headers,
    name_call,
    original,
    reply,
    set_sdp,
    sip_call_id,
    split_routes,
    text,
    uri_of,
)
from kemi.names import Callback
from kemi.web import from_page
from routing.dialog import Dialog
from routing.identity import CALLERS, HISTORY, LINE
from routing.name_addr import without_tag
from routing.pools import pool_set
from routing.records import SCHEMA, Call, Deadline, Exchange, Media, Party, SessionTimer
from routing.store import StoreError
from rtpengine import NodeFailed, RtpengineError

if TYPE_CHECKING:
    from kemi.context import Context
    from routing.transfer_record import Destination

RELATIVE_WEIGHTS = 11
"""Kamailio's dispatcher algorithm: shares by the `rweight` of each agent."""
_TIMER = re.compile(r"^\s*(\d+)\s*(?:;.*?refresher\s*=\s*(uac|uas))?", re.IGNORECASE)


class Calls:
    """Sends INVITEs on to agents and keeps a record of the calls that are answered."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context

    def invite(self) -> None:
        """Anchor the media and send the INVITE to an agent; raises SipError for one that may or can not be."""
        settings = self._context.settings
        if KSR.tm.t_newtran() <= 0:
            return  # a retransmission, answered by tm
        if header("Replaces") and addressed_call(text("$rU")):
            raise SipError(403, "A dialog of handoff itself is not replaced")
        trunk = settings.trunk_for(KSR.kx.get_srcip())
        if consulted := find_consulted(self._context, trunk=trunk is not None):
            self._consult(*consulted)
            return
        if trunk is None or from_page():
            raise SipError(403, "Not a trunk of this system")
        self._context.drain.refuse()
        pool = settings.pool_for(text("$rU"), text("$rd"))
        if pool is None:
            raise SipError(404, "No agents for this number")
        if not done(KSR.dispatcher.ds_select_dst(pool_set(settings, pool), RELATIVE_WEIGHTS)):
            raise SipError(503, "No agent is available", retry_after=10)
        _address_agent()
        self._prepare(pool.name, pool.ring_timeout)
        KSR.pv.sets("$avp(trunk)", trunk.name)
        self._relay()

    def _consult(self, name: str, place: Destination) -> None:
        """Send the INVITE of an agent to the person that it consults."""
        self._prepare(name, place.ring_timeout)
        KSR.pv.sets("$avp(consulted)", "1")
        KSR.htable.sht_sets(RINGING, name_call(), text("$ft"))
        KSR.pv.sets("$ru", place.uri)
        if place.registered:
            KSR.pv.sets("$du", place.registered.hop)
        else:
            KSR.pv.unset("$du")
        self._relay()

    def _prepare(self, name: str, ring_timeout: float) -> None:
        """Anchor the media and stay in the way of all that follows; `name` is the pool's, or the target's."""
        call_id = name_call()
        node = self._anchor(call_id, body())
        KSR.hdr.remove("Route")  # whatever led here: from here on we say where it goes
        KSR.rr.add_rr_param(str(Mark(call_id, int(text("$cs")), node, text("$ft"))))
        KSR.rr.record_route()
        KSR.pv.sets("$avp(pool)", name)
        KSR.pv.sets("$avp(node)", node)
        KSR.pv.sets("$avp(source)", f"{KSR.kx.get_srcip()}:{KSR.kx.get_srcport()}")
        KSR.tm.t_set_fr(round(1000 * ring_timeout), round(1000 * self._context.settings.sip.no_reply_timeout))

    def _anchor(self, call_id: str, sdp: str) -> str:
        """Give the caller's offer to an rtpengine node, to another one where that fails; names the node."""
        while True:
            try:
                node = self._context.pool.choose(call_id)
                if sdp:
                    set_sdp(self._context.media.offer(node, call_id, sdp))
            except NodeFailed as error:  # it rests now, and is not chosen again
                KSR.warn(f"call={call_id} {error.text}\n")
            except RtpengineError as error:
                KSR.warn(f"call={call_id} {error.text}\n")
                raise SipError(503, "No media server is available", retry_after=10) from error
            else:
                return node

    def _relay(self) -> None:
        """Send the INVITE to the agent chosen, or to the next one that it can be sent to; raises SipError."""
        KSR.tm.t_on_reply(Callback.CALL_REPLY)
        KSR.tm.t_on_failure(Callback.CALL_FAILURE)
        name_peer(text("$du") or text("$ru"))
        while not done(KSR.tm.t_relay()):
            KSR.warn(f"call={name_call()} {text('$du') or text('$ru')} cannot be reached\n")
            if not self._choose_next():
                self._context.media.release(text("$avp(node)"), name_call())
                raise SipError(503, "Nobody can be reached", retry_after=10)
            name_peer(text("$du"))

    @staticmethod
    def _choose_next() -> bool:
        """Go on to the next agent of the pool; there is none beside a person who is consulted."""
        if text("$avp(consulted)"):
            KSR.htable.sht_rm(RINGING, name_call())
            return False
        if not done(KSR.dispatcher.ds_next_dst()):
            return False
        _address_agent()
        return True

    def replied(self) -> None:
        """Anchor the agent's media in a provisional or final response, and keep a record when it has answered."""
        status = KSR.kx.get_status()
        sdp = body()
        if status >= 300 or not (sdp or status >= 200):
            return
        call_id, node = name_call(), text("$avp(node)")
        offer = text("$T_req($rb)")
        media = self._context.media
        try:
            view = media.answer(node, call_id, sdp, offer) if offer else media.delayed_offer(node, call_id, sdp)
            set_sdp(view)
        except RtpengineError as error:
            KSR.err(f"call={call_id} the agent's media cannot be anchored: {error.text}\n")
            return
        if status < 200 or text("$rm") != "INVITE":
            return
        call = self._record(call_id, node, Media(caller_sdp=offer, caller_view=view, agent_sdp=sdp))
        if text("$avp(consulted)"):
            call = call.model_copy(update={"may_refer": False, "takes_replaces": takes_replaces()})
            KSR.htable.sht_rm(RINGING, call_id)
        else:
            self._context.metrics.call(call.pool)
        people = f"caller={call.caller.remote_target} agent={call.agent.remote_target if call.agent else ''}"
        KSR.info(f"call={call_id} event=CallAnswered to=talking pool={call.pool} {people}\n")
        try:
            self._context.store.create(call)
        except StoreError as error:
            KSR.warn(f"call={call_id} it goes on, but cannot be transferred: {error.text}\n")

    def _record(self, call_id: str, node: str, media: Media) -> Call:
        """Make the record of a call from the 2xx at hand and the INVITE that it answers."""
        settings = self._context.settings
        pool = settings.pool_named(text("$avp(pool)"))
        now = time.time()
        caller_name, agent_name = without_tag(header("From") or ""), without_tag(header("To") or "")
        caller_tag, agent_tag, cseq = text("$ft"), text("$tt"), int(text("$cs"))
        routes = split_routes(headers("Record-Route"))
        ours = [place for place, route in enumerate(routes) if f";h={call_id}." in route]
        before, after = (routes[: ours[0]], routes[ours[-1] + 1 :]) if ours else ([], [])
        shared = sip_call_id()
        return Call(
            schema_version=SCHEMA,
            id=call_id,
            node=settings.node.id,
            media_node=node,
            pool=text("$avp(pool)"),
            trunk=text("$avp(trunk)"),
            source=text("$avp(source)"),
            takes_refer="REFER" in text("$T_req($hdr(Allow))").upper(),
            may_refer=pool.may_refer if pool else False,
            created_at=now,
            check_every=settings.media.check_every,
            caller=Dialog(
                call_id=shared,
                local=agent_name,
                local_tag=agent_tag,
                remote=caller_name,
                remote_tag=caller_tag,
                remote_target=uri_of(text("$T_req($hdr(Contact))")),
                routes=tuple(after),
                remote_cseq=cseq,
            ),
            agent=Dialog(
                call_id=shared,
                local=caller_name,
                local_tag=caller_tag,
                remote=agent_name,
                remote_tag=agent_tag,
                remote_target=uri_of(header("Contact")),
                routes=tuple(reversed(before)),
                local_cseq=cseq,
                invite_cseq=(cseq, cseq),
            ),
            media=media,
            exchange=None if media.caller_sdp else Exchange(offerer=Party.AGENT, cseq=cseq, since=now),
            session_timer=self._session_timer(),
            identity=self._identity(),
            deadlines={Deadline.CHECK: now + settings.media.check_every},
        )

    @staticmethod
    def _identity() -> dict[str, str]:
        """Keep what the caller's INVITE says of the caller, and of where the call has been."""
        found = {name: original(name) for name in (*CALLERS, *HISTORY)}
        found["Identity"] = found["Identity"] or original("y")  # its short form (RFC 8224 section 4)
        return {name: LINE.join(values) for name, values in found.items() if values}

    @staticmethod
    def _session_timer() -> SessionTimer | None:
        """Find whether the agent has promised to refresh the caller's session (RFC 4028 section 9)."""
        found = _TIMER.match(header("Session-Expires") or header("x") or "")
        if not found or (found[2] or "").lower() != "uas":
            return None
        allowed = text("$T_req($hdr(Allow))").upper()
        return SessionTimer(interval=float(found[1]), method="UPDATE" if "UPDATE" in allowed else "INVITE")

    def failed(self) -> None:
        """Try the next agent where this one is out of order or does not answer; else let go of the media."""
        status = KSR.tm.t_get_status_code()
        cancelled = done(KSR.tm.t_is_canceled())
        if not cancelled and (status == 408 or 500 <= status < 600) and self._choose_next():
            KSR.info(f"call={name_call()} agent failed with {status}, trying {text('$du')}\n")
            try:
                self._relay()
            except SipError as error:
                reply(error.status, error.text, error.retry_after)
            return
        KSR.htable.sht_rm(RINGING, name_call())
        self._context.media.release(text("$avp(node)"), name_call())


def _address_agent() -> None:
    """Write the URI of the agent chosen into the INVITE; before the host of one without a user, the number called.

    Platforms that serve many customers know by it whose call it is (RFC 3261 section 16.5).
    """
    agent, number = text("$du"), text("$oU")
    KSR.pv.sets("$ru", agent if "@" in agent or not number else agent.replace(":", f":{number}@", 1))
    KSR.pv.sets("$du", agent)
