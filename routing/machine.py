"""The transfer machine: one pure function, `step`, and one table, `TABLE`.

A call is always in one of the states of `routing.records.State`:

- talking: caller and agent talk; no transfer is under way. Here the agent may also be a person whom the call was
  handed over to, and whose own try to hand it on has failed.
- announcing: the caller hears that it will be handed over.
- referring: the caller's side was asked to call the target itself, and has not said yet how that went.
- calling, ringing: an endpoint of the target has been sent INVITE, and has sent 180. Caller and agent still talk, or
  the caller hears music. The agent may have left already, which changes little but whom a failure is told to.
- briefing: the target has answered and hears the message or summary; the caller hears music.
- accepting: the person is asked for the key by which it takes the call.
- declining: the person did not take it, and hears goodbye.
- bridging: rtpengine is joining caller and target. Written down before it is done, so that another node can finish it.
- leaving: caller and target talk; the agent has been told and should send BYE.
- connected: caller and target talk and the agent is gone. To hand the call on, the target becomes the agent.
- apologising: the transfer failed, and the caller hears why. Then it is the agent's again, or it is released.
- parting: the caller has left, and the person who was being briefed hears so.
- ended: nothing is left.

`TABLE` has a rule for every pair of event and state. A pair that cannot happen is `illegal`: it raises and changes
nothing. The rules themselves are in `routing.rules_transfer`, `rules_briefing`, `rules_failing`, `rules_referring`,
`rules_dialogs`, `rules_crossed` and `rules_strays`. What concerns a leg, a party or a deadline that is no longer the
call's has rows of its own, the stray ones: it is answered, so that no phone goes on ringing and no BYE goes unheard, and
changes nothing either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from routing import events as ev
from routing import rules_briefing as b
from routing import rules_crossed as c
from routing import rules_dialogs as d
from routing import rules_failing as f
from routing import rules_referring as r
from routing import rules_strays as s
from routing import rules_transfer as t
from routing.records import Deadline, State

if TYPE_CHECKING:
    from routing.actions import Action
    from routing.records import Call
    from routing.rule import Rule

Row = type[ev.Event] | Deadline | str

_COLUMNS = tuple(State)
"""The states in the order in which a call may go through them, as the cells of each row below."""

STRAY_ANSWERED = "stray LegAnswered"
STRAY_RANG = "stray LegRang"
STRAY_FAILED = "stray LegFailed"
STRAY_HUNG_UP = "stray HungUp"
STRAY_LOST = "stray PartyLost"
STRAY_REQUEST = "stray RequestReceived"
STRAY_DEADLINE = "stray DeadlinePassed"
_OF_A_LEG = ev.LegRang | ev.LegAnswered | ev.LegFailed | ev.LegChallenged | ev.LegRedirected
_STRAY_LEG: dict[type[ev.Event], str] = {
    ev.LegAnswered: STRAY_ANSWERED,
    ev.LegRang: STRAY_RANG,
    ev.LegFailed: STRAY_FAILED,
    ev.LegChallenged: STRAY_FAILED,
    ev.LegRedirected: STRAY_FAILED,
}
_STRAY_PARTY: dict[type[ev.Event], str] = {
    ev.AgentHungUp: STRAY_HUNG_UP,
    ev.TargetHungUp: STRAY_HUNG_UP,
    ev.PartyLost: STRAY_LOST,
    ev.RequestReceived: STRAY_REQUEST,
}

# fmt: off
_ROWS: tuple[tuple[Row, tuple[Rule, ...]], ...] = (
    #                           talking             announcing          referring           calling             ringing             briefing            accepting           declining           bridging            leaving             connected           apologising         parting             ended
    (ev.TransferRequested,       (t.begin,            t.again,            t.again,            t.again,            t.again,            t.again,            t.again,            t.again,            t.again,            t.again,            t.hand_on,          t.too_late,         t.too_late,         s.illegal)),
    (ev.TransferCancelled,       (f.no_transfer,      f.cancel,           f.cancel,           f.cancel,           f.cancel,           f.cancel,           f.cancel,           f.cancel,           f.no_transfer,      f.no_transfer,      f.no_transfer,      f.no_transfer,      f.no_transfer,      s.illegal)),
    (ev.ReferAnswered,            (s.nothing,          s.nothing,          r.refer_answered,   s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal)),
    (ev.ReferralReported,         (r.referral_over,    r.referral_over,    r.referral_reported,r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    r.referral_over,    s.illegal)),
    (ev.SummaryGiven,            (b.no_summary,       b.take_summary,     b.take_summary,     b.take_summary,     b.take_summary,     b.summary_too_late, b.summary_too_late, b.summary_too_late, b.summary_too_late, b.no_summary,       b.no_summary,       b.no_summary,       b.no_summary,       s.illegal)),
    (ev.ConsultationOver,         (d.linger,           s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal)),
    (ev.LegRang,                 (s.illegal,          s.illegal,          s.illegal,          t.ring,             t.ring_too,         s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal,          s.nothing,          s.illegal)),
    (ev.LegAnswered,             (s.illegal,          s.illegal,          s.illegal,          t.answer,           t.answer,           s.answer_again,     s.answer_again,     s.answer_again,     s.answer_again,     s.answer_again,     s.answer_again,     s.illegal,          s.answer_again,     s.illegal)),
    (ev.LegFailed,               (s.illegal,          s.illegal,          s.illegal,          f.leg_failed,       f.leg_failed,       s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal,          s.nothing,          s.illegal)),
    (ev.LegChallenged,           (s.illegal,          s.illegal,          s.illegal,          f.challenged,       f.challenged,       s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal,          s.nothing,          s.illegal)),
    (ev.LegRedirected,           (s.illegal,          s.illegal,          s.illegal,          f.redirected,       f.redirected,       s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal,          s.nothing,          s.illegal)),
    (STRAY_ANSWERED,             (s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered,    s.drop_answered)),
    (STRAY_RANG,                 (s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing,     s.drop_ringing)),
    (STRAY_FAILED,               (s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing)),
    (STRAY_HUNG_UP,              (s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too,      s.hung_up_too)),
    (STRAY_LOST,                 (s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing)),
    (STRAY_REQUEST,              (s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog,        s.no_dialog)),
    (STRAY_DEADLINE,             (s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.nothing)),
    (ev.MediaBridged,            (s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          t.bridged,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (ev.MediaFailed,             (s.nothing,          s.nothing,          s.nothing,          f.offer_failed,     f.offer_failed,     f.answer_failed,    s.nothing,          s.nothing,          f.bridge_failed,    s.nothing,          s.nothing,          s.nothing,          s.nothing,          s.illegal)),
    (ev.SoundStarted,            (s.illegal,          b.started,          s.illegal,          s.illegal,          s.illegal,          b.started,          b.started,          b.started,          s.illegal,          s.illegal,          s.illegal,          b.started,          b.started,          s.illegal)),
    (ev.SoundMissing,            (s.illegal,          b.missing,          s.illegal,          s.illegal,          s.illegal,          b.missing,          b.missing,          b.missing,          s.illegal,          s.illegal,          s.illegal,          b.missing,          b.missing,          s.illegal)),
    (ev.KeyPressed,              (s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          b.key_early,        b.key,              b.ignore_key,       b.ignore_key,       s.illegal,          s.illegal,          s.illegal,          b.ignore_key,       s.illegal)),
    (ev.MediaLost,               (d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       d.media_lost,       s.illegal)),
    (ev.CallerHungUp,            (d.hang_up,          d.abandon,          d.abandon,          d.abandon,          d.abandon,          b.part,             b.part,             b.part,             d.abandon,          d.hang_up,          d.hang_up,          d.hang_up_sorry,    s.hung_up_too,      s.illegal)),
    (ev.AgentHungUp,             (d.hang_up,          d.agent_left,       d.agent_left,       d.agent_left,       d.agent_left,       d.agent_left,       d.agent_left,       d.agent_left,       d.agent_left,       t.agent_gone,       s.illegal,          d.agent_left,       s.illegal,          s.illegal)),
    (ev.TargetHungUp,            (s.illegal,          s.illegal,          s.illegal,          f.target_overtook,  f.target_overtook,  b.hung_up,          b.hung_up,          b.hung_up,          f.target_left,      d.hang_up,          d.hang_up,          s.illegal,          b.left_alone,       s.illegal)),
    (ev.PartyLost,               (d.lost,             d.lost_waiting,     d.lost_waiting,     d.lost_waiting,     d.lost_waiting,     d.lost_bridging,    d.lost_bridging,    d.lost_bridging,    d.lost_bridging,    d.lost_leaving,     d.lost,             d.lost_sorry,       s.nothing,          s.illegal)),
    (ev.RequestReceived,         (d.relay,            d.relay,            d.relay,            d.relay,            d.relay,            d.relay,            d.relay,            d.relay,            d.retry_later,      d.relay,            d.relay,            d.retry_later,      d.retry_later,      s.illegal)),
    (ev.SessionChanged,          (d.change_session,   d.change_session,   d.change_session,   d.change_session,   d.change_session,   d.change_session,   d.change_session,   d.change_session,   d.resume_bridge,    d.change_session,   d.change_session,   d.change_session,   s.nothing,          s.illegal)),
    (ev.OfferRejected,           (d.keep_session,     d.keep_session,     d.keep_session,     d.keep_session,     d.keep_session,     d.keep_session,     d.keep_session,     d.keep_session,     d.resume_bridge,    d.keep_session,     d.keep_session,     d.keep_session,     s.nothing,          s.illegal)),
    (ev.OfferCrossed,            (c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          c.put_off,          s.nothing,          s.illegal)),
    (Deadline.REFERRAL,           (s.illegal,          s.illegal,          r.unreported,       s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (Deadline.RING,              (s.illegal,          s.illegal,          s.illegal,          f.ring_timeout,     f.ring_timeout,     s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (Deadline.SOUND,             (s.illegal,          b.hear,             s.illegal,          s.illegal,          s.illegal,          b.hear,             b.hear,             b.hear,             s.illegal,          s.illegal,          s.illegal,          b.hear,             b.hear,             s.illegal)),
    (Deadline.HEARD,             (s.illegal,          b.announced,        s.illegal,          s.illegal,          s.illegal,          b.briefed,          b.unanswered,       b.declined,         s.illegal,          s.illegal,          s.illegal,          f.apologised,       b.parted,           s.illegal)),
    (Deadline.BRIDGE,            (s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          t.bridge_again,     s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (Deadline.AGENT_BYE,         (s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          t.release_agent,    s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (Deadline.CONSULTED,          (d.end_consultation, s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal,          s.illegal)),
    (Deadline.CHECK,             (d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      d.check_media,      s.illegal,          s.illegal)),
    (Deadline.REFRESH,           (d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          d.refresh,          s.illegal,          s.illegal)),
    (Deadline.OFFER,             (c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      c.offer_again,      s.illegal,          s.illegal)),
)
# fmt: on

TABLE: dict[tuple[State, Row], Rule] = {
    (state, row): rule for row, rules in _ROWS for state, rule in zip(_COLUMNS, rules, strict=True)
}


def row_of(call: Call, event: ev.Event, now: float) -> Row:
    """Find the row of an event: its type, the name of its deadline, or that of what is no longer current."""
    if isinstance(event, ev.DeadlinePassed):
        return event.name if call.deadlines.get(event.name, math.inf) <= now else STRAY_DEADLINE
    if isinstance(event, _OF_A_LEG):
        answered = call.leg is not None and call.leg.number == event.leg
        return type(event) if answered or call.calling(event.leg) else _STRAY_LEG[type(event)]
    if isinstance(event, ev.HungUp | ev.PartyLost | ev.RequestReceived) and call.dialog(event.party) is None:
        overtook = isinstance(event, ev.TargetHungUp) and call.calling(event.leg)
        return type(event) if overtook else _STRAY_PARTY[type(event)]
    return type(event)


def step(call: Call, event: ev.Event, now: float) -> tuple[Call, tuple[Action, ...]]:
    """Apply one event: give the changed call and what is to be done, in this order.

    `now` is in seconds since the epoch. Raises IllegalEventError where the pair of state and event cannot happen.
    """
    changed, actions = TABLE[call.state, row_of(call, event, now)](call, event, now)
    return changed, tuple(actions)
