"""Who is who in a trace: the caller, the agents, and the legs that handoff made."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cli.traces.sip import Message, Place, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterable

LEG = re.compile(r"[0-9a-f]{16}-(\d+)")
CALLER, AGENT = "caller", "agent"
MOMENT = 1e-6
"""Seconds by which a cause comes before its effect at least."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message and the party that sent or got it; `again` where it is a retransmission."""

    message: Message
    party: str
    again: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps of a call in order, and its parties from left to right, each with the address that it was first at."""

    call_id: str
    steps: tuple[Step, ...]
    parties: dict[str, Place]
    left_out: int = 0

    @property
    def nodes(self) -> list[str]:
        """The nodes that handled it, in their order."""
        return list(dict.fromkeys(step.message.node for step in self.steps))

    def of(self, party: str) -> list[Message]:
        """Give what one party sent and got, each message once."""
        return [step.message for step in self.steps if step.party == party and not step.again]


def make_trace(call_id: str, messages: Iterable[Message], left_out: int = 0) -> Trace:
    """Find out who sent and got each message."""
    ordered = put_in_order(messages)
    sorter = _Sorter(ordered)
    steps: list[Step] = []
    parties: dict[str, Place] = {}
    seen: set[tuple[bool, Place, bytes]] = set()
    for message in ordered:
        party, key = sorter.party(message), (message.sent, message.peer, message.raw)
        parties.setdefault(party, message.peer)
        steps.append(Step(message, party, key in seen))
        seen.add(key)
    names = sorted(parties, key=_place)
    return Trace(call_id, tuple(steps), {name: parties[name] for name in names}, left_out)


def put_in_order(messages: Iterable[Message]) -> list[Message]:
    """Sort messages by time, and what handoff sent before that which answers it.

    Kamailio notes the time of what it sends when it has been sent: the answer may have come by then.
    """
    ordered = sorted(messages, key=lambda message: message.at)
    sent: dict[tuple[str, ...], int] = {}
    for place, message in enumerate(ordered):
        if message.sent:
            sent.setdefault(_key(message), place)
    for message in list(ordered):
        cause = None if message.sent else sent.get(_cause(message))
        if cause is not None and ordered[cause].at >= message.at:
            _put_before(message, ordered, cause)
    return sorted(ordered, key=lambda message: message.at)


def _put_before(answer: Message, ordered: list[Message], cause: int) -> None:
    """Put what handoff sent before its answer, and the 100 that it had sent before that still before it."""
    late = ordered[cause]
    for place, other in enumerate(ordered):
        trying = other.sent and other.status == 100 and other.call_id == late.call_id
        if trying and answer.at - MOMENT <= other.at <= late.at:
            ordered[place] = replace(other, at=answer.at - 2 * MOMENT)
    ordered[cause] = replace(late, at=answer.at - MOMENT)


def _key(message: Message) -> tuple[str, ...]:
    """Name a message by what its answer repeats of it (RFC 3261 sections 8.1.3.3 and 13.2.2.4)."""
    if message.status:
        final = "final" if message.status >= 200 else "provisional"
        return final, message.call_id, str(message.cseq), message.method, message.from_tag
    return message.method, message.branch


def _cause(message: Message) -> tuple[str, ...]:
    """Name what a message answers: a response its request, an ACK the final response."""
    if message.status:
        return message.method, message.branch
    return "final", message.call_id, str(message.cseq), "INVITE" if message.method == "ACK" else "", message.from_tag


def _place(party: str) -> tuple[int, int]:
    kind, _, number = party.partition(" ")
    return (CALLER, AGENT, "leg").index(kind), int(number or 0)


class _Sorter:
    """Tells parties apart: legs by their Call-ID; caller and agents, who share one, by the caller's tag."""

    def __init__(self, messages: list[Message]) -> None:
        shared = [message for message in messages if not LEG.fullmatch(message.call_id)]
        first = next((message for message in shared if message.method == "INVITE" and not message.status), None)
        self._caller_tag = first.from_tag if first else ""
        self._agents: list[Place] = []

    def party(self, message: Message) -> str:
        """Name the party that sent or got a message."""
        if leg := LEG.fullmatch(message.call_id):
            return f"leg {leg[1]}"
        from_caller = tag_of(message.header("from")) == self._caller_tag
        if message.sent == bool(message.status) if from_caller else message.sent != bool(message.status):
            return CALLER
        return self._agent(message)

    def _agent(self, message: Message) -> str:
        """Name an agent: another one gets the INVITE where the first did not answer."""
        if message.sent and message.method == "INVITE" and not message.to_tag and message.peer not in self._agents:
            self._agents.append(message.peer)
        known = message.peer in self._agents
        number = self._agents.index(message.peer) if known else max(len(self._agents) - 1, 0)
        return f"{AGENT} {number + 1}" if number else AGENT
