"""Which endpoints are called: those that are out of order rest, and none gets more calls than it may have.

What is known of failing endpoints is in Redis, for all nodes; each node has a copy in its shared memory, so that a
transfer to endpoints in order costs no request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import KSR

from kemi.message import header, uri_of
from routing.events import LegFailed
from routing.hunting import FORGOTTEN_AFTER, FULL, OUT_OF_ORDER, Failing, full_reason, left, read_failing, sign_of
from routing.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kemi.outgoing import Outgoing
    from routing.events import Event
    from routing.records import Call
    from routing.settings_model import Hunting as Settings
    from routing.store import Store
    from routing.transfer_record import Leg

COPY = "failing"
"""Shared memory of this node: the endpoints that have failed and not replied since."""
LOOK_EVERY = 1.0
"""Seconds between two looks at what other nodes have found."""


class Hunting:
    """Notes how endpoints fare, for all workers and nodes."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take when endpoints rest, and where that is kept."""
        self._settings = settings
        self._store = store

    def admit(self, leg: Leg) -> LegFailed | None:
        """Count a call to an endpoint whose calls are counted; the event of its failure when it may have no more."""
        if leg.max_calls is None:
            return None
        try:
            if self._store.occupy(leg.endpoint, leg.call_id, leg.max_calls):
                return None
        except StoreError as error:
            KSR.warn(f"leg={leg.call_id} is called uncounted: {error.text}\n")
            return None
        return LegFailed(leg.number, FULL, full_reason(leg.max_calls), called=False)

    def observe(self, before: Call, event: Event, after: Call) -> None:
        """Note what a step shows of endpoints: failures, replies, and calls that are over."""
        try:
            for leg, answered in left(before, after):
                self._store.vacate(leg.endpoint, [leg.call_id], time.time() if answered else None)
            sign = sign_of(before, event)
            if sign is None or not self._settings.rest:
                return
            if sign.why:
                self._fail(sign.uri, sign.why)
            else:
                self.forgive(sign.uri)
        except StoreError as error:
            KSR.warn(f"call={before.id} nothing is noted of its endpoints: {error.text}\n")

    def _fail(self, uri: str, why: str) -> None:
        settings = self._settings
        failing = self._store.fail_endpoint(uri, why, time.time(), failures=settings.failures, rest=settings.rest)
        share(uri, failing)

    def forgive(self, uri: str) -> None:
        """Forget the failures of an endpoint that has replied, if it had any; raises StoreError."""
        if KSR.htable.sht_get(COPY, uri) is not None:
            self._store.forgive_endpoint(uri)
            KSR.htable.sht_rm(COPY, uri)

    def probed(self) -> None:
        """Take the reply to an OPTIONS: its endpoint is back, unless it says itself that it is not (503)."""
        status = KSR.kx.get_status()
        if status < 200 or status == OUT_OF_ORDER:
            return
        uri = uri_of(header("To"))
        try:
            self.forgive(uri)
        except StoreError as error:
            KSR.warn(f"endpoint={uri} replies, but is left alone: {error.text}\n")


class Rests:
    """Looks after the endpoints that fail; one process of the node does that."""

    def __init__(self, settings: Settings, store: Store, outgoing: Outgoing) -> None:
        """Take when endpoints rest, where that is kept, and what sends OPTIONS."""
        self._settings = settings
        self._store = store
        self._outgoing = outgoing
        self._next_look = 0.0
        self._next_probe = 0.0
        self._known: dict[str, Failing] = {}

    def look(self, now: float) -> None:
        """Bring the copy up to date, log who rests now and who does not any more, and probe; raises StoreError."""
        if now < self._next_look or not self._settings.rest:
            return
        self._next_look = now + LOOK_EVERY
        failing = self._store.failing()
        for uri in self._known.keys() - failing.keys():
            KSR.htable.sht_rm(COPY, uri)
        for uri, found in failing.items():
            if found.at < now - FORGOTTEN_AFTER:
                self._store.forgive_endpoint(uri)
            else:
                share(uri, found)
        self._log(failing, now)
        self._probe([uri for uri, found in failing.items() if found.rests(now)], now)

    def _log(self, failing: dict[str, Failing], now: float) -> None:
        resting = {uri: found for uri, found in failing.items() if found.rests(now)}
        for uri in resting.keys() - self._known.keys():
            found = resting[uri]
            KSR.warn(f"endpoint={uri} rests after {found.failures} failures in a row: {found.why}\n")
        for uri in self._known.keys() - resting.keys():
            KSR.warn(f"endpoint={uri} {'has rested and is tried again' if uri in failing else 'is back'}\n")
        self._known = resting

    def _probe(self, resting: list[str], now: float) -> None:
        """Send OPTIONS to those that no other node asks just now."""
        if not resting or now < self._next_probe:
            return
        self._next_probe = now + self._settings.probe_every
        # A claim ends a little before the next probe is due, or that would come too early.
        for uri in self._store.claim_probes(resting, 0.9 * self._settings.probe_every):
            self._outgoing.probe(uri)


def share(uri: str, failing: Failing) -> None:
    """Let all workers of this node know; it is forgotten unless `Rests` repeats it."""
    KSR.htable.sht_sets(COPY, uri, failing.model_dump_json())


def resting(uris: Iterable[str], now: float) -> dict[str, Failing]:
    """Tell which endpoints rest, and why."""
    copies = {uri: KSR.htable.sht_get(COPY, uri) for uri in uris}
    found = {uri: read_failing(str(text)) for uri, text in copies.items() if text is not None}
    return {uri: failing for uri, failing in found.items() if failing and failing.rests(now)}
