"""The kinds of values that settings and targets are made of, each with its check."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from routing.hours import check_time_zone
from routing.secrets import check_reference
from routing.speech import check_speech
from routing.texts import (
    BadValue,
    check_address,
    check_host,
    check_name,
    check_number,
    check_port,
    check_text,
    nearest,
    shown,
    split_host_port,
)
from routing.uris import check_agent, check_trunk
from routing.values import TRANSPORTS, check_caller_id, check_endpoint

LISTENED = (*TRANSPORTS, "ws", "wss")
"""What can be listened at; by WebSocket (RFC 7118) a party is only reached that has connected to us."""

VOICE = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/._+@-]{0,199}")


def check_listen(text: str) -> str:
    """Check "transport:address:port", such as udp:127.0.0.1:5060, tls:[::1]:5061 or wss:127.0.0.1:8443."""
    transport, _, rest = text.partition(":")
    address, colon, port = rest.rpartition(":")
    if transport not in LISTENED or not colon or (":" in address and not address.startswith("[")):
        raise BadValue(f"{shown(text)} is no place to listen at", mend="write it as udp:127.0.0.1:5060")
    return f"{transport}:{check_address(address)}:{check_port(port)}"


def check_network(text: str) -> str:
    """Check an IP address or a network in CIDR form."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue(f"{shown(text)} is no address or network", mend="write 192.0.2.1 or 192.0.2.0/24") from None
    address = text.partition("/")[0]
    if network.network_address != ipaddress.ip_address(address):
        raise BadValue(f"{shown(text)} has bits set after the network part", mend=f"did you mean {network}?")
    return str(network) if network.num_addresses > 1 else str(network.network_address)


def check_pattern(text: str) -> str:
    """Check a number pattern: a number, a prefix ending in *, or * for all."""
    if text == "*" or re.fullmatch(r"\+?[0-9]{1,15}\*", text):
        return text
    return check_number(text)


def check_host_pattern(text: str) -> str:
    """Check a host, or *.domain for all hosts below a domain."""
    return f"*.{check_host(text[2:])}" if text.startswith("*.") else check_host(text)


def check_origin(text: str) -> str:
    """Check the origin of web pages (RFC 6454 section 6.1): "https://host" or "https://host:port"."""
    found = re.fullmatch(r"(https?)://(\[[^]]+\]|[^][/:]+)(?::(\d+))?", text.lower())
    if found is None:
        raise BadValue(f"{shown(text)} is no origin of web pages", mend="write it as https://app.example.com")
    scheme, host, port = found.groups()
    return f"{scheme}://{check_host(host)}" + (f":{check_port(port)}" if port else "")


def check_webhook(text: str) -> str:
    """Check the URL of a receiver of webhooks; a login in it would be shown, so there must be none."""
    found = re.fullmatch(r"https?://(\[[^]]+\]|[^][/?#:@\s]+)(?::(\d+))?(?:[/?][^#\s]*)?", text)
    if found is None:
        mend = "write it as https://hooks.example.com/handoff, without a login"
        raise BadValue(f"{shown(text)} is no URL for webhooks", mend=mend)
    host, port = found.groups()
    check_host(host)
    if port:
        check_port(port)
    return text


def check_host_port(text: str) -> str:
    """Check "host:port"."""
    host, port = split_host_port(text)
    return f"{host}:{port}"


def check_interface(text: str) -> str:
    """Check an address for media, or "address!advertised address" behind NAT."""
    return "!".join(check_address(part).strip("[]") for part in text.split("!", 1))


def check_redis_url(text: str) -> str:
    """Check a Redis URL without ever repeating it: it may hold a password."""
    if not re.fullmatch(r"unix:///[^\s]+|rediss?://[^\s/]+[^\s]*", text):
        raise BadValue(
            "this is not a Redis URL (not shown, it may hold a password)",
            mend="write it as unix:///path, redis://host:6379 or rediss://host:6379",
        )
    return text


def check_path(text: str) -> str:
    """Check the absolute path of a file or folder: daemons run in folders of their own."""
    if not check_text(text, "the path").startswith("/"):
        raise BadValue(f"{shown(text)} is not an absolute path", mend="write it from the root, as /var/lib/handoff")
    return text


def check_speech_command(text: str) -> str:
    """Check the command line of a speech engine: words as a shell takes them, with {file} for the WAV file."""
    check_text(text, "the command")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadValue(f"the command cannot be split into words ({error})", mend="close all quotes") from None
    if not words:
        raise BadValue("the command is empty", mend="name a speech engine, such as espeak-ng")
    if "{file}" not in _placeholders(text, {"file", "voice", "language"}):
        raise BadValue("the command does not say where the sound goes", mend="put {file} where the path belongs")
    return text


def check_voice(text: str) -> str:
    """Check the name of a voice or language: it becomes a word of the speech engine's command line."""
    if text and not VOICE.fullmatch(text):
        raise BadValue(f"{shown(text)} is no voice or language", mend="name one as the speech engine does, like en-gb")
    return text


def check_prompt(text: str) -> str:
    """Check the text that asks for a key, which has {key} where the key is named."""
    if "{key}" not in _placeholders(check_speech(text), {"key"}):
        raise BadValue("the prompt does not name the key", mend="put {key} where it is to be said")
    return text.strip()


def _placeholders(text: str, known: set[str]) -> set[str]:
    """Find the {words} of a template; raises BadValue for one that is not known, and for a lone brace."""
    found = set(re.findall(r"\{[^{}]*\}", text))
    for word in sorted(found - {f"{{{name}}}" for name in known}):
        raise BadValue(f"{shown(word)} is not known here", mend=nearest(word, (f"{{{name}}}" for name in known)))
    if set("{}") & set(re.sub(r"\{[^{}]*\}", "", text)):
        raise BadValue("it has a brace that belongs to no {word}", mend="leave it out")
    return found


Name = Annotated[str, AfterValidator(check_name)]
Uri = Annotated[str, AfterValidator(check_endpoint)]
AgentUri = Annotated[str, AfterValidator(check_agent)]
TrunkUri = Annotated[str, AfterValidator(check_trunk)]
Origin = Annotated[str, AfterValidator(check_origin)]
WebhookEvent = Literal["requested", "ringing", "answered", "connected", "failed"]
"""The stages of a transfer under way, and how one finishes."""
WebhookUrl = Annotated[str, AfterValidator(check_webhook)]
Listen = Annotated[str, AfterValidator(check_listen)]
Network = Annotated[str, AfterValidator(check_network)]
Number = Annotated[str, AfterValidator(check_pattern)]
Domain = Annotated[str, AfterValidator(check_host)]
HostPattern = Annotated[str, AfterValidator(check_host_pattern)]
HostPort = Annotated[str, AfterValidator(check_host_port)]
Interface = Annotated[str, AfterValidator(check_interface)]
RedisUrl = Annotated[str, AfterValidator(check_redis_url)]
CallerId = Annotated[str, AfterValidator(check_caller_id)]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(check_text)]
Path = Annotated[str, AfterValidator(check_path)]
Reference = Annotated[str, AfterValidator(check_reference)]
Spoken = Annotated[str, AfterValidator(check_speech)]
Voice = Annotated[str, AfterValidator(check_voice)]
Prompt = Annotated[str, AfterValidator(check_prompt)]
SpeechCommand = Annotated[str, AfterValidator(check_speech_command)]
Codec = Literal["PCMU", "PCMA", "G722", "opus"]
RingTimeout = Annotated[float, Field(ge=1, le=300)]
TimeZone = Annotated[str, AfterValidator(check_time_zone)]
Port = Annotated[int, Field(ge=1024, le=65535)]
