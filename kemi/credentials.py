"""Names and secrets for endpoints that ask for them, found at the moment that they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import KSR

from kemi.message import headers, reply_headers, text
from routing.digest import ANSWERED_BY, authorize
from routing.secret_sources import find_value, read_key
from routing.secrets import Secret
from routing.store import StoreError
from routing.targets import Target, TargetError
from routing.texts import BadValue
from routing.uris import host_of, on_trunk

if TYPE_CHECKING:
    from routing.digest import Field
    from routing.settings import Settings
    from routing.store import Store


CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who handoff is at an endpoint; the secret is a value, and shows as `***`."""

    user: str
    secret: Secret


def answer_challenge(method: str, login: Credentials | None, whose: str) -> tuple[Field, ...]:
    """Give the header fields that answer the challenges which the request at hand, of a failure route, has met.

    None where there is no login, or where what the request had already was refused; then `whose` begins a line of the
    log.
    """
    if login is None:
        return ()
    challenges = [(name, value) for name in CHALLENGES.values() for value in reply_headers(name)]
    given = [(name, value) for name in ANSWERED_BY.values() for value in headers(name)]
    try:
        return authorize(challenges, method, text("$ru"), login.user, login.secret, given)
    except BadValue as error:
        KSR.warn(f"{whose} its challenge cannot be answered: {error}\n")
        return ()


class CredentialFinder:
    """Finds the credentials for endpoints of targets; they are in no record and no event, and are not kept here."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take where targets are kept; a key that cannot be used is told at once, while people look at the log."""
        self._key = settings.security.key
        self._trunks, self._trunk = settings.trunks, settings.tel_trunk
        self._store = store
        if self._key is not None:
            try:
                read_key(self._key)
            except BadValue as error:
                KSR.err(f"secrets of targets cannot be decrypted: {error}\n")

    def find(self, target: str, uri: str, *, by_host: bool = False) -> Credentials | None:
        """Find user and secret for the endpoint `uri` of the target; None where there are none that can be used.

        Why not is in the log. A URI that the target does not have, such as one of a 302, gets no credentials; but
        with `by_host`, one at the host of an endpoint gets those of that, as the Contact of who answered there.
        """
        try:
            return self._find(target, uri, by_host=by_host)
        except (BadValue, TargetError, StoreError) as error:
            words = error.text if isinstance(error, StoreError) else " ".join(str(error).split())
            KSR.err(f"target={target} endpoint={uri} asks for credentials that cannot be used: {words}\n")
            return None

    def for_trunk(self, name: str) -> Credentials | None:
        """Find user and secret for what is sent to a trunk; None where there are none that can be used.

        Why not is in the log.
        """
        trunk = next((trunk for trunk in self._trunks if trunk.name == name), None)
        if trunk is None or trunk.secret is None:
            KSR.warn(f"trunk={name} asks who sends it a REFER: give it user and secret in the configuration\n")
            return None
        try:
            return Credentials(trunk.user or "", find_value(Secret.read(trunk.secret), self._key))
        except BadValue as error:
            KSR.err(f"trunk={name} asks for credentials that cannot be used: {error}\n")
            return None

    def _find(self, target: str, uri: str, *, by_host: bool) -> Credentials | None:
        data = self._store.target(target)
        endpoints = Target.from_json(data).endpoints if data is not None else ()
        keyed = {self._dialled(each.uri): each for each in endpoints if each.secret}
        there = (dialled for dialled in keyed if by_host and host_of(dialled) == host_of(uri))
        dialled = uri if uri in keyed else next(there, "")
        endpoint = keyed.get(dialled)
        if endpoint is None or endpoint.secret is None:
            mend = f"give them with `handoff targets set {target} --user NAME --secret-prompt`"
            KSR.warn(f"target={target} endpoint={uri} asks for credentials, and there are none; {mend}\n")
            return None
        return Credentials(endpoint.login_at(dialled), find_value(endpoint.secret, self._key))

    def _dialled(self, uri: str) -> str:
        """Give what was dialled for an endpoint: a tel: URI goes to a trunk."""
        return on_trunk(uri, self._trunk) if self._trunk else uri
