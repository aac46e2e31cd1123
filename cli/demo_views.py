"""How the demo shows what it saw: a timeline, a table of who heard whom, and the same as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.output import print_table
from cli.views import transfer_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.demo_messages import Message
    from cli.demo_stage import Facts

HANDOFF = "handoff"
OMITTED = "ACK, 100 Trying, and the 200 to NOTIFY and BYE are left out"
HOW_HEARD = "told from the recordings by frequency; a phone plays what it gets up to 0.1 s later"
BRIDGE = "joins the media of caller and target (bridge)"
MINUTE_DETAILS = {"ACK", "100 Trying (INVITE)", "200 OK (NOTIFY)", "200 OK (BYE)"}

Row = tuple[float, str, str, str]
"""Seconds since the beginning, from whom, to whom, what."""


def timeline(messages: Sequence[Message], began: float, bridged: float | None) -> list[Row]:
    """Give what happened in its order: the messages that matter, and the bridge (its time is from the call log)."""
    rows = [_row(message, began) for message in messages if _shown(message) not in MINUTE_DETAILS]
    if bridged is not None:
        rows.append((bridged - began, HANDOFF, "", BRIDGE))
    return sorted(rows, key=lambda row: row[0])


def _shown(message: Message) -> str:
    """Write a message; PJSIP and Kamailio spell the reason of a 100 in their own ways."""
    return "100 Trying (INVITE)" if message.status == 100 else str(message)


def _row(message: Message, began: float) -> Row:
    ends = (message.phone, HANDOFF) if message.sent else (HANDOFF, message.phone)
    return (message.at - began, *ends, _shown(message))


def print_timeline(rows: Sequence[Row]) -> None:
    """Write the timeline."""
    print_table(("MS", "FROM", "TO", "WHAT"), [(f"{1000 * at:6.0f}", *rest) for at, *rest in rows])


def print_heard(facts: Facts) -> None:
    """Write who heard whom when, as the recordings tell by frequency."""
    rows = [
        (row["who"], row["heard"], f"{row['from']:5.2f} s", f"{row['until']:5.2f} s", f"{row['seconds']:5.2f} s")
        for row in heard(facts)
    ]
    print_table(("WHO", "HEARD", "FROM", "UNTIL", "FOR"), rows)


def heard(facts: Facts) -> list[dict[str, Any]]:
    """Give who heard whom when; seconds since the beginning, right within 60 ms."""
    return [
        {
            "who": party.value,
            "heard": sound.name,
            "from": round(sound.start - facts.began, 3),
            "until": round(sound.end - facts.began, 3),
            "seconds": round(sound.seconds, 3),
        }
        for party, sounds in facts.sounds.items()
        for sound in sounds
    ]


def facts_data(facts: Facts) -> dict[str, Any]:
    """Give what was seen for programs; times are seconds since the beginning."""
    rows = timeline(facts.messages, facts.began, facts.transfer.ended_at)
    return {
        "mode": facts.mode,
        "began": facts.began,
        "timeline": [
            {"at": round(at, 3), "from": source, "to": destination, "what": what}
            for at, source, destination, what in rows
        ],
        "heard": heard(facts),
        "caller_media": {"codec": facts.after.codec, "before": facts.before.remote, "after": facts.after.remote},
        "transfer": transfer_data(facts.transfer),
    }
