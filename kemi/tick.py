"""What the timer process does: deadlines to the fiftieth of a second, and ten times a second commands from people.

It asks the store for what is due a little ahead of time, keeps that in a heap and handles each call when its time has
come. Only a deadline that is made less than `LOOK_EVERY` ahead may be met that much late.
"""

from __future__ import annotations

import heapq
import os
import time
from typing import TYPE_CHECKING, Any

import KSR

from kemi.agents import agents_up
from kemi.asking import ask_phone
from kemi.debugging import LASTS, unwatch, watch
from kemi.ended import forget, left
from kemi.hearing import tag
from kemi.hunting import Rests
from kemi.message import SipError, done
from kemi.registrar import end_registrations
from routing import actions as do
from routing import events as ev
from routing.records import BadRecordError, Call, Party
from routing.rule import IllegalEventError
from routing.speech import check_speech, fold
from routing.store import CallUnknown, Due, StoreError
from routing.values import BadValue, ReferTo

if TYPE_CHECKING:
    from kemi.context import Context
    from kemi.performer import Answering
    from routing.targets import Target

LOOK_EVERY = 0.1
"""Seconds between two requests to the store."""
AHEAD = LOOK_EVERY + 0.05
"""Seconds by which deadlines are asked for ahead of time: a look may be late."""
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
        self._rests = Rests(context.settings.hunting, context.store, context.outgoing)
        self._next_beat = 0.0
        self._next_look = 0.0
        self._waiting: list[Due] = []
        self._away = False
        self._complaints: dict[str, str] = {}

    def tick(self) -> None:
        """Handle what is due; while the store is away nothing is, and the log says so once."""
        now = time.time()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            for command in self._look(now):
                self._obey(command)
        while self._waiting and self._waiting[0].at <= time.time():
            self._expire(heapq.heappop(self._waiting).call_id)

    def _look(self, now: float) -> list[dict[str, Any]]:
        """Ask the store for deadlines, which are put on the heap, and for commands."""
        try:
            self._beat(now)
            self._rests.look(now)
            heard = left()
            tick = self._context.store.tick(now, self._node, ahead=AHEAD, heard=heard)
            forget(heard)
        except StoreError as error:
            if not self._away:
                KSR.err(f"no deadlines are met, no commands taken and no calls transferred now: {error.text}\n")
            self._away = True
            self._waiting.clear()  # the store names them again when it is back
            return []
        if self._away:
            KSR.warn("Redis is back\n")
            self._away = False
        for due in tick.due:
            heapq.heappush(self._waiting, due)
        return tick.commands

    def _beat(self, now: float) -> None:
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_EVERY
        health = self._context.pool.ping_all()
        agents = agents_up(self._context.settings)
        self._context.store.beat(self._node, {"at": now, "pid": os.getpid(), "rtpengine": health, "agents": agents})

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
        """Do one command and leave the answer for whoever gave it; a key is no question, and gets none."""
        if command.get("kind") == "key":
            self._press(command)
            return
        try:
            answer = {"ok": True, **self._do(command)}
        except CommandError as error:
            answer = {"ok": False, "text": str(error)}
        except SipError as error:  # its reason phrase is short; a person is told the mend, too
            cause = error.__cause__
            answer = {"ok": False, "text": str(cause if isinstance(cause, BadValue) else error)}
        except IllegalEventError:
            answer = {"ok": False, "text": f"the call is not in a state for the command {command.get('kind')}"}
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
                return self._transfer(call_id, command)
            if kind == "unregister":
                end_registrations(str(command.get("user")))
                return {}
            if kind == "summary":
                given = ev.SummaryGiven(_summary(command.get("text")), request=False)
                self._context.engine.handle(call_id, lambda _: given)
                return {}
            if kind == "ask":
                if not ask_phone(self._context.outgoing, command):
                    raise CommandError("it cannot be sent OPTIONS: its connection has closed")
                return {}
            if kind == "debug":
                return self._debug(call_id, on=command.get("on") is not False)
        finally:
            performer.answering = None
        raise CommandError(f"the command {kind!r} is not known: this node runs another version of handoff")

    def _debug(self, call_id: str, *, on: bool) -> dict[str, Any]:
        """Log the debug lines of a call, or no more; raises CallUnknown."""
        self._context.store.peek(call_id)
        (watch if on else unwatch)(call_id)
        return {"seconds": LASTS if on else 0}

    def _transfer(self, call_id: str, command: dict[str, Any]) -> dict[str, Any]:
        requested_at = time.time()
        destination = str(command.get("target"))
        given = {name: str(command[name]) for name in ("mode", "message", "summary") if command.get(name)}

        def find(call: Call) -> ev.Event:
            target, settings = self._target(destination)
            try:
                target = target.with_settings(given)
            except BadValue as error:
                raise CommandError(str(error)) from error
            summary = (settings | given).get("summary", "")
            plan = self._context.transfers.plan(call, target, "command", requested_at=requested_at, summary=summary)
            return ev.TransferRequested(plan)

        call = self._context.engine.handle(call_id, find)
        transfer = call.transfer or call.history[-1]
        return {"transfer": transfer.id, "target": transfer.target}

    def _target(self, destination: str) -> tuple[Target, dict[str, str]]:
        """Find the target of this name or URI, and the settings that came with the URI."""
        target = self._context.transfers.named(destination)
        if target is not None:
            return target, {}
        try:
            refer_to = ReferTo.parse(destination)
        except BadValue as error:
            raise CommandError(f"there is no target {destination}, and as a URI: {error}") from error
        if refer_to.replaces:
            raise CommandError("a URI with Replaces is for the REFER of an agent: leave it out")
        return self._context.transfers.find(refer_to, lambda uri: done(KSR.is_myself(uri))), dict(refer_to.settings)

    def _press(self, command: dict[str, Any]) -> None:
        """Tell the call that its person has pressed a key; keys that nobody waits for are common, and ignored."""

        def find(call: Call) -> ev.Event | None:
            ours = call.hears_keys and command.get("tag") == tag(call, Party.TARGET)
            return ev.KeyPressed(str(command.get("key"))) if ours else None

        call_id = str(command.get("call"))
        try:
            self._context.engine.handle(call_id, find)
        except CallUnknown:
            return
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.warn(f"call={call_id} key: {error.text}\n")


def _summary(text: object) -> str:
    try:
        return check_speech(fold(str(text or "")), "the summary")
    except BadValue as error:
        raise CommandError(str(error)) from error


def _refuse(action: Answering, call: Call) -> None:
    if isinstance(action, do.RefuseRequest):
        raise CommandError(f"{action.reason} (call {call.id} is {call.state})")
