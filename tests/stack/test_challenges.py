"""Endpoints that ask who calls, or send us elsewhere; groups that ring at once."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from tests.stack.talk import TARGET, Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

USER, PASSWORD, REALM = "1001", "pass word", "pbx"
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
ASKS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


@pytest.fixture
def desk() -> Iterator[Ua]:
    """Give a phone that the target rings with a login."""
    with Ua("desk") as desk:
        yield desk


def challenge(algorithm: str, nonce: str, *, stale: bool = False) -> str:
    """Write a challenge as a registrar does."""
    again = ", stale=true" if stale else ""
    return f'Digest realm="{REALM}", nonce="{nonce}", opaque="o", qop="auth", algorithm={algorithm}{again}'


def is_right(answer: str, algorithm: str, uri: str) -> bool:
    """Check an answer as the endpoint does (RFC 7616 section 3.4.1)."""
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', answer))

    def digest(words: str) -> str:
        return HASHES[algorithm](words.encode()).hexdigest()

    parts = (given["nonce"], given["nc"], given["cnonce"], given["qop"], digest(f"INVITE:{uri}"))
    wanted = digest(":".join((digest(f"{USER}:{REALM}:{PASSWORD}"), *parts)))
    return (given["uri"], given["username"], given["response"]) == (uri, USER, wanted)


def ring(talk: Talk, desk: Ua, *, secret: str | None = f"plain:{PASSWORD}") -> Message:
    """Let the agent send REFER to the desk; gives the INVITE that the desk gets."""
    endpoint = {"uri": desk.uri} | ({"user": USER, "secret": secret} if secret else {})
    talk.system.add_target(TARGET, endpoint)
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    return desk.expect("INVITE")


def asks(desk: Ua, invite: Message, status: int, *challenges: str) -> None:
    """Let the desk ask who calls."""
    name = ASKS[status][0]
    desk.reply(invite, status, headers={name: f"\r\n{name}: ".join(challenges)})
    desk.expect("ACK")


@pytest.mark.parametrize("status", ASKS)
@pytest.mark.parametrize("algorithm", HASHES)
def test_a_challenge_is_answered_within_the_same_dialog_by_a_higher_cseq(
    talk: Talk, desk: Ua, status: int, algorithm: str
) -> None:
    first = ring(talk, desk)
    asks(desk, first, status, challenge(algorithm, "abc"))
    second = desk.expect("INVITE")
    assert (second.call_id, second.from_tag, second.cseq) == (first.call_id, first.from_tag, first.cseq + 1)
    assert is_right(second[ASKS[status][1]], algorithm, desk.uri)
    desk.reply(second, 200, sdp=talk.target_voice.sdp())
    assert desk.expect("ACK").cseq == second.cseq
    talk.target_voice.talk_to(second.body)
    talk.notified(200, final=True)
    talk.agent_leaves()
    talk.hear_target()
    bye = talk.caller.request("BYE", talk.caller_dialog)
    seen = desk.expect("BYE")
    assert seen.cseq > second.cseq
    desk.reply(seen, 200)
    talk.caller.expect(200, to=bye)
    talk.nothing_left()
    assert PASSWORD not in talk.system.kamailio.log.read_text()


def test_the_strongest_of_several_challenges_is_answered(talk: Talk, desk: Ua) -> None:
    asks(desk, ring(talk, desk), 401, challenge("MD5", "weak"), challenge("SHA-256", "strong"))
    second = desk.expect("INVITE")
    assert is_right(second["Authorization"], "SHA-256", desk.uri)
    desk.reply(second, 486)
    desk.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()


def test_a_stale_nonce_is_answered_once_more_and_a_wrong_password_is_not(talk: Talk, desk: Ua) -> None:
    invite = ring(talk, desk)
    asks(desk, invite, 401, challenge("MD5", "one"))
    invite = desk.expect("INVITE")
    asks(desk, invite, 401, challenge("MD5", "two", stale=True))
    invite = desk.expect("INVITE")
    assert (invite.cseq, is_right(invite["Authorization"], "MD5", desk.uri)) == (3, True)
    asks(desk, invite, 401, challenge("MD5", "three"))
    talk.notified(401, final=True)
    assert talk.last_transfer.outcome is Outcome.AUTH_FAILED
    talk.hang_up()


def test_a_proxy_and_the_endpoint_behind_it_both_ask(talk: Talk, desk: Ua) -> None:
    """RFC 3261 section 22.3: the proxy wants its answer again when the endpoint has asked, too."""
    asks(desk, ring(talk, desk), 407, challenge("MD5", "proxy"))
    invite = desk.expect("INVITE")
    asks(desk, invite, 401, challenge("SHA-256", "endpoint"))
    again = desk.expect("INVITE")
    assert (again.call_id, again.cseq) == (invite.call_id, 3)
    assert is_right(again["Proxy-Authorization"], "MD5", desk.uri)
    assert "nc=00000002" in again["Proxy-Authorization"]
    assert is_right(again["Authorization"], "SHA-256", desk.uri)
    asks(desk, again, 407, challenge("MD5", "another"))
    talk.notified(407, final=True)
    assert talk.last_transfer.outcome is Outcome.AUTH_FAILED
    assert "refuses the credentials" in talk.system.kamailio.log.read_text()
    talk.hang_up()


def test_the_ring_timeout_cancels_the_invite_that_was_answered_to_a_challenge(talk: Talk, desk: Ua) -> None:
    talk.system.add_target("desk", {"uri": desk.uri, "user": USER, "secret": f"plain:{PASSWORD}"}, ring_timeout=1.0)
    talk.agent.expect(202, to=talk.refer("desk"))
    talk.notified(100)
    asks(desk, desk.expect("INVITE"), 401, challenge("MD5", "one"))
    second = desk.expect("INVITE")
    desk.reply(second, 180)
    talk.notified(180)
    cancel = desk.expect("CANCEL")
    assert cancel.cseq == second.cseq
    desk.reply(cancel, 200)
    desk.reply(second, 487)
    desk.expect("ACK")
    talk.notified(408, final=True)
    talk.hang_up()


def test_without_a_login_a_challenge_is_a_failure(talk: Talk, desk: Ua) -> None:
    asks(desk, ring(talk, desk, secret=None), 407, challenge("MD5", "one"))
    talk.notified(407, final=True)
    assert talk.last_transfer.outcome is Outcome.AUTH_FAILED
    assert "--secret-prompt" in talk.system.kamailio.log.read_text()
    talk.hang_up()


def test_a_redirection_within_the_same_host_is_followed_once(talk: Talk, desk: Ua) -> None:
    with Ua("mobile") as mobile:
        first = ring(talk, desk)
        desk.reply(first, 302, headers={"Contact": f"<{mobile.uri}>"})
        desk.expect("ACK")
        second = mobile.expect("INVITE")
        assert second.call_id != first.call_id
        mobile.reply(second, 302, headers={"Contact": f"<{desk.uri}>"})
        mobile.expect("ACK")
        talk.notified(302, final=True)
        assert [attempt.uri for attempt in talk.last_transfer.attempts] == [desk.uri, mobile.uri]
        talk.hang_up()


@pytest.mark.parametrize("contact", ["<sip:thief@thief.example>", "<mailto:desk@example.com>", "*"])
def test_a_redirection_to_a_place_that_may_not_be_called_is_a_refusal(talk: Talk, desk: Ua, contact: str) -> None:
    desk.reply(ring(talk, desk), 302, headers={"Contact": contact})
    desk.expect("ACK")
    talk.notified(302, final=True)
    assert talk.last_transfer.outcome is Outcome.REJECTED
    talk.hang_up()
