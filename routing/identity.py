"""What a target is told of the caller: whose name it sees, and which header fields of the caller's INVITE it gets.

A caller who asks for privacy with `user`, `header` or `full` (RFC 3323) gets it from us: nothing by which it could be
known is sent. With `id` (RFC 3325) the asserted identity goes along, with the wish that nobody else be told. A target
that sees another identity, since its `caller_id` says so, gets nothing of the caller's: neither the asserted one nor
the signature of STIR (RFC 8224), which would be wrong for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from routing.diversion import HEADERS, Divert, Why, own_entry, why_fallback, with_own
from routing.name_addr import ANONYMOUS, tidy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.records import Call
    from routing.transfer_record import Leg, Transfer

CALLERS = ("P-Asserted-Identity", "Identity", "Privacy")
"""Header fields about the caller itself."""
HISTORY = ("History-Info", "Diversion")
"""Header fields about where the call has been."""
LINE = "\n"
"""Stands between the values of several header fields of one name."""
_HIDE_CALLER = {"user", "header", "full"}
_HIDE_HISTORY = {"header", "history", "full"}
_DONE = {"user", "header", "history", "full", "session"}
"""What we do, or have done: the media are anchored. Who does it takes it off the list (RFC 3323 section 5)."""


def caller_sender(call: Call) -> str:
    """Give the caller's identity for From, without tag; an anonymous one where the caller wants that."""
    return ANONYMOUS if _wishes(call.identity) & {"user", "full"} else tidy(call.caller.remote)


def diversion(call: Call, divert: Divert, why: Why) -> dict[str, str]:
    """Make our own header field about the handover, unless the caller wants no history."""
    return {} if _wishes(call.identity) & _HIDE_HISTORY else own_entry(divert, call.caller.local, why)


def identity_fields(call: Call, transfer: Transfer, leg: Leg) -> list[str]:
    """Give the header fields about caller and history for the INVITE to an endpoint."""
    kept = _kept(call.identity, as_caller=leg.sender == caller_sender(call))
    for divert, name in HEADERS.items():
        if name in transfer.headers:
            why = why_fallback(call, transfer)
            own = diversion(call, divert, why)[name] if why else transfer.headers[name]
            kept[name] = with_own(name, ", ".join(kept.get(name, "").split(LINE)), own, leg.uri)
    return [f"{name}: {value}" for name, values in kept.items() for value in values.split(LINE)]


def other_headers(transfer: Transfer) -> dict[str, str]:
    """Give the header fields of a transfer that are not about its history."""
    return {name: value for name, value in transfer.headers.items() if name not in HISTORY}


def _kept(identity: Mapping[str, str], *, as_caller: bool) -> dict[str, str]:
    wishes = _wishes(identity)
    kept = dict(identity)
    hidden = set[str]()
    if not as_caller:
        hidden |= set(CALLERS)
    if wishes & _HIDE_CALLER:
        hidden |= {"P-Asserted-Identity", "Identity"}
    if wishes & _HIDE_HISTORY:
        hidden |= set(HISTORY)
    if wishes & _DONE:
        left = [word for word in _words(identity) if word not in _DONE | {"critical"}]
        kept["Privacy"] = ";".join(left)
        hidden |= set() if left else {"Privacy"}
    return {name: value for name, value in kept.items() if name not in hidden}


def _wishes(identity: Mapping[str, str]) -> set[str]:
    return set(_words(identity))


def _words(identity: Mapping[str, str]) -> list[str]:
    return [word.lower() for word in re.split(r"[;,\s]+", identity.get("Privacy", "")) if word]
