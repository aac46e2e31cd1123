"""How a transfer fails: each class of status, several endpoints, and what the agent and the call log are told."""

from __future__ import annotations

import pytest

from routing import events as ev
from routing.outcomes import Outcome
from routing.records import HISTORY, Deadline, Party, State
from tests.routing.calls import Story

CALLER, AGENT, TARGET = Party


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (302, "rejected"),
        (404, "not_found"),
        (486, "busy"),
        (500, "unreachable"),
        (603, "rejected"),
        (606, "media_failed"),
    ],
)
def test_the_agent_is_told_the_status_of_the_endpoint_and_talks_on(status: int, outcome: str) -> None:
    story = Story()
    story.refer()
    story.rings()
    assert story.fails(status) == ["release leg 1", f"NOTIFY {status} final", f"record {outcome}"]
    assert story.state is State.TALKING
    assert story.requests(CALLER, "INFO") == ["relay to agent"]


def test_an_endpoint_that_gives_no_reply_at_all_is_unreachable() -> None:
    story = Story()
    story.refer()
    assert story.fails(408, heard=False)[-1] == "record unreachable"


def test_the_next_endpoint_is_called_until_none_is_left() -> None:
    story = Story()
    story.refer("sip:a", "sip:b", "sip:c")
    assert story.fails(486, leg=1) == ["release leg 1", "INVITE leg 2"]
    assert story.rings(2) == ["NOTIFY 180"]
    assert story.waits(Deadline.RING) == ["CANCEL leg 2", "release leg 2", "INVITE leg 3"]
    assert story.fails(404, leg=3) == ["release leg 3", "NOTIFY 404 final", "record not_found"]
    attempts = story.call.history[-1].attempts
    assert [(attempt.uri, attempt.status) for attempt in attempts] == [("sip:a", 486), ("sip:b", 408), ("sip:c", 404)]
    assert all(attempt.ended_at > attempt.started_at for attempt in attempts)


def test_the_call_log_says_when_each_thing_happened() -> None:
    """The INVITE is the first one, the ringing and the answer are those of the person who was connected."""
    story = Story()
    story.refer("sip:a", "sip:b")
    invited_at = story.now
    story.rings()
    story.fails(486)
    story.rings(2)
    ringing_at = story.now
    story.answers(2)
    answered_at = story.now
    story.bridged()
    done = story.call.history[-1]
    assert (done.invited_at, done.ringing_at) == (invited_at, ringing_at)
    assert (done.answered_at, done.ended_at) == (answered_at, story.now)


def test_after_a_6xx_no_other_endpoint_is_called() -> None:
    """RFC 3261 section 21.6: the person is not to be had anywhere."""
    story = Story()
    story.refer("sip:a", "sip:b")
    assert story.fails(603) == ["release leg 1", "NOTIFY 603 final", "record rejected"]


def test_an_endpoint_that_cannot_be_offered_media_counts_as_failed() -> None:
    story = Story()
    story.refer("sip:a", "sip:b")
    assert story.event(ev.MediaFailed(500, "no answer from media1", 1)) == ["release leg 1", "INVITE leg 2"]
    failed = story.event(ev.MediaFailed(500, "no answer from media1", 2))
    assert failed == ["release leg 2", "NOTIFY 500 final", "record media_failed"]
    assert story.event(ev.MediaFailed(500, "said once more", 2)) == []


def test_a_transfer_can_be_cancelled_only_while_nobody_has_answered() -> None:
    story = Story()
    assert story.event(ev.TransferCancelled()) == ["answer 481"]
    story.refer()
    story.rings()
    assert story.event(ev.TransferCancelled())[-1] == "record cancelled"
    story.refer()
    story.answers(2)
    assert story.event(ev.TransferCancelled()) == ["answer 481"]
    story.bridged()
    assert story.event(ev.TransferCancelled()) == ["answer 481"]


def test_a_call_remembers_its_last_transfers_only() -> None:
    story = Story()
    for leg in range(1, HISTORY + 3):
        story.refer()
        story.fails(486, leg=leg)
    assert len(story.call.history) == HISTORY
    assert story.call.history[-1].outcome is Outcome.BUSY


def test_the_history_does_not_keep_the_dialog_of_an_agent_that_has_left() -> None:
    story = Story()
    story.refer()
    story.hangs_up(AGENT)
    assert story.call.transfer is not None
    assert story.call.transfer.subscription is not None
    assert story.call.transfer.subscription.dialog is not None
    story.answers()
    story.bridged()
    assert story.call.history[-1].subscription is not None
    assert story.call.history[-1].subscription.dialog is None


def test_a_caller_who_vanishes_while_the_target_rings_ends_everything() -> None:
    story = Story()
    story.refer()
    told = ["CANCEL leg 1", "NOTIFY 487 final", "BYE caller", "BYE agent"]
    assert story.vanishes(CALLER) == [*told, "release media", "record caller_hung_up", "forget"]


def test_an_agent_that_vanishes_while_the_target_rings_changes_nothing_for_the_caller() -> None:
    story = Story()
    story.refer()
    assert story.vanishes(AGENT) == ["BYE agent", "hold with music"]
    assert story.requests(CALLER, "INVITE") == ["answer 491"]
    assert story.settles(CALLER) == []
    assert story.hangs_up(AGENT) == ["answer 200"]
    story.answers()
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]


def test_a_person_who_vanishes_during_the_bridge_is_a_failure_of_media() -> None:
    story = Story()
    story.refer()
    story.answers()
    assert story.vanishes(TARGET) == ["BYE person-1", "release leg 1", "NOTIFY 408 final", "record media_failed"]


@pytest.mark.parametrize("party", [CALLER, TARGET])
def test_a_caller_or_target_who_vanishes_ends_the_call_for_both(party: Party) -> None:
    story = Story().connect(by_command=True)
    assert story.vanishes(party) == ["BYE caller", "BYE person-1", "release media", "forget"]


def test_an_agent_that_vanishes_when_it_is_to_leave_is_gone() -> None:
    story = Story().connect()
    assert story.vanishes(AGENT) == ["BYE agent"]
    assert story.state is State.CONNECTED
    assert story.vanishes(AGENT) == []


def test_a_caller_who_vanishes_before_the_agent_has_left_ends_the_call_for_all() -> None:
    story = Story().connect()
    assert story.vanishes(CALLER) == ["BYE caller", "BYE agent", "BYE person-1", "release media", "forget"]


def test_an_agent_that_vanishes_before_any_transfer_ends_the_call() -> None:
    story = Story()
    assert story.vanishes(AGENT) == ["BYE caller", "BYE agent", "release media", "forget"]
