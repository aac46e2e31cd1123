"""Several endpoints: one after another, or at once; endpoints that ask who calls, or send us elsewhere."""

from __future__ import annotations

import pytest

from routing import events as ev
from routing.records import Deadline, Party, State
from routing.rules_failing import MOST_ANSWERS
from routing.transfer_record import Destination, Refusal, Registered
from tests.routing.calls import Story, destinations, transfer

ANSWER = (("Authorization", "Digest"),)


def ringing(*uris: str) -> Story:
    """Make a story in which all these endpoints ring."""
    story = Story()
    uris = uris or ("sip:a", "sip:b", "sip:c")
    story.event(ev.TransferRequested(transfer(*uris, cseq=100, at_once=len(uris))))
    return story


def statuses(story: Story) -> list[int]:
    """Give how the endpoints answered, so far."""
    done = story.call.transfer or story.call.history[-1]
    return [attempt.status for attempt in done.attempts]


def test_a_group_rings_at_once_and_the_first_answer_wins() -> None:
    story = Story()
    group = transfer("sip:a", "sip:b", "sip:c", cseq=100, at_once=3)
    invited = ["INVITE leg 1", "INVITE leg 2", "INVITE leg 3"]
    assert story.event(ev.TransferRequested(group)) == ["answer 202", "NOTIFY 100", *invited]
    assert story.rings(2) == ["NOTIFY 180"]
    assert story.rings(1) == []
    elsewhere = ["CANCEL leg 1", "release leg 1", "CANCEL leg 3", "release leg 3"]
    assert story.answers(2) == [*elsewhere, "bridge leg 2"]
    assert statuses(story) == [200, 200]


def test_two_answer_in_the_same_instant_and_the_second_gets_bye() -> None:
    story = ringing("sip:a", "sip:b")
    story.answers(2)
    assert story.answers(1) == ["BYE person-1"]
    assert story.bridged() == ["NOTIFY 200 final", "record connected"]


def test_the_others_ring_on_when_one_refuses_even_everywhere() -> None:
    story = ringing("sip:a", "sip:b")
    assert story.fails(603) == ["release leg 1"]
    assert story.state is State.CALLING
    assert story.fails(486, leg=2) == ["release leg 2", "NOTIFY 486 final", "record busy"]
    assert statuses(story) == [603, 486]


def test_each_rings_for_its_own_time() -> None:
    story = Story()
    places = (Destination(uri="sip:a", ring_timeout=5.0), Destination(uri="sip:b", ring_timeout=9.0))
    story.event(ev.TransferRequested(transfer(cseq=100, endpoints=places, at_once=2)))
    begun = story.now
    assert story.waits(Deadline.RING) == ["CANCEL leg 1", "release leg 1"]
    assert story.now - begun == pytest.approx(5.0, abs=0.1)
    assert story.waits(Deadline.RING)[:2] == ["CANCEL leg 2", "release leg 2"]
    assert story.now - begun == pytest.approx(9.0, abs=0.1)
    assert story.state is State.TALKING


def test_phones_of_one_user_ring_together_and_count_as_one_endpoint() -> None:
    """The strategy between the endpoints stays; what is known of each goes along to its leg."""
    story = Story()
    first, *others = destinations("sip:a", "sip:a2", "sip:b", "sip:c", "sip:c2")
    reached = Registered(user="sip:alice@handoff.local", hop="sip:127.0.0.1:9")
    away = Refusal(status=480, reason="Registered nowhere")
    phone = others[0].model_copy(update={"together": True, "registered": reached})
    places = (first, phone, others[1].model_copy(update={"refusal": away}), others[2])
    story.event(
        ev.TransferRequested(transfer(cseq=100, endpoints=(*places, others[3].model_copy(update={"together": True}))))
    )
    assert [(leg.uri, leg.registered) for leg in story.call.legs] == [("sip:a", None), ("sip:a2", reached)]
    story.fails(486)
    assert story.fails(486, leg=2)[-1] == "INVITE leg 3"
    assert [(leg.uri, leg.refusal) for leg in story.call.legs] == [("sip:b", away)]
    assert story.fails(480, leg=3)[-2:] == ["INVITE leg 4", "INVITE leg 5"]
    story.fails(486, leg=4)
    assert story.fails(486, leg=5)[-1] == "record busy"


def test_a_group_of_users_rings_at_once_with_all_their_phones() -> None:
    story = Story()
    first, *others = destinations("sip:a", "sip:a2", "sip:b")
    places = (first, others[0].model_copy(update={"together": True}), others[1])
    story.event(ev.TransferRequested(transfer(cseq=100, endpoints=places, at_once=2)))
    assert len(story.call.legs) == 3


def test_all_of_a_group_ring_in_vain() -> None:
    story = ringing("sip:a", "sip:b")
    cancelled = ["CANCEL leg 1", "release leg 1", "CANCEL leg 2", "release leg 2"]
    assert story.waits(Deadline.RING) == [*cancelled, "NOTIFY 408 final", "record no_answer"]


def test_nobody_more_is_called_when_the_time_for_all_is_over() -> None:
    story = Story()
    places = destinations("sip:a", "sip:b", "sip:c", ring_timeout=10.0)
    story.event(ev.TransferRequested(transfer(cseq=100, endpoints=places, hunt_timeout=15.0)))
    begun = story.now
    assert story.waits(Deadline.RING) == ["CANCEL leg 1", "release leg 1", "INVITE leg 2"]
    assert story.waits(Deadline.RING)[-1] == "record no_answer"
    assert story.now - begun == pytest.approx(15.0, abs=0.1)
    assert story.call.legs_made == 2


@pytest.mark.parametrize("party", [Party.CALLER, Party.TARGET])
def test_everybody_is_let_go_when_the_transfer_ends(party: Party) -> None:
    story = ringing("sip:a", "sip:b")
    if party is Party.CALLER:
        assert story.hangs_up(party)[:3] == ["answer 200", "CANCEL leg 1", "CANCEL leg 2"]
    else:
        assert story.event(ev.TransferCancelled())[:2] == ["CANCEL leg 1", "CANCEL leg 2"]


def test_the_bye_of_one_overtakes_its_200_and_the_others_ring_on() -> None:
    story = ringing("sip:a", "sip:b")
    assert story.event(ev.TargetHungUp(7, 1)) == ["answer 200", "release leg 1"]
    assert story.answers(1) == ["BYE person-1"]


def test_one_that_cannot_be_offered_media_is_left_out() -> None:
    story = ringing("sip:a", "sip:b")
    assert story.event(ev.MediaFailed(503, "no ports left", 2)) == ["release leg 2"]
    assert story.answers(1) == ["bridge leg 1"]


def test_challenges_are_answered_with_a_higher_cseq_each_but_not_for_ever() -> None:
    story = Story()
    story.refer()
    for cseq in range(2, 2 + MOST_ANSWERS):
        assert story.event(ev.LegChallenged(1, 401, "Unauthorized", ANSWER)) == ["INVITE leg 1 again"]
        assert story.call.legs[0].cseq == cseq
    refused = ["release leg 1", "NOTIFY 401 final", "record auth_failed"]
    assert story.event(ev.LegChallenged(1, 401, "Unauthorized", ANSWER)) == refused


def test_a_challenge_that_we_cannot_answer_is_a_failure() -> None:
    story = Story()
    story.refer("sip:a", "sip:b")
    challenged = ev.LegChallenged(1, 407, "Proxy Authentication Required", ())
    assert story.event(challenged) == ["release leg 1", "INVITE leg 2"]


def test_a_redirection_is_followed_once() -> None:
    story = Story()
    story.refer()
    until = story.call.legs[0].ring_until
    assert story.event(ev.LegRedirected(1, "sip:mobile")) == ["release leg 1", "INVITE leg 2"]
    assert (story.call.legs[0].uri, story.call.legs[0].ring_until) == ("sip:mobile", until)
    refused = ["release leg 2", "NOTIFY 302 final", "record rejected"]
    assert story.event(ev.LegRedirected(2, "sip:home")) == refused
    assert statuses(story) == [302, 302]


def test_what_an_endpoint_says_after_it_was_let_go_changes_nothing() -> None:
    story = Story()
    story.refer("sip:a", "sip:b")
    story.waits(Deadline.RING)
    assert story.event(ev.LegChallenged(1, 401, "Unauthorized", ANSWER)) == []
    assert story.event(ev.LegRedirected(1, "sip:mobile")) == []
