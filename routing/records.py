"""What is known of one call: the record that the store keeps and the machine changes.

All times are seconds since the epoch. All values are frozen: a step makes a new record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, ValidationError

from routing.dialog import Dialog, Record
from routing.transfer_record import Leg, Origin, Transfer

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
    after it, is over. `consulted` is when a call ends whose two parties a transfer has made needless. `offer` is when
    an offer of ours that crossed one of the caller's is made again.
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
    OFFER = "offer"


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
    crossed: int = 0
    """How often an offer of ours has crossed one of the caller's."""
    check_every: float = 30.0
    """Seconds between two looks at whether the parties still send media."""
    takes_replaces: bool = False
    """Whether the person that an agent consults in this call has said to understand Replaces (RFC 3891)."""
    identity: dict[str, str] = Field({})
    """Header fields of the caller's INVITE that the target gets too: P-Asserted-Identity, Privacy, History-Info."""
    transfer: Transfer | None = None
    history: tuple[Transfer, ...] = ()
    deadlines: dict[Deadline, float] = Field({})

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
    def hears_keys(self) -> bool:
        """Whether keys that the person presses are for us: it has answered, and may take the call by one."""
        return self.state in {State.BRIEFING, State.ACCEPTING}

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
