"""The `handoff` command; its parts are imported only when they are used, so that --help is quick."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

import click

COMMANDS = {
    "up": "Run the whole stack in the foreground.",
    "demo": "Run a transfer with real phones and real audio.",
    "targets": "Manage whom calls can be handed over to.",
    "calls": "Look at calls, hand them over, cancel transfers.",
    "trunks": "Show which trunks take a REFER.",
    "users": "Manage whose phones may register here.",
    "trace": "Show the SIP messages of a call.",
    "log": "Show finished transfers.",
    "doctor": "Check every part and say what to do.",
    "status": "Show what goes on now, on one screen.",
    "webhooks": "Show events that could not be posted, and send them again.",
    "exporter": "Serve the metrics to Prometheus, and post events.",
    "sidecar": "Speak texts and listen for keys beside Kamailio.",
}
"""Name -> what it does; the command of that name is in the module cli.<name>."""


class LazyGroup(click.Group):
    """A group whose commands are the modules beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands that there are."""
        del ctx
        return [name for name in COMMANDS if find_spec(f"cli.{name}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return cast("click.Command", getattr(import_module(f"cli.{cmd_name}"), cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="handoff", message="handoff %(version)s")
def handoff() -> None:
    """Hand a live call from an AI voice agent over to a person at any SIP endpoint.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration,
    3 Redis is not available.
    """  # noqa: D301 - click wants the sign itself


def main() -> None:
    """Run the command that was typed."""
    handoff(prog_name="handoff")


if __name__ == "__main__":
    main()
