"""Calls between people outside, the agent, and the phones of an office whose PBX is a real Asterisk."""

from __future__ import annotations

import json
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import handoff
from cli.phones import PhoneError, Phones, State, TransferProgress
from cli.tones import AGENT
from routing.diagnosis import diagnose
from tests.stack.office_pbx import TONE, Office, example, some_host
from tests.stack.phone_talk import PhoneTalk
from tests.stack.system import System
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.phones import Phone, PhoneCall

PEOPLE = {"1001": 1180, "1002": 1300, "1003": 1600, "2001": 1020}
"""The voices of the phones at Asterisk."""
PATIENCE = 15.0


class OfficeTalk(PhoneTalk):
    """Switches on the phones at Asterisk as well, and hands calls over to extensions."""

    office: Office

    def phone(self, name: str) -> Phone:
        """Give the phone of this name, or number at Asterisk; it is switched on once."""
        if name in PEOPLE and name not in self._phones:
            self._phones[name] = self.office.phone(name, PEOPLE[name])
        return super().phone(name)

    def desk(self, number: str = "1001", *, answer_after: float | None, answer_with: int = 200) -> Phone:
        """Give a phone at Asterisk, by default that of the manual, which answers so."""
        phone = self.phone(number)
        phone.behave(answer_after=answer_after, answer_with=answer_with)
        return phone

    def add_extension(self, extension: str, way: str = "", **settings: object) -> None:
        """Keep an extension as the target `extension`, called in one of office_pbx.WAYS."""
        headers = {"X-Way": way} if way else {}
        self.system.add_target("extension", self.office.uri(extension), headers=headers, **settings)

    def refers(self, agent: PhoneCall, target: str = "extension") -> None:
        """Let the agent send REFER to a target."""
        assert agent.refer(f"sip:{target}@127.0.0.1:{self.system.port}").code == 202

    def hand_to(self, extension: str, way: str = "", **settings: object) -> tuple[PhoneCall, PhoneCall]:
        """Let the agent hand a call over to an extension; gives the call as caller and agent have it."""
        self.add_extension(extension, way, **settings)
        call, agent = self.connect(self.phone("caller"))
        self.refers(agent)
        return call, agent

    def comes_from_office(self, extension: str, method: str) -> tuple[PhoneCall, PhoneCall]:
        """Let a phone of the office call the agent, who hands the call over."""
        self.system.store.forget_trunk("asterisk")
        self.add_extension(extension, method=method)
        call = self.phone("2001").call(self.office.uri("100"))
        call.wait(State.CONFIRMED)
        agent = self.phone("agent").incoming()
        self.hear_each_other(call, agent)
        self.refers(agent)
        return call, agent

    def told(self, agent: PhoneCall) -> int:
        """Wait for the last thing that the agent is told."""
        try:
            return agent.wait_for(TransferProgress, final=True, timeout=PATIENCE).code
        except PhoneError:
            print(Wire.trace(self.wire.messages(since=self.began)))
            raise

    def diagnosis(self) -> str:
        """Give the rule that tells why the last transfer failed."""
        found = diagnose(self.system.store.finished(1)[0].transfer)
        return found.rule if found else ""

    def tried(self) -> dict[str, tuple[str, str]]:
        """Try the target by `handoff targets test`; gives status and words of each check."""
        env = {"HANDOFF_SETTINGS": str(self.system.folder / "settings.json")}
        done = CliRunner().invoke(handoff, ["targets", "test", "extension", "--json"], env=env)
        (endpoint,) = json.loads(done.output)["endpoints"]
        return {check["part"]: (check["status"], check["what"]) for check in endpoint["checks"]}

    def nothing_left(self) -> None:
        """Check that soon nobody has anything of a call any more."""
        self.system.wait_until(lambda: self.system.calls() == [] and self.system.media_calls() == 0)


@contextmanager
def office_talk(*, sidecar: bool = False) -> Iterator[OfficeTalk]:
    """Start all of it; Asterisk is a trunk as the manual has it, and others may call from this machine.

    With the `sidecar`, people can be briefed.
    """
    host = some_host()
    (asterisk,) = tomllib.loads(example(host, 0).block("toml"))["trunks"]
    others = {"name": "others", "addresses": ["127.0.0.1"]}
    with Phones(sounds={"tone": TONE}) as phones:
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        with (
            System(agent.uri, sidecar=sidecar, trunks=[asterisk, others]) as system,
            Wire(system.port) as wire,
            Office(host, system, phones) as office,
        ):
            talk = OfficeTalk(phones, system, agent, wire)
            talk.office = office
            yield talk
