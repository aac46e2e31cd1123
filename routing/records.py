"""What is known of one call: the record that the store keeps and the machine changes.

A `Dialog` is one SIP dialog as handoff, a user agent towards that party, sees it (RFC 3261 section 12): `local` is whom
handoff speaks as, `remote` is the party itself. While nothing has been transferred, caller and agent share one dialog,
so the two `Dialog`s of a call mirror one another; after the bridge, caller and target have dialogs of their own and
handoff translates between them.

All times are seconds since the epoch. All values are frozen: a step makes a new record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.outcomes import Mode, Outcome

SCHEMA = 3
"""Version of the record's form; a record of another version is refused, not guessed at."""

HISTORY = 10
"""How many finished transfers a call remembers; the call log keeps them all."""


class State(StrEnum):
    """Where a call stands; the rows of `routing.machine.TABLE`."""

    TALKING = "talking"
    ANNOUNCING = "announcing"
    REFERRING = "referring"
    CALLING = "calling"
    RINGING = "ringing"
    BRIEFING = "briefing"
    ACCEPTING = "accepting"
    DECLINING = "declining"
    BRIDGING = "bridging"
    LEAVING = "leaving"
    CONNECTED = "connected"
    APOLOGISING = "apologising"
    PARTING = "parting"
    ENDED = "ended"


class Party(StrEnum):
    """The three parties of RFC 5589: transferee, transferor and transfer target."""

    CALLER = "caller"
    AGENT = "agent"
    TARGET = "target"


class Deadline(StrEnum):
    """What a call waits for; each is a time in the record and an event when it passes.

    `sound` is when a party is to hear something, or is to be helped to hear it; `heard` is when that, and the pause
    after it, is over. `consulted` is when a call ends whose two parties a transfer has made needless.
    """

    REFERRAL = "referral"
    RING = "ring"
    SOUND = "sound"
    HEARD = "heard"
    BRIDGE = "bridge"
    AGENT_BYE = "agent_bye"
    CONSULTED = "consulted"
    CHECK = "check"
    REFRESH = "refresh"


class Hold(StrEnum):
    """What the caller hears while the target is called."""

    AGENT = "agent"
    MUSIC = "music"


class Delivery(StrEnum):
    """A way in which a summary gets to the person."""

    SPEECH = "speech"
    HEADER = "header"
    UUI = "uui"
    BODY = "body"
    MESSAGE = "message"


class Standard(StrEnum):
    """Sounds that every node has at hand, as WAV files of these names in its folder of sounds."""

    MUSIC = "music"
    MESSAGE = "message"
    PROMPT = "prompt"
    GOODBYE = "goodbye"
    CALLER_GONE = "caller_gone"
    APOLOGY = "apology"


class Record(BaseModel):
    """A frozen part of a call's record; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dialog(Record):
    """One dialog as handoff sees it, with all that a request within it needs (RFC 3261 section 12.2)."""

    call_id: str
    local: str
    local_tag: str
    remote: str
    remote_tag: str
    remote_target: str
    routes: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = 0
    invite_cseq: tuple[int, int] | None = None
    """CSeq of the last INVITE relayed to this party: as its sender numbered it, and as we did; the ACK needs both."""
    ca_file: str = ""
    """Who certifies its host, where its target says so."""

    def next_cseq(self, incoming: int = 0) -> int:
        """Give the CSeq for the next request to this party: above all sent, and the sender's own where that is."""
        return max(self.local_cseq + 1, incoming)


class Subscription(Record):
    """The implicit subscription that a REFER made (RFC 3515), by which its sender learns what became of it."""

    cseq: int
    leg: int = 0
    """In whose dialog it lives: that leg's, which hands the call on, or with 0 the agent's."""
    event_id: str | None = None
    notify: bool = True
    """False when the agent asked for none with `Refer-Sub: false` (RFC 4488)."""
    dialog: Dialog | None = None
    """Where it lives on when the agent has left: a BYE ends the session, not the subscription (RFC 5057 section 4)."""


class Registered(Record):
    """How a phone is reached that has registered with us, where its own URI may lead nowhere."""

    user: str
    """The URI by which everybody knows it: sip:alice@handoff.local."""
    hop: str
    """Where requests are sent: its connection, or the far end of its way through a NAT."""


class Refusal(Record):
    """What an endpoint is known to answer without being asked."""

    status: int
    reason: str


class Destination(Record):
    """One place where the target can be called, and how long it may ring."""

    uri: str
    ring_timeout: float
    max_calls: int | None = None
    """How many calls it may have at a time; 0: any number, but they are counted; None: they are not."""
    together: bool = False
    """Whether it rings when the one before it does: both are phones of one user."""
    registered: Registered | None = None
    refusal: Refusal | None = None
    """Why it need not be tried: the user is registered nowhere."""
    route: str = ""
    """Through which proxies it is reached: the value of a Route header."""


class Srtp(StrEnum):
    """Whether the media of a target are encrypted: with keys in SDP (RFC 4568), or by DTLS (RFC 5763)."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"
    DTLS = "dtls"
    """As web pages do, with ICE; they do in any case."""


class Method(StrEnum):
    """How a call gets to the target."""

    INVITE = "invite"
    """handoff calls the target and joins the two."""
    REFER = "refer"
    """The caller's side is sent the REFER on, and calls the target itself."""
    AUTO = "auto"
    """The caller's side is asked first; where it cannot or will not do it, handoff does."""


class Referral(Record):
    """A REFER that was sent to the caller's side, and what it has said so far."""

    uri: str
    cseq: int
    started_at: float
    challenged: int = 0
    """How often it has asked who we are."""
    reported: bool = False
    """Whether it has sent a NOTIFY."""


class Leg(Record):
    """One INVITE of ours to one endpoint of the target."""

    number: int
    uri: str
    call_id: str
    tag: str
    sender: str
    started_at: float
    ring_until: float
    cseq: int = 1
    """Rises with each challenge that is answered (RFC 3261 section 8.1.3.5)."""
    max_calls: int | None = None
    """As its destination's."""
    route: str = ""
    redirected: bool = False
    """Whether another endpoint has sent us here (302): that is followed once."""
    registered: Registered | None = None
    refusal: Refusal | None = None
    trying_at: float | None = None
    """When its first response came, where that is known."""
    ringing_at: float | None = None
    answered_at: float | None = None
    codecs: tuple[str, ...] = ()
    """Those of its answer that carry a voice, the preferred one first."""

    @property
    def endpoint(self) -> str:
        """The endpoint of the target that this is: all phones of a user are one."""
        return self.registered.user if self.registered else self.uri


class Attempt(Record):
    """How one endpoint answered, for the call log."""

    uri: str
    status: int
    reason: str
    started_at: float
    """When it was invited, or sent the REFER."""
    ended_at: float
    method: Method = Method.INVITE
    leg: int = 0
    """The number of the INVITE's leg in the call; its SIP Call-ID is the call's id and this; 0: not called by us."""
    theirs: bool = False
    """Whether the endpoint said so itself; else handoff gave it up, or nothing came."""
    cause: int | None = None
    """The Q.850 cause, where a Reason header gave one (RFC 3326)."""
    trying_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    codecs: tuple[str, ...] = ()
    """The voice codecs of its answer, if it has answered."""


class Origin(Record):
    """Whose call was handed over, and where it came from: what the call log tells of the call itself."""

    caller: str
    """The caller as its From says."""
    asserted: str = ""
    """Its P-Asserted-Identity, where there was one."""
    called: str
    """Whom the caller called: the To of its INVITE."""
    pool: str
    trunk: str = ""
    source: str = ""
    """The address that its INVITE came from, as host:port."""
    node: str
    media_node: str


class Sound(Record):
    """Something that a party is to hear: a text to be spoken, or else a WAV file on rtpengine's machine."""

    text: str = ""
    file: str = ""
    language: str = ""
    voice: str = ""


class Accept(Record):
    """The key by which a person takes the call; without it pressed, nobody is there or wants the call."""

    key: str
    prompt: Sound
    rounds: int
    """How often the prompt is heard at most; a wrong key ends a round as well."""
    seconds: float
    """How long the key is waited for after the prompt."""


class Transfer(Record):
    """One attempt to hand a call over, under way or finished."""

    id: str
    target: str
    mode: Mode
    source: Literal["refer", "command"]
    endpoints: tuple[Destination, ...]
    method: Method = Method.INVITE
    referral: Referral | None = None
    refer_timeout: float = 10.0
    """Seconds that the caller's side has to answer a REFER, and then to begin to report."""
    at_once: int = 1
    """How many endpoints ring at the same time."""
    tried: int = 0
    """How many endpoints have been called, or are."""
    hunt_timeout: float = 0.0
    """Seconds after the first INVITE in which somebody must have answered; 0 for no such limit."""
    sender: str
    """From of the INVITE, without tag: the caller's identity, the agent's, or a fixed one."""
    codecs: tuple[str, ...] = ()
    srtp: Srtp | None = None
    """None means: required at sips: URIs, dtls at web pages, off at others."""
    ca_file: str = ""
    """Who certifies the hosts of the endpoints, for TLS; empty: as configured."""
    headers: dict[str, str] = {}
    hold: Hold = Hold.AGENT
    announce: Sound | None = None
    """What the caller hears before the target is called."""
    apology: Sound | None = None
    """What the caller hears when the transfer has failed, before the agent is heard again or the call ends."""
    message: Sound | None = None
    """What the person hears; in the mode `summary` only where there is no summary."""
    summary: str = ""
    language: str = ""
    voice: str = ""
    deliver: tuple[Delivery, ...] = ()
    """How the summary gets to the person; read only in the mode `summary`."""
    pause_before: float = 0.0
    pause_after: float = 0.0
    patience: float = 5.0
    """Seconds after the answer that are waited for speech; then the fixed message is played."""
    accept: Accept | None = None
    rounds_left: int = 0
    """How often the prompt may still be heard."""
    fixed: bool = False
    """Whether the person heard the fixed message, since the speech was not there in time."""
    may_refer: bool = True
    """Whether the person may hand the call on."""
    fallback: Transfer | None = None
    """The transfer that is made when this one fails."""
    consultation: str = ""
    """The call in which the agent talks with the person already; it ends when caller and person do."""
    subscription: Subscription | None = None
    requested_at: float
    invited_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    attempts: tuple[Attempt, ...] = ()
    outcome: Outcome | None = None
    status: int | None = None
    reason: str | None = None
    cause: int | None = None
    """The Q.850 cause in the BYE of a caller who hung up, where there was one."""
    origin: Origin | None = None
    """Known of a finished transfer, in the call log."""
    caller_codec: str = ""
    """What the caller speaks, in the call log."""
    offered: tuple[str, ...] = ()
    """The voice codecs that the endpoints were offered, in the call log."""

    @property
    def briefs(self) -> bool:
        """Whether the person hears something before the caller."""
        return self.mode is not Mode.BLIND or self.accept is not None

    @property
    def mutes(self) -> bool:
        """Whether caller and agent do not hear one another at some time."""
        return self.briefs or self.hold is Hold.MUSIC or self.announce is not None or self.apology is not None

    @property
    def speech(self) -> Sound | None:
        """What the person hears in words: the summary if there is one, else the message."""
        if self.mode is Mode.SUMMARY and self.summary and Delivery.SPEECH in self.deliver:
            return Sound(text=self.summary, language=self.language, voice=self.voice)
        return self.message

    @property
    def sounds(self) -> tuple[Sound, ...]:
        """Everything that may have to be spoken, in the order in which it is needed."""
        prompt = self.accept.prompt if self.accept else None
        return tuple(sound for sound in (self.announce, self.speech, prompt, self.apology) if sound and sound.text)


class Media(Record):
    """The SDP bodies that a bridge is made from, as each party sent them, and what the caller was given."""

    caller_sdp: str = ""
    caller_view: str = ""
    agent_sdp: str = ""
    target_sdp: str = ""

    def of(self, party: Party) -> str:
        """Look up the SDP that a party sent last."""
        return {Party.CALLER: self.caller_sdp, Party.AGENT: self.agent_sdp, Party.TARGET: self.target_sdp}[party]


class Exchange(Record):
    """An offer and answer under way between two parties; a bridge waits for its end."""

    offerer: Party
    cseq: int
    since: float


class SessionTimer(Record):
    """A session timer that the agent had promised the caller to refresh (RFC 4028)."""

    interval: float
    method: Literal["UPDATE", "INVITE"]
    refreshed_at: float = 0.0
    """When the agent last did; 0 when it has not yet."""


class Call(Record):
    """A caller's call with all its dialogs, its transfer if one is under way, and what it waits for."""

    schema_version: Literal[3]
    id: str
    node: str
    media_node: str
    pool: str
    trunk: str = ""
    """The trunk that the caller came from."""
    source: str = ""
    """The address that the caller's INVITE came from, as host:port."""
    takes_refer: bool = False
    """Whether the caller's side said in its INVITE that it knows REFER."""
    may_refer: bool
    """Whether the agent, or after the bridge the person, may hand the call over."""
    created_at: float
    state: State = State.TALKING
    caller: Dialog
    agent: Dialog | None
    agent_leg: int = 0
    """The leg that now is the agent: that of a person who hands the call on; 0 for an agent of the pool."""
    target: Dialog | None = None
    legs: tuple[Leg, ...] = ()
    """The endpoints that are being called."""
    leg: Leg | None = None
    """The one that has answered."""
    legs_made: int = 0
    media: Media = Media()
    exchange: Exchange | None = None
    session_timer: SessionTimer | None = None
    check_every: float = 30.0
    """Seconds between two looks at whether the parties still send media."""
    takes_replaces: bool = False
    """Whether the person that an agent consults in this call has said to understand Replaces (RFC 3891)."""
    identity: dict[str, str] = {}
    """Header fields of the caller's INVITE that the target gets too: P-Asserted-Identity, Privacy, History-Info."""
    transfer: Transfer | None = None
    history: tuple[Transfer, ...] = ()
    deadlines: dict[Deadline, float] = {}

    def peer(self, party: Party) -> Party | None:
        """Find whom a party talks with; None when nobody is left, or when this party has been replaced."""
        other = Party.TARGET if self.state in {State.LEAVING, State.CONNECTED} else Party.AGENT
        if party is Party.CALLER:
            return other if self.dialog(other) else None
        return Party.CALLER if party is other else None

    def with_dialog(self, party: Party, dialog: Dialog | None) -> Call:
        """Make the same call with another dialog for one party."""
        return self.model_copy(update={party.value: dialog})

    def with_deadlines(self, *clear: Deadline, **at: float) -> Call:
        """Make the same call with some deadlines cleared and others set, by name."""
        kept = {name: when for name, when in self.deadlines.items() if name not in clear}
        return self.model_copy(update={"deadlines": kept | {Deadline(name): when for name, when in at.items()}})

    @property
    def plain(self) -> bool:
        """Whether a BYE simply ends it: two parties talk and there is nobody else to be told."""
        return self.state in {State.TALKING, State.CONNECTED}

    @property
    def fresh(self) -> bool:
        """Whether nothing has happened to it since the agent answered: then nobody need read it to end it."""
        return self.state is State.TALKING and not self.legs_made

    @property
    def origin(self) -> Origin:
        """What the call log tells of the call itself."""
        return Origin(
            caller=self.caller.remote,
            asserted=self.identity.get("P-Asserted-Identity", ""),
            called=self.caller.local,
            pool=self.pool,
            trunk=self.trunk,
            source=self.source,
            node=self.node,
            media_node=self.media_node,
        )

    def calling(self, number: int) -> Leg | None:
        """Find the leg of this number among those being called."""
        return next((leg for leg in self.legs if leg.number == number), None)

    @property
    def held(self) -> bool:
        """Whether the caller may hear something else than the agent, and is heard by nobody."""
        return self.transfer is not None and (self.transfer.mutes or self.agent is None)

    @property
    def next_deadline(self) -> float | None:
        """The earliest time at which the call wants to be looked at."""
        return min(self.deadlines.values(), default=None)

    def due(self, now: float) -> Deadline | None:
        """Name the earliest deadline that has passed, so that it is handled before the next one."""
        passed = [(at, name) for name, at in self.deadlines.items() if at <= now]
        return min(passed)[1] if passed else None

    def dialog(self, party: Party) -> Dialog | None:
        """Look up a party's dialog; None when it has none (left, or not yet answered)."""
        return {Party.CALLER: self.caller, Party.AGENT: self.agent, Party.TARGET: self.target}[party]


class BadRecordError(Exception):
    """A stored record cannot be read; `text` says what is wrong with it and what to do."""

    def __init__(self, call_id: str, detail: str) -> None:
        """Keep the call id, and make the sentence for people."""
        self.text = (
            f"the stored record of call {call_id} cannot be read ({detail}); "
            f"it was written by another version or by hand: end the call, or delete its key"
        )
        super().__init__(self.text)


def encode(call: Call) -> bytes:
    """Write a call as JSON, leaving out what has its default value, since each byte is paid for twice an event."""
    return call.model_dump_json(exclude_defaults=True).encode()


def decode(call_id: str, data: bytes) -> Call:
    """Read a call back; raises BadRecordError for anything that `encode` did not write."""
    try:
        return Call.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadRecordError(call_id, f"{where}: {first['msg']}") from error
