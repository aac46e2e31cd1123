"""A trace as a ladder: for the terminal, and as a Mermaid sequence diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from cli.output import plain
from cli.traces.parties import CALLER, Trace
from cli.traces.sip import write_place

if TYPE_CHECKING:
    from cli.traces.parties import Step
    from cli.traces.sip import Message

HANDOFF = "handoff"
NARROW, WIDE = 18, 28
TIME = 9
ENTITIES = {"#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;"}
"""What Mermaid would take for its own signs."""


def columns_of(trace: Trace) -> list[str]:
    """Name the columns: handoff is between the caller and all others."""
    others = [party for party in trace.parties if party != CALLER]
    return [*([CALLER] if CALLER in trace.parties else []), HANDOFF, *others]


def heads_of(trace: Trace) -> list[tuple[str, str]]:
    """Give the two lines above each column: its name, and where it is."""
    ours = next(message.source if message.sent else message.destination for message in _messages(trace))
    places = {HANDOFF: ours, **trace.parties}
    return [(name, write_place(places[name])) for name in columns_of(trace)]


def draw_ladder(trace: Trace) -> Text:
    """Draw it with seconds from the first message, an arrow for each message, and what is in it."""
    heads = heads_of(trace)
    widths = [len(step.message.label) + 4 for step in trace.steps] + [len(word) + 2 for head in heads for word in head]
    first = trace.nodes[0]
    ladder = _Ladder([name for name, _ in heads], min(max(NARROW, *widths), WIDE), first)
    lines = [ladder.head(words) for words in zip(*heads, strict=True)]
    began = trace.steps[0].message.at
    lines += [ladder.line(step, step.message.at - began) for step in trace.steps]
    if trace.left_out:
        lines.append(Text(f"{trace.left_out} messages in the middle were left out", style="yellow"))
    return Text("\n").join(lines)


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Columns `gap` letters apart; of which node a message is, is said where it is another one than `node`."""

    columns: list[str]
    gap: int
    node: str

    def head(self, words: tuple[str, ...]) -> Text:
        cells = "".join(f"{word[: self.gap - 1]:{self.gap}}" for word in words)
        return Text(f"{'':{TIME}} {cells}".rstrip(), style="bold")

    def line(self, step: Step, seconds: float) -> Text:
        message = step.message
        ends = sorted((self.columns.index(HANDOFF), self.columns.index(step.party)))
        rightwards = (self.columns.index(step.party) == ends[1]) == message.sent
        room = (ends[1] - ends[0]) * self.gap - 1
        words = plain(message.label)
        words = f" {words if len(words) <= room - 4 else words[: room - 5] + '…'} "
        arrow = f"{words:─^{room - 1}}"
        text = Text(f"{seconds:{TIME}.3f} ")
        text.append(("│" + " " * (self.gap - 1)) * ends[0] + "│", style="dim")
        text.append(f"{arrow}▶" if rightwards else f"◀{arrow}", style=_style(step))
        text.append("│", style="dim")
        for _ in self.columns[ends[1] + 1 :]:
            text.append(" " * (self.gap - 1) + "│", style="dim")
        node = f"by {message.node}" if message.node != self.node else ""
        note = "; ".join(filter(None, [node, "again" if step.again else "", plain(message.note)]))
        return text.append(f"  {note}" if note else "")


def _style(step: Step) -> str:
    status = step.message.status
    if step.again:
        return "dim"
    if status is None:
        return "cyan"
    return "red" if status >= 300 else "green" if status >= 200 else "yellow"


def draw_mermaid(trace: Trace) -> str:
    """Write it as a sequence diagram."""
    columns = columns_of(trace)
    aliases = {name: f"p{number}" for number, name in enumerate(columns)}
    lines = ["sequenceDiagram"]
    lines += [f"    participant {aliases[name]} as {name}<br/>{_escape(place)}" for name, place in heads_of(trace)]
    began = trace.steps[0].message.at
    for step in trace.steps:
        message = step.message
        ends = [aliases[HANDOFF], aliases[step.party]]
        source, destination = ends if message.sent else reversed(ends)
        arrow = "-->>" if message.status else "->>"
        words = ", ".join(filter(None, [message.label, "again" if step.again else "", message.note]))
        lines.append(f"    {source}{arrow}{destination}: {message.at - began:.3f} s {_escape(plain(words))}")
    return "\n".join(lines) + "\n"


def _escape(words: str) -> str:
    return "".join(ENTITIES.get(letter, letter) for letter in words)


def _messages(trace: Trace) -> list[Message]:
    return [step.message for step in trace.steps]
