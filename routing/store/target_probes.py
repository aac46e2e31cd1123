"""What the store keeps of targets that are probed on a schedule: who does it when, and what was found last."""

# ruff: noqa: D102  # TargetProbeStore says what each does.

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from routing.store import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from routing.store.redis_endpoints import Run
    from routing.store.server import Command

KEPT = 4 * 86400
"""Seconds that all of it lives after the last probe."""


class TargetProbeStore(Protocol):
    """The part of the store that is about probes of targets; all calls raise StoreUnavailable when Redis is away.

    What was found is JSON, by the name of the target. It is forgotten when the target changes or goes.
    """

    def claim_target_probes(self, periods: Mapping[str, float]) -> list[str]:
        """Give those of the targets that may be probed now, and to nobody else for as many seconds."""
        ...

    def keep_target_probe(self, name: str, data: bytes) -> None:
        """Keep what was found, in the place of what was found before."""
        ...

    def target_probes(self) -> dict[str, bytes]:
        """Read what was found last, of all targets."""
        ...

    def drop_target_probes(self, names: Sequence[str]) -> None:
        """Forget what was found, and let these targets be probed at once."""
        ...


class RedisTargetProbes(TargetProbeStore):
    """`TargetProbeStore` with what sends requests."""

    _run: Run

    def claim_target_probes(self, periods: Mapping[str, float]) -> list[str]:
        claims = [
            ("SET", layout.target_probe_key(name), 1, "NX", "PX", round(1000 * seconds))
            for name, seconds in periods.items()
        ]
        won = self._run("claim_target_probes", *claims) if claims else []
        return [name for name, claimed in zip(periods, won, strict=True) if claimed]

    def keep_target_probe(self, name: str, data: bytes) -> None:
        keep = ("HSET", layout.TARGET_PROBES, name, data)
        self._run("keep_target_probe", keep, ("EXPIRE", layout.TARGET_PROBES, KEPT))

    def target_probes(self) -> dict[str, bytes]:
        flat = self._run("target_probes", ("HGETALL", layout.TARGET_PROBES))[0]
        return {name.decode(): data for name, data in zip(flat[::2], flat[1::2], strict=True)}

    def drop_target_probes(self, names: Sequence[str]) -> None:
        if names:
            self._run("drop_target_probes", *(command for name in names for command in forgetting(name)))


class MemoryTargetProbes(TargetProbeStore):
    """`TargetProbeStore` beside the targets."""

    _clock: Callable[[], float]

    def __init__(self) -> None:
        super().__init__()
        self._target_probes: dict[str, bytes] = {}
        self._target_claims: dict[str, float] = {}

    def claim_target_probes(self, periods: Mapping[str, float]) -> list[str]:
        now = self._clock()
        won = [name for name in periods if self._target_claims.get(name, now) <= now]
        self._target_claims.update({name: now + periods[name] for name in won})
        return won

    def keep_target_probe(self, name: str, data: bytes) -> None:
        self._target_probes[name] = data

    def target_probes(self) -> dict[str, bytes]:
        return dict(self._target_probes)

    def drop_target_probes(self, names: Sequence[str]) -> None:
        for name in names:
            self._target_probes.pop(name, None)
            self._target_claims.pop(name, None)


def forgetting(name: str) -> tuple[Command, Command]:
    """Give the commands that forget what was found of a target."""
    return ("HDEL", layout.TARGET_PROBES, name), ("DEL", layout.target_probe_key(name))
