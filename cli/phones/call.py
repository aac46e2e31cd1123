"""A phone's call as tests and the demo use it, from any thread."""

from __future__ import annotations

import array
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pjsua2 as pj

from cli.phones.events import PhoneError, ReplyReceived, State, StateChanged
from cli.phones.pjsip import fill, options
from cli.tones import RATE, WINDOW, Sound, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cli.phones.engine import Engine
    from cli.phones.events import Event, EventT, Journal
    from cli.phones.phone import Phone
    from cli.phones.pjsip import EngineCall

_WAV_HEADER = 44
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class MediaPath:
    """Where a call's audio goes: addresses are `host:port`; `source` is where RTP came from last."""

    codec: str
    local: str
    remote: str
    source: str


class PhoneCall:
    """One call of a phone. What sends a request within the call waits for its final reply and returns it."""

    def __init__(self, phone: Phone, engine: Engine, journal: Journal, number: int) -> None:
        self.phone = phone
        self.number = number
        self._engine = engine
        self._journal = journal
        self._recording = engine.folder / f"{phone.name}.{number}.wav"

    # -- what was seen

    def wait(self, state: State, timeout: float = _PATIENCE) -> StateChanged:
        """Wait until the call is, or was, in `state`; fails at once when the call ends before."""
        ends = {state, State.DISCONNECTED}
        seen = self._journal.seen(StateChanged, lambda e: e.call == self.number and e.state in ends, timeout)
        if seen is None:
            raise PhoneError(f"{self.phone.name}: the call is not {state} after {timeout:g} s")
        if seen.state is not state:
            raise PhoneError(f"{self.phone.name}: the call ended ({seen.code} {seen.reason}) before {state}")
        return seen

    def wait_for(self, kind: type[EventT], *, timeout: float = _PATIENCE, **fields: object) -> EventT:
        """Take this call's oldest event of `kind` whose fields are as given; each event is given out once."""
        return self._journal.expect(self.phone.name, kind, timeout, {"call": self.number, **fields})

    @property
    def events(self) -> list[Event]:
        """Everything that was seen in this call so far, oldest first."""
        return [event for event in self._journal.all() if event.call == self.number]

    @property
    def state(self) -> State | None:
        """The state of the call now; None before the first."""
        states = [event.state for event in self.events if isinstance(event, StateChanged)]
        return states[-1] if states else None

    @property
    def sip_call_id(self) -> str:
        """The Call-ID header of the dialog."""
        return self._engine.notes[self.number].sip_call_id

    @property
    def media(self) -> MediaPath:
        """Codec and addresses of the audio."""
        return MediaPath(*self._do(lambda call: call.where()))

    def heard(self, start: float | None = None, end: float | None = None, shortest: float = 0.05) -> list[Sound]:
        """Tell who was heard when, between two times (`time.time()`), by frequency.

        What lasts less than `shortest` seconds is given to the sound before it. Times are right within 60 ms: the
        jitter buffer delays what is heard, and recordings start with a tick of the clock.
        """
        since = self._recording_since()
        until = time.time() if end is None else end
        samples = self._samples(until - since)
        first = max(0, round(((start or since) - since) / 0.02)) * round(RATE * 0.02)
        last = max(first, round((until - since) * RATE))
        offset = since + first / RATE
        sounds = listen(samples[first:last], self.phone.phones.tones, rate=RATE, shortest=shortest)
        return [Sound(s.start + offset, s.end + offset, s.name) for s in sounds]

    def wait_heard(self, name: str, since: float = 0.0, *, seconds: float = 0.3, timeout: float = _PATIENCE) -> Sound:
        """Wait until `name` has been heard for `seconds` without a break, after the time `since`; returns it."""
        deadline = time.monotonic() + timeout
        while True:
            heard = self.heard(since) if self._engine.notes[self.number].recording_since else []
            for sound in heard:
                if sound.name == name and sound.seconds >= seconds:
                    return sound
            if time.monotonic() > deadline:
                said = ", ".join(f"{sound.name} {sound.seconds:.2f} s" for sound in heard) or "nothing"
                raise PhoneError(f"{self.phone.name}: did not hear {name} within {timeout:g} s, but {said}")
            time.sleep(WINDOW)  # the recorder tells nothing, and no sound is shorter

    # -- what is done

    def ring(self, headers: Mapping[str, str] | None = None) -> None:
        """Answer 180."""
        self.answer(180, headers)

    def answer(self, code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with any status: 180 and 183 keep the caller waiting, 200 takes the call."""
        self._do(lambda call: call.answer(options(code, headers)))

    def reject(self, code: int = 486, headers: Mapping[str, str] | None = None) -> None:
        """Refuse the call with `code`."""
        self.answer(code, headers)

    def hangup(self, headers: Mapping[str, str] | None = None) -> None:
        """Send CANCEL, BYE or a refusal, whatever ends the call now."""
        self._do(lambda call: call.hangup(options(headers=headers)))

    def hold(self, timeout: float = _PATIENCE) -> ReplyReceived:
        """Put the peer on hold by a re-INVITE with `sendonly`."""
        return self._ask("INVITE", timeout, lambda call: call.setHold(options()))

    def resume(self, timeout: float = _PATIENCE) -> ReplyReceived:
        """Take the peer off hold by a re-INVITE; without hold before, a plain re-INVITE."""

        def order(call: EngineCall) -> None:
            parameters = options()
            parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(parameters)

        return self._ask("INVITE", timeout, order)

    def update(self, timeout: float = _PATIENCE) -> ReplyReceived:
        """Send an UPDATE with an SDP offer (RFC 3311)."""
        return self._ask("UPDATE", timeout, lambda call: call.update(options()))

    def info(self, body: str, content_type: str, timeout: float = _PATIENCE) -> ReplyReceived:
        """Send an INFO with a body (RFC 6086)."""
        return self.request("INFO", body=body, content_type=content_type, timeout=timeout)

    def dtmf(self, digits: str) -> None:
        """Press keys, sent as RTP events (RFC 4733)."""
        self._do(lambda call: call.dialDtmf(digits))

    def refer(self, to_uri: str, headers: Mapping[str, str] | None = None, timeout: float = _PATIENCE) -> ReplyReceived:
        """Ask the peer to call `to_uri` (RFC 3515); each NOTIFY then comes as `TransferProgress`."""
        return self._ask("REFER", timeout, lambda call: call.xfer(to_uri, options(headers=headers)))

    def refer_replacing(self, other: PhoneCall, timeout: float = _PATIENCE) -> ReplyReceived:
        """Ask the peer to take our place in another call of this phone (RFC 5589 section 7)."""

        def order(call: EngineCall) -> None:
            call.xferReplaces(self._engine.calls[other.number], options())

        return self._ask("REFER", timeout, order)

    def request(
        self,
        method: str,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        content_type: str = "",
        timeout: float = _PATIENCE,
    ) -> ReplyReceived:
        """Send any request within the call."""

        def order(call: EngineCall) -> None:
            parameters = pj.CallSendRequestParam()
            parameters.method = method
            fill(parameters.txOption, headers, body, content_type)
            call.sendRequest(parameters)

        return self._ask(method, timeout, order)

    # -- how

    def _do(self, order: Callable[[EngineCall], Any]) -> Any:
        def in_engine() -> Any:
            call = self._engine.calls.get(self.number)
            if call is None:
                raise PhoneError(f"{self.phone.name}: the call has ended")
            return order(call)

        return self._engine.do(in_engine)

    def _ask(self, method: str, timeout: float, order: Callable[[EngineCall], Any]) -> ReplyReceived:
        sent = time.monotonic()
        self._do(order)

        def answers(event: ReplyReceived) -> bool:
            return event.call == self.number and event.method == method and event.clock >= sent

        reply = self._journal.take(ReplyReceived, answers, timeout)
        if reply is None:
            raise PhoneError(f"{self.phone.name}: no reply to {method} after {timeout:g} s")
        return reply

    def _recording_since(self) -> float:
        since = self._engine.notes[self.number].recording_since
        if since is None:
            raise PhoneError(f"{self.phone.name}: nothing was heard, the call had no audio yet")
        return since

    def _samples(self, seconds: float) -> array.array[int]:
        """Read the recording, waiting for the part that the recorder still keeps in its buffer."""
        deadline = time.monotonic() + 0.5
        wanted = _WAV_HEADER + 2 * round(seconds * RATE)
        while True:
            data = self._recording.read_bytes()
            # The recorder writes the length into the header when the call is over and everything is in the file.
            finished = int.from_bytes(data[_WAV_HEADER - 4 : _WAV_HEADER], "little") == len(data) - _WAV_HEADER > 0
            if finished or len(data) >= wanted or time.monotonic() > deadline:
                break
            time.sleep(WINDOW)  # the recorder does not tell when it has written
        samples = array.array("h")
        samples.frombytes(data[_WAV_HEADER : len(data) & ~1])
        return samples
