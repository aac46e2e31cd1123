"""What a rule of the transfer machine is, and the small steps that rules are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from routing.actions import Action, Reason, RecordTransfer, ReleaseMedia, SendBye, SendNotify
from routing.dialog import Dialog
from routing.events import Event
from routing.records import HISTORY, Call, Deadline, Party, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from routing.events import LegAnswered
    from routing.outcomes import Outcome
    from routing.transfer_record import Transfer

Step = tuple[Call, list[Action]]
E = TypeVar("E", bound=Event)

ELSEWHERE = Reason(200, "Call completed elsewhere")
TERMINATED = Reason(487, "Request Terminated")
TIMED_OUT = Reason(408, "Request Timeout")


class IllegalEventError(Exception):
    """An event came that cannot happen in the state that the call is in; nothing was changed."""

    def __init__(self, call: Call, event: Event) -> None:
        """Keep what is needed to say which event met which state."""
        self.text = f"{type(event).__name__} cannot happen while call {call.id} is {call.state}; nothing was changed"
        super().__init__(self.text)


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table: what to do, and the states it may lead to; none given means it stays."""

    name: str
    apply: Callable[[Call, Any, float], Step]
    leads: tuple[State, ...]

    def __call__(self, call: Call, event: Event, now: float) -> Step:
        """Apply the rule."""
        return self.apply(call, event, now)


def leads_to(*states: State) -> Callable[[Callable[[Call, E, float], Step]], Rule]:
    """Make a rule of a function, and say where it leads, so that the diagram can be drawn from the table."""

    def mark(function: Callable[[Call, E, float], Step]) -> Rule:
        return Rule(function.__name__, function, states)

    return mark


def advance(call: Call, party: Party, received: int = 0) -> tuple[Call, Dialog, int]:
    """Take the next CSeq for a request of ours to a party that has a dialog."""
    dialog = call.dialog(party)
    assert dialog is not None, f"{party} has no dialog"
    dialog = _number(dialog, received)
    return call.with_dialog(party, dialog), dialog, dialog.local_cseq


def _number(dialog: Dialog, received: int = 0) -> Dialog:
    return dialog.model_copy(update={"local_cseq": dialog.next_cseq(received)})


def tell_agent(call: Call, status: int, reason: str, *, final: bool = False) -> Step:
    """NOTIFY the agent how its REFER stands, if it sent one and wants to know; even when it has left meanwhile."""
    subscription = call.transfer.subscription if call.transfer else None
    if subscription is None or not subscription.notify:
        return call, []
    if call.agent is not None:
        call, dialog, cseq = advance(call, Party.AGENT)
    else:
        assert subscription.dialog is not None, "an agent that leaves goes on with its subscription"
        dialog = _number(subscription.dialog)
        cseq = dialog.local_cseq
        call = update_transfer(call, subscription=subscription.model_copy(update={"dialog": dialog}))
    return call, [SendNotify(dialog, cseq, subscription.event_id, status, reason, final)]


def let_agent_go(call: Call) -> Call:
    """Take the agent out of the call; the subscription that its REFER made lives on."""
    if call.transfer and call.transfer.subscription:
        subscription = call.transfer.subscription.model_copy(update={"dialog": call.agent})
        call = update_transfer(call, subscription=subscription)
    return call.with_dialog(Party.AGENT, None)


def release(call: Call, party: Party, reason: Reason | None) -> Step:
    """BYE a party, if it still has a dialog; it has none afterwards, but for the caller."""
    if call.dialog(party) is None:
        return call, []
    call, dialog, cseq = advance(call, party)
    if party is Party.AGENT:
        call = let_agent_go(call)
    if party is Party.TARGET:
        call = call.with_dialog(party, None)
    return call, [SendBye(dialog, cseq, reason)]


_LASTING = frozenset({Deadline.CHECK, Deadline.REFRESH, Deadline.OFFER})


def enter(call: Call, state: State, **deadlines: float) -> Call:
    """Go on to a state with the deadlines of its own; those that do not depend on the state stay."""
    kept = {name: at for name, at in call.deadlines.items() if name in _LASTING}
    own = {Deadline(name): at for name, at in deadlines.items()}
    return call.model_copy(update={"state": state, "deadlines": kept | own})


def finish(call: Call, outcome: Outcome, status: int, reason: str, now: float) -> Step:
    """Close the transfer under way with its one outcome."""
    assert call.transfer is not None, "no transfer is under way"
    subscription = call.transfer.subscription and call.transfer.subscription.model_copy(update={"dialog": None})
    done = call.transfer.model_copy(
        update={
            "subscription": subscription,
            "fallback": None,
            "referral": None,
            "outcome": outcome,
            "status": status,
            "reason": reason,
            "ended_at": now,
            "origin": call.origin,
        }
    )
    # The call log has what was said; here it would be read and written with each event to come.
    said = {"announce": None, "apology": None, "message": None, "summary": "", "accept": None}
    kept = done.model_copy(update=said | {"origin": None})
    history = (*call.history, kept)[-HISTORY:]
    return call.model_copy(update={"transfer": None, "history": history}), [RecordTransfer(done)]


def end(call: Call, reason: Reason | None, *gone: Party) -> Step:
    """End the call: BYE everyone who is not gone already, and release the media."""
    actions: list[Action] = []
    for party in Party:
        if party not in gone:
            call, byes = release(call, party, reason)
            actions += byes
    nothing_left: dict[str, object] = {
        "leg": None,
        "legs": (),
        "agent": None,
        "target": None,
        "exchange": None,
        "deadlines": {},
    }
    return call.model_copy(update={"state": State.ENDED, **nothing_left}), [*actions, ReleaseMedia()]


def dialog_of(event: LegAnswered, ca_file: str = "") -> Dialog:
    """Make the dialog that a leg's 2xx established."""
    return Dialog(
        call_id=event.call_id,
        local=event.local,
        local_tag=event.local_tag,
        remote=event.remote,
        remote_tag=event.remote_tag,
        remote_target=event.remote_target,
        routes=event.routes,
        local_cseq=event.cseq,
        ca_file=ca_file,
    )


def update_transfer(call: Call, **changes: object) -> Call:
    """Make the same call with something noted in its transfer under way."""
    transfer: Transfer | None = call.transfer and call.transfer.model_copy(update=changes)
    return call.model_copy(update={"transfer": transfer})
