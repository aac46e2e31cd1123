"""An operator for tests: types commands, against a Redis of the tests' own."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from click.testing import CliRunner, Result

from cli.main import handoff
from routing.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from routing.store import Store

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
    """A node that answers each command with what `obey` gives, until it is left."""

    def __init__(
        self, operator: Operator, obey: Callable[[dict[str, Any]], dict[str, Any]], name: str = "node1"
    ) -> None:
        self._store = operator.store()
        self._obey = obey
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.commands: list[dict[str, Any]] = []

    def _run(self) -> None:
        while not self._stop.wait(0.02):  # as the timer process: it looks often
            for command in self._store.take_commands(self._name):
                self.commands.append(command)
                self._store.answer_command(command["id"], self._obey(command))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._store.close()


def eventually(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Wait until a condition holds that nobody tells us of."""
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.02)
