"""Probing targets on a schedule, where their `probe_every` says so; the exporter does it, in a thread of its own.

A probe is what `handoff targets test --quiet` does: DNS, connection, certificate and OPTIONS, so that nothing rings. It
may run on all nodes: whoever claims a target probes it, and the claim ends by itself when the next probe is due. Who
dies with a target in hand loses that one probe.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Status
from cli.output import plain
from cli.target_probes import EndpointProbe, Probe, read_probe
from cli.trial.planning import prepare
from routing.store import StoreUnavailable
from routing.targets import Target, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.trial.endpoint import Report
    from cli.trial.planning import Work
    from routing.settings import Settings
    from routing.store import Store

AT_ONCE = 16
"""Endpoints that are probed at a time."""
EVERY = 0.25
"""Seconds between two looks at what is done."""
LOOK = 5.0
"""Seconds between two looks at the targets."""


@dataclass(slots=True)
class UnderWay:
    """A target that is being probed, as it was stored then, and the reports on its endpoints that have come."""

    target: Target
    data: bytes
    at: float
    reports: dict[int, Report] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """How many endpoints there is no report on yet."""
        return len(self.target.endpoints) - len(self.reports)


class Prober:
    """Claims targets that are due, probes them, and keeps what was found; the store is for its thread alone."""

    def __init__(
        self, store: Store, settings: Settings, say: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._settings = settings
        self._say = say
        self._clock = clock
        self._known: dict[str, tuple[bytes, Target | None]] = {}
        self._under_way: dict[str, UnderWay] = {}
        self._done: SimpleQueue[tuple[str, int, Report]] = SimpleQueue()
        self._failing: set[str] = set()
        self._never = threading.Event()
        self._places = threading.Semaphore(AT_ONCE)  # one target may have more endpoints than there is room
        self._look_at = float("-inf")
        self._away = False

    def run(self, stop: threading.Event) -> None:
        """Probe until it is told to stop; what is under way then is left, and changes nothing any more."""
        while not stop.is_set():
            self.turn()
            stop.wait(EVERY)

    def turn(self) -> None:
        """Do what is to be done now; what was found while Redis is away is lost, and found again a period later."""
        try:
            self._settle()
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK
                self._look()
                self._tell_away("")
        except StoreUnavailable as error:
            self._tell_away(error.text)

    def _tell_away(self, why: str) -> None:
        """Say once that Redis is away, and once that it is back."""
        if bool(why) != self._away:
            self._say(f"no targets are probed: {why}" if why else "targets are probed again")
        self._away = bool(why)

    def _look(self) -> None:
        """Begin with what is due, as far as there is room."""
        self._read_targets()
        scheduled = {name: target for name, (_, target) in self._known.items() if target and target.probe_every}
        kept = self._store.target_probes()
        self._store.drop_target_probes([name for name in kept if name not in scheduled])
        found = {name: read_probe(data) for name, data in kept.items()}  # by other nodes, too
        self._failing = {name for name, probe in found.items() if probe and probe.status is Status.FAILED}
        room = AT_ONCE - sum(each.missing for each in self._under_way.values())
        chosen: dict[str, float] = {}
        waiting = [name for name in scheduled if name not in self._under_way]
        for name in random.sample(waiting, len(waiting)):  # nobody comes last each time
            if room <= 0:
                break
            room -= len(scheduled[name].endpoints)
            chosen[name] = scheduled[name].probe_every - LOOK / 2  # or it ends just after a look
        for name in self._store.claim_target_probes(chosen):
            self._begin(scheduled[name], self._known[name][0])

    def _read_targets(self) -> None:
        """Read all targets, those that have changed; one that cannot be read is left to `handoff doctor`."""
        known = {}
        for name, data in self._store.targets().items():
            before = self._known.get(name)
            known[name] = before if before and before[0] == data else (data, _read(data))
        self._known = known

    def _begin(self, target: Target, data: bytes) -> None:
        works = [
            prepare(self._settings, self._store, target, each, self._never, ring=False, quiet=True)
            for each in target.endpoints
        ]
        self._under_way[target.name] = UnderWay(target, data, self._clock())
        for number, work in enumerate(works):
            arguments = (target.name, number, work)
            threading.Thread(target=self._probe, args=arguments, name="probe", daemon=True).start()

    def _probe(self, name: str, number: int, work: Work) -> None:
        """Probe one endpoint, in a thread of its own; it ends, since each step has a deadline."""
        with self._places:
            self._done.put((name, number, work(lambda _: None)))

    def _settle(self) -> None:
        """Keep what is complete."""
        while True:
            try:
                name, number, report = self._done.get_nowait()
            except Empty:
                return
            under_way = self._under_way[name]
            under_way.reports[number] = report
            if not under_way.missing:
                del self._under_way[name]
                self._keep(under_way)

    def _keep(self, done: UnderWay) -> None:
        """Keep what was found, unless the target has changed meanwhile, or is gone; log what has changed."""
        name = done.target.name
        if self._store.target(name) != done.data:
            return
        endpoints = tuple(EndpointProbe.make(report) for _, report in sorted(done.reports.items()))
        probe = Probe(at=done.at, every=done.target.probe_every, node=self._settings.node.id, endpoints=endpoints)
        self._store.keep_target_probe(name, probe.model_dump_json().encode())
        fails = probe.status is Status.FAILED
        if fails and name not in self._failing:
            self._say(plain(f"target={name} probe=failed {probe.lines()[0]}"))
        elif not fails and name in self._failing:
            self._say(f"target={name} probe={probe.status}, it failed before")
        self._failing = self._failing | {name} if fails else self._failing - {name}


def _read(data: bytes) -> Target | None:
    try:
        return Target.from_json(data)
    except TargetError:
        return None
