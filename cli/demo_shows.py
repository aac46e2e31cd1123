"""The shows of the demo, one of each mode: what is played, what to look at, and what was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cli.demo_checks import briefing, handover, invite
from cli.demo_facts import SUMMARY_HEADER, Task
from routing.outcomes import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.demo_facts import Facts

INTRODUCTION = (
    "Three SIP phones on this machine: the caller's, a voice agent's, and the target, on which a person takes calls.\n"
    "Each hums a tone of its own, and records what it hears. One call is handed over in each mode."
)
MESSAGE = Task(Mode.MESSAGE, message="A customer calls from the web shop.")
SUMMARY = Task(Mode.SUMMARY, summary="Zoë Brown has moved, and wants her order sent to her new home.")


@dataclass(frozen=True, slots=True)
class Show:
    """One mode: what will be done, and what was shown when it was as it should be."""

    task: Task
    about: str
    sum_up: Callable[[Facts], str]


def _sum_up_blind(facts: Facts) -> str:
    until, since = (at - facts.began for at in handover(facts))
    port = facts.after.remote.rpartition(":")[2]
    return (
        f"The caller heard the agent until {until:.2f} s and the person from {since:.2f} s; between REFER and its own "
        f"BYE it got no SIP message, and its RTP port stayed {port}."
    )


def _sum_up_message(facts: Facts) -> str:
    return (
        f"{_briefed(facts)}; neither heard the other before the bridge, "
        "and the caller's phone again got no SIP message and kept its port."
    )


def _sum_up_summary(facts: Facts) -> str:
    text = unquote(invite(facts).header(SUMMARY_HEADER) or "")
    return (
        f"{_briefed(facts)}; neither heard the other before the bridge, "
        f'and the INVITE brought the summary as text, too, for phones that show it: "{text}"'
    )


def _briefed(facts: Facts) -> str:
    found = briefing(facts)
    assert found is not None, "it was as it should be"
    before, text, after = found
    return (
        f"The person heard the {facts.mode} for {text.seconds:.1f} s, with {before:.2f} s of silence before and "
        f"{after:.2f} s after it, while the caller heard music"
    )


SHOWS = (
    Show(
        Task(Mode.BLIND),
        "The caller talks with the agent; the agent's phone sends REFER, the target rings for a second and answers.\n"
        "The caller must hear the agent until then and the person from then on, and notice nothing else.",
        _sum_up_blind,
    ),
    Show(
        MESSAGE,
        f'The same, but the person who answers first hears "{MESSAGE.message}", which the caller must\n'
        "not hear, with half a second of silence before and after it. The caller hears music from REFER to the bridge.",
        _sum_up_message,
    ),
    Show(
        SUMMARY,
        "The same, but with its REFER the agent sends a summary of the conversation, and the person hears that:\n"
        f'"{SUMMARY.summary}"',
        _sum_up_summary,
    ),
)
