"""`handoff users`: whose phones may register, and where they are."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.output import Commands, Exit, Failed, local_time, print_json, print_table
from routing.secret_sources import find_value, read_key
from routing.secrets import Secret
from routing.texts import nearest, shown
from routing.users import User, check_user_name, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from routing.settings import Settings
    from routing.store import Store
    from routing.users import Contact

COLUMNS = ("user", "phone", "transport", "registered until", "user agent", "node")
ON_THE_COMMAND_LINE = (
    "a password must not stand on the command line, where other users and the history of the shell see it: use "
    "--password-env NAME or --password-file FILE, or leave it out and be asked; choose another one than was typed here"
)


def password_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the ways to give a password."""
    for option in (
        click.option("--password", hidden=True, help="Refused: others would see it."),
        click.option("--password-file", metavar="FILE", type=click.Path(path_type=Path), help="File that has it."),
        click.option("--password-env", metavar="NAME", help="Environment variable that has it."),
    ):
        command = option(command)
    return command


@click.group(cls=Commands)
def users() -> None:
    """Users whose phones register here, to be targets: sip:NAME@DOMAIN.

    NAME is alice, or alice@handoff.local where there are several domains.
    """


@users.command("add")
@click.argument("name")
@password_options
def add_user(config: str | None, as_json: bool, name: str, **options: Any) -> None:
    """Add the user NAME; the password is asked for, or read from a pipe, unless an option says where it is."""
    settings = effective_settings(config)
    name = check_user_name(name, settings.users)
    with connect(settings) as store:
        if name in store.users():
            raise Failed(f"user {name} is there already: change the password with `handoff users passwd {name}`")
        _keep(store, settings, name, options)
    _print_done("added", name, as_json=as_json)


@users.command("passwd")
@click.argument("name")
@password_options
def change_password(config: str | None, as_json: bool, name: str, **options: Any) -> None:
    """Give the user NAME another password; phones that are registered stay so until they renew it."""
    settings = effective_settings(config)
    name = check_user_name(name, settings.users)
    with connect(settings) as store:
        if name not in store.users():
            raise _unknown(store, name)
        _keep(store, settings, name, options)
    _print_done("changed", name, as_json=as_json)


@users.command("list")
def list_users(config: str | None, as_json: bool) -> None:
    """List all users, and where their phones are registered."""
    with connect(effective_settings(config)) as store:
        names = sorted(store.users())
        found = listed(names, store.contacts(names), time.time())
    if as_json:
        print_json([{"user": name, "phones": [_data(phone) for phone in phones]} for name, phones in found.items()])
    elif found:
        rows = [row for name, phones in found.items() for row in _rows(name, phones)]
        print_table(COLUMNS, rows)
    else:
        click.echo("no users yet: add one with `handoff users add NAME`", err=True)


@users.command("remove")
@click.argument("name")
def remove_user(config: str | None, as_json: bool, name: str) -> None:
    """Remove the user NAME: its phones are no longer called, and cannot register again."""
    settings = effective_settings(config)
    name = check_user_name(name, settings.users)
    with connect(settings) as store:
        if not store.remove_user(name):
            raise _unknown(store, name)
        for node in store.nodes():
            store.send_command(node, {"id": uuid.uuid4().hex, "kind": "unregister", "user": name})
    _print_done("removed", name, as_json=as_json)


def _keep(store: Store, settings: Settings, name: str, options: dict[str, Any]) -> None:
    """Keep a user, the keys encrypted if there is a key."""
    user = User.of(name, _take_password(options).reveal())
    if settings.security.key is None:
        text = f"Warning: the keys of user {name} are kept in Redis as they are; set security.key to encrypt them"
        click.echo(text, err=True)
    else:
        user = user.sealed(read_key(settings.security.key))
    store.put_user(name, user.to_json())


def _take_password(options: dict[str, Any]) -> Secret:
    bare, variable, file = (options[name] for name in ("password", "password_env", "password_file"))
    if bare is not None:
        raise Failed(ON_THE_COMMAND_LINE, Exit.USAGE)
    if variable is not None and file is not None:
        raise Failed("more than one password is given: use one of the --password-... options", Exit.USAGE)
    if variable is not None:
        return find_value(Secret.read(f"env:{variable}"), None)
    if file is not None:
        return find_value(Secret.read(f"file:{file.absolute()}"), None)
    if sys.stdin.isatty():
        return Secret.of(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return Secret.of(sys.stdin.readline().rstrip("\r\n"))


def _unknown(store: Store, name: str) -> Failed:
    names = store.users()
    mend = nearest(name, names) if names else "there is none yet"
    return Failed(f"there is no user {shown(name)}; {mend}")


def _rows(name: str, phones: list[Contact]) -> list[tuple[str, ...]]:
    if not phones:
        return [(name, "registered nowhere", "", "", "", "")]
    return [
        (name, phone.uri, phone.transport, local_time(phone.expires_at), phone.user_agent, phone.node)
        for phone in phones
    ]


def _data(phone: Contact) -> dict[str, object]:
    return {
        "contact": phone.uri,
        "reached_at": phone.hop,
        "transport": phone.transport,
        "expires_at": phone.expires_at,
        "q": phone.q,
        "user_agent": phone.user_agent,
        "node": phone.node,
    }


def _print_done(what: str, name: str, *, as_json: bool) -> None:
    print_json({what: name}) if as_json else click.echo(f"user {name} {what}")
