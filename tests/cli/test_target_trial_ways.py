"""`handoff targets test` over each transport, with real DNS, to registered users, and as people read it."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import dns.resolver
import pytest

from cli.diagnosis.finding import Status
from cli.phones import Line, Phones, State
from cli.trial.attempt import Identity
from cli.trial.endpoint import Plan, Report, examine
from cli.trial.places import NotFound, find_places
from cli.trial.planning import prepare
from routing.settings_model import Tls
from routing.store import MemoryStore
from routing.targets import Target
from routing.transfer_record import Srtp
from routing.users import Contact
from tests.cli.findings import settings
from tests.cli.operator import Node
from tests.stack.name_server import NameServer
from tests.stack.rtp import RtpPeer
from tests.stack.tls_peer import Authority
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer


@pytest.fixture(scope="module")
def phones() -> Iterator[Phones]:
    with Phones() as phones:
        yield phones


def plan(uri: str, **more: object) -> Plan:
    return Plan(**{"uri": uri, "identity": Identity(""), "codecs": ("PCMU",), "tls": Tls(), **more})  # type: ignore[arg-type]


def statuses(report: Report) -> dict[str, Status]:
    return {check.part: check.status for check in report.checks}


def test_a_phone_over_tls_is_called_with_keys_and_its_certificate_is_read(phones: Phones, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certify("phone", "127.0.0.1")
    line = Line(transport="tls", certificate=certificate, key=key, srtp=True)
    phone = phones.add("secure", tone=800, line=line, answer_after=0.1)
    report = examine(plan(phone.uri, ca_file=str(authority.ca_file), ring=10.0))
    found = statuses(report)
    assert {found[part] for part in ("tls", "options", "call", "sound from it")} == {Status.OK}, report
    assert "sound to it (it is encrypted" in report.not_tested[0]
    assert "certificate" in found
    phone.incoming().wait(State.DISCONNECTED)


def test_a_phone_over_tcp_is_heard_both_ways(phones: Phones) -> None:
    phone = phones.add("stream", tone=810, line=Line(transport="tcp"), answer_after=0.1)
    found = statuses(examine(plan(phone.uri, ring=10.0)))
    assert {found[part] for part in ("tcp", "call", "sound from it", "sound to it", "latency")} == {Status.OK}
    phone.incoming().wait(State.DISCONNECTED)


def test_srtp_that_a_phone_does_not_know_is_told_as_no_common_codec(phones: Phones) -> None:
    phone = phones.add("plain", tone=820)
    report = examine(plan(phone.uri, srtp=Srtp.REQUIRED))
    (call,) = [check for check in report.checks if check.part == "call"]
    assert call.status is Status.FAILED
    assert "--srtp" in call.mend


def test_media_of_web_pages_are_left_out_and_said_so(phones: Phones) -> None:
    phone = phones.add("page", tone=830)
    report = examine(plan(phone.uri, srtp=Srtp.DTLS))
    assert "srtp is dtls" in report.not_tested[0]
    assert phone.calls == []


def test_one_that_hangs_up_by_itself_is_no_fault_of_its_own(phones: Phones) -> None:
    with RtpPeer() as voice, Ua("desk") as desk:

        def answer() -> None:
            desk.reply(desk.expect("OPTIONS"), 200)
            invite = desk.expect("INVITE")
            voice.talk_to(invite.body)
            desk.reply(invite, 200, sdp=voice.sdp())
            desk.expect("ACK")
            voice.wait_heard(count=20)
            bye = desk.request("BYE", desk.dialog(invite))
            assert desk.final_reply(bye).status == 200

        thread = threading.Thread(target=answer)
        thread.start()
        report = examine(plan(desk.uri))
        thread.join()
    found = statuses(report)
    assert found["call"] is Status.OK
    assert "sound from it" in found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_dns_is_asked_as_kamailio_does_and_the_next_address_is_tried(phones: Phones, tmp_path: Path) -> None:
    phone = phones.add("named", tone=840)
    records = [
        "host-record=pbx.test,127.0.0.1",
        f"srv-host=_sip._udp.failover.test,pbx.test,{free_port()},10",
        f"srv-host=_sip._udp.failover.test,pbx.test,{phone.port},20",
        "naptr-record=naptr.test,10,10,s,SIP+D2T,,_sip._tcp.naptr.test",
        "srv-host=_sip._tcp.naptr.test,pbx.test,5070,10",
    ]
    with NameServer(tmp_path, *records) as server:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [server.address]
        report = examine(plan("sip:named@failover.test"), resolver=resolver)
        by_naptr = find_places("sip:desk@naptr.test", resolver)
        by_address = find_places("sip:desk@pbx.test:5080;transport=tcp", resolver)
        with pytest.raises(NotFound, match=r"NAPTR, SRV, A or AAAA record for nobody\.test"):
            find_places("sip:desk@nobody.test", resolver)
    found = statuses(report)
    assert (found["dns"], found["udp"], found["call"]) == (Status.OK, Status.WARNING, Status.OK)
    assert [str(place) for place in by_naptr[1]] == ["tcp:127.0.0.1:5070"]
    assert [str(place) for place in by_address[1]] == ["tcp:127.0.0.1:5080"]


def test_name_servers_that_are_silent_do_not_hold_it_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        address = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
        silent.bind((address, 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [address], silent.getsockname()[1]
        report = examine(plan("sip:desk@pbx.test"), resolver=resolver)
    (check,) = report.checks
    assert (check.part, check.status) == ("dns", Status.FAILED)
    assert "no name server tells NAPTR of pbx.test" in check.what


def test_users_are_looked_up_and_what_is_not_tested_is_said(operator: Operator) -> None:
    operator.writes_settings(users={"domains": ["handoff.local"]})
    target = Target.make({"name": "desk", "endpoints": ["sip:alice@handoff.local", "tel:+4930123"]})
    with operator.store() as store:
        store.put_target("desk", target.to_json())
    unknown = operator.types("targets", "test", "desk")
    assert "there is no user alice@handoff.local" in unknown.stdout
    assert "handoff users add alice@handoff.local" in unknown.stdout
    with operator.store() as store:
        store.put_user("alice@handoff.local", b"{}")
    nowhere = operator.types("targets", "test", "desk")
    assert nowhere.exit_code == 1
    assert "no phone of alice@handoff.local is registered" in nowhere.stdout
    assert "no trunk takes" in nowhere.stdout


def test_who_logs_in_for_a_number_is_the_number_as_it_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    def note(plan: Plan, _: object) -> Report:
        plans.append(plan)
        return Report(plan.uri)

    monkeypatch.setattr("cli.trial.planning.examine", note)
    trunk = {"name": "carrier", "addresses": ["127.0.0.9/32"], "uri": "sip:127.0.0.9:5060"}
    target = Target.make({"name": "desk", "endpoints": ["tel:+49-30-123"]})
    never = threading.Event()
    work = prepare(settings(trunks=[trunk]), MemoryStore(), target, target.endpoints[0], never, ring=False, quiet=True)
    assert work(lambda _: None).uri == "tel:+49-30-123"
    assert plans[0].uri == "sip:+4930123@127.0.0.9:5060;user=phone"
    assert plans[0].identity.user == "+4930123"


PHONES = {"first": "sip:alice@10.0.0.5:5080", "second": "sip:alice@10.0.0.6:5080"}


def registered(operator: Operator, *names: str, uri: str = "sip:alice@handoff.local", alive: bool = True) -> None:
    """Keep a target that is a user, whose phones are registered at a node."""
    operator.writes_settings(users={"domains": ["handoff.local"]}, sip={"no_reply_timeout": 0.5})
    with operator.store() as store:
        store.put_user("alice@handoff.local", b"{}")
        store.put_target("desk", Target.make({"name": "desk", "endpoints": [uri]}).to_json())
        phones = [Contact(uri=PHONES[name], expires_at=time.time() + 600, node="node1") for name in names]
        kept = {phone.uri: phone.model_dump_json().encode() for phone in phones}
        store.keep_contacts("alice@handoff.local", "node1", kept, 600)
        if alive:
            store.beat("node1", {})


def test_phones_of_a_user_are_asked_by_their_node(operator: Operator, redis: RedisServer) -> None:
    registered(operator, "first", "second")

    def obey(command: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True} | ({"status": 200} if command["uri"] == PHONES["first"] else {})

    with Node(redis, obey) as node:
        result = operator.types("targets", "test", "desk")
    assert [command["kind"] for command in node.commands] == ["ask", "ask"]
    lines = result.stdout
    assert "2 phones, registered until 20" in lines
    assert f"{PHONES['first']} (udp, unknown, at node1) replies 200 to OPTIONS" in lines
    assert f"{PHONES['second']} (udp, unknown, at node1): no reply to OPTIONS" in lines
    assert "see that it is on and online; it counts as there until 20" in lines
    assert "not tested: calls, codecs and sound (phones that register take calls from handoff itself" in lines
    assert (result.exit_code, lines.endswith("2 ok, 1 warning, 0 failed\n")) == (0, True)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"ok": False, "text": "its connection has closed"}, "its connection has closed"),
        ({"ok": True}, "no reply to OPTIONS"),
        (None, "its node does not take commands"),
    ],
)
def test_a_user_none_of_whose_phones_replies_fails(
    operator: Operator, redis: RedisServer, answer: dict[str, Any] | None, words: str
) -> None:
    registered(operator, "first")
    with Node(redis, lambda _: answer or {}, "node1" if answer else "another"):
        result = operator.types("targets", "test", "desk")
    assert (result.exit_code, words in result.stdout) == (1, True)


def test_a_phone_of_a_node_that_is_away_is_not_asked(operator: Operator) -> None:
    registered(operator, "first", alive=False)
    result = operator.types("targets", "test", "desk")
    assert (result.exit_code, "its node gives no sign of life" in result.stdout) == (1, True)


def test_phones_without_tls_do_not_count_where_that_is_asked_for(operator: Operator) -> None:
    registered(operator, "first", uri="sips:alice@handoff.local")
    result = operator.types("targets", "test", "desk")
    assert "no phone of alice@handoff.local is registered over TLS" in result.stdout
    assert result.exit_code == 1


def test_a_web_page_that_is_silent_fails_though_its_media_are_not_tested() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        report = examine(plan(f"sip:page@127.0.0.1:{hole.getsockname()[1]}", srtp=Srtp.DTLS))
    assert (statuses(report)["options"], report.good) == (Status.FAILED, False)
    assert "hand a call over" in report.not_tested[0]


def test_ring_and_quiet_exclude_each_other(operator: Operator) -> None:
    assert "leave out one of them" in operator.fails(2, "targets", "test", "desk", "--ring", "--quiet")
    assert "there is no target 'desk'" in operator.fails(1, "targets", "test", "desk")


def test_what_rings_is_cancelled_when_the_test_is_broken_off(phones: Phones) -> None:
    phone, stopped = phones.add("patient", tone=850), threading.Event()
    test = threading.Thread(target=examine, args=(plan(phone.uri, ring=300.0, stopped=stopped),))
    test.start()
    call = phone.incoming()
    stopped.set()
    call.wait(State.DISCONNECTED)
    test.join(10.0)
    assert not test.is_alive()
