"""What is known of endpoints over all calls: who is out of order and rests, and who has how many calls.

An endpoint fails hard when it seems to be out of order: no reply at all, a refused certificate, or 503. Failures in a
row make it rest, which is a circuit breaker; whatever else it replies, it is in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import TypeAdapter, ValidationError

from routing import events as ev
from routing.dialog import Record
from routing.name_addr import split_name_addr
from routing.transfer_record import Attempt, Destination

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routing.events import Event
    from routing.records import Call
    from routing.transfer_record import Leg

OUT_OF_ORDER = 503
FULL = 486
FORGOTTEN_AFTER = 3600.0
"""Seconds after its last failure in which an endpoint must fail again, or the failures do not count as in a row."""


class Failing(Record):
    """An endpoint that has failed, and not replied since; times are seconds since the epoch."""

    failures: int
    at: float
    """When it failed last."""
    why: str
    since: float = 0.0
    ends: float = 0.0
    """When its rest began, and when it ends if it does not reply before; 0 where it has not failed often enough."""

    def rests(self, now: float) -> bool:
        """Whether it is to be left alone."""
        return now < self.ends

    @property
    def skipped(self) -> str:
        """The reason of the attempt that was not made."""
        return f"rested after {self.why}"


class Usage(NamedTuple):
    """How many calls an endpoint has, and when its last one ended: 0 where it had none."""

    calls: int = 0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Sign:
    """What an endpoint has shown: that it is in order, or else `why` it seems not to be."""

    uri: str
    why: str = ""


_FAILING = TypeAdapter(Failing)
_OF_A_LEG = ev.LegRang | ev.LegAnswered | ev.LegFailed | ev.LegChallenged | ev.LegRedirected


def fail_again(before: Failing | None, why: str, now: float, *, failures: int, rest: float) -> Failing:
    """Note one more failure; with that many `failures` in a row it rests for `rest` seconds from now."""
    count = before.failures + 1 if before else 1
    if count < failures:
        return Failing(failures=count, at=now, why=why)
    since = before.since if before and before.rests(now) else now
    return Failing(failures=count, at=now, why=why, since=since, ends=now + rest)


def read_failing(text: str | bytes) -> Failing | None:
    """Read what is stored; None for what no version of handoff of this kind wrote."""
    try:
        return _FAILING.validate_json(text)
    except ValidationError:
        return None


def sign_of(call: Call, event: Event) -> Sign | None:
    """Tell what an event shows of the endpoint that it comes from; `call` is as it was before."""
    if not isinstance(event, _OF_A_LEG):
        return None
    leg = call.calling(event.leg)
    if isinstance(event, ev.LegAnswered) and leg is None:  # too late for this call, but it is there
        return Sign(split_name_addr(event.remote)[1])
    if leg is None or leg.redirected or leg.registered:  # where others send us is no endpoint; phones may come and go
        return None
    if isinstance(event, ev.LegFailed):
        if not event.called:
            return None
        if not event.answered or event.status == OUT_OF_ORDER:
            return Sign(leg.uri, f"{event.status} {event.reason}".encode("ascii", "replace").decode())
    return Sign(leg.uri)


def left(before: Call, after: Call) -> list[tuple[Leg, bool]]:
    """Name the legs whose calls are counted and now over, and whether their person had answered."""
    there = {leg.number for leg in _legs(after)} | {_handing_on(after)}
    gone = [leg for leg in _legs(before) if leg.max_calls is not None and leg.number not in there]
    return [(leg, before.leg is not None and leg.number == before.leg.number) for leg in gone]


def has_leg(call: Call, leg_call_id: str) -> bool:
    """Tell whether the dialog of this Call-ID is one of the call's legs, or that of a person who hands it on."""
    there = {leg.call_id for leg in _legs(call)}
    return leg_call_id in there | {f"{call.id}-{_handing_on(call)}"}


def _handing_on(call: Call) -> int:
    """Give the leg of the person who hands the call on, and is in it until somebody else has it; 0 for none."""
    return call.agent_leg if call.agent else 0


def _legs(call: Call) -> tuple[Leg, ...]:
    return (*call.legs, call.leg) if call.leg else call.legs


def full_reason(limit: int) -> str:
    """Say why an endpoint is not called now."""
    return f"limit of {limit} call{'' if limit == 1 else 's'} reached"


def without_resting(
    places: tuple[Destination, ...], resting: Mapping[str, Failing], now: float
) -> tuple[tuple[Destination, ...], tuple[Attempt, ...]]:
    """Leave out the places that rest, with an attempt for each that says why; all stay where all rest."""
    kept = tuple(place for place in places if place.uri not in resting)
    if not kept:
        return places, ()
    skipped = tuple(
        Attempt(uri=place.uri, status=OUT_OF_ORDER, reason=resting[place.uri].skipped, started_at=now, ended_at=now)
        for place in places
        if place.uri in resting
    )
    return kept, skipped


def longest_idle(places: Iterable[Destination], usage: Mapping[str, Usage]) -> tuple[Destination, ...]:
    """Put first whose last call ended longest ago, never called before that, and last those in a call."""
    return tuple(sorted(places, key=lambda place: usage.get(place.uri, Usage())))
