"""A circuit breaker: after a failure nothing is tried for a while, so that a dead Redis costs one wait a second."""

from __future__ import annotations

import math


class Breaker:
    """Knows whether to try; the time is passed in, in seconds of any steady clock.

    Once `rest` seconds have passed since the failure, the next request is the trial: it closes the breaker or
    begins another rest.
    """

    __slots__ = ("_rest", "_until", "why")

    def __init__(self, rest: float = 1.0) -> None:
        self._rest = rest
        self._until = -math.inf
        self.why = ""
        """What the last failure was."""

    def resting(self, now: float) -> bool:
        """Say whether to fail at once, without trying."""
        return now < self._until

    def fail(self, now: float, why: str) -> None:
        """Begin a rest."""
        self._until = now + self._rest
        self.why = why

    def succeed(self) -> None:
        """End the rest at once."""
        self._until = -math.inf
