"""`handoff targets test` over each transport, with real DNS, to registered users, and as people read it."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING

import dns.resolver
import pytest

from cli.diagnosis.finding import Status
from cli.phones import Line, Phones, State
from cli.trial.attempt import Identity
from cli.trial.endpoint import Plan, Report, examine
from cli.trial.places import NotFound, find_places
from routing.settings_model import Tls
from routing.targets import Target
from routing.transfer_record import Srtp
from routing.users import Contact
from tests.stack.name_server import NameServer
from tests.stack.rtp import RtpPeer
from tests.stack.tls_peer import Authority
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.operator import Operator


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
    assert "DTLS-SRTP" in report.not_tested[0]
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
    contact = Contact(uri="sip:alice@127.0.0.1:5080", expires_at=time.time() + 600)
    with operator.store() as store:
        store.put_target("desk", target.to_json())
    nowhere = operator.types("targets", "test", "desk")
    assert nowhere.exit_code == 1
    assert "no phone of alice@handoff.local is registered" in nowhere.stdout
    assert "no trunk takes" in nowhere.stdout
    with operator.store() as store:
        target = Target.make({"name": "desk", "endpoints": ["sip:alice@handoff.local"]})
        store.put_target("desk", target.to_json())
        store.keep_contacts("alice@handoff.local", "node1", {contact.uri: contact.model_dump_json().encode()}, 600)
    there = operator.types("targets", "test", "desk")
    assert (there.exit_code, "1 phone: sip:alice@127.0.0.1:5080 (udp)" in there.stdout) == (0, True)
    assert "not tested: requests to registered phones" in there.stdout
    assert there.stdout.endswith("1 ok, 0 warnings, 0 failed\n")


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
