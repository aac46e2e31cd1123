"""The stage of the demo: the whole stack and three phones, and one transfer played on it."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections import deque
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from cli.demo_facts import SUMMARY_HEADER, Facts, files_of, hear, seconds_of, without_short_ones
from cli.demo_messages import Message, read_messages
from cli.output import Failed
from cli.phones import Phones, State
from cli.ports import free_port
from cli.stack import Stack
from cli.tones import AGENT, CALLER, TARGET
from routing.delivery import header_value
from routing.records import Call, Party
from routing.settings import Settings, make_settings
from routing.store import open_store
from routing.targets import Target
from rtpengine import CommandRefused, Pool, Query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cli.demo_facts import Task

DIALLED = "agent"
"""The phone of this name takes what is not for its own port: handoff leaves the dialled address in the INVITE."""
TARGET_NAME = "support"
TALK, RING = 2.0, 1.0
"""Seconds that two phones talk, and that the target's phone rings."""
PATIENCE = 15.0
KEPT_LINES = 20

T = TypeVar("T")


class Stage:
    """A context manager: everything runs inside, and nothing is left after it. `log` are the stack's last lines."""

    def __init__(self) -> None:
        self.log: deque[str] = deque(maxlen=KEPT_LINES)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._set()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _set(self) -> None:
        enter = self._exit.enter_context
        self.folder = Path(enter(tempfile.TemporaryDirectory(prefix="handoff-demo-")))
        sounds = self.folder / "phones"
        sounds.mkdir()
        self.phones = enter(Phones(folder=sounds))
        # An address of its own: rtpengine would share ports with another one at the same address, and hear its calls.
        address = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
        self.caller = self.phones.add("caller", tone=CALLER, address=address)
        self.agent = self.phones.add("agent", tone=AGENT, address=address, answer_after=0.2)
        self.target = self.phones.add("target", tone=TARGET, address=address, answer_after=RING)
        self._host = f"{address}:{free_port('udp', address)}"
        settings = _settings(self._host, self.agent.uri)
        self.stack = enter(Stack(settings, self.folder / "run", self.folder / "state", say=self._note))
        self.store = enter(open_store(self.stack.settings.redis.url or "", deadline=1.0))

    def _note(self, source: str, line: str) -> None:
        self.log.append(f"{source}: {line}")

    def messages(self, began: float) -> tuple[Message, ...]:
        """Give the SIP messages of the calls since `began`; the OPTIONS that handoff asks its agents with are none."""
        ports = {phone.port: phone.name for phone in (self.caller, self.agent, self.target)}
        seen = read_messages(self.phones.folder / "pjsip.log", ports, began)
        return tuple(message for message in seen if message.method != "OPTIONS")

    def transfer(self, task: Task) -> Facts:
        """Play one transfer; raises PhoneError when a phone does not see or hear what comes next, and Failed."""
        self._put_target(task)
        began = time.time()
        caller = self.caller.call(f"sip:{DIALLED}@{self._host}")
        caller.wait(State.CONFIRMED, PATIENCE)
        agent = self.agent.incoming()
        agent.wait_heard("caller", began, timeout=PATIENCE)
        caller.wait_heard("agent", began, seconds=TALK, timeout=PATIENCE)
        before = caller.media
        call_id = _first((call.id for call in self.store.calls() if isinstance(call, Call)), "record of the call")
        summary = {SUMMARY_HEADER: header_value(task.summary)} if task.summary else {}
        agent.refer(f"sip:{TARGET_NAME}@{self._host}", headers=summary)
        target = self.target.incoming(PATIENCE)
        answered = target.wait(State.CONFIRMED, PATIENCE).at
        target.wait_heard("caller", answered, timeout=PATIENCE)
        caller.wait_heard("target", answered, seconds=TALK, timeout=PATIENCE)
        agent.wait(State.DISCONNECTED, PATIENCE)
        after = caller.media
        caller.hangup()
        for call in (caller, target):
            call.wait(State.DISCONNECTED, PATIENCE)
        left = self._await_end(call_id)
        files = files_of(task, self.stack.settings.speech)
        calls = {Party.CALLER: caller, Party.AGENT: agent, Party.TARGET: target}
        windows = {party: hear(party, call, files) for party, call in calls.items()}
        return Facts(
            task=task,
            began=began,
            messages=self.messages(began),
            windows=windows,
            sounds=without_short_ones(windows),
            before=before,
            after=after,
            transfer=_first((row.transfer for row in self.store.finished(10) if row.call_id == call_id), "call log"),
            text_seconds=seconds_of(task, files),
            left=left,
        )

    def _put_target(self, task: Task) -> None:
        settings = {"mode": task.mode, "message": task.message or None, "deliver": ["speech", "header"]}
        target = Target.make({"name": TARGET_NAME, "endpoints": [self.target.uri], **settings})
        self.store.put_target(target.name, target.to_json())

    def _await_end(self, call_id: str) -> tuple[str, ...]:
        """Give both a moment to let the call go; name those that did not."""
        deadline = time.monotonic() + 3.0
        with closing(Pool(self.stack.settings.rtpengine.nodes)) as pool:
            while (left := self._holders(pool, call_id)) and time.monotonic() < deadline:
                time.sleep(0.02)  # neither Redis nor rtpengine tells when it has let go
        return left

    def _holders(self, pool: Pool, call_id: str) -> tuple[str, ...]:
        holders = ["Redis"] if any(isinstance(call, Call) for call in self.store.calls()) else []
        try:
            pool.request(pool.choose(call_id), Query(call_id))
        except CommandRefused:
            return tuple(holders)  # it does not know the call
        return (*holders, "rtpengine")


def _first(found: Iterable[T], what: str) -> T:
    for one in found:
        return one
    raise Failed(f"Redis has no {what}, which should be there by now")


def _settings(host: str, agent: str) -> Settings:
    return make_settings(
        {
            "node": {"id": "demo", "workers": 2},
            "sip": {"listen": [f"udp:{host}"]},
            "rtpengine": {"interface": host.partition(":")[0]},
            "metrics": {"listen": f"127.0.0.1:{free_port('tcp')}"},
            "pools": [{"name": "agents", "numbers": ["*"], "agents": [{"uri": agent}]}],
        }
    )
