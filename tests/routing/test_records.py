"""A record is read back as it was written, and what cannot be read is told in words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from routing.dialog import Dialog
from routing.outcomes import Mode, Outcome
from routing.records import BadRecordError, Call, Deadline, Exchange, Media, Party, SessionTimer, State, decode, encode
from routing.transfer_record import (
    Accept,
    Attempt,
    Delivery,
    Destination,
    Hold,
    Leg,
    Method,
    Origin,
    Referral,
    Refusal,
    Registered,
    Sound,
    Srtp,
    Subscription,
    Transfer,
)
from tests.routing.calls import CALL_ID, NOW, talking, transfer

TIMES = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**31 - 1)
HEADERS = st.dictionaries(TEXTS, TEXTS, max_size=3)


def some(kind: type, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Make any value of a part of the record, with all its fields."""
    assert set(fields) == set(kind.__annotations__), "all fields must be there"
    return st.builds(kind, **fields)


def many(items: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(items, max_size=3).map(tuple)


DIALOGS = some(
    Dialog,
    **dict.fromkeys(("call_id", "local", "local_tag", "remote", "remote_tag", "remote_target"), TEXTS),
    routes=many(TEXTS),
    local_cseq=NUMBERS,
    remote_cseq=NUMBERS,
    invite_cseq=st.none() | st.tuples(NUMBERS, NUMBERS),
    ca_file=TEXTS,
)
SOUNDS = some(Sound, **dict.fromkeys(Sound.__annotations__, TEXTS))
REACHED = {
    "registered": st.none() | some(Registered, user=TEXTS, hop=TEXTS),
    "refusal": st.none() | some(Refusal, status=NUMBERS, reason=TEXTS),
}
TRANSFERS = some(
    Transfer,
    **dict.fromkeys(("id", "target", "sender", "ca_file"), TEXTS),
    mode=st.sampled_from(Mode),
    source=st.sampled_from(["refer", "command"]),
    method=st.sampled_from(Method),
    referral=st.none()
    | some(
        Referral,
        uri=TEXTS,
        **dict.fromkeys(("cseq", "challenged"), NUMBERS),
        started_at=TIMES,
        reported=st.booleans(),
    ),
    refer_timeout=TIMES,
    endpoints=many(
        some(
            Destination,
            uri=TEXTS,
            ring_timeout=TIMES,
            route=TEXTS,
            max_calls=st.none() | NUMBERS,
            together=st.booleans(),
            **REACHED,
        )
    ),
    **dict.fromkeys(("at_once", "tried"), NUMBERS),
    hunt_timeout=TIMES,
    codecs=many(TEXTS),
    headers=HEADERS,
    srtp=st.none() | st.sampled_from(Srtp),
    hold=st.sampled_from(Hold),
    **dict.fromkeys(("announce", "apology", "message"), st.none() | SOUNDS),
    **dict.fromkeys(("summary", "language", "voice"), TEXTS),
    deliver=many(st.sampled_from(Delivery)),
    **dict.fromkeys(("pause_before", "pause_after", "patience"), TIMES),
    accept=st.none() | some(Accept, key=TEXTS, prompt=SOUNDS, rounds=NUMBERS, seconds=TIMES),
    rounds_left=NUMBERS,
    fixed=st.booleans(),
    may_refer=st.booleans(),
    consultation=TEXTS,
    fallback=st.none() | st.just(transfer()),
    subscription=st.none()
    | some(
        Subscription,
        **dict.fromkeys(("cseq", "leg"), NUMBERS),
        event_id=st.none() | TEXTS,
        notify=st.booleans(),
        dialog=st.none() | DIALOGS,
    ),
    requested_at=TIMES,
    **dict.fromkeys(("invited_at", "ringing_at", "answered_at", "ended_at", "changeover"), st.none() | TIMES),
    attempts=many(
        some(
            Attempt,
            **dict.fromkeys(("uri", "reason", "source", "media"), TEXTS),
            **dict.fromkeys(("status", "size"), NUMBERS),
            **dict.fromkeys(("started_at", "ended_at"), TIMES),
            method=st.sampled_from(Method),
            leg=NUMBERS,
            **dict.fromkeys(("theirs", "reported"), st.booleans()),
            cause=st.none() | NUMBERS,
            challenged=NUMBERS,
            **dict.fromkeys(("trying_at", "ringing_at", "answered_at"), st.none() | TIMES),
            codecs=many(TEXTS),
        )
    ),
    outcome=st.none() | st.sampled_from(Outcome),
    status=st.none() | NUMBERS,
    reason=st.none() | TEXTS,
    cause=st.none() | NUMBERS,
    origin=st.none() | some(Origin, **dict.fromkeys(Origin.__annotations__, TEXTS)),
    **dict.fromkeys(("caller_codec", "caller_media"), TEXTS),
    offered=many(TEXTS),
)
LEGS = some(
    Leg,
    **dict.fromkeys(("number", "size"), NUMBERS),
    **dict.fromkeys(("uri", "call_id", "tag", "sender", "route", "source", "media"), TEXTS),
    **dict.fromkeys(("started_at", "ring_until"), TIMES),
    cseq=NUMBERS,
    max_calls=st.none() | NUMBERS,
    redirected=st.booleans(),
    **REACHED,
    **dict.fromkeys(("trying_at", "ringing_at", "answered_at"), st.none() | TIMES),
    codecs=many(TEXTS),
)
CALLS = some(
    Call,
    schema_version=st.just(3),
    **dict.fromkeys(("id", "node", "media_node", "pool", "trunk", "source"), TEXTS),
    takes_refer=st.booleans(),
    may_refer=st.booleans(),
    created_at=TIMES,
    state=st.sampled_from(State),
    caller=DIALOGS,
    agent=st.none() | DIALOGS,
    agent_leg=NUMBERS,
    target=st.none() | DIALOGS,
    legs=many(LEGS),
    leg=st.none() | LEGS,
    legs_made=NUMBERS,
    media=some(Media, **dict.fromkeys(Media.__annotations__, TEXTS)),
    exchange=st.none() | some(Exchange, offerer=st.sampled_from(Party), cseq=NUMBERS, since=TIMES),
    session_timer=st.none()
    | some(SessionTimer, interval=TIMES, method=st.sampled_from(["UPDATE", "INVITE"]), refreshed_at=TIMES),
    crossed=NUMBERS,
    check_every=TIMES,
    takes_replaces=st.booleans(),
    identity=HEADERS,
    transfer=st.none() | TRANSFERS,
    history=many(TRANSFERS),
    deadlines=st.dictionaries(st.sampled_from(Deadline), TIMES),
)


@given(CALLS)
def test_any_record_is_read_back_as_it_was_written(call: Call) -> None:
    assert decode(call.id, encode(call)) == call


def test_a_plain_call_is_small() -> None:
    assert len(encode(talking())) < 800


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "the whole: Invalid JSON"),
        (b"\xff\xfe", "the whole: Invalid JSON"),
        (b"[]", "the whole: Input should be an object"),
        (encode(talking()).replace(b'"schema_version":3', b'"schema_version":1'), "schema_version: Input should be 3"),
        (encode(talking()).replace(b'"node":', b'"knot":'), "node: Field required"),
        (encode(talking()).replace(b'{"schema', b'{"more":1,"schema'), "more: Extra inputs are not permitted"),
        (encode(talking()).replace(b'"local_cseq":7', b'"local_cseq":"x"'), "agent.local_cseq: Input should be"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place_and_what_to_do(data: bytes, detail: str) -> None:
    with pytest.raises(BadRecordError) as raised:
        decode(CALL_ID, data)
    assert raised.value.text.startswith(f"the stored record of call {CALL_ID} cannot be read ({detail}")
    assert raised.value.text.endswith("end the call, or delete its key")


def test_the_version_is_always_written() -> None:
    assert json.loads(encode(talking()))["schema_version"] == 3


def test_a_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        talking().state = State.ENDED  # type: ignore[misc]


def test_the_earliest_deadline_that_has_passed_comes_first() -> None:
    call = talking().with_deadlines(ring=NOW + 20, bridge=NOW + 2)
    assert call.next_deadline == NOW + 2
    assert call.due(NOW + 1) is None
    assert call.due(NOW + 2) is Deadline.BRIDGE
    assert call.due(NOW + 100) is Deadline.BRIDGE
    assert call.with_deadlines(Deadline.BRIDGE).due(NOW + 100) is Deadline.RING


def test_a_call_without_deadlines_waits_for_nothing() -> None:
    call = talking().with_deadlines(Deadline.CHECK)
    assert call.next_deadline is None
    assert call.due(NOW + 1e9) is None


def test_the_next_number_is_above_all_sent_and_at_least_the_senders_own() -> None:
    """RFC 3261 section 12.2.1.1."""
    dialog = talking().caller.model_copy(update={"local_cseq": 7})
    assert [dialog.next_cseq(), dialog.next_cseq(3), dialog.next_cseq(90)] == [8, 8, 90]


@pytest.mark.parametrize("state", State)
def test_a_call_is_plain_when_two_talk_and_there_is_nobody_else_to_be_told(state: State) -> None:
    assert talking().model_copy(update={"state": state}).plain == (state in {State.TALKING, State.CONNECTED})
