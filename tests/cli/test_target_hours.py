"""Office hours in `handoff targets`: how they are given, and what is shown of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.office import OPEN, closed_now

if TYPE_CHECKING:
    from tests.cli.operator import Operator

ADD = ("targets", "add", "support", "sip:support@127.0.0.1:5070")


def test_hours_are_kept_in_their_normal_form(operator: Operator) -> None:
    words = ("--hours", "Mon-Fri 9:00-12:00,13:00-17:30", "--hours", "sat 22:00-02:00")
    more = ("--holiday", "12-25", "--holiday", "2026-12-24", "--time-zone", "Europe/Berlin", "--closed", "Zu")
    added = operator.reads(*ADD, *words, *more)
    assert added["hours"] == ["mon-fri 09:00-12:00, 13:00-17:30", "sat 22:00-02:00"]
    assert (added["holidays"], added["time_zone"], added["closed"]) == (["12-25", "2026-12-24"], "Europe/Berlin", "Zu")
    lines = operator.types("targets", "show", "support").stdout
    assert re.search(r"hours +mon-fri 09:00-12:00, 13:00-17:30; sat 22:00-02:00\n", lines)
    cleared = operator.reads(
        "targets", "set", "support", "--clear", "hours", "--clear", "holidays", "--clear", "closed"
    )
    assert (cleared["hours"], cleared["holidays"], cleared["closed"]) == ([], [], "Closed now")


def test_show_and_list_tell_whether_a_target_is_open_now(operator: Operator) -> None:
    operator.reads(*ADD, "--hours", closed_now(), "--time-zone", "Asia/Tokyo")
    operator.reads("targets", "add", "desk", "sip:desk@127.0.0.1", "--hours", OPEN)
    operator.reads("targets", "add", "night", "sip:night@127.0.0.1")
    shown = operator.types("targets", "show", "support").stdout
    assert re.search(r"now +closed until \w{3} \d{4}-\d\d-\d\d 09:00 \(Asia/Tokyo\)\n", shown)
    assert re.search(r"now +open\n", operator.types("targets", "show", "desk").stdout)
    assert not re.search(r"^now ", operator.types("targets", "show", "night").stdout, re.MULTILINE)
    table = operator.types("targets", "list").stdout.splitlines()
    assert table[0].split()[-1] == "NOW"
    assert [line.split()[-1] for line in table[1:3]] == ["open", "open"]
    assert "closed until" in table[3]


def test_programs_are_told_when_it_opens(operator: Operator) -> None:
    operator.reads(*ADD, "--hours", closed_now(), "--time-zone", "UTC")
    operator.reads("targets", "add", "desk", "sip:desk@127.0.0.1")
    desk, support = operator.reads("targets", "list")
    opens = datetime.fromisoformat(support["opens_at"])
    assert (support["open"], desk["open"]) == (False, True)
    assert (opens.hour, opens.minute) == (9, 0)
    assert opens > datetime.now(UTC) >= datetime.fromisoformat(desk["opens_at"])
    assert operator.reads("targets", "show", "support") == support


def test_a_target_that_never_opens_says_so(operator: Operator) -> None:
    days = (date(2000, 1, 1) + timedelta(day) for day in range(366))
    operator.reads(*ADD, *(word for day in days for word in ("--holiday", f"{day:%m-%d}")))
    assert operator.reads("targets", "show", "support")["opens_at"] is None
    assert "closed for good" in operator.types("targets", "show", "support").stdout


def test_the_time_zone_of_the_node_is_the_default(operator: Operator) -> None:
    operator.writes_settings(node={"id": "node1", "time_zone": "Asia/Tokyo"})
    operator.reads(*ADD, "--hours", closed_now())
    assert "(Asia/Tokyo)" in operator.types("targets", "show", "support").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--hours", "mon-fri"), "hours[0]: 'mon-fri' are no hours"),
        (("--hours", "mondy 09:00-12:00"), "did you mean mon?"),
        (("--holiday", "25.12."), "holidays[0]: '25.12.' is no date"),
        (("--time-zone", "Berlin"), "did you mean Europe/Berlin?"),
        (("--closed", " "), "closed: the text is 0 letters long"),
        (("--closed", "x" * 101), "closed: the text is 101 letters long"),
        (("--closed", "a\nb"), "control character"),
    ],
)
def test_bad_hours_are_refused_with_the_mend(operator: Operator, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in operator.fails(2, *ADD, *words)


def test_what_is_exported_has_the_hours_but_not_whether_it_is_open(operator: Operator) -> None:
    operator.reads(*ADD, "--hours", OPEN)
    exported = operator.types("targets", "export").stdout
    assert "open" not in json.loads(exported)["targets"][0]
    (operator.folder / "targets.json").write_text(exported)
    assert operator.reads("targets", "import", "targets.json", "--replace") == {"imported": ["support"]}
    assert operator.reads("targets", "show", "support")["hours"] == ["mon-sun 00:00-24:00"]
