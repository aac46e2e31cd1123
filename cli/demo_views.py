"""How the demo shows what it saw: a timeline, a table of who heard whom, and the same as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.demo_checks import invite
from cli.demo_facts import MUSIC, SUMMARY_HEADER
from cli.output import print_table
from cli.views import transfer_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.demo_facts import Facts
    from cli.demo_messages import Message

HANDOFF = "handoff"
OMITTED = "ACK, 100 Trying, and the 200 to NOTIFY and BYE are left out"
WARM_OMITTED = f"{OMITTED}; what handoff plays is shown at the time when it was heard"
HOW_HEARD = "told from the recordings; a phone plays what it gets up to 0.1 s later"
BRIDGE = "joins the media of caller and target (bridge)"
MINUTE_DETAILS = {"ACK", "100 Trying (INVITE)", "200 OK (NOTIFY)", "200 OK (BYE)"}

Row = tuple[float, str, str, str]
"""Seconds since the beginning, from whom, to whom, what."""


def timeline(facts: Facts) -> list[Row]:
    """Give what happened in its order: messages that matter, what was played, and the bridge (as the call log says)."""
    rows = sip_rows(facts.messages, facts.began)
    if facts.transfer.ended_at is not None:
        rows.append((facts.transfer.ended_at - facts.began, HANDOFF, "", BRIDGE))
    for party, sounds in facts.sounds.items():
        for sound in sounds:
            if sound.name in {MUSIC, facts.mode}:
                rows.append((sound.start - facts.began, HANDOFF, party.value, f"(plays the {sound.name})"))
    return sorted(rows, key=lambda row: row[0])


def sip_rows(messages: Sequence[Message], began: float) -> list[Row]:
    """Give the SIP messages that matter, in their order."""
    return [_row(message, began) for message in messages if _shown(message) not in MINUTE_DETAILS]


def _shown(message: Message) -> str:
    """Write a message; PJSIP and Kamailio spell the reason of a 100 in their own ways."""
    if message.status == 100:
        return "100 Trying (INVITE)"
    return f"{message} with {SUMMARY_HEADER}" if message.header(SUMMARY_HEADER) else str(message)


def _row(message: Message, began: float) -> Row:
    ends = (message.phone, HANDOFF) if message.sent else (HANDOFF, message.phone)
    return (message.at - began, *ends, _shown(message))


def print_timeline(rows: Sequence[Row]) -> None:
    """Write the timeline."""
    print_table(("AT", "FROM", "TO", "WHAT"), [(f"{at:6.3f} s", *rest) for at, *rest in rows])


def print_heard(facts: Facts) -> None:
    """Write who heard whom when, as the recordings tell."""
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
    return {
        "mode": facts.mode,
        "began": facts.began,
        "timeline": [
            {"at": round(at, 3), "from": source, "to": destination, "what": what}
            for at, source, destination, what in timeline(facts)
        ],
        "heard": heard(facts),
        "caller_media": {"codec": facts.after.codec, "before": facts.before.remote, "after": facts.after.remote},
        "summary_header": invite(facts).header(SUMMARY_HEADER),
        "transfer": transfer_data(facts.transfer),
    }
