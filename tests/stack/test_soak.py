"""Two hundred calls, each handed over once, at twenty per second: no failure, and nothing is left of them anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
import redis

from routing.outcomes import Outcome
from routing.store import layout
from tests.bench.load import TARGET, Ports, transfers
from tests.stack.system import NODE, System

if TYPE_CHECKING:
    from collections.abc import Iterator

ALWAYS = "openssl bug #1491"
"""What Kamailio's TLS module warns of at each start, whatever the version of OpenSSL."""
WARM_UP, CALLS, RATE = 40, 200, 20.0
LINGERING = 15.0
"""Seconds until tm has let go of the last transaction: it waits 5 for late repetitions."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory at one moment: of Kamailio's shared pool in bytes, and of each process alone in kB, by its pid."""

    shared: int
    private: dict[int, int]
    rtpengine: int

    @classmethod
    def of(cls, system: System) -> Self:
        """Measure it."""
        kamailio, rtpengine = system.kamailio.process, system.rtpengine.process
        assert kamailio
        assert rtpengine
        children = Path(f"/proc/{kamailio.pid}/task/{kamailio.pid}/children").read_text().split()
        private = {int(pid): private_memory(int(pid)) for pid in children}
        return cls(system.counter("core.shmmem", "used"), private, private_memory(rtpengine.pid))


def private_memory(pid: int) -> int:
    """Read how much memory a process has for itself, in kB."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found, "the kernel does not say"
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Soak:
    """The stack after the calls, and its memory before and after."""

    system: System
    before: Footprint
    after: Footprint


@pytest.fixture(scope="module")
def soak() -> Iterator[Soak]:
    """Make the calls; a call that does not end as it should is an error here."""
    ports = Ports()
    with System(ports.agent_uri) as system:
        system.add_target(TARGET, ports.target_uri)
        before = load(system, ports, WARM_UP)
        yield Soak(system, before, load(system, ports, CALLS))


def load(system: System, ports: Ports, calls: int) -> Footprint:
    """Make so many calls and wait until tm has forgotten them."""
    with transfers(system.proxy, ports, calls=calls, rate=RATE):
        pass
    system.wait_until(lambda: system.transactions() == 0, timeout=LINGERING)
    return Footprint.of(system)


def test_every_call_was_handed_over(soak: Soak) -> None:
    """The call log names each of them with the one good outcome."""
    log = soak.system.store.finished(2 * (WARM_UP + CALLS))
    assert len(log) == WARM_UP + CALLS
    assert {entry.transfer.outcome for entry in log} == {Outcome.CONNECTED}
    assert len({entry.call_id for entry in log}) == WARM_UP + CALLS


def test_redis_keeps_targets_and_the_log_and_nothing_of_the_calls(soak: Soak) -> None:
    """No record, no lease, no deadline, no command."""
    with redis.Redis(unix_socket_path=f"{soak.system.folder}/redis.sock", decode_responses=True) as raw:
        assert set(raw.scan_iter()) == {layout.TARGETS, layout.LOG, layout.NODES, layout.node_key(NODE)}


def test_rtpengine_holds_no_call(soak: Soak) -> None:
    """All media was released by handoff, not by rtpengine's own time-out."""
    assert soak.system.media_calls() == 0
    assert "due to timeout" not in soak.system.rtpengine.log.read_text()


def test_kamailio_holds_no_transaction_and_no_copy_of_a_call(soak: Soak) -> None:
    """tm is empty, and so is the table of the calls that were handed over."""
    assert soak.system.transactions() == 0
    assert soak.system.counter("htable.stats", "all") == 0


def test_kamailios_shared_memory_is_what_it_was(soak: Soak) -> None:
    """Not a hundred bytes a call are missing."""
    assert soak.after.shared - soak.before.shared < 100 * CALLS


def test_the_processes_do_not_grow(soak: Soak) -> None:
    """None takes 5 kB a call, most of which are pydantic's and Python's caches; those are full some day."""
    assert soak.after.private.keys() == soak.before.private.keys(), "a process died"
    grown = {pid: kb - soak.before.private[pid] for pid, kb in soak.after.private.items()}
    assert max(grown.values()) < 5 * CALLS


def test_rtpengine_does_not_grow_without_bound(soak: Soak) -> None:
    """It keeps some memory for the next calls: less than 50 kB a call."""
    assert soak.after.rtpengine - soak.before.rtpengine < 50 * CALLS


def test_the_log_has_no_complaint(soak: Soak) -> None:
    """Not one warning in all these calls."""
    lines = [line for line in soak.system.kamailio.log.read_text().splitlines() if ALWAYS not in line]
    assert [line for line in lines if re.search("WARNING|ERROR|CRITICAL|Traceback", line)] == []
