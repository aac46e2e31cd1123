"""A node that is about to end: new calls and keepalives are refused, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli import paths
from kemi import drain
from kemi.message import SipError

if TYPE_CHECKING:
    from pathlib import Path


def test_while_the_file_is_there_what_is_new_is_refused(tmp_path: Path) -> None:
    file = tmp_path / drain.DRAINING
    drain.Drain(file).refuse()
    file.touch()
    with pytest.raises(SipError) as refused:
        drain.Drain(file).refuse()
    assert (refused.value.status, refused.value.retry_after) == (503, drain.RETRY_AFTER)
    file.unlink()
    drain.Drain(file).refuse()


def test_it_is_the_file_that_up_makes() -> None:
    assert drain.DRAINING == paths.DRAINING
