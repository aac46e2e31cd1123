"""Lines that threads and processes write, to be waited for."""

from __future__ import annotations

import threading

PATIENCE = 20.0


class Lines:
    """Collects lines; `say` is what supervisors and stacks are given."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()

    def say(self, source: str, line: str) -> None:
        self.add(f"{source}: {line}")

    def add(self, line: str) -> None:
        with self._news:
            self._lines.append(line)
            self._news.notify_all()

    @property
    def all(self) -> list[str]:
        with self._news:
            return list(self._lines)

    def expect(self, text: str, times: int = 1) -> str:
        """Wait until so many lines have `text` in them; give the last of those."""
        with self._news:
            found = self._news.wait_for(lambda: self._with(text)[times - 1 :], PATIENCE)
            assert found, f"{text!r} did not come {times} times, but:\n" + "\n".join(self._lines)
            return found[0]

    def _with(self, text: str) -> list[str]:
        return [line for line in self._lines if text in line]
