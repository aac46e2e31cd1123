"""Whose name the target sees, in all that it is sent, and what else it is told of the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from routing.name_addr import ANONYMOUS
from routing.records import State
from tests.stack.talk import NUMBER, TARGET, Talk
from tests.stack.test_commands import ask
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.system import System

URI = "sip:+4930555@carrier.example"
NAME = f'"Jörg \\"Joe\\" Müller; <x>, Köln!" <{URI}>'
ASSERTED = f'"Jörg" <{URI}>'
SIGNATURE = "eyJhbGciOiJFUzI1NiJ9.eyJvcmlnIjp7fX0.c2ln;info=<https://cert.example/a.pem>;alg=ES256;ppt=shaken"
CALLED = f"sip:{NUMBER}@127.0.0.1"


def sender(message: Message) -> str:
    """Give From without the tag."""
    return message["From"].rpartition(";tag=")[0]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (NAME, NAME),
        (f"Anna Roe <{URI}>", f'"Anna Roe" <{URI}>'),
        (f"<{URI}>", f"<{URI}>"),
        (ANONYMOUS, ANONYMOUS),
    ],
)
def test_the_target_sees_the_callers_name_from_the_invite_to_the_bye(
    system: System, agent: Ua, given: str, seen: str
) -> None:
    """In INVITE, ACK and BYE, with one tag; the responses that it sends with that are understood."""
    with Talk(system, agent, identity=given) as talk:
        invite = talk.refer_accepted()
        assert sender(invite) == seen
        assert len({name for name, _ in invite.headers}) == len(invite.headers)
        talk.target.reply(invite, 180)
        talk.notified(180)
        talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
        ack = talk.target.expect("ACK")
        talk.target_voice.talk_to(invite.body)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        talk.caller.request("BYE", talk.caller_dialog)
        bye = talk.target.expect("BYE")
        talk.target.reply(bye, 200)
        for message in (ack, bye):
            assert (sender(message), message.from_tag) == (seen, invite.from_tag)
        talk.caller.expect(200)
        talk.nothing_left()


def test_cancel_and_the_ack_of_a_refusal_have_the_name_of_the_invite(system: System, agent: Ua) -> None:
    """As tm makes them (RFC 3261 sections 9.1 and 17.1.1.3)."""
    with Talk(system, agent, identity=NAME) as talk:
        assert ask(system, "transfer", talk.record.id, TARGET)["ok"]
        invite = talk.target.expect("INVITE")
        talk.target.reply(invite, 180)
        system.wait_until(lambda: talk.record.state is State.RINGING)
        assert ask(system, "cancel", talk.record.id)["ok"]
        cancel = talk.target.expect("CANCEL")
        talk.target.reply(cancel, 200)
        talk.target.reply(invite, 487)
        ack = talk.target.expect("ACK")
        assert sender(invite) == NAME
        assert invite["From"] == cancel["From"] == ack["From"]
        assert (cancel.branch, ack.branch) == (invite.branch, invite.branch)
        talk.hang_up()
        talk.nothing_left()


def test_a_person_whom_we_hang_up_on_sees_the_name_as_well(system: System, agent: Ua) -> None:
    """In the BYE that handoff makes, here to one whose 200 crosses the CANCEL."""
    with Talk(system, agent, identity=NAME) as talk:
        assert ask(system, "transfer", talk.record.id, TARGET)["ok"]
        invite = talk.target.expect("INVITE")
        assert ask(system, "cancel", talk.record.id)["ok"]
        talk.target.reply(invite, 200, sdp=talk.target_voice.sdp())
        talk.target.expect("ACK")
        bye = talk.target.expect("BYE")
        assert bye["From"] == invite["From"]
        talk.target.reply(bye, 200)
        talk.target.allow("CANCEL")
        talk.hang_up()
        talk.nothing_left()


def test_the_agent_sees_the_callers_name_in_what_we_send_in_its_place(system: System, agent: Ua) -> None:
    """NOTIFY bears the From of the dialog, as the caller wrote it."""
    with Talk(system, agent, identity=NAME) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        assert sender(talk.notified(486, final=True)) == NAME
        talk.hang_up()
        talk.nothing_left()


def invite_for(system: System, agent: Ua, invited: dict[str, str], **settings: Any) -> Message:
    """Make a call with these headers and a transfer of it; gives the INVITE that the target got."""
    with Talk(system, agent, identity=NAME, invited=invited, **settings) as talk:
        invite = talk.refer_accepted()
        talk.target.reply(invite, 486)
        talk.target.expect("ACK")
        talk.notified(486, final=True)
        talk.hang_up()
        talk.nothing_left()
    return invite


def test_the_signature_of_the_caller_goes_along_with_its_identity(system: System, agent: Ua) -> None:
    """STIR: Identity is passed on unchanged, its short form, too; it is the caller's alone."""
    for name in ("Identity", "y"):
        invite = invite_for(system, agent, {name: SIGNATURE, "P-Asserted-Identity": ASSERTED, "Privacy": "id"})
        assert invite["Identity"] == SIGNATURE
        assert (invite["P-Asserted-Identity"], invite["Privacy"]) == (ASSERTED, "id")


@pytest.mark.parametrize("caller_id", ["agent", "sip:+49301@carrier.example"])
def test_a_target_that_sees_another_identity_gets_nothing_of_the_callers(
    system: System, agent: Ua, caller_id: str
) -> None:
    """Neither its asserted identity nor its signature, which would be wrong."""
    headers = {"Identity": SIGNATURE, "P-Asserted-Identity": ASSERTED, "Privacy": "id"}
    invite = invite_for(system, agent, headers, caller_id=caller_id)
    assert not {"Identity", "P-Asserted-Identity", "Privacy"} & {name for name, _ in invite.headers}
    assert "4930555" not in str(bytes(invite))


@pytest.mark.parametrize("privacy", ["user", "id;header;user", "full", "user, id; critical"])
def test_a_caller_who_does_not_want_to_be_known_is_not(system: System, agent: Ua, privacy: str) -> None:
    """Nothing of the INVITE has its name, number or signature (RFC 3323)."""
    headers = {"Identity": SIGNATURE, "P-Asserted-Identity": ASSERTED, "Privacy": privacy}
    invite = invite_for(system, agent, headers)
    assert sender(invite) == ANONYMOUS
    assert invite.get("Privacy") == ("id" if "id" in privacy else "")
    sent = bytes(invite).decode()
    assert not [secret for secret in ("4930555", "Jörg", "carrier.example", "eyJ") if secret in sent]


def test_history_is_hidden_from_the_target_where_the_caller_wants_it(system: System, agent: Ua) -> None:
    """By `header` and `history` (RFC 7044 section 10.1); the name is not asked for, so it is there."""
    headers = {"Diversion": "<sip:+491@a>;reason=user-busy", "History-Info": "<sip:+491@a>;index=1"}
    invite = invite_for(system, agent, {**headers, "Privacy": "header"}, diversion="diversion")
    assert (sender(invite), invite.get("Diversion"), invite.get("History-Info")) == (NAME, "", "")


def test_the_target_is_told_of_the_handover_by_diversion(system: System, agent: Ua) -> None:
    """The newest entry first (RFC 5806); none where the target does not want it."""
    called = f"{CALLED}:{system.port}"
    theirs = '"Boss" <sip:+491@a>;reason=user-busy;counter=1'
    invite = invite_for(system, agent, {"Diversion": theirs}, diversion="diversion")
    assert invite["Diversion"] == f"<{called}>;reason=deflection, {theirs}"
    assert invite_for(system, agent, {}, diversion="diversion")["Diversion"] == f"<{called}>;reason=deflection"
    assert invite_for(system, agent, {"Diversion": theirs})["Diversion"] == theirs


def test_the_target_is_told_of_the_handover_by_history_info(system: System, agent: Ua) -> None:
    """With the index and the reason (RFC 7044)."""
    called = f"{CALLED}:{system.port}"
    theirs = f"<sip:+491@a?Reason=SIP%3Bcause%3D486>;index=1, <{called}>;index=1.1;mp=1"
    invite = invite_for(system, agent, {"History-Info": theirs}, diversion="history-info")
    entries = invite["History-Info"].split(", ")
    assert entries == [
        "<sip:+491@a?Reason=SIP%3Bcause%3D486>;index=1",
        f"<{called}?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1",
        f"<{invite.uri}>;index=1.1.1;mp=1.1",
    ]


def test_several_fields_of_one_name_are_all_kept(system: System, agent: Ua) -> None:
    """As carriers write them: one entry a line, and folded lines."""
    headers = {
        "P-Asserted-Identity": f"{ASSERTED}",
        "p-asserted-identity": "<tel:+4930555>",
        "History-Info": "<sip:+491@a>;\r\n index=1",
        "history-info": "<sip:+492@a>;index=1.1",
    }
    invite = invite_for(system, agent, headers)
    assert invite.all("P-Asserted-Identity") == [ASSERTED, "<tel:+4930555>"]
    assert invite.all("History-Info") == ["<sip:+491@a>; index=1", "<sip:+492@a>;index=1.1"]


def test_a_fallback_is_told_why_the_target_before_it_was_not_reached(system: System, agent: Ua) -> None:
    """Busy, here."""
    with Ua("desk") as desk:
        system.add_target("desk", desk.uri, diversion="diversion")
        with Talk(system, agent, fallback="desk") as talk:
            talk.target.reply(talk.refer_accepted(), 486)
            talk.target.expect("ACK")
            invite = desk.expect("INVITE")
            assert invite["Diversion"].endswith(">;reason=user-busy")
            desk.reply(invite, 603)
            desk.expect("ACK")
            talk.notified(603, final=True)
            talk.hang_up()
            talk.nothing_left()
