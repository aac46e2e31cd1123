"""A warm transfer step by step: how tests bring a call to the moment that they are about."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routing.records import Call, Deadline, State
    from tests.stack.message import Message

SHORT = {"message": "Hello.", "caller_gone": "Gone.", "goodbye": "Bye.", "prompt": "Press {key}."}
"""Texts of the node that are over soon."""
SOON = {"mode": "message", "message": "Hi.", "pause_before": 0.2, "pause_after": 0.2}
"""A target whose person is briefed in no time."""
ENOUGH = 5
"""Packets that are no accident."""


@contextmanager
def warm_system(**changes: dict[str, object]) -> Iterator[tuple[Ua, System]]:
    """Give an agent and a stack that can speak; `changes` are laid over its settings."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        settings = {"speech": SHORT, "transfer": {"apology": "Sorry."}, **changes}
        with System(agent.uri, sidecar=True, **settings) as system:  # type: ignore[arg-type]
            yield agent, system


class WarmTalk(Talk):
    """A call whose target is briefed before the caller comes on."""

    def reaches(self, state: State, *, waits_for: Deadline | None = None) -> Call:
        """Wait until the call is in a state, and waits for this; gives its record."""

        def there() -> bool:
            calls = self.system.calls()
            return bool(calls) and calls[0].state is state and (waits_for is None or waits_for in calls[0].deadlines)

        self.system.wait_until(there)
        return self.record

    def refer_warm(self, **settings: object) -> None:
        """Let the agent send REFER to a target with these settings; the first NOTIFY has come."""
        self.system.add_target(TARGET, self.target.uri, **{**SOON, **settings})
        self.agent.expect(202, to=self.refer())
        self.notified(100)

    def invited(self) -> Message:
        """Take the INVITE at the target, which rings."""
        invite = self.target.expect("INVITE")
        self.target.reply(invite, 180)
        self.notified(180)
        return invite

    def connected(self, *, agent_stays: bool = False) -> None:
        """Wait until the agent is told, who leaves if it has stayed, and caller and target hear one another."""
        notify = self.agent.expect("NOTIFY")
        self.agent.reply(notify, 200)
        assert notify.body.startswith("SIP/2.0 200 "), notify.body
        if agent_stays:
            self.agent_leaves()
        self.hear_target()

    def told(self, status: int) -> None:
        """Take the final NOTIFY at the agent."""
        notify = self.agent.expect("NOTIFY")
        self.agent.reply(notify, 200)
        assert notify.body.startswith(f"SIP/2.0 {status} "), notify.body
        assert notify["Subscription-State"].startswith("terminated")

    def press(self, key: str, invite: Message, kind: str = "application/dtmf-relay") -> None:
        """Let the person press a key, told by INFO."""
        body = f"Signal={key}\r\nDuration=160\r\n" if kind.endswith("relay") else key
        headers = {"Content-Type": kind}
        info = self.target.request("INFO", self.target.dialog(invite), body=body, headers=headers)
        self.target.expect(200, to=info)

    def target_released(self) -> None:
        """Let the target be sent BYE."""
        self.target.reply(self.target.expect("BYE"), 200)

    def hears_somebody(self) -> None:
        """Wait until the target hears something that is neither the caller nor the agent."""
        now, known = time.time(), {self.caller_voice.ssrc, self.agent_voice.ssrc}

        def heard() -> bool:
            return sum(packet.ssrc not in known for packet in self.target_voice.packets(since=now)) > ENOUGH

        self.system.wait_until(heard)
