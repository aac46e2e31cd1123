"""Checks of Redis and of what is in it. They are made one after the other: all of them ask the same server."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.diagnosis.machine import check_descriptors
from cli.diagnosis.secrets import check_secrets
from cli.effective import PATIENCE, START, connect
from cli.output import Failed, seconds
from cli.target_probes import check_probes, read_probes
from cli.target_rests import check_resting, read_resting
from cli.targets import read_all
from cli.tls_files import ca_fault
from routing.store import StoreUnavailable
from routing.store.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.settings import Settings
    from routing.store import Store
    from routing.targets import Target

PINGS = 5
FRESH = 6.0
"""Seconds since its last sign of life after which a node seems to be in trouble; they come every two."""
OLDEST_REDIS = (6, 2)
CLOCK_WARNING, CLOCK_FAILED = 0.5, 2.0
"""Seconds that clocks may differ: nodes take over each other's deadlines when they are two seconds overdue."""
SET_CLOCK = "keep the clocks of all machines right with chrony or systemd-timesyncd"


def check_stored(settings: Settings) -> list[Finding]:
    """Check Redis, and then what depends on it; raises nothing."""
    try:
        store = connect(settings)
    except Failed as error:
        return [failed("redis", str(error), f"{START}, or set redis.url"), check_descriptors(None)]
    with store:
        try:
            delay = statistics.median(store.ping() for _ in range(PINGS))
            nodes = store.nodes()
            targets = _check_targets(settings, store)
        except StoreUnavailable as error:
            mend = f"check that it runs at {error.where} and that redis.url is right"
            return [failed("redis", f"it is not available ({error.why})", mend), check_descriptors(None)]
    own = nodes.get(settings.node.id, {}).get("pid")
    return [
        _check_delay(delay, settings.redis.deadline),
        *check_server(settings),
        *_check_nodes(nodes, settings.node.id),
        *targets,
        check_descriptors(own if isinstance(own, int) else None),
    ]


def _check_delay(delay: float, deadline: float) -> Finding:
    what = f"answers in {delay * 1000:.1f} ms"
    if delay > deadline / 2:
        mend = "move Redis nearer, give it more CPU, or raise redis.deadline"
        return warning("redis", f"{what}; workers wait {deadline * 1000:.0f} ms at most", mend)
    return ok("redis", what)


def check_server(settings: Settings) -> list[Finding]:
    """Check version, persistence, eviction and clock of the Redis server."""
    part = "redis server"
    server = Server(settings.redis.url or "")
    try:
        asked = time.time()
        info, clock = server.exchange([("INFO",), ("TIME",)], time.monotonic() + PATIENCE)
        now = (asked + time.time()) / 2
    except RedisError as error:
        return [failed(part, f"it does not tell how it is set up ({error})", "check that it is well")]
    finally:
        server.close()
    if not isinstance(info, bytes) or not isinstance(clock, list):
        mend = "let this user run INFO and TIME, or check version, persistence and eviction yourself"
        return [warning(part, "it does not let us see how it is set up", mend)]
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    drift = int(clock[0]) + int(clock[1]) / 1_000_000 - now
    return [*_check_facts(facts), _check_clock("Redis", drift)]


def _check_facts(facts: dict[str, str]) -> list[Finding]:
    version = facts.get("redis_version", "0.0")
    numbers = tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
    found = []
    if numbers < OLDEST_REDIS:
        found.append(failed("redis server", f"version {version} is too old", "install Redis 6.2 or newer"))
    if facts.get("role") == "slave":
        found.append(failed("redis server", "it is a replica, which takes no writes", "give the master as redis.url"))
    if facts.get("aof_enabled") != "1":
        what = "appendonly is off: when it restarts, running calls and new targets are forgotten"
        found.append(warning("redis persistence", what, "set `appendonly yes` in redis.conf"))
    elif facts.get("aof_last_write_status", "ok") != "ok":
        found.append(failed("redis persistence", "it cannot write its file", "look for a full disk and at its log"))
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        what = f"maxmemory-policy is {policy}: when memory is short, running calls are forgotten"
        mend = "set `maxmemory-policy noeviction` in redis.conf"
        limited = facts.get("maxmemory", "0") != "0"
        found.append((failed if limited else warning)("redis memory", what, mend))
    return found or [ok("redis server", f"version {version}, appendonly, noeviction")]


def _check_clock(whose: str, drift: float) -> Finding:
    what = f"the clock of {whose} is {abs(drift):.1f} s {'ahead' if drift > 0 else 'behind'}"
    if abs(drift) > CLOCK_FAILED:
        return failed("clock", what, SET_CLOCK)
    if abs(drift) > CLOCK_WARNING:
        return warning("clock", what, SET_CLOCK)
    return ok("clock", f"agrees with {whose}'s to {abs(drift) * 1000:.0f} ms")


def _check_nodes(nodes: dict[str, dict[str, Any]], own: str) -> list[Finding]:
    found = []
    for name, beat in sorted(nodes.items()):
        at = beat.get("at")
        if not isinstance(at, int | float):
            found.append(failed(f"node {name}", "its sign of life cannot be read", "run the same version everywhere"))
            continue
        age = time.time() - at
        if age < -CLOCK_WARNING:
            found.append(_check_clock(f"node {name}", -age))
        found.append(_check_beat(name, age))
        found += _check_its_media(name, beat.get("rtpengine"))
    if own not in nodes:
        what = "it has given no sign of life for 10 seconds"
        mend = f"{START}; if it runs, look at its log"
        found.append(failed(f"node {own}", what, mend))
    return found


def _check_beat(name: str, age: float) -> Finding:
    if age > FRESH:
        what = f"its last sign of life is {seconds(age)} old"
        return warning(f"node {name}", what, "look at its log and load, and at the clocks")
    return ok(f"node {name}", f"alive {seconds(max(0.0, age))} ago")


def _check_its_media(name: str, health: object) -> list[Finding]:
    sick = [media for media, well in health.items() if not well] if isinstance(health, dict) else []
    mend = "check that rtpengine runs, and the network between the two"
    return [warning(f"node {name}", f"it gets no answer from rtpengine {media}", mend) for media in sorted(sick)]


def _check_targets(settings: Settings, store: Store) -> list[Finding]:
    targets, problems = read_all(store)
    if problems:
        what = "; ".join(f"{problem.where}: {problem.what}" for problem in problems)
        found = failed("targets", what, "; ".join(problem.mend for problem in problems))
    elif not targets:
        found = warning("targets", "there are none yet", "add one with `handoff targets add NAME URI`")
    else:
        found = ok("targets", f"{len(targets)} can be used")
    resting = check_resting(targets, read_resting(store), settings)
    probed = check_probes(targets, read_probes(store))
    return [found, *resting, *probed, *_check_ca_files(targets), *check_secrets(settings, targets)]


def _check_ca_files(targets: Iterable[Target]) -> list[Finding]:
    """Find the CA files that are not there, or no certificates: each call to such a target fails."""
    files = [(target.name, target.ca_file) for target in targets if target.ca_file]
    mend = "put a file of certificates as PEM there on each node"
    return [
        warning("certificates", f"target {name}: {file} cannot be used ({why})", mend)
        for name, file in files
        if (why := ca_fault(file))
    ]
