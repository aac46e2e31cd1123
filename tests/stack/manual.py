"""The examples of the manual for operators, to be played as they are written there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import handoff
from tests.stack.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack.system import System

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Example:
    """One section of deploy/README.md; in what it gives, `places` are put where the manual has its examples."""

    def __init__(self, heading: str, places: Mapping[str, str]) -> None:
        text = (ROOT / "deploy/README.md").read_text()
        section = text.split(f"\n### {heading}\n", 1)[1].partition("\n### ")[0]
        self._blocks = FENCE.findall(section)
        self._places = places

    def blocks(self, kind: str) -> list[str]:
        """Give the texts of all blocks of a kind."""
        return [self.placed(body) for found, body in self._blocks if found == kind]

    def block(self, kind: str) -> str:
        """Give the text of the one block of a kind."""
        (text,) = self.blocks(kind)
        return text

    def type_in(self, system: System) -> None:
        """Run the commands of handoff that it has, as its reader would."""
        lines = [line for block in self.blocks("sh") for line in block.splitlines() if line.startswith("handoff ")]
        env = {"HANDOFF_SETTINGS": str(system.folder / "settings.json")}
        for line in lines:
            done = CliRunner().invoke(handoff, shlex.split(line)[1:], env=env, input="secret\n")
            assert done.exit_code == 0, done.output

    def placed(self, text: str) -> str:
        """Give a text with the places of the test."""
        for example, place in self._places.items():
            text = text.replace(example, place)
        return text
