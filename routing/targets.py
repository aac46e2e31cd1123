"""Targets: named destinations of a transfer, and what is done when a call is handed over to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from routing.outcomes import Mode
from routing.problems import InvalidInputError, explain
from routing.settings_fields import CallerId, Codec, Name, RingTimeout, Uri
from routing.texts import BadValue, check_header_name, check_header_value, nearest, shown
from routing.values import check_endpoint, parse_sip_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.settings_model import Settings


class TargetError(InvalidInputError):
    """A target cannot be used; `problems` has everything that is wrong with it."""


def parse_mode(text: object) -> Mode:
    """Read a mode; raises BadValue: 400 for an unknown one, 501 for one that is not yet available."""
    if text not in list(Mode):
        raise BadValue(f"{shown(text)} is not a mode", mend=nearest(str(text), list(Mode)))
    mode = Mode(str(text))
    if mode is not Mode.BLIND:
        raise BadValue(f"the mode {mode} is not yet available", 501, mend=f"use {Mode.BLIND}")
    return mode


def _check_unique(headers: dict[str, str]) -> dict[str, str]:
    if len({name.lower() for name in headers}) < len(headers):
        raise BadValue("a header is there twice, in upper and lower case", mend="keep one of them")
    return headers


HeaderName = Annotated[str, AfterValidator(check_header_name)]
HeaderValue = Annotated[str, AfterValidator(check_header_value)]


class Endpoint(BaseModel):
    """One place where the target can be called; its URI alone stands for it as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: Uri = Field(description="SIP URI that is sent the INVITE.", examples=['"sip:support@192.0.2.20"'])

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"uri": value} if isinstance(value, str) else value


class Target(BaseModel):
    """A named destination: endpoints that are called one after the other, and the settings for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Name = Field(description="Name that a Refer-To URI has as its user part.", examples=['"support"'])
    endpoints: tuple[Endpoint, ...] = Field(
        min_length=1, description="Where it is called, in this order.", examples=['["sip:support@192.0.2.20"]']
    )
    mode: Annotated[Mode, BeforeValidator(parse_mode)] = Field(
        Mode.BLIND, description="What the person who answers hears before the caller."
    )
    ring_timeout: RingTimeout = Field(30.0, description="Seconds that each endpoint may ring (1 to 300).")
    caller_id: CallerId = Field("caller", description="Whose identity it sees: caller, agent, or a SIP URI.")
    codecs: tuple[Codec, ...] = Field((), description="Codecs offered, best first; none: those of the settings.")
    headers: Annotated[dict[HeaderName, HeaderValue], AfterValidator(_check_unique)] = Field(
        {}, description="X-... and User-to-User headers added to its INVITE."
    )

    @classmethod
    def make(cls, data: Mapping[str, Any]) -> Self:
        """Make a target from plain data; raises TargetError with all that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise TargetError(f"target {shown(data.get('name', ''))}", explain(error, cls)) from None

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

    def with_settings(self, given: Mapping[str, str]) -> Self:
        """Lay the settings of a Refer-To over those of the target; raises BadValue.

        A message or summary has no effect in the mode blind.
        """
        if "mode" not in given:
            return self
        return self.model_copy(update={"mode": parse_mode(given["mode"])})
