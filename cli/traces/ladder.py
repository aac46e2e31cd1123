"""A trace as a ladder: for the terminal, and as a Mermaid sequence diagram."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cli.output import plain
from cli.traces.parties import CALLER, Trace
from cli.traces.sip import write_place

if TYPE_CHECKING:
    from cli.traces.parties import Step
    from cli.traces.sip import Message

HANDOFF = "handoff"
LEAST, NARROW, WIDE = 12, 18, 28
TIME = 9
PICTURE = 160
"""Letters on a line of a picture, where so many are enough for the arrows."""
ENTITIES = {"#": "#35;", "%": "#37;", ";": "#59;", "<": "#lt;", ">": "#gt;"}
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


def draw_ladder(trace: Trace, width: int | None = None) -> Text:
    """Draw it with seconds from the first message, an arrow for each message, and what is in it.

    Columns come nearer, and what does not fit beside an arrow goes below it, where `width` letters are all there is.
    """
    heads = heads_of(trace)
    widths = [len(step.message.label) + 4 for step in trace.steps] + [len(word) + 2 for head in heads for word in head]
    gap = min(max(NARROW, *widths), WIDE)
    if width:
        gap = max(LEAST, min(gap, (width - TIME - 1) // len(heads)))
    ladder = _Ladder([name for name, _ in heads], gap, width, trace.nodes[0])
    lines = [line for words in zip(*heads, strict=True) for line in ladder.head(words)]
    began = trace.steps[0].message.at
    lines += [line for step in trace.steps for line in ladder.lines(step, step.message.at - began)]
    if trace.left_out:
        lines.append(Text(f"{trace.left_out} messages in the middle were left out", style="yellow"))
    return Text("\n").join(lines)


@dataclass(frozen=True, slots=True)
class _Ladder:
    """Columns `gap` letters apart; of which node a message is, is said where it is another one than `node`."""

    columns: list[str]
    gap: int
    width: int | None
    node: str

    def head(self, words: tuple[str, ...]) -> list[Text]:
        cells = [textwrap.wrap(word, self.gap - 1) for word in words]
        rows = ("".join(f"{cell:{self.gap}}" for cell in row) for row in zip_longest(*cells, fillvalue=""))
        return [Text(f"{'':{TIME}} {row}".rstrip(), style="bold") for row in rows]

    def lines(self, step: Step, seconds: float) -> list[Text]:
        arrow = self._arrow(step, seconds)
        message = step.message
        node = f"by {message.node}" if message.node != self.node else ""
        note = "; ".join(filter(None, [node, "again" if step.again else "", plain(message.note)]))
        if not note:
            return [arrow]
        if self.width is None or len(arrow) + 2 + len(note) <= self.width:
            return [arrow.append(f"  {note}")]
        wrapped = textwrap.wrap(note, self.width - TIME - 4)
        return [arrow, *(Text(f"{'':{TIME}}   {part}", style="dim") for part in wrapped)]

    def _arrow(self, step: Step, seconds: float) -> Text:
        ends = sorted((self.columns.index(HANDOFF), self.columns.index(step.party)))
        rightwards = (self.columns.index(step.party) == ends[1]) == step.message.sent
        room = (ends[1] - ends[0]) * self.gap - 1
        arrow = f"{self._words(step.message, room - 4):─^{room - 1}}"
        text = Text(f"{seconds:{TIME}.3f} ")
        text.append(("│" + " " * (self.gap - 1)) * ends[0] + "│", style="dim")
        text.append(f"{arrow}▶" if rightwards else f"◀{arrow}", style=_style(step))
        text.append("│", style="dim")
        for _ in self.columns[ends[1] + 1 :]:
            text.append(" " * (self.gap - 1) + "│", style="dim")
        return text

    @staticmethod
    def _words(message: Message, most: int) -> str:
        """Name the message, a response without its method where that does not fit."""
        words = plain(message.label)
        if len(words) > most and message.status:
            words = words.rpartition(" (")[0]
        return f" {words if len(words) <= most else words[: most - 1] + '…'} "


def _style(step: Step) -> str:
    status = step.message.status
    if step.again:
        return "dim"
    if status is None:
        return "cyan"
    return "red" if status >= 300 else "green" if status >= 200 else "yellow"


def write_svg(trace: Trace) -> str:
    """Write the ladder as a picture."""
    ladder = draw_ladder(trace, PICTURE)
    width = max(map(len, ladder.plain.splitlines()))
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False)
    console.print(ladder, no_wrap=True, overflow="ignore", crop=False)
    return console.export_svg(title=f"call {trace.call_id}")


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
