"""Users whose phones register here: how they are named, kept and found.

A user is `alice@handoff.local` everywhere in the code and in Redis; people may leave the domain out.
"""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from routing.digest_server import Keys
from routing.secrets import Secret, seal
from routing.texts import BadValue, check_name, nearest, shown
from routing.uris import host_of, transport_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routing.settings_model import Users


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may register, with the keys of the password as they are kept: sealed where there is a key."""

    name: str
    keys: Secret

    @classmethod
    def of(cls, name: str, password: str) -> Self:
        """Make a user from name and password, which is not kept."""
        user, _, domain = name.partition("@")
        keys = Keys.of(user, domain, password)
        return cls(name, Secret.of(f"{keys.md5}:{keys.sha256}"))

    def sealed(self, key: Secret) -> User:
        """Encrypt the keys: who has them can register without the password. Raises BadValue for a bad key."""
        return User(self.name, seal(self.keys, key))

    def to_json(self) -> bytes:
        """Write it as the store keeps it."""
        return json.dumps({"keys": self.keys.stored()}).encode()

    @classmethod
    def from_json(cls, name: str, data: bytes) -> Self:
        """Read it back; raises BadValue, which repeats nothing of it."""
        try:
            return cls(name, Secret.read(json.loads(data)["keys"]))
        except (ValueError, TypeError, KeyError):
            mend = f"give the password again: handoff users passwd {name}"
            raise BadValue(f"user {name} cannot be read", mend=mend) from None


def read_keys(value: Secret) -> Keys:
    """Take the keys of a user apart, when they have been unsealed; raises BadValue for what are none."""
    md5, _, sha256 = value.reveal().partition(":")
    if len(md5) != 32 or len(sha256) != 64:
        raise BadValue("the keys of the user are spoilt", mend="give the password again: handoff users passwd NAME")
    return Keys(md5, sha256)


class Contact(BaseModel):
    """Where one phone of a user is reached, until `expires_at`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    """As the phone gave it."""
    hop: str = ""
    """Where requests to it are really sent: where it registered from, if that is not what its URI says."""
    expires_at: float
    q: float = 1.0
    user_agent: str = ""
    node: str = ""
    """The node that it registered at."""
    secure: bool = False
    """Over TLS: URIs name WebSockets alike with it and without (RFC 7118 section 5.2)."""

    @property
    def transport(self) -> str:
        """What it is reached over: udp, tcp, tls, ws or wss."""
        named = transport_of(self.hop or self.uri) or "udp"
        return "wss" if named == "ws" and self.secure else named

    def suits(self, uri: str) -> bool:
        """Whether it may be called by a URI of its user: sips: asks for TLS (RFC 5630 section 3.1)."""
        return not uri.lower().startswith("sips:") or self.transport in {"tls", "wss"}


def read_contacts(entries: Iterable[bytes], now: float) -> list[Contact]:
    """Read what the store has of a user's phones, the ones liked best first; those whose time is over are left out.

    What a newer version has written besides is passed over: nodes are upgraded one after the other.
    """
    found = []
    for data in entries:
        try:
            contact = Contact.model_validate_json(data, extra="ignore")
        except ValidationError:
            continue  # of another version: the phone registers again soon
        if contact.expires_at > now:
            found.append(contact)
    return sorted(found, key=lambda contact: (-contact.q, contact.uri))


def check_user_name(text: str, users: Users) -> str:
    """Check a name as people give it, `alice` or `alice@domain`, and give the whole; raises BadValue."""
    if not users.domains:
        mend = 'write domains = ["handoff.local"] into the section [users] of the configuration'
        raise BadValue("there is no domain for users", mend=mend)
    user, at, domain = text.partition("@")
    if at and not users.has(domain):
        raise BadValue(f"{shown(domain)} is no domain for users", mend=nearest(domain, users.domains))
    return f"{check_name(user)}@{domain.lower() if at else users.domains[0]}"


def user_of(uri: str, users: Users) -> str | None:
    """Find the user that a URI means, as `alice@handoff.local`; None where its host is no domain of ours."""
    host = host_of(uri)
    if not users.has(host):
        return None
    user = uri.partition(":")[2].rpartition("@")[0].partition(":")[0].partition(";")[0]
    return f"{urllib.parse.unquote(user)}@{host}"


def listed(users: Iterable[str], contacts: Mapping[str, Iterable[bytes]], now: float) -> dict[str, list[Contact]]:
    """Give each user's phones, by name."""
    return {name: read_contacts(contacts.get(name, ()), now) for name in sorted(users)}
