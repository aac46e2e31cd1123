"""How `handoff status` looks: one screen, with what is wrong first and in colour."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.output import counted, local_time, plain, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from cli.status_facts import EndpointFacts, Facts, HourFacts, ProbeFacts

HEALTH_STYLES = {"well": "green", "failing": "yellow", "resting": "red"}
SILENT = 3
"""How many agents of a pool that do not answer are named."""
OVERHEAD = 23
"""Lines of the screen that are not lines of its two lists."""


def screen(facts: Facts, height: int | None = None) -> RenderableType:
    """Draw it, in so many lines where that is given; lists that do not fit are cut, and say so."""
    most = max(3, (height - OVERHEAD - len(facts.pools)) // 2) if height else None
    return Group(
        Text(f"handoff  {local_time(facts.at)}", style="bold"),
        Text(),
        _summary(facts),
        Text(),
        *_list("transfers under way", ("CALL", "TARGET", "MODE", "STATE", "SINCE"), _transfers(facts), most),
        *_list("endpoints", ("ENDPOINT", "TARGETS", "CALLS", "HEALTH"), _endpoints(facts), most),
    )


def _summary(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("nodes", _nodes(facts)),
        ("pools", _pools(facts)),
        ("redis", Text(f"answers within {1000 * facts.redis:.1f} ms")),
        ("calls", _calls(facts)),
        ("last hour", _hour(facts.hour)),
        ("time to human", _time_to_human(facts.hour)),
        ("users", Text(f"{facts.registered} of {counted(facts.users, 'user')} registered")),
        ("webhooks", _webhooks(facts)),
        ("probes", _probes(facts.probes)),
    ):
        table.add_row(Text(name, style="dim"), text)
    return table


def _nodes(facts: Facts) -> Text:
    if not facts.nodes:
        return Text("none alive: see `handoff doctor`", style="red")
    text = Text()
    for name, beat in sorted(facts.nodes.items()):
        health = beat.get("rtpengine")
        sick = [media for media, well in health.items() if not well] if isinstance(health, dict) else []
        text.append(f"{', ' if text else ''}{plain(name)} alive")
        if sick:
            text.append(plain(f" (no answer from rtpengine {', '.join(sorted(sick))})"), style="red")
    return text


def _pools(facts: Facts) -> Text:
    text = Text()
    for pool in facts.pools:
        text.append("\n" if text else "")
        style = "red" if pool.deserted_at else "" if pool.answering == len(pool.silent_at) else "yellow"
        words = f"{plain(pool.name)}: {pool.answering} of {len(pool.silent_at)} agents answer OPTIONS"
        text.append(words, style=style)
        silent = [f"{plain(uri)} (at {', '.join(nodes)})" for uri, nodes in pool.silent_at.items() if nodes]
        text.append(f"; not {', '.join(silent[:SILENT])}{' ...' if silent[SILENT:] else ''}" if silent else "", style)
    return text or Text("no node has told of their agents", style="dim")


def _calls(facts: Facts) -> Text:
    states = Counter(str(call.state) for call in facts.calls)
    words = ", ".join(f"{count} {state}" for state, count in states.most_common())
    text = Text(f"{counted(len(facts.calls), 'call')}{f': {words}' if words else ''}")
    if facts.unreadable:
        text.append(f", {counted(facts.unreadable, 'record')} unreadable", style="red")
    return text


def _hour(hour: HourFacts) -> Text:
    text = Text(counted(hour.outcomes.total(), "transfer"))
    if hour.success_rate is not None:
        style = "green" if hour.success_rate >= 0.8 else "yellow" if hour.success_rate >= 0.5 else "red"
        text.append(", ").append(f"{100 * hour.success_rate:.0f} % reached a person", style=style)
    words = ", ".join(f"{count} {outcome}" for outcome, count in hour.outcomes.most_common())
    return text.append(f": {words}" if words else "")


def _time_to_human(hour: HourFacts) -> Text:
    if hour.median is None or hour.slowest is None:
        return Text("nobody was reached", style="dim")
    return Text(f"{seconds(hour.median)} (median), {seconds(hour.slowest)} (95 of 100)")


def _webhooks(facts: Facts) -> Text:
    text = Text(f"{facts.posts.waiting} wait")
    return text.append(f", {facts.posts.dead} given up: see `handoff webhooks`" if facts.posts.dead else "", "yellow")


def _probes(probes: ProbeFacts) -> Text:
    if not probes.targets:
        return Text("no target has --probe-every", style="dim")
    text = Text(counted(probes.targets, "target"))
    if probes.failed:
        text.append(plain(f", failed: {', '.join(probes.failed)}"), "red")
    return text.append(plain(f", not known: {', '.join(probes.unknown)}") if probes.unknown else "", "yellow")


def _transfers(facts: Facts) -> list[tuple[str | Text, ...]]:
    return [
        (call.id, transfer.target, transfer.mode, call.state, seconds(max(0.0, facts.at - transfer.requested_at)))
        for call, transfer in facts.under_way
    ]


def _endpoints(facts: Facts) -> list[tuple[str | Text, ...]]:
    return [(one.uri, ", ".join(one.targets), str(one.usage.calls), _health(one, facts.at)) for one in facts.endpoints]


def _health(endpoint: EndpointFacts, now: float) -> Text:
    health, failing = endpoint.health(now), endpoint.failing
    why = f": {counted(failing.failures, 'failure')} in a row, {plain(failing.why)}" if failing else ""
    return Text(f"{health}{why}", style=HEALTH_STYLES[health])


def _list(
    title: str, columns: Sequence[str], rows: Sequence[Iterable[str | Text]], most: int | None
) -> list[RenderableType]:
    """Draw a list with its title; nothing where it is empty."""
    if not rows:
        return [Text(f"no {title}", style="dim"), Text()]
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for row in rows[:most]:
        table.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    left = len(rows) - len(rows[:most])
    more = [Text(f"and {left} more: see --json", style="dim")] if left else []
    return [Text(title, style="bold"), table, *more, Text()]
