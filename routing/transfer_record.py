"""What a transfer is: where it goes, what is heard, and how it went; a part of a call's record.

All times are seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from routing.dialog import Dialog, Record
from routing.outcomes import Mode, Outcome


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
    """Sounds that every node has at hand, as files of these names in its folder of sounds."""

    MUSIC = "music"
    MESSAGE = "message"
    PROMPT = "prompt"
    GOODBYE = "goodbye"
    CALLER_GONE = "caller_gone"
    APOLOGY = "apology"


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
    source: str = ""
    """The address that its answer came from."""
    media: str = ""
    """The address that its answer wants the media at."""
    size: int = 0
    """Bytes of its INVITE, if that went by UDP and got no response."""

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
    challenged: int = 0
    """How often we have told who calls, since it asked."""
    trying_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    codecs: tuple[str, ...] = ()
    """The voice codecs of its answer, if it has answered."""
    source: str = ""
    """The address that its answer came from."""
    media: str = ""
    """The address that its answer wanted the media at."""
    size: int = 0
    """Bytes of the last INVITE, if that went by UDP and got no response."""
    reported: bool = False
    """Whether a NOTIFY has told how the call of the caller's side goes, or went."""


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
    """Something that a party is to hear: a text to be spoken, or else a sound file on rtpengine's machine."""

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
    headers: dict[str, str] = Field({})
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
    changeover: float | None = None
    """Seconds that rtpengine took to give the caller the person in the place of the agent or of music, if it did.

    The caller hears nobody for so long at most, and then until the next packet of the person, of which nobody tells.
    """
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
    caller_media: str = ""
    """The address that the caller wants its media at, in the call log."""
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
