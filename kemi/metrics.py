"""What the workers count, in prometheus-client's multiprocess files; `handoff exporter` serves them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Histogram

from routing.measured import CHANGEOVER, RING, TO_BRIDGE, TRANSFERS, measure
from routing.outcomes import Mode, Outcome

if TYPE_CHECKING:
    from routing.transfer_record import Transfer

FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SLOW = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0)


class Metrics:
    """The counters and histograms of one worker; all times in seconds."""

    def __init__(self) -> None:
        """Register them; each worker's values are in files of its own."""
        self._children: dict[tuple[object, ...], Any] = {}
        self._transfers = Counter(TRANSFERS, "Finished transfers.", ["mode", "outcome"])
        self._to_invite = Histogram(
            "handoff_refer_to_invite_seconds", "From REFER or command to the INVITE at the target.", buckets=FAST
        )
        changeover = "How long rtpengine took to give the caller the person in the place of the agent or of music."
        self._stages = {
            RING: Histogram(RING, "From INVITE to answer.", buckets=SLOW),
            TO_BRIDGE: Histogram(TO_BRIDGE, "From the answer to the bridge, in blind transfers.", buckets=FAST),
            CHANGEOVER: Histogram(CHANGEOVER, changeover, buckets=FAST),
        }
        self._fixed = Counter(
            "handoff_fixed_messages", "Briefings with the fixed message: speech was not there in time."
        )
        self._requests = Counter("handoff_sip_requests", "SIP requests received.", ["method"])
        self._replies = Counter("handoff_sip_replies", "SIP responses received.", ["class"])
        self._answers = Counter("handoff_sip_answers", "Error responses sent by handoff itself.", ["status"])
        self._calls = Counter("handoff_calls", "Calls answered by an agent.", ["pool"])
        self._redis = Histogram("handoff_redis_seconds", "Requests to Redis.", ["operation", "outcome"], buckets=FAST)
        self._rtpengine = Histogram(
            "handoff_rtpengine_seconds", "Requests to rtpengine.", ["node", "command", "outcome"], buckets=FAST
        )

        # Series that are there from the start: Prometheus would not see the first count of one that comes with it.
        for mode, outcome in product(Mode, Outcome):
            self._of(self._transfers, mode, outcome)
        self._of(self._answers, "503")

    def _of(self, metric: Counter | Histogram, *labels: str) -> Any:
        """Find the child of a metric; remembered, since prometheus-client takes as long to find it as to count."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def transfer(self, transfer: Transfer) -> None:
        """Count a finished transfer."""
        self._of(self._transfers, transfer.mode, transfer.outcome or Outcome.INTERNAL).inc()
        for name, seconds in measure(transfer).items():
            self._stages[name].observe(seconds)

    def fixed_message(self) -> None:
        """Count a person who heard the fixed message in the place of speech."""
        self._fixed.inc()

    def invited(self, transfer: Transfer, now: float) -> None:
        """Note how long the first INVITE of a transfer took to leave."""
        if transfer.invited_at is None:
            self._to_invite.observe(now - transfer.requested_at)

    def call(self, pool: str) -> None:
        """Count an answered call."""
        self._of(self._calls, pool).inc()

    def request(self, method: str) -> None:
        """Count a request received; methods that are not SIP's own count as one."""
        self._of(self._requests, method if method in _METHODS else "other").inc()

    def reply(self, status: int) -> None:
        """Count a response received."""
        self._of(self._replies, f"{status // 100}xx").inc()

    def answer(self, status: int) -> None:
        """Count an error response of our own."""
        self._of(self._answers, str(status)).inc()

    def redis(self, operation: str, seconds: float, outcome: str) -> None:
        """Note a request to Redis."""
        self._of(self._redis, operation, outcome).observe(seconds)

    def rtpengine(self, node: str, command: str, seconds: float, outcome: str) -> None:
        """Note a request to rtpengine."""
        self._of(self._rtpengine, node, command, outcome).observe(seconds)


_METHODS = frozenset(
    {
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "INFO",
        "UPDATE",
        "REFER",
        "NOTIFY",
        "MESSAGE",
        "PRACK",
        "SUBSCRIBE",
        "PUBLISH",
        "REGISTER",
    }
)
