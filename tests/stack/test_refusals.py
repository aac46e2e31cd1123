"""REFERs that are refused, and what the agent is told; the call goes on as if nothing had been asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.records import State
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

ALLOWED, FOREIGN = "127.0.0.2", "127.0.0.3"
SILENT_NUMBER = "+4940"


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give a stack with a policy, and with a second pool whose agents may not refer."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        agents = [{"uri": agent.uri}]
        pools = [
            {"name": "agents", "numbers": ["*"], "agents": agents},
            {"name": "machines", "numbers": [SILENT_NUMBER], "agents": agents, "may_refer": False},
        ]
        with System(pools=pools, policy={"dial_uris": [ALLOWED]}) as system:
            yield agent, system


def refused(talk: Talk, refer: Message, status: int) -> Message:
    """Check that a REFER is answered with this status and has done nothing; gives the answer."""
    answer = talk.agent.expect(status, to=refer)
    record = talk.record
    assert (record.state, record.history, record.legs_made) == (State.TALKING, (), 0)
    talk.hear_each_other()
    talk.target.expect_nothing(0.0)
    talk.hang_up()
    talk.nothing_left()
    return answer


def test_the_callers_side_may_not_transfer(talk: Talk) -> None:
    """REFER from the trunk is declined and does not reach the agent (RFC 5589 section 5)."""
    headers = {"Refer-To": f"<sip:{TARGET}@127.0.0.1>"}
    talk.caller.expect(603, to=talk.caller.request("REFER", talk.caller_dialog, headers=headers))
    assert talk.record.state is State.TALKING
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("refer_to", ["nobody", "<sip:nobody@handoff>"])
def test_an_unknown_target_is_not_found(talk: Talk, refer_to: str) -> None:
    """The reason phrase names it; a host without a domain is no place to dial either."""
    assert refused(talk, talk.refer(refer_to), 404).reason == "No target nobody"


def test_a_uri_outside_of_the_policy_is_forbidden(talk: Talk) -> None:
    """Its user part names no target, and its host is not in `policy.dial_uris`."""
    refused(talk, talk.refer(f"<sip:someone@{FOREIGN}>"), 403)


def test_a_uri_with_a_targets_name_means_the_target(talk: Talk) -> None:
    """Whatever its host: the user part names a target, and that one is called."""
    talk.agent.expect(202, to=talk.refer(f"<sip:{TARGET}@{FOREIGN}>"))
    talk.notified(100)
    talk.target.reply(talk.target.expect("INVITE"), 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()
    talk.nothing_left()


def test_the_policy_lets_a_uri_be_dialled(talk: Talk) -> None:
    """Without any target, the URI itself is called and talks to the caller."""
    with Ua("someone", address=ALLOWED) as someone:
        talk.agent.expect(202, to=talk.refer(f'"Some One" <{someone.uri};handoff-mode=blind?X-Handoff-Mode=blind>'))
        talk.notified(100)
        invite = someone.expect("INVITE")
        assert invite.uri == someone.uri
        someone.reply(invite, 200, sdp=talk.target_voice.sdp())
        someone.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent.reply(talk.agent.expect("BYE"), 200)
        talk.hear_target()
        bye = someone.request("BYE", someone.dialog(invite))
        talk.caller.reply(talk.caller.expect("BYE"), 200)
        someone.expect(200, to=bye)
    assert talk.last_transfer.outcome is Outcome.CONNECTED
    talk.nothing_left()


@pytest.mark.parametrize("code", ["%0D%0A", "%0d", "%0A", "%00", "%7F", "%C3"])
@pytest.mark.parametrize("place", ["URI header", "URI parameter", "user part", "REFER header"])
def test_a_value_that_would_break_out_of_its_header_is_refused(talk: Talk, code: str, place: str) -> None:
    """CR, LF, NUL, DEL and what is no UTF-8, percent-encoded in any of the places that settings may be in."""
    headers = {}
    refer_to = f"<sip:{TARGET}@127.0.0.1>"
    if place == "URI header":
        refer_to = f"<sip:{TARGET}@127.0.0.1?X-Handoff-Summary=a{code}X-Evil:%20b>"
    elif place == "URI parameter":
        refer_to = f"<sip:{TARGET}@127.0.0.1;handoff-summary=a{code}b>"
    elif place == "user part":
        refer_to = f"<sip:{TARGET}{code}@127.0.0.1>"
    else:
        headers["X-Handoff-Summary"] = f"a{code}b"
    refused(talk, talk.refer(refer_to, headers=headers), 400)


@pytest.mark.parametrize(
    "refer_to",
    ["", "<>", "support", "<sip:support@127.0.0.1", "<sip:@>", "<sip:a@127.0.0.1>, <sip:b@127.0.0.1>"],
)
def test_a_refer_to_that_is_no_address_is_a_bad_request(talk: Talk, refer_to: str) -> None:
    """What cannot be read is answered, not guessed at."""
    headers = {"Refer-To": refer_to}
    refused(talk, talk.agent.request("REFER", talk.agent_dialog, headers=headers), 400)


def test_a_refer_without_refer_to_is_a_bad_request(talk: Talk) -> None:
    """RFC 3515 section 2.4.1 wants exactly one."""
    refused(talk, talk.agent.request("REFER", talk.agent_dialog), 400)


def test_a_refer_to_two_places_is_a_bad_request(talk: Talk) -> None:
    """RFC 3515 section 2.4.1 wants exactly one."""
    headers = {"Refer-To": f"<sip:{TARGET}@127.0.0.1>"}
    refer = talk.agent.request("REFER", talk.agent_dialog, headers=headers, send=False)
    refer = refer.with_headers((*refer.headers, ("Refer-To", "<sip:other@127.0.0.1>")))
    talk.agent.send(refer)
    refused(talk, refer, 400)


def test_the_compact_form_of_refer_to_is_read(talk: Talk) -> None:
    """`r:` and `b:` are Refer-To and Referred-By (RFC 3515 section 2.1, RFC 3892 section 3)."""
    headers = {"r": f"<sip:{TARGET}@127.0.0.1>", "b": "<sip:bot@example.com>"}
    talk.agent.expect(202, to=talk.agent.request("REFER", talk.agent_dialog, headers=headers))
    talk.notified(100)
    invite = talk.target.expect("INVITE")
    assert invite.all("Referred-By") == ["<sip:bot@example.com>"]
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize(
    ("setting", "status"),
    [("mode=loud", 400), ("mood=blind", 400)],
)
def test_a_mode_that_is_not_there_is_refused(talk: Talk, setting: str, status: int) -> None:
    """Better an error than another transfer than was asked for."""
    refused(talk, talk.refer(f"<sip:{TARGET}@127.0.0.1;handoff-{setting}>"), status)


def test_an_agent_of_a_pool_that_may_not_refer_is_forbidden(system: System, agent: Ua) -> None:
    """`may_refer = false` holds for all calls to that pool."""
    with Talk(system, agent, number=SILENT_NUMBER) as talk:
        refused(talk, talk.refer(), 403)


@pytest.mark.parametrize("field", ["local", "remote", "call_id"])
def test_who_does_not_know_the_dialog_is_refused(talk: Talk, field: str) -> None:
    """A REFER with a foreign tag or Call-ID belongs to no call (RFC 3261 section 12.2.2)."""
    dialog = talk.agent.dialog(talk.incoming)
    kept = getattr(dialog, field)
    setattr(dialog, field, f"{kept}x")
    refer = talk.refer()
    setattr(dialog, field, kept)
    refused(talk, refer, 481)


def test_a_refer_outside_of_any_dialog_is_forbidden(talk: Talk) -> None:
    """There is no call that it could mean."""
    stray = talk.agent.invite(f"sip:{TARGET}@127.0.0.1:{talk.system.port}", send=False)
    headers = tuple((n, v.replace("INVITE", "REFER")) for n, v in stray.headers)
    first_line = stray.first_line.replace("INVITE", "REFER")
    refer = stray.with_headers((*headers, ("Refer-To", f"<sip:{TARGET}@127.0.0.1>")))
    refer = type(refer)(first_line, refer.headers, destination=("127.0.0.1", talk.system.port))
    talk.agent.send(refer)
    refused(talk, refer, 403)


def test_an_agent_that_wants_no_notify_gets_none(talk: Talk) -> None:
    """`Refer-Sub: false` is honoured and said so in the 202 (RFC 4488 section 4)."""
    accepted = talk.agent.expect(202, to=talk.refer(headers={"Refer-Sub": "false"}))
    assert accepted["Refer-Sub"] == "false"
    talk.target.reply(talk.target.expect("INVITE"), 486)
    talk.target.expect("ACK")
    talk.system.wait_until(lambda: talk.record.state is State.TALKING)
    talk.agent.expect_nothing(0.1)
    assert talk.record.history[0].outcome is Outcome.BUSY
    talk.hang_up()
    talk.nothing_left()
