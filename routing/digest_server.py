"""Digest authentication, the side that asks (RFC 7616, RFC 8760, RFC 3261 section 22).

A nonce says when it was made and for whom, and bears a code that only the nodes of this system can make: so any node
knows its own and the others' nonces again, and nobody has to remember them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routing.digest import read_parameters
from routing.texts import BadValue, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

NONCE_LASTS = 300.0
"""Seconds after which a nonce is stale."""
_HASHES = {"SHA-256": "sha256", "MD5": "md5"}
"""The algorithms that there are keys for."""
_NONCE = re.compile(r"([0-9a-f]{8})([0-9a-f]{32})")
_WORDS = ("username", "realm", "nonce", "uri", "response", "nc", "cnonce", "qop")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a password is kept as: H(user:realm:password) by each algorithm (RFC 7616 section 3.4.2)."""

    md5: str
    sha256: str

    @classmethod
    def of(cls, user: str, realm: str, password: str) -> Keys:
        """Compute them from a password."""
        return cls(*(_digest(name, user, realm, password) for name in ("MD5", "SHA-256")))

    def __repr__(self) -> str:
        return "Keys(***)"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Authorization field says."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    nc: str
    cnonce: str
    algorithm: str

    @classmethod
    def read(cls, value: str) -> Credentials | None:
        """Read the field; None for another scheme than Digest. Raises BadValue for what is not as RFC 7616 has it."""
        fields = read_parameters(value)
        if fields is None:
            return None
        for name in _WORDS:
            if not fields.get(name):
                raise BadValue(f"the credentials have no {name}", mend="answer the challenge as RFC 7616 section 3.4")
        if fields["qop"].lower() != "auth":
            raise BadValue(f"the credentials have qop={shown(fields['qop'])}", mend="answer with qop=auth")
        algorithm = fields.get("algorithm", "MD5").upper()
        if algorithm not in _HASHES:
            raise BadValue(f"the algorithm {shown(algorithm)} is not known", mend=f"use {' or '.join(_HASHES)}")
        values = {name: fields[name] for name in _WORDS if name != "qop"}
        return cls(algorithm=algorithm, **values)

    def match(self, keys: Keys, method: str) -> bool:
        """Say whether who wrote them knows the password (RFC 7616 section 3.4.1)."""
        key = keys.md5 if self.algorithm == "MD5" else keys.sha256
        request = _digest(self.algorithm, method, self.uri)
        right = _digest(self.algorithm, key, self.nonce, self.nc, self.cnonce, "auth", request)
        return hmac.compare_digest(right.encode(), self.response.lower().encode())


def make_nonce(key: bytes, peer: str, now: float) -> str:
    """Make a nonce for a peer, known by its address."""
    made = f"{int(now):08x}"
    return made + _code(key, made, peer)


def is_fresh(nonce: str, key: bytes, peer: str, now: float) -> bool:
    """Say whether a nonce was made by us, for this peer, and not too long ago."""
    found = _NONCE.fullmatch(nonce)
    if found is None or not hmac.compare_digest(found[2], _code(key, found[1], peer)):
        return False
    return int(found[1], 16) <= now < int(found[1], 16) + NONCE_LASTS


def challenges(realm: str, nonce: str, algorithms: Sequence[str], *, stale: bool) -> list[str]:
    """Write the WWW-Authenticate fields, one for each algorithm, the best on top (RFC 8760 section 2.4)."""
    tail = ", stale=true" if stale else ""
    return [f'Digest realm="{realm}", nonce="{nonce}", algorithm={name}, qop="auth"{tail}' for name in algorithms]


def _code(key: bytes, made: str, peer: str) -> str:
    return hmac.new(key, f"{made} {peer}".encode(), hashlib.sha256).hexdigest()[:32]


def _digest(algorithm: str, *parts: str) -> str:
    return hashlib.new(_HASHES[algorithm], ":".join(parts).encode(), usedforsecurity=False).hexdigest()
