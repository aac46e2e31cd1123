"""Proxies that record-route, on the side of each party: later requests go through them, in the right order.

A proxy here is a `Ua` that stands for its party in all that follows: what it is sent, it answers. Behind each there is
a second one, which nobody ever sends to, since it is not the next hop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sipmessage import Address

from tests.stack.rtp import RtpPeer
from tests.stack.talk import NUMBER
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.dialog import Dialog
    from tests.stack.message import Message
    from tests.stack.system import System

WITH_UPDATE = {"Allow": "INVITE, ACK, BYE, CANCEL, UPDATE"}
TIMER = {"Session-Expires": "2;refresher=uas"}


def near(proxy: Ua) -> str:
    """Write the Record-Route entry of a proxy next to us."""
    return f"<sip:{proxy.name}@127.0.0.1:{proxy.port};lr>"


def far(proxy: Ua) -> str:
    """Write that of the one behind it; its lr has a value, as some write it."""
    return f"<sip:{proxy.name}.example.com;lr=on;ftag=x>"


def routes(message: Message) -> list[str]:
    """Read the Route header fields in order."""
    return [str(entry) for value in message.all("Route") for entry in Address.parse_many(value)]


def behind(proxy: Ua, reply: Message) -> Message:
    """Write into a reply what the proxies on its way have written into the request."""
    return reply.with_headers((("Record-Route", far(proxy)), ("Record-Route", near(proxy)), *reply.headers))


@dataclass
class Parties:
    """The three parties and their proxies, with caller and agent in a call; handing it over makes `target_dialog`."""

    system: System
    caller: Ua
    agent: Ua
    target: Ua
    voice: RtpPeer
    by_caller: Ua
    by_agent: Ua
    by_target: Ua

    def connect(self) -> None:
        """Let the caller call, and the agent answer."""
        uri = f"sip:{NUMBER}@127.0.0.1:{self.system.port}"
        record = {"Record-Route": f"{near(self.by_caller)}, {far(self.by_caller)}", **WITH_UPDATE}
        sent = self.caller.invite(uri, sdp=self.voice.sdp(), headers=record)
        self.incoming = self.agent.expect("INVITE")
        answer = self.agent.reply(self.incoming, 200, sdp=self.voice.sdp(), headers=TIMER, send=False)
        self.agent.send(behind(self.by_agent, answer))
        self.answer = self.caller.expect(200, to=sent)
        self.caller_dialog.route_set = self.caller_dialog.route_set[2:]  # its own proxies take theirs off
        self.caller.ack(self.answer)
        self.went(self.by_agent, "ACK", self.agent.uri)

    def hand_over(self) -> None:
        """Let the agent refer, the target answer, and the agent leave."""
        self.system.add_target("support", self.target.uri)
        refer_to = {"Refer-To": f"<sip:support@127.0.0.1:{self.system.port}>"}
        self.agent.expect(202, to=self.agent.request("REFER", self.agent_dialog, headers=refer_to))
        self.by_agent.reply(self.went(self.by_agent, "NOTIFY", self.agent.uri), 200)
        invite = self.target.expect("INVITE")
        self.target.send(behind(self.by_target, self.target.reply(invite, 200, sdp=self.voice.sdp(), send=False)))
        ack = self.went(self.by_target, "ACK", self.target.uri)
        assert ack.call_id == invite.call_id
        self.by_agent.reply(self.went(self.by_agent, "NOTIFY", self.agent.uri), 200)
        self.target_dialog: Dialog = self.target.dialog(invite)

    def went(self, proxy: Ua, method: str, uri: str) -> Message:
        """Take a request at a proxy, and check that it has the whole route set and the party's own URI."""
        seen = proxy.expect(method)
        assert routes(seen) == [near(proxy), far(proxy)]
        assert seen.uri == uri
        return seen

    def passes(self, method: str, sender: Ua, dialog: Dialog, proxy: Ua, uri: str) -> None:
        """Let a request go from a party to another one's proxy, and the answer back."""
        request = sender.request(method, dialog)
        proxy.reply(self.went(proxy, method, uri), 200)
        sender.expect(200, to=request)

    @property
    def caller_dialog(self) -> Dialog:
        """The caller's dialog."""
        return self.caller.dialog(self.answer)

    @property
    def agent_dialog(self) -> Dialog:
        """The agent's dialog."""
        return self.agent.dialog(self.incoming)


@pytest.fixture
def parties(system: System, agent: Ua) -> Iterator[Parties]:
    """Give caller and agent in a call, each behind two proxies."""
    with (
        Ua("caller", proxy=system.proxy) as caller,
        Ua("target") as target,
        Ua("p1") as by_caller,
        Ua("p2") as by_agent,
        Ua("p3") as by_target,
        RtpPeer() as voice,
    ):
        by_caller.allow("UPDATE")  # the session timer is refreshed through it
        parties = Parties(system, caller, agent, target, voice, by_caller, by_agent, by_target)
        parties.connect()
        yield parties
        system.wait_until(lambda: system.calls() == [] and system.media_calls() == 0)


def test_caller_and_agent_reach_each_other(parties: Parties) -> None:
    """Before a transfer, and after one that failed, when our own requests have raised the CSeq."""
    parties.passes("INFO", parties.caller, parties.caller_dialog, parties.by_agent, parties.agent.uri)
    parties.passes("INFO", parties.agent, parties.agent_dialog, parties.by_caller, parties.caller.uri)
    refer_to = {"Refer-To": f"<sip:support@127.0.0.1:{parties.system.port}>"}
    parties.system.add_target("support", parties.target.uri)
    parties.agent.expect(202, to=parties.agent.request("REFER", parties.agent_dialog, headers=refer_to))
    parties.by_agent.reply(parties.went(parties.by_agent, "NOTIFY", parties.agent.uri), 200)
    parties.target.reply(parties.target.expect("INVITE"), 486)
    parties.target.expect("ACK")
    parties.by_agent.reply(parties.went(parties.by_agent, "NOTIFY", parties.agent.uri), 200)
    parties.passes("INFO", parties.caller, parties.caller_dialog, parties.by_agent, parties.agent.uri)
    parties.passes("BYE", parties.caller, parties.caller_dialog, parties.by_agent, parties.agent.uri)


@pytest.mark.parametrize("first", ["caller", "target"])
def test_caller_and_target_reach_each_other(parties: Parties, first: str) -> None:
    """After the bridge each is reached through its own proxies, and neither sees those of another."""
    parties.hand_over()
    bye = parties.went(parties.by_agent, "BYE", parties.agent.uri)
    parties.by_agent.reply(bye, 200)
    to_target = (parties.caller, parties.caller_dialog, parties.by_target, parties.target.uri)
    to_caller = (parties.target, parties.target_dialog, parties.by_caller, parties.caller.uri)
    parties.passes("INFO", *to_target)
    parties.passes("INFO", *to_caller)
    parties.passes("BYE", *(to_target if first == "caller" else to_caller))


def test_an_ack_goes_the_same_way(parties: Parties) -> None:
    """That of a re-INVITE, in both directions."""
    parties.hand_over()
    parties.by_agent.reply(parties.went(parties.by_agent, "BYE", parties.agent.uri), 200)
    to_target = (parties.caller, parties.caller_dialog, parties.by_target, parties.target)
    to_caller = (parties.target, parties.target_dialog, parties.by_caller, parties.caller)
    for sender, dialog, proxy, party in (to_target, to_caller):
        offer = sender.request("INVITE", dialog, sdp=parties.voice.sdp(version=2))
        seen = parties.went(proxy, "INVITE", party.uri)
        contact = {"Contact": f"<{party.uri}>"}
        proxy.reply(seen, 200, sdp=parties.voice.sdp(version=2), headers=contact)
        sender.ack(sender.expect(200, to=offer))
        assert parties.went(proxy, "ACK", party.uri).cseq == seen.cseq
    parties.passes("BYE", *to_target[:3], parties.target.uri)


def test_our_own_requests_go_the_same_way(parties: Parties) -> None:
    """The refresh of the caller's session, and the BYE to both when the caller no longer knows it."""
    parties.hand_over()
    parties.by_agent.reply(parties.went(parties.by_agent, "BYE", parties.agent.uri), 200)
    parties.by_caller.reply(parties.went(parties.by_caller, "UPDATE", parties.caller.uri), 481)
    parties.by_caller.reply(parties.went(parties.by_caller, "BYE", parties.caller.uri), 200)
    parties.by_target.reply(parties.went(parties.by_target, "BYE", parties.target.uri), 200)


def test_a_proxy_in_front_may_name_us_in_a_route(system: System, agent: Ua) -> None:
    """The Route of an INVITE that names handoff itself goes no further (RFC 3261 section 16.4)."""
    with Ua("caller", proxy=system.proxy) as caller, RtpPeer() as voice:
        uri = f"sip:{NUMBER}@127.0.0.1:{system.port}"
        route = {"Route": f"<sip:127.0.0.1:{system.port};lr>"}
        sent = caller.invite(uri, sdp=voice.sdp(), headers=route)
        incoming = agent.expect("INVITE")
        assert routes(incoming) == []
        agent.reply(incoming, 200, sdp=voice.sdp())
        answer = caller.expect(200, to=sent)
        caller.ack(answer)
        agent.expect("ACK")
        bye = caller.request("BYE", caller.dialog(answer))
        agent.reply(agent.expect("BYE"), 200)
        caller.expect(200, to=bye)
