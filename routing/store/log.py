"""The call log: a stream of finished transfers, the oldest dropped beyond a hundred thousand rows or so.

A row has the id of a call and either a transfer that has finished, or how well its parties were heard: that is known
only when the call ends, so its row comes later, and whoever reads the log joins the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from routing.heard import Heard
from routing.transfer_record import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TRANSFER, HEARD = "transfer", "heard"
PAGE = 500


class Row(NamedTuple):
    """One row as it is stored: its place, a call, what `data` is (`TRANSFER` or `HEARD`), and that in JSON."""

    position: str
    call_id: str
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Logged:
    """A finished transfer in the call log; `position` orders the log and is what `finished(after=)` takes."""

    position: str
    call_id: str
    transfer: Transfer
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that cannot be read; `text` says why, and what it is."""

    position: str
    call_id: str
    text: str


def row_of(position: bytes, fields: list[bytes]) -> Row:
    """Read a row of the stream; one with other fields than ours comes out as one that cannot be read."""
    _, call_id, kind, data = fields if len(fields) == 4 else (b"", b"unknown", b"", b"")
    return Row(position.decode(), call_id.decode(errors="replace"), kind.decode(errors="replace"), data)


def to_row(value: Transfer | Heard) -> bytes:
    """Write what the log keeps."""
    return value.model_dump_json(exclude_defaults=True).encode()


def kind_of(value: Transfer | Heard) -> str:
    """Name the kind of a row."""
    return TRANSFER if isinstance(value, Transfer) else HEARD


def read_log(pages: Iterable[Iterable[Row]]) -> Iterator[Logged | Damaged]:
    """Read rows, newest first, and give the transfers: each with how it was heard, if its call has ended.

    A transfer that was logged twice (a holder too slow to save had logged it already) is given once, as it was logged
    last. Of the rows read nothing is kept but the ids of transfers seen, and what is to be joined. What a newer version
    has written besides is passed over: nodes are upgraded one after the other.
    """
    seen: set[str] = set()
    heard: dict[str, Heard] = {}
    for row in (row for page in pages for row in page):
        try:
            if row.kind == HEARD:
                found = Heard.model_validate_json(row.data, extra="ignore")
                heard.setdefault(found.transfer, found)
                continue
            transfer = Transfer.model_validate_json(row.data, extra="ignore")
        except ValidationError as error:
            yield Damaged(row.position, row.call_id, _damage(row, error))
            continue
        if transfer.id not in seen:
            seen.add(transfer.id)
            yield Logged(row.position, row.call_id, transfer, heard.pop(transfer.id, None))


def _damage(row: Row, error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return (
        f"entry {row.position} of the call log (call {row.call_id}) cannot be read ({where}: {first['msg']}); "
        f"it was written by another version or by hand"
    )


def page_through(read: Callable[[str | None, int], list[Row]], size: int = PAGE) -> Iterator[list[Row]]:
    """Read page after page; `read` takes the position before which a page is to be, and how many rows it may have."""
    before: str | None = None
    while page := read(before, size):
        yield page
        if len(page) < size:
            return
        before = page[-1].position
