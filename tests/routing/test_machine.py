"""The table is whole, tells the truth about where its rules lead, and refuses what cannot happen."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from routing import events as ev
from routing import rules_strays
from routing.machine import TABLE, row_of, step
from routing.records import Call, Deadline, Exchange, Party, SessionTimer, State, encode
from routing.rule import IllegalEventError
from routing.transfer_record import Hold, Method, Standard
from tests.routing.audit import JOINED, assert_shape
from tests.routing.calls import ACCEPT, ANNOUNCEMENT, APOLOGY, MESSAGE, NOW, Story, answered, talking, transfer, warm

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSTRACT = {ev.Event, ev.HungUp, ev.DeadlinePassed}
EVENTS = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event)} - ABSTRACT


def everything(call: Call) -> Iterator[ev.Event]:
    """Make one of each event that could come to this call, with all that makes a difference to the rules."""
    old = call.transfer or (call.history[-1] if call.history else None)
    yield ev.TransferRequested(transfer("sip:a", "sip:b", cseq=101))
    yield ev.TransferRequested(transfer("sip:a", "sip:b", cseq=106, at_once=2))
    yield ev.TransferRequested(transfer("sip:a", cseq=102, notify=False))
    yield ev.TransferRequested(transfer("sip:a"))
    yield ev.TransferRequested(warm("sip:a", "sip:b", cseq=103, accept=ACCEPT, announce=ANNOUNCEMENT, apology=APOLOGY))
    yield ev.TransferRequested(warm("sip:a", cseq=104, accept=ACCEPT, hold=Hold.AGENT))
    beyond = transfer("sip:c", id="fallback", announce=ANNOUNCEMENT)
    yield ev.TransferRequested(warm("sip:a", cseq=105, accept=ACCEPT, fallback=beyond))
    yield ev.TransferRequested(warm("sip:a", fallback=transfer("sip:c", id="fallback")))
    if old and old.subscription:
        yield ev.TransferRequested(transfer(cseq=old.subscription.cseq))
    yield ev.TransferRequested(transfer("sip:a", "sip:b", cseq=107, method=Method.AUTO))
    yield ev.TransferRequested(transfer("sip:a", "sip:b", cseq=108, method=Method.REFER, announce=ANNOUNCEMENT))
    by_refer = transfer("sip:c", id="fallback", method=Method.REFER)
    yield ev.TransferRequested(warm("sip:a", accept=ACCEPT, fallback=by_refer))
    yield ev.TransferRequested(transfer("sip:a", method=Method.REFER, fallback=beyond))
    asked = call.transfer and call.transfer.referral
    for cseq in {asked.cseq, 1} if asked else {1}:
        yield from (ev.ReferAnswered(cseq, status, "") for status in (202, 408, 403))
        yield ev.ReferAnswered(cseq, 401, "Unauthorized", (("Authorization", "Digest"),))
        yield from (ev.ReferralReported(cseq, status, "", final=status >= 200) for status in (100, 180, 200, 486))
    yield ev.TransferCancelled()
    for leg in {0, call.legs_made}:
        yield ev.LegRang(leg)
        yield answered(leg)
        yield answered(leg, remote_tag="another")
        yield ev.LegChallenged(leg, 401, "Unauthorized", (("Authorization", "Digest"),))
        yield ev.LegChallenged(leg, 407, "Proxy Authentication Required", ())
        yield ev.LegRedirected(leg, "sip:elsewhere")
        yield ev.MediaFailed(503, "no ports left", leg)
        yield from (ev.LegFailed(leg, status, "No", heard) for status in (408, 486, 603) for heard in (True, False))
    yield from (ev.SummaryGiven("summary", request) for request in (True, False))
    yield from (ev.KeyPressed(key, request) for key in "12" for request in (True, False))
    listener = Party.CALLER if call.state in {State.ANNOUNCING, State.APOLOGISING} else Party.TARGET
    yield ev.SoundStarted(listener, 2.0)
    yield from (ev.SoundMissing(listener, sound) for sound in (MESSAGE, Standard.MESSAGE))
    yield ev.ConsultationOver()
    yield ev.MediaBridged(0.002)
    yield ev.MediaFailed(488, "No codec")
    yield ev.MediaLost("no media")
    if call.session_timer is None and (call.agent_leg or call.state in JOINED):
        yield ev.OfferCrossed(1.0)  # only then is anything offered to the caller
    yield from (ev.CallerHungUp(200), ev.AgentHungUp(200), ev.TargetHungUp(200), ev.TargetHungUp(200, call.legs_made))
    for party in Party:
        yield ev.PartyLost(party, "no media")
        yield ev.RequestReceived(party, "INVITE", 200, None, offer=True)
        yield ev.RequestReceived(party, "INFO", 200)
        yield ev.SessionChanged(party, "offer", "answer", "view")
        yield ev.SessionChanged(party, "offer", "", "view")
        yield ev.OfferRejected(party)
    yield from (ev.DeadlinePassed(name) for name in Deadline)


def likeness(call: Call) -> tuple[object, ...]:
    """Say what the rules look at, so that calls which are alike to them are explored once."""
    under_way = call.transfer
    asked = under_way and under_way.subscription
    return (
        call.state,
        call.agent is None,
        bool(call.agent_leg),
        call.exchange is None,
        call.session_timer is None,
        min(call.legs_made, 2),
        len(call.legs),
        any(leg.redirected for leg in call.legs),
        under_way and under_way.referral and (under_way.referral.challenged, under_way.referral.reported),
        under_way and under_way.method,
        max((leg.cseq for leg in call.legs), default=0),
        asked and (asked.notify, asked.dialog is None),
        under_way and (under_way.tried, under_way.at_once, len(under_way.endpoints)),
        under_way and (under_way.mode, under_way.rounds_left, under_way.announce, under_way.apology, under_way.outcome),
        under_way and (under_way.hold, repr(under_way.fallback)),
        frozenset(call.deadlines),
        bool(call.history) and call.history[-1].subscription is None,
    )


@pytest.fixture(scope="module")
def explored() -> dict[tuple[State, object], set[State]]:
    """Go along every path there is, and note where each cell of the table led."""
    seen: dict[tuple[State, object], set[State]] = defaultdict(set)
    ahead = [talking(), talking(session_timer=SessionTimer(interval=90, method="UPDATE"))]
    known = {likeness(call) for call in ahead}
    while ahead:
        call = ahead.pop()
        for event in everything(call):
            cell = call.state, row_of(call, event, NOW + 1000)
            try:
                after, _ = step(call, event, NOW + 1000)
            except IllegalEventError:
                assert TABLE[cell].name == "illegal"
                continue
            assert TABLE[cell].name != "illegal"
            seen[cell].add(after.state)
            assert_shape(after)
            if likeness(after) not in known:
                known.add(likeness(after))
                legs = tuple(leg.model_copy(update={"ring_until": NOW}) for leg in after.legs)
                deadlines = dict.fromkeys(after.deadlines, NOW)
                ahead.append(after.model_copy(update={"legs": legs, "deadlines": deadlines}))
    return seen


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_rule_for_each_event_and_each_deadline(state: State) -> None:
    assert {row for at, row in TABLE if at is state} >= EVENTS | {*Deadline}


def test_no_state_lacks_a_row_that_another_one_has() -> None:
    rows = {row for _, row in TABLE}
    assert set(TABLE) == {(state, row) for state in State for row in rows}


def test_every_rule_that_does_something_is_reached(explored: dict[tuple[State, object], set[State]]) -> None:
    """Rules that change nothing are there for what nobody can foresee; all others are there because it happens."""
    idle = {rule.name for rule in vars(rules_strays).values() if hasattr(rule, "leads")}
    assert not [(*cell, rule.name) for cell, rule in TABLE.items() if rule.name not in idle and cell not in explored]


def test_each_rule_leads_where_it_says(explored: dict[tuple[State, object], set[State]]) -> None:
    """All that is seen is declared, and all that is declared is seen somewhere; to stay need not be declared."""
    led: dict[str, set[State]] = defaultdict(set)
    for cell, rule in TABLE.items():
        seen = explored.get(cell, set())
        assert seen - {cell[0]} <= set(rule.leads), cell
        led[rule.name] |= seen
    for rule in TABLE.values():
        assert not led[rule.name] or set(rule.leads) <= led[rule.name], rule.name


def test_the_end_is_reached_from_every_state(explored: dict[tuple[State, object], set[State]]) -> None:
    ends = {State.ENDED}
    while more := {at for (at, _), seen in explored.items() if seen & ends} - ends:
        ends |= more
    assert ends == set(State)


def test_an_ended_call_stays_ended(explored: dict[tuple[State, object], set[State]]) -> None:
    assert all(seen == {State.ENDED} for (at, _), seen in explored.items() if at is State.ENDED)


def test_an_event_that_cannot_happen_raises_says_what_and_where_and_changes_nothing() -> None:
    call = talking()
    before = encode(call)
    with pytest.raises(IllegalEventError) as raised:
        step(call, ev.MediaBridged(0.002), NOW)
    assert raised.value.text == (
        "MediaBridged cannot happen while call 00c0ffee00c0ffee is talking; nothing was changed"
    )
    assert encode(call) == before


def test_a_deadline_that_was_moved_or_cleared_meanwhile_is_nothing() -> None:
    """Two nodes may both see that a deadline has passed; the second one comes too late."""
    story = Story()
    story.refer("sip:a", "sip:b")
    story.waits(Deadline.RING)
    moved = story.call
    assert story.event(ev.DeadlinePassed(Deadline.RING)) == []
    assert story.event(ev.DeadlinePassed(Deadline.HEARD)) == []
    assert story.call is moved


def test_a_deadline_passes_at_its_very_time() -> None:
    call, _ = step(talking(), ev.TransferRequested(transfer()), NOW)
    after, _ = step(call, ev.DeadlinePassed(Deadline.RING), call.deadlines[Deadline.RING])
    assert after.state is State.TALKING


def test_an_offer_that_nobody_answers_holds_up_a_bridge_only_for_a_while() -> None:
    story = Story(talking().model_copy(update={"exchange": Exchange(offerer=Party.CALLER, cseq=8, since=NOW - 5)}))
    story.refer()
    assert story.answers() == ["bridge leg 1"]
