"""Digest authentication, the side that is asked (RFC 7616, RFC 8760, RFC 3261 section 22).

A challenge is read with `parse_challenges`, the best of several is found by `strongest`, and `answer` gives what goes
into the repeated request; `authorize` does all three for each realm that asks. What a peer sends wrong raises BadValue
and nothing else.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routing.texts import BadValue, check_text, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from routing.secrets import Secret

ANSWERED_BY = {"www-authenticate": "Authorization", "proxy-authenticate": "Proxy-Authorization"}
"""The header field that answers each challenge (RFC 3261 sections 22.2 and 22.3)."""
Field = tuple[str, str]
"""A header field: its name, and its value."""
LONGEST = 8192
"""Letters of a header field of challenges beyond which it is not read."""

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
KNOWN = [name for name, function in _HASHES.items() if function in hashlib.algorithms_available]
"""The algorithms that can be computed here, the strongest last; each also as ...-sess."""
_SESSION = "-SESS"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a word of the grammar
_FOLD = re.compile(r"\r\n[ \t]+")
_GAP = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|"(?:[^"\\]|\\.)*")[ \t]*(?=,|$)')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+[0-9A-Za-z._~+/-]+=*[ \t]*(?=,|$)|[ \t]+|(?=,|$))")
_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a digest is wanted for (RFC 7616 section 3.3); quoted values without their quotes and escapes."""

    realm: str
    nonce: str
    algorithm: str | None = None
    """As it was written, since it is sent back so; None means MD5."""
    qop: tuple[str, ...] = ()
    """Qualities of protection to choose from, in lower case; none is the digest of RFC 2069."""
    opaque: str | None = None
    stale: bool = False
    """Whether only the nonce was too old: then the credentials are worth another try."""

    @property
    def hash_name(self) -> str:
        """The algorithm in capital letters, without -sess."""
        return (self.algorithm or "MD5").upper().removesuffix(_SESSION)

    @property
    def binds_session(self) -> bool:
        """Whether the algorithm is a ...-sess one, whose key is made from both nonces."""
        return (self.algorithm or "").upper().endswith(_SESSION)

    def check(self) -> None:
        """Raise BadValue when we cannot answer it, with what it wants."""
        if self.hash_name not in KNOWN:
            mend = f"let the far side offer {' or '.join(reversed(KNOWN))}"
            raise BadValue(f"the algorithm {shown(self.algorithm)} of a challenge is not known", mend=mend)
        if self.qop and "auth" not in self.qop:
            wanted = shown(",".join(self.qop))
            raise BadValue(f"a challenge wants qop={wanted}", mend="let the far side offer qop=auth")
        if self.binds_session and not self.qop:
            raise BadValue(f"a challenge has {self.algorithm} without qop", mend="let the far side offer qop=auth")


def parse_challenges(value: str) -> list[Challenge]:
    """Read the digest challenges of one WWW-Authenticate or Proxy-Authenticate; those of other schemes are left out.

    Raises BadValue for what is not written as RFC 7235 section 2.1 says, or lacks realm or nonce.
    """
    if len(value) > LONGEST:
        raise BadValue("a challenge is too long", mend=f"{LONGEST} letters are enough")
    text = check_text(_FOLD.sub(" ", value), "a challenge")
    return [_challenge(fields) for scheme, fields in _schemes(text) if scheme == "digest"]


def read_parameters(value: str) -> dict[str, str] | None:
    """Read the parameters of an Authorization field, by name in lower case; None for another scheme than Digest.

    Raises BadValue for what is not written as RFC 7235 section 2.1 says.
    """
    if len(value) > LONGEST:
        raise BadValue("the credentials are too long", mend=f"{LONGEST} letters are enough")
    text = check_text(_FOLD.sub(" ", value), "the credentials")
    return next((fields for scheme, fields in _schemes(text) if scheme == "digest"), None)


def strongest(challenges: Sequence[Challenge]) -> Challenge:
    """Choose the challenge with the strongest algorithm, the first of equal ones; raises BadValue if none is for us."""
    usable, refused = [], BadValue("no challenge is for Digest", mend="let the far side ask for Digest")
    for challenge in challenges:
        try:
            challenge.check()
            usable.append(challenge)
        except BadValue as error:
            refused = error
    if not usable:
        raise refused
    return max(usable, key=lambda each: KNOWN.index(each.hash_name))


def answer(challenge: Challenge, user: str, secret: str, method: str, uri: str, *, cnonce: str, nc: int = 1) -> str:
    """Compute the value of the header field that answers a challenge (RFC 7616 section 3.4).

    `uri` is the Request-URI of the repeated request as it is sent, `nc` how often this nonce is used, this time
    included. Raises BadValue for a challenge that cannot be answered.
    """
    challenge.check()

    def digest(*parts: str) -> str:
        data = ":".join(parts).encode()
        return hashlib.new(_HASHES[challenge.hash_name], data, usedforsecurity=False).hexdigest()

    key = digest(user, challenge.realm, secret)
    if challenge.binds_session:
        key = digest(key, challenge.nonce, cnonce)
    count = f"{nc:08x}"
    protection = (count, cnonce, "auth") if challenge.qop else ()
    fields = {
        "username": _quoted(user),
        "realm": _quoted(challenge.realm),
        "nonce": _quoted(challenge.nonce),
        "uri": _quoted(uri),
        "response": _quoted(digest(key, challenge.nonce, *protection, digest(method, uri))),
    }
    if challenge.algorithm is not None:
        fields["algorithm"] = challenge.algorithm
    if challenge.opaque is not None:
        fields["opaque"] = _quoted(challenge.opaque)
    if challenge.qop:
        fields |= {"qop": "auth", "nc": count, "cnonce": _quoted(cnonce)}
    return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def authorize(  # noqa: PLR0917 - what is answered, and by whom
    challenges: Sequence[Field], method: str, uri: str, user: str, secret: Secret, given: Sequence[Field] = ()
) -> tuple[Field, ...]:
    """Answer the challenges of a 401 or 407, given as names and values of its header fields: the strongest of a realm.

    Gives the header fields of the repeated request. `given` are those that the refused one had: they go along, their
    nonces counted on, since a proxy on the way wants its own again (RFC 3261 section 22.3). Each answer has a cnonce of
    its own. Raises BadValue when there is none that we can answer, or when what was given was refused: that is given
    again only for a nonce that was stale (RFC 7616 section 3.3).
    """
    answers = {(name, known.realm): (known, count + 1) for name, known, count in map(_read_answer, given)}
    asked, refused = _by_realm(challenges)
    fresh = False
    for key, several in asked.items():
        try:
            best = strongest(several)
        except BadValue as error:
            refused = error
            continue
        if key in answers and not best.stale:
            realm, mend = shown(best.realm), "check user and secret of the target"
            refused = BadValue(f"the realm {realm} refuses the credentials", mend=mend)
        else:
            answers[key], fresh = (best, 1), True
    if not fresh:
        raise refused
    password = secret.reveal()
    return tuple(
        (name, answer(challenge, user, password, method, uri, cnonce=secrets.token_hex(16), nc=count))
        for (name, _), (challenge, count) in answers.items()
    )


def _by_realm(fields: Sequence[Field]) -> tuple[dict[tuple[str, str], list[Challenge]], BadValue]:
    """Sort challenges by the header field that answers them and by realm; one that cannot be read spoils no other.

    Gives with them what to say where none can be answered.
    """
    found: dict[tuple[str, str], list[Challenge]] = {}
    refused = BadValue("no challenge is for Digest", mend="let the far side ask for Digest")
    for name, value in fields:
        try:
            for each in parse_challenges(value):
                found.setdefault((ANSWERED_BY[name.lower()], each.realm), []).append(each)
        except KeyError:
            refused = BadValue(f"{shown(name)} carries no challenge", mend="give WWW- or Proxy-Authenticate")
        except BadValue as error:
            refused = error
    return found, refused


def _read_answer(field: Field) -> tuple[str, Challenge, int]:
    """Read a field that `authorize` has made: its name, what it answers, and how often the nonce has been used."""
    name, value = field
    ((_, fields),) = _schemes(value)
    return name, _challenge(fields), int(fields.get("nc", "1"), 16)


def _schemes(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Take a list of challenges apart: each scheme in lower case, and its parameters by name in lower case."""
    scheme, fields = "", dict[str, str]()
    at = _end_of_gap(text, 0)
    while at < len(text):
        if found := _PARAMETER.match(text, at):
            name = found[1].lower()
            if not scheme or name in fields:
                what = "is there twice" if scheme else "belongs to no scheme"
                raise BadValue(f"{shown(name)} {what} in a challenge", mend="write it as Digest realm=..., nonce=...")
            fields[name] = _unquoted(found[2])
        elif found := _SCHEME.match(text, at):
            if scheme:
                yield scheme, fields
            scheme, fields = found[1].lower(), {}
        else:
            raise BadValue(
                f"{shown(text[at:])} is no part of a challenge", mend="write it as Digest realm=..., nonce=..."
            )
        at = _end_of_gap(text, found.end())
    if scheme:
        yield scheme, fields


def _end_of_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    assert found is not None, "a gap may be empty"
    return found.end()


def _challenge(fields: dict[str, str]) -> Challenge:
    for name in ("realm", "nonce"):
        if name not in fields:
            raise BadValue(f"a challenge has no {name}", mend="write it as Digest realm=..., nonce=...")
    return Challenge(
        realm=fields["realm"],
        nonce=fields["nonce"],
        algorithm=_token(fields.get("algorithm")),
        qop=tuple(word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip()),
        opaque=fields.get("opaque"),
        stale=fields.get("stale", "").lower() == "true",
    )


def _token(text: str | None) -> str | None:
    """Check what is sent back without quotes."""
    if text is not None and not re.fullmatch(_TOKEN, text):
        raise BadValue(f"the algorithm {shown(text)} of a challenge is no word", mend="let it be one like SHA-256")
    return text


def _quoted(text: str) -> str:
    escaped = _TO_ESCAPE.sub(r"\\\1", text)
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
