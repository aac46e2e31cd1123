"""What the timer process does ten times a second: deadlines that have passed, and commands from people."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import KSR

from kemi.message import SipError, done
from routing import actions as do
from routing import events as ev
from routing.records import BadRecordError, Call
from routing.rule import IllegalEventError
from routing.store import CallUnknown, StoreError
from routing.values import BadValue, ReferTo

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.performer import Answering

BEAT_EVERY = 2.0
"""Seconds between two signs of life of the node."""


class CommandError(Exception):
    """A command cannot be done; the text says why."""


class Timer:
    """Looks after deadlines and commands; one process of the node runs it."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context
        self._node = context.settings.node.id
        self._next_beat = 0.0
        self._away = False
        self._complaints: dict[str, str] = {}

    def tick(self) -> None:
        """Handle what is due; while the store is away nothing is, and the log says so once."""
        now = time.time()
        try:
            self._beat(now)
            tick = self._context.store.tick(now, self._node)
        except StoreError as error:
            if not self._away:
                KSR.err(f"no deadlines are met, no commands taken and no calls transferred now: {error.text}\n")
            self._away = True
            return
        if self._away:
            KSR.warn("Redis is back\n")
            self._away = False
        for call_id in tick.due:
            self._expire(call_id)
        for command in tick.commands:
            self._obey(command)

    def _beat(self, now: float) -> None:
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_EVERY
        health = self._context.pool.ping_all()
        self._context.store.beat(self._node, {"at": now, "pid": os.getpid(), "rtpengine": health})

    def _expire(self, call_id: str) -> None:
        def find(call: Call) -> ev.Event | None:
            name = call.due(time.time())
            return ev.DeadlinePassed(name) if name else None

        try:
            self._context.engine.handle(call_id, find)
        except CallUnknown:
            self._complaints.pop(call_id, None)  # it ended meanwhile
        except (StoreError, BadRecordError, IllegalEventError) as error:
            self._complain(call_id, error.text)

    def _complain(self, call_id: str, words: str) -> None:
        """Log what is wrong with a call once: one that stays wrong is looked at each second."""
        if self._complaints.get(call_id) != words:
            self._complaints[call_id] = words
            KSR.warn(f"call={call_id} deadline: {words}\n")

    def _obey(self, command: dict[str, Any]) -> None:
        """Do one command and leave the answer for whoever gave it."""
        try:
            answer = {"ok": True, **self._do(command)}
        except CommandError as error:
            answer = {"ok": False, "text": str(error)}
        except SipError as error:  # its reason phrase is short; a person is told the mend, too
            cause = error.__cause__
            answer = {"ok": False, "text": str(cause if isinstance(cause, BadValue) else error)}
        except IllegalEventError:
            answer = {"ok": False, "text": "no transfer of this call is under way that could be cancelled"}
        except (StoreError, BadRecordError) as error:
            answer = {"ok": False, "text": error.text}
        try:
            self._context.store.answer_command(str(command.get("id")), answer)
        except StoreError as error:
            KSR.warn(f"command={command.get('id')} its answer is lost: {error.text}\n")

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        kind, call_id = command.get("kind"), str(command.get("call"))
        performer = self._context.performer
        performer.answering = _refuse
        try:
            if kind == "cancel":
                self._context.engine.handle(call_id, lambda _: ev.TransferCancelled())
                return {}
            if kind == "transfer":
                return self._transfer(call_id, str(command.get("target")))
        finally:
            performer.answering = None
        raise CommandError(f"the command {kind!r} is not known: this node runs another version of handoff")

    def _transfer(self, call_id: str, destination: str) -> dict[str, Any]:
        requested_at = time.time()

        def find(call: Call) -> ev.Event:
            target = self._context.transfers.named(destination)
            if target is None:
                try:
                    refer_to = ReferTo.parse(destination)
                except BadValue as error:
                    raise CommandError(f"there is no target {destination}, and as a URI: {error}") from error
                target = self._context.transfers.find(refer_to, lambda uri: done(KSR.is_myself(uri)))
            return ev.TransferRequested(
                self._context.transfers.plan(call, target, "command", requested_at=requested_at)
            )

        call = self._context.engine.handle(call_id, find)
        transfer = call.transfer or call.history[-1]
        return {"transfer": transfer.id, "target": transfer.target}


def _refuse(action: Answering, call: Call) -> None:
    if isinstance(action, do.RefuseRequest):
        raise CommandError(f"{action.reason} (call {call.id} is {call.state})")
