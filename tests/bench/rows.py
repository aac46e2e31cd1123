"""The measurements with SIPp: CPU, latency, throughput and memory."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from routing.records import State
from tests.bench.costs import cpu_seconds, memory
from tests.bench.load import TARGET, Ports, plain_calls, transfers
from tests.bench.native import Native
from tests.bench.result import Result, percentile
from tests.stack.sipp import SippError
from tests.stack.system import System
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.daemon import Daemon
    from tests.stack.message import Endpoint

STEP = 25
"""Calls per second between two rates that are tried."""
HIGHEST = 400
_CALL = re.compile(r";h=([0-9a-f]{16})\.")  # what handoff's Record-Route says of a call


@contextmanager
def running() -> Iterator[tuple[System, Ports]]:
    """Run the whole stack with one agent and one target; a failure tells what Kamailio complained of, too."""
    ports = Ports()
    with System(ports.agent_uri) as system:
        system.add_target(TARGET, ports.target_uri)
        try:
            yield system, ports
        except AssertionError as error:
            log = [line for line in system.kamailio.log.read_text().splitlines() if "INFO:" not in line]
            raise type(error)("\n".join([str(error)[:2000], "--- Kamailio", *log[-20:]])) from error


def plain_cpu(quick: bool) -> list[Result]:
    """Compare Kamailio's CPU per plain call with that of native.cfg, in turns."""
    calls, rate, rounds = (300, 100, 3) if quick else (1000, 100, 5)
    costs: dict[str, list[float]] = {"handoff": [], "native": []}
    with running() as (system, ports), Native(system, ports.agent) as native:
        both: dict[str, tuple[Daemon, Endpoint]] = {
            "handoff": (system.kamailio, system.proxy),
            "native": (native.kamailio, native.proxy),
        }
        for _, proxy in both.values():
            plain_calls(proxy, ports, calls=calls // 3, rate=rate)  # memory is touched, connections are made
        for _ in range(rounds):
            for name, (kamailio, proxy) in both.items():
                begun = cpu_seconds(kamailio)
                plain_calls(proxy, ports, calls=calls, rate=rate)
                costs[name].append(1e6 * (cpu_seconds(kamailio) - begun) / calls)
    ratio = median(ours / theirs for ours, theirs in zip(costs["handoff"], costs["native"], strict=True))
    details = {f"{name}_us": [round(cost) for cost in each] for name, each in costs.items()}
    return [Result("Kamailio CPU per plain call / native cfg", ratio, 1.25, "x", details={**details, "rate": rate})]


def refer_to_invite(quick: bool) -> list[Result]:
    """Measure from the packet with the REFER to the packet with the INVITE, at 10 per second."""
    calls = 100 if quick else 300
    with running() as (system, ports):
        with transfers(system.proxy, ports, calls=20, rate=10):
            pass
        with Wire(system.port) as wire:
            with transfers(system.proxy, ports, calls=calls, rate=10):
                pass
            refers = wire.messages(to=system.port, method="REFER", requests=True)
            invites = wire.messages(to=ports.target, method="INVITE", requests=True)
    invited = {invite["X-Handoff-Call"]: invite.at for invite in reversed(invites)}
    times = [1000 * (invited[match[1]] - refer.at) for refer in refers if (match := _CALL.search(refer["Route"]))]
    what, details = "REFER in -> INVITE at the target", {"transfers": len(times), "rate": 10}
    return [
        Result(f"{what}, p50", percentile(times, 50), 1.2, "ms", details=details),
        Result(f"{what}, p99", percentile(times, 99), 6, "ms", details=details),
    ]


def throughput(quick: bool) -> list[Result]:
    """Find the highest rate at which no call fails, by halving the range; each rate gets a fresh stack.

    A rate has two tries: a machine that stands still for a moment says nothing of handoff.
    """
    seconds = 10 if quick else 30
    tried: dict[int, list[str]] = {}

    def holds(rate: int) -> bool:
        results = tried.setdefault(rate, [])
        while len(results) < 2 and "no failure" not in results:
            results.append(_failure(rate, seconds))
        return "no failure" in results

    best = _highest(holds, HIGHEST // STEP) * STEP
    what = f"calls with a blind transfer per second, {seconds} s without failure"
    return [Result(what, best, 250, "/s", at_least=True, details={"tried": tried})]


def _failure(rate: int, seconds: int) -> str:
    try:
        with running() as (system, ports), transfers(system.proxy, ports, calls=rate * seconds, rate=rate):
            pass
    except SippError as error:
        return str(error).splitlines()[0]
    return "no failure"


def _highest(holds: Callable[[int], bool], steps: int) -> int:
    low, high = 0, steps + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle * STEP) else (low, middle)
    return low


def transfer_cpu(quick: bool) -> list[Result]:
    """Measure the CPU of all daemons per call with a transfer."""
    calls, rate, rounds = (100, 20, 3) if quick else (300, 20, 5)
    costs: dict[str, list[float]] = {"kamailio": [], "rtpengine": [], "redis": []}
    with running() as (system, ports):
        daemons = {"kamailio": system.kamailio, "rtpengine": system.rtpengine, "redis": system.redis}
        with transfers(system.proxy, ports, calls=calls // 3, rate=rate):
            pass
        for _ in range(rounds):
            begun = {name: cpu_seconds(daemon) for name, daemon in daemons.items()}
            with transfers(system.proxy, ports, calls=calls, rate=rate):
                pass
            for name, daemon in daemons.items():
                costs[name].append(1000 * (cpu_seconds(daemon) - begun[name]) / calls)
    details = {f"{name}_ms": [round(cost, 2) for cost in each] for name, each in costs.items()}
    total = median(map(sum, zip(*costs.values(), strict=True)))
    return [Result("CPU per call with a transfer, all daemons", total, 4, "ms", details={**details, "rate": rate})]


def transfer_memory(quick: bool) -> list[Result]:
    """Measure what all daemons hold per call that was handed over and goes on."""
    calls, rate = (200, 25) if quick else (500, 25)
    settle = 8  # tm keeps a transaction for five seconds after its end
    with running() as (system, ports):
        for _ in range(2):  # each worker loads what it needs, and Python's memory grows to its usual size
            with transfers(system.proxy, ports, calls=100, rate=rate):
                pass
        _wait_until(lambda: system.transactions() == 0, settle)
        before = memory(system)
        hold = 1000 * (calls // rate + 2 * settle)
        with transfers(system.proxy, ports, calls=calls, rate=rate, caller_ms=hold):
            _wait_until(lambda: _handed_over(system) == calls, calls / rate + settle)
            _wait_until(lambda: system.transactions() == 0, settle)
            after = memory(system)
    each = {name: (after[name] - before[name]) / calls / 1000 for name in before}
    details = {"calls": calls, **{f"{name}_kB": round(size, 1) for name, size in each.items()}}
    return [Result("memory per transferred call, all daemons", sum(each.values()), 100, "kB", details=details)]


def _handed_over(system: System) -> int:
    return sum(call.state is State.CONNECTED for call in system.calls())


def _wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Ask seldom, since asking costs the daemons time too."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not all calls were handed over, or ended, within {seconds:g} s"
        time.sleep(0.5)  # Redis tells of no change by itself
