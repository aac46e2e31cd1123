"""From a REFER or a command to the transfer that is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import KSR

from kemi.message import SipError
from routing.records import Call, Subscription, Transfer
from routing.targets import Target, TargetError
from routing.values import BadValue, ReferTo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from routing.settings import Settings
    from routing.store import Store


class Transfers:
    """Finds targets and plans transfers to them."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take where targets are kept, and the policy."""
        self._settings = settings
        self._store = store

    def find(self, refer_to: ReferTo, is_ours: Callable[[str], bool]) -> Target:
        """Find the target that a Refer-To means; raises SipError: 404 for an unknown one, 403 for a foreign URI.

        `is_ours` tells whether a URI is at this host: there, a user part that names no target names nothing. Nor does
        it at a host without a domain, such as sip:support@handoff.
        """
        target = self.named(refer_to.user)
        try:
            if target is None:
                foreign = any(sign in refer_to.host for sign in ".:") and not is_ours(refer_to.uri)
                if not foreign and not self._settings.may_dial(refer_to.host):
                    raise SipError(404, f"No target {plain(refer_to.user)}")
                target = Target.from_uri(refer_to.uri, self._settings)
            return target.with_settings(refer_to.settings)
        except BadValue as error:
            raise SipError(error.status, plain(error.what)) from error

    def named(self, name: str) -> Target | None:
        """Read the target of this name; raises SipError 500 for one that cannot be read."""
        data = self._store.target(name) if name else None
        try:
            return Target.from_json(data) if data is not None else None
        except TargetError as error:
            KSR.err(f"target={plain(name)}: {plain(' '.join(str(error).split()), 500)}\n")
            raise SipError(500, f"Target {plain(name)} cannot be read") from error

    def plan(
        self,
        call: Call,
        target: Target,
        source: Literal["refer", "command"],
        *,
        requested_at: float,
        subscription: Subscription | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Transfer:
        """Make the transfer of a call to a target."""
        senders = {"caller": call.caller.remote, "agent": call.caller.local}
        return Transfer(
            id=f"{call.id}-{call.legs_made + 1}",
            target=target.name,
            mode=target.mode,
            source=source,
            endpoints=tuple(endpoint.uri for endpoint in target.endpoints),
            ring_timeout=target.ring_timeout,
            sender=senders.get(target.caller_id, f"<{target.caller_id}>"),
            codecs=target.codecs or self._settings.transfer.codecs,
            headers={**target.headers, **(headers or {})},
            subscription=subscription,
            requested_at=requested_at,
        )


def plain(words: str, length: int = 120) -> str:
    """Make text fit for a reason phrase or the log: printable ASCII on one line, of this length at most."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in words)[:length]
