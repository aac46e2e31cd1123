"""Office hours: how they are written, and when they are, also where clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.hours import DAYS, HORIZON, Hours, check_holiday, check_hours, check_time_zone, local_zone
from routing.texts import BadValue

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""In Berlin 02:00 becomes 03:00, and 03:00 becomes 02:00; both are Sundays."""
DST_ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca")


def at(wall: str, zone: str = BERLIN, *, second: bool = False) -> float:
    """Give the moment at which the clock shows this, the first or second time."""
    return datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone), fold=second).timestamp()


def utc(text: str) -> float:
    """Give a moment that is named in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def hours(*lines: str, holidays: tuple[str, ...] = (), zone: str = BERLIN) -> Hours:
    """Make office hours."""
    return Hours.make(lines, holidays, zone)


def changes(office: Hours, begin: float, end: float) -> list[str]:
    """Say at which minutes, in UTC, it opens (+) and closes (-)."""
    found: list[str] = []
    before = office.is_open(begin)
    for moment in range(round(begin), round(end), 60):
        if office.is_open(moment) is not before:
            before = not before
            found.append(f"{'+' if before else '-'}{datetime.fromtimestamp(moment, UTC):%H:%M}")
    return found


# --- how they are written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("mon-fri 09:00-12:00, 13:00-17:30", "mon-fri 09:00-12:00, 13:00-17:30"),
        ("  Mon-FRI  9:00 - 17:00 ", "mon-fri 09:00-17:00"),
        ("sat 22:00-02:00", "sat 22:00-02:00"),
        ("wed, mon,tue 8:00-9:00,10:00-11:00", "mon-wed 08:00-09:00, 10:00-11:00"),
        ("mon,wed,fri-sun 00:00-24:00", "mon,wed,fri-sun 00:00-24:00"),
        ("sat - mon 10:00-12:00", "mon,sat-sun 10:00-12:00"),
        ("daily 07:00-23:00", "mon-sun 07:00-23:00"),
        ("tue-tue 07:00-23:00", "tue 07:00-23:00"),
    ],
)
def test_hours_have_one_normal_form(written: str, normal: str) -> None:
    assert check_hours(written) == normal
    assert check_hours(normal) == normal


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("", "'' are no hours; write it as"),
        ("09:00-17:00", "are no hours"),
        ("mon-fri", "are no hours"),
        ("mon-fri 9-17", "'9-17' are no times; write it as"),
        ("mon-fri 09:00-12:00,", "'' are no times"),
        ("mondy 09:00-12:00", "'mondy' is no day of the week; did you mean mon?"),
        ("mon- 09:00-12:00", "'' is no day of the week"),
        ("mon, 09:00-12:00", "'' is no day of the week"),
        ("mon-x 09:00-12:00", "'x' is no day of the week"),
        ("mon 09:60-12:00", "are no times of the day"),
        ("mon 09:00-12:60", "are no times of the day"),
        ("mon 24:00-12:00", "are no times of the day"),
        ("mon 09:00-24:01", "are no times of the day"),
        ("mon 09:00-09:00", "ends where it begins; write 00:00-24:00"),
        ("mon 09:00-12:00\r\nX: y", "are no hours"),
    ],
)
def test_what_are_no_hours_is_refused_with_the_mend(written: str, what: str) -> None:
    with pytest.raises(BadValue) as refused:
        check_hours(written)
    assert what in str(refused.value)


@given(st.text(alphabet="montuewdhfrisa0123459:-, ", max_size=30))
def test_any_text_is_hours_in_their_normal_form_or_refused(text: str) -> None:
    try:
        normal = check_hours(text)
    except BadValue:
        return
    assert check_hours(normal) == normal


@pytest.mark.parametrize("text", ["12-25", "2026-12-25", "02-29", "2028-02-29", " 05-01 "])
def test_a_holiday_is_a_date_or_one_of_each_year(text: str) -> None:
    assert check_holiday(text) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "25.12.", "13-01", "02-30", "2026-02-29", "26-12-25", "12-25 and later", "0000-01-01"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"is no date; write it as 2026-12-25, or as 12-25 for each year"):
        check_holiday(text)


def test_a_time_zone_is_one_that_the_machine_knows() -> None:
    assert check_time_zone(BERLIN) == BERLIN


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("berlin", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("", "name one like Europe/Berlin"),
        ("Europe", "did you mean"),
        ("../../etc/passwd", "name one like"),
        ("/etc/passwd", "name one like"),
        ("\x00", "name one like"),
        ("Qwxyzzy", "name one like"),
    ],
)
def test_another_one_is_refused_with_the_one_that_may_be_meant(text: str, mend: str) -> None:
    with pytest.raises(BadValue) as refused:
        check_time_zone(text)
    assert mend in str(refused.value)


def test_the_machine_tells_its_time_zone_or_else_it_is_utc(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    assert local_zone(link) == "UTC"
    (tmp_path / "zoneinfo" / "Europe").mkdir(parents=True)
    link.symlink_to(tmp_path / "zoneinfo" / "Europe" / "Berlin")
    assert local_zone(link) == BERLIN
    assert check_time_zone(local_zone())


# --- when they are ---------------------------------------------------------------------------------------------------


def test_it_is_open_from_the_first_second_and_closed_from_the_last() -> None:
    office = hours("mon-fri 09:00-12:00, 13:00-17:30")
    monday = "2026-11-23"
    for wall, is_open in (
        ("08:59:59", False),
        ("09:00", True),
        ("11:59:59", True),
        ("12:00", False),
        ("13:00", True),
        ("17:29:59", True),
        ("17:30", False),
    ):
        assert office.is_open(at(f"{monday} {wall}")) is is_open, wall
    assert not office.is_open(at("2026-11-22 10:00"))


def test_the_next_opening_is_later_today_on_the_next_open_day_or_now() -> None:
    office = hours("mon-fri 09:00-12:00, 13:00-17:30", "sat 10:00-12:00")
    assert office.next_opening(at("2026-11-23 12:30")) == at("2026-11-23 13:00")
    assert office.next_opening(at("2026-11-28 12:00")) == at("2026-11-30 09:00")
    assert office.next_opening(at("2026-11-27 20:00")) == at("2026-11-28 10:00")
    assert office.next_opening(at("2026-11-23 10:00")) == at("2026-11-23 10:00")


def test_the_clock_is_the_one_of_the_time_zone() -> None:
    assert hours("mon 09:00-10:00", zone="Asia/Tokyo").is_open(utc("2026-11-23 00:30"))
    assert not hours("mon 09:00-10:00").is_open(utc("2026-11-23 00:30"))
    assert hours(zone="Asia/Tokyo").name(utc("2026-11-23 00:30")) == "Mon 2026-11-23 09:30 (Asia/Tokyo)"


def test_without_hours_it_is_always_open_but_on_holidays() -> None:
    assert hours().is_open(at("2026-12-25 03:00"))
    office = hours(holidays=("12-25", "2026-12-28"))
    assert not office.is_open(at("2026-12-25 03:00"))
    assert not office.is_open(at("2031-12-25 03:00"))
    assert not office.is_open(at("2026-12-28 03:00"))
    assert office.is_open(at("2027-12-28 03:00"))
    assert office.next_opening(at("2026-12-25 03:00")) == at("2026-12-26 00:00")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    office = hours("sat 22:00-02:00", holidays=("2026-11-29", "2026-12-05"))
    assert not office.is_open(at("2026-11-28 21:59"))
    assert office.is_open(at("2026-11-28 23:59"))
    assert office.is_open(at("2026-11-29 01:59")), "the holiday begins no night, but ends none either"
    assert not office.is_open(at("2026-11-29 02:00"))
    assert not office.is_open(at("2026-11-29 23:00"))
    assert not office.is_open(at("2026-12-06 01:00")), "the night of a holiday"
    assert office.next_opening(at("2026-11-29 02:00")) == at("2026-12-12 22:00")


def test_what_is_never_open_has_no_next_opening() -> None:
    always_off = tuple(f"{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 32))
    assert hours(holidays=always_off).next_opening(at("2026-11-23 12:00")) is None


# --- where clocks are changed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "line", "expected"),
    [
        (SPRING, "sun 01:00-05:00", ["+00:00", "-03:00"]),
        (SPRING, "sun 02:30-05:00", ["+01:00", "-03:00"]),
        (SPRING, "sun 01:00-02:30", ["+00:00", "-01:00"]),
        (SPRING, "sun 02:10-02:50", []),
        (SPRING, "sun 02:00-03:00", []),
        (SPRING, "sun 03:00-04:00", ["+01:00", "-02:00"]),
        (SPRING, "sat 22:00-02:30", ["+21:00", "-01:00"]),
        (SPRING, "sat 22:00-04:00", ["+21:00", "-02:00"]),
        (AUTUMN, "sun 01:00-05:00", ["+23:00", "-04:00"]),
        (AUTUMN, "sun 02:30-05:00", ["+00:30", "-04:00"]),
        (AUTUMN, "sun 01:00-02:30", ["+23:00", "-01:30"]),
        (AUTUMN, "sun 02:15-02:45", ["+00:15", "-01:45"]),
        (AUTUMN, "sun 03:00-04:00", ["+02:00", "-03:00"]),
        (AUTUMN, "sat 22:00-02:30", ["+20:00", "-01:30"]),
        (AUTUMN, "sat 22:00-04:00", ["+20:00", "-03:00"]),
    ],
)
def test_a_span_over_the_change_of_clocks_is_one_span(day: str, line: str, expected: list[str]) -> None:
    noon = at(f"{day} 12:00")
    assert changes(hours(line), noon - 24 * 3600, noon) == expected


def test_the_next_opening_is_right_over_the_change_of_clocks() -> None:
    for day in (SPRING, AUTUMN):
        saturday = at(f"{day} 12:00") - 24 * 3600
        assert hours("mon 09:00-17:00").next_opening(saturday) == at(f"{day} 09:00") + 24 * 3600
        assert hours("mon 09:00-17:00").name(at(f"{day} 09:00") + 24 * 3600).split()[2] == "09:00"
    assert hours("sun 02:30-05:00").next_opening(at(f"{SPRING} 01:00")) == utc(f"{SPRING} 01:00")
    assert hours("sun 02:10-02:50").next_opening(at(f"{SPRING} 01:00")) == at("2026-04-05 02:10")


def test_a_day_that_a_country_left_out_swallows_its_hours_only() -> None:
    """Samoa had no 30 December 2011, a Friday."""
    office = hours("thu 22:00-02:00", "fri 09:00-17:00", "sat 09:00-17:00", zone="Pacific/Apia")
    thursday = at("2011-12-29 22:00", "Pacific/Apia")
    assert changes(office, thursday - 60, thursday + 24 * 3600) == ["+08:00", "-10:00", "+19:00", "-03:00"]


def test_half_an_hour_of_change_is_right_as_well() -> None:
    """Lord Howe puts its clocks by 30 minutes: on 4 October 2026 02:00 becomes 02:30."""
    opens = hours("sun 02:10-03:00", zone="Australia/Lord_Howe").next_opening(utc("2026-10-03 15:00"))
    assert opens == utc("2026-10-03 15:30")


zones = st.sampled_from(DST_ZONES)
minutes = st.integers(0, 24 * 60 - 1)
moments = st.datetimes(datetime(2010, 1, 1), datetime(2037, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC).timestamp()
)


@st.composite
def offices(draw: st.DrawFn) -> Hours:
    """Draw office hours of one line and a zone."""
    begin, end = draw(st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]))
    days = ",".join(draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True)))
    line = f"{days} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    return hours(line, zone=draw(zones))


@given(offices(), moments)
def test_the_next_opening_is_the_first_moment_at_which_it_is_open(office: Hours, now: float) -> None:
    opens = office.next_opening(now)
    assert opens is not None
    assert now <= opens < now + timedelta(days=HORIZON).total_seconds()
    assert office.is_open(opens)
    if opens > now:
        assert not office.is_open(opens - 1)
        assert not any(office.is_open(now + (opens - now) * part / 7) for part in range(7))


@given(offices(), moments)
def test_far_from_any_change_of_clocks_the_wall_clock_says_it_all(office: Hours, now: float) -> None:
    (line,) = office.lines
    ((begin, end),) = line.spans
    wall = datetime.fromtimestamp(now, office.zone)
    offsets = {datetime.fromtimestamp(now + shift * 3600, office.zone).utcoffset() for shift in range(-72, 73, 6)}
    if len(offsets) > 1:
        return
    minute = wall.hour * 60 + wall.minute
    today, yesterday = wall.weekday() in line.days, (wall.weekday() - 1) % 7 in line.days
    within = begin <= minute < end if end > begin else minute >= begin
    assert office.is_open(now) is ((today and within) or (end < begin and yesterday and minute < end))
