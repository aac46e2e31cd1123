"""The examples of the manual, played: what each product sends and expects, with the configuration that stands there."""

from __future__ import annotations

import re
import socket
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from routing.outcomes import Mode, Outcome
from routing.transfer_record import Method
from tests.stack.daemon import Daemon
from tests.stack.manual import Example
from tests.stack.office_pbx import some_host
from tests.stack.sipp import Sipp, receive, reply, scenario
from tests.stack.system import System
from tests.stack.talk import NUMBER, Talk
from tests.stack.tcp_ua import TcpUa
from tests.stack.ua import Ua
from tests.stack.warm_talk import SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

HANDOFF = "handoff.example.com"
MEANWHILE = 'Digest realm="provider", nonce="n0", algorithm=MD5'


class Played(Talk):
    """A call between a caller and the agent of an example, and the target that its command has added."""

    def __init__(self, example: Example, system: System, agent: Ua, target: Ua, **more: Any) -> None:
        super().__init__(system, agent, target=target, add_target=False, **more)
        self.example = example

    def __enter__(self) -> Self:
        self.example.type_in(self.system)
        return super().__enter__()

    def handed_over(self, refer_to: str) -> Message:
        """Let the agent hand over as it does, up to its end; gives the INVITE to the target."""
        self.agent.expect(202, to=self.refer(refer_to))
        self.notified(100)
        invite = self.target.expect("INVITE")
        self.answered(invite)
        return invite

    def answered(self, invite: Message) -> None:
        """Let the target answer; the agent is told, and let go by handoff."""
        self.target_answers(invite)
        self.notified(200, final=True)
        self.agent.reply(self.agent.expect("BYE"), 200)
        self.hear_target()


@contextmanager
def played(
    heading: str, agent: Ua, target: Ua, places: dict[str, str], *, speaks: bool = False, **more: Any
) -> Iterator[Played]:
    """Start the stack with trunks and pools of an example, and let its agent talk with a caller.

    Where the example has `places`, the parties of the test are. Where it listens is the test's own affair.
    """
    agent.allow("OPTIONS")
    example = Example(heading, places)
    found = [tomllib.loads(text) for text in example.blocks("toml")]
    sections = {name: data[name] for data in found for name in ("trunks", "pools") if name in data}
    with (
        System(agent.uri, sidecar=speaks, speech=SHORT, **sections) as system,
        Played(example, system, agent, target, **more) as talk,
    ):
        yield talk


def at(ua: Ua) -> str:
    return f"127.0.0.1:{ua.port}"


def test_a_trunk_like_twilios_calls_from_all_its_networks_and_takes_calls_with_a_login() -> None:
    with (
        Ua("agent") as agent,
        Ua("provider") as provider,
        Ua("second", address="127.0.0.5") as second,
        Ua("stranger", address="127.0.0.9") as stranger,
    ):
        places = {
            "192.0.2.0/30": "127.0.0.0/30",
            "192.0.2.4/30": "127.0.0.4/30",
            "example.pstn.provider.example": at(provider),
            "198.51.100.20:5060": at(agent),
        }
        sid = {"X-Twilio-CallSid": "CA0123456789abcdef"}
        with played("A trunk like Twilio's", agent, provider, places, invited=sid) as talk:
            assert talk.incoming["X-Twilio-CallSid"] == sid["X-Twilio-CallSid"]
            assert talk.incoming.uri.startswith(f"sip:{NUMBER}@")
            agent.expect(202, to=talk.refer())
            talk.notified(100)
            first = provider.expect("INVITE")
            provider.reply(first, 407, headers={"Proxy-Authenticate": MEANWHILE})
            provider.expect("ACK")
            invite = provider.expect("INVITE")
            assert invite.uri.startswith("sip:+493012345678@127.0.0.1")
            assert invite["From"].startswith(f"<sip:{NUMBER}@{HANDOFF}>")
            assert 'username="handoff"' in invite["Proxy-Authorization"]
            talk.answered(invite)
            talk.hang_up_on_target()
            talk.nothing_left()
            called = f"sip:{NUMBER}@127.0.0.1:{talk.system.port}"
            invite = second.invite(called)
            agent.reply(agent.expect("INVITE"), 486)
            agent.expect("ACK")
            second.ack(second.expect(486, to=invite))
            refused = stranger.invite(called)
            stranger.ack(stranger.expect(403, to=refused))


def test_a_trunk_like_twilios_takes_the_refer_of_a_target_with_method_auto() -> None:
    with Ua("agent") as agent, Ua("provider") as provider:
        places = {"192.0.2.0/30": "127.0.0.0/30", "example.pstn.provider.example": at(provider)}
        places |= {"198.51.100.20:5060": at(agent)}
        allowed = {"Allow": "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY"}
        with played("A trunk like Twilio's", agent, provider, places, invited=allowed) as talk:
            talk.system.add_target("support", "tel:+493012345678", method=Method.AUTO)
            agent.expect(202, to=talk.refer())
            talk.notified(100)
            refer = talk.caller.expect("REFER")
            assert "+493012345678" in refer["Refer-To"]
            talk.caller.reply(refer, 202)
            headers = {"Event": "refer", "Content-Type": "message/sipfrag", "Subscription-State": "terminated"}
            notify = talk.caller.request("NOTIFY", talk.caller_dialog, body="SIP/2.0 200 OK\r\n", headers=headers)
            talk.caller.expect(200, to=notify)
            talk.notified(200, final=True)
            for side in (talk.caller, agent):
                side.reply(side.expect("BYE"), 200)
            talk.nothing_left()
            assert talk.last_transfer.outcome is Outcome.CONNECTED


def test_a_trunk_like_telnyxs_is_called_over_tcp_with_its_token() -> None:
    with Ua("agent") as agent, TcpUa("provider") as provider:
        places = {"192.0.2.10": "127.0.0.1", "sip.provider.example": at(provider), "198.51.100.20:5060": at(agent)}
        with played("A trunk like Telnyx's", agent, provider, places) as talk:
            invite = talk.handed_over("support")
            assert provider.over_tcp[0] is invite
            assert invite["X-Telnyx-Token"] == "abc"
            assert re.findall(r"^a=rtpmap:\d+ ([^/]+)", invite.body, re.MULTILINE)[:2] == ["PCMU", "PCMA"]
            assert "G722" not in invite.body
            talk.hang_up_on_target()
            talk.nothing_left()


def test_freeswitch_rings_with_sound_of_its_own_and_asks_for_a_new_offer_later() -> None:
    with (
        Ua("agent") as agent,
        Ua("1001") as switch,
        played("FreeSWITCH", agent, switch, {"198.51.100.40:5080": at(switch)}) as talk,
    ):
        agent.expect(202, to=talk.refer())
        talk.notified(100)
        invite = switch.expect("INVITE")
        switch.reply(invite, 183, sdp=talk.target_voice.sdp())
        talk.notified(180)
        talk.answered(invite)
        offer = switch.request("INVITE", switch.dialog(invite))
        asked = talk.caller.expect("INVITE")
        assert not asked.body
        talk.caller.reply(asked, 200, sdp=talk.caller_voice.sdp(version=2))
        switch.ack(switch.expect(200, to=offer), sdp=talk.target_voice.sdp(version=2))
        assert talk.caller.expect("ACK").body
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()


OPENAI = "OpenAI, and others that set only the Refer-To URI"
AGENTS = {
    "LiveKit SIP": r'transfer_to="([^"]+)"',
    "Pipecat": r'"toEndPoint": "([^"]+)"',
    OPENAI: r'"target_uri": "([^"]+)"',
}
"""Where each of them writes the URI that becomes its Refer-To."""


@pytest.mark.parametrize("heading", AGENTS)
def test_a_platform_sets_only_the_refer_to_uri(heading: str) -> None:
    agents = TcpUa if heading.startswith("LiveKit") else Ua
    with agents("proj_abc123") as agent, Ua("1001") as target:
        places = {"example.sip.livekit.cloud": at(agent), "sip.api.openai.com;transport=tls": at(agent)}
        with played(heading, agent, target, {**places, "198.51.100.30:5060": at(target)}, speaks=True) as talk:
            talk.system.add_target("support", target.uri, pause_before=0.2, pause_after=0.2)
            user = NUMBER if heading.startswith("LiveKit") else "proj_abc123"
            assert talk.incoming.uri.startswith(f"sip:{user}@127.0.0.1:{agent.port}")
            texts = talk.example.blocks("python") + talk.example.blocks("sh")
            (uri,) = re.findall(AGENTS[heading], "".join(texts))
            invite = talk.handed_over(f"<{uri}>")
            transfer = talk.last_transfer
            assert (transfer.mode, transfer.summary) == (Mode.SUMMARY, "Wants a refund")
            assert invite["X-Handoff-Call"] == transfer.id.partition("-")[0]
            talk.hang_up_on_target()
            talk.nothing_left()


def test_a_platform_that_can_only_name_a_number_reaches_the_target_of_that_name() -> None:
    with Ua("proj_abc123") as agent, Ua("1001") as target:
        places = {"sip.api.openai.com;transport=tls": at(agent), "198.51.100.30:5060": at(target)}
        with played(OPENAI, agent, target, places) as talk:
            talk.handed_over("<tel:+493012345678>")
            talk.hang_up_on_target()
            talk.nothing_left()


class Front:
    """A context manager: the Kamailio of the manual at `host`, in front of nodes."""

    def __init__(self, host: str, config: str, folder: Path, *nodes: str) -> None:
        self.place = (host, 5060)
        (folder / "handoff.list").write_text("".join(f"1 sip:{node}\n" for node in nodes))
        (folder / "front.cfg").write_text(config)
        command = ["kamailio", "-f", str(folder / "front.cfg"), "-DD", "-E", "-m", "64", "-n", "2"]
        command += ["-Y", str(folder), "-w", str(folder), "-l", f"udp:{host}:5060"]
        self.kamailio = Daemon(command, folder / "kamailio.log", self._listens)

    def _listens(self) -> bool:
        host, port = self.place
        return f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X} " in Path("/proc/net/udp").read_text()

    def __enter__(self) -> Self:
        self.kamailio.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kamailio.stop()


DRAINING = scenario(receive("INVITE"), reply(503, "This node is about to end"), receive("ACK"))


def test_a_kamailio_in_front_turns_to_the_node_that_takes_calls(tmp_path: Path) -> None:
    """Of two calls in a row one goes to the other node first."""
    host = some_host()
    with Ua("agent") as agent, Sipp(DRAINING) as draining:
        agent.allow("OPTIONS")
        places = {"203.0.113.4": host, "198.51.100.20:5060": at(agent)}
        places["/etc/kamailio/handoff.list"] = str(tmp_path / "handoff.list")
        example = Example("Kamailio in front", places)
        sections = tomllib.loads(example.block("toml"))
        with System(agent.uri, **sections) as system:
            nodes = f"127.0.0.1:{draining.port}", f"127.0.0.1:{system.port}"
            with Front(host, example.block("kamailio"), tmp_path, *nodes) as front:
                system.proxy = front.place
                with Talk(system, agent) as talk:
                    assert talk.incoming.all("Record-Route")
                    talk.hang_up()
                    talk.connect()
                    talk.hand_over()
                    assert {m.source for m in talk.caller.received} == {front.place}
                    talk.hang_up_on_target()
                    talk.nothing_left()
                draining.wait()
