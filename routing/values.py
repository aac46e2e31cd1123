"""SIP URIs and the Refer-To header, checked by the grammar of RFC 3261 and taken apart."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Self

import sipmessage

from routing.replaces import Replaces
from routing.texts import (
    BadValue,
    check_address,
    check_header_name,
    check_header_value,
    check_host,
    check_name,
    check_number,
    check_port,
    check_text,
    decode_percent,
    nearest,
    shown,
    split_host_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "BadValue",
    "ReferTo",
    "check_address",
    "check_caller_id",
    "check_endpoint",
    "check_header_name",
    "check_header_value",
    "check_host",
    "check_name",
    "check_number",
    "check_port",
    "check_text",
    "decode_percent",
    "nearest",
    "parse_sip_uri",
    "shown",
    "split_host_port",
]

SCHEMES = ("sip", "sips", "tel")
TRANSPORTS = ("udp", "tcp", "tls")
SETTINGS = ("message", "mode", "summary")
URI_PARAMETER = "handoff-"
HEADER = "x-handoff-"

# The user part may itself hold ; and ?, so it is what stands before the first @ (RFC 3261 19.1.1).
URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<userinfo>[^@]*@)?(?P<host>\[[^\]@]*\]|[^\[\]:;?@]*)"
    r"(?P<port>:[^;?]*)?(?P<parameters>;[^?]*)?(?:\?(?P<headers>.*))?"
)
NAME_ADDR = re.compile(
    r"""(?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9.!%*_+`'~ \t-]*)\s*<(?P<uri>[^<>]*)>\s*(?:;[^<>,]*)?""",
)


@dataclasses.dataclass(frozen=True, slots=True)
class _Parts:
    """The text of a URI taken apart, every part as it was written; only the scheme is in lower case."""

    scheme: str
    userinfo: str
    host: str
    port: str
    parameters: tuple[str, ...]
    headers: str | None

    def __str__(self) -> str:
        """Return the URI without its headers."""
        return f"{self.scheme}:{self.userinfo}{self.host}{self.port}{''.join(f';{p}' for p in self.parameters)}"


def parse_sip_uri(text: str) -> sipmessage.URI:
    """Parse a sip:, sips: or tel: URI without ?headers; raises BadValue (RFC 3261 19.1.1, RFC 3966)."""
    parts = _split(text)
    if parts.headers is not None:
        raise BadValue(f"{shown(text)} carries ?headers", mend="leave out the part from the ? on")
    return _parse(parts)


def check_endpoint(text: str) -> str:
    """Check a URI that handoff may send an INVITE to, and return it as written; raises BadValue.

    A tel: URI is one too: it goes to a trunk, see `routing.uris.on_trunk`.
    """
    uri = parse_sip_uri(text)
    if uri.scheme == "tel":
        return str(_split(text))
    if uri.password is not None:
        raise BadValue(f"{shown(text)} carries a password", mend="leave out the part between : and @")
    parameters = {name.lower(): value for name, value in uri.parameters.items()}
    transport = (parameters.get("transport") or "").lower()
    if "transport" in parameters and transport not in TRANSPORTS:
        raise BadValue(f"transport={transport} is not known", 501, mend=f"use {', '.join(TRANSPORTS)}")
    if uri.scheme == "sips" and transport == "udp":
        raise BadValue(f"{shown(text)} cannot go by UDP", mend="leave out transport=udp, or write sip:")
    if "maddr" in parameters:
        # It would send the call to another host than the one that the policy was asked about.
        raise BadValue(f"{shown(text)} carries maddr", mend="put the host to call after the @")
    return str(_split(text))


def check_caller_id(text: str) -> str:
    """Check whose identity the target sees: "caller", "agent", or a URI (without the <> around it)."""
    if text in {"caller", "agent"}:
        return text
    try:
        uri = parse_sip_uri(text.strip("<>"))
    except BadValue as error:
        raise BadValue(f"{shown(text)} is no caller id: {error}", mend='give "caller", "agent" or a SIP URI') from None
    if uri.password is not None:
        raise BadValue(f"{shown(text)} carries a password", mend="leave out the part between : and @")
    return text.strip("<>")


@dataclasses.dataclass(frozen=True, slots=True)
class ReferTo:
    """Where a REFER wants the caller to go (RFC 3515 2.1), and the settings that came with it."""

    uri: str
    """The URI to dial, as written, without headers and without the parameters meant for handoff."""
    user: str
    """The decoded user part, which may name a target; "" when there is none. A tel: URI gives its number."""
    host: str
    """The host in its normal form; "" for a tel: URI."""
    settings: Mapping[str, str]
    """Decoded values by setting: mode, message, summary."""
    replaces: Replaces | None = None
    """The dialog that the caller is to take the place in (RFC 3891): an attended transfer (RFC 5589 section 7)."""

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read the value of a Refer-To header: name-addr or addr-spec (RFC 3261 20.10); raises BadValue.

        A URI without <> is taken whole, parameters and headers included: platforms that can set only the
        URI often leave the brackets out. URI headers that are not for handoff are ignored (RFC 3261 19.1.5).
        """
        text = check_text(value, "Refer-To").strip()
        if "<" in text or text.startswith('"'):
            name_addr = NAME_ADDR.fullmatch(text)
            if name_addr is None:
                raise BadValue(f"Refer-To {shown(text)} is not an address", mend='write it as "Name" <sip:user@host>')
            text = name_addr["uri"].strip()
        parts = _split(text)
        uri = _parse(parts)
        parameters = _pairs(parts.parameters, "a parameter of the Refer-To URI")
        if parameters.get("method", "INVITE") != "INVITE":
            raise BadValue(f"a REFER to send {shown(parameters['method'])} is not yet available", 501)
        headers = _pairs(parts.headers.split("&") if parts.headers else (), "a header in the Refer-To URI")
        kept = tuple(p for p in parts.parameters if not p.lower().startswith((URI_PARAMETER, "method=")))
        return cls(
            uri=str(dataclasses.replace(parts, parameters=kept)),
            user=uri.global_phone_number or uri.user or "",
            host=uri.host,
            settings={**_settings(parameters, URI_PARAMETER), **_settings(headers, HEADER)},
            replaces=Replaces.parse(headers["replaces"]) if "replaces" in headers else None,
        )

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Lay the X-Handoff-... headers of the REFER (percent-encoded UTF-8) over the settings of the URI.

        Other headers are ignored. Precedence: REFER header, then URI header, then URI parameter.
        """
        given = {
            name.lower(): decode_percent(value.strip(), name)
            for name, value in headers.items()
            if name.lower().startswith(HEADER)
        }
        return dataclasses.replace(self, settings={**self.settings, **_settings(given, HEADER)})


def _split(text: str) -> _Parts:
    check_text(text, "the URI")
    found = URI.fullmatch(text)
    if found is None:
        raise BadValue(f"{shown(text)} is not a SIP URI", mend="write it as sip:user@host")
    scheme = found["scheme"].lower()
    if scheme not in SCHEMES:
        raise BadValue(f"the URI scheme {shown(scheme)} is not known", 416, mend="give a sip: URI")
    parameters = (found["parameters"] or "").split(";")[1:]
    return _Parts(
        scheme,
        found["userinfo"] or "",
        found["host"],
        found["port"] or "",
        tuple(parameters),
        found["headers"],
    )


def _parse(parts: _Parts) -> sipmessage.URI:
    """Let sipmessage check the grammar, and what it is lax or too strict about be checked here."""
    if not str(parts).isascii():
        raise BadValue(f"{shown(str(parts))} has characters outside ASCII", mend="percent-encode them as UTF-8")
    _pairs(parts.parameters, "a parameter of the URI")
    decode_percent(parts.userinfo, "the user part")
    is_tel = parts.scheme == "tel"
    # sipmessage refuses host names like node1, so it is shown a plain one; ours is put back.
    text = str(parts if is_tel else dataclasses.replace(parts, host="host", port=""))
    try:
        uri = sipmessage.URI.parse(text)
    except (ValueError, TypeError):  # TypeError: a parameter named "self" breaks its constructor
        raise BadValue(f"{shown(str(parts))} is not a {parts.scheme}: URI", mend="write it as sip:user@host") from None
    if is_tel:
        return uri
    port = check_port(parts.port[1:]) if parts.port else None
    return dataclasses.replace(uri, host=check_host(parts.host), port=port)


def _pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """Decode "name=value" texts; names come back in lower case, and none may be there twice."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        name = decode_percent(name, what).lower()
        # A parameter name may hold brackets and the like as well, which sipmessage checks.
        if not name or name in pairs:
            raise BadValue(f"{what} has no name" if not name else f"{what} is there twice: {shown(name)}")
        pairs[name] = decode_percent(value, what)
    return pairs


def _settings(pairs: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Pick the settings out of the pairs; a misspelt one is refused, or it would be lost without a word."""
    settings = {name.removeprefix(prefix): value for name, value in pairs.items() if name.startswith(prefix)}
    for name in settings:
        if name not in SETTINGS:
            raise BadValue(f"{shown(prefix + name)} is not a setting", mend=nearest(name, SETTINGS))
    return settings
