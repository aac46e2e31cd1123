"""`handoff targets`: the named destinations of transfers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.output import Commands, Exit, Failed, counted, print_fields, print_json, print_table
from cli.target_files import read_targets
from routing.problems import InvalidInputError, Problem
from routing.store import StoreUnavailable
from routing.targets import Target, TargetError
from routing.texts import check_name, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from routing.settings import Settings
    from routing.store import Store

NOTHING: dict[str, Any] = {"codecs": (), "headers": {}}
"""What `--clear` can take away."""
OPTIONS = (
    click.option("--mode", help="Mode of the transfer; only blind is available yet."),
    click.option("--ring-timeout", type=float, metavar="S", help="Seconds that each endpoint may ring (1 to 300)."),
    click.option("--caller-id", metavar="ID", help="Whose identity it sees: caller, agent, or a SIP URI."),
    click.option("--codec", "codecs", multiple=True, metavar="NAME", help="PCMU, PCMA, G722 or opus; best first."),
    click.option("--header", "headers", multiple=True, metavar="'X-A: b'", help="X-... or User-to-User header to add."),
)


@click.group(cls=Commands)
def targets() -> None:
    """Named destinations of transfers."""


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what a target is like."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@targets.command("add")
@click.argument("name")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@target_options
def add_target(config: str | None, as_json: bool, name: str, uris: tuple[str, ...], **options: Any) -> None:
    """Add the target NAME; its endpoints are called one after the other.

    What no option says is taken from the section [transfer] of the configuration, as it is now.
    """
    settings = effective_settings(config)
    target = Target.make({**defaults(settings), **_given(options), "name": name, "endpoints": list(uris)})
    with connect(settings) as store:
        if store.target(name) is not None:
            raise Failed(f"target {name} is there already: change it with `handoff targets set {name} ...`")
        _put(store, target)
    _print_done(f"target {name} added", target, as_json=as_json)


@targets.command("set")
@click.argument("name")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URI", help="SIP URI to call; these replace the old.")
@target_options
@click.option("--clear", multiple=True, type=click.Choice(list(NOTHING)), help="Go back to none of its own.")
def set_target(config: str | None, as_json: bool, name: str, clear: tuple[str, ...], **options: Any) -> None:
    """Change the target NAME; an option that is given replaces what was there, all others stay."""
    changes = {**{field: NOTHING[field] for field in clear}, **_given(options)}
    if not changes:
        raise Failed("nothing to change: give at least one option, see --help", Exit.USAGE)
    with connect(effective_settings(config)) as store:
        target = Target.make({**_read(store, name).model_dump(mode="json"), **changes})
        _put(store, target)
    _print_done(f"target {name} changed", target, as_json=as_json)


@targets.command("list")
def list_targets(config: str | None, as_json: bool) -> None:
    """List all targets."""
    with connect(effective_settings(config)) as store:
        found, problems = read_all(store)
    if as_json:
        print_json([_data(target) for target in found])
    elif found:
        columns = ("NAME", "MODE", "RINGS", "CALLER ID", "CODECS", "ENDPOINTS")
        print_table(columns, ([value for _, value in _fields(target)[:6]] for target in found))
    elif not problems:
        click.echo("no targets yet: add one with `handoff targets add NAME URI`", err=True)
    if problems:
        raise InvalidInputError("the stored targets", problems)


@targets.command("show")
@click.argument("name")
def show_target(config: str | None, as_json: bool, name: str) -> None:
    """Show the target NAME."""
    with connect(effective_settings(config)) as store:
        target = _read(store, name)
    print_json(_data(target)) if as_json else print_fields(_fields(target))


@targets.command("remove")
@click.argument("name")
def remove_target(config: str | None, as_json: bool, name: str) -> None:
    """Remove the target NAME; transfers to it that are under way go on."""
    check_name(name)
    with connect(effective_settings(config)) as store:
        if not store.remove_target(name):
            raise _unknown(store, name)
    print_json({"removed": name}) if as_json else click.echo(f"target {name} removed")


@targets.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace targets of the same name; all others stay.")
def import_targets(config: str | None, as_json: bool, file: Path, replace: bool) -> None:
    """Add all targets of FILE, or none when one of them cannot be used.

    FILE is TOML with [[targets]], or JSON as `handoff targets export` writes it.
    """
    settings = effective_settings(config)
    with connect(settings) as store:
        kept = () if replace else store.targets()
        new = read_targets(file, defaults(settings), kept)
        for done, target in enumerate(new):
            try:
                _put(store, target)
            except StoreUnavailable as error:
                text = f"{error.text}; {done} of {counted(len(new), 'target')} imported: do it again with --replace"
                raise Failed(text, Exit.REDIS_AWAY) from error
    names = [target.name for target in new]
    print_json({"imported": names}) if as_json else click.echo(f"{counted(len(names), 'target')} imported")


@targets.command("export")
def export_targets(config: str | None, as_json: bool) -> None:
    """Write all targets as JSON, for `handoff targets import`."""
    del as_json  # there is no other form
    with connect(effective_settings(config)) as store:
        found, problems = read_all(store)
    print_json({"targets": [_data(target) for target in found]})
    if problems:
        raise InvalidInputError("the stored targets", problems)


def defaults(settings: Settings) -> dict[str, Any]:
    """Give what a new target is like where it says nothing else."""
    return {"ring_timeout": settings.transfer.ring_timeout, "caller_id": settings.transfer.caller_id}


def read_all(store: Store) -> tuple[list[Target], list[Problem]]:
    """Read all targets, sorted by name, and the problems of those that cannot be read."""
    found, problems = [], []
    for name, data in sorted(store.targets().items()):
        try:
            found.append(Target.from_json(data))
        except TargetError as error:
            what = "; ".join(f"{problem.where}: {problem.what}" for problem in error.problems)
            problems.append(Problem(name, f"it cannot be read ({what})", f"handoff targets remove {name}, and add it"))
    return found, problems


def _read(store: Store, name: str) -> Target:
    check_name(name)
    data = store.target(name)
    if data is None:
        raise _unknown(store, name)
    return Target.from_json(data)


def _unknown(store: Store, name: str) -> Failed:
    names = store.targets()
    mend = nearest(name, names) if names else "there is none yet"
    return Failed(f"there is no target {shown(name)}; {mend}")


def _put(store: Store, target: Target) -> None:
    store.put_target(target.name, target.model_dump_json().encode())


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Keep the options that were given, as fields of a target."""
    given = {name: value for name, value in options.items() if value is not None and value != ()}
    return {**given, "headers": _headers(given["headers"])} if "headers" in given else given


def _headers(lines: Iterable[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Failed(f"--header {shown(line)} is not a header: write it as 'X-Name: value'", Exit.USAGE)
        if name.strip() in headers:
            raise Failed(f"--header {shown(name)} is given twice: keep one of them", Exit.USAGE)
        headers[name.strip()] = value.strip(" ")
    return headers


def _data(target: Target) -> dict[str, Any]:
    return target.model_dump(mode="json")


def _fields(target: Target) -> list[tuple[str, str]]:
    """Give what people want to see of a target; the first six fit in a line."""
    return [
        ("name", target.name),
        ("mode", target.mode),
        ("rings", f"{target.ring_timeout:g} s"),
        ("caller id", target.caller_id),
        ("codecs", ", ".join(target.codecs) or "as configured"),
        ("endpoints", ", ".join(endpoint.uri for endpoint in target.endpoints)),
        *((f"header {name}", value) for name, value in target.headers.items()),
    ]


def _print_done(text: str, target: Target, *, as_json: bool) -> None:
    print_json(_data(target)) if as_json else click.echo(text)
