"""The exchange decides what to send when, and which datagram is the reply."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtpengine.exchange import FIRST_RETRY, Exchange
from rtpengine.replies import Malformed

COOKIES = 1000


def exchange(*, now: float = 100.0, deadline: float = 0.3) -> Exchange:
    return Exchange({"command": "ping"}, now=now, deadline=deadline)


def cookie(of: Exchange) -> bytes:
    return of.datagram.partition(b" ")[0]


def test_a_datagram_is_a_cookie_a_space_and_a_json_document() -> None:
    sent = exchange().datagram
    assert len(cookie(exchange())) == 24
    assert json.loads(sent.partition(b" ")[2]) == {"command": "ping"}


def test_no_two_exchanges_have_the_same_cookie() -> None:
    assert len({cookie(exchange()) for _ in range(COOKIES)}) == COOKIES


def test_text_goes_out_as_utf_8_and_what_is_none_does_not_stop_the_command() -> None:
    sent = Exchange({"sdp": "s=Zoë \udcff"}, now=0, deadline=1).datagram.partition(b" ")[2]
    assert json.loads(sent) == {"sdp": "s=Zoë ?"}


def test_it_is_sent_at_once_and_again_at_doubling_intervals() -> None:
    one = exchange(now=0.0, deadline=1.0)
    times = [ms for ms in range(1000) if one.due(ms / 1000)]
    assert times == pytest.approx([0, 50, 150, 350, 750], abs=1)


def test_it_waits_for_the_next_retransmission_but_not_past_the_deadline() -> None:
    one = exchange(now=0.0, deadline=0.06)
    assert one.due(0.0)
    assert one.wait(0.0) == FIRST_RETRY
    assert one.due(0.05)
    assert one.wait(0.05) == pytest.approx(0.01)


def test_it_ends_with_its_deadline() -> None:
    one = exchange(now=0.0, deadline=0.3)
    assert not one.expired(0.299)
    assert one.expired(0.3)


def test_a_datagram_known_to_be_lost_is_due_at_once() -> None:
    one = exchange(now=0.0)
    assert one.due(0.0)
    assert not one.due(0.001)
    one.hurry()
    assert one.due(0.001)
    assert not one.due(0.002)


def test_a_reply_with_the_same_cookie_is_the_reply() -> None:
    one = exchange()
    assert one.receive(cookie(one) + b' {"result":"pong"}') == {"result": "pong"}


def test_a_late_or_foreign_reply_is_ignored() -> None:
    one, earlier = exchange(), exchange()
    assert one.receive(cookie(earlier) + b' {"result":"pong"}') is None


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"7", b'"x"', b"\xff\xfe", b"d6:result4:ponge", b"[" * 60000])
def test_our_cookie_before_anything_but_a_dictionary_is_malformed(document: bytes) -> None:
    one = exchange()
    with pytest.raises(Malformed, match="is not"):
        one.receive(cookie(one) + b" " + document)


@given(st.binary(max_size=200))
def test_no_garbage_is_ever_taken_for_a_reply_or_breaks_the_exchange(garbage: bytes) -> None:
    one = exchange()
    assert one.receive(garbage) is None
    assert one.receive(cookie(one) + b' {"result":"pong"}') == {"result": "pong"}


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_garbage_behind_our_cookie_is_a_dictionary_or_malformed(garbage: bytes) -> None:
    one = exchange()
    with suppress(Malformed):
        assert isinstance(one.receive(cookie(one) + b" " + garbage), dict)


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 1))
def test_whatever_the_times_it_never_waits_past_its_deadline(steps: list[float], deadline: float) -> None:
    now, one = 0.0, exchange(now=0.0, deadline=deadline)
    for step in steps:
        now += step
        if one.expired(now):
            break
        one.due(now)
        assert 0 < one.wait(now) <= deadline
