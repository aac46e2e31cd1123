"""The kinds of values that targets are made of, each with its check."""

from __future__ import annotations

import urllib.parse
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from routing.diversion import Divert
from routing.hours import check_holiday, check_hours, check_time_zone
from routing.outcomes import Mode
from routing.secrets import Secret, check_user
from routing.settings_fields import RingTimeout, Uri
from routing.speech import check_speech, fold
from routing.texts import BadValue, check_header_name, check_header_value, check_name, check_text, nearest, shown
from routing.transfer_record import Delivery, Hold, Method, Srtp
from routing.values import parse_sip_uri


class Strategy(StrEnum):
    """In which order the endpoints of a target are called."""

    IN_ORDER = "in_order"
    ALL_AT_ONCE = "all_at_once"
    WEIGHTED = "weighted"
    LONGEST_IDLE = "longest_idle"


WEIGHT = 50
"""That of an endpoint which says nothing else."""
GROUP = 10
"""How many endpoints may ring at once."""

KEYS = "0123456789*#ABCD"
"""The keys of a telephone (RFC 4733 section 3.2)."""

STORED = {"stored": True}
"""The context of a dump for the store, which alone has secrets; in all others they are hidden."""


PROBE_OFTEN, PROBE_SELDOM = 10, 86400
"""Seconds that may be between two probes of a target."""
CLOSED = 100
"""Letters that the text told out of hours may have."""


def parse_mode(text: object) -> Mode:
    """Read a mode; raises BadValue for an unknown one."""
    return Mode(_known(text, Mode, "a mode"))


def check_summary(text: str) -> str:
    """Check a summary, which may have lines, and put it on one; an empty one is none. Raises BadValue."""
    words = fold(text)
    return check_speech(words, "the summary") if words else ""


def check_key(value: object) -> str:
    """Check a key of a telephone; raises BadValue."""
    if not isinstance(value, str) or len(value) != 1 or value.upper() not in KEYS:
        raise BadValue(f"{shown(value)} is not a key", mend='give one of 0 to 9, *, # and A to D, in quotes: "1"')
    return value.upper()


def _check_voice(text: str) -> str:
    return check_name(text) if text else ""


def _check_unique(headers: dict[str, str]) -> dict[str, str]:
    if len({name.lower() for name in headers}) < len(headers):
        raise BadValue("a header is there twice, in upper and lower case", mend="keep one of them")
    return headers


def _known(text: object, words: type[StrEnum], what: str) -> str:
    if text not in list(words):
        raise BadValue(f"{shown(text)} is not {what}", mend=nearest(str(text), list(words)))
    return str(text)


def _knows(words: type[StrEnum], what: str) -> BeforeValidator:
    def check(text: object) -> str:
        return _known(text, words, what)

    return BeforeValidator(check)


def _check_zone(text: str) -> str:
    return check_time_zone(text) if text else ""


def check_period(seconds: float) -> float:
    """Check the seconds between two probes of a target; 0 is for none. Raises BadValue."""
    if seconds and not PROBE_OFTEN <= seconds <= PROBE_SELDOM:
        mend = f"give {PROBE_OFTEN} to {PROBE_SELDOM} seconds, or 0 for none"
        raise BadValue(f"{seconds:g} s are no time between two probes", mend=mend)
    return seconds


def check_closed(text: str) -> str:
    """Check what is told out of hours: it becomes a reason phrase (RFC 3261 section 7.2)."""
    words = check_text(text, "the text").strip()
    if not 0 < len(words) <= CLOSED:
        raise BadValue(f"the text is {len(words)} letters long", mend=f"write 1 to {CLOSED} letters")
    return words


def _once(ways: tuple[Delivery, ...]) -> tuple[Delivery, ...]:
    return tuple(dict.fromkeys(ways))


def _written(secret: Secret, info: SerializationInfo) -> str:
    return secret.stored() if info.context == STORED else secret.told()


HeaderName = Annotated[str, AfterValidator(check_header_name)]
HeaderValue = Annotated[str, AfterValidator(check_header_value)]
Headers = Annotated[dict[HeaderName, HeaderValue], AfterValidator(_check_unique)]
ModeWord = Annotated[Mode, BeforeValidator(parse_mode)]
HoldWord = Annotated[Hold, _knows(Hold, "something that a caller on hold can hear")]
StrategyWord = Annotated[Strategy, _knows(Strategy, "a strategy")]
MethodWord = Annotated[Method, _knows(Method, "a way to get the call there")]
SrtpWord = Annotated[Srtp, _knows(Srtp, "a way to use SRTP")]
DivertWord = Annotated[Divert, _knows(Divert, "a way to tell of the handover")]
Ways = Annotated[tuple[Annotated[Delivery, _knows(Delivery, "a way to deliver a summary")], ...], AfterValidator(_once)]
HoursLine = Annotated[str, AfterValidator(check_hours)]
Holiday = Annotated[str, AfterValidator(check_holiday)]
Zone = Annotated[str, AfterValidator(_check_zone)]
Closed = Annotated[str, AfterValidator(check_closed)]
Key = Annotated[str, BeforeValidator(check_key)]
Voice = Annotated[str, AfterValidator(_check_voice)]
Pause = Annotated[float, Field(ge=0, le=60)]
Rounds = Annotated[int, Field(ge=1, le=5)]
Period = Annotated[float, AfterValidator(check_period)]
Hunt = Annotated[float, Field(ge=0, le=600)]
Weight = Annotated[int, Field(ge=1, le=100)]
Limit = Annotated[int, Field(ge=1, le=10_000)]
Wait = Annotated[float, Field(ge=1, le=60)]
User = Annotated[str, AfterValidator(check_user)]
Hidden = Annotated[Secret, PlainValidator(Secret.read), PlainSerializer(_written, when_used="json")]


class Endpoint(BaseModel):
    """One place where the target can be called; its URI alone stands for it as well."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    uri: Uri = Field(description="SIP URI that is sent the INVITE.", examples=['"sip:support@192.0.2.20"'])
    ring_timeout: RingTimeout | None = Field(None, description="Seconds that it may ring; default: as its target.")
    weight: Weight | None = Field(
        None, description="How often it is called first, where the strategy is weighted (1 to 100); default: 50."
    )
    max_calls: Limit | None = Field(
        None, description="How many calls from here it may have at a time (1 to 10000); default: any number."
    )
    user: User | None = Field(None, description="Name to log in with where it asks for one; default: that of the URI.")
    secret: Hidden | None = Field(None, description='Where the secret for it is: "env:NAME" or "file:/path".')

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"uri": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if self.user is not None and self.secret is None:
            raise BadValue("it has a user without a secret", mend="give a secret, or leave out the user")
        return self

    def login_at(self, dialled: str) -> str:
        """Give the name to log in with: its own, else that of the URI which is `dialled` for it."""
        return self.user or urllib.parse.unquote(parse_sip_uri(dialled).user or "")

    @model_serializer(mode="wrap")
    def _without_blanks(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}
