"""Where the values of secrets come from: the environment, files, and the key of the settings."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from routing.secrets import LONGEST, Kind, Secret, seal, unseal
from routing.texts import BadValue

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_value(secret: Secret, key: str | None, environ: Mapping[str, str] = os.environ) -> Secret:
    """Give the value of a secret; `key` is the reference of security.key. Raises BadValue, with what is to be done."""
    if secret.kind is Kind.SEALED:
        return unseal(secret, read_key(key, environ))
    if secret.kind is Kind.ENV:
        return _from_environment(secret.reveal(), environ)
    return _from_file(Path(secret.reveal())) if secret.kind is Kind.FILE else secret


def read_key(key: str | None, environ: Mapping[str, str] = os.environ) -> Secret:
    """Read the key that security.key refers to, and check it; raises BadValue, also where there is none."""
    if key is None:
        mend = "configure the key as security.key, or give the secret again"
        raise BadValue("the secret is encrypted, and no key is configured", mend=mend)
    try:
        value = find_value(Secret.read(key), None, environ)
    except BadValue as error:
        raise BadValue(f"security.key: {error.what}", mend=error.mend) from None
    seal(Secret.of("probe"), value)
    return value


def _from_environment(name: str, environ: Mapping[str, str]) -> Secret:
    if not environ.get(name):
        raise BadValue(f"the environment variable {name} is not set", mend="set it for this process and start it again")
    return Secret.of(environ[name])


def _from_file(path: Path) -> Secret:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise BadValue(f"{path} is not a file", mend="name a file that holds the secret alone")
        with path.open("rb") as file:
            data = file.read(4 * LONGEST + 2)
    except OSError as error:
        mend = "check its name and its access rights"
        raise BadValue(f"{path} cannot be read ({error.strerror})", mend=mend) from None
    try:
        return Secret.of(data.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        raise BadValue(f"{path} is not UTF-8", mend="save the file as UTF-8") from None
    except BadValue as error:
        raise BadValue(f"{path}: {error.what}", mend=error.mend) from None
