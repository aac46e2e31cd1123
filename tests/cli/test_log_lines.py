"""The log as JSON: an object a line, whatever was logged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.log_lines import json_line

AT = 1_800_000_000.25


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (
            "1(77) INFO: {ab@192.0.2.1} call=00aa event=LegRang from=calling to=ringing",
            {
                "pid": "77",
                "level": "info",
                "sip_call_id": "ab@192.0.2.1",
                "call": "00aa",
                "event": "LegRang",
                "from": "calling",
                "to": "ringing",
            },
        ),
        (
            "1(77) INFO: call=00aa reason='no more, \\'really\\'' status=486",
            {"pid": "77", "level": "info", "call": "00aa", "reason": "no more, \\'really\\'", "status": "486"},
        ),
        (
            "12(7) ERROR: {<null>} call=00aa LegRang came to nothing: Redis is away",
            {"pid": "7", "level": "error", "call": "00aa", "message": "LegRang came to nothing: Redis is away"},
        ),
        ("File x, line 3", {"message": "File x, line 3"}),
        ("[1795386601.1] ERR: [ab] too many", {"level": "error", "message": "[ab] too many"}),
        ("NOTICE: back", {"level": "info", "message": "back"}),
        ("time=0 program=x level=y", {"level": "y"}),
        ("endpoint=sip:a@b;x=y rests", {"endpoint": "sip:a@b;x=y", "message": "rests"}),
        ("", {}),
    ],
)
def test_a_line_is_taken_apart(line: str, data: dict[str, str]) -> None:
    """What it says of itself does not take the place of when and by whom it was logged."""
    expected = {"time": "2027-01-15T08:00:00.250+00:00", "program": "kamailio", **data}
    assert json.loads(json_line(AT, "kamailio", line)) == expected


@given(st.text())
def test_whatever_is_logged_is_one_object_on_one_line(line: str) -> None:
    written = json_line(AT, "rtpengine", line)
    assert written.isascii()
    assert len(written.splitlines()) == 1
    assert json.loads(written)["program"] == "rtpengine"
