"""Telling a target that the call was first for somebody else: Diversion (RFC 5806) or History-Info (RFC 7044).

Whom the caller called has handed the call over, and is what our entry names; its reason is the deflection, or why a
fallback is called. Entries that came with the call stay: Diversion has the newest first, History-Info last.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from routing.name_addr import split_name_addr
from routing.outcomes import Outcome

if TYPE_CHECKING:
    from routing.records import Call
    from routing.transfer_record import Transfer


class Divert(StrEnum):
    """How a target is told of the handover."""

    NONE = "none"
    DIVERSION = "diversion"
    HISTORY_INFO = "history-info"


class Why(StrEnum):
    """Why a call is diverted, in the words of RFC 5806 section 5."""

    DEFLECTION = "deflection"
    TIME_OF_DAY = "time-of-day"
    BUSY = "user-busy"
    NO_ANSWER = "no-answer"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


HEADERS = {Divert.DIVERSION: "Diversion", Divert.HISTORY_INFO: "History-Info"}
_CAUSES = {
    Why.DEFLECTION: 302,
    Why.TIME_OF_DAY: 480,
    Why.BUSY: 486,
    Why.NO_ANSWER: 408,
    Why.UNAVAILABLE: 503,
    Why.UNKNOWN: 404,
}
"""The status that would have led the caller on (RFC 4458 section 2)."""
_FAILED = {Outcome.BUSY: Why.BUSY, Outcome.NO_ANSWER: Why.NO_ANSWER, Outcome.UNREACHABLE: Why.UNAVAILABLE}
_INDEX = re.compile(r";\s*index\s*=\s*([0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)


def own_entry(divert: Divert, called: str, why: Why) -> dict[str, str]:
    """Make our header field; `called` is the To of the caller. An entry of History-Info gets its index later."""
    _, uri = split_name_addr(called)
    if divert is Divert.DIVERSION:
        return {"Diversion": f"<{uri}>;reason={why}"}
    if divert is Divert.HISTORY_INFO:
        return {"History-Info": f"<{uri}?Reason=SIP%3Bcause%3D{_CAUSES[why]}>"}
    return {}


def with_own(name: str, theirs: str, own: str, leg_uri: str) -> str:
    """Put our entry to those that came with the call, which may be none."""
    if name == "Diversion":
        return f"{own}, {theirs}" if theirs else own
    index = _last_index(theirs)
    if index and _last_uri(theirs) == _last_uri(own):
        # Who sent us the call has named whom it was for: we only say why it is not there any more.
        before, _, last = theirs.rpartition("<")
        listed = f"{before}{own}{last.partition('>')[2]}"
    else:
        # A 0 shows that somebody in between has left no entry (RFC 7044 section 10.3).
        index = f"{index}.0.1" if index else "1"
        listed = f"{theirs}, {own};index={index}" if theirs else f"{own};index={index}"
    return f"{listed}, <{leg_uri}>;index={index}.1;mp={index}"


def why_fallback(call: Call, transfer: Transfer) -> Why | None:
    """Tell why the target before this fallback was not reached; None where this is no fallback."""
    failed = call.history[-1] if call.history else None
    if failed is None or failed.outcome is None or transfer.id != f"{failed.id}f":
        return None
    return _FAILED.get(failed.outcome, Why.UNKNOWN)


def _last_index(entries: str) -> str:
    found: list[str] = _INDEX.findall(entries)
    return found[-1] if found else ""


def _last_uri(entries: str) -> str:
    return entries.rpartition("<")[2].partition(">")[0].partition("?")[0]
