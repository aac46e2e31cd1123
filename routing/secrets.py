"""Secrets: what is told of them, and how they are kept.

A secret is a reference, which says where a worker finds the value when it needs it ("env:NAME", "file:/path"), or the
value itself: sealed with the key of the settings ("sealed:..."), or as it is ("plain:...") where there is no key.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from routing.texts import BadValue, check_text

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

HIDDEN = "***"
"""What people and logs see in the place of a value."""
LONGEST = 1024
"""Letters that a value has at most."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


class Kind(StrEnum):
    """What the text of a secret is."""

    ENV = "env"
    FILE = "file"
    SEALED = "sealed"
    PLAIN = "plain"


class Secret:
    """A secret, or where it is. Whoever prints, logs or formats it sees `***`; `reveal` and `stored` are explicit."""

    __slots__ = ("_text", "kind")

    def __init__(self, kind: Kind, text: str) -> None:
        self.kind = kind
        self._text = text

    @classmethod
    def of(cls, value: str) -> Secret:
        """Take a value as people or files give it; raises BadValue, which does not repeat it."""
        if not value or len(value) > LONGEST:
            raise BadValue("the secret is empty or too long", mend=f"give 1 to {LONGEST} letters on one line")
        return cls(Kind.PLAIN, check_text(value, "the secret"))

    @classmethod
    def read(cls, given: object) -> Secret:
        """Read a secret as it is stored, or a reference as people write it; raises BadValue, which does not repeat it.

        A bare value is refused: files of targets are no place for secrets.
        """
        if isinstance(given, cls):
            return given
        if given == HIDDEN:
            what = "a secret that is not shown cannot be read, and none is stored for this URI"
            mend = "leave out user and secret, and give them with `handoff targets set NAME --secret-prompt`"
            raise BadValue(what, mend=mend)
        kind, colon, text = given.partition(":") if isinstance(given, str) else ("", "", "")
        if not colon or kind not in list(Kind):
            what = "this is no reference to a secret (not shown, it may be one)"
            raise BadValue(what, mend='write "env:NAME" or "file:/path", or use --secret-prompt')
        if kind == Kind.ENV and not _VARIABLE.fullmatch(text):
            what = "this is no name of an environment variable (not shown, it may be a secret)"
            raise BadValue(what, mend="use letters, digits and _, as in env:PBX_SECRET")
        if kind == Kind.FILE and not text.startswith("/"):
            raise BadValue("the file of the secret is no absolute path", mend="write it as file:/etc/handoff/secret")
        return cls(Kind(kind), check_text(text, "the secret"))

    @property
    def is_reference(self) -> bool:
        """Whether it only says where the value is, which may be told."""
        return self.kind in {Kind.ENV, Kind.FILE}

    def reveal(self) -> str:
        """Give the text itself, for the one who computes with it."""
        return self._text

    def stored(self) -> str:
        """Give it as the store keeps it, for `read`."""
        return f"{self.kind}:{self._text}"

    def told(self) -> str:
        """Give what people may see: a reference as it is, a value never."""
        return self.stored() if self.is_reference else HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.stored() == other.stored()

    def __hash__(self) -> int:
        return hash(self.stored())


def check_reference(text: str) -> str:
    """Check a reference to a secret in the settings, "env:NAME" or "file:/path"; raises BadValue, without the text."""
    secret = Secret.read(text)
    if not secret.is_reference:
        what = "this is no reference to a secret (not shown, it may be one)"
        raise BadValue(what, mend='write "env:NAME" or "file:/path"')
    return text


def check_user(text: str) -> str:
    """Check a name to log in with: a colon would end it within the digest (RFC 7616 section 3.4.2)."""
    if not text.strip() or ":" in check_text(text, "the user"):
        raise BadValue("this is no name to log in with", mend="give one without a colon; the secret is given apart")
    return text


def seal(secret: Secret, key: Secret) -> Secret:
    """Encrypt a value with the key; references and what is sealed stay as they are. Raises BadValue for a bad key."""
    if secret.kind is not Kind.PLAIN:
        return secret
    return Secret(Kind.SEALED, _fernet(key).encrypt(secret.reveal().encode()).decode())


def unseal(secret: Secret, key: Secret) -> Secret:
    """Decrypt what was sealed; all others stay as they are. Raises BadValue for a bad key, or another one."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - few have a key

    if secret.kind is not Kind.SEALED:
        return secret
    try:
        return Secret.of(_fernet(key).decrypt(secret.reveal().encode()).decode())
    except InvalidToken:
        mend = "configure that key as security.key, or give the secret again"
        raise BadValue("the secret was sealed with another key", mend=mend) from None


def _fernet(key: Secret) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - few have a key

    try:
        return Fernet(key.reveal().replace("+", "-").replace("/", "_"))
    except ValueError:
        what = "security.key is not 32 bytes in base64 (not shown)"
        raise BadValue(what, mend="make one with `openssl rand -base64 32`") from None
