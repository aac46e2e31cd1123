"""What is said of single endpoints, above all how handoff logs in there: options become fields, secrets are sealed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cli.output import Exit, Failed, counted
from routing.secret_sources import read_key
from routing.secrets import HIDDEN, Kind, Secret, seal
from routing.texts import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from routing.settings import Settings
    from routing.target_fields import Endpoint
    from routing.targets import Target

ON_THE_COMMAND_LINE = (
    "a secret must not stand on the command line, where other users and the history of the shell see it: use "
    "--secret-prompt, --secret-env NAME or --secret-file FILE, and change a secret that was typed here"
)


@dataclass(frozen=True, slots=True)
class Login:
    """What the options say of endpoints: None is what they do not say; `only` is the endpoint that it is for."""

    user: str | None
    secret: Secret | None
    only: str | None
    max_calls: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What they say, as fields of an endpoint."""
        said = {"user": self.user, "secret": self.secret, "max_calls": self.max_calls}
        return {name: value for name, value in said.items() if value is not None}


def take_login(options: dict[str, Any]) -> Login:
    """Take what is about single endpoints out of the options of a command; asks for the secret if that is wanted."""
    max_calls = options.pop("max_calls")
    user, only, bare = (options.pop(name) for name in ("user", "only", "secret"))
    prompt, variable, file = (options.pop(f"secret_{name}") for name in ("prompt", "env", "file"))
    if bare is not None:
        raise Failed(ON_THE_COMMAND_LINE, Exit.USAGE)
    if sum((prompt, variable is not None, file is not None)) > 1:
        raise Failed("more than one secret is given: use one of the --secret-... options", Exit.USAGE)
    secret = None
    if variable is not None:
        secret = Secret.read(f"env:{variable}")
    elif file is not None:
        secret = Secret.read(f"file:{file.absolute()}")
    elif prompt:
        secret = _ask()
    login = Login(user, secret, only, max_calls)
    if only is not None and not login.given:
        mend = "give --user, a --secret-... option or --max-calls, too"
        raise Failed(f"--for needs what is for this endpoint: {mend}", Exit.USAGE)
    return login


def _ask() -> Secret:
    """Ask for a secret without showing it; where nobody sits at a terminal, read a line."""
    if sys.stdin.isatty():
        return Secret.of(click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True))
    return Secret.of(sys.stdin.readline().rstrip("\r\n"))


def endpoints(login: Login, uris: Sequence[str] | None, before: Target | None = None) -> list[dict[str, Any]]:
    """Give the endpoints of a target: `uris`, or those from before, which keep what they had, and get what is given."""
    had = [endpoint.model_dump() for endpoint in before.endpoints] if before else []
    known = {endpoint["uri"]: endpoint for endpoint in had}
    found = had if uris is None else [known.get(uri, {"uri": uri}) for uri in uris]
    if login.only is not None and login.only not in {endpoint["uri"] for endpoint in found}:
        there = ", ".join(endpoint["uri"] for endpoint in found)
        raise Failed(f"--for {shown(login.only)} is no endpoint of the target: it has {there}", Exit.USAGE)
    return [endpoint | login.given if login.only in {None, endpoint["uri"]} else endpoint for endpoint in found]


def without(found: Sequence[dict[str, Any]], fields: Collection[str]) -> list[dict[str, Any]]:
    """Take these fields from endpoints."""
    return [{name: value for name, value in each.items() if name not in fields} for each in found]


def restored(entry: dict[str, Any], stored: Mapping[str, Target]) -> dict[str, Any]:
    """Put the secrets that are stored in the place of `***`, which is what an export has of them, by name and URI."""
    name, given = entry.get("name"), entry.get("endpoints")
    before = stored.get(name) if isinstance(name, str) else None
    if before is None or not isinstance(given, list):
        return entry
    secrets = {endpoint.uri: endpoint.secret for endpoint in before.endpoints if endpoint.secret}

    def restore(endpoint: Any) -> Any:
        hidden = isinstance(endpoint, dict) and endpoint.get("secret") == HIDDEN
        uri = endpoint.get("uri") if hidden else None
        return {**endpoint, "secret": secrets[uri]} if isinstance(uri, str) and uri in secrets else endpoint

    return {**entry, "endpoints": [restore(endpoint) for endpoint in given]}


def sealed(settings: Settings, target: Target) -> Target:
    """Encrypt the secrets of a target that are values, or warn when no key is configured; raises BadValue."""
    if not any(is_plain(endpoint) for endpoint in target.endpoints):
        return target
    if settings.security.key is None:
        text = f"Warning: the secret of target {target.name} is kept in Redis as it is; set security.key to encrypt it"
        click.echo(text, err=True)
        return target
    key = read_key(settings.security.key)
    new = (
        endpoint.model_copy(update={"secret": seal(endpoint.secret, key)}) if endpoint.secret else endpoint
        for endpoint in target.endpoints
    )
    return target.model_copy(update={"endpoints": tuple(new)})


def is_plain(endpoint: Endpoint) -> bool:
    """Say whether the secret of an endpoint would be, or is, in Redis as it is."""
    return endpoint.secret is not None and endpoint.secret.kind is Kind.PLAIN


def endpoint_text(endpoint: Endpoint) -> str:
    """Give an endpoint as people see it: its URI, how handoff logs in there, and how many calls it may have."""
    notes = [f"as {endpoint.user}"] if endpoint.user else []
    notes += [f"secret {endpoint.secret.told()}"] if endpoint.secret else []
    notes += [f"at most {counted(endpoint.max_calls, 'call')}"] if endpoint.max_calls else []
    return f"{endpoint.uri} ({', '.join(notes)})" if notes else endpoint.uri
