"""A Redis server of the tests' own, and records to keep in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

from redis import Redis

from routing.dialog import Dialog
from routing.outcomes import Mode, Outcome
from routing.records import SCHEMA, Call, Deadline, State
from routing.store import StoreUnavailable
from routing.transfer_record import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from routing.store import Due

READY = b"ready to accept connections"


class RedisServer:
    """A redis-server on a unix socket in a folder; it can be stopped, frozen and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.path = str(folder / "redis.sock")
        self.url = f"unix://{self.path}"
        where = ["--unixsocket", self.path, "--dir", str(folder), "--port", "0"]
        self._command = ["redis-server", *where, "--save", "", *options]
        self._client = Redis(unix_socket_path=self.path)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:  # the R is a capital since Redis 7.2
            lines.append(line)
            if READY in line.lower():
                break
        assert READY in lines[-1].lower(), b"".join(lines).decode()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | bytes | int) -> Any:
        return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self.stop()


def a_dialog(name: str) -> Dialog:
    return Dialog(
        call_id=f"{name}@phone.example.com",
        local="<sip:+4930123456@handoff.example.com>",
        local_tag=f"local-{name}",
        remote=f"<sip:{name}@example.com>",
        remote_tag=f"remote-{name}",
        remote_target=f"sip:{name}@192.0.2.7:5060",
        routes=("<sip:proxy.example.com;lr>",),
    )


def a_call(call_id: str = "00000000000000aa", **changes: Any) -> Call:
    values: dict[str, Any] = {
        "schema_version": SCHEMA,
        "id": call_id,
        "node": "node1",
        "media_node": "media1",
        "pool": "sales",
        "may_refer": True,
        "created_at": 1000.0,
        "caller": a_dialog("alice"),
        "agent": a_dialog("robot"),
        "deadlines": {Deadline.CHECK: 1060.0},
    }
    return Call(**(values | changes))


def ringing(call: Call) -> Call:
    return call.model_copy(update={"state": State.RINGING, "deadlines": {Deadline.RING: 1030.0}})


def a_transfer(transfer_id: str, **changes: Any) -> Transfer:
    values: dict[str, Any] = {
        "id": transfer_id,
        "target": "support",
        "mode": Mode.BLIND,
        "source": "refer",
        "endpoints": ({"uri": "sip:bob@example.com", "ring_timeout": 30.0},),
        "sender": "<sip:alice@example.com>",
        "requested_at": 1010.0,
        "outcome": Outcome.BUSY,
    }
    return Transfer(**(values | changes))


def ids(found: Iterable[Due]) -> list[str]:
    return [due.call_id for due in found]


def until_it_works(operation: Callable[[], object]) -> None:
    give_up = time.monotonic() + 5
    while True:
        try:
            operation()
        except StoreUnavailable:
            assert time.monotonic() < give_up
            time.sleep(0.01)  # a Redis that comes back tells nobody
        else:
            return
