"""The causes of transfers whose endpoint cannot be reached, or does not reply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from routing.faults import Fault
from routing.outcomes import Outcome
from routing.users import User
from tests.stack.diagnosis.shown import LISTED, asked, cancelled, ended, invited
from tests.stack.registering import DOMAIN, PASSWORD
from tests.stack.sipp import free_port
from tests.stack.tls_peer import TlsPeer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stack.diagnosis.shown import Stage
    from tests.stack.talk import Talk

HOST = "phone.test"


@pytest.mark.parametrize(
    ("uri", *LISTED),
    [
        ("sip:bob@nowhere.test", Fault.DNS, Outcome.UNREACHABLE),
        ("sip:bob@[2001:db8::1]:5060", Fault.NO_ROUTE, Outcome.UNREACHABLE),
        ("sip:bob@127.0.0.1:{port}", Fault.NO_REPLY, Outcome.UNREACHABLE),
        ("sip:bob@127.0.0.1:{port};transport=tcp", Fault.TCP, Outcome.UNREACHABLE),
        ("sip:bob@127.0.0.1:{port};transport=tls", Fault.TLS, Outcome.UNREACHABLE),
        (f"sip:alice@{DOMAIN}", Fault.NOT_REGISTERED, Outcome.NO_ANSWER),
        (f"sip:nobody@{DOMAIN}", Fault.NO_SUCH_USER, Outcome.NOT_FOUND),
    ],
)
def test_an_endpoint_that_cannot_be_reached(talk: Talk, uri: str, fault: Fault, outcome: Outcome) -> None:
    talk.system.store.put_user(f"alice@{DOMAIN}", User.of(f"alice@{DOMAIN}", PASSWORD).to_json())
    endpoint = uri.format(port=free_port())
    asked(talk, endpoint)
    assert endpoint in ended(talk, fault, outcome)


CERTIFICATES: dict[str, Callable[[Stage], tuple[Path, Path]]] = {
    "name": lambda stage: stage.ours.certify("name", "another.test"),
    "expired": lambda stage: stage.ours.certify("expired", HOST, expired=True),
    "clock": lambda stage: stage.ours.certify_again("clock", HOST, begins_tomorrow=True),
    "authority": lambda stage: stage.others.certify("authority", HOST),
    "self-signed": lambda stage: stage.ours.certify_again("self-signed", HOST, by_itself=True),
    "for clients": lambda stage: stage.ours.certify_again("clients", HOST, for_clients=True),
}


@pytest.mark.parametrize(
    ("certificate", *LISTED),
    [
        ("name", Fault.CERTIFICATE_NAME, Outcome.UNREACHABLE),
        ("expired", Fault.CERTIFICATE_EXPIRED, Outcome.UNREACHABLE),
        ("clock", Fault.CLOCK_SKEW, Outcome.UNREACHABLE),
        ("authority", Fault.CERTIFICATE_AUTHORITY, Outcome.UNREACHABLE),
        ("self-signed", Fault.CERTIFICATE_AUTHORITY, Outcome.UNREACHABLE),
        ("for clients", Fault.CERTIFICATE, Outcome.UNREACHABLE),
    ],
)
def test_a_certificate_that_is_not_good(
    stage: Stage, talk: Talk, certificate: str, fault: Fault, outcome: Outcome
) -> None:
    with TlsPeer(*CERTIFICATES[certificate](stage)) as peer:
        asked(talk, f"sips:bob@{HOST}:{peer.port}")
        page = ended(talk, fault, outcome)
    assert f"the certificate of {HOST} is" in page or f"the certificate of {HOST} has expired" in page
    assert ("is signed by itself" in page) == (certificate == "self-signed")


@pytest.mark.parametrize("transport", ["", ";transport=udp"])
@pytest.mark.parametrize(LISTED, [(Fault.TOO_LARGE, Outcome.UNREACHABLE)])
def test_an_invite_too_large_for_udp_that_nobody_replies_to(
    talk: Talk, transport: str, fault: Fault, outcome: Outcome
) -> None:
    """Where the endpoint does not say how it is reached, TCP is tried first, with a Via of another length."""
    asked(talk, f"{talk.target.uri}{transport}", headers={"X-Long": "x" * 1000, "X-Longer": "y" * 1000})
    page = ended(talk, fault, outcome)
    invite = talk.target.expect("INVITE")
    (size,) = re.findall(r"an INVITE of (\d+) bytes by UDP", page)
    assert int(size) == pytest.approx(len(bytes(invite)), abs=0 if transport else 50)
    assert ("after it could not be sent by TCP" in page) == (not transport)


@pytest.mark.parametrize(
    ("status", *LISTED),
    [(180, Fault.RING_TIMEOUT, Outcome.NO_ANSWER), (100, Fault.NEVER_RANG, Outcome.NO_ANSWER)],
)
def test_nobody_answers_in_time(talk: Talk, status: int, fault: Fault, outcome: Outcome) -> None:
    invite = invited(talk, ring_timeout=1.0)
    talk.target.reply(invite, status)
    cancelled(talk, invite)
    page = ended(talk, fault, outcome)
    assert "--ring-timeout ended it after 1.0 s" in page
    assert "raise --ring-timeout" in page
