"""What caller and target do with one another after the bridge: each request in the right dialog, audio as agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rtpengine.sdp import endpoint
from tests.stack.rtp import RtpPeer
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.talk import Talk

QUIET = 0.2


class Pair:
    """Caller and target after the bridge, each in turn the one who asks (`side`) and the one who answers (`other`)."""

    def __init__(self, talk: Talk, first: str) -> None:
        self.talk = talk
        invite = talk.hand_over()
        self.ports = {talk.caller: talk.answer.body, talk.target: invite.body}
        target_dialog = talk.target.dialog(invite)
        sides = [
            (talk.caller, talk.caller_dialog, talk.caller_voice),
            (talk.target, target_dialog, talk.target_voice),
        ]
        mine, theirs = sides if first == "caller" else reversed(sides)
        self.side, self.dialog, self.voice = mine
        self.other, self.other_dialog, self.other_voice = theirs

    def request(self, method: str, *, sdp: str | None = None, body: str | None = None, **headers: str) -> Message:
        """Send a request from the side."""
        return self.side.request(method, self.dialog, sdp=sdp, body=body, headers=headers)

    def seen(self, method: str) -> Message:
        """Take the request at the other, and check that it is one of its own dialog."""
        seen = self.other.expect(method)
        assert seen.call_id == self.other_dialog.call_id
        assert f";tag={seen.to_tag}" in self.other_dialog.local
        assert f";tag={seen.from_tag}" in self.other_dialog.remote
        return seen

    def answered(self, request: Message, status: int = 200) -> Message:
        """Take the answer at the side, and check that it is one to its request."""
        answer = self.side.expect(status, to=request)
        assert (answer.call_id, answer.cseq) == (request.call_id, request.cseq)
        assert (answer.from_tag, answer.to_tag) == (request.from_tag, request.to_tag)
        return answer

    def offer(self, sdp: str, answer: str, method: str = "INVITE") -> tuple[Message, Message]:
        """Offer an SDP and take the other's answer; gives the offer that the other saw, and the answer to the side."""
        offer = self.request(method, sdp=sdp)
        seen = self.seen(method)
        self.other.reply(seen, 200, sdp=answer)
        taken = self.answered(offer)
        if method == "INVITE":
            self.side.ack(taken)
            assert self.seen("ACK").cseq == seen.cseq
        return seen, taken

    def end(self) -> None:
        """Let the side hang up."""
        bye = self.request("BYE")
        self.other.reply(self.seen("BYE"), 200)
        self.answered(bye)
        self.talk.nothing_left()


@pytest.fixture(params=["caller", "target"])
def pair(talk: Talk, request: pytest.FixtureRequest) -> Pair:
    """Give caller and target after the bridge, in both directions."""
    return Pair(talk, request.param)


def test_bye_ends_the_other_dialog(pair: Pair) -> None:
    """With its Reason and its own Call-ID, tags and CSeq; both get their 200."""
    bye = pair.request("BYE", Reason='Q.850;cause=16;text="Normal call clearing"')
    seen = pair.seen("BYE")
    assert seen["Reason"].startswith("Q.850;cause=16")
    pair.other.reply(seen, 200)
    pair.answered(bye)
    pair.talk.nothing_left()


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_hold_and_resume(pair: Pair, direction: str) -> None:
    """On hold the directions are those that were offered; after resume both hear one another, at the same ports."""
    answer = {"sendonly": "recvonly", "inactive": "inactive"}[direction]
    told = endpoint(pair.talk.record.media.caller_view)
    seen, taken = pair.offer(pair.voice.sdp(direction=direction, version=2), pair.other_voice.sdp(direction=answer))
    assert f"a={direction}" in seen.body
    assert f"a={answer}" in taken.body
    seen, taken = pair.offer(pair.voice.sdp(version=3), pair.other_voice.sdp(version=3))
    assert "a=sendrecv" in seen.body
    assert "a=sendrecv" in taken.body
    pair.talk.hear_target()
    caller_hears_at = taken if pair.side is pair.talk.caller else seen
    assert endpoint(caller_hears_at.body)[:2] == told[:2]
    pair.end()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_party_moves_its_audio(pair: Pair, method: str) -> None:
    """It is heard from, and hears at, the new port."""
    with RtpPeer() as moved:
        pair.offer(moved.sdp(version=2), pair.other_voice.sdp(version=2), method)
        moved.talk_to(pair.ports[pair.side])
        pair.voice.hush()
        moved.wait_heard(pair.other_voice.ssrc)
        pair.other_voice.wait_heard(moved.ssrc)
        pair.end()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("status", [491, 488, 500])
def test_a_refused_offer_changes_nothing(pair: Pair, method: str, status: int) -> None:
    """The refusal is passed back, its ACK goes no further, and the audio goes on where it was."""
    with RtpPeer() as moved:
        offer = pair.request(method, sdp=moved.sdp(version=2))
        pair.other.reply(pair.seen(method), status, headers={"Retry-After": "5"})
        refused = pair.answered(offer, status)
        assert refused["Retry-After"] == "5"
        if method == "INVITE":
            pair.seen("ACK")
            pair.side.ack(refused)
        pair.talk.hear_target()
        pair.other.expect_nothing(0.0)
        pair.end()


def test_an_offer_in_the_answer(pair: Pair) -> None:
    """A re-INVITE without SDP asks for the other's offer, and answers it in the ACK."""
    asked = pair.request("INVITE")
    seen = pair.seen("INVITE")
    assert not seen.body
    pair.other.reply(seen, 200, sdp=pair.other_voice.sdp(version=2))
    offer = pair.answered(asked)
    assert endpoint(offer.body)[1] not in {0, pair.other_voice.address[1]}
    pair.side.ack(offer, sdp=pair.voice.sdp(version=2))
    answer = pair.seen("ACK")
    assert endpoint(answer.body)[1] not in {0, pair.voice.address[1]}
    pair.talk.hear_target()
    pair.end()


def test_a_new_contact_is_used_from_then_on(pair: Pair) -> None:
    """A re-INVITE may change where its sender is reached (RFC 3261 section 12.2)."""
    with Ua("elsewhere") as elsewhere:
        offer = pair.side.request(
            "INVITE", pair.dialog, sdp=pair.voice.sdp(version=2), headers={"Contact": f"<{elsewhere.uri}>"}
        )
        pair.other.reply(pair.seen("INVITE"), 200, sdp=pair.other_voice.sdp(version=2))
        pair.side.ack(pair.answered(offer))
        pair.seen("ACK")
        info = pair.other.request("INFO", pair.other_dialog)
        there = elsewhere.expect("INFO")
        assert (there.uri, there.call_id) == (elsewhere.uri, pair.dialog.call_id)
        elsewhere.reply(there, 200)
        pair.other.expect(200, to=info)
        pair.end()


@pytest.mark.parametrize("kind", ["application/dtmf-relay", "application/xml"])
def test_the_body_of_info_passes_as_it_is(pair: Pair, kind: str) -> None:
    """Down to the last line break."""
    body = "Signal=5\r\nDuration=160\r\n" if "dtmf" in kind else "<größe>\r\n\r\nv=0\n</größe>\r\n"
    info = pair.side.request("INFO", pair.dialog, body=body, headers={"Content-Type": kind, "X-Seat": "12"})
    seen = pair.seen("INFO")
    assert (seen.body, seen["Content-Type"], seen["X-Seat"]) == (body, kind, "12")
    pair.other.reply(seen, 200)
    pair.answered(info)
    pair.end()


@pytest.mark.parametrize("method", ["INFO", "INVITE", "BYE"])
def test_a_request_that_comes_again_is_sent_on_once(pair: Pair, method: str) -> None:
    """Before it is answered and after it, as UDP does it (RFC 3261 section 17.2)."""
    sdp = pair.voice.sdp(version=2) if method == "INVITE" else None
    request = pair.side.request(method, pair.dialog, sdp=sdp, send=False)
    pair.side.send(request, request)
    seen = pair.seen(method)
    pair.side.send(request)
    pair.other.reply(seen, 200, sdp=pair.other_voice.sdp(version=2) if sdp else None)
    answer = pair.answered(request)
    if sdp:
        pair.side.ack(answer)
        pair.seen("ACK")
    else:
        pair.side.send(request)
    pair.other.expect_nothing(QUIET)
    branches = {m.branch for m in pair.talk.wire.messages(to=pair.other.port, method=method) if m.is_request}
    assert seen.branch in branches
    numbers = {m.cseq for m in pair.talk.wire.messages(to=pair.other.port, method=method) if m.is_request}
    assert len(numbers - {1}) == 1
    if method != "BYE":
        pair.end()
    else:
        pair.talk.nothing_left()


def test_an_answer_that_comes_again_is_the_same(pair: Pair) -> None:
    """A 200 whose ACK was lost: the side gets the same SDP once more, and its ACK is passed on (13.2.2.4)."""
    offer = pair.request("INVITE", sdp=pair.voice.sdp(version=2))
    seen = pair.seen("INVITE")
    answer = pair.other.reply(seen, 200, sdp=pair.other_voice.sdp(version=2))
    first = pair.answered(offer)
    pair.other.send(answer)

    def bodies() -> list[str]:
        replies = pair.talk.wire.messages(to=pair.side.port, status=200, method="INVITE")
        return [reply.body for reply in replies if reply.branch == offer.branch]

    pair.talk.system.wait_until(lambda: len(bodies()) == 2)
    assert bodies() == [first.body, first.body]
    pair.side.ack(first)
    assert pair.seen("ACK").cseq == seen.cseq
    pair.talk.hear_target()
    pair.end()


def test_both_hang_up_at_once(pair: Pair) -> None:
    """The BYEs cross: the first one is passed on, and each is answered."""
    talk = pair.talk
    byes = [(pair.side, pair.request("BYE")), (pair.other, pair.other.request("BYE", pair.other_dialog))]
    sides = {side.address: side for side in (pair.side, pair.other)}
    passed_on = talk.wire.wait_for(lambda m: m.method == "BYE" and m.is_request and m.destination in sides)
    loser = sides[passed_on.destination]
    loser.reply(loser.expect("BYE"), 200)
    if loser is talk.caller:  # its own BYE goes by its Route to the agent, which no longer knows the call
        talk.agent.reply(talk.agent.expect("BYE"), 481)
    for party, bye in byes:
        assert party.final_reply(bye).status == (481 if party is loser else 200)
    talk.nothing_left()


def test_a_stranger_cannot_hang_up(pair: Pair) -> None:
    """Who knows the Call-ID but not the tags is answered, and the call goes on."""
    for dialog in (
        replace(pair.dialog, local=f"{pair.dialog.local}x"),
        replace(pair.dialog, remote=f"{pair.dialog.remote}x"),
    ):
        pair.side.final_reply(pair.side.request("BYE", dialog))
    pair.talk.hear_target()
    pair.end()
