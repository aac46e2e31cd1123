"""Office hours: when a target may be called, as people write it, and as instants that no clock change upsets.

A span of hours belongs to the day on which it begins: "sat 22:00-02:00" ends early on Sunday, and does so even if that
Sunday is a holiday. Times are those of the clock on the wall. Where it is put forward, what would begin or end in the
hour that is missing does so at the change; where it is put back, a span begins at the first, and ends at the last, of
the two moments that bear the same name.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo, available_timezones

from routing.texts import BadValue, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
"""Minutes of a day."""
HORIZON = 400
"""Days that are looked ahead for the next opening."""
_LINE = re.compile(r"(?P<days>[a-z][a-z, -]*?) +(?P<times>[0-9].*)")
_TIMES = re.compile(r"([0-9]{1,2}):([0-9]{2}) *- *([0-9]{1,2}):([0-9]{2})")
_HOLIDAY = re.compile(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})")
_MEND = 'write it as "mon-fri 09:00-12:00, 13:00-17:30" or "sat 22:00-02:00"'


@dataclass(frozen=True, slots=True)
class Line:
    """One line of hours: weekdays (0 is Monday), and begin and end in minutes since their midnight."""

    days: frozenset[int]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "mon-fri 09:00-12:00, 13:00-17:30"; raises BadValue."""
        found = _LINE.fullmatch(text.strip().lower())
        if found is None:
            raise BadValue(f"{shown(text)} are no hours", mend=_MEND)
        days = frozenset(day for part in found["days"].split(",") for day in _days(part.strip()))
        return cls(days, tuple(_span(part.strip()) for part in found["times"].split(",")))

    def __str__(self) -> str:
        """Write it in its normal form."""
        runs = [
            [day for _, day in run] for _, run in groupby(enumerate(sorted(self.days)), lambda pair: pair[1] - pair[0])
        ]
        days = ",".join(DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs)
        return f"{days} {', '.join(f'{_clock(begin)}-{_clock(end)}' for begin, end in self.spans)}"


@dataclass(frozen=True, slots=True)
class Hours:
    """When it is open; without lines always, except on holidays."""

    lines: tuple[Line, ...]
    holidays: frozenset[str]
    zone: ZoneInfo

    @classmethod
    def make(cls, lines: Iterable[str], holidays: Iterable[str], zone: str) -> Self:
        """Make it of texts that the checks below have passed."""
        always = Line(frozenset(range(len(DAYS))), ((0, DAY),))
        return cls(tuple(map(Line.parse, lines)) or (always,), frozenset(holidays), ZoneInfo(zone))

    def is_open(self, now: float) -> bool:
        """Tell whether it is open; `now` is in seconds since the epoch."""
        today = self._day(now)
        return any(begin <= now < end for day in (today - timedelta(1), today) for begin, end in self._spans(day))

    def next_opening(self, now: float) -> float | None:
        """Tell when it is open next, `now` if it is now; None if that is not within the next `HORIZON` days."""
        if self.is_open(now):
            return now
        today = self._day(now)
        for ahead in range(HORIZON):
            begins = [begin for begin, _ in self._spans(today + timedelta(ahead)) if begin > now]
            if begins:
                return min(begins)
        return None

    def name(self, moment: float) -> str:
        """Name a moment for people, as the clock on the wall shows it."""
        return f"{datetime.fromtimestamp(moment, self.zone):%a %Y-%m-%d %H:%M} ({self.zone.key})"

    def _day(self, now: float) -> date:
        return datetime.fromtimestamp(now, self.zone).date()

    def _spans(self, day: date) -> Iterator[tuple[float, float]]:
        """Give the spans that begin on a day; one that the change of clocks swallows is none."""
        if self.holidays & {f"{day:%Y-%m-%d}", f"{day:%m-%d}"}:
            return
        midnight = datetime.combine(day, datetime.min.time())
        for line in self.lines:
            for begin, end in line.spans if day.weekday() in line.days else ():
                last = end if end > begin else end + DAY
                opens = self._instant(midnight + timedelta(minutes=begin), last=False)
                closes = self._instant(midnight + timedelta(minutes=last), last=True)
                if opens < closes:
                    yield opens, closes

    def _instant(self, wall: datetime, *, last: bool) -> float:
        """Find when the clock on the wall shows this; of two such moments the first or the last one."""
        early, late = sorted(round(wall.replace(tzinfo=self.zone, fold=fold).timestamp()) for fold in (0, 1))
        if self._shown(early) == wall:
            return late if last else early
        # The clock never shows it, and changes between the two: the change is the first moment that is past it.
        return early + bisect_left(range(early, late), True, key=lambda moment: self._shown(moment) >= wall)

    def _shown(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self.zone).replace(tzinfo=None, fold=0)


def check_hours(text: str) -> str:
    """Check a line of hours and put it in its normal form; raises BadValue."""
    return str(Line.parse(text))


def check_holiday(text: str) -> str:
    """Check a holiday: the date of one, as 2026-12-25, or of one in each year, as 12-25; raises BadValue."""
    found = _HOLIDAY.fullmatch(text.strip())
    # Of the years that may be meant, 2000 had a 29 February.
    if found is None or not _is_date(int(found[1] or 2000), int(found[2]), int(found[3])):
        raise BadValue(f"{shown(text)} is no date", mend="write it as 2026-12-25, or as 12-25 for each year")
    return text.strip()


def check_time_zone(text: str) -> str:
    """Check the name of a time zone of the IANA database, as this machine has it; raises BadValue."""
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        raise BadValue(f"{shown(text)} is no time zone", mend=_nearest_zone(text)) from None


def local_zone(link: Path = Path("/etc/localtime")) -> str:
    """Name the time zone of this machine; UTC where it does not tell."""
    try:
        return check_time_zone(str(link.resolve()).partition("/zoneinfo/")[2])
    except BadValue:
        return "UTC"


def _nearest_zone(text: str) -> str:
    """Find the zone of this city, or the one most like the text."""
    word = text.lower().replace(" ", "_")
    zones = sorted(available_timezones())
    same = [zone for zone in zones if word and word in {zone.lower(), zone.lower().rpartition("/")[2]}]
    close = same or get_close_matches(text, zones, n=1)
    return f"did you mean {close[0]}?" if close else "name one like Europe/Berlin"


def _days(text: str) -> list[int]:
    """Read a weekday, "daily", or a range of days, which may go past Sunday."""
    if text == "daily":
        return list(range(len(DAYS)))
    first, dash, last = (part.strip() for part in text.partition("-"))
    for day in (first, last) if dash else (first,):
        if day not in DAYS:
            raise BadValue(f"{shown(day)} is no day of the week", mend=nearest(day, (*DAYS, "daily")))
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return [day % len(DAYS) for day in range(begin, end + 1 if end >= begin else end + 1 + len(DAYS))]


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _span(text: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(text)
    if found is None:
        raise BadValue(f"{shown(text)} are no times", mend=_MEND)
    begin, end = (60 * int(found[hour]) + int(found[hour + 1]) for hour in (1, 3))
    if max(int(found[2]), int(found[4])) > 59 or begin >= DAY or end > DAY:
        raise BadValue(f"{shown(text)} are no times of the day", mend="give times from 00:00 to 24:00")
    if begin == end:
        raise BadValue(f"{shown(text)} ends where it begins", mend="write 00:00-24:00 for the whole day")
    return begin, end


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
