"""Real transfers that fail, and the cause that the diagnosis names for each."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from routing.diagnosis import Diagnosis, diagnose
from routing.users import User
from tests.stack.name_server import NameServer
from tests.stack.registering import DOMAIN, PASSWORD
from tests.stack.rtp import RtpPeer
from tests.stack.sipp import free_port
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.test_challenges import USER, asks, challenge
from tests.stack.tls_peer import Authority, TlsPeer
from tests.stack.ua import PATIENCE, Ua

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from routing.store import Logged
    from tests.stack.message import Message

ALLOWED = {"Allow": "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY"}
TRUNK = {"name": "carrier", "addresses": ["127.0.0.0/8"]}


@dataclass
class Stage:
    """The stack, whose CA is `ours`."""

    agent: Ua
    system: System
    ours: Authority
    others: Authority


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("diagnosis")
    ours, others = Authority(folder / "ours"), Authority(folder / "others")
    with ExitStack() as stack:
        server = stack.enter_context(NameServer(folder, "host-record=phone.test,127.0.0.1"))
        agent = stack.enter_context(Ua("agent"))
        agent.allow("OPTIONS")
        system = System(
            agent.uri,
            name_server=server.address,
            tls={"ca_file": str(ours.ca_file)},
            trunks=[TRUNK],
            users={"domains": [DOMAIN]},
            hunting={"failures": 1, "rest": 600, "probe_every": 300},
            transfer={"refer_timeout": 1.0},
        )
        yield Stage(agent, stack.enter_context(system), ours, others)


@pytest.fixture
def system(stage: Stage) -> System:
    return stage.system


@pytest.fixture
def talk(stage: Stage) -> Iterator[Talk]:
    with Talk(stage.system, stage.agent, invited=ALLOWED) as talk:
        talk.target.allow("OPTIONS")  # one that fails is asked whether it is back
        yield talk


def ended(talk: Talk) -> Diagnosis:
    """Wait until the agent is told the end, and diagnose the transfer."""
    while True:
        notify = talk.agent.expect("NOTIFY", timeout=2 * PATIENCE)
        talk.agent.reply(notify, 200)
        if notify["Subscription-State"].startswith("terminated"):
            break
    return diagnosed(talk)


def diagnosed(talk: Talk) -> Diagnosis:
    diagnosis = diagnose(talk.last_transfer)
    assert diagnosis, talk.last_transfer
    return diagnosis


def found(talk: Talk) -> Diagnosis:
    """Do the same, and let all hang up."""
    diagnosis = ended(talk)
    talk.hang_up()
    talk.nothing_left()
    return diagnosis


def asked(talk: Talk, *endpoints: str | dict[str, Any], **settings: object) -> None:
    """Let the agent ask for a target with these endpoints."""
    talk.system.add_target(TARGET, *(endpoints or (talk.target.uri,)), **settings)
    talk.agent.expect(202, to=talk.refer())


def invited(talk: Talk, *endpoints: str | dict[str, Any], **settings: object) -> Message:
    """Do the same; gives the INVITE of the phone of the target."""
    asked(talk, *endpoints, **settings)
    return talk.target.expect("INVITE")


def refuse(talk: Talk, invite: Message, status: int, **headers: str) -> None:
    talk.target.reply(invite, status, "Not Now", headers=headers)
    talk.target.expect("ACK")


SAID = {
    302: "redirected",
    401: "no_login",
    403: "forbidden",
    404: "not_found",
    407: "no_login",
    408: "given_up_there",
    410: "not_found",
    420: "refused",
    433: "caller_id",
    480: "away",
    482: "loop",
    483: "loop",
    484: "not_found",
    486: "busy",
    487: "given_up_there",
    488: "codec",
    491: "glare",
    500: "server_error",
    503: "out_of_order",
    513: "too_large",
    600: "busy",
    603: "declined",
    606: "codec",
}


@pytest.mark.parametrize(("status", "rule"), SAID.items())
def test_what_an_endpoint_says_has_a_cause(talk: Talk, status: int, rule: str) -> None:
    refuse(talk, invited(talk), status, Contact="<sip:desk@elsewhere.test>")
    diagnosis = found(talk)
    assert diagnosis.rule == rule
    assert talk.target.uri in diagnosis.cause


def test_a_network_without_a_free_channel_is_known_by_its_cause(talk: Talk) -> None:
    refuse(talk, invited(talk), 503, Reason="Q.850;cause=34")
    assert found(talk).rule == "congestion"


def test_an_endpoint_that_refuses_encryption(talk: Talk) -> None:
    refuse(talk, invited(talk, srtp="required"), 488)
    diagnosis = found(talk)
    assert diagnosis.rule == "srtp"
    assert "--srtp required" in diagnosis.cause


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("sip:bob@nowhere.test", "dns"),
        ("sip:bob@[2001:db8::1]:5060", "no_route"),
        ("sip:bob@127.0.0.1:{port}", "no_reply"),
        ("sip:bob@127.0.0.1:{port};transport=tcp", "tcp"),
        ("sip:bob@127.0.0.1:{port};transport=tls", "tls"),
        (f"sip:alice@{DOMAIN}", "not_registered"),
        (f"sip:nobody@{DOMAIN}", "no_such_user"),
    ],
)
def test_an_endpoint_that_cannot_be_reached(talk: Talk, uri: str, rule: str) -> None:
    talk.system.store.put_user(f"alice@{DOMAIN}", User.of(f"alice@{DOMAIN}", PASSWORD).to_json())
    asked(talk, uri.format(port=free_port()))
    assert found(talk).rule == rule


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("name", "certificate_name"),
        ("expired", "certificate_expired"),
        ("authority", "certificate_authority"),
        ("clock", "clock_skew"),
    ],
)
def test_a_certificate_that_is_not_good(stage: Stage, talk: Talk, fault: str, rule: str) -> None:
    authority = stage.others if fault == "authority" else stage.ours
    host = "another.test" if fault == "name" else "phone.test"
    if fault == "clock":
        certificate, key = authority.certify_later(fault, host)
    else:
        certificate, key = authority.certify(fault, host, expired=fault == "expired")
    with TlsPeer(certificate, key) as peer:
        asked(talk, f"sips:bob@phone.test:{peer.port}")
        diagnosis = found(talk)
    assert diagnosis.rule == rule
    assert "phone.test" in diagnosis.cause


def test_an_invite_too_large_for_udp_that_nobody_replies_to(talk: Talk) -> None:
    talk.target.allow("INVITE")
    asked(talk, f"{talk.target.uri};transport=udp", headers={"X-Long": "x" * 1000, "X-Longer": "y" * 1000})
    diagnosis = found(talk)
    assert diagnosis.rule == "too_large"
    assert "by UDP" in diagnosis.cause


@pytest.mark.parametrize(("status", "rule"), [(180, "ring_timeout"), (100, "never_rang")])
def test_nobody_answers_in_time(talk: Talk, status: int, rule: str) -> None:
    invite = invited(talk, ring_timeout=1.0)
    talk.target.reply(invite, status)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    diagnosis = found(talk)
    assert diagnosis.rule == rule
    assert "--ring-timeout" in str(diagnosis)


@pytest.mark.parametrize(("answers", "rule"), [(1, "wrong_login"), (4, "stale_nonce")])
def test_a_login_that_is_not_taken(talk: Talk, answers: int, rule: str) -> None:
    endpoint = {"uri": talk.target.uri, "user": USER, "secret": "plain:secret"}
    invite = invited(talk, endpoint)
    for number in range(answers):
        asks(talk.target, invite, 401, challenge("MD5", f"n{number}", stale=number > 0))
        invite = talk.target.expect("INVITE")
    asks(talk.target, invite, 401, challenge("MD5", "last", stale=rule == "stale_nonce"))
    assert found(talk).rule == rule


@pytest.mark.parametrize("rule", ["codec", "srtp"])
def test_an_answer_that_is_of_no_use(talk: Talk, rule: str) -> None:
    invite = invited(talk, srtp="required" if rule == "srtp" else "off")
    with RtpPeer("G722") as stranger:
        sdp = stranger.sdp()
        if rule == "codec":
            sdp = sdp.replace(" 9\r\n", " 97\r\n").replace("9 G722/8000", "97 ILBC/8000")
        talk.target.reply(invite, 200, sdp=sdp)
        talk.target.expect("ACK")
        talk.target.reply(talk.target.expect("BYE"), 200)
        assert found(talk).rule == rule


def test_an_endpoint_that_has_all_the_calls_that_it_may_have(stage: Stage, talk: Talk) -> None:
    place = {"uri": talk.target.uri, "max_calls": 1}
    talk.system.add_target(TARGET, place)
    talk.hand_over()
    with Talk(stage.system, stage.agent, add_target=False) as other:
        asked(other, place)
        assert ended(other).rule == "limit"
        other.hang_up()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_an_endpoint_that_rests_while_the_others_are_busy(talk: Talk) -> None:
    dead = f"sip:dead@127.0.0.1:{free_port()}"
    invite = invited(talk, dead, talk.target.uri)
    refuse(talk, invite, 486)
    assert ended(talk).rule == "busy"
    refuse(talk, invited(talk, dead, talk.target.uri), 486)
    diagnosis = found(talk)
    assert diagnosis.rule == "rested"
    assert dead in diagnosis.cause


@pytest.mark.parametrize(("status", "rule"), [(603, "refer_refused"), (407, "refer_login"), (0, "refer_silent")])
def test_a_trunk_that_does_not_do_what_the_refer_asks(talk: Talk, status: int, rule: str) -> None:
    asked(talk, method="refer")
    refer = talk.caller.expect("REFER")
    talk.caller.reply(refer, status or 202)
    assert found(talk).rule == rule


def test_an_rtpengine_that_is_away() -> None:
    """On a stack of its own: it is left alone for a while afterwards."""
    with Ua("agent") as agent, System(agent.uri) as system, Talk(system, agent) as talk, system.rtpengine.away():
        asked(talk)
        assert ended(talk).rule == "rtpengine"


def test_a_caller_who_does_not_wait(talk: Talk) -> None:
    invite = invited(talk)
    talk.notified(100)
    talk.target.reply(invite, 180)
    talk.notified(180)
    bye = talk.caller.request("BYE", talk.caller_dialog)
    talk.caller.expect(200, to=bye)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.notified(487, final=True)
    talk.agent.reply(talk.agent.expect("BYE"), 200)
    talk.nothing_left()
    assert diagnosed(talk).rule == "caller_hung_up"


def typed(system: System, *words: str) -> str:
    """Type a command, and give what it writes."""
    env = {"HANDOFF_SETTINGS": str(system.folder / "settings.json"), "COLUMNS": "300"}
    result = CliRunner().invoke(handoff, list(words), env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_person_of_whom_nothing_is_heard(talk: Talk) -> None:
    """The commands tell cause and mend as well."""
    invite = invited(talk)
    talk.notified(100)
    talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
    talk.target.expect("ACK")
    talk.notified(200, final=True)
    talk.agent_leaves()
    since = time.time()
    talk.system.wait_until(lambda: time.time() > since + 2.5)
    talk.hang_up_on_target()
    talk.nothing_left()

    def entry() -> Logged:
        (newest, *_) = talk.system.store.finished(1)
        return newest

    talk.system.wait_until(lambda: entry().heard is not None)
    diagnosis = diagnose(entry().transfer, entry().heard)
    assert diagnosis
    assert diagnosis.rule == "one_way_audio"
    assert "the person sent no audio" in diagnosis.cause
    (shown,) = json.loads(typed(talk.system, "log", "show", entry().transfer.id, "--json"))
    page = typed(talk.system, "log", "show", entry().transfer.id)
    assert shown["diagnosis"]["rule"] == "one_way_audio"
    assert diagnosis.mend in page


def test_the_commands_tell_cause_and_mend(talk: Talk) -> None:
    refuse(talk, invited(talk), 482)
    diagnosis = found(talk)
    call = talk.system.store.finished(1)[0].call_id
    page = typed(talk.system, "calls", "show", call)
    data = json.loads(typed(talk.system, "calls", "show", call, "--json"))
    assert data["history"][0]["diagnosis"] == {
        "rule": "loop",
        "cause": diagnosis.cause,
        "mend": diagnosis.mend,
    }
    assert diagnosis.cause in page
    assert diagnosis.mend in page
