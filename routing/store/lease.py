"""A lease: the right to be the only one who changes a call, for two seconds at most.

A holder that dies gives nobody trouble: the lease ends by itself, and whoever waited gets it. A holder that was
too slow cannot do harm either: its save is refused with LeaseLost.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol, Self

from routing.records import BadRecordError
from routing.store.errors import CallBusy, CallUnknown, LeaseLost, StoreUnavailable
from routing.store.layout import is_fresh, is_plain, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from routing.heard import Heard
    from routing.records import Call
    from routing.stages import Reached
    from routing.transfer_record import Transfer

    News = Transfer | Heard | Reached
    """What is logged with a call, in the same request."""

LEASE_TTL = 2.0
"""Seconds after which a lease ends by itself."""

_PATIENCE = 0.25
"""Seconds that one waits beyond the TTL, so that a dead holder's lease surely ends meanwhile."""
_FIRST_NAP, _LONGEST_NAP = 0.001, 0.010


class Busy:
    """Says that another one holds the lease."""


BUSY: Final = Busy()


class Keeper(Protocol):
    """What a store must be able to do to grant leases; each is one atomic request."""

    def acquire(self, call_id: str, token: str, *, forget_if_plain: bool) -> bytes | Busy | None:
        """Take the lease and read the record; None when there is no such call."""
        ...

    def write(self, token: str, owner: str, call: Call, *, keep: bool, news: tuple[News, ...]) -> bool:
        """Save the call if the token holds; `owner` is the node that the stored record names. False: it does not."""
        ...

    def erase(self, token: str, owner: str, call_id: str, news: tuple[News, ...]) -> bool:
        """Delete the call if the token holds; False when it does not."""
        ...

    def unlock(self, token: str, call_id: str) -> None:
        """Give the lease up if the token holds."""
        ...


class Lease:
    """A call that only we may change, until it is saved, forgotten or released.

    As a context manager it releases what is still held at the end, so that nobody waits for an event that failed.
    """

    __slots__ = ("_call", "_held", "_keeper", "_owner", "forgotten", "fresh", "read", "token")

    def __init__(self, keeper: Keeper, read: Callable[[], Call], token: str, *, forgotten: bool, fresh: bool) -> None:
        self.token = token
        self.forgotten = forgotten
        """The call was plain and is deleted already: nothing is left to save."""
        self.fresh = fresh
        """Nothing had happened to the call since it was answered."""
        self.read = read
        self._keeper = keeper
        self._call: Call | None = None
        self._owner = ""
        self._held = not forgotten

    @property
    def call(self) -> Call:
        """The call; read when it is first asked for, since not everyone needs to. Raises BadRecordError."""
        if self._call is None:
            self._call = self.read()
            self._owner = self._call.node
        return self._call

    def save(
        self,
        call: Call,
        *,
        keep: bool = False,
        finished: tuple[Transfer, ...] = (),
        stages: tuple[Reached, ...] = (),
    ) -> None:
        """Write the call with its deadline, log what finished, and give the lease up unless it is to `keep`.

        The stages that transfers have reached are kept for webhooks.

        Raises LeaseLost when the lease had ended: then nothing of the call was written.
        """
        self._must_hold()
        if not self._keeper.write(self.token, self._owner, call, keep=keep, news=(*stages, *finished)):
            self._held = False
            raise LeaseLost(call.id)
        self._call = call
        self._owner = call.node
        self._held = keep

    def forget(self, finished: tuple[Transfer, ...] = (), stages: tuple[Reached, ...] = ()) -> None:
        """Delete the call with its deadline and the lease; raises LeaseLost like `save`."""
        self._must_hold()
        self._held = False
        if not self._keeper.erase(self.token, self._owner, self.call.id, (*stages, *finished)):
            raise LeaseLost(self.call.id)

    def release(self) -> None:
        """Give the lease up and change nothing; does nothing when it is not held any more."""
        if self._held:
            self.abandon(self.call.id)

    def abandon(self, call_id: str) -> None:
        """Give the lease up of a call that may be unreadable."""
        if self._held:
            self._held = False
            self._keeper.unlock(self.token, call_id)

    def _must_hold(self) -> None:
        if not self._held:
            raise LeaseLost(self.call.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # When Redis is away, the next event of this call waits until the lease ends by itself.
        with contextlib.suppress(StoreUnavailable):
            self.release()


def take(
    keeper: Keeper,
    call_id: str,
    token: str,
    *,
    forget_if_plain: bool,
    ttl: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Wait for a call's lease, at most a little over its TTL; raises CallUnknown, CallBusy and BadRecordError."""
    data = keeper.acquire(call_id, token, forget_if_plain=forget_if_plain)
    if isinstance(data, Busy):
        until = clock() + ttl + _PATIENCE
        nap = _FIRST_NAP
        while isinstance(data, Busy):
            if clock() >= until:
                raise CallBusy(call_id)
            sleep(nap)
            nap = min(nap * 1.5, _LONGEST_NAP)
            data = keeper.acquire(call_id, token, forget_if_plain=forget_if_plain)
    if data is None:
        raise CallUnknown(call_id)
    record = data
    forgotten = forget_if_plain and is_plain(record)
    lease = Lease(keeper, lambda: unpack(call_id, record), token, forgotten=forgotten, fresh=is_fresh(record))
    if not (forgotten and lease.fresh):
        try:
            _ = lease.call
        except BadRecordError:
            lease.abandon(call_id)
            raise
    return lease
