"""The store in the memory of one process: for tests of everything above it, and the contract that Redis must match."""

# ruff: noqa: D102  # Store says what each does.

from __future__ import annotations

import itertools
import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

from routing.stages import Reached
from routing.store import layout
from routing.store.errors import CallUnknown
from routing.store.lease import BUSY, LEASE_TTL, Busy, Lease, take
from routing.store.log import PAGE, Row, kind_of, to_row
from routing.store.memory_endpoints import MemoryEndpoints
from routing.store.memory_webhooks import MemoryWebhooks
from routing.store.protocol import Due, Store, Tick
from routing.store.target_probes import MemoryTargetProbes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from routing.heard import Heard
    from routing.records import BadRecordError, Call
    from routing.store.lease import News


class MemoryStore(MemoryEndpoints, MemoryWebhooks, MemoryTargetProbes, Store):
    """`Store` without Redis; leases and beats end by `clock`, and waiting is done by `sleep`."""

    def __init__(
        self,
        *,
        lease_ttl: float = LEASE_TTL,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self._lease_ttl = lease_ttl
        self._clock = clock
        self._sleep = sleep
        self._serial = itertools.count(1)
        self.records: dict[str, bytes] = {}
        """The records as they are stored, by call id; tests may spoil them."""
        self._deadlines: dict[str, tuple[float, str]] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._commands: dict[str, list[str]] = {}
        self._answers: dict[str, str] = {}
        self._speech: dict[str, list[str]] = {}
        self.rows: list[Row] = []
        """The call log, oldest first; tests may spoil it."""
        self._targets: dict[str, bytes] = {}
        self._trunks: dict[str, bytes] = {}
        self._users: dict[str, bytes] = {}
        self._contacts: dict[str, dict[str, tuple[float, bytes]]] = {}
        self._nonce_key = os.urandom(32)
        self._beats: dict[str, tuple[float, str]] = {}
        self._sidecar_beats: dict[str, tuple[float, str]] = {}

    # Calls

    def create(self, call: Call) -> None:
        if call.id not in self.records:
            self._put(call)

    def lease(self, call_id: str, *, forget_if_plain: bool = False) -> Lease:
        return take(
            self,
            call_id,
            str(next(self._serial)),
            forget_if_plain=forget_if_plain,
            ttl=self._lease_ttl,
            clock=self._clock,
            sleep=self._sleep,
        )

    def peek(self, call_id: str) -> Call:
        if call_id not in self.records:
            raise CallUnknown(call_id)
        return layout.unpack(call_id, self.records[call_id])

    def calls(self) -> Iterator[Call | BadRecordError]:
        for call_id, data in list(self.records.items()):
            yield layout.read(call_id, data)

    def _put(self, call: Call) -> None:
        self.records[call.id] = layout.pack(call)
        deadline = call.next_deadline
        self._deadlines[call.id] = (math.inf if deadline is None else deadline, call.node)

    # What a lease needs, see lease.Keeper

    def acquire(self, call_id: str, token: str, *, forget_if_plain: bool) -> bytes | Busy | None:
        """Take the lease and read the record."""
        if self._holder(call_id) is not None:
            return BUSY
        data = self.records.get(call_id)
        if data is None:
            return None
        if forget_if_plain and layout.is_plain(data):
            self._drop(call_id)
        else:
            self._leases[call_id] = (token, self._clock() + self._lease_ttl)
        return data

    def write(self, token: str, owner: str, call: Call, *, keep: bool, news: tuple[News, ...]) -> bool:
        """Save the call if the token holds."""
        del owner  # Here the deadlines go by the call's id alone.
        self._append(call.id, news)
        if self._holder(call.id) != token:
            return False
        self._put(call)
        if keep:
            self._leases[call.id] = (token, self._clock() + self._lease_ttl)
        else:
            del self._leases[call.id]
        return True

    def erase(self, token: str, owner: str, call_id: str, news: tuple[News, ...]) -> bool:
        """Delete the call if the token holds."""
        del owner
        self._append(call_id, news)
        if self._holder(call_id) != token:
            return call_id not in self.records
        self._drop(call_id)
        return True

    def unlock(self, token: str, call_id: str) -> None:
        """Give the lease up if the token holds."""
        if self._holder(call_id) == token:
            del self._leases[call_id]

    def _holder(self, call_id: str) -> str | None:
        token, until = self._leases.get(call_id, (None, 0.0))
        return token if self._clock() < until else None

    def _drop(self, call_id: str) -> None:
        del self.records[call_id]
        self._deadlines.pop(call_id, None)
        self._leases.pop(call_id, None)

    def _append(self, call_id: str, news: Iterable[News]) -> None:
        for value in news:
            position = f"{next(self._serial)}-0"
            if isinstance(value, Reached):
                self.stages.append(Row(position, call_id, value.stage, to_row(value.transfer)))
            else:
                self.rows.append(Row(position, call_id, kind_of(value), to_row(value)))

    # Deadlines and commands

    def due(self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0) -> list[Due]:
        found = []
        for call_id, (deadline, owner) in sorted(self._deadlines.items(), key=lambda item: item[1]):
            if deadline <= (now + ahead if owner == node else now - grace):
                if call_id in self.records:
                    found.append(Due(deadline, call_id))
                    self._deadlines[call_id] = (now + layout.DUE_RETRY, owner)
                else:
                    del self._deadlines[call_id]
        return found

    def tick(
        self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0, heard: Mapping[str, Heard] | None = None
    ) -> Tick:
        for call_id, found in (heard or {}).items():
            self._append(call_id, (found,))
        return Tick(self.due(now, node, ahead=ahead, grace=grace), self.take_commands(node))

    def send_command(self, node: str, command: Mapping[str, Any]) -> None:
        self._commands.setdefault(node, []).append(json.dumps(command))

    def take_commands(self, node: str, limit: int = 20) -> list[dict[str, Any]]:
        waiting = self._commands.pop(node, [])
        self._commands[node] = waiting[limit:]
        return layout.objects(waiting[:limit])

    def answer_command(self, command_id: str, answer: Mapping[str, Any]) -> None:
        self._answers[command_id] = json.dumps(answer)

    def await_answer(self, command_id: str, timeout: float) -> dict[str, Any] | None:  # noqa: ARG002
        answer = self._answers.pop(command_id, None)  # Nobody could answer while we wait: one process, one thread.
        return None if answer is None else next(iter(layout.objects([answer])), None)

    def ask_speech(self, node: str, requests: Sequence[Mapping[str, Any]]) -> None:
        waiting = [*self._speech.get(node, []), *map(json.dumps, requests)]
        self._speech[node] = waiting[-layout.SPEECH_LENGTH :]

    def take_speech(self, node: str, timeout: float) -> dict[str, Any] | None:  # noqa: ARG002
        waiting = self._speech.get(node)
        return next(iter(layout.objects([waiting.pop(0)])), None) if waiting else None

    # Call log, targets, nodes

    def log_page(self, before: str | None = None, count: int = PAGE, *, after: str | None = None) -> list[Row]:
        since, until = _place(after) or 0, _place(before) or math.inf
        return [row for row in reversed(self.rows) if since < (_place(row.position) or 0) < until][:count]

    def targets(self) -> dict[str, bytes]:
        return dict(self._targets)

    def target(self, name: str) -> bytes | None:
        return self._targets.get(name)

    def put_target(self, name: str, data: bytes) -> None:
        self._targets[name] = data
        self.drop_target_probes([name])

    def remove_target(self, name: str) -> bool:
        self.drop_target_probes([name])
        return self._targets.pop(name, None) is not None

    def trunk(self, name: str) -> bytes | None:
        return self._trunks.get(name)

    def trunks(self) -> dict[str, bytes]:
        return dict(self._trunks)

    def learn_trunk(self, name: str, data: bytes) -> None:
        self._trunks[name] = data

    def forget_trunk(self, name: str) -> bool:
        return self._trunks.pop(name, None) is not None

    # Users

    def users(self) -> dict[str, bytes]:
        return dict(self._users)

    def put_user(self, name: str, data: bytes) -> None:
        self._users[name] = data

    def remove_user(self, name: str) -> bool:
        self._contacts.pop(name, None)
        return self._users.pop(name, None) is not None

    def login(self, name: str) -> tuple[bytes, bytes | None]:
        return self._nonce_key, self._users.get(name)

    def keep_contacts(self, name: str, node: str, contacts: Mapping[str, bytes], ttl: int) -> None:
        until, others = self._clock() + ttl, self._contacts.get(name, {})
        kept = {field: entry for field, entry in others.items() if not field.startswith(f"{node} ")}
        new = {layout.contact_field(node, uri): (until, data) for uri, data in contacts.items()}
        self._contacts[name] = kept | new

    def drop_contact(self, name: str, node: str, uri: str) -> None:
        self._contacts.get(name, {}).pop(layout.contact_field(node, uri), None)

    def reach(self, name: str) -> tuple[bool, list[bytes]]:
        return name in self._users, self.contacts([name])[name]

    def contacts(self, names: Sequence[str]) -> dict[str, list[bytes]]:
        now = self._clock()
        return {name: [data for until, data in self._contacts.get(name, {}).values() if now < until] for name in names}

    def beat(self, node: str, info: Mapping[str, Any]) -> None:
        self._beats[node] = (self._clock() + layout.BEAT_TTL, json.dumps(info))

    def nodes(self) -> dict[str, dict[str, Any]]:
        return self._alive(self._beats)

    def beat_sidecar(self, node: str, info: Mapping[str, Any]) -> None:
        self._sidecar_beats[node] = (self._clock() + layout.BEAT_TTL, json.dumps(info))

    def sidecars(self) -> dict[str, dict[str, Any]]:
        return self._alive(self._sidecar_beats)

    def _alive(self, beats: Mapping[str, tuple[float, str]]) -> dict[str, dict[str, Any]]:
        now = self._clock()
        return {name: json.loads(info) for name, (until, info) in sorted(beats.items()) if now < until}

    def ping(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


def _place(position: str | None) -> int | None:
    return None if position is None else int(position.partition("-")[0])
