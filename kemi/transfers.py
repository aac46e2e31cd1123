"""From a REFER or a command to the transfer that is to be done."""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, Any, Literal

import KSR

from kemi.certificates import trust
from kemi.hunting import resting
from kemi.message import SipError, plain
from kemi.reaching import phones_of
from routing.diversion import Why
from routing.hunting import longest_idle, without_resting
from routing.identity import caller_sender, diversion
from routing.name_addr import tidy
from routing.outcomes import Mode
from routing.target_fields import WEIGHT, Strategy, check_summary
from routing.targets import FALLBACKS, Target, TargetError
from routing.transfer_record import Destination, Hold, Method, Subscription, Transfer
from routing.trunks import Learned
from routing.uris import host_of, may_be_tls, on_trunk
from routing.values import BadValue, ReferTo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from routing.records import Call
    from routing.settings import Settings
    from routing.store import Store
    from routing.target_fields import Endpoint
    from routing.transfer_record import Attempt


class Transfers:
    """Finds targets and plans transfers to them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take where targets are kept, and the policy."""
        self._settings = settings
        self._store = store

    def find(self, refer_to: ReferTo, is_ours: Callable[[str], bool]) -> Target:
        """Find the target that a Refer-To means; raises SipError: 404 for an unknown one, 403 for a foreign URI.

        `is_ours` tells whether a URI is at this host: there, a user part that names no target names nothing. Nor does
        it at a host without a domain, such as sip:support@handoff. The settings that came with it are laid over it.
        """
        target = self.named(refer_to.user)
        try:
            if target is None:
                foreign = any(sign in refer_to.host for sign in ".:") and not is_ours(refer_to.uri)
                if not foreign and not self._settings.may_dial(refer_to.host):
                    raise SipError(404, f"No target {plain(refer_to.user)}")
                target = Target.from_uri(refer_to.uri, self._settings)
            return target.with_settings(refer_to.settings)
        except BadValue as error:
            raise SipError.of(error) from error

    def consulted(self, target: Target, now: float) -> tuple[str, Destination]:
        """Name whom an agent consults that calls this target, and where: the first endpoint, or a fallback's.

        Raises SipError: 480 when all are closed or the user is registered nowhere, 404 for a number without a trunk.
        """
        chosen = self._open([target, *self._fallbacks(target)], now)[0]
        endpoint = _in_turn(chosen)[0]
        try:
            uri = on_trunk(endpoint.uri, self._settings.tel_trunk)
        except BadValue as error:
            raise SipError.of(error) from error
        place = Destination(uri=uri, ring_timeout=endpoint.ring_timeout or chosen.ring_timeout)
        phone = phones_of(self._settings, self._store, place, now)[0]
        if phone.refusal:
            raise SipError(phone.refusal.status, phone.refusal.reason)
        if may_be_tls(phone.uri):
            trust(host_of(phone.uri), str(chosen.ca_file or ""))
        return chosen.name, phone

    def named(self, name: str) -> Target | None:
        """Read the target of this name, or make one of the pool of this name; None where there is neither.

        Raises SipError 500 for one that cannot be read.
        """
        data = self._store.target(name) if name else None
        if data is None:
            pool = self._settings.pool_named(name)
            return Target.from_pool(pool) if pool else None
        try:
            return Target.from_json(data)
        except TargetError as error:
            KSR.err(f"target={plain(name)}: {plain(' '.join(str(error).split()), 500)}\n")
            raise SipError(500, f"Target {plain(name)} cannot be read") from error

    def plan(
        self,
        call: Call,
        target: Target,
        source: Literal["refer", "command"],
        *,
        requested_at: float,
        subscription: Subscription | None = None,
        headers: Mapping[str, str] | None = None,
        summary: str = "",
    ) -> Transfer:
        """Make the transfer of a call to a target, with its fallbacks.

        Fallbacks get the same summary and headers; the settings that came with the request are for the target only.
        Where one of them is closed, the next takes its place. Raises SipError: 480 when all are closed, and for a
        summary not fit to use.
        """
        chain = self._open([target, *self._fallbacks(target)], requested_at)
        try:
            words = check_summary(summary) if any(each.mode is Mode.SUMMARY for each in chain) else ""
        except BadValue as error:
            raise SipError.of(error) from error
        why = Why.DEFLECTION if chain[0] is target else Why.TIME_OF_DAY
        transfer_id = f"{call.id}-{call.legs_made + 1}"
        transfer: Transfer | None = None
        for number, each in reversed(list(enumerate(chain))):
            transfer = Transfer(
                id=transfer_id + "f" * number,
                target=each.name,
                source=source,
                headers={**each.headers, **(headers or {}), **diversion(call, each.diversion, why)},
                summary=words if each.mode is Mode.SUMMARY else "",
                subscription=None if number else subscription,
                requested_at=requested_at,
                fallback=transfer,
                **self._called(call, each, requested_at),
                **self._heard(each),
            )
        assert transfer is not None, "the chain has the target itself"
        return transfer

    def _open(self, chain: list[Target], now: float) -> list[Target]:
        """Leave out who is closed now; raises SipError 480 when that is everybody."""
        if all(target.always_open for target in chain):
            return chain
        hours = {target.name: target.opening(self._settings.node.time_zone) for target in chain}
        opened = [target for target in chain if hours[target.name].is_open(now)]
        if opened:
            return opened
        openings = {name: moment for name, when in hours.items() if (moment := when.next_opening(now)) is not None}
        first, mend, retry_after = chain[0], "it never opens: change its hours or holidays", None
        if openings:
            name = min(openings, key=lambda name: openings[name])
            mend, retry_after = f"{name} opens {hours[name].name(openings[name])}", math.ceil(openings[name] - now)
        error = BadValue(f"target {first.name} is closed: {first.closed}", 480, mend=mend)
        raise SipError(480, first.closed, retry_after) from error

    def _called(self, call: Call, target: Target, now: float) -> dict[str, Any]:
        """Say who is called, and how."""
        try:
            endpoints = tuple(
                Destination(
                    uri=on_trunk(endpoint.uri, self._settings.tel_trunk),
                    ring_timeout=endpoint.ring_timeout or target.ring_timeout,
                    max_calls=endpoint.max_calls or (0 if target.strategy is Strategy.LONGEST_IDLE else None),
                )
                for endpoint in _in_turn(target)
            )
        except BadValue as error:
            raise SipError.of(error) from error
        attempts: tuple[Attempt, ...] = ()
        if len(endpoints) > 1:
            endpoints, attempts = without_resting(endpoints, resting((place.uri for place in endpoints), now), now)
            if target.strategy is Strategy.LONGEST_IDLE:
                endpoints = longest_idle(endpoints, self._store.usage([place.uri for place in endpoints]))
        method = self._method(call, target, endpoints)
        places = endpoints
        if method is Method.INVITE:
            places = tuple(phone for place in places for phone in phones_of(self._settings, self._store, place, now))
        senders = {"caller": caller_sender(call), "agent": tidy(call.caller.local)}
        return {
            "endpoints": places,
            "attempts": attempts,
            "at_once": len(endpoints) if target.strategy is Strategy.ALL_AT_ONCE else 1,
            "method": method,
            "refer_timeout": self._settings.transfer.refer_timeout,
            "hunt_timeout": target.hunt_timeout,
            "sender": senders.get(target.caller_id, f"<{target.caller_id}>"),
            "codecs": target.codecs or self._settings.transfer.codecs,
            "srtp": target.srtp,
            "may_refer": target.may_refer,
            "ca_file": str(target.ca_file or ""),
        }

    def _method(self, call: Call, target: Target, places: Iterable[Destination]) -> Method:
        """Say whether the caller's side is asked to call the target: with `auto` where it may well do it.

        A person that is to be briefed must be called by us, and so must one whose phone has registered with us.
        """
        briefed = target.mode is not Mode.BLIND or target.accept is not None
        if target.method is not Method.AUTO:
            if target.method is Method.REFER and briefed:
                raise SipError(400, f"The method refer of {target.name} cannot brief anybody")
            return target.method
        ours = any(self._settings.users.has(host_of(place.uri)) for place in places)
        if briefed or ours or not call.takes_refer:
            return Method.INVITE
        learned = Learned.read(self._store.trunk(call.trunk))
        return Method.AUTO if learned is None or learned.advises(time.time()) else Method.INVITE

    def _heard(self, target: Target) -> dict[str, Any]:
        """Say what the parties hear; the person nothing but the caller, in the mode blind without a key."""
        blind = target.mode is Mode.BLIND
        speech = self._settings.speech
        return {
            "mode": target.mode,
            "hold": target.hold or (Hold.AGENT if blind else Hold.MUSIC),
            "announce": target.sound("announce"),
            "apology": target.sound("apology"),
            "message": None if blind else target.sound("message"),
            "language": target.language,
            "voice": target.voice,
            "deliver": target.deliver if target.mode is Mode.SUMMARY else (),
            "pause_before": 0.0 if blind else target.pause_before,
            "pause_after": 0.0 if blind else target.pause_after,
            "patience": speech.deadline,
            "accept": target.acceptance(speech.prompt),
        }

    def _fallbacks(self, target: Target) -> list[Target]:
        """Follow the fallbacks as far as that goes; one that is not there must not keep the call from the target."""
        chain: list[Target] = []
        while name := (chain[-1] if chain else target).fallback:
            found, why = None, "there is none of this name"
            if name in {target.name, *(each.name for each in chain)}:
                why = "it is being tried already"
            elif len(chain) == FALLBACKS:
                why = f"{FALLBACKS} in a row are enough"
            else:
                try:
                    found = self.named(name)
                except SipError as error:
                    why = str(error)
            if found is None:
                KSR.warn(f"target={target.name}: the fallback {name} is left out: {why}\n")
                break
            chain.append(found)
        return chain


def _in_turn(target: Target) -> list[Endpoint]:
    """Put the endpoints in the order in which they are called: weighted, each comes first as often as it weighs."""
    if target.strategy is not Strategy.WEIGHTED:
        return list(target.endpoints)

    def lot(endpoint: Endpoint) -> float:
        return float(random.random() ** (1 / (endpoint.weight or WEIGHT)))  # noqa: S311 - nobody gains by guessing it

    return sorted(target.endpoints, key=lot, reverse=True)
