"""Calls for the tests of the machine, and stories: what happens to a call and what is done about it, in short words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing import actions as do
from routing import events as ev
from routing.dialog import Dialog
from routing.machine import step
from routing.outcomes import Mode
from routing.records import Call, Deadline, Media, Party, SessionTimer, State
from routing.transfer_record import Accept, Destination, Hold, Sound, Standard, Subscription, Transfer
from tests.routing.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.actions import Action

NOW = 1_000_000.0
RING_TIMEOUT = 20.0
CALL_ID = "00c0ffee00c0ffee"
MESSAGE, ANNOUNCEMENT, APOLOGY = Sound(text="message"), Sound(text="announcement"), Sound(text="apology")
ACCEPT = Accept(key="1", prompt=Sound(text="prompt"), rounds=2, seconds=8.0)


def dialog(party: Party, *, cseq: int = 0) -> Dialog:
    """Make the dialog of caller or agent, which before a transfer are two views of one."""
    other = Party.AGENT if party is Party.CALLER else Party.CALLER
    return Dialog(
        call_id="trunk-call@example.com",
        local=f"<sip:{other}@example.com>",
        local_tag=f"{other}-tag",
        remote=f"<sip:{party}@example.com>",
        remote_tag=f"{party}-tag",
        remote_target=f"sip:{party}@127.0.0.1:5070",
        local_cseq=cseq,
    )


def talking(*, session_timer: SessionTimer | None = None) -> Call:
    """Make a call in which caller and agent talk, and nothing else has happened."""
    return Call(
        schema_version=3,
        id=CALL_ID,
        node="node1",
        media_node="media1",
        pool="voice",
        may_refer=True,
        created_at=NOW,
        caller=dialog(Party.CALLER),
        agent=dialog(Party.AGENT, cseq=7),
        media=Media(caller_sdp="caller", caller_view="view", agent_sdp="agent"),
        session_timer=session_timer,
        deadlines={Deadline.CHECK: NOW + 30},
    )


def destinations(*uris: str, ring_timeout: float = RING_TIMEOUT) -> tuple[Destination, ...]:
    """Make places that may ring for so long each."""
    return tuple(Destination(uri=uri, ring_timeout=ring_timeout) for uri in uris)


def transfer(
    *endpoints: str, cseq: int | None = None, notify: bool = True, event_id: str | None = None, **changes: object
) -> Transfer:
    """Make a transfer that a REFER asked for, or, with no CSeq, a command; `changes` are laid over a blind one."""
    subscription = None if cseq is None else Subscription(cseq=cseq, notify=notify, event_id=event_id)
    made = Transfer(
        id=f"transfer-{cseq}",
        target="support",
        mode=Mode.BLIND,
        source="refer" if subscription else "command",
        endpoints=destinations(*endpoints or ("sip:desk@127.0.0.1",)),
        sender="<sip:caller@example.com>",
        subscription=subscription,
        requested_at=NOW,
    )
    return made.model_copy(update=changes)


def warm(*endpoints: str, cseq: int | None = None, **changes: object) -> Transfer:
    """Make a transfer with a message, half a second before and after it, and music."""
    settings: dict[str, object] = {"mode": Mode.MESSAGE, "message": MESSAGE, "hold": Hold.MUSIC}
    pauses: dict[str, object] = {"pause_before": 0.5, "pause_after": 0.5}
    return transfer(*endpoints, cseq=cseq).model_copy(update=settings | pauses | changes)


def answered(leg: int, *, remote_tag: str = "person") -> ev.LegAnswered:
    """Make the event that an endpoint sent a 2xx."""
    return ev.LegAnswered(
        leg=leg,
        call_id=f"{CALL_ID}-{leg}",
        local="<sip:caller@example.com>",
        local_tag=f"{leg}-{CALL_ID}",
        cseq=1,
        remote="<sip:desk@127.0.0.1>",
        remote_tag=f"{remote_tag}-{leg}",
        remote_target="sip:desk@127.0.0.1:5090",
        routes=("<sip:proxy@127.0.0.1;lr>",),
        sdp="target",
    )


class Story:
    """A call to which things happen, one after another; the audit looks on."""

    def __init__(self, call: Call | None = None) -> None:
        """Begin with a call in which caller and agent talk."""
        self.call = call or talking()
        self.now = NOW
        self.audit = Audit(self.call)
        self.cseq = 100

    def event(self, event: ev.Event) -> list[str]:
        """Let something happen; gives what is to be done, in short words."""
        self.now += 0.01
        before = self.call
        self.call, actions = step(before, event, self.now)
        self.audit.look(before, event, self.call, actions)
        return words(actions)

    @property
    def state(self) -> State:
        """Where the call stands."""
        return self.call.state

    def refer(self, *endpoints: str, cseq: int | None = None, notify: bool = True) -> list[str]:
        """Let the agent send a REFER: a new one, or with a CSeq given that one once more."""
        self.cseq += 1
        return self.event(ev.TransferRequested(transfer(*endpoints, cseq=cseq or self.cseq, notify=notify)))

    def command(self, *endpoints: str) -> list[str]:
        """Let a person give the command to transfer."""
        return self.event(ev.TransferRequested(transfer(*endpoints)))

    def refer_warm(self, *endpoints: str, **changes: object) -> list[str]:
        """Let the agent send a REFER for a transfer with a message."""
        self.cseq += 1
        return self.event(ev.TransferRequested(warm(*endpoints, cseq=self.cseq, **changes)))

    def starts(self, seconds: float = 2.0) -> list[str]:
        """Let the sound that was to be played have begun."""
        return self.event(ev.SoundStarted(self.listener, seconds))

    def lacks(self, sound: Sound | Standard = MESSAGE) -> list[str]:
        """Let the sound that was to be played not be there."""
        return self.event(ev.SoundMissing(self.listener, sound))

    @property
    def listener(self) -> Party:
        """Who is to hear something now."""
        return Party.CALLER if self.state in {State.ANNOUNCING, State.APOLOGISING} else Party.TARGET

    def presses(self, key: str, *, request: bool = False) -> list[str]:
        """Let the person press a key."""
        return self.event(ev.KeyPressed(key, request))

    def summarises(self, text: str, *, request: bool = True) -> list[str]:
        """Let the agent, or a person, give the summary."""
        return self.event(ev.SummaryGiven(text, request))

    def rings(self, leg: int = 1) -> list[str]:
        """Let an endpoint ring."""
        return self.event(ev.LegRang(leg))

    def answers(self, leg: int = 1, *, remote_tag: str = "person") -> list[str]:
        """Let a person answer."""
        return self.event(answered(leg, remote_tag=remote_tag))

    def fails(self, status: int, reason: str = "No", leg: int = 1, *, heard: bool = True) -> list[str]:
        """Let an endpoint refuse."""
        return self.event(ev.LegFailed(leg, status, reason, heard))

    def bridged(self) -> list[str]:
        """Let rtpengine have joined caller and target."""
        return self.event(ev.MediaBridged(0.002))

    def hangs_up(self, party: Party) -> list[str]:
        """Let a party send BYE."""
        self.cseq += 1
        kinds = {Party.CALLER: ev.CallerHungUp, Party.AGENT: ev.AgentHungUp, Party.TARGET: ev.TargetHungUp}
        return self.event(kinds[party](self.cseq))

    def vanishes(self, party: Party) -> list[str]:
        """Let a party be gone without a word."""
        return self.event(ev.PartyLost(party, "no media"))

    def requests(self, party: Party, method: str = "INVITE", *, contact: str | None = None) -> list[str]:
        """Let a party send a request within its dialog."""
        self.cseq += 1
        offer = method in {"INVITE", "UPDATE"}
        return self.event(ev.RequestReceived(party, method, self.cseq, contact, offer))

    def settles(self, offerer: Party, name: str = "new") -> list[str]:
        """Let the offer of a party be answered."""
        contact = f"sip:{name}@127.0.0.1"
        return self.event(ev.SessionChanged(offerer, f"{name} offer", f"{name} answer", f"{name} view", contact))

    def waits(self, name: Deadline) -> list[str]:
        """Let the time pass until a deadline."""
        self.now = max(self.now, self.call.deadlines[name])
        return self.event(ev.DeadlinePassed(name))

    def connect(self, *, by_command: bool = False) -> Story:
        """Go through a transfer until caller and target talk."""
        self.command() if by_command else self.refer()
        self.answers(self.call.legs_made)
        self.bridged()
        return self


def words(actions: Sequence[Action]) -> list[str]:
    """Say what is to be done, in short words."""
    return [_word(action) for action in actions]


def _word(action: Action) -> str:  # noqa: C901, PLR0911, PLR0912 one line for each kind of action
    match action:
        case do.AcceptRequest(status=status) | do.RefuseRequest(status=status):
            return f"answer {status}"
        case do.RelayRequest(party=party):
            return f"relay to {party}"
        case do.SendNotify(status=status, final=final):
            return f"NOTIFY {status}{' final' if final else ''}"
        case do.SendAck(dialog=dialog):
            return f"ACK {dialog.remote_tag}"
        case do.SendBye(dialog=dialog):
            return f"BYE {dialog.remote_tag.removesuffix('-tag')}"
        case do.RefreshSession(method=method):
            return f"refresh by {method}"
        case do.InviteLeg(leg=leg):
            return f"INVITE leg {leg.number}"
        case do.InviteAgain(leg=leg):
            return f"INVITE leg {leg.number} again"
        case do.SendRefer(uri=uri, authorization=authorization):
            return f"REFER to {uri}{' with login' if authorization else ''}"
        case do.LearnTrunk(trunk=trunk, verdict=verdict, status=status):
            return f"learn {trunk} {verdict} {status}"
        case do.CancelLeg(call_id=call_id):
            return f"CANCEL leg {call_id.removeprefix(CALL_ID + '-')}"
        case do.BridgeMedia(leg=leg):
            return f"bridge leg {leg.number}"
        case do.ReleaseLegMedia(leg=number):
            return f"release leg {number}"
        case do.RecordTransfer(transfer=done):
            return f"record {done.outcome}"
        case do.HoldCaller(music=music):
            return "hold with music" if music else "hold"
        case do.Play(party=party, sound=sound):
            return f"play {sound.text if isinstance(sound, Sound) else sound.upper()} to {party}"
        case do.Silence(party=party):
            return f"silence for {party}"
        case do.OpenLeg(leg=leg):
            return f"open leg {leg.number}"
        case do.PrepareSpeech(sounds=sounds):
            return f"prepare {' '.join(sound.text for sound in sounds)}"
        case do.EndConsultation(call_id=call_id):
            return f"end consultation {call_id}"
        case do.SendMessage(text=text):
            return f"MESSAGE {text}"
        case _:
            return _PLAIN[type(action)]


_PLAIN: dict[type[Action], str] = {
    do.ReleaseMedia: "release media",
    do.ResumeAgent: "resume agent",
    do.CheckMedia: "check media",
    do.ForgetCall: "forget",
}
