"""What Prometheus is told besides the workers' counters: gauges read from Redis when it asks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cli.diagnosis.finding import Status
from cli.target_probes import read_probes
from routing.outcomes import Mode
from routing.pools import agents_seen
from routing.records import Call, State
from routing.store import PostCount, StoreUnavailable
from routing.trunks import Learned, Verdict
from routing.users import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from cli.target_probes import Probe
    from routing.hunting import Failing
    from routing.pools import AgentSeen
    from routing.store import Store

FRESH = 1.0
"""Seconds that what was read from Redis is used again."""
NO_POSTS = PostCount(0, 0)
PAGE = 500
"""How many users are asked for at once."""
BUDGET = 2.0
"""Seconds that reading all calls may take; a Redis that needs longer counts as away."""


@dataclass(slots=True)
class Snapshot:
    """What Redis said at one moment; without `redis_up` nothing else is known."""

    redis_up: bool = False
    calls: Counter[State] = field(default_factory=Counter)
    transfers: Counter[Mode] = field(default_factory=Counter)
    unreadable: int = 0
    media: dict[str, bool] = field(default_factory=dict)
    agents: list[AgentSeen] = field(default_factory=list)
    failing: dict[str, Failing] = field(default_factory=dict)
    users: int = 0
    registered: int = 0
    phones: int = 0
    refers: dict[tuple[str, str], bool] = field(default_factory=dict)
    posts: PostCount = NO_POSTS
    probes: dict[str, Probe] = field(default_factory=dict)


class StoredGauges(Collector):
    """Reads calls and nodes from the store; scrapes at the same time share one reading."""

    def __init__(self, store: Store, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()  # the store is for one thread at a time
        self._read_at = float("-inf")
        self._snapshot = Snapshot()
        # A node that has died leaves no trace in Redis, but must be seen to be down.
        self._nodes: dict[str, bool] = {node: False}

    def collect(self) -> Iterable[Metric]:
        """Give the gauges; takes `BUDGET` seconds or so at most, and fails never."""
        with self._lock:
            if self._clock() - self._read_at >= FRESH:
                self._snapshot = self._read()
                self._read_at = self._clock()
            return list(_families(self._snapshot, dict(self._nodes)))

    def _read(self) -> Snapshot:
        snapshot = Snapshot()
        try:
            beats = self._store.nodes()
            self._count_calls(snapshot)
            self._count_users(snapshot)
            snapshot.failing = self._store.failing()
            snapshot.refers = _read_refers(self._store)
            snapshot.posts = self._store.count_posts()
            snapshot.probes = read_probes(self._store)
        except StoreUnavailable:
            return Snapshot()
        self._nodes = {name: name in beats for name in {*self._nodes, *beats}}
        for beat in beats.values():
            health = beat.get("rtpengine")
            for name, well in health.items() if isinstance(health, dict) else ():
                snapshot.media[name] = bool(well) and snapshot.media.get(name, True)
        snapshot.agents = list(agents_seen(beats))
        snapshot.redis_up = True
        return snapshot

    def _count_calls(self, snapshot: Snapshot) -> None:
        until = self._clock() + BUDGET
        for call in self._store.calls():
            if not isinstance(call, Call):
                snapshot.unreadable += 1
                continue
            snapshot.calls[call.state] += 1
            if call.transfer:
                snapshot.transfers[call.transfer.mode] += 1
            if self._clock() > until:
                raise StoreUnavailable("redis.url", f"reading all calls takes longer than {BUDGET:g} s")

    def _count_users(self, snapshot: Snapshot) -> None:
        names, now = sorted(self._store.users()), time.time()
        snapshot.users = len(names)
        for first in range(0, len(names), PAGE):
            page = names[first : first + PAGE]
            found = [phones for phones in listed(page, self._store.contacts(page), now).values() if phones]
            snapshot.registered += len(found)
            snapshot.phones += sum(map(len, found))


def _read_refers(store: Store) -> dict[tuple[str, str], bool]:
    """Tell what each trunk was last found to make of a REFER."""
    learned = {name: Learned.read(data) for name, data in store.trunks().items()}
    known = [(name, found.verdict) for name, found in learned.items() if found]
    return {(name, verdict): verdict is found for name, found in known for verdict in Verdict}


def _families(snapshot: Snapshot, nodes: Mapping[str, bool]) -> Iterator[Metric]:
    build = GaugeMetricFamily("handoff_build_info", "Version of handoff; always 1.", labels=["version"])
    build.add_metric([_version()], 1)
    yield build
    yield GaugeMetricFamily("handoff_redis_up", "1 if Redis answers in time, else 0.", value=int(snapshot.redis_up))
    if not snapshot.redis_up:
        return  # What is not known is not told: it would be taken for zero calls.
    states = {str(state): snapshot.calls[state] for state in State if state is not State.ENDED}
    yield _family("handoff_calls_active", "Calls now, by where they stand.", "state", states)
    modes = {str(mode): snapshot.transfers[mode] for mode in Mode}
    yield _family("handoff_transfers_active", "Transfers under way.", "mode", modes)
    yield GaugeMetricFamily("handoff_calls_unreadable", "Records of calls that cannot be read.", snapshot.unreadable)
    yield _family("handoff_node_up", "1 if the node gives signs of life, else 0.", "node", nodes)
    text = "1 if this rtpengine answers every node that uses it, else 0."
    yield _family("handoff_rtpengine_up", text, "node", snapshot.media)
    text = "1 if this agent of the pool answers the OPTIONS of the node, else 0."
    agents = GaugeMetricFamily("handoff_agent_up", text, labels=["node", "pool", "agent"])
    for seen in snapshot.agents:
        agents.add_metric([seen.node, seen.pool, seen.agent], int(seen.up))
    yield agents
    now = time.time()
    resting = {uri: 1 for uri, failing in snapshot.failing.items() if failing.rests(now)}
    text = "1 for each endpoint that is left alone, since it seems to be out of order."
    yield _family("handoff_endpoint_resting", text, "endpoint", resting)
    text = "Failures in a row of endpoints that have not replied since, resting or not."
    failures = {uri: failing.failures for uri, failing in snapshot.failing.items()}
    yield _family("handoff_endpoint_failures", text, "endpoint", failures)
    yield GaugeMetricFamily("handoff_users", "Users whose phones may register.", snapshot.users)
    yield GaugeMetricFamily("handoff_users_registered", "Users with a phone that is registered.", snapshot.registered)
    yield GaugeMetricFamily("handoff_phones_registered", "Phones that are registered.", snapshot.phones)
    text = "1 for what the trunk was last found to make of a REFER, else 0."
    refers = GaugeMetricFamily("handoff_trunk_refer", text, labels=["trunk", "verdict"])
    for labels, found in sorted(snapshot.refers.items()):
        refers.add_metric(labels, int(found))
    yield refers
    text = "Webhook posts to be sent, first or again."
    yield GaugeMetricFamily("handoff_webhooks_waiting", text, snapshot.posts.waiting)
    yield GaugeMetricFamily("handoff_webhooks_dead", "Webhook posts that were given up.", snapshot.posts.dead)
    yield from _probe_families(snapshot.probes)


def _probe_families(probes: Mapping[str, Probe]) -> Iterator[Metric]:
    """Tell what the last probe of each target on a schedule has found."""
    labels = ["target", "endpoint"]
    text = "1 if nothing failed when the endpoint was last probed, else 0."
    good = GaugeMetricFamily("handoff_target_probe_ok", text, labels=labels)
    text = "Days left of the certificate that the endpoint showed; less than 0 once it has expired."
    days = GaugeMetricFamily("handoff_target_certificate_days", text, labels=labels)
    text = "Seconds that the endpoint took to reply to OPTIONS."
    took = GaugeMetricFamily("handoff_target_options_seconds", text, labels=labels)
    text = "When the target was last probed, in seconds since 1970."
    at = GaugeMetricFamily("handoff_target_probed_timestamp_seconds", text, labels=["target"])
    for name, probe in probes.items():
        at.add_metric([name], probe.at)
        for endpoint in probe.endpoints:
            good.add_metric([name, endpoint.uri], int(endpoint.status is not Status.FAILED))
            if endpoint.certificate_days is not None:
                days.add_metric([name, endpoint.uri], endpoint.certificate_days)
            if endpoint.options_seconds is not None:
                took.add_metric([name, endpoint.uri], endpoint.options_seconds)
    yield from (good, days, took, at)


def _family(name: str, text: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], int(value))
    return family


@cache
def _version() -> str:
    try:
        return version("handoff")
    except PackageNotFoundError:
        return "unknown"
