"""REGISTER as a phone sends it, with digest."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from routing.digest import authorize
from routing.secrets import Secret
from tests.stack.dialog import Dialog

if TYPE_CHECKING:
    from tests.stack.message import Message
    from tests.stack.system import System
    from tests.stack.ua import Ua

DOMAIN = "handoff.local"
PASSWORD = "hunter2-hunter2"


def register(
    system: System,
    phone: Ua,
    *,
    user: str = "alice",
    domain: str = DOMAIN,
    contact: str | None = None,
    expires: int = 600,
    password: str = PASSWORD,
    algorithm: str = "",
    challenge: str | None = None,
) -> Message:
    """Register a phone, or remove it with `expires` 0; gives the last answer. Without a `contact` it gives its own.

    A `challenge` that it has kept is answered at once.
    """
    uri, identity = f"sip:{domain}", f"<sip:{user}@{domain}>"
    dialog = Dialog(
        call_id=secrets.token_hex(8),
        local=f"{identity};tag={secrets.token_hex(4)}",
        remote=identity,
        remote_target=uri,
        route_set=(f"<{system.uri};lr>",),
        cseq=0,
    )
    fields = {"Contact": contact or f"<{phone.uri}>", "Expires": str(expires), "User-Agent": "Test phone"}
    values = [challenge] if challenge else []
    if challenge is None:
        first = phone.final_reply(phone.request("REGISTER", dialog, headers=fields))
        if first.status != 401:
            return first
        values = first.all("WWW-Authenticate")
    offered = [("WWW-Authenticate", value) for value in values if algorithm in value]
    answers = dict(authorize(offered, "REGISTER", uri, user, Secret.of(password)))
    return phone.final_reply(phone.request("REGISTER", dialog, headers=fields | answers))
