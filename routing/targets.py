"""Targets: named destinations of a transfer, and what is done when a call is handed over to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from routing.diversion import Divert
from routing.hours import Hours
from routing.outcomes import Mode
from routing.problems import InvalidInputError, explain
from routing.settings_fields import CallerId, Codec, Name, Path, RingTimeout, Spoken
from routing.speech import check_speech
from routing.target_fields import (
    GROUP,
    STORED,
    Closed,
    DivertWord,
    Endpoint,
    Headers,
    HoldWord,
    Holiday,
    HoursLine,
    Hunt,
    Key,
    MethodWord,
    ModeWord,
    Pause,
    Period,
    Rounds,
    SrtpWord,
    Strategy,
    StrategyWord,
    Voice,
    Wait,
    Ways,
    Zone,
    check_summary,
    parse_mode,
)
from routing.texts import BadValue, shown
from routing.transfer_record import Accept, Delivery, Method, Sound
from routing.values import check_endpoint, parse_sip_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.settings_model import Pool, Settings

SOUNDS = ("announce", "message", "apology")
"""What may be given as text, in a field of this name, or as file, in the field `..._file`."""

FALLBACKS = 3
"""How many fallbacks a transfer has at most, one after the other."""


class TargetError(InvalidInputError):
    """A target cannot be used; `problems` has everything that is wrong with it."""


class Target(BaseModel):
    """A named destination: endpoints that are called one after the other, and the settings for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    name: Name = Field(description="Name that a Refer-To URI has as its user part.", examples=['"support"'])
    endpoints: tuple[Endpoint, ...] = Field(
        min_length=1, description="Where it is called, in this order.", examples=['["sip:support@192.0.2.20"]']
    )
    mode: ModeWord = Field(Mode.BLIND, description="What the person who answers hears before the caller.")
    ring_timeout: RingTimeout = Field(30.0, description="Seconds that each endpoint may ring (1 to 300).")
    strategy: StrategyWord = Field(
        Strategy.IN_ORDER,
        description="How endpoints are called: in_order, all_at_once (10 at most), weighted, or longest_idle.",
    )
    hunt_timeout: Hunt = Field(
        0.0, description="Seconds in which one of all its endpoints must answer (0 to 600); 0: no such limit."
    )
    caller_id: CallerId = Field("caller", description="Whose identity it sees: caller, agent, or a SIP URI.")
    diversion: DivertWord = Field(
        Divert.NONE, description="How it is told whom the call was for: none, diversion, or history-info."
    )
    codecs: tuple[Codec, ...] = Field((), description="Codecs offered, best first; none: those of the settings.")
    srtp: SrtpWord | None = Field(
        None,
        description="Whether its media are encrypted: off, optional, required, or dtls, as web pages always do; "
        "default: required at sips: endpoints.",
    )
    ca_file: Path | None = Field(
        None, description="Who certifies its hosts, for TLS: certificates as PEM; default: as configured."
    )
    headers: Headers = Field({}, description="X-... and User-to-User headers added to its INVITE.")
    hold: HoldWord | None = Field(
        None, description="What the caller hears until the person answers: music, or the agent; default: by mode."
    )
    announce: Spoken | None = Field(None, description="Said to the caller before the target is called.")
    announce_file: Path | None = Field(None, description="Sound file in the place of announce.")
    apology: Spoken | None = Field(None, description="Said to the caller when the transfer has failed.")
    apology_file: Path | None = Field(None, description="Sound file in the place of apology.")
    message: Spoken | None = Field(
        None,
        description="Said to the person where there is no summary to say; default: as configured.",
    )
    message_file: Path | None = Field(None, description="Sound file in the place of message.")
    pause_before: Pause = Field(0.5, description="Seconds of silence before message or summary (0 to 60).")
    pause_after: Pause = Field(0.5, description="Seconds of silence after message or summary (0 to 60).")
    language: Voice = Field("", description="Language of all that is said for it; default: as configured.")
    voice: Voice = Field("", description="Voice of all that is said for it; default: as configured.")
    deliver: Ways = Field(
        (Delivery.SPEECH,),
        min_length=1,
        description="How the person gets a summary: speech, header, uui, body, message.",
    )
    accept: Key | None = Field(None, description="Key by which the person takes the call; default: none is asked for.")
    accept_prompt: Spoken | None = Field(
        None, description="Asks the person for the key, {key} in it stands for it; default: as configured."
    )
    accept_rounds: Rounds = Field(2, description="How often the person is asked (1 to 5).")
    accept_timeout: Wait = Field(8.0, description="Seconds that the key is waited for each time (1 to 60).")
    method: MethodWord = Field(
        Method.INVITE,
        description="How the call gets there: invite (by us), refer (by the caller's side), auto (by that if it can).",
    )
    hours: tuple[HoursLine, ...] = Field(
        (),
        max_length=50,
        description='When it may be called: "mon-fri 09:00-12:00, 13:00-17:30", "sat 22:00-02:00"; default: always.',
    )
    holidays: tuple[Holiday, ...] = Field(
        (), max_length=500, description='Days without hours: "2026-12-25", or "12-25" in each year.'
    )
    time_zone: Zone = Field("", description="Time zone of the hours, such as Europe/Berlin; default: the node's.")
    closed: Closed = Field("Closed now", description="Told to the agent out of hours, where there is no fallback.")
    may_refer: bool = Field(default=True, description="Whether the person may hand the call on by REFER.")
    fallback: Name | None = Field(None, description="Target that is tried when this one has failed, or is closed.")

    probe_every: Period = Field(
        0.0, description="Seconds between two probes, which ring nowhere (10 to 86400); 0: none are made."
    )

    @field_validator(*(f"{name}_file" for name in SOUNDS))
    @classmethod
    def _check_either(cls, file: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name).removesuffix("_file")
        if file is not None and info.data.get(name) is not None:
            raise BadValue(f"{name} is given as text, too", mend=f"leave out {name} or {name}_file")
        return file

    @field_validator("strategy")
    @classmethod
    def _check_group(cls, strategy: Strategy, info: ValidationInfo) -> Strategy:
        count = len(info.data.get("endpoints", ()))
        if strategy is Strategy.ALL_AT_ONCE and count > GROUP:
            raise BadValue(f"{count} endpoints would ring at once", mend=f"give {GROUP} at most, or another strategy")
        return strategy

    @field_validator("method")
    @classmethod
    def _check_method(cls, method: Method, info: ValidationInfo) -> Method:
        if method is Method.REFER and (info.data.get("mode") is not Mode.BLIND or info.data.get("accept")):
            raise BadValue(
                "with refer nobody can be briefed", mend="choose auto or invite, or mode blind without a key"
            )
        return method

    @field_validator("fallback")
    @classmethod
    def _check_fallback(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and name == info.data.get("name"):
            raise BadValue("it is its own fallback", mend="name another target")
        return name

    @classmethod
    def make(cls, data: Mapping[str, Any]) -> Self:
        """Make a target from plain data; raises TargetError with all that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise TargetError(f"target {shown(data.get('name', ''))}", explain(error, cls)) from None

    def to_json(self) -> bytes:
        """Write it as the store keeps it, for `from_json`; this form alone holds the secrets.

        Defaults are left out, so that nodes of an older version can read what newer ones write.
        """
        return self.model_dump_json(context=STORED, exclude_defaults=True).encode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a target back from `model_dump_json`; raises TargetError with all that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise TargetError("target", explain(error, cls)) from None

    @classmethod
    def from_uri(cls, uri: str, settings: Settings) -> Self:
        """Make a target of a URI that the policy lets agents have dialled; raises BadValue, 403 where it does not."""
        parsed = parse_sip_uri(uri)
        if not settings.may_dial(parsed.host):
            mend = "add its host to policy.dial_uris, or refer to a target"
            raise BadValue(f"the policy does not let {shown(uri)} be dialled", 403, mend=mend)
        check_endpoint(uri)
        name = re.sub(r"[^A-Za-z0-9._+-]+", "-", parsed.user or parsed.host).lstrip("._-")[:64]
        transfer = settings.transfer
        return cls(
            name=name or "uri",
            endpoints=(Endpoint(uri=uri),),
            ring_timeout=transfer.ring_timeout,
            caller_id=transfer.caller_id,
        )

    @classmethod
    def from_pool(cls, pool: Pool) -> Self:
        """Make a target of a pool of voice agents, to which a call may go back."""
        return cls(
            name=pool.name,
            endpoints=tuple(Endpoint(uri=agent.uri, weight=agent.weight) for agent in pool.agents),
            strategy=Strategy.WEIGHTED,
            ring_timeout=pool.ring_timeout,
            may_refer=pool.may_refer,
        )

    def with_settings(self, given: Mapping[str, str]) -> Self:
        """Lay mode and message of a Refer-To or command over those of the target; raises BadValue.

        A message has no effect in the mode blind. A summary is checked where the mode is summary, but not kept: it
        is the call's, not the target's. Empty ones count as not given, since platforms fill in what they have.
        """
        mode = parse_mode(given["mode"]) if "mode" in given else self.mode
        changes: dict[str, Any] = {"mode": mode}
        message = given.get("message", "")
        if mode is not Mode.BLIND and message.strip():
            changes |= {"message": check_speech(message, "the message"), "message_file": None}
        if mode is Mode.SUMMARY:
            check_summary(given.get("summary", ""))
        return self.model_copy(update=changes)

    def sound(self, name: str) -> Sound | None:
        """Give one of SOUNDS as it is to be heard; None where the target has none of its own."""
        text, file = getattr(self, name), getattr(self, f"{name}_file")
        return Sound(file=file) if file else self.said(text) if text else None

    def said(self, text: str) -> Sound:
        """Give a text in this target's language and voice."""
        return Sound(text=text, language=self.language, voice=self.voice)

    def acceptance(self, prompt: str) -> Accept | None:
        """Tell how the person is asked for the key, None if it is not; `prompt` is used where it has none of its own.

        That one is spoken as the settings say: nobody knows whether its language is the target's.
        """
        if self.accept is None:
            return None
        own = self.accept_prompt
        text = (own or prompt).replace("{key}", self.accept)
        sound = self.said(text) if own else Sound(text=text)
        return Accept(key=self.accept, prompt=sound, rounds=self.accept_rounds, seconds=self.accept_timeout)

    @property
    def always_open(self) -> bool:
        """Whether it has no office hours, so that no calendar need be asked."""
        return not (self.hours or self.holidays)

    def opening(self, zone: str) -> Hours:
        """Give its office hours; `zone` is used where it has no time zone of its own."""
        return Hours.make(self.hours, self.holidays, self.time_zone or zone)

    def texts(self, prompt: str) -> list[Sound]:
        """List all that will be spoken for it in any mode, so that it can be spoken before the first call."""
        accept = self.acceptance(prompt)
        sounds = [*map(self.sound, SOUNDS), accept and accept.prompt]
        return [sound for sound in sounds if sound and sound.text]
