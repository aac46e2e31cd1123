"""Agents that answer OPTIONS and those that do not, as the node tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kemi.agents import SILENT, agents_up, note_agent
from routing.settings import make_settings

if TYPE_CHECKING:
    from tests.fake_ksr import FakeKsr

ONE, OTHER = "sip:one@127.0.0.1", "sip:other@127.0.0.1"


def test_an_agent_is_up_unless_it_was_noted_to_be_silent(ksr: FakeKsr) -> None:
    silent: list[object] = []

    def put(_: object, uri: object, __: object) -> int:
        silent.append(uri)
        return 1

    def remove(_: object, uri: object) -> int:
        silent.remove(uri)
        return 1

    ksr.on("htable.sht_sets", does=put)
    ksr.on("htable.sht_rm", does=remove)
    ksr.on("htable.sht_get", does=lambda table, uri: "1" if table == SILENT and uri in silent else None)
    pool = {"name": "sales", "numbers": ["*"], "agents": [{"uri": ONE}, {"uri": OTHER}]}
    settings = make_settings({"pools": [pool]})
    assert agents_up(settings) == {"sales": {ONE: True, OTHER: True}}
    note_agent(ONE, up=False)
    assert agents_up(settings) == {"sales": {ONE: False, OTHER: True}}
    note_agent(ONE, up=True)
    assert agents_up(settings) == {"sales": {ONE: True, OTHER: True}}
