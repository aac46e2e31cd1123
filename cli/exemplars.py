"""Exemplars: each counter and bucket of transfers names the newest call that it counted, as the call log has it.

prometheus-client keeps none in the files of the workers. Prometheus asks for them by itself (OpenMetrics), and keeps
them with --enable-feature=exemplar-storage; then a spike in a dashboard leads to `handoff log show`.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from routing.measured import TRANSFERS, measure
from routing.outcomes import Outcome
from routing.store import Logged, StoreUnavailable
from routing.store.log import PAGE, read_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from routing.store import Store

REMEMBERED = 1000
"""Things counted that are kept in mind; a transfer is up to four."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A transfer in one metric: it was counted in the first sample with these labels that its value fits in."""

    metric: str
    exemplar: Exemplar
    labels: dict[str, str] = field(default_factory=dict)


class Exemplified(Collector):
    """Gives what another collector gives, with exemplars from the transfers of one node; the store is for it alone."""

    def __init__(self, counted: Collector, store: Store, node: str) -> None:
        self._collector = counted
        self._store = store
        self._node = node
        self._lock = threading.Lock()
        self._position: str | None = None
        self._counted: deque[Counted] = deque(maxlen=REMEMBERED)

    def collect(self) -> Iterable[Metric]:
        """Give the metrics; while Redis is away no newer exemplars come."""
        families = {family.name: family for family in self._collector.collect()}
        with self._lock:
            self._look()
            for counted in self._counted:
                if family := families.get(counted.metric):
                    _mark(family, counted)
        return families.values()

    def _look(self) -> None:
        """Read what has been logged since; of very many the newest, since a sample has but one exemplar.

        What had been logged before the first look may have been counted by workers of which no file is left.
        """
        began = self._position is None
        try:
            page = self._store.log_page(count=1 if began else PAGE, after=self._position)
        except StoreUnavailable:
            return
        if page or began:
            self._position = page[0].position if page else "0-0"
        for logged in () if began else reversed(list(read_log([page]))):
            if isinstance(logged, Logged) and (origin := logged.transfer.origin) and origin.node == self._node:
                self._counted.extend(_counted(logged))


def _counted(logged: Logged) -> Iterator[Counted]:
    transfer = logged.transfer

    def exemplar(value: float) -> Exemplar:
        return Exemplar({"call_id": logged.call_id}, value, transfer.ended_at)

    yield Counted(TRANSFERS, exemplar(1.0), {"mode": transfer.mode, "outcome": transfer.outcome or Outcome.INTERNAL})
    for name, seconds in measure(transfer).items():
        yield Counted(name, exemplar(seconds))


def _mark(family: Metric, counted: Counted) -> None:
    places = [
        (float(sample.labels.get("le", "inf")), place)
        for place, sample in enumerate(family.samples)
        if sample.name.endswith(("_total", "_bucket")) and counted.labels.items() <= sample.labels.items()
    ]
    fits = [(bound, place) for bound, place in places if counted.exemplar.value <= bound]
    if fits:
        _, place = min(fits)
        family.samples[place] = family.samples[place]._replace(exemplar=counted.exemplar)
