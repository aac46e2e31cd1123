"""Looks on while things happen to a call, and sees to it that what must hold of every call does hold of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.records import HISTORY, Call, Deadline, Party, State, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.actions import Action
    from routing.dialog import Dialog

BRIEFED = {State.BRIEFING, State.ACCEPTING, State.DECLINING}
UNDER_WAY = {State.ANNOUNCING, State.REFERRING, State.CALLING, State.RINGING, State.BRIDGING, *BRIEFED}
JOINED = {State.LEAVING, State.CONNECTED}
HEARING = {State.ANNOUNCING, State.APOLOGISING, State.PARTING, *BRIEFED}
OWNERS = {
    Deadline.REFERRAL: {State.REFERRING},
    Deadline.RING: {State.CALLING, State.RINGING},
    Deadline.BRIDGE: {State.BRIDGING},
    Deadline.AGENT_BYE: {State.LEAVING},
}
"""The states that have a deadline, always, and no other state has it."""


def key(dialog: Dialog) -> tuple[str, str, str]:
    """Name a dialog (RFC 3261 section 12), as handoff sees it."""
    return dialog.call_id, dialog.local_tag, dialog.remote_tag


class Audit:
    """What has become of a call's dialogs, legs, transfers and media so far."""

    def __init__(self, call: Call) -> None:
        """Begin with a call of which nothing is known yet."""
        self.sent: dict[tuple[str, str, str], int] = {}
        self.open: set[tuple[str, str, str]] = {key(call.caller)} | ({key(call.agent)} if call.agent else set())
        self.ringing: set[int] = set()
        self.leg_media: set[int] = set()
        self.notified: dict[str, list[tuple[int, bool]]] = {}
        self.begun: dict[str, bool] = {}
        self.recorded: list[str] = []
        self.released = 0
        self.muted = False

    def look(self, before: Call, event: ev.Event, after: Call, actions: Sequence[Action]) -> None:
        """Check one step."""
        assert decode(after.id, encode(after)) == after
        self._begun(before, after)
        self._closed_by_event(before, event, after)
        for action in actions:
            self._did(action, before, after)
        self._answered(event, actions)
        if any(isinstance(action, do.BridgeMedia) for action in actions):
            assert isinstance(actions[-1], do.BridgeMedia), "what follows a bridge is a step of its own"
        assert_shape(after)
        self._ended(before, after, actions)

    def _begun(self, before: Call, after: Call) -> None:
        if after.transfer and (not before.transfer or before.transfer.id != after.transfer.id):
            subscription = after.transfer.subscription
            if before.transfer:
                self.begun[list(self.begun)[-1]] = False  # the fallback tells the agent in its place
            transfer_id = f"{after.transfer.id} {len(self.begun)}"
            self.begun[transfer_id] = bool(subscription and subscription.notify)
            self.notified[transfer_id] = []
        if after.target and not before.target:
            self.open.add(key(after.target))

    def _closed_by_event(self, before: Call, event: ev.Event, after: Call) -> None:
        if isinstance(event, ev.HungUp):
            gone = before.dialog(event.party)
            again = before.state is State.PARTING and event.party is Party.CALLER
            if gone is not None and not again:
                self.open.remove(key(gone))
        if isinstance(event, ev.LegAnswered):
            self.sent.setdefault((event.call_id, event.local_tag, event.remote_tag), event.cseq)
        failing = ev.LegFailed | ev.LegAnswered | ev.TargetHungUp | ev.LegChallenged | ev.LegRedirected
        if isinstance(event, failing):
            self.ringing.discard(event.leg)
        if isinstance(event, ev.MediaBridged):
            self.muted = False
        if isinstance(event, ev.MediaFailed):
            self.ringing.discard(event.leg)  # it was never invited
        if isinstance(event, ev.MediaBridged):
            assert before.leg is not None
            self.leg_media.remove(before.leg.number)

    def _did(self, action: Action, before: Call, after: Call) -> None:  # noqa: C901, PLR0912 one look at each kind
        if isinstance(action, do.RelayRequest | do.SendNotify | do.SendBye | do.RefreshSession | do.SendRefer):
            last = self.sent.get(key(action.dialog), 0)
            assert action.cseq > last, f"CSeq {action.cseq} does not rise above {last}"
            self.sent[key(action.dialog)] = action.cseq
        if isinstance(action, do.SendBye):
            self.open.discard(key(action.dialog))
        if isinstance(action, do.RelayRequest) and after.state is State.ENDED:
            self.open.remove(key(action.dialog))
        if isinstance(action, do.InviteLeg):
            assert action.leg.number not in self.leg_media
            self.leg_media.add(action.leg.number)
            self.ringing.add(action.leg.number)
        if isinstance(action, do.InviteAgain):
            self.ringing.add(action.leg.number)
        if isinstance(action, do.HoldCaller):
            self.muted = True
        if isinstance(action, do.ResumeAgent):
            assert after.agent is not None
            self.muted = False
        if isinstance(action, do.OpenLeg):
            assert action.leg.number in self.leg_media
        if isinstance(action, do.CancelLeg):
            self.ringing.discard(int(action.call_id.rpartition("-")[2]))
        if isinstance(action, do.ReleaseLegMedia):
            self.leg_media.remove(action.leg)
        if isinstance(action, do.ReleaseMedia):
            self.released += 1
            self.leg_media.clear()
        if isinstance(action, do.SendNotify):
            self.notified[list(self.begun)[-1]].append((action.status, action.final))
        if isinstance(action, do.RecordTransfer):
            assert action.transfer.outcome is not None
            assert action.transfer.status is not None
            assert action.transfer.ended_at is not None
            begun = [name for name in self.begun if name.startswith(f"{action.transfer.id} ")]
            self.recorded.append(next(name for name in begun if name not in self.recorded))

    def _answered(self, event: ev.Event, actions: Sequence[Action]) -> None:
        answers = [a for a in actions if isinstance(a, do.AcceptRequest | do.RefuseRequest | do.RelayRequest)]
        by_command = isinstance(event, ev.TransferRequested) and event.transfer.subscription is None
        by_command = by_command or (isinstance(event, ev.SummaryGiven) and not event.request)
        if by_command or isinstance(event, ev.TransferCancelled):
            assert all(isinstance(answer, do.RefuseRequest) for answer in answers)
        elif isinstance(event, ev.SummaryGiven | ev.KeyPressed):
            assert len(answers) == event.request
        else:
            requests = ev.HungUp | ev.RequestReceived | ev.TransferRequested | ev.ReferralReported
            is_request = isinstance(event, requests)
            assert len(answers) == is_request, "a request has one answer, and nothing else has any"

    def _ended(self, before: Call, after: Call, actions: Sequence[Action]) -> None:
        ended_now = after.state is State.ENDED and before.state is not State.ENDED
        assert self.released == (after.state is State.ENDED), "media is released once, at the end"
        assert any(isinstance(action, do.ForgetCall) for action in actions) == ended_now
        if before.state is State.ENDED:
            stray = do.SendBye | do.CancelLeg | do.AcceptRequest | do.RefuseRequest
            assert all(isinstance(action, stray) for action in actions), "nothing is begun after the end"
        if after.state is State.ENDED:
            assert not ended_now or isinstance(actions[-1], do.ForgetCall)
            assert not self.open, f"left hanging: {self.open}"
        if after.state is State.TALKING:
            assert not self.muted, "caller and agent hear one another"
        if after.transfer is None:
            self.no_transfer_left(after)

    def no_transfer_left(self, call: Call) -> None:
        """Check that each transfer has one outcome and one final NOTIFY, and that no phone rings."""
        assert sorted(self.recorded) == sorted(self.begun)
        for name, wants in self.begun.items():
            finals = [final for _, final in self.notified[name]]
            assert finals.count(True) == wants
            assert not wants or finals[-1], "nothing is told after the end"
        assert not self.ringing
        assert not self.leg_media or call.state is State.PARTING


def assert_shape(call: Call) -> None:
    """Check that a call has what its state needs, and nothing else."""
    state = call.state
    for name, owners in OWNERS.items():
        assert (name in call.deadlines) == (state in owners), f"{name} while {state}"
    hearing = {Deadline.SOUND, Deadline.HEARD} & call.deadlines.keys()
    assert len(hearing) == (state in HEARING), f"{hearing} while {state}"
    assert (Deadline.CHECK in call.deadlines) == (state not in {State.PARTING, State.ENDED})
    assert Deadline.OFFER not in call.deadlines or state not in {State.PARTING, State.ENDED}
    handed_over = state in JOINED or (call.agent_leg > 0 and state not in {State.PARTING, State.ENDED})
    assert (Deadline.REFRESH in call.deadlines) == (handed_over and call.session_timer is not None)
    assert (call.transfer is not None) == (state in UNDER_WAY or (state is State.APOLOGISING and waits(call)))
    assert (call.target is not None) == (state in {State.BRIDGING, State.PARTING, *BRIEFED, *JOINED})
    calling = {State.ANNOUNCING, State.REFERRING, State.CALLING, State.RINGING}
    asked = call.transfer.referral if call.transfer else None
    assert (asked is not None) == (state is State.REFERRING)
    assert (call.leg is not None) == (state in {State.PARTING, *UNDER_WAY, *JOINED} - calling)
    assert bool(call.legs) == (state in {State.CALLING, State.RINGING})
    assert call.agent is not None or state not in {State.TALKING, State.LEAVING}
    assert call.agent is None or state not in {State.CONNECTED, State.PARTING, State.ENDED}
    assert call.agent is None or state is not State.APOLOGISING or waits(call)
    assert call.exchange is None or state not in {State.PARTING, State.ENDED}
    assert len(call.history) <= HISTORY
    assert call.plain == (state in {State.TALKING, State.CONNECTED})
    assert call.dialog(Party.CALLER) is call.caller


def waits(call: Call) -> bool:
    """Say whether the agent is to be told only when the caller has heard the apology."""
    return call.transfer is not None and call.transfer.outcome is not None
