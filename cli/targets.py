"""`handoff targets`: the named destinations of transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.effective import connect, effective_settings
from cli.fallbacks import check_fallbacks, used_by
from cli.output import PATH, Commands, Exit, Failed, counted, print_fields, print_json, print_table
from cli.target_files import read_targets
from cli.target_hours import opening_data, opening_fields, with_opening
from cli.target_logins import endpoints, sealed, take_login, without
from cli.target_options import CLEARABLE, OF_ENDPOINTS, TargetCommand, cleared, endpoint_option, given, target_options
from cli.target_probes import probe_data, probe_fields, read_probes, with_probes
from cli.target_rests import read_resting, resting_data, resting_fields
from cli.target_sounds import have_spoken, take_files
from cli.target_trial import print_reports, test_target
from cli.target_views import target_data, target_fields, target_table
from cli.tls_files import ca_fault
from routing.problems import InvalidInputError, Problem
from routing.store import StoreUnavailable
from routing.targets import Target, TargetError
from routing.texts import check_name, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cli.target_probes import Probe
    from routing.hunting import Failing
    from routing.settings import Settings
    from routing.store import Store

CLEAR_HELP = f"Go back to the default: {', '.join(CLEARABLE)}."


@click.group(cls=Commands)
def targets() -> None:
    """Named destinations of transfers."""


@targets.command("add", cls=TargetCommand)
@click.argument("name")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@target_options
def add_target(config: str | None, as_json: bool, name: str, uris: tuple[str, ...], **options: Any) -> None:
    """Add the target NAME; its endpoints are called one after the other, or as --strategy says.

    What no option says is taken from the section [transfer] of the configuration, as it is now.
    """
    settings = effective_settings(config)
    called = endpoints(take_login(options), uris)
    target = Target.make({**defaults(settings), **given(options), "name": name, "endpoints": called})
    with connect(settings) as store:
        if store.target(name) is not None:
            raise Failed(f"target {name} is there already: change it with `handoff targets set {name} ...`")
        target = _keep(store, settings, target)
    _print_done(f"target {name} added", target, as_json=as_json)


@targets.command("set", cls=TargetCommand)
@click.argument("name")
@endpoint_option
@target_options
@click.option("--clear", multiple=True, type=click.Choice(CLEARABLE), metavar="WHAT", help=CLEAR_HELP)
def set_target(config: str | None, as_json: bool, name: str, clear: tuple[str, ...], **options: Any) -> None:
    """Change the target NAME; an option that is given replaces what was there, all others stay."""
    login = take_login(options)
    changes = {**cleared(clear), **given(options)}
    if not (changes or clear or login.given):
        raise Failed("nothing to change: give at least one option, see --help", Exit.USAGE)
    settings = effective_settings(config)
    with connect(settings) as store:
        before = _read(store, name)
        called = endpoints(login, changes.get("endpoints"), before)
        changes["endpoints"] = without(called, {field for name in clear for field in OF_ENDPOINTS.get(name, ())})
        target = Target.make({**before.model_dump(mode="json"), **changes})
        target = _keep(store, settings, target, before)
    _print_done(f"target {name} changed", target, as_json=as_json)


@targets.command("list")
def list_targets(config: str | None, as_json: bool) -> None:
    """List all targets."""
    settings = effective_settings(config)
    with connect(settings) as store:
        found, problems = read_all(store)
        resting, probes = read_resting(store), read_probes(store)
    if as_json:
        print_json([_shown(target, resting, probes, settings) for target in found])
    elif found:
        print_table(*with_probes(with_opening(target_table(found), found, settings), found, probes))
    elif not problems:
        click.echo("no targets yet: add one with `handoff targets add NAME URI`", err=True)
    if problems:
        raise InvalidInputError("the stored targets", problems)


@targets.command("show")
@click.argument("name")
def show_target(config: str | None, as_json: bool, name: str) -> None:
    """Show the target NAME."""
    settings = effective_settings(config)
    with connect(settings) as store:
        target, resting, probes = _read(store, name), read_resting(store), read_probes(store)
    if as_json:
        print_json(_shown(target, resting, probes, settings))
    else:
        more_fields = [*opening_fields(target, settings), *resting_fields(target, resting, settings)]
        print_fields([*target_fields(target), *more_fields, *probe_fields(target, probes)])


@targets.command("test")
@click.argument("name")
@click.option("--ring", is_flag=True, help="Let it ring until somebody answers, and test the sound both ways.")
@click.option("--quiet", is_flag=True, help="Send OPTIONS only: nothing rings, not even for a moment.")
def try_target(config: str | None, as_json: bool, name: str, ring: bool, quiet: bool) -> None:
    """Test each endpoint of the target NAME, and say what to do.

    Calls are cancelled as soon as they ring, unless --ring is given. They come from this command, not from Kamailio:
    from the same machine, but from another port. Phones of users are sent OPTIONS alone, by the node that they
    registered at. Warnings do not make it fail.
    """
    if ring and quiet:
        raise Failed("--ring and --quiet exclude each other: leave out one of them", Exit.USAGE)
    settings = effective_settings(config)
    with connect(settings) as store:
        target = _read(store, name)
        reports = test_target(settings, store, target, ring=ring, quiet=quiet)
    print_reports(name, reports, as_json=as_json)


@targets.command("remove")
@click.argument("name")
def remove_target(config: str | None, as_json: bool, name: str) -> None:
    """Remove the target NAME; transfers to it that are under way go on.

    One that is the fallback of another target is kept.
    """
    check_name(name)
    with connect(effective_settings(config)) as store:
        if users := used_by(name, read_all(store)[0]):
            mend = f"give them another one with `handoff targets set {users[0]} --fallback NAME`, or `--clear fallback`"
            raise Failed(f"target {name} is the fallback of {', '.join(users)}: {mend}")
        if not store.remove_target(name):
            raise _unknown(store, name)
    print_json({"removed": name}) if as_json else click.echo(f"target {name} removed")


@targets.command("import")
@click.argument("file", type=PATH)
@click.option("--replace", is_flag=True, help="Replace targets of the same name; all others stay.")
def import_targets(config: str | None, as_json: bool, file: Path, replace: bool) -> None:
    """Add all targets of FILE, or none when one of them cannot be used.

    FILE is TOML with [[targets]], or JSON as `handoff targets export` writes it;
    - reads JSON from stdin.
    """
    settings = effective_settings(config)
    with connect(settings) as store:
        stored = read_all(store)[0]
        kept = () if replace else store.targets()
        new = read_targets(file, defaults(settings), kept, {target.name: target for target in stored})
        if problems := check_fallbacks(new, stored):
            raise TargetError(str(file), problems)
        new = [sealed(settings, take_files(settings, target)) for target in new]
        for done, target in enumerate(new):
            try:
                _put(store, target)
            except StoreUnavailable as error:
                text = f"{error.text}; {done} of {counted(len(new), 'target')} imported: do it again with --replace"
                raise Failed(text, Exit.REDIS_AWAY) from error
        have_spoken(store, settings, new)
    names = [target.name for target in new]
    print_json({"imported": names}) if as_json else click.echo(f"{counted(len(names), 'target')} imported")


@targets.command("export")
def export_targets(config: str | None, as_json: bool) -> None:
    """Write all targets as JSON, for `handoff targets import`."""
    del as_json  # there is no other form
    with connect(effective_settings(config)) as store:
        found, problems = read_all(store)
    print_json({"targets": [target_data(target) for target in found]})
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


def _shown(
    target: Target, resting: Mapping[str, Failing], probes: Mapping[str, Probe], settings: Settings
) -> dict[str, Any]:
    now = {**opening_data(target, settings), **resting_data(target, resting, settings)}
    return {**target_data(target), **now, **probe_data(target, probes)}


def _keep(store: Store, settings: Settings, target: Target, before: Target | None = None) -> Target:
    """Check what only others can tell, keep the target, and have its texts spoken; gives it as it is kept."""
    if problems := check_fallbacks([target], read_all(store)[0]):
        raise TargetError(f"target {shown(target.name)}", problems)
    target = sealed(settings, take_files(settings, target, before))
    _put(store, target)
    have_spoken(store, settings, [target])
    if target.ca_file and (why := ca_fault(target.ca_file)):
        click.echo(f"Warning: {target.ca_file} cannot be used here ({why}); each node needs it, as PEM", err=True)
    return target


def _put(store: Store, target: Target) -> None:
    store.put_target(target.name, target.to_json())


def _print_done(text: str, target: Target, *, as_json: bool) -> None:
    print_json(target_data(target)) if as_json else click.echo(text)
