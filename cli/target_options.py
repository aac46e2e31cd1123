"""The options that say what a target is like, and how they become its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.output import PATH, Exit, Failed, OperatorCommand
from routing.targets import SOUNDS, Target
from routing.texts import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Decorator = Callable[[Callable[..., None]], Callable[..., None]]

CALL, LOGIN, PERSON, CALLER, KEY = (
    "How it is called",
    "Logging in where it is called",
    "What the person hears and sees",
    "What the caller hears",
    "Taking the call by key",
)


class GroupedOption(click.Option):
    """An option that stands under a heading of its own in the help."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class TargetCommand(OperatorCommand):
    """A command whose help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those without a heading last."""
        titles = (CALL, LOGIN, PERSON, CALLER, KEY, "Options")
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
        for parameter in self.get_params(ctx):
            title = parameter.group if isinstance(parameter, GroupedOption) else "Options"
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                sections[title].append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _option(group: str, name: str, help_text: str, metavar: str | None = None, **more: Any) -> Decorator:
    names = (name, more.pop("field")) if "field" in more else (name,)
    return click.option(*names, cls=GroupedOption, group=group, help=help_text, metavar=metavar, **more)


def _file(group: str, name: str) -> Decorator:
    text = f"Sound file in the place of --{name}; it is converted and copied."
    return _option(group, f"--{name}-file", text, "FILE", type=PATH)


_OPTIONS = (
    _option(CALL, "--ring-timeout", "Seconds that each endpoint may ring (1 to 300).", "S", type=float),
    _option(CALL, "--method", "invite: we call it; refer: the caller's side does; auto: that if it can.", "WORD"),
    _option(CALL, "--strategy", "in_order, all_at_once (10 at most), weighted or longest_idle.", "WORD"),
    _option(CALL, "--hunt-timeout", "Seconds in which one of all must answer; 0: no limit.", "S", type=float),
    _option(CALL, "--max-calls", "Calls that each endpoint, or that of --for, may have at a time.", "N", type=int),
    _option(CALL, "--caller-id", "Whose identity it sees: caller, agent, or a SIP URI.", "ID"),
    _option(CALL, "--diversion", "How it is told whom the call was for: none, diversion, history-info.", "WAY"),
    _option(CALL, "--codec", "PCMU, PCMA, G722 or opus; best first.", "NAME", field="codecs", multiple=True),
    _option(CALL, "--srtp", "Encrypted media: off, optional, required, dtls; default: required at sips:.", "WHEN"),
    _option(CALL, "--header", "X-... or User-to-User header to add.", "'X-A: b'", field="headers", multiple=True),
    _option(CALL, "--ca-file", "Who certifies its hosts, for TLS: certificates as PEM.", "FILE", type=PATH),
    _option(CALL, "--hours", "When it may be called: 'mon-fri 09:00-12:00, 13:00-17:30'.", "TEXT", multiple=True),
    _option(CALL, "--holiday", "Day without hours: 2026-12-25, or 12-25.", "DATE", field="holidays", multiple=True),
    _option(CALL, "--time-zone", "Time zone of the hours, such as Europe/Berlin.", "NAME"),
    _option(CALL, "--closed", "What the agent is told out of hours.", "TEXT"),
    _option(CALL, "--may-refer/--no-may-refer", "Whether the person may hand the call on.", default=None),
    _option(CALL, "--fallback", "Target that is tried when this one has failed, or is closed.", "NAME"),
    _option(CALL, "--probe-every", "Seconds between two probes, which ring nowhere; 0: none.", "S", type=float),
    _option(LOGIN, "--user", "Name to log in with; default: that of the URI.", "NAME"),
    _option(LOGIN, "--secret-prompt", "Ask for the secret, or read a line from a pipe.", is_flag=True),
    _option(LOGIN, "--secret-env", "Environment variable of `handoff up` that has the secret.", "NAME"),
    _option(LOGIN, "--secret-file", "File that has the secret.", "FILE", type=PATH),
    _option(LOGIN, "--secret", "", "VALUE", hidden=True, is_flag=False, flag_value=""),
    _option(LOGIN, "--for", "Endpoint that these are for; default: all.", "URI", field="only"),
    _option(PERSON, "--mode", "blind: the caller at once; message, or summary: that first.", "MODE"),
    _option(PERSON, "--message", "What is said in the mode message, or where there is no summary.", "TEXT"),
    _file(PERSON, "message"),
    _option(PERSON, "--pause-before", "Seconds of silence before it (0 to 60).", "S", type=float),
    _option(PERSON, "--pause-after", "Seconds of silence after it (0 to 60).", "S", type=float),
    _option(
        PERSON, "--deliver", "How a summary gets there: speech, header, uui, body or message.", "WAY", multiple=True
    ),
    _option(PERSON, "--language", "Language of all texts of this target.", "NAME"),
    _option(PERSON, "--voice", "Voice of all texts of this target.", "NAME"),
    _option(CALLER, "--hold", "music, or agent: the two talk until the person answers.", "WHAT"),
    _option(CALLER, "--announce", "What is said before the target is called.", "TEXT"),
    _file(CALLER, "announce"),
    _option(CALLER, "--apology", "What is said when the transfer has failed.", "TEXT"),
    _file(CALLER, "apology"),
    _option(KEY, "--accept", "Key that the person must press: 0 to 9, * or #, A to D.", "KEY"),
    _option(KEY, "--accept-prompt", "What asks for it; {key} stands for the key.", "TEXT"),
    _option(KEY, "--accept-rounds", "How often it is asked for (1 to 5).", "N", type=int),
    _option(KEY, "--accept-timeout", "Seconds that it is waited for each time (1 to 60).", "S", type=float),
)
OF_ENDPOINTS = {"login": ("user", "secret"), "max-calls": ("max_calls",)}
"""What `--clear` takes back of each endpoint: the fields, by the word for them."""
_NEVER_CLEARED = {"name", "endpoints", "mode", "ring_timeout", "caller_id", *(f"{name}_file" for name in SOUNDS)}
CLEARABLE = [name.replace("_", "-") for name in Target.model_fields if name not in _NEVER_CLEARED]
CLEARABLE += OF_ENDPOINTS
"""What `--clear` can take back."""


endpoint_option = _option(
    CALL, "--endpoint", "SIP URI to call; these replace the old.", "URI", field="endpoints", multiple=True
)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what a target is like."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Keep the options that were given, as fields of a target; a text takes the place of a file, and the reverse."""
    fields = {name: value for name, value in options.items() if value is not None and value != ()}
    if "headers" in fields:
        fields["headers"] = _headers(fields["headers"])
    if "ca_file" in fields:
        fields["ca_file"] = str(fields["ca_file"].absolute())
    for text, file in ((name, f"{name}_file") for name in SOUNDS):
        if file in fields:
            fields[file] = str(fields[file].absolute())
            fields.setdefault(text, None)
        elif text in fields:
            fields[file] = None
    return fields


def cleared(names: Iterable[str]) -> dict[str, Any]:
    """Give the fields that go back to what they are where nothing is said."""
    fields = [name.replace("-", "_") for name in names if name not in OF_ENDPOINTS]
    fields += [f"{name}_file" for name in fields if name in SOUNDS]
    return {name: Target.model_fields[name].default for name in fields}


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
