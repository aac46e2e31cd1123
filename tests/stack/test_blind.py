"""A blind transfer by REFER, seen from each party, and what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtpengine.sdp import endpoint

if TYPE_CHECKING:
    from tests.stack.talk import Talk


def test_the_caller_notices_nothing_but_a_human_voice(talk: Talk) -> None:
    """Between REFER and its own BYE no message of any kind reaches the caller, and its RTP port stays."""
    refer_at = len(talk.wire.messages(to=talk.caller.port))
    assert talk.hand_over()["User-Agent"] == talk.system.settings.sip.user_agent
    assert len(talk.wire.messages(to=talk.caller.port)) == refer_at
    assert endpoint(talk.record.media.caller_view) == endpoint(talk.answer.body)
    bye = talk.caller.request("BYE", talk.caller_dialog)
    talk.target.reply(talk.target.expect("BYE"), 200)
    talk.caller.expect(200, to=bye)
    talk.nothing_left()


@pytest.mark.parametrize("method", ["INFO", "OPTIONS", "UPDATE", "MESSAGE"])
def test_requests_pass_between_caller_and_target(talk: Talk, method: str) -> None:
    """Each side sees its own Call-ID, tags and CSeq."""
    invite = talk.hand_over()
    request = talk.caller.request(method, talk.caller_dialog)
    seen = talk.target.expect(method)
    assert (seen.call_id, seen.to_tag) == (invite.call_id, talk.target.dialog(invite).local.rpartition("tag=")[2])
    assert seen.cseq > invite.cseq
    talk.target.reply(seen, 200)
    assert talk.caller.expect(200, to=request).cseq == request.cseq
    request = talk.target.request(method, talk.target.dialog(invite))
    seen = talk.caller.expect(method)
    assert (seen.call_id, seen.from_tag) == (talk.answer.call_id, talk.answer.to_tag)
    talk.caller.reply(seen, 200)
    assert talk.target.expect(200, to=request).cseq == request.cseq
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)
    talk.nothing_left()
