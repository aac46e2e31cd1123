"""What the store in memory keeps of endpoints."""

# ruff: noqa: D102  # EndpointStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.hunting import Failing, fail_again
from routing.store.endpoints import EndpointStore, calls_of, named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class MemoryEndpoints(EndpointStore):
    """`EndpointStore` beside the records of calls."""

    records: dict[str, bytes]
    _clock: Callable[[], float]

    def __init__(self) -> None:
        super().__init__()
        self._legs: dict[str, set[str]] = {}
        self._last_ended: dict[str, float] = {}
        self._failing: dict[str, Failing] = {}
        self._probed: dict[str, float] = {}

    def vacate(self, uri: str, leg_call_ids: Sequence[str], ended_at: float | None = None) -> None:
        self._legs.get(uri, set()).difference_update(leg_call_ids)
        if ended_at is not None:
            self._last_ended[uri] = ended_at

    def fail_endpoint(self, uri: str, why: str, now: float, *, failures: int, rest: float) -> Failing:
        failing = fail_again(self._failing.get(uri), why, now, failures=failures, rest=rest)
        self._failing[uri] = failing
        return failing

    def forgive_endpoint(self, uri: str) -> None:
        self._failing.pop(uri, None)

    def failing(self) -> dict[str, Failing]:
        return dict(self._failing)

    def claim_probes(self, uris: Sequence[str], seconds: float) -> list[str]:
        now = self._clock()
        won = [uri for uri in uris if self._probed.get(uri, now) <= now]
        self._probed.update(dict.fromkeys(won, now + seconds))
        return won

    def _occupy(self, uri: str, leg_call_id: str, limit: int) -> bool:
        legs = self._legs.setdefault(uri, set())
        if limit and len(calls_of(legs) - calls_of([leg_call_id])) >= limit:
            return False
        legs.add(leg_call_id)
        return True

    def _occupants(self, uris: Sequence[str]) -> dict[str, list[str]]:
        return {uri: sorted(self._legs.get(uri, ())) for uri in uris}

    def _ended(self, uris: Sequence[str]) -> Mapping[str, float]:
        return named(uris, map(self._last_ended.get, uris))

    def _packed(self, call_ids: Sequence[str]) -> Sequence[bytes | None]:
        return [self.records.get(call_id) for call_id in call_ids]
