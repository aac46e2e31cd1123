"""Whatever happens to a call, in whatever order: what must hold holds after each step, and every path ends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from routing import events as ev
from routing.machine import TABLE, row_of
from routing.outcomes import Mode, outcome_of
from routing.records import Deadline, Party, SessionTimer, State, encode
from routing.rule import IllegalEventError
from routing.transfer_record import Delivery, Hold, Sound, Standard
from tests.routing.calls import ACCEPT, ANNOUNCEMENT, APOLOGY, MESSAGE, Story, answered, talking, transfer, warm

STATUSES = st.sampled_from([302, 401, 404, 408, 486, 500, 603])
SETTLED = {State.TALKING, State.CONNECTED, State.ENDED}
PARTIES = st.sampled_from(Party)
CHANGING = Deadline.RING, Deadline.SOUND, Deadline.HEARD, Deadline.BRIDGE, Deadline.AGENT_BYE


SHAPES: list[dict[str, object]] = [
    {},
    {"mode": Mode.SUMMARY, "summary": "a", "deliver": (Delivery.SPEECH, Delivery.MESSAGE)},
    {"accept": ACCEPT, "apology": APOLOGY},
    {"mode": Mode.BLIND, "message": None, "accept": ACCEPT, "hold": Hold.AGENT},
    {"announce": ANNOUNCEMENT, "hold": Hold.AGENT, "patience": 0.0},
    {"at_once": 2, "hunt_timeout": 25.0},
    {"fallback": warm("sip:other@127.0.0.1", id="fallback", announce=ANNOUNCEMENT)},
    {"fallback": transfer("sip:other@127.0.0.1", id="fallback"), "apology": APOLOGY},
]


class Calls(RuleBasedStateMachine):
    """A call to which anything may happen at any time; `Story` audits each step."""

    @initialize(timed=st.booleans())
    def begin(self, *, timed: bool) -> None:
        """Let caller and agent talk."""
        self.story = Story(talking(session_timer=SessionTimer(interval=90, method="UPDATE") if timed else None))
        self.unique = itertools.count(1000)

    def happens(self, event: ev.Event) -> None:
        """Let an event come; one that is illegal must raise and change nothing."""
        story = self.story
        before, bytes_before = story.call, encode(story.call)
        cell = TABLE[before.state, row_of(before, event, story.now + 0.01)]
        if cell.name == "illegal":
            with pytest.raises(IllegalEventError):
                story.event(event)
            assert story.call is before
        else:
            story.event(event)
        assert encode(before) == bytes_before

    def leg(self, back: int) -> int:
        """Number the current leg, or one that was before it."""
        return max(0, self.story.call.legs_made - back)

    @rule(endpoints=st.integers(1, 3), notify=st.booleans())
    def refer(self, endpoints: int, *, notify: bool) -> None:
        """Let the agent send a new REFER."""
        uris = [f"sip:desk{number}@127.0.0.1" for number in range(endpoints)]
        self.happens(ev.TransferRequested(transfer(*uris, cseq=next(self.unique), notify=notify)))

    @rule(endpoints=st.integers(1, 3))
    def command(self, endpoints: int) -> None:
        """Let a person give the command."""
        self.happens(ev.TransferRequested(transfer(*[f"sip:desk{number}@127.0.0.1" for number in range(endpoints)])))

    @rule(shape=st.sampled_from(SHAPES), endpoints=st.integers(1, 2))
    def refer_warm(self, shape: dict[str, object], endpoints: int) -> None:
        """Let the agent send a REFER for a transfer in which somebody hears something."""
        uris = [f"sip:desk{number}@127.0.0.1" for number in range(endpoints)]
        self.happens(ev.TransferRequested(warm(*uris, cseq=next(self.unique), **shape)))

    @rule(seconds=st.floats(0, 60), missing=st.booleans(), sound=st.sampled_from([MESSAGE, Standard.MESSAGE]))
    def sounds(self, seconds: float, sound: Sound | Standard, *, missing: bool) -> None:
        """Let a sound have begun, or not be there."""
        party = self.story.listener
        self.happens(ev.SoundMissing(party, sound) if missing else ev.SoundStarted(party, seconds))

    @rule(key=st.sampled_from("125"), request=st.booleans())
    def presses(self, key: str, *, request: bool) -> None:
        """Let the person press a key."""
        self.happens(ev.KeyPressed(key, request))

    @rule(request=st.booleans())
    def summarises(self, *, request: bool) -> None:
        """Let a summary be given."""
        self.happens(ev.SummaryGiven("It is about a refund.", request))

    @rule()
    def refer_again(self) -> None:
        """Let the last REFER come once more: nobody is called for it."""
        old = self.story.call.transfer or (self.story.call.history or (None,))[-1]
        if old is not None and old.subscription is not None:
            legs = self.story.call.legs_made
            self.happens(ev.TransferRequested(transfer(cseq=old.subscription.cseq)))
            assert self.story.call.legs_made == legs

    @rule()
    def crosses(self) -> None:
        """Let an offer of ours cross one of the caller's."""
        self.happens(ev.OfferCrossed(1.0))

    @rule()
    def cancel(self) -> None:
        """Let a person give up the transfer."""
        self.happens(ev.TransferCancelled())

    @rule()
    def consultation_is_over(self) -> None:
        """Let the person have been put through in another call."""
        self.happens(ev.ConsultationOver())

    @rule(back=st.integers(0, 2))
    def rings(self, back: int) -> None:
        """Let an endpoint ring, current or not."""
        self.happens(ev.LegRang(self.leg(back)))

    @rule(back=st.integers(0, 1), forked=st.booleans())
    def answers(self, back: int, *, forked: bool) -> None:
        """Let a person answer: the one whose dialog the call has once more, perhaps, or one nobody knows."""
        leg, target = self.leg(back), self.story.call.target
        current = self.story.call.leg is not None and leg == self.story.call.leg.number
        known = target is not None and current and not forked
        tag = target.remote_tag.partition("-")[0] if known and target else f"person{next(self.unique)}"
        self.happens(answered(leg, remote_tag=tag))

    @rule(back=st.integers(0, 1), status=STATUSES, heard=st.booleans())
    def fails(self, back: int, status: int, *, heard: bool) -> None:
        """Let an endpoint refuse."""
        self.happens(ev.LegFailed(self.leg(back), status, outcome_of(status), heard))

    @rule(back=st.integers(0, 2), can=st.booleans())
    def challenges(self, back: int, *, can: bool) -> None:
        """Let an endpoint ask who calls."""
        answer = (("Authorization", "Digest"),) if can else ()
        self.happens(ev.LegChallenged(self.leg(back), 401, "Unauthorized", answer))

    @rule(back=st.integers(0, 2))
    def redirects(self, back: int) -> None:
        """Let an endpoint send us elsewhere."""
        self.happens(ev.LegRedirected(self.leg(back), "sip:elsewhere@127.0.0.1"))

    @rule(back=st.integers(0, 2))
    def cannot_be_offered(self, back: int) -> None:
        """Let rtpengine make no offer."""
        self.happens(ev.MediaFailed(503, "no ports left", self.leg(back)))

    @rule(fails=st.booleans())
    def bridges(self, *, fails: bool) -> None:
        """Let rtpengine say how it went."""
        self.happens(ev.MediaFailed(500, "no answer") if fails else ev.MediaBridged(0.002))

    @rule(kind=st.sampled_from([ev.AgentHungUp, ev.AgentHungUp, ev.TargetHungUp, ev.CallerHungUp]))
    def hangs_up(self, kind: type[ev.AgentHungUp | ev.TargetHungUp | ev.CallerHungUp]) -> None:
        """Let a party send BYE."""
        self.happens(kind(next(self.unique)))

    @rule(back=st.integers(0, 1))
    def hangs_up_before_its_answer_is_handled(self, back: int) -> None:
        """Let the BYE of a person overtake the 200."""
        self.happens(ev.TargetHungUp(next(self.unique), self.leg(back)))

    @rule()
    def media_is_lost(self) -> None:
        """Let rtpengine know nothing of the call any more."""
        self.happens(ev.MediaLost("no media"))

    @rule(party=PARTIES)
    def vanishes(self, party: Party) -> None:
        """Let a party be gone."""
        self.happens(ev.PartyLost(party, "no media"))

    @rule(party=PARTIES, method=st.sampled_from(["INVITE", "UPDATE", "INFO"]), cseq=st.integers(1, 2000))
    def requests(self, party: Party, method: str, cseq: int) -> None:
        """Let a party send a request within its dialog."""
        self.happens(ev.RequestReceived(party, method, cseq, f"sip:{party}@127.0.0.1", offer=method != "INFO"))

    @rule(party=PARTIES, accepted=st.booleans(), answer=st.sampled_from(["answer", ""]))
    def settles(self, party: Party, answer: str, *, accepted: bool) -> None:
        """Let an offer be answered, now or later, or rejected."""
        changed = ev.SessionChanged(party, "offer", answer, "view", "sip:there@127.0.0.1")
        self.happens(changed if accepted else ev.OfferRejected(party))

    @rule(name=st.sampled_from(Deadline), seconds=st.floats(0, 3))
    def time_passes(self, name: Deadline, seconds: float) -> None:
        """Let a while pass, and a deadline with it, or none."""
        self.story.now = max(self.story.now + seconds, self.story.call.deadlines.get(name, 0.0))
        self.happens(ev.DeadlinePassed(name))

    @invariant()
    def asks_to_be_looked_at(self) -> None:
        """A call that lives has a deadline, so that it is never forgotten by everyone."""
        assert (self.story.call.next_deadline is None) == (self.story.state is State.ENDED)

    def teardown(self) -> None:
        """Let nothing come any more but the deadlines: the transfer ends; then let the caller hang up."""
        story = self.story
        for _ in range(40):
            if story.state in SETTLED:
                break
            name = next(name for name in CHANGING if name in story.call.deadlines)
            story.waits(name)
            if name is Deadline.SOUND:
                story.starts()
            if story.state is State.BRIDGING:
                story.bridged()
        assert story.state in SETTLED
        if story.state is not State.ENDED:
            story.hangs_up(Party.CALLER)
        assert story.state is State.ENDED


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
