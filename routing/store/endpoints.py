"""What the store knows of endpoints, by their URIs: who fails and rests, and who has how many calls.

A call at an endpoint is noted as the Call-ID of its leg, and taken out when the leg is over. Who could not do that has
died: so where a limit seems to be reached, legs that their calls' records do not know any more are taken out first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from routing.hunting import Usage, has_leg
from routing.records import BadRecordError
from routing.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from routing.hunting import Failing

IDLE_KEPT = 30 * 86400
"""Seconds that the end of an endpoint's last call is remembered."""


class EndpointStore(Protocol):
    """The part of the store that is about endpoints; all calls raise StoreUnavailable when Redis is away."""

    def occupy(self, uri: str, leg_call_id: str, limit: int) -> bool:
        """Count a leg among the calls of an endpoint; False when that has `limit` others already. 0: no limit.

        Legs of one call count as one. It is one step over all nodes: of two legs for the last free place, one gets it.
        """
        if self._occupy(uri, leg_call_id, limit):
            return True
        before = self._occupants([uri])
        return self._without_strays(before) != before and self._occupy(uri, leg_call_id, limit)

    def vacate(self, uri: str, leg_call_ids: Sequence[str], ended_at: float | None = None) -> None:
        """Count legs no longer; with `ended_at`, that was the end of a call that the endpoint had answered."""
        ...

    def usage(self, uris: Sequence[str]) -> dict[str, Usage]:
        """Tell how many calls each endpoint has now, and when the last one ended, as far as they were counted."""
        occupants, ended = self._without_strays(self._occupants(uris)), self._ended(uris)
        return {uri: Usage(len(calls_of(legs)), ended.get(uri, 0.0)) for uri, legs in occupants.items()}

    def fail_endpoint(self, uri: str, why: str, now: float, *, failures: int, rest: float) -> Failing:
        """Note a failure of an endpoint, see `routing.hunting.fail_again`; gives how it stands then."""
        ...

    def forgive_endpoint(self, uri: str) -> None:
        """Forget the failures of an endpoint: it has replied."""
        ...

    def failing(self) -> dict[str, Failing]:
        """Read which endpoints have failed and not replied since, resting or not."""
        ...

    def claim_probes(self, uris: Sequence[str], seconds: float) -> list[str]:
        """Name those of the endpoints that nobody else probes in the next seconds: of all nodes one gets each."""
        ...

    def _occupy(self, uri: str, leg_call_id: str, limit: int) -> bool: ...

    def _occupants(self, uris: Sequence[str]) -> dict[str, list[str]]: ...

    def _ended(self, uris: Sequence[str]) -> Mapping[str, float]: ...

    def _packed(self, call_ids: Sequence[str]) -> Sequence[bytes | None]: ...

    def _without_strays(self, occupants: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Take out the legs that their calls do not have any more; gives those that are left."""
        legs = [leg for there in occupants.values() for leg in there]
        packed = self._packed([leg.partition("-")[0] for leg in legs])
        strays = {leg for leg, data in zip(legs, packed, strict=True) if _is_stray(leg, data)}
        for uri, there in occupants.items():
            if gone := [leg for leg in there if leg in strays]:
                self.vacate(uri, gone)
        return {uri: [leg for leg in there if leg not in strays] for uri, there in occupants.items()}


def _is_stray(leg_call_id: str, data: bytes | None) -> bool:
    if data is None:
        return True
    call = layout.read(leg_call_id.partition("-")[0], data)
    return not isinstance(call, BadRecordError) and not has_leg(call, leg_call_id)


def calls_of(leg_call_ids: Iterable[str]) -> set[str]:
    """Name the calls that legs belong to."""
    return {leg.partition("-")[0] for leg in leg_call_ids}


def named(uris: Iterable[str], values: Iterable[float | None]) -> dict[str, float]:
    """Put values to the URIs that have any."""
    return {uri: value for uri, value in zip(uris, values, strict=True) if value is not None}
