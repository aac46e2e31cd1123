"""What every store can do, whatever keeps the data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from routing.store.endpoints import EndpointStore
from routing.store.log import PAGE, Logged, page_through, read_log
from routing.store.target_probes import TargetProbeStore
from routing.store.webhooks import WebhookStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from routing.heard import Heard
    from routing.records import BadRecordError, Call
    from routing.store.lease import Lease
    from routing.store.log import Damaged, Row


class Due(NamedTuple):
    """A call that wants to be looked at, and when; the earlier one comes first."""

    at: float
    call_id: str


@dataclass(frozen=True, slots=True)
class Tick:
    """What the timer process has to do: calls that are due, now or soon, and commands from people."""

    due: list[Due]
    commands: list[dict[str, Any]]


class Store(EndpointStore, WebhookStore, TargetProbeStore, Protocol):
    """Keeps what outlives one event; all calls raise StoreUnavailable when Redis is away.

    Times are seconds since the epoch and given by the caller; durations are seconds. As a context manager it is
    closed at the end.
    """

    def create(self, call: Call) -> None:
        """Keep a new call and its deadline; an id that exists already is left alone, since a 200 may come twice."""
        ...

    def lease(self, call_id: str, *, forget_if_plain: bool = False) -> Lease:
        """Load a call, to be the only one who changes it; waits while another holder has it, as long as a lease lives.

        With `forget_if_plain`, a plain call is deleted in the same request, and the lease says `forgotten`.
        Raises CallUnknown, CallBusy, and BadRecordError (the lease is given up again).
        """
        ...

    def peek(self, call_id: str) -> Call:
        """Read a call without leasing it; raises CallUnknown and BadRecordError."""
        ...

    def calls(self) -> Iterator[Call | BadRecordError]:
        """Read all calls; one that cannot be read is given as the error, so that the others are still seen."""
        ...

    def due(self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0) -> list[Due]:
        """Name the calls of `node` with a deadline at most `ahead` after `now`, and others' overdue by `grace`.

        A call named is named again a second after `now` unless it was saved meanwhile: nobody spins on one that fails.
        """
        ...

    def tick(
        self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0, heard: Mapping[str, Heard] | None = None
    ) -> Tick:
        """Do `due` and `take_commands` in one request, and add to the call log how calls were heard, by call id."""
        ...

    def send_command(self, node: str, command: Mapping[str, Any]) -> None:
        """Leave a command (JSON values) for `node`; it is dropped when not taken within a minute."""
        ...

    def take_commands(self, node: str, limit: int = 20) -> list[dict[str, Any]]:
        """Take the oldest commands left for `node`."""
        ...

    def answer_command(self, command_id: str, answer: Mapping[str, Any]) -> None:
        """Leave the answer to a command; it is dropped when not awaited within a minute."""
        ...

    def await_answer(self, command_id: str, timeout: float) -> dict[str, Any] | None:
        """Wait up to `timeout` seconds for an answer; None when there was none. This call may block long."""
        ...

    def ask_speech(self, node: str, requests: Sequence[Mapping[str, Any]]) -> None:
        """Ask the sidecar of `node` to speak texts, or for a trace (JSON values).

        They are dropped when not taken within a minute, or beyond a thousand.
        """
        ...

    def take_speech(self, node: str, timeout: float) -> dict[str, Any] | None:
        """Take the oldest text asked of `node`; waits up to `timeout` seconds for one. This call may block long."""
        ...

    def log_page(self, before: str | None = None, count: int = PAGE, *, after: str | None = None) -> list[Row]:
        """Read so many of the newest rows of the call log, newest first, between two positions."""
        ...

    def log(self, *, after: str | None = None) -> Iterator[Logged | Damaged]:
        """Read the call log, newest first, a page at a time; with `after`, only what was logged since that position."""
        return read_log(page_through(partial(self.log_page, after=after)))

    def finished(self, count: int = 20, *, after: str | None = None) -> list[Logged]:
        """Read the newest finished transfers, newest first; what cannot be read is left out."""
        entries = read_log(page_through(partial(self.log_page, after=after), min(2 * count, PAGE)))
        return list(islice((entry for entry in entries if isinstance(entry, Logged)), count))

    def targets(self) -> dict[str, bytes]:
        """Read all targets as JSON, by name."""
        ...

    def target(self, name: str) -> bytes | None:
        """Read one target as JSON; None when there is none."""
        ...

    def put_target(self, name: str, data: bytes) -> None:
        """Keep a target, replacing one of this name; what its last probe has found is forgotten."""
        ...

    def remove_target(self, name: str) -> bool:
        """Delete a target, and what its last probe has found; False when there was none."""
        ...

    def trunk(self, name: str) -> bytes | None:
        """Read what was learned of a trunk, as JSON; None when nothing was."""
        ...

    def trunks(self) -> dict[str, bytes]:
        """Read what was learned of all trunks, by name."""
        ...

    def learn_trunk(self, name: str, data: bytes) -> None:
        """Keep what was learned of a trunk, in the place of what was known before."""
        ...

    def forget_trunk(self, name: str) -> bool:
        """Forget what was learned of a trunk; False when nothing was."""
        ...

    def users(self) -> dict[str, bytes]:
        """Read all users as JSON, by name."""
        ...

    def put_user(self, name: str, data: bytes) -> None:
        """Keep a user, replacing one of this name."""
        ...

    def remove_user(self, name: str) -> bool:
        """Delete a user, and what is known of its phones; False when there was none."""
        ...

    def login(self, name: str) -> tuple[bytes, bytes | None]:
        """Read the key that all nodes make nonces with, and a user as JSON; None when there is none."""
        ...

    def keep_contacts(self, name: str, node: str, contacts: Mapping[str, bytes], ttl: int) -> None:
        """Keep the phones (JSON by URI) of a user that are registered at a node, for `ttl` seconds at most."""
        ...

    def drop_contact(self, name: str, node: str, uri: str) -> None:
        """Forget one phone of a user that was registered at a node."""
        ...

    def reach(self, name: str) -> tuple[bool, list[bytes]]:
        """Say whether there is a user of this name, and read its phones as JSON."""
        ...

    def contacts(self, names: Sequence[str]) -> dict[str, list[bytes]]:
        """Read the phones of users as JSON, by name."""
        ...

    def beat(self, node: str, info: Mapping[str, Any]) -> None:
        """Say that `node` is alive, for the next ten seconds."""
        ...

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Read what the nodes alive said of themselves, by name."""
        ...

    def beat_sidecar(self, node: str, info: Mapping[str, Any]) -> None:
        """Say that the sidecar of `node` is alive, for the next ten seconds; it may outlive the node."""
        ...

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """Read what the sidecars alive said of themselves, by the names of their nodes."""
        ...

    def ping(self) -> float:
        """Measure one request, in seconds."""
        ...

    def close(self) -> None:
        """Give up the connection; the next call opens it again."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
