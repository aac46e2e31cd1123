"""One event at a time: load the call with its lease, step, save, then do what the step says.

What is to be done is saved before it is done, so that another node can finish or undo it. What is done to the media of
a transfer is done with the lease held, since its result is an event of its own and nothing else may happen to the call
meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import KSR

from kemi.call_log import with_media
from routing import actions as do
from routing.events import ConsultationOver, DeadlinePassed, Event
from routing.machine import step
from routing.records import BadRecordError
from routing.rule import IllegalEventError
from routing.stages import reached
from routing.store import CallUnknown, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kemi.media_actions import MediaActions
    from routing.records import Call
    from routing.stages import Reached, Stage
    from routing.store import Lease, Store
    from routing.transfer_record import Transfer

Finding = Callable[["Call"], Event | None]
"""Finds the event when the call is known; None when there is nothing to do. It may raise, and nothing is changed."""


class Performer(Protocol):
    """What does the actions; may give an event that follows at once."""

    def perform(self, action: do.Action, call: Call) -> Event | None:
        """Do one action."""
        ...


class Engine:
    """Applies events to calls."""

    def __init__(
        self,
        node: str,
        store: Store,
        media: MediaActions,
        performer: Performer,
        observe: Callable[[Call, Event, Call, Sequence[do.Action]], None],
        *,
        stages: Collection[Stage] = (),
    ) -> None:
        """Take the parts that it works with; `observe` is told of each step: call, event, call after, actions.

        `stages` are those that webhooks tell of.
        """
        self._node = node
        self._store = store
        self._media = media
        self._performer = performer
        self._observe = observe
        self._stages = stages

    def hang_up(self, call_id: str, find: Finding, relay: Callable[[], None]) -> None:
        """Apply a BYE, which ends a plain call within the one round trip that loads it.

        Where nothing had happened to the call, nothing of it need be known either: then `relay` alone is called.
        Raises what `handle` raises.
        """
        with self._store.lease(call_id, forget_if_plain=True) as lease:
            outcome = None if lease.forgotten and lease.fresh else self._apply(lease, find)
        if outcome:
            self._perform(*outcome)
        else:
            relay()

    def handle(self, call_id: str, find: Finding) -> Call:
        """Apply an event and do what follows; gives the call as it then is.

        Raises StoreError (unknown call, store away, busy), BadRecordError, IllegalEventError, or what `find` raises:
        then nothing was done.
        """
        with self._store.lease(call_id) as lease:
            call, actions = self._apply(lease, find)
        return self._perform(call, actions)

    def end_consultation(self, call_id: str) -> None:
        """Tell a consultation that it is over; one that nobody can be told of is left to agent and person to end."""
        try:
            self.handle(call_id, lambda _: ConsultationOver())
        except CallUnknown:
            return  # they have hung up
        except (StoreError, BadRecordError, IllegalEventError) as error:
            KSR.warn(f"call={call_id} the consultation is not ended: {error.text}\n")

    def _perform(self, call: Call, actions: Sequence[do.Action]) -> Call:
        follow = [self._performer.perform(action, call) for action in actions]
        for event in follow:
            if event is not None:
                call = self.handle(call.id, lambda _, event=event: event)  # type: ignore[misc]
        return call

    def _apply(self, lease: Lease, find: Finding) -> tuple[Call, Sequence[do.Action]]:
        over = False
        try:
            event = find(lease.call)
            call, actions = lease.call, list[do.Action]()
            while event is not None:
                call, wanted, over = self._step(lease, call, event)
                actions += [action for action in wanted if not isinstance(action, do.MediaAction)]
                event = self._media.perform(call, wanted)
            return call, actions
        finally:
            if lease.forgotten and not over:
                self._store.create(lease.call)  # a BYE that ended nothing, such as one that crossed ours

    def _step(self, lease: Lease, before: Call, event: Event) -> tuple[Call, Sequence[do.Action], bool]:
        """Apply one event and save; True when that was the end of the call."""
        call, actions = step(before, event, time.time())
        self._observe(before, event, call, actions)
        if isinstance(event, DeadlinePassed) and call.node != self._node:
            call = call.model_copy(update={"node": self._node})  # whose it was has missed a deadline: it is gone
        recorded = [action.transfer for action in actions if isinstance(action, do.RecordTransfer)]
        finished = tuple(with_media(before, transfer) for transfer in recorded)
        stages = self._reached(before, call, recorded)
        over = any(isinstance(action, do.ForgetCall) for action in actions)
        if over and not lease.forgotten:
            lease.forget(finished, stages)
        elif not over and call is not before:
            keep = any(isinstance(action, do.MediaAction) for action in actions)
            lease.save(call, keep=keep, finished=finished, stages=stages)
        return call, actions, over

    def _reached(self, before: Call, after: Call, finished: Sequence[Transfer]) -> tuple[Reached, ...]:
        if not self._stages:
            return ()
        return tuple(found for found in reached(before, after, finished) if found.stage in self._stages)
