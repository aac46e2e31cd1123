"""Checks of the secrets of targets: whether they can be used, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.output import counted
from routing.secret_sources import find_value, read_key
from routing.secrets import Kind, Secret
from routing.texts import BadValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.settings import Settings
    from routing.targets import Target

PART = "secrets"


def check_secrets(settings: Settings, targets: Iterable[Target]) -> list[Finding]:
    """Check the key and the secrets of all targets; finds nothing where there are none. Raises nothing."""
    secrets = [(target.name, each.secret) for target in targets for each in target.endpoints if each.secret]
    if settings.security.key is not None:
        try:
            read_key(settings.security.key)
        except BadValue as error:
            return [failed(PART, error.what, error.mend)]
    found = _check_plain(settings, [name for name, secret in secrets if secret.kind is Kind.PLAIN])
    found += [problem for name, secret in secrets if (problem := _check_value(settings, name, secret))]
    if secrets and not found:
        found.append(ok(PART, f"{counted(len(secrets), 'secret')}, none of them in Redis as it is"))
    return found


def _check_plain(settings: Settings, names: list[str]) -> list[Finding]:
    if not names:
        return []
    what = f"in Redis as they are, not encrypted: those of {', '.join(dict.fromkeys(names))}"
    again = f"`handoff targets set {names[0]} --secret-prompt`"
    mend = f"give them again with {again}" if settings.security.key else f"set security.key, then {again}"
    return [warning(PART, what, mend)]


def _check_value(settings: Settings, name: str, secret: Secret) -> Finding | None:
    """Try to read a secret; what the environment of the workers has cannot be seen from here."""
    if secret.kind is Kind.ENV:
        return None
    try:
        find_value(secret, settings.security.key)
    except BadValue as error:
        finding = warning if secret.is_reference else failed  # the workers may have other rights
        return finding(PART, f"target {name}: {error.what}", error.mend)
    return None
