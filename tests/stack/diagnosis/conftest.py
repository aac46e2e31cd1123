"""One stack for all of these tests, and a call for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.diagnosis.shown import staged, talking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.diagnosis.shown import Stage
    from tests.stack.talk import Talk


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("diagnosis")) as stage:
        yield stage


@pytest.fixture
def talk(stage: Stage) -> Iterator[Talk]:
    with talking(stage) as talk:
        yield talk
