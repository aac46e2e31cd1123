"""`handoff trace` of calls by TCP, TLS and WebSocket: which way each message went, over what, and whence."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import handoff
from cli.phones import Line, Phones, State
from cli.tones import AGENT, CALLER
from tests.stack.phone_talk import PhoneTalk
from tests.stack.tls_peer import Authority
from tests.stack.web_phone import PATIENCE, WebPhone
from tests.stack.web_system import PASSWORD, WebSystem
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.phones import Phone

PAGE = 1180


@pytest.fixture(scope="module")
def phones() -> Iterator[Phones]:
    with Phones() as phones:
        phones.tones["page"] = PAGE
        yield phones


@pytest.fixture(scope="module")
def browser() -> Iterator[WebPhone]:
    with WebPhone(PAGE, {"caller": CALLER, "agent": AGENT}) as page:
        yield page


def traced(call_id: str) -> dict[str, Any]:
    result = CliRunner().invoke(handoff, ["trace", call_id, "--json"])
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def port(place: str) -> int:
    return int(place.rpartition(":")[2])


def handed_over(system: WebSystem, talk: PhoneTalk, page: WebPhone, caller: Phone) -> str:
    """Do a call by TCP that the page gets; gives the call's id."""
    call = caller.call(f"sip:agent@127.0.0.1:{system.places['tcp']};transport=tcp")
    call.wait(State.CONFIRMED)
    agent = talk.phone("agent").incoming()
    assert agent.refer(f"sip:desk@127.0.0.1:{system.places['tcp']}").code == 202
    page.accept()
    page.wait_heard("caller")
    agent.wait(State.DISCONNECTED)
    (record,) = system.calls()
    call.hangup()
    page.hung_up()
    return record.id


@pytest.mark.parametrize("by", ["ws", "wss"])
def test_each_message_went_the_right_way_over_what_carried_it(
    phones: Phones, browser: WebPhone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    """All are at this machine's own address, and our end of a connection that we opened has a port of its own."""
    authority = Authority(tmp_path / "desk")
    certificate, key = authority.certify("desk", "127.0.0.1")
    agent = phones.add(f"agent-{by}", tone=AGENT, line=Line("tcp"), answer_after=0)
    desk_line = Line("tls", certificate=certificate, key=key, srtp=True)
    desk = phones.add(f"desk-{by}", tone=900, line=desk_line, answer_after=0, answer_with=486)
    caller = phones.add(f"caller-{by}", tone=CALLER, line=Line("tcp"))
    with WebSystem(agent.uri, folder=tmp_path) as system, Wire(system.port) as wire:
        monkeypatch.setenv("HANDOFF_RUN_DIR", str(system.folder))
        user = system.add_user("alice")
        system.add_target("desk", desk.uri, f"sip:{user}", ca_file=str(authority.ca_file))
        browser.open()
        browser.register(system.url(by), user, PASSWORD)
        call_id = handed_over(system, PhoneTalk(phones, system, agent, wire), browser, caller)

        def ended() -> bool:
            return bool(traced(call_id)["messages"][-1]["label"] == "200 OK (BYE)")

        system.wait_until(ended, timeout=PATIENCE)
        data = traced(call_id)
        assert list(data["parties"]) == ["caller", "agent", "leg 1", "leg 2"]
        carried = {"caller": "tcp", "agent": "tcp", "leg 1": "tls", "leg 2": by}
        assert {(m["party"], m["transport"]) for m in data["messages"]} == set(carried.items())
        for message in data["messages"]:
            ours, theirs = (message["to"], message["from"]) if message["direction"] == "in" else (
                message["from"], message["to"]
            )  # fmt: skip
            assert port(theirs) not in system.places.values(), message
            if message["party"] == "leg 2":
                assert port(ours) == system.places[by]
            elif message["direction"] == "out":
                assert port(ours) in system.places.values()
        ways = {(m["party"], m["label"]): m["direction"] for m in data["messages"]}
        assert ways["agent", "INVITE"] == ways["agent", "202 Accepted (REFER)"] == ways["leg 2", "INVITE"] == "out"
        assert ways["agent", "200 OK (NOTIFY)"] == ways["leg 1", "486 Busy Here (INVITE)"] == "in"
        assert ways["agent", "REFER"] == ways["leg 2", "200 OK (INVITE)"] == ways["leg 2", "200 OK (BYE)"] == "in"
        order = [(m["party"], m["label"]) for m in data["messages"]]
        assert order.index(("agent", "NOTIFY")) < order.index(("agent", "200 OK (NOTIFY)"))
        written = tmp_path / "call.pcap"
        assert CliRunner().invoke(handoff, ["trace", call_id, "--pcap", str(written)]).exit_code == 0
        command = ["tshark", "-n", "-r", str(written), "-Y", "sip and not _ws.malformed"]
        decoded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert len(decoded.splitlines()) == len(data["messages"])
