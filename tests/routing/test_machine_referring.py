"""A REFER that is sent on: to a side that does as it is asked, refuses, or never says what became of it."""

from __future__ import annotations

import pytest

from routing import events as ev
from routing.outcomes import Outcome
from routing.records import Deadline, Party, State
from routing.transfer_record import Method
from tests.routing.calls import Story, talking, transfer

CALLER, AGENT, _ = Party
CHALLENGED = ev.ReferAnswered(1, 401, "Unauthorized", (("Authorization", "Digest"),))


def referring(method: Method = Method.AUTO, *endpoints: str) -> Story:
    """Tell of a call whose agent has asked for a transfer by REFER."""
    story = Story(talking().model_copy(update={"trunk": "carrier"}))
    plan = transfer(*(endpoints or ("sip:a@127.0.0.1",)), cseq=5, method=method)
    assert story.event(ev.TransferRequested(plan))[-1] == f"REFER to {plan.endpoints[0].uri}"
    assert story.state is State.REFERRING
    return story


def refer_answered(story: Story, status: int) -> list[str]:
    """Let the caller's side answer."""
    return story.event(ev.ReferAnswered(1, status, "No"))


def reported(story: Story, status: int, *, refer: int = 0) -> list[str]:
    """Let the caller's side send NOTIFY."""
    return story.event(ev.ReferralReported(refer, status, "So it is", final=status >= 200))


@pytest.mark.parametrize("method", [Method.AUTO, Method.REFER])
def test_a_side_that_reaches_the_target_gets_the_call_and_both_of_ours_are_let_go(method: Method) -> None:
    story = referring(method)
    assert refer_answered(story, 202) == []
    assert reported(story, 100) == ["answer 200"]
    assert reported(story, 180) == ["answer 200", "NOTIFY 180"]
    assert reported(story, 180) == ["answer 200"]
    done = reported(story, 200)
    assert done[:4] == ["answer 200", "learn carrier works 200", "NOTIFY 200 final", "record connected"]
    assert {"BYE caller", "BYE agent"} < set(done)
    (attempt,) = story.call.history[-1].attempts
    assert (attempt.method, attempt.status) == (Method.REFER, 200)


@pytest.mark.parametrize("status", [403, 405, 501, 603])
def test_what_a_side_refuses_is_done_by_invite(status: int) -> None:
    story = referring(Method.AUTO, "sip:a@127.0.0.1", "sip:b@127.0.0.1")
    assert refer_answered(story, status) == [f"learn carrier refuses {status}", "INVITE leg 1"]
    assert story.fails(486) == ["release leg 1", "INVITE leg 2"]


def test_a_failure_that_a_side_reports_is_no_reason_not_to_ask_it_again() -> None:
    story = referring()
    refer_answered(story, 202)
    assert reported(story, 486) == ["answer 200", "learn carrier works 486", "INVITE leg 1"]


def test_a_side_that_never_reports_is_not_waited_for_long() -> None:
    story = referring()
    refer_answered(story, 202)
    assert story.waits(Deadline.REFERRAL) == ["learn carrier silent 408", "INVITE leg 1"]


def test_a_side_that_does_not_answer_is_silent_as_well() -> None:
    assert refer_answered(referring(), 408) == ["learn carrier silent 408", "INVITE leg 1"]


def test_a_side_that_has_begun_to_report_has_the_time_that_the_endpoint_may_ring() -> None:
    story = referring()
    reported(story, 100)
    assert refer_answered(story, 202) == []
    assert story.call.deadlines[Deadline.REFERRAL] > story.now + 20
    assert story.waits(Deadline.REFERRAL) == ["INVITE leg 1"]


def test_by_refer_alone_the_next_endpoint_is_asked_for_and_the_agent_is_told_how_the_last_one_failed() -> None:
    story = referring(Method.REFER, "sip:a@127.0.0.1", "sip:b@127.0.0.1")
    assert refer_answered(story, 403)[-1] == "REFER to sip:b@127.0.0.1"
    done = story.event(ev.ReferAnswered(2, 603, "Decline"))
    assert done == ["learn carrier refuses 603", "NOTIFY 603 final", "record rejected"]
    assert story.state is State.TALKING


def test_a_side_that_asks_who_we_are_is_told_and_not_without_end() -> None:
    story = referring()
    assert story.event(CHALLENGED) == ["REFER to sip:a@127.0.0.1 with login"]
    assert story.event(CHALLENGED) == []
    for cseq in (2, 3, 4):
        story.event(ev.ReferAnswered(cseq, 401, "Unauthorized", CHALLENGED.authorization))
    last = story.event(ev.ReferAnswered(5, 401, "Unauthorized", CHALLENGED.authorization))
    assert last == ["learn carrier refuses 401", "INVITE leg 1"]


def test_a_report_about_another_refer_or_too_late_is_refused() -> None:
    story = referring()
    assert reported(story, 200, refer=77) == ["answer 481"]
    refer_answered(story, 403)
    assert reported(story, 200) == ["answer 481"]
    assert story.state is State.CALLING


def test_a_report_that_the_final_one_has_overtaken_is_taken_for_known() -> None:
    story = referring(Method.REFER)
    refer_answered(story, 202)
    assert "NOTIFY 404 final" in reported(story, 404)
    assert reported(story, 100) == ["answer 200"]
    assert story.state is State.TALKING


def test_the_agent_may_leave_and_the_caller_hears_music_until_the_side_has_reported() -> None:
    story = referring()
    assert story.hangs_up(AGENT) == ["answer 200", "hold with music"]
    assert "NOTIFY 200 final" in reported(story, 200)


def test_a_caller_that_hangs_up_meanwhile_has_hung_up() -> None:
    story = referring()
    refer_answered(story, 202)
    assert "record caller_hung_up" in story.hangs_up(CALLER)


def test_a_cancelled_one_is_over_whatever_the_side_reports_later() -> None:
    story = referring()
    assert story.event(ev.TransferCancelled()) == ["NOTIFY 487 final", "record cancelled"]
    assert story.call.history[-1].outcome is Outcome.CANCELLED
    assert reported(story, 200) == ["answer 481"]
