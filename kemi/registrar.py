"""REGISTER: phones of our users say where they are (RFC 3261 section 10.3), over whatever transport.

Kamailio's usrloc keeps the bindings of this node; a copy in Redis tells everybody else, the processes of this node
included. A phone is called where it registered from and nowhere else: over its connection, or at its side of a NAT. So
nobody can register a number of some carrier.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import KSR
from sipmessage import Address

from kemi.message import SipError, done, header, headers, plain, reply, text, uri_of
from routing.digest_server import Credentials, challenges, is_fresh, make_nonce
from routing.secret_sources import find_value
from routing.store import StoreError
from routing.texts import BadValue
from routing.uris import host_of
from routing.users import Contact, User, read_keys, user_of

if TYPE_CHECKING:
    from kemi.context import Context

TABLE = "location"
NO_REPLY, PREPARE = 2, 16
"""Flags of the registrar: the answer is ours to send, but it writes the Contact fields of it."""
TOO_MANY = -2
_OURS, _GONE = "ours", "exp"
"""Where Kamailio puts the bindings that it was asked for, and the one that it tells of."""
NEW, REMOVED = 1, 3
"""What the registrar says that it has done."""


class Registrar:
    """Answers REGISTER."""

    def __init__(self, context: Context) -> None:
        """Take the parts that it works with."""
        self._context = context
        self._users = context.settings.users
        self._node = context.settings.node.id

    def register(self) -> None:
        """Handle the REGISTER at hand; raises SipError with the answer where it is not 200."""
        if KSR.tm.t_newtran() <= 0:
            return  # a retransmission, answered by tm
        user = user_of(uri_of(header("To")), self._users)
        if user is None:
            raise SipError(404, "Not a domain of this system")
        try:
            self._authenticate(user)
            self._check_contacts()
            self._save(user)
        except StoreError as error:
            KSR.warn(f"user={plain(user)} cannot register: {error.text}\n")
            raise SipError(503, "Registration is not possible right now", retry_after=10) from error
        reply(200, "OK")

    def _authenticate(self, user: str) -> None:
        """Let nobody pass but the user (RFC 3261 section 22.2); who is not known is told nothing else than others."""
        now, peer = time.time(), KSR.kx.get_srcip()
        name, _, realm = user.partition("@")
        nonce_key, data = self._context.store.login(user)
        given = _credentials(realm)
        if given is None:
            raise self._challenge(realm, make_nonce(nonce_key, peer, now), stale=False)
        if given.algorithm not in self._users.algorithms:
            raise SipError(400, f"The algorithm {given.algorithm} was not offered")
        if data is None or given.username != name or not self._knows_password(user, data, given):
            KSR.warn(f"user={plain(user)} from={peer} is refused: wrong user or password\n")
            raise SipError(403, "Wrong user or password")
        if not is_fresh(given.nonce, nonce_key, peer, now):
            raise self._challenge(realm, make_nonce(nonce_key, peer, now), stale=True)

    def _challenge(self, realm: str, nonce: str, *, stale: bool) -> SipError:
        for value in challenges(realm, nonce, self._users.algorithms, stale=stale):
            KSR.hdr.append_to_reply(f"WWW-Authenticate: {value}\r\n")
        return SipError(401, "Unauthorized")

    def _knows_password(self, user: str, data: bytes, given: Credentials) -> bool:
        try:
            keys = read_keys(find_value(User.from_json(user, data).keys, self._context.settings.security.key))
        except BadValue as error:
            KSR.err(f"user={user} cannot register: {error}\n")
            raise SipError(500, "The keys of this user cannot be read") from error
        return given.match(keys, "REGISTER")

    def _check_contacts(self) -> None:
        """Refuse what is too brief (RFC 3261 section 10.3), and note where the phone is really reached."""
        addresses = _contacts()
        otherwise = _seconds(header("Expires"), self._users.max_expires)
        for address in addresses:
            if 0 < _seconds(address.parameters.get("expires"), otherwise) < self._users.min_expires:
                KSR.hdr.append_to_reply(f"Min-Expires: {self._users.min_expires}\r\n")
                raise SipError(423, "Interval Too Brief")
        source = KSR.kx.get_srcip()
        if KSR.kx.get_proto().lower() != "udp" or any(host_of(str(each.uri)) != source for each in addresses):
            KSR.nathelper.fix_nated_register()
            KSR.setbflag(1)

    def _save(self, user: str) -> None:
        """Give the bindings to Kamailio, and keep a copy for all others."""
        result = KSR.registrar.save_uri(TABLE, NO_REPLY | PREPARE, f"sip:{user}")
        if result == TOO_MANY:
            raise SipError(403, f"No more than {self._users.max_contacts} phones may be registered")
        if result < 0:
            raise SipError(400, "The Contact cannot be registered")
        contacts = self._bindings(user)
        data = {contact.uri: contact.model_dump_json(exclude_defaults=True).encode() for contact in contacts}
        self._context.store.keep_contacts(user, self._node, data, self._users.max_expires)
        if result in {NEW, REMOVED}:
            KSR.info(f"user={user} phones={len(contacts)} from={text('$su')}\n")

    def _bindings(self, user: str) -> list[Contact]:
        if not done(KSR.registrar.reg_fetch_contacts(TABLE, f"sip:{user}", _OURS)):
            return []
        try:
            return [self._binding(number) for number in range(int(text(f"$ulc({_OURS}=>count)")))]
        finally:
            KSR.registrar.reg_free_contacts(_OURS)

    def _binding(self, number: int) -> Contact:
        def read(name: str) -> str:
            return text(f"$(ulc({_OURS}=>{name})[{number}])")

        uri = read("addr")
        return Contact(
            uri=uri,
            hop=_hop(read("received"), uri),
            expires_at=float(read("expires")),
            q=int(read("q") or 0) / 1000 if int(read("q") or -1) >= 0 else 1.0,
            user_agent=read("user_agent"),
            node=self._node,
            secure=read("socket").startswith("tls:"),
        )

    def expired(self) -> None:
        """Forget a phone whose time is over, or whose connection has closed."""
        user, uri = text(f"$ulc({_GONE}=>aor)"), text(f"$ulc({_GONE}=>addr)")
        try:
            self._context.store.drop_contact(user, self._node, uri)
        except StoreError as error:
            KSR.warn(f"user={user} {uri} is gone, but may be called still: {error.text}\n")
        else:
            KSR.info(f"user={user} {uri} is gone\n")


def end_registrations(user: str) -> None:
    """Forget all phones of a user that are registered at this node."""
    KSR.registrar.unregister(TABLE, f"sip:{user}")


def _credentials(realm: str) -> Credentials | None:
    """Find the credentials for our realm; those for others are somebody else's."""
    try:
        found = [Credentials.read(value) for value in headers("Authorization")]
    except BadValue as error:
        raise SipError(400, plain(error.what)) from error
    return next((each for each in found if each and each.realm == realm), None)


def _contacts() -> list[Address]:
    """Read the Contact fields; none for `*`, which the registrar deals with."""
    try:
        values = [value for value in headers("Contact") if value != "*"]
        return [address for value in values for address in Address.parse_many(value)]
    except ValueError as error:
        raise SipError(400, "The Contact cannot be read") from error


def _seconds(value: str | None, otherwise: int) -> int:
    """Read a number of seconds; what is none counts as not given (RFC 3261 section 10.2.1.1)."""
    return int(value) if value and value.isascii() and value.isdigit() else otherwise


def _hop(received: str, uri: str) -> str:
    """Say where requests to a phone are sent, with the transport: no other one leads there."""
    if received:
        return received if ";transport=" in received else f"{received};transport=udp"
    place = uri.partition(":")[2].rpartition("@")[2].partition(";")[0].partition("?")[0]
    return f"sip:{place};transport=udp"
