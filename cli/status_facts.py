"""What goes on now, read from the store: nodes, pools, calls, transfers, the last hour, endpoints, users, webhooks."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.diagnosis.finding import Status
from cli.target_probes import read_probes
from cli.target_rests import endpoint_uris
from cli.targets import read_all
from routing.outcomes import Outcome
from routing.pools import agents_seen
from routing.records import Call
from routing.users import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.hunting import Failing, Usage
    from routing.pools import AgentSeen
    from routing.settings import Settings
    from routing.store import Logged, PostCount, Store
    from routing.targets import Target
    from routing.transfer_record import Transfer

HOUR = 3600.0
LOG_READ = 10_000
"""Most finished transfers of the last hour that are counted."""
NOT_OURS = frozenset({Outcome.CALLER_HUNG_UP, Outcome.CANCELLED})
"""Outcomes that say nothing of whether a person could be reached."""


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One endpoint: the targets that call it, its calls now, and whether it fails."""

    uri: str
    targets: tuple[str, ...]
    usage: Usage
    failing: Failing | None

    def health(self, now: float) -> str:
        """Say in one word how it is: well, resting, or failing while it is still called."""
        return "well" if self.failing is None else "resting" if self.failing.rests(now) else "failing"

    def data(self, now: float) -> dict[str, Any]:
        """Give it for programs."""
        failing = self.failing
        return {
            "uri": self.uri,
            "targets": list(self.targets),
            "calls": self.usage.calls,
            "health": self.health(now),
            "failures": failing.failures if failing else 0,
            "why": failing.why if failing else "",
        }


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One pool, and for each of its agents the nodes that it does not answer, of all nodes alive."""

    name: str
    silent_at: dict[str, tuple[str, ...]]
    deserted_at: tuple[str, ...]
    """The nodes that none of them answers."""

    @property
    def answering(self) -> int:
        """How many agents answer all nodes."""
        return sum(not nodes for nodes in self.silent_at.values())

    def data(self) -> dict[str, Any]:
        """Give it for programs."""
        agents = [{"uri": uri, "up": not nodes, "silent_at": list(nodes)} for uri, nodes in self.silent_at.items()]
        return {"pool": self.name, "agents": agents, "deserted_at": list(self.deserted_at)}


@dataclass(frozen=True, slots=True)
class HourFacts:
    """The transfers that finished within the last hour; times in seconds, None where nobody was reached."""

    outcomes: Counter[Outcome]
    success_rate: float | None
    """Without those that the caller or the agent ended."""
    median: float | None
    slowest: float | None
    """Time to human, from REFER or command to the conversation: half of the persons, and 95 of 100, were there by."""

    def data(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "transfers": self.outcomes.total(),
            "outcomes": dict(self.outcomes.most_common()),
            "success_rate": self.success_rate,
            "time_to_human": {"p50": self.median, "p95": self.slowest},
        }


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """The targets that are probed on a schedule: how many, which of them failed, and of which nothing is known."""

    targets: int
    failed: list[str]
    unknown: list[str]

    def data(self) -> dict[str, Any]:
        """Give it for programs."""
        return {"targets": self.targets, "failed": self.failed, "unknown": self.unknown}


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything at one moment; `at` is seconds since the epoch, `redis` the seconds that a request takes."""

    at: float
    redis: float
    nodes: dict[str, dict[str, Any]]
    calls: list[Call]
    unreadable: int
    hour: HourFacts
    pools: list[PoolFacts]
    endpoints: list[EndpointFacts]
    users: int
    registered: int
    posts: PostCount
    probes: ProbeFacts

    @property
    def under_way(self) -> list[tuple[Call, Transfer]]:
        """The transfers of the moment, the oldest first."""
        found = [(call, call.transfer) for call in self.calls if call.transfer]
        return sorted(found, key=lambda pair: pair[1].requested_at)

    def data(self) -> dict[str, Any]:
        """Give it for programs."""
        return {
            "at": self.at,
            "redis_seconds": self.redis,
            "nodes": [{"node": name, **beat} for name, beat in sorted(self.nodes.items())],
            "calls": {
                "active": len(self.calls),
                "unreadable": self.unreadable,
                "by_state": dict(Counter(str(call.state) for call in self.calls)),
            },
            "transfers": [
                {"call": call.id, "target": transfer.target, "mode": transfer.mode, "state": call.state}
                | {"requested_at": transfer.requested_at}
                for call, transfer in self.under_way
            ],
            "last_hour": self.hour.data(),
            "pools": [pool.data() for pool in self.pools],
            "endpoints": [endpoint.data(self.at) for endpoint in self.endpoints],
            "users": {"all": self.users, "registered": self.registered},
            "webhooks": {"waiting": self.posts.waiting, "given_up": self.posts.dead},
            "probes": self.probes.data(),
        }


class Reader:
    """Reads them again and again; of the call log only what is new."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._position: str | None = None
        self._log: list[Logged] = []

    def read(self) -> Facts:
        """Read everything; raises StoreUnavailable."""
        store, now = self._store, time.time()
        found = list(store.calls())
        calls = [call for call in found if isinstance(call, Call)]
        names = sorted(store.users())
        phones = listed(names, store.contacts(names), now)
        targets = read_all(store)[0]
        nodes = store.nodes()
        return Facts(
            at=now,
            redis=store.ping(),
            nodes=nodes,
            calls=calls,
            unreadable=len(found) - len(calls),
            hour=self._hour(now),
            pools=pool_facts(agents_seen(nodes)),
            endpoints=self._endpoints(targets, now),
            users=len(names),
            registered=sum(map(bool, phones.values())),
            posts=store.count_posts(),
            probes=self._probes(targets),
        )

    def _probes(self, targets: Iterable[Target]) -> ProbeFacts:
        probed, found = [target.name for target in targets if target.probe_every], read_probes(self._store)
        failed = [name for name in probed if name in found and found[name].status is Status.FAILED]
        return ProbeFacts(len(probed), failed, [name for name in probed if name not in found])

    def _hour(self, now: float) -> HourFacts:
        after = self._position or f"{int(1000 * (now - HOUR))}-0"
        new = self._store.finished(LOG_READ, after=after)
        if new:
            self._position = new[0].position
        recent = [logged for logged in (*new, *self._log) if (logged.transfer.ended_at or now) > now - HOUR]
        self._log = recent[:LOG_READ]
        return sum_up(logged.transfer for logged in self._log)

    def _endpoints(self, targets: Iterable[Target], now: float) -> list[EndpointFacts]:
        """Read the endpoints of all targets, and whatever else fails; first who fails, then who has most calls."""
        users: dict[str, list[str]] = {}
        for target in targets:
            for uri in endpoint_uris(target, self._settings):
                users.setdefault(uri, []).append(target.name)
        failing = self._store.failing()
        for uri in failing:  # some are called without a target, since the policy allows it
            users.setdefault(uri, [])
        usage = self._store.usage(list(users)) if users else {}
        found = [EndpointFacts(uri, tuple(users[uri]), usage[uri], failing.get(uri)) for uri in users]
        worst = {"resting": 0, "failing": 1, "well": 2}
        return sorted(found, key=lambda one: (worst[one.health(now)], -one.usage.calls, one.uri))


def pool_facts(agents: Iterable[AgentSeen]) -> list[PoolFacts]:
    """Sum up which agents answer which nodes."""
    silent: dict[str, dict[str, tuple[str, ...]]] = {}
    answered: dict[str, dict[str, bool]] = {}
    for node, pool, agent, up in agents:
        nodes = silent.setdefault(pool, {}).setdefault(agent, ())
        silent[pool][agent] = nodes if up else (*nodes, node)
        by_node = answered.setdefault(pool, {})
        by_node[node] = by_node.get(node, False) or up
    return [
        PoolFacts(pool, silent[pool], tuple(node for node, some in answered[pool].items() if not some))
        for pool in sorted(silent)
    ]


def sum_up(transfers: Iterable[Transfer]) -> HourFacts:
    """Sum up finished transfers."""
    outcomes: Counter[Outcome] = Counter()
    took = []
    for transfer in transfers:
        outcome = transfer.outcome or Outcome.INTERNAL
        outcomes[outcome] += 1
        if outcome is Outcome.CONNECTED and transfer.ended_at:
            took.append(transfer.ended_at - transfer.requested_at)
    tried = sum(count for outcome, count in outcomes.items() if outcome not in NOT_OURS)
    rate = outcomes.get(Outcome.CONNECTED, 0) / tried if tried else None
    return HourFacts(Counter(dict(sorted(outcomes.items()))), rate, _part(took, 0.5), _part(took, 0.95))


def _part(values: list[float], part: float) -> float | None:
    """Give the value that this part of them does not exceed."""
    return sorted(values)[max(0, round(part * len(values) + 0.499999) - 1)] if values else None
