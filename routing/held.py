"""A caller whom the agent has put on hold, as agents do before they consult somebody, and who then gets a person.

The caller's phone sends nothing until it is told by SDP that somebody listens again (RFC 3264 section 8.4): that takes
a re-INVITE, the only one that handoff ever makes for a transfer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from routing.actions import RefreshSession
from routing.records import Party
from routing.rule import advance

if TYPE_CHECKING:
    from routing.records import Call
    from routing.rule import Step

_HELD = re.compile(r"^a=(?:sendonly|inactive)\r?$", re.MULTILINE)
_DIRECTION = re.compile(r"^a=(?:sendonly|recvonly|inactive)(?=\r?$)", re.MULTILINE)
_VERSION = re.compile(r"^(o=\S+ \S+ )(\d+)", re.MULTILINE)


def is_held(call: Call) -> bool:
    """Tell whether the caller was last told that it is on hold."""
    return _HELD.search(call.media.caller_view) is not None


def unheld(sdp: str) -> str:
    """Let an SDP say that its party sends and listens."""
    return _DIRECTION.sub("a=sendrecv", sdp)


def take_off_hold(call: Call) -> Step:
    """Send the caller that is on hold a re-INVITE; who has put it there has left. Changes nothing for any other."""
    if not is_held(call):
        return call, []
    media = call.media
    view = _VERSION.sub(lambda found: f"{found[1]}{int(found[2]) + 1}", unheld(media.caller_view))
    changed = media.model_copy(update={"caller_sdp": unheld(media.caller_sdp), "caller_view": view})
    return offer_anew(call.model_copy(update={"media": changed}))


def offer_anew(call: Call) -> Step:
    """Send the caller a re-INVITE with the SDP that it should have by now."""
    call, dialog, cseq = advance(call, Party.CALLER)
    interval = round(call.session_timer.interval) if call.session_timer else 0
    return call, [RefreshSession(dialog, cseq, "INVITE", interval, call.media.caller_view)]
