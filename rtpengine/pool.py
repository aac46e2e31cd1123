"""Chooses an rtpengine node for each call, and leaves alone for a while the nodes that do not answer."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from rtpengine.client import Client
from rtpengine.commands import Ping
from rtpengine.errors import CommandRefused, NodeFailed, NoNodeAvailable, RtpengineError, UnknownNode
from rtpengine.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtpengine.commands import Command

R = TypeVar("R", bound=Reply)
T = TypeVar("T")
RequestOutcome = Literal["ok", "refused", "failed", "bad_reply"]


class MediaPool(Protocol):
    """What the rest of handoff needs of its rtpengine nodes."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, healthy or not."""

    def choose(self, call_id: str) -> str:
        """Name the healthy node for a new call; raise NoNodeAvailable."""

    def request(self, node: str, command: Command[R]) -> R:
        """Carry out `command` at `node`; raise an RtpengineError."""

    def tell(self, node: str, command: Command[R]) -> None:
        """Send `command` to `node` and wait for nothing; raise an RtpengineError."""

    def ping_all(self) -> dict[str, bool]:
        """Ask every node whether it is there."""

    def mark(self, node: str, healthy: bool) -> None:
        """Tell the pool what is known of a node from elsewhere."""

    def close(self) -> None:
        """Close this process's sockets."""


class Pool:
    """The nodes of the settings, name -> "host:port"; each process has its own knowledge of their health.

    `rest` is the seconds for which a node gets no new calls after it failed. `observer` is told the node, the
    command's name, the seconds it took, and how it ended.
    """

    def __init__(
        self,
        nodes: Mapping[str, str],
        *,
        deadline: float = 0.3,
        rest: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        observer: Callable[[str, str, float, RequestOutcome], None] | None = None,
    ) -> None:
        """Raise BadAddress if one of the addresses is not host:port."""
        self._clients = {name: Client(name, address, deadline=deadline) for name, address in nodes.items()}
        self._rest = rest
        self._clock = clock
        self._observer = observer
        self._sick_until: dict[str, float] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, healthy or not."""
        return tuple(self._clients)

    def choose(self, call_id: str) -> str:
        """Name the node for a new call, the same one in every process that sees the same nodes healthy.

        Rendezvous hashing: when a node falls out, only its own share of the calls goes elsewhere. A node that has
        rested is tried again. Raises NoNodeAvailable.
        """
        healthy = [name for name in self._clients if self._is_healthy(name)]
        if not healthy:
            raise NoNodeAvailable(self.nodes)
        if len(healthy) == 1:
            return healthy[0]
        return max(healthy, key=lambda name: blake2b(f"{name} {call_id}".encode(), digest_size=8).digest())

    def request(self, node: str, command: Command[R]) -> R:
        """Carry out `command` at `node`, sick or not, since its calls are there and nowhere else.

        Raises UnknownNode, DeadlineExceeded and NodeUnreachable (both make the node rest), CommandRefused, BadReply.
        """
        reply = self._carry_out(node, command, self._client(node).request)
        self.mark(node, healthy=True)
        return reply

    def tell(self, node: str, command: Command[R]) -> None:
        """Send `command` to `node` and wait for nothing, not even to see whether it has come: one that may get lost.

        Raises UnknownNode, NodeUnreachable, CommandRefused.
        """
        self._carry_out(node, command, self._client(node).tell)

    def _carry_out(self, node: str, command: Command[R], send: Callable[[Command[R]], T]) -> T:
        started = self._clock()
        outcome: RequestOutcome = "ok"
        try:
            return send(command)
        except NodeFailed:
            outcome = "failed"
            self.mark(node, healthy=False)
            raise
        except RtpengineError as error:
            outcome = "refused" if isinstance(error, CommandRefused) else "bad_reply"
            raise
        finally:
            if self._observer:
                self._observer(node, command.name, self._clock() - started, outcome)

    def ping_all(self) -> dict[str, bool]:
        """Ask every node whether it is there, and remember the answers; takes up to one deadline per dead node."""
        return {name: self._pings(name) for name in self._clients}

    def mark(self, node: str, healthy: bool) -> None:
        """Tell the pool that `node` is well, or that it should rest; raise UnknownNode."""
        self._client(node)
        if healthy:
            self._sick_until.pop(node, None)
        else:
            self._sick_until[node] = self._clock() + self._rest

    def close(self) -> None:
        """Close this process's sockets."""
        for client in self._clients.values():
            client.close()

    def _client(self, node: str) -> Client:
        try:
            return self._clients[node]
        except KeyError:
            raise UnknownNode(node, self.nodes) from None

    def _is_healthy(self, node: str) -> bool:
        return self._clock() >= self._sick_until.get(node, float("-inf"))

    def _pings(self, node: str) -> bool:
        try:
            self.request(node, Ping())
        except RtpengineError:  # the caller sees False, the observer why
            self.mark(node, healthy=False)
            return False
        return True
