"""Endpoints by every form of URI and every transport: real phones, a real DNS server, and real certificates."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cli.phones import Line, Phones, State, TransferProgress
from cli.tones import AGENT, TARGET
from routing.outcomes import Outcome
from tests.stack.name_server import NameServer
from tests.stack.phone_talk import PhoneTalk
from tests.stack.sipp import free_port
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.tls_peer import Authority, TlsPeer
from tests.stack.ua import Ua
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.phones import Phone

PBX = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
"""The host that has the standard port for itself."""
USERS = {"udp": "+4930123456", "pbx": "1001"}
"""Names of phones that are found by the user, where a URI has no port."""


@dataclass
class Stage:
    """Everything that the tests share; `phones` are the targets by their transports."""

    talk: PhoneTalk
    phones: dict[str, Phone]
    ours: Authority
    others: Authority

    def uri(self, form: str) -> str:
        """Fill the ports of the phones into a form of URI."""
        return form.format(**{name: phone.port for name, phone in self.phones.items()})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("uris")
    ours, others = Authority(folder / "ours"), Authority(folder / "others")
    certificate, key = ours.certify("phone", "phone.test", "company.test", "127.0.0.1")
    with contextlib.ExitStack() as stack:
        phones = stack.enter_context(Phones())
        agent = phones.add("agent", tone=AGENT, answer_after=0)
        lines = {
            "udp": Line(),
            "tcp": Line("tcp"),
            "tls": Line("tls", certificate=certificate, key=key, srtp=True),
            "pbx": Line(address=PBX, port=5060),
        }
        targets = {
            name: phones.add(USERS.get(name, name), tone=TARGET + 50 * place, line=line, answer_after=0.2)
            for place, (name, line) in enumerate(lines.items())
        }
        records = [
            "host-record=phone.test,127.0.0.1",
            f"host-record=pbx.company.test,{PBX}",
            f"srv-host=_sip._udp.provider.test,phone.test,{targets['udp'].port},10",
            f"srv-host=_sip._tcp.provider.test,phone.test,{targets['tcp'].port},10",
            # The certificate is for company.test, not for where SRV leads (RFC 5922 section 4).
            f"srv-host=_sips._tcp.company.test,phone.test,{targets['tls'].port},10",
            "naptr-record=company.test,10,10,S,SIPS+D2T,,_sips._tcp.company.test",
            f"srv-host=_sip._udp.failover.test,phone.test,{free_port()},10",
            f"srv-host=_sip._udp.failover.test,phone.test,{targets['udp'].port},20",
        ]
        server = stack.enter_context(NameServer(folder, *records))
        trunks = [{"name": "provider", "addresses": ["127.0.0.0/8"], "uri": "sip:provider.test"}]
        system = System(
            agent.uri,
            name_server=server.address,
            trunks=trunks,
            tls={"ca_file": str(ours.ca_file)},
        )
        stack.enter_context(system)
        wire = stack.enter_context(Wire(system.port))
        yield Stage(PhoneTalk(phones, system, agent, wire), targets, ours, others)


@pytest.fixture
def talk(stage: Stage) -> Iterator[PhoneTalk]:
    yield stage.talk
    stage.talk.end()


ROWS = {
    "host and port": ("sip:bob@127.0.0.1:{udp}", "udp"),
    "no user": ("sip:127.0.0.1:{udp}", "udp"),
    "UDP by name": ("sip:bob@phone.test:{udp};transport=udp", "udp"),
    "TCP": ("sip:bob@127.0.0.1:{tcp};transport=tcp", "tcp"),
    "TCP by SRV": ("sip:tcp@provider.test;transport=tcp", "tcp"),
    "TLS": ("sip:bob@phone.test:{tls};transport=tls", "tls"),
    "sips": ("sips:bob@phone.test:{tls}", "tls"),
    "sips at an address": ("sips:bob@127.0.0.1:{tls}", "tls"),
    "sips by SRV": ("sips:tls@company.test", "tls"),
    "TLS by NAPTR": ("sip:tls@company.test", "tls"),
    "number at a provider, by SRV": ("sip:+4930123456@provider.test", "udp"),
    "extension at a PBX, by A": ("sip:1001@pbx.company.test", "pbx"),
    "tel": ("tel:+49-30-123456", "udp"),
    "second entry of SRV": ("sip:+4930123456@failover.test", "udp"),
}


@pytest.mark.parametrize(("form", "reached"), ROWS.values(), ids=ROWS)
def test_a_call_goes_to_an_endpoint_and_both_hear_one_another(
    stage: Stage, talk: PhoneTalk, form: str, reached: str
) -> None:
    target = stage.phones[reached]
    call, agent = talk.connect(talk.phone("caller"))
    talk.system.add_target("support", stage.uri(form))
    assert agent.refer(f"sip:support@127.0.0.1:{talk.system.port}").code == 202
    answered = target.incoming()
    answered.wait(State.CONFIRMED)
    talk.hear_each_other(call, answered)
    agent.wait(State.DISCONNECTED)
    assert answered.hold().code == 200
    answered.resume()
    talk.hear_each_other(call, answered)
    answered.hangup()
    call.wait(State.DISCONNECTED)


def refused(talk: PhoneTalk, uri: str, **settings: object) -> str:
    """Try to hand a call over to an endpoint that cannot be had, and tell what the agent is told."""
    call, agent = talk.connect(talk.phone("caller"))
    talk.system.add_target("support", uri, **settings)
    assert agent.refer(f"sip:support@127.0.0.1:{talk.system.port}").code == 202
    told = agent.wait_for(TransferProgress, final=True)
    talk.hear_each_other(call, agent)
    call.hangup()
    agent.wait(State.DISCONNECTED)
    assert talk.system.store.finished(1)[0].transfer.outcome is Outcome.UNREACHABLE
    return f"{told.code} {told.reason}"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("name", "408 TLS: hostname mismatch"),
        ("expired", "408 TLS: certificate has expired"),
        ("authority", "408 TLS: unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_is_not_good_keeps_the_invite_from_leaving(
    stage: Stage, talk: PhoneTalk, fault: str, told: str
) -> None:
    authority = stage.others if fault == "authority" else stage.ours
    host = "another.test" if fault == "name" else "phone.test"
    certificate, key = authority.certify(fault, host, expired=fault == "expired")
    with TlsPeer(certificate, key) as peer:
        assert refused(talk, f"sips:bob@phone.test:{peer.port}") == told
        assert (peer.names, peer.received) == (["phone.test"], [])
    assert f"TLS: the certificate of phone.test is refused: {told[9:]}" in talk.system.kamailio.log.read_text()


def test_a_target_has_a_ca_of_its_own(stage: Stage, talk: PhoneTalk) -> None:
    certificate, key = stage.others.certify("partner", "phone.test")
    with TlsPeer(certificate, key) as peer:
        uri = f"sips:bob@phone.test:{peer.port}"
        refused(talk, uri, ca_file=str(stage.others.ca_file))
        assert [data.split(b" ")[0] for data in peer.received] == [b"INVITE"]
        assert b"Contact: <sips:" in peer.received[0]
        assert refused(talk, uri).startswith("408 TLS: ")


def test_a_host_that_nobody_knows_is_unreachable(talk: PhoneTalk) -> None:
    assert refused(talk, "sip:bob@nowhere.test") == "503 Service Unavailable"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_refused_connection_is_unreachable(talk: PhoneTalk, transport: str) -> None:
    assert refused(talk, f"sip:bob@127.0.0.1:{free_port()};transport={transport}") == "408 Request Timeout"


def test_an_address_of_ipv6_is_reached_over_it_and_leads_back_over_it() -> None:
    """With scripted phones: PJSIP speaks SIP over IPv6 only where its media does so, too."""
    port = free_port()
    with Ua("agent") as agent, Ua("target", address="::1") as target:
        system = System(agent.uri, sip={"listen": [f"udp:127.0.0.1:{port}", f"udp:[::1]:{port}"]})
        system.port, system.proxy, system.uri = port, ("127.0.0.1", port), f"sip:127.0.0.1:{port}"
        with system, Talk(system, agent, target=target) as talk:
            invite = talk.hand_over()
            assert invite.uri.startswith("sip:target@[::1]:")
            assert f"@[::1]:{port}>" in invite["Contact"]
            bye = target.request("BYE", target.dialog(invite))
            talk.caller.reply(talk.caller.expect("BYE"), 200)
            target.expect(200, to=bye)
            talk.nothing_left()
