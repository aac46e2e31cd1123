"""What Redis keeps of endpoints."""

# ruff: noqa: D102  # EndpointStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from routing.hunting import Failing, read_failing
from routing.store import layout, scripts
from routing.store.endpoints import IDLE_KEPT, EndpointStore, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routing.store.server import Command


class Run(Protocol):
    """Sends commands in one request."""

    def __call__(self, operation: str, *commands: Command, extra: float = 0.0) -> list[Any]:
        """Give their replies."""
        ...


class RedisEndpoints(EndpointStore):
    """`EndpointStore` with what sends requests."""

    _run: Run

    def vacate(self, uri: str, leg_call_ids: Sequence[str], ended_at: float | None = None) -> None:
        commands: list[Command] = [("SREM", layout.occupants_key(uri), *leg_call_ids)]
        if ended_at is not None:
            commands += [
                ("ZADD", layout.ENDED, repr(ended_at), uri),
                ("ZREMRANGEBYSCORE", layout.ENDED, "-inf", repr(ended_at - IDLE_KEPT)),
                ("EXPIRE", layout.ENDED, IDLE_KEPT),
            ]
        self._run("vacate", *commands)

    def fail_endpoint(self, uri: str, why: str, now: float, *, failures: int, rest: float) -> Failing:
        script = ("EVALSHA", scripts.FAIL.sha, 1, layout.FAILING, uri, why, repr(now), failures, repr(rest))
        return Failing.model_validate_json(self._run("fail_endpoint", script)[0])

    def forgive_endpoint(self, uri: str) -> None:
        self._run("forgive_endpoint", ("HDEL", layout.FAILING, uri))

    def failing(self) -> dict[str, Failing]:
        flat = self._run("failing", ("HGETALL", layout.FAILING))[0]
        found = {uri.decode(): read_failing(text) for uri, text in zip(flat[::2], flat[1::2], strict=True)}
        return {uri: failing for uri, failing in found.items() if failing}

    def claim_probes(self, uris: Sequence[str], seconds: float) -> list[str]:
        claims = (("SET", layout.probe_key(uri), 1, "NX", "PX", round(1000 * seconds)) for uri in uris)
        return [uri for uri, won in zip(uris, self._run("claim_probes", *claims), strict=True) if won]

    def _occupy(self, uri: str, leg_call_id: str, limit: int) -> bool:
        script = ("EVALSHA", scripts.OCCUPY.sha, 1, layout.occupants_key(uri), leg_call_id, limit)
        return bool(self._run("occupy", script)[0])

    def _occupants(self, uris: Sequence[str]) -> dict[str, list[str]]:
        replies = self._run("occupants", *(("SMEMBERS", layout.occupants_key(uri)) for uri in uris))
        return {uri: [leg.decode() for leg in legs] for uri, legs in zip(uris, replies, strict=True)}

    def _ended(self, uris: Sequence[str]) -> Mapping[str, float]:
        scores = self._run("ended", ("ZMSCORE", layout.ENDED, *uris))[0]
        return named(uris, (None if score is None else float(score) for score in scores))

    def _packed(self, call_ids: Sequence[str]) -> Sequence[bytes | None]:
        return self._run("occupants", *(("GET", layout.keys(call_id)[0]) for call_id in call_ids)) if call_ids else ()
