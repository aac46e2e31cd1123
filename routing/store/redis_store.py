"""The store kept in Redis: one blocking connection per process, and one request for almost everything."""

# ruff: noqa: D102  # Store says what each does.

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from routing.stages import Reached
from routing.store import layout, scripts
from routing.store.errors import CallUnknown
from routing.store.lease import BUSY, LEASE_TTL, Busy, Lease, take
from routing.store.link import Link, Observer, call_script
from routing.store.log import PAGE, Row, kind_of, row_of, to_row
from routing.store.protocol import Due, Store, Tick
from routing.store.redis_endpoints import RedisEndpoints
from routing.store.redis_webhooks import RedisWebhooks
from routing.store.target_probes import RedisTargetProbes, forgetting
from routing.store.webhooks import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from routing.heard import Heard
    from routing.records import BadRecordError, Call
    from routing.store.lease import News
    from routing.store.server import Command

_PAGE = 100
_BLPOP_LATE = 0.2
"""Seconds by which Redis may be late to say that BLPOP waited in vain: it looks ten times a second."""


def open_store(url: str, *, deadline: float = 0.1, observer: Observer | None = None) -> RedisStore:
    """Open the store at a unix://, redis:// or rediss:// URL; connects when it is first used.

    No request blocks longer than `deadline` seconds; raises ValueError for a URL that is none.
    """
    return RedisStore(url, deadline=deadline, observer=observer)


class RedisStore(RedisEndpoints, RedisWebhooks, RedisTargetProbes, Store):
    """`Store` over one connection; for one thread of each process, and it may be carried over a fork."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = 0.1,
        lease_ttl: float = LEASE_TTL,
        rest: float = 1.0,
        observer: Observer | None = None,
    ) -> None:
        self._link = Link(url, deadline=deadline, rest=rest, observer=observer)
        self._run = self._link.run
        self._lease_ttl = lease_ttl
        self._lease_ms = int(lease_ttl * 1000)

    # Calls

    def create(self, call: Call) -> None:
        member = layout.member(call.id, call.node)
        self._run("create", call_script(scripts.CREATE, call.id, layout.pack(call), _score(call), member))

    def lease(self, call_id: str, *, forget_if_plain: bool = False) -> Lease:
        token = os.urandom(8).hex()
        return take(self, call_id, token, forget_if_plain=forget_if_plain, ttl=self._lease_ttl)

    def peek(self, call_id: str) -> Call:
        data = self._run("peek", ("GET", layout.keys(call_id)[0]))[0]
        if data is None:
            raise CallUnknown(call_id)
        return layout.unpack(call_id, data)

    def calls(self) -> Iterator[Call | BadRecordError]:
        shards = self._run("calls", *(("ZRANGE", key, 0, -1) for key in layout.DEADLINES))
        for prefix, members in zip(layout.CALLS, shards, strict=True):
            ids = [member.decode().partition("@")[0] for member in members]
            for first in range(0, len(ids), _PAGE):
                page = ids[first : first + _PAGE]
                records = self._run("calls", ("MGET", *(prefix + call_id for call_id in page)))[0]
                for call_id, data in zip(page, records, strict=True):
                    if data is not None:
                        yield layout.read(call_id, data)

    # What a lease needs, see lease.Keeper

    def acquire(self, call_id: str, token: str, *, forget_if_plain: bool) -> bytes | Busy | None:
        """Take the lease and read the record."""
        flag = "1" if forget_if_plain else "0"
        script = call_script(scripts.LEASE, call_id, token, self._lease_ms, call_id, flag)
        reply: bytes | int | None = self._run("lease", script)[0]
        return BUSY if isinstance(reply, int) else reply

    def write(self, token: str, owner: str, call: Call, *, keep: bool, news: tuple[News, ...]) -> bool:
        """Save the call if the token holds."""
        members = layout.member(call.id, call.node), layout.member(call.id, owner)
        ttl = self._lease_ms if keep else 0
        script = call_script(scripts.SAVE, call.id, token, layout.pack(call), _score(call), *members, ttl)
        return bool(self._run("save", script, *_log(call.id, news))[0])

    def erase(self, token: str, owner: str, call_id: str, news: tuple[News, ...]) -> bool:
        """Delete the call if the token holds."""
        script = call_script(scripts.FORGET, call_id, token, layout.member(call_id, owner))
        return bool(self._run("forget", script, *_log(call_id, news))[0])

    def unlock(self, token: str, call_id: str) -> None:
        """Give the lease up if the token holds."""
        self._run("release", call_script(scripts.RELEASE, call_id, token))

    # Deadlines and commands

    def due(self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0) -> list[Due]:
        return _found(self._run("due", *_due(now, node, ahead, grace)))

    def tick(
        self, now: float, node: str, *, ahead: float = 0.0, grace: float = 2.0, heard: Mapping[str, Heard] | None = None
    ) -> Tick:
        logged = [row for call_id, found in (heard or {}).items() for row in _log(call_id, (found,))]
        take = ("LPOP", layout.commands_key(node), 20)
        *shards, commands = self._run("tick", *logged, *_due(now, node, ahead, grace), take)[len(logged) :]
        return Tick(_found(shards), layout.objects(commands or ()))

    def send_command(self, node: str, command: Mapping[str, Any]) -> None:
        self._leave("send_command", layout.commands_key(node), command)

    def take_commands(self, node: str, limit: int = 20) -> list[dict[str, Any]]:
        return layout.objects(self._run("take_commands", ("LPOP", layout.commands_key(node), limit))[0] or ())

    def answer_command(self, command_id: str, answer: Mapping[str, Any]) -> None:
        self._leave("answer_command", layout.answer_key(command_id), answer)

    def await_answer(self, command_id: str, timeout: float) -> dict[str, Any] | None:
        return self._await("await_answer", layout.answer_key(command_id), timeout)

    def ask_speech(self, node: str, requests: Sequence[Mapping[str, Any]]) -> None:
        if requests:
            key = layout.speech_key(node)
            self._run(
                "ask_speech",
                ("RPUSH", key, *map(json.dumps, requests)),
                ("LTRIM", key, -layout.SPEECH_LENGTH, -1),
                ("EXPIRE", key, layout.MESSAGE_TTL),
            )

    def take_speech(self, node: str, timeout: float) -> dict[str, Any] | None:
        return self._await("take_speech", layout.speech_key(node), timeout)

    def _await(self, operation: str, key: str, timeout: float) -> dict[str, Any] | None:
        wait = max(timeout, 0.001)  # BLPOP takes 0 for ever.
        reply = self._run(operation, ("BLPOP", key, wait), extra=wait + _BLPOP_LATE)[0]
        return next(iter(layout.objects(reply[1:])), None) if reply else None

    def _leave(self, operation: str, key: str, value: Mapping[str, Any]) -> None:
        self._run(operation, ("RPUSH", key, json.dumps(value)), ("EXPIRE", key, layout.MESSAGE_TTL))

    # Call log, targets, nodes

    def log_page(self, before: str | None = None, count: int = PAGE, *, after: str | None = None) -> list[Row]:
        until = "+" if before is None else f"({before}"
        since = "-" if after is None else f"({after}"
        rows = self._run("log_page", ("XREVRANGE", layout.LOG, until, since, "COUNT", count))[0]
        return [row_of(position, fields) for position, fields in rows]

    def targets(self) -> dict[str, bytes]:
        return self._all("targets", layout.TARGETS)

    def target(self, name: str) -> bytes | None:
        return self._one("target", layout.TARGETS, name)

    def put_target(self, name: str, data: bytes) -> None:
        self._run("put_target", ("HSET", layout.TARGETS, name, data), *forgetting(name))

    def remove_target(self, name: str) -> bool:
        return bool(self._run("remove_target", ("HDEL", layout.TARGETS, name), *forgetting(name))[0])

    def trunk(self, name: str) -> bytes | None:
        return self._one("trunk", layout.TRUNKS, name)

    def trunks(self) -> dict[str, bytes]:
        return self._all("trunks", layout.TRUNKS)

    def learn_trunk(self, name: str, data: bytes) -> None:
        self._run("learn_trunk", ("HSET", layout.TRUNKS, name, data))

    def forget_trunk(self, name: str) -> bool:
        return bool(self._run("forget_trunk", ("HDEL", layout.TRUNKS, name))[0])

    def _all(self, operation: str, key: str) -> dict[str, bytes]:
        flat = self._run(operation, ("HGETALL", key))[0]
        return {name.decode(): data for name, data in zip(flat[::2], flat[1::2], strict=True)}

    def _one(self, operation: str, key: str, name: str) -> bytes | None:
        data: bytes | None = self._run(operation, ("HGET", key, name))[0]
        return data

    # Users

    def users(self) -> dict[str, bytes]:
        flat = self._run("users", ("HGETALL", layout.USERS))[0]
        return {name.decode(): data for name, data in zip(flat[::2], flat[1::2], strict=True)}

    def put_user(self, name: str, data: bytes) -> None:
        self._run("put_user", ("HSET", layout.USERS, name, data))

    def remove_user(self, name: str) -> bool:
        replies = self._run("remove_user", ("HDEL", layout.USERS, name), ("DEL", layout.contacts_key(name)))
        return bool(replies[0])

    def login(self, name: str) -> tuple[bytes, bytes | None]:
        new = ("SET", layout.NONCE_KEY, os.urandom(32), "NX")
        replies = self._run("login", new, ("GET", layout.NONCE_KEY), ("HGET", layout.USERS, name))
        return replies[1], replies[2]

    def keep_contacts(self, name: str, node: str, contacts: Mapping[str, bytes], ttl: int) -> None:
        pairs = [part for uri, data in contacts.items() for part in (layout.contact_field(node, uri), data)]
        script = scripts.KEEP_CONTACTS.sha
        self._run("keep_contacts", ("EVALSHA", script, 1, layout.contacts_key(name), f"{node} ", ttl, *pairs))

    def drop_contact(self, name: str, node: str, uri: str) -> None:
        self._run("drop_contact", ("HDEL", layout.contacts_key(name), layout.contact_field(node, uri)))

    def reach(self, name: str) -> tuple[bool, list[bytes]]:
        there, contacts = self._run("reach", ("HEXISTS", layout.USERS, name), ("HVALS", layout.contacts_key(name)))
        return bool(there), contacts

    def contacts(self, names: Sequence[str]) -> dict[str, list[bytes]]:
        replies = self._run("contacts", *(("HVALS", layout.contacts_key(name)) for name in names)) if names else []
        return dict(zip(names, replies, strict=True))

    def beat(self, node: str, info: Mapping[str, Any]) -> None:
        self._beat("beat", layout.node_key(node), layout.NODES, node, info)

    def nodes(self) -> dict[str, dict[str, Any]]:
        return self._alive("nodes", layout.NODES, layout.node_key)

    def beat_sidecar(self, node: str, info: Mapping[str, Any]) -> None:
        self._beat("beat_sidecar", layout.sidecar_key(node), layout.SIDECARS, node, info)

    def sidecars(self) -> dict[str, dict[str, Any]]:
        return self._alive("sidecars", layout.SIDECARS, layout.sidecar_key)

    def _beat(self, operation: str, key: str, members: str, name: str, info: Mapping[str, Any]) -> None:
        said = ("SET", key, json.dumps(info), "EX", layout.BEAT_TTL)
        self._run(operation, said, ("SADD", members, name), ("EXPIRE", members, layout.NODES_TTL))

    def _alive(self, operation: str, members: str, key: Callable[[str], str]) -> dict[str, dict[str, Any]]:
        names = sorted(name.decode() for name in self._run(operation, ("SMEMBERS", members))[0])
        beats = self._run(operation, *(("GET", key(name)) for name in names)) if names else []
        return {name: json.loads(beat) for name, beat in zip(names, beats, strict=True) if beat is not None}

    def ping(self) -> float:
        return self._link.measure()

    def close(self) -> None:
        self._link.close()


def _score(call: Call) -> str:
    """Give the time that orders a call; one that waits for nothing comes last, for it is still one of the calls."""
    return "+inf" if call.next_deadline is None else repr(call.next_deadline)


def _log(call_id: str, news: Iterable[News]) -> Iterator[Command]:
    for value in news:
        if isinstance(value, Reached):
            trim = ("MAXLEN", "~", layout.STAGES_LENGTH)
            yield ("XADD", layout.STAGES, *trim, "*", "call", call_id, value.stage, to_row(value.transfer))
            yield ("EXPIRE", layout.STAGES, KEPT)
        else:
            trim = ("MAXLEN", "~", layout.LOG_LENGTH)
            yield ("XADD", layout.LOG, *trim, "*", "call", call_id, kind_of(value), to_row(value))


_DUE: tuple[Command, ...] = tuple(
    ("EVALSHA", scripts.DUE.sha, 2, *keys) for keys in zip(layout.DEADLINES, layout.CALLS, strict=True)
)


def _due(now: float, node: str, ahead: float, grace: float) -> Iterator[Command]:
    arguments = (repr(now), node, repr(ahead), repr(grace))
    return ((*command, *arguments) for command in _DUE)


def _found(shards: list[list[bytes]]) -> list[Due]:
    pairs = (pair for shard in shards for pair in zip(shard[::2], shard[1::2], strict=True))
    return [Due(float(at), call_id.decode()) for call_id, at in pairs]
