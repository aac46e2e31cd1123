"""An operator for tests: types commands, against a Redis of the tests' own."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from click.testing import CliRunner, Result
from redis import Redis

from cli.main import handoff
from routing.store import layout, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from routing.store import Store
    from tests.routing.store_help import RedisServer

POOL = {"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:agent@127.0.0.1:5099"}]}


@dataclass
class Operator:
    """Types commands; each result is checked never to be a traceback."""

    url: str
    folder: Path

    def types(self, *words: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(handoff, words, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        return result

    def reads(self, *words: str) -> Any:
        """Type a command with --json that succeeds, and read what it writes."""
        result = self.types(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def fails(self, code: int, *words: str) -> str:
        """Type a command that fails with this code, and give its error."""
        result = self.types(*words)
        assert result.exit_code == code, result.output
        return result.stderr

    def store(self) -> Store:
        return open_store(self.url, deadline=5.0)

    def writes_settings(self, **sections: Any) -> None:
        """Write the effective settings as the running handoff does."""
        data = {"node": {"id": "node1"}, "redis": {"url": self.url}, "pools": [POOL], **sections}
        (self.folder / "settings.json").write_text(json.dumps(data))


class Node:
    """A node that answers each command with what `obey` gives, until it is left.

    It has a client of its own: the store is for one thread of each process.
    """

    def __init__(
        self, redis: RedisServer, obey: Callable[[dict[str, Any]], dict[str, Any]], name: str = "node1"
    ) -> None:
        self._client = Redis(unix_socket_path=redis.path)
        self._obey = obey
        self._key = layout.commands_key(name)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.commands: list[dict[str, Any]] = []

    def _run(self) -> None:
        while not self._stop.is_set():
            taken: Any = self._client.blpop([self._key], timeout=0.1)
            if taken is not None:
                command = json.loads(taken[1])
                self.commands.append(command)
                self._client.rpush(layout.answer_key(command["id"]), json.dumps(self._obey(command)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()
