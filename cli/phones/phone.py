"""Phones as tests and the demo use them, from any thread."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pjsua2 as pj

from cli.phones.call import PhoneCall
from cli.phones.engine import Engine
from cli.phones.events import Incoming, Journal
from cli.phones.pjsip import LOOPBACK, EngineCall, Line, options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.phones.events import Event, EventT

_PATIENCE = 5.0


class Phones:
    """All phones of the process; a context manager.

    `sounds` names tones that are no phone's voice, such as hold music (name to hertz). `folder` keeps the recordings
    and `pjsip.log`; without it they go to a temporary folder that is removed at the end.
    """

    def __init__(self, *, sounds: Mapping[str, int] | None = None, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="handoff-phones-")
        self.folder = folder or Path(self._temporary.name if self._temporary else ".")
        self.tones: dict[str, int] = dict(sounds or {})
        self._journal = Journal()
        self._engine = Engine(self.folder, self._journal)

    def __enter__(self) -> Self:
        self._engine.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._engine.stop()
        finally:
            if self._temporary:
                self._temporary.cleanup()

    @property
    def events(self) -> list[Event]:
        """Everything that all phones saw so far, oldest first."""
        return self._journal.all()

    def add(
        self,
        name: str,
        *,
        tone: int,
        codecs: tuple[str, ...] = ("PCMU", "PCMA", "G722"),
        address: str = LOOPBACK,
        line: Line | None = None,
        answer_after: float | None = None,
        answer_with: int = 200,
        ring: bool = True,
    ) -> Phone:
        """Switch on a phone whose voice is a tone of `tone` hertz.

        It sends 180 at once if it is to `ring`, and with `answer_after` seconds it answers by itself with the status
        `answer_with`. `codecs` are names from PCMU, PCMA and G722 in its order of preference. It is
        reached over UDP at `address`, or as `line` says.
        """
        place = line or Line(address=address)
        port = self._engine.do(lambda: self._engine.add_account(name, tone, place, codecs))
        self.tones[name] = tone
        phone = Phone(self, self._engine, self._journal, name, place.uri(name, port))
        phone.behave(answer_after=answer_after, answer_with=answer_with, ring=ring)
        return phone


class Phone:
    """One phone: `uri` is where it is called, `port` its SIP port."""

    def __init__(self, phones: Phones, engine: Engine, journal: Journal, name: str, uri: str) -> None:
        self.phones = phones
        self.name = name
        self.uri = uri
        self.port = int(uri.rpartition(":")[2].partition(";")[0])
        self._engine = engine
        self._journal = journal

    def behave(self, *, answer_after: float | None, answer_with: int = 200, ring: bool = True) -> None:
        """Change how new calls are answered; see `Phones.add`."""

        def order() -> None:
            account = self._engine.accounts[self.name]
            account.rings, account.answers_after, account.answers_with = ring, answer_after, answer_with

        self._engine.do(order)

    def call(self, uri: str, headers: Mapping[str, str] | None = None) -> PhoneCall:
        """Call `uri`, with extra headers in the INVITE; does not wait for anything."""

        def order() -> int:
            call = EngineCall(self._engine, self._engine.accounts[self.name])
            try:
                call.makeCall(uri, options(headers=headers))
            except pj.Error:
                self._engine.calls.pop(call.number, None)
                raise
            call.note_call_id()
            return call.number

        return self._own(self._engine.do(order))

    def incoming(self, timeout: float = _PATIENCE) -> PhoneCall:
        """Wait for a new call and return it."""
        return self._own(self.wait_for(Incoming, timeout=timeout).call)

    def wait_for(self, kind: type[EventT], *, timeout: float = _PATIENCE, **fields: object) -> EventT:
        """Take this phone's oldest event of `kind` whose fields are as given; each event is given out once."""
        return self._journal.expect(self.name, kind, timeout, {"phone": self.name, **fields})

    @property
    def calls(self) -> list[PhoneCall]:
        """All calls that this phone has had, oldest first."""
        numbers = dict.fromkeys(event.call for event in self._journal.all() if event.call and event.phone == self.name)
        return [self._own(number) for number in numbers]

    def _own(self, number: int) -> PhoneCall:
        return PhoneCall(self, self._engine, self._journal, number)
