"""A call as the adapter's tests need it, and an engine with everything in memory behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kemi.engine import Engine
from kemi.media import CallMedia
from kemi.media_actions import MediaActions
from routing import events as ev
from routing.dialog import Dialog
from routing.events import Event, LegAnswered
from routing.outcomes import Mode
from routing.records import SCHEMA, Call, Media, Party
from routing.settings_model import Speech
from routing.store import MemoryStore
from routing.transfer_record import Destination, Leg, Transfer
from rtpengine import Answer, FakeRtpengine, Offer

if TYPE_CHECKING:
    from routing.actions import Action
    from routing.stages import Stage

CALL_ID = "0123456789abcdef"


def sdp(port: int, types: str = "0", *lines: str) -> str:
    """Write a small SDP of one audio stream."""
    head = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", f"m=audio {port} RTP/AVP {types}")
    return "".join(f"{line}\r\n" for line in (*head, *lines))


def dialog(party: Party) -> Dialog:
    """Make the dialog of caller or agent."""
    return Dialog(
        call_id="trunk-call",
        local="<sip:handoff@127.0.0.1>",
        local_tag="ours",
        remote=f"<sip:{party}@127.0.0.1>",
        remote_tag=f"{party}-tag",
        remote_target=f"sip:{party}@127.0.0.1:5070",
        local_cseq=1,
    )


def anchored(pool: FakeRtpengine) -> Call:
    """Make a call whose caller and agent talk through rtpengine."""
    caller, agent = sdp(4000, "0 8"), sdp(5000)
    pool.request("fake", Offer(CALL_ID, "caller", caller))
    view = pool.request("fake", Answer(CALL_ID, "caller", "agent", agent)).sdp
    return Call(
        schema_version=SCHEMA,
        id=CALL_ID,
        node="node1",
        media_node="fake",
        pool="agents",
        may_refer=True,
        created_at=1000.0,
        caller=dialog(Party.CALLER),
        agent=dialog(Party.AGENT),
        media=Media(caller_sdp=caller, caller_view=view, agent_sdp=agent),
    )


def transfer(*endpoints: str) -> Transfer:
    """Make a transfer that a command asked for."""
    return Transfer(
        id=f"{CALL_ID}-1",
        target="support",
        mode=Mode.BLIND,
        source="command",
        endpoints=tuple(Destination(uri=uri, ring_timeout=20.0) for uri in endpoints or ("sip:person@127.0.0.1",)),
        sender="<sip:caller@127.0.0.1>",
        codecs=("PCMU", "PCMA"),
        requested_at=1000.0,
    )


def leg() -> Leg:
    """Make the first leg of a call."""
    return Leg(
        number=1,
        uri="sip:person@127.0.0.1",
        call_id=f"{CALL_ID}-1",
        tag="t",
        sender="<sip:c@h>",
        started_at=1.0,
        ring_until=21.0,
    )


def answered(body: str) -> LegAnswered:
    """Make the event of a person who answers."""
    return LegAnswered(
        leg=1,
        call_id=f"{CALL_ID}-1",
        local="<sip:caller@127.0.0.1>",
        local_tag="t",
        cseq=1,
        remote="<sip:person@127.0.0.1>",
        remote_tag="person-tag",
        remote_target="sip:person@127.0.0.1:5090",
        routes=(),
        sdp=body,
    )


@dataclass
class Recorder:
    """A performer that only remembers what it was to do."""

    done: list[Action] = field(default_factory=list)
    follow: Event | None = None

    def perform(self, action: Action, call: Call) -> Event | None:
        """Remember the action; give the prepared event once."""
        del call
        self.done.append(action)
        follow, self.follow = self.follow, None
        return follow


@dataclass
class Bench:
    """An engine with a store and an rtpengine in memory."""

    pool: FakeRtpengine = field(default_factory=FakeRtpengine)
    store: MemoryStore = field(default_factory=MemoryStore)
    performer: Recorder = field(default_factory=Recorder)
    stages: frozenset[Stage] = frozenset()

    def __post_init__(self) -> None:
        self.media = CallMedia(self.pool, silence=60.0)
        media_actions = MediaActions(self.media, Speech(folder="/nowhere"))
        self.engine = Engine("node1", self.store, media_actions, self.performer, lambda *_: None, stages=self.stages)
        self.call = anchored(self.pool)
        self.store.create(self.call)

    def handle(self, event: Event) -> Call:
        """Apply an event."""
        return self.engine.handle(CALL_ID, lambda _: event)

    def hang_up(self, event: Event) -> bool:
        """Apply a BYE; tells whether it only had to be relayed."""
        relayed: list[bool] = []
        self.engine.hang_up(CALL_ID, lambda _: event, lambda: relayed.append(True))
        return bool(relayed)

    def try_in_vain(self) -> None:
        """Make a transfer that came to nothing: the call is plain again, but not fresh."""
        self.handle(ev.TransferRequested(transfer()))
        self.call = self.handle(ev.TransferCancelled())
        self.performer.done.clear()
