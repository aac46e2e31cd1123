"""A pool of rtpengine nodes in memory, for tests: the same commands and errors, and faults on demand.

It is a `MediaPool`, and passes the same contract tests as the real daemon.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from rtpengine.errors import CommandRefused, DeadlineExceeded, NodeUnreachable, NoNodeAvailable, UnknownNode
from rtpengine.fake_daemon import FakeDaemon
from rtpengine.replies import Dictionary, Reply

if TYPE_CHECKING:
    from rtpengine.commands import Command
    from rtpengine.fake_daemon import FakeCall, FakeParty

R = TypeVar("R", bound=Reply)

_DEADLINE = 0.3


class FakeRtpengine:
    """Stands in for a pool of rtpengine nodes; `requests` holds every (node, command) that it got, in order."""

    def __init__(self, nodes: tuple[str, ...] = ("fake",)) -> None:
        self.nodes = nodes
        self.requests: list[tuple[str, Command[Reply]]] = []
        self._daemons = {node: FakeDaemon() for node in nodes}
        self._resting: set[str] = set()
        self._down: set[str] = set()
        self._refusals: dict[str, list[str]] = {}
        self._losses: Counter[tuple[str, bool]] = Counter()

    def choose(self, call_id: str) -> str:
        """Name the node for a new call, the same one each time; raise NoNodeAvailable."""
        healthy = [node for node in self.nodes if node not in self._resting]
        if not healthy:
            raise NoNodeAvailable(self.nodes)
        return healthy[sum(call_id.encode()) % len(healthy)]

    def request(self, node: str, command: Command[R]) -> R:
        """Carry out `command`; raise what a real pool would, and what the test has asked for."""
        daemon = self._daemon(node)
        self.requests.append((node, command))
        if node in self._down:
            self.mark(node, healthy=False)
            raise NodeUnreachable(node, command.name, "Connection refused")
        self._lose(node, command, applied=False)
        if refusals := self._refusals.get(command.name):
            answer: Dictionary = {"result": "error", "error-reason": refusals.pop(0)}
        else:
            answer = daemon.answer(command)
        self._lose(node, command, applied=True)
        self.mark(node, healthy=True)
        return command.understand(node, answer)

    def tell(self, node: str, command: Command[R]) -> None:
        """Carry out `command`, and say nothing of what came of it."""
        with contextlib.suppress(CommandRefused, DeadlineExceeded):
            self.request(node, command)

    def ping_all(self) -> dict[str, bool]:
        """Say which nodes are up, and remember it."""
        for node in self.nodes:
            self.mark(node, healthy=node not in self._down)
        return {node: node not in self._down for node in self.nodes}

    def mark(self, node: str, healthy: bool) -> None:
        """Let `node` get new calls, or not until it answers again."""
        self._daemon(node)
        (self._resting.discard if healthy else self._resting.add)(node)

    def close(self) -> None:
        """There is nothing to close."""

    # What follows is for the test, which plays fate.

    def calls(self, node: str) -> dict[str, FakeCall]:
        """Give the calls that live at `node`, by call id."""
        return self._daemon(node).calls

    def party(self, call_id: str, tag: str) -> FakeParty:
        """Give a living party, at whichever node its call is; raise LookupError if there is none."""
        for daemon in self._daemons.values():
            if (call := daemon.calls.get(call_id)) and (party := call.find(tag)):
                return party
        raise LookupError(f"no party {tag!r} in call {call_id!r}")

    def heard_by(self, call_id: str, tag: str) -> set[str]:
        """Tell what a party hears: tags of others, and the path of what is played to it."""
        listener = self.party(call_id, tag)
        return next(call.heard_by(listener) for daemon in self._daemons.values() if (call := daemon.calls.get(call_id)))

    def hears(self, call_id: str, tag: str, *, packets: int, at: int) -> None:
        """Let RTP packets come from a party, the last of them at Unix time `at`."""
        party = self.party(call_id, tag)
        party.packets += packets
        party.last_packet = at

    def refuse_next(self, command: type[Command[Reply]], reason: str) -> None:
        """Answer the next such command with an error."""
        self._refusals.setdefault(command.name, []).append(reason)

    def lose_next(self, command: type[Command[Reply]], *, applied: bool = False) -> None:
        """Let the next such command run into its deadline, having taken effect (`applied`) or not."""
        self._losses[command.name, applied] += 1

    def stop(self, node: str) -> None:
        """Kill the daemon of `node`: its calls are gone."""
        self.calls(node).clear()
        self._down.add(node)

    def start(self, node: str) -> None:
        """Start the daemon of `node` again; the pool learns of it by the next request or ping."""
        self._down.discard(node)

    def _daemon(self, node: str) -> FakeDaemon:
        try:
            return self._daemons[node]
        except KeyError:
            raise UnknownNode(node, self.nodes) from None

    def _lose(self, node: str, command: Command[Reply], *, applied: bool) -> None:
        if self._losses[command.name, applied]:
            self._losses[command.name, applied] -= 1
            self.mark(node, healthy=False)
            raise DeadlineExceeded(node, command.name, _DEADLINE)
