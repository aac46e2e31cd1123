"""What the call log gets of a transfer: each endpoint's stages and end, and whose call it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing import events as ev
from routing.records import Deadline
from routing.transfer_record import Attempt, Transfer
from tests.routing.calls import ACCEPT, CALL_ID, NOW, Story, answered, talking, transfer


def logged(story: Story) -> Transfer:
    """Give the transfer that was finished last, as the call remembers it."""
    return story.call.history[-1]


def ends(story: Story) -> list[tuple[int, int, bool, int | None]]:
    """Give leg, status, whether the endpoint said so, and Q.850 cause of each attempt."""
    return [(each.leg, each.status, each.theirs, each.cause) for each in logged(story).attempts]


def refuses(story: Story, leg: int, status: int = 486, **more: object) -> None:
    """Let an endpoint refuse."""
    story.event(replace(ev.LegFailed(leg, status, "Whatever"), **more))  # type: ignore[arg-type]


def test_the_endpoint_that_got_the_call_is_an_attempt_with_all_its_stages() -> None:
    story = Story()
    story.refer()
    story.event(ev.LegRang(1, trying_at=NOW + 0.001))
    rang = story.now
    story.event(replace(answered(1), codecs=("G722",)))
    told = story.now
    story.event(ev.MediaBridged(0.002))
    assert logged(story).attempts == (
        Attempt(
            uri="sip:desk@127.0.0.1",
            status=200,
            reason="OK",
            started_at=NOW + 0.01,
            ended_at=story.now,
            leg=1,
            theirs=True,
            trying_at=NOW + 0.001,
            ringing_at=rang,
            answered_at=told,
            codecs=("G722",),
        ),
    )


def test_how_long_the_caller_heard_nobody_is_logged_of_a_bridge_and_of_nothing_else() -> None:
    story = Story()
    story.refer()
    story.event(answered(1))
    story.event(ev.MediaBridged(0.0125))
    assert logged(story).changeover == 0.0125
    story = Story()
    story.refer()
    refuses(story, 1)
    assert logged(story).changeover is None


def test_the_first_response_is_known_of_an_endpoint_that_never_rang() -> None:
    story = Story()
    story.refer("sip:a", "sip:b")
    refuses(story, 1, trying_at=NOW + 5)
    story.event(replace(answered(2), trying_at=NOW + 6))
    story.event(ev.MediaBridged(0.002))
    assert [attempt.trying_at for attempt in logged(story).attempts] == [NOW + 5, NOW + 6]


def test_each_endpoint_that_rings_at_the_same_time_has_its_own_ringing() -> None:
    """A second 180 of one changes nothing."""
    story = Story()
    story.event(ev.TransferRequested(transfer("sip:a", "sip:b", cseq=1, at_once=2)))
    story.event(ev.LegRang(2))
    first = story.now
    story.event(ev.LegRang(1))
    second = story.now
    story.event(ev.LegRang(2))
    assert [leg.ringing_at for leg in story.call.legs] == [second, first]


def test_the_cause_of_a_refusal_is_kept() -> None:
    story = Story()
    story.refer()
    refuses(story, 1, cause=17)
    assert ends(story) == [(1, 486, True, 17)]


@pytest.mark.parametrize("more", [{"answered": False}, {"called": False}])
def test_an_endpoint_that_never_replied_has_not_refused(more: dict[str, bool]) -> None:
    story = Story()
    story.refer()
    refuses(story, 1, 408, **more)
    assert ends(story) == [(1, 408, False, None)]


def test_the_end_of_the_ring_timeout_is_ours() -> None:
    story = Story()
    story.refer()
    story.rings()
    story.waits(Deadline.RING)
    assert ends(story) == [(1, 408, False, None)]


def test_endpoints_that_are_being_called_when_the_caller_hangs_up_are_attempts() -> None:
    story = Story()
    story.refer()
    story.event(ev.CallerHungUp(200, cause=16))
    assert ends(story) == [(1, 487, False, None)]
    assert logged(story).cause == 16


def test_endpoints_that_are_being_called_when_it_is_cancelled_are_attempts() -> None:
    story = Story()
    story.refer()
    story.event(ev.TransferCancelled())
    assert ends(story) == [(1, 487, False, None)]


def test_a_person_who_hangs_up_before_the_caller_came_on_has_said_so_itself() -> None:
    story = Story()
    story.refer()
    story.event(answered(1))
    story.event(ev.TargetHungUp(7, cause=16))
    assert ends(story) == [(1, 603, True, 16)]


def test_a_person_who_hangs_up_while_it_is_briefed_has_said_so_itself() -> None:
    story = Story()
    story.refer_warm()
    story.event(answered(1))
    story.event(ev.TargetHungUp(7, cause=21))
    assert ends(story) == [(1, 603, True, 21)]


def test_a_briefing_that_the_caller_does_not_wait_for_is_an_attempt() -> None:
    story = Story()
    story.refer_warm()
    story.event(answered(1))
    story.event(ev.CallerHungUp(200, cause=16))
    assert ends(story) == [(1, 487, False, None)]
    assert logged(story).cause == 16


def test_a_person_who_does_not_press_the_key_is_given_up_by_us() -> None:
    story = Story()
    story.refer_warm(accept=ACCEPT.model_copy(update={"rounds": 1}))
    story.event(answered(1))
    story.waits(Deadline.SOUND)
    for _ in range(3):  # briefing, prompt, goodbye
        story.starts()
        story.waits(Deadline.HEARD)
    assert ends(story) == [(1, 480, False, None)]


def test_the_log_says_whose_call_it_was_and_the_record_does_not_keep_that() -> None:
    call = talking().model_copy(
        update={"trunk": "carrier", "source": "192.0.2.1:5060", "identity": {"P-Asserted-Identity": "<sip:a@b>"}}
    )
    story = Story(call)
    story.refer()
    story.rings()
    assert story.call.origin.model_dump() == {
        "caller": "<sip:caller@example.com>",
        "asserted": "<sip:a@b>",
        "called": "<sip:agent@example.com>",
        "pool": "voice",
        "trunk": "carrier",
        "source": "192.0.2.1:5060",
        "node": "node1",
        "media_node": "media1",
    }
    story.fails(486)
    assert logged(story).origin is None
    assert story.call.id == CALL_ID
