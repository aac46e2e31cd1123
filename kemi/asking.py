"""Asking a phone of a user whether it is there, for a person who wants to know: only we have the way to it.

The command is answered at once, when the OPTIONS is sent, and once more when the phone has replied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import KSR

from kemi.message import header
from routing.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kemi.outgoing import Outgoing
    from routing.store import Store

ASKED = "asked-"
"""What the Call-ID of such an OPTIONS begins with; the id of the command follows."""


def ask_phone(outgoing: Outgoing, command: Mapping[str, Any]) -> bool:
    """Send OPTIONS to a phone (RFC 3261 section 11); False where it cannot be sent, as its connection has closed."""
    uri, hop = str(command.get("uri")), str(command.get("hop"))
    return outgoing.probe(uri, hop, call_id=f"{ASKED}{command.get('id')}")


def tell_reply(store: Store) -> bool:
    """Tell who asked what the phone replies; False where the reply at hand is to none of these OPTIONS."""
    call_id, status = header("Call-ID") or "", KSR.kx.get_status()
    if not call_id.startswith(ASKED):
        return False
    if status >= 200:
        try:
            store.answer_command(call_id.removeprefix(ASKED), {"ok": True, "status": status})
        except StoreError as error:
            KSR.warn(f"command={call_id.removeprefix(ASKED)} its answer is lost: {error.text}\n")
    return True
