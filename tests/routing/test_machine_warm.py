"""Warm transfers: what each party hears, one after another, and what happens when one of them does not wait for it."""

from __future__ import annotations

import pytest

from routing import events as ev
from routing.outcomes import Mode, Outcome
from routing.records import Deadline, Party, State
from routing.transfer_record import Delivery, Hold, Sound, Standard
from tests.routing.calls import ACCEPT, ANNOUNCEMENT, APOLOGY, MESSAGE, Story, transfer

CALLER, AGENT, TARGET = Party
ENDED = ["release media", "forget"]


def briefed(**changes: object) -> Story:
    """Make a story in which the person hears the message."""
    story = Story()
    story.refer_warm(**changes)
    story.answers()
    story.waits(Deadline.SOUND)
    story.starts()
    assert story.state is State.BRIEFING
    return story


def asked(**changes: object) -> Story:
    """Make a story in which the person has been asked for the key once."""
    story = briefed(**{"accept": ACCEPT, **changes})
    assert story.waits(Deadline.HEARD) == ["play prompt to target"]
    story.starts()
    assert story.state is State.ACCEPTING
    return story


def test_the_caller_hears_music_until_the_person_has_heard_the_message() -> None:
    story = Story()
    begun = ["answer 202", "NOTIFY 100", "prepare message", "hold with music", "INVITE leg 1"]
    assert story.refer_warm() == begun
    assert story.rings() == ["NOTIFY 180"]
    assert story.answers() == ["open leg 1"]
    answered_at = story.now
    assert story.waits(Deadline.SOUND) == ["play message to target"]
    assert story.now - answered_at == pytest.approx(0.5, abs=0.02)
    assert story.starts(2.0) == []
    assert story.waits(Deadline.HEARD) == ["bridge leg 1"]
    assert story.now - answered_at == pytest.approx(3.0, abs=0.05)
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]
    assert story.hangs_up(AGENT) == ["answer 200"]


def test_caller_and_agent_talk_until_the_answer_where_that_is_wanted() -> None:
    story = Story()
    assert "hold with music" not in story.refer_warm(hold=Hold.AGENT)
    assert story.answers() == ["open leg 1", "hold with music"]


def test_the_caller_hears_an_announcement_before_the_target_is_called() -> None:
    story = Story()
    begun = ["answer 202", "NOTIFY 100", "prepare announcement message", "hold", "play announcement to caller"]
    assert story.refer_warm(announce=ANNOUNCEMENT) == begun
    assert story.state is State.ANNOUNCING
    story.starts(3.0)
    assert story.waits(Deadline.HEARD) == ["hold with music", "INVITE leg 1"]


@pytest.mark.parametrize(("leaves", "then"), [(False, "resume agent"), (True, "hold with music")])
def test_after_the_announcement_the_agent_is_heard_again_if_it_is_still_there(then: str, *, leaves: bool) -> None:
    story = Story()
    story.event(ev.TransferRequested(transfer(announce=ANNOUNCEMENT)))
    if leaves:
        story.hangs_up(AGENT)
    story.starts()
    assert story.waits(Deadline.HEARD) == [then, "INVITE leg 1"]


def test_speech_that_is_not_there_yet_is_waited_for_and_then_the_fixed_message_is_heard() -> None:
    story = Story()
    story.refer_warm(patience=0.7)
    story.answers()
    story.waits(Deadline.SOUND)
    assert story.lacks() == []
    assert story.waits(Deadline.SOUND) == ["play message to target"]
    assert story.lacks() == ["play MESSAGE to target"]
    story.starts()
    assert story.call.transfer is not None
    assert story.call.transfer.fixed
    assert story.waits(Deadline.HEARD) == ["bridge leg 1"]


def test_speech_that_will_never_come_is_not_waited_for() -> None:
    story = Story()
    story.refer_warm()
    story.answers()
    story.waits(Deadline.SOUND)
    assert story.event(ev.SoundMissing(TARGET, MESSAGE, hopeless=True)) == ["play MESSAGE to target"]


def test_without_any_sound_the_transfer_goes_on() -> None:
    story = briefed()
    assert story.lacks(Standard.MESSAGE) == []
    assert story.waits(Deadline.HEARD) == ["bridge leg 1"]


def test_an_announcement_that_is_not_there_in_time_is_left_out() -> None:
    story = Story()
    story.refer_warm(announce=ANNOUNCEMENT, patience=0.0)
    assert story.lacks(ANNOUNCEMENT) == []
    assert story.waits(Deadline.HEARD) == ["hold with music", "INVITE leg 1"]


def test_a_sound_that_nobody_reported_is_played_again() -> None:
    story = Story()
    story.refer_warm()
    story.answers()
    for _ in range(2):
        assert story.waits(Deadline.SOUND) == ["play message to target"]


@pytest.mark.parametrize(("summary", "heard"), [("refund", "play refund to target"), ("", "play message to target")])
def test_in_the_mode_summary_the_person_hears_the_summary_if_there_is_one(summary: str, heard: str) -> None:
    story = Story()
    story.refer_warm(mode=Mode.SUMMARY, summary=summary, deliver=(Delivery.SPEECH,))
    story.answers()
    assert story.waits(Deadline.SOUND) == [heard]


def test_with_neither_summary_nor_message_the_person_hears_the_fixed_one() -> None:
    story = Story()
    story.refer_warm(mode=Mode.SUMMARY, message=None, deliver=(Delivery.SPEECH,))
    story.answers()
    assert story.waits(Deadline.SOUND) == ["play MESSAGE to target"]


def test_a_summary_may_be_given_until_the_person_answers() -> None:
    story = Story()
    fallback = transfer(id="fallback", mode=Mode.SUMMARY, deliver=(Delivery.SPEECH,))
    story.refer_warm(mode=Mode.SUMMARY, deliver=(Delivery.SPEECH, Delivery.MESSAGE), fallback=fallback)
    assert story.summarises("refund") == ["answer 200", "prepare refund"]
    assert story.summarises("refund, urgent", request=False) == ["prepare refund, urgent"]
    assert story.answers() == ["open leg 1", "MESSAGE refund, urgent"]
    assert story.summarises("too late") == ["answer 403"]
    assert story.fails(486) == []
    assert story.event(ev.MediaFailed(488, "No codec"))[-1] == "INVITE leg 2"
    assert story.call.transfer is not None
    assert story.call.transfer.speech == Sound(text="refund, urgent")


def test_a_summary_that_no_transfer_waits_for_is_refused() -> None:
    story = Story()
    assert story.summarises("refund") == ["answer 481"]
    story.refer_warm(message=None)
    assert story.summarises("refund") == ["answer 403"]


@pytest.mark.parametrize("request_by_info", [True, False])
def test_the_right_key_lets_the_caller_come_on(*, request_by_info: bool) -> None:
    story = asked()
    answered = ["answer 200"] if request_by_info else []
    assert story.presses("1", request=request_by_info) == [*answered, "bridge leg 1"]


def test_a_person_in_a_hurry_may_press_the_key_during_the_message() -> None:
    story = briefed(accept=ACCEPT)
    assert story.presses("5", request=True) == ["answer 200"]
    assert story.presses("1") == ["bridge leg 1"]


def test_a_wrong_key_is_forgiven_as_long_as_the_prompt_may_be_repeated() -> None:
    story = asked()
    assert story.presses("5") == ["play prompt to target"]
    story.starts()
    assert story.presses("1") == ["bridge leg 1"]


def test_a_person_who_presses_another_key_hears_goodbye_and_the_agent_is_told() -> None:
    story = asked()
    story.presses("5")
    story.starts()
    assert story.presses("5") == ["play GOODBYE to target"]
    assert story.presses("1") == []
    story.starts(1.0)
    told = ["resume agent", "release leg 1", "NOTIFY 603 final", "record rejected"]
    assert story.waits(Deadline.HEARD) == ["BYE person-1", *told]


def test_nobody_presses_a_key_so_the_next_endpoint_is_called() -> None:
    story = Story()
    story.refer_warm("sip:mailbox", "sip:desk", accept=ACCEPT)
    story.answers()
    for _ in range(3):
        story.waits(Deadline.SOUND) if Deadline.SOUND in story.call.deadlines else None
        story.starts()
        story.waits(Deadline.HEARD)
    assert story.state is State.DECLINING
    story.starts()
    assert story.waits(Deadline.HEARD) == ["BYE person-1", "release leg 1", "INVITE leg 2"]
    assert story.call.transfer is not None
    assert [attempt.status for attempt in story.call.transfer.attempts] == [480]
    assert story.call.transfer.outcome is None


def test_a_blind_transfer_with_a_key_asks_at_once() -> None:
    story = Story()
    story.refer_warm(mode=Mode.BLIND, message=None, accept=ACCEPT, pause_before=0.0, pause_after=0.0)
    story.answers()
    assert story.waits(Deadline.SOUND) == []
    assert story.waits(Deadline.HEARD) == ["play prompt to target"]


@pytest.mark.parametrize("begin", [briefed, asked])
def test_a_person_who_hangs_up_does_not_want_the_call(begin: object) -> None:
    story = begin()  # type: ignore[operator]
    told = ["resume agent", "release leg 1", "NOTIFY 603 final", "record rejected"]
    assert story.hangs_up(TARGET) == ["answer 200", *told]


def test_a_person_who_hangs_up_during_the_goodbye_is_as_good_as_gone() -> None:
    story = asked(accept=ACCEPT.model_copy(update={"rounds": 1}))
    story.waits(Deadline.HEARD)
    assert story.hangs_up(TARGET)[-1] == "record no_answer"


def test_the_caller_hangs_up_so_the_person_hears_it_and_is_released() -> None:
    story = briefed()
    ended = ["answer 200", "NOTIFY 487 final", "BYE agent", "record caller_hung_up"]
    assert story.hangs_up(CALLER) == [*ended, "silence for caller", "play CALLER_GONE to target"]
    assert story.requests(TARGET, "INFO") == ["answer 491"]
    story.starts(1.0)
    assert story.waits(Deadline.HEARD) == ["BYE person-1", *ENDED]


def test_the_person_need_not_hear_out_that_the_caller_has_gone() -> None:
    story = briefed()
    story.hangs_up(CALLER)
    assert story.hangs_up(CALLER) == ["answer 200"]
    assert story.hangs_up(TARGET) == ["answer 200", *ENDED]


def test_the_caller_hangs_up_during_the_announcement() -> None:
    story = Story()
    story.refer_warm(announce=ANNOUNCEMENT)
    ended = ["NOTIFY 487 final", "BYE agent", "release media", "record caller_hung_up", "forget"]
    assert story.hangs_up(CALLER) == ["answer 200", *ended]


def test_the_agent_hangs_up_during_the_briefing_and_the_transfer_goes_on() -> None:
    story = briefed()
    assert story.hangs_up(AGENT) == ["answer 200"]
    assert story.waits(Deadline.HEARD) == ["bridge leg 1"]
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]


def test_the_agent_has_hung_up_and_the_briefing_fails_so_the_caller_hears_the_apology() -> None:
    story = briefed(apology=APOLOGY)
    story.hangs_up(AGENT)
    failed = ["answer 200", "release leg 1", "NOTIFY 603 final", "record rejected", "hold", "play apology to caller"]
    assert story.hangs_up(TARGET) == failed
    assert story.lacks(APOLOGY) == ["play APOLOGY to caller"]
    assert story.lacks(Standard.APOLOGY) == []
    assert story.waits(Deadline.HEARD) == ["BYE caller", *ENDED]


def test_the_caller_hears_the_apology_before_the_agent_and_only_then_the_agent_is_told() -> None:
    story = Story()
    story.refer_warm(apology=APOLOGY)
    assert story.fails(486) == ["release leg 1", "hold", "play apology to caller"]
    assert story.refer() == ["answer 491"]
    story.starts(2.0)
    assert story.waits(Deadline.HEARD) == ["resume agent", "NOTIFY 486 final", "record busy"]
    assert story.state is State.TALKING


@pytest.mark.parametrize("party", [CALLER, AGENT])
def test_the_outcome_is_told_also_when_somebody_leaves_during_the_apology(party: Party) -> None:
    story = Story()
    story.refer_warm(apology=APOLOGY)
    story.fails(486)
    story.starts()
    gone = story.hangs_up(party)
    if party is AGENT:
        assert gone == ["answer 200"]
        gone = story.waits(Deadline.HEARD)
    assert {"NOTIFY 486 final", "record busy", "forget"} <= set(gone)
    assert story.state is State.ENDED


@pytest.mark.parametrize("party", [CALLER, AGENT])
def test_a_party_that_vanishes_during_the_apology_is_as_good_as_gone(party: Party) -> None:
    story = Story()
    story.refer_warm(apology=APOLOGY)
    story.fails(486)
    vanished = story.vanishes(party)
    assert "BYE agent" in vanished
    assert story.state is (State.ENDED if party is CALLER else State.APOLOGISING)


@pytest.mark.parametrize("moment", [Story.refer_warm, briefed, asked], ids=["calling", "briefing", "accepting"])
def test_a_cancelled_transfer_gives_the_caller_back_to_the_agent_at_once(moment: object) -> None:
    story = Story() if moment is Story.refer_warm else moment(apology=APOLOGY)  # type: ignore[operator]
    if moment is Story.refer_warm:
        story.refer_warm(apology=APOLOGY)
    done = story.event(ev.TransferCancelled())
    assert "resume agent" in done
    assert done[-1] == "record cancelled"
    assert story.state is State.TALKING


def test_when_it_fails_the_fallback_is_tried_and_the_agent_is_told_how_that_went() -> None:
    story = Story()
    story.refer_warm(fallback=transfer("sip:other", id="fallback"))
    tried = ["resume agent", "release leg 1", "record busy", "INVITE leg 2"]
    assert story.fails(486) == tried
    story.answers(2)
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]
    assert [done.outcome for done in story.call.history] == [Outcome.BUSY, Outcome.CONNECTED]


def test_without_the_agent_the_music_goes_on_while_the_fallback_is_tried() -> None:
    story = Story()
    story.refer_warm(fallback=transfer("sip:other", id="fallback"))
    story.hangs_up(AGENT)
    assert story.fails(486) == ["release leg 1", "record busy", "hold with music", "INVITE leg 2"]


def test_an_answer_without_a_common_codec_is_a_failure_of_that_endpoint_alone() -> None:
    story = Story()
    story.refer_warm("sip:video", "sip:desk")
    story.answers()
    failed = story.event(ev.MediaFailed(488, "No codec"))
    assert failed == ["BYE person-1", "release leg 1", "INVITE leg 2"]


def test_when_the_media_server_has_failed_it_is_asked_soon_whether_it_still_knows_the_call() -> None:
    story = briefed()
    story.waits(Deadline.HEARD)
    story.event(ev.MediaFailed(500, "no answer"))
    assert story.call.deadlines[Deadline.CHECK] == story.now


def test_a_person_who_vanishes_during_the_briefing_is_a_failure_of_media() -> None:
    story = briefed()
    assert story.vanishes(TARGET)[-1] == "record media_failed"


def test_what_was_said_is_in_the_call_log_and_no_longer_in_the_record() -> None:
    story = Story()
    story.refer_warm(mode=Mode.SUMMARY, summary="secret", accept=ACCEPT, announce=ANNOUNCEMENT, apology=APOLOGY)
    story.hangs_up(AGENT)
    story.starts()
    story.waits(Deadline.HEARD)
    story.fails(486)
    (done,) = story.call.history
    assert (done.summary, done.message, done.announce, done.accept) == ("", None, None, None)


def test_when_the_media_is_lost_during_the_briefing_the_outcome_says_so() -> None:
    story = briefed()
    ended = ["NOTIFY 500 final", "BYE caller", "BYE agent", "BYE person-1", "release media", "record media_failed"]
    assert story.event(ev.MediaLost("no media")) == [*ended, "forget"]


def test_a_person_without_media_is_not_told_that_the_caller_has_gone() -> None:
    story = briefed()
    story.hangs_up(CALLER)
    assert story.event(ev.MediaLost("no media")) == ["BYE person-1", *ENDED]
