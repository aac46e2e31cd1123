"""Where Kamailio sends the copies of SIP messages, the sidecar takes them, and people find them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.ports import free_port, split_listen

if TYPE_CHECKING:
    from routing.settings import Settings

LOOPBACK = {4: ("127.0.0.1", "127.0.0.1"), 6: ("::1", "[::1]")}


def find_family(settings: Settings) -> int | None:
    """Find the IP version by which Kamailio can send copies, from one of its own UDP sockets; None: by none."""
    places = map(split_listen, settings.sip.listen)
    return next((6 if ":" in address else 4 for transport, address, _ in places if transport == "udp"), None)


def pick_place(settings: Settings) -> str | None:
    """Pick a free place (host:port) on this machine; None where nothing is traced."""
    family = find_family(settings)
    if settings.trace.mode == "off" or family is None:
        return None
    address, written = LOOPBACK[family]
    return f"{written}:{free_port('udp', address)}"


def trace_uri(settings: Settings) -> str | None:
    """Write for Kamailio where copies go; None where nothing is traced, and Kamailio then does nothing for it."""
    if settings.trace.mode == "off" or settings.trace.listen is None or find_family(settings) is None:
        return None
    return f"sip:{settings.trace.listen}"


def trace_field(settings: Settings, call_id: str, ended_at: float | None = None) -> tuple[str, str]:
    """Say how the messages of a call are seen; an empty text where none are kept, or it ended too long ago."""
    trace = settings.trace
    gone = ended_at is not None and time.time() > ended_at + 60 * trace.minutes
    if trace.mode == "off" or gone:
        return "trace", ""
    return "trace", f"handoff trace {call_id}, until {trace.minutes:g} minutes after the last message of the call"
