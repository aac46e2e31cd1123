"""Phones of our users register, and are called where they are."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import handoff
from routing.digest_server import challenges, make_nonce
from routing.outcomes import Outcome
from routing.users import Contact, User, read_contacts
from tests.stack.registering import DOMAIN, PASSWORD, register
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.tcp_ua import TcpUa
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
NOWHERE = "<sip:alice@10.255.0.1:5060>"
"""What a phone behind NAT says of itself."""
USERS = {"domains": [DOMAIN], "min_expires": 5, "max_contacts": 3, "ping_every": 1}


@pytest.fixture(scope="module")
def agent() -> Iterator[Ua]:
    with Ua("agent") as agent:
        yield agent


@pytest.fixture(scope="module")
def stack(agent: Ua) -> Iterator[System]:
    with System(agent.uri, users=USERS, redis={"deadline": 2.0}) as system:
        yield system


@pytest.fixture(autouse=True)
def users(stack: System) -> Iterator[None]:
    """Each test has alice and bob, whose phones are forgotten afterwards."""
    for user in (ALICE, BOB):
        stack.store.put_user(user, User.of(user, PASSWORD).to_json())
    yield
    for user in (ALICE, BOB):
        forget(stack, user)


def forget(system: System, user: str) -> None:
    """Let the node end all registrations of a user."""
    system.store.remove_user(user)
    system.store.send_command("node1", {"id": "forget", "kind": "unregister", "user": user})
    assert system.store.await_answer("forget", 5.0) == {"ok": True}


def phones(system: System, user: str = ALICE) -> list[Contact]:
    return read_contacts(system.store.contacts([user])[user], time.time())


def hand_over(talk: Talk, user: str = ALICE) -> None:
    """Hand the call over to the user, who answers; both hear one another, and there are requests both ways."""
    talk.system.add_target("support", f"sip:{user}")
    invite = talk.refer_accepted()
    talk.target_answers(invite)
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    request = talk.caller.request("INFO", talk.caller_dialog)
    talk.target.reply(talk.target.expect("INFO"), 200)
    talk.caller.expect(200, to=request)


def test_a_user_is_called_where_it_registered(stack: System, agent: Ua) -> None:
    """By the URI that it gave, and with its name in To."""
    with Ua("alice") as phone, Talk(stack, agent, target=phone, add_target=False) as talk:
        answer = register(stack, phone)
        assert answer.status == 200
        assert phone.uri in answer["Contact"]
        hand_over(talk)
        (invite,) = [message for message in phone.received if message.method == "INVITE"]
        assert invite.uri == phone.uri
        assert invite["To"] == f"<sip:{ALICE}>"
        talk.hang_up_on_target()
        talk.nothing_left()
        assert talk.last_transfer.outcome is Outcome.CONNECTED


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_both_algorithms_are_offered_and_taken(stack: System, algorithm: str) -> None:
    """The better one on top (RFC 8760)."""
    with Ua("alice") as phone:
        assert register(stack, phone, algorithm=algorithm).status == 200
        challenged = next(message for message in phone.received if message.status == 401)
    first, second = challenged.all("WWW-Authenticate")
    assert "algorithm=SHA-256" in first
    assert "algorithm=MD5" in second
    assert f'realm="{DOMAIN}"' in first


def test_a_wrong_password_and_an_unknown_user_are_refused_alike(stack: System) -> None:
    """Nobody learns who there is; and nothing is registered."""
    with Ua("alice") as phone:
        wrong = register(stack, phone, password="another")
        unknown = register(stack, phone, user="mallory")
    assert (wrong.status, wrong.first_line) == (403, unknown.first_line)
    assert phones(stack) == []


def test_nobody_registers_at_another_domain(stack: System) -> None:
    """It is not ours."""
    with Ua("alice") as phone:
        assert register(stack, phone, domain="example.com").status == 404


def test_a_phone_behind_nat_is_called_where_it_came_from(stack: System, agent: Ua) -> None:
    """It says an address of its own network in Contact: in REGISTER and in its answer."""
    with Ua("alice") as phone, Talk(stack, agent, target=phone, add_target=False) as talk:
        assert register(stack, phone, contact=NOWHERE).status == 200
        stack.add_target("support", f"sip:{ALICE}")
        invite = talk.refer_accepted()
        assert invite.uri == "sip:alice@10.255.0.1:5060"
        phone.reply(invite, 200, sdp=talk.target_voice.sdp(), headers={"Contact": NOWHERE})
        phone.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        reinvite = phone.request(
            "INVITE", phone.dialog(invite), sdp=talk.target_voice.sdp(), headers={"Contact": NOWHERE}
        )
        offered = talk.caller.expect("INVITE")
        talk.caller.reply(offered, 200, sdp=talk.caller_voice.sdp())
        phone.ack(phone.expect(200, to=reinvite))
        talk.caller.expect("ACK")
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_phone_behind_nat_is_asked_now_and_then(stack: System) -> None:
    """OPTIONS keep the way through its NAT open."""
    with Ua("alice") as phone:
        assert register(stack, phone, contact=NOWHERE).status == 200
        for _ in range(2):
            phone.reply(phone.expect("OPTIONS", timeout=20.0), 200)
        forget(stack, ALICE)
        phone.allow("OPTIONS")


def test_a_phone_is_reached_over_its_connection(stack: System, agent: Ua) -> None:
    """It listens nowhere."""
    with (
        TcpUa("alice", listening=False, first=True) as phone,
        Talk(stack, agent, target=phone, add_target=False) as talk,
    ):
        phone.allow("OPTIONS")
        assert register(stack, phone, contact="<sip:alice@10.255.0.1:5060;transport=tcp>").status == 200
        stack.add_target("support", f"sip:{ALICE}")
        invite = talk.refer_accepted()
        headers = {"Contact": "<sip:alice@10.255.0.1:5060;transport=tcp>"}
        phone.reply(invite, 200, sdp=talk.target_voice.sdp(), headers=headers)
        phone.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()
        (listed,) = phones(stack)
        assert listed.transport == "tcp"


def test_a_phone_is_gone_with_its_connection(stack: System, agent: Ua) -> None:
    """Then the user is registered nowhere, and the agent is told 480."""
    with Talk(stack, agent, add_target=False) as talk:
        with TcpUa("alice", listening=False, first=True) as phone:
            phone.allow("OPTIONS")
            assert register(stack, phone).status == 200
            assert len(phones(stack)) == 1
        stack.wait_until(lambda: phones(stack) == [], 20.0)
        stack.add_target("support", f"sip:{ALICE}")
        agent.expect(202, to=talk.refer())
        talk.notified(100)
        talk.notified(480, final=True)
        assert talk.last_transfer.outcome is Outcome.NO_ANSWER
        (attempt,) = talk.last_transfer.attempts
        assert (attempt.uri, attempt.status, attempt.reason) == (f"sip:{ALICE}", 480, "Registered nowhere")
        talk.hang_up()
        talk.nothing_left()


def test_all_phones_of_a_user_ring_and_the_first_wins(stack: System, agent: Ua) -> None:
    """The other one is told that the call was taken elsewhere."""
    with (
        Ua("alice") as phone,
        Ua("alice") as other,
        Talk(stack, agent, target=phone, add_target=False) as talk,
    ):
        for each in (phone, other):
            assert register(stack, each).status == 200
        stack.add_target("support", f"sip:{ALICE}")
        invite = talk.refer_accepted()
        second = other.expect("INVITE")
        other.reply(second, 180)
        talk.notified(180)
        talk.target_answers(invite)
        cancel = other.expect("CANCEL")
        assert "Call completed elsewhere" in cancel["Reason"]
        other.reply(cancel, 200)
        other.reply(second, 487)
        other.expect("ACK")
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_hunting_goes_on_where_a_user_is_not_there(stack: System, agent: Ua) -> None:
    """Unknown, registered nowhere, and then somebody who answers."""
    with Ua("bob") as phone, Talk(stack, agent, target=phone, add_target=False) as talk:
        assert register(stack, phone, user="bob").status == 200
        stack.add_target("support", f"sip:nobody@{DOMAIN}", f"sip:{ALICE}", f"sip:{BOB}")
        talk.target_answers(talk.refer_accepted())
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        assert [attempt.status for attempt in talk.last_transfer.attempts] == [404, 480, 200]
        talk.hang_up_on_target()
        talk.nothing_left()


def test_an_agent_may_name_a_user(stack: System, agent: Ua) -> None:
    """Without any target of this name, and without a policy for the domain."""
    with Ua("alice") as phone, Talk(stack, agent, target=phone, add_target=False) as talk:
        assert register(stack, phone).status == 200
        agent.expect(202, to=talk.refer(f"<sip:{ALICE}>"))
        talk.notified(100)
        talk.target_answers(phone.expect("INVITE"))
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_command_reaches_a_user_too(stack: System, agent: Ua) -> None:
    """It is planned by the timer process, which has no request at hand."""
    with Ua("alice") as phone, Talk(stack, agent, target=phone, add_target=False) as talk:
        assert register(stack, phone).status == 200
        command = {"id": "here", "kind": "transfer", "call": talk.record.id, "target": f"sip:{ALICE}"}
        stack.store.send_command("node1", command)
        answer = stack.store.await_answer("here", 5.0)
        assert answer is not None
        assert answer["ok"], answer
        talk.target_answers(phone.expect("INVITE"))
        bye = agent.expect("BYE")
        agent.reply(bye, 200)
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_a_phone_removes_itself(stack: System) -> None:
    """One of two, and then all by an asterisk (RFC 3261 section 10.2.2)."""
    with Ua("alice") as phone, Ua("alice") as other:
        for each in (phone, other):
            assert register(stack, each).status == 200
        assert {each.uri for each in phones(stack)} == {phone.uri, other.uri}
        assert register(stack, phone, expires=0).status == 200
        assert [each.uri for each in phones(stack)] == [other.uri]
        assert register(stack, phone, contact="*", expires=0).status == 200
        assert phones(stack) == []


def test_a_registration_that_is_not_renewed_ends(stack: System, agent: Ua) -> None:
    """The user is then registered nowhere."""
    with Ua("alice") as phone, Talk(stack, agent, add_target=False) as talk:
        phone.allow("OPTIONS")
        assert register(stack, phone, expires=5).status == 200
        stack.wait_until(lambda: phones(stack) == [], 30.0)
        stack.add_target("support", f"sip:{ALICE}")
        agent.expect(202, to=talk.refer())
        talk.notified(100)
        talk.notified(480, final=True)
        talk.hang_up()
        talk.nothing_left()


def test_a_registration_must_not_be_too_brief(stack: System) -> None:
    """423 says how long it must be (RFC 3261 section 10.3)."""
    with Ua("alice") as phone:
        answer = register(stack, phone, expires=4)
    assert answer.status == 423
    assert answer["Min-Expires"] == "5"


def test_a_user_has_no_more_phones_than_configured(stack: System) -> None:
    """Those that are there stay."""
    with Ua("alice") as phone:
        for number in range(3):
            assert register(stack, phone, contact=f"<sip:{number}@127.0.0.1:{phone.port}>").status == 200
        assert register(stack, phone, contact=f"<sip:4@127.0.0.1:{phone.port}>").status == 403
    assert len(phones(stack)) == 3


def test_the_phones_are_told_in_the_answer(stack: System) -> None:
    """A REGISTER without Contact asks for them (RFC 3261 section 10.2.3)."""
    with Ua("alice") as phone:
        assert register(stack, phone, contact=f"<{phone.uri}>;q=0.5").status == 200
        (known,) = phones(stack)
        assert known.q == 0.5
        assert known.user_agent == "Test phone"


def test_an_old_nonce_is_answered_with_a_new_one(stack: System) -> None:
    """With stale=true, so that nobody is asked for the password again."""
    key, _ = stack.store.login(ALICE)
    old = make_nonce(key, "127.0.0.1", time.time() - 3600)
    with Ua("alice") as phone:
        (value, _) = challenges(DOMAIN, old, ("SHA-256", "MD5"), stale=False)
        answer = register(stack, phone, challenge=value)
    assert answer.status == 401
    assert "stale=true" in answer["WWW-Authenticate"]


def test_the_command_line_shows_who_is_where(stack: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """And removing a user ends what there is."""
    monkeypatch.setenv("HANDOFF_SETTINGS", str(stack.folder / "settings.json"))
    monkeypatch.setenv("HANDOFF_RUN_DIR", str(stack.folder))
    with Ua("carol") as phone:
        added = CliRunner().invoke(handoff, ["users", "add", "carol"], input=f"{PASSWORD}\n")
        assert added.exit_code == 0, added.output
        assert register(stack, phone, user="carol").status == 200
        listed = json.loads(CliRunner().invoke(handoff, ["users", "list", "--json"]).stdout)
        carol = next(each for each in listed if each["user"] == f"carol@{DOMAIN}")
        assert [each["contact"] for each in carol["phones"]] == [phone.uri]
        assert CliRunner().invoke(handoff, ["users", "remove", "carol"]).exit_code == 0
        assert stack.store.reach(f"carol@{DOMAIN}") == (False, [])
        assert register(stack, phone, user="carol").status == 403


def test_a_keepalive_on_a_connection_is_answered(stack: System) -> None:
    """Two line ends are a ping, one is the answer (RFC 5626 section 4.4.1)."""
    with socket.create_connection(stack.proxy, timeout=5) as line:
        line.sendall(b"\r\n\r\n")
        assert line.recv(10) == b"\r\n"
