"""What phones see: events, and the journal from which a test takes them one by one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class PhoneError(Exception):
    """A phone could not do what it was told, or did not see what was waited for."""


class State(StrEnum):
    """State of a call as the phone sees it (RFC 3261 section 13, in PJSIP's words)."""

    CALLING = "calling"
    INCOMING = "incoming"
    EARLY = "early"
    CONNECTING = "connecting"
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that the phone `phone` saw in its call `call` (a number within the process).

    `at` is `time.time()`, `clock` is `time.monotonic()`, both in seconds.
    """

    phone: str
    call: int
    at: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming(Event):
    """A new call came in; `message` is the INVITE."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """The call changed its state; `code` and `reason` are those of the last SIP reply."""

    state: State
    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Event):
    """The registrar has answered with `code`; `call` is 0."""

    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaChanged(Event):
    """The audio of the call was negotiated (again); `sending` and `hearing` say which directions are open."""

    sending: bool
    hearing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived(Event):
    """A request came in within the call; `message` is all of it."""

    method: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReceived(Event):
    """The final reply to a request of ours within the call, or to our INVITE."""

    method: str
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgress(Event):
    """A NOTIFY told how the transfer goes: the status in its sipfrag, and whether it was the last (RFC 3515)."""

    code: int
    reason: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred(Event):
    """The phone itself was asked to call `to` (it accepts, and calls)."""

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitHeard(Event):
    """A DTMF digit came in as RTP event or INFO."""

    digit: str


EventT = TypeVar("EventT", bound=Event)


class Journal:
    """All events of all phones in their order; filled by the engine's thread, read by any other."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._taken: set[int] = set()
        self._changed = threading.Condition()

    def post(self, event: Event) -> None:
        """Append an event and wake those who wait."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def all(self) -> list[Event]:
        """Return every event so far, oldest first, taken or not."""
        with self._changed:
            return list(self._events)

    def take(self, kind: type[EventT], wanted: Callable[[EventT], bool], timeout: float) -> EventT | None:
        """Return the oldest event wanted that nobody took yet, waiting for it; None after `timeout` seconds."""
        return self._await(lambda: self._untaken(kind, wanted), timeout)

    def expect(self, who: str, kind: type[EventT], timeout: float, fields: dict[str, object]) -> EventT:
        """Take the oldest event of `kind` with these fields; raises PhoneError in the name of `who` when none comes."""
        event = self.take(kind, lambda e: all(getattr(e, name) == value for name, value in fields.items()), timeout)
        if event is None:
            wanted = ", ".join(f"{n}={v}" for n, v in fields.items() if n not in {"phone", "call"})
            raise PhoneError(f"{who}: no {kind.__name__}({wanted}) within {timeout:g} s")
        return event

    def seen(self, kind: type[EventT], wanted: Callable[[EventT], bool], timeout: float) -> EventT | None:
        """Return the oldest event wanted, taken or not, and leave it; None after `timeout` seconds."""
        return self._await(lambda: next((e for _, e in self._matching(kind, wanted)), None), timeout)

    def _await(self, look: Callable[[], EventT | None], timeout: float) -> EventT | None:
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := look()) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return found

    def _matching(self, kind: type[EventT], wanted: Callable[[EventT], bool]) -> list[tuple[int, EventT]]:
        return [(n, e) for n, e in enumerate(self._events) if isinstance(e, kind) and wanted(e)]

    def _untaken(self, kind: type[EventT], wanted: Callable[[EventT], bool]) -> EventT | None:
        for number, event in self._matching(kind, wanted):
            if number not in self._taken:
                self._taken.add(number)
                return event
        return None
