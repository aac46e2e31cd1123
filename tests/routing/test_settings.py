"""handoff.toml is found and read, and answers what every call asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from routing.settings import Settings, SettingsError, load_settings
from routing.settings_model import Webhooks
from routing.stages import Stage
from tests.routing.settings_help import AGENTS, URL, made

if TYPE_CHECKING:
    from pydantic import BaseModel

EXAMPLE = Path(__file__).parents[2] / "deploy" / "handoff.toml"


def file_problem(path: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(path, {})
    (problem,) = refused.value.problems
    return str(problem)


def sections() -> dict[str, type[BaseModel]]:
    """The model of each section; that of its items where it is a list."""
    values = {name: getattr(made(), name) for name in Settings.model_fields}
    return {name: type(value[0] if isinstance(value, tuple) else value) for name, value in values.items()}


class TestExample:
    """The example that is shipped is complete and valid."""

    def test_the_example_loads(self) -> None:
        settings = load_settings(EXAMPLE, {})
        assert [pool.name for pool in settings.pools] == ["agents"]

    def test_what_the_example_gives_as_a_default_is_the_default(self) -> None:
        example, plain = load_settings(EXAMPLE, {}), made(node={"id": "node1"})
        assert example.model_copy(update={"pools": plain.pools}) == plain

    def test_the_example_names_every_setting(self) -> None:
        text = EXAMPLE.read_text()
        for section, model in sections().items():
            assert f"[{section}]" in text
            for name in model.model_fields:
                assert re.search(rf"^(# )?{name} = ", text, re.MULTILINE), f"{section}.{name}"

    def test_every_setting_is_described(self) -> None:
        for section, model in sections().items():
            for name, field in model.model_fields.items():
                assert field.description, f"{section}.{name}"


class TestReading:
    """The file is found, read and taken for what it is."""

    def test_the_file_is_the_given_one_or_that_of_the_environment_or_the_one_at_hand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("handoff.toml", "environment.toml", "given.toml"):
            text = f'node.id = "{name}"\npools = [{{name = "p", numbers = ["*"], agents = [{{uri = "sip:h"}}]}}]'
            Path(name).write_text(text)
        environ = {"HANDOFF_CONFIG": "environment.toml"}
        assert load_settings(None, {}).node.id == "handoff.toml"
        assert load_settings(None, environ).node.id == "environment.toml"
        assert load_settings(Path("given.toml"), environ).node.id == "given.toml"

    def test_the_redis_url_of_the_environment_wins(self) -> None:
        assert load_settings(EXAMPLE, {"HANDOFF_REDIS_URL": URL}).redis.url == URL
        assert load_settings(EXAMPLE, {"HANDOFF_REDIS_URL": ""}).redis.url is None

    def test_a_redis_section_of_the_wrong_form_is_refused_even_with_a_url_in_the_environment(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a.toml").write_text(f'redis = "{URL}"\npools = []')
        with pytest.raises(SettingsError) as refused:
            load_settings(tmp_path / "a.toml", {"HANDOFF_REDIS_URL": URL})
        assert "redis: this cannot be used; write it as a table: {...}" in str(refused.value)

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "none.toml"
        assert file_problem(path).startswith(f"{path}: there is no such file; give the file by --config or")

    def test_a_folder_instead_of_a_file_is_told(self, tmp_path: Path) -> None:
        assert file_problem(tmp_path).startswith(f"{tmp_path}: it cannot be read (Is a directory); check")

    def test_a_file_that_is_not_utf8_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "a.toml"
        path.write_bytes(b"# caf\xe9")
        assert file_problem(path) == f"{path}: byte 6 is not UTF-8; save the file as UTF-8"

    @pytest.mark.parametrize(
        ("text", "place", "sentence"),
        [
            ("[log]\nlevel = info", "2:12", "Expected newline or end of document after a statement; write one setting"),
            ("[log]\nlevel = loud", "2:9", 'Invalid value; put text in double quotes, as in name = "value"'),
            ("a = 1\na = 2", "2:6", "Cannot overwrite a value; a key or table is there twice: keep one of them"),
            ("[log]\n[log]", "2:5", "Cannot declare ('log',) twice; a table is there twice: keep one of them"),
            ("[sip]\nlisten", "2:7", "Expected '=' after a key in a key/value pair; write key = value"),
            ("a = [1,", "1:8", "Invalid value; put text in double quotes"),
            ('a = "', "1:6", "Unterminated string; see https://toml.io"),
        ],
    )
    def test_a_syntax_error_has_line_column_and_mend(
        self, tmp_path: Path, text: str, place: str, sentence: str
    ) -> None:
        path = tmp_path / "a.toml"
        path.write_text(text)
        assert file_problem(path).startswith(f"{path}:{place}: {sentence}")

    def test_an_empty_file_lacks_a_pool_and_is_told_how_one_looks(self, tmp_path: Path) -> None:
        path = tmp_path / "a.toml"
        path.write_text("")
        problem = file_problem(path)
        assert problem.startswith("pools: is missing; add pools = [")
        path.write_text(problem.partition("add ")[2])
        assert load_settings(path, {}).pools[0].name == "agents"


class TestLookups:
    """What every call asks the settings."""

    def test_without_trunks_only_this_machine_may_call(self) -> None:
        settings = made()
        assert [bool(settings.trunk_for(a)) for a in ("127.9.9.9", "::1", "[::1]", "10.0.0.1", "x")] == [
            True,
            True,
            True,
            False,
            False,
        ]

    def test_the_smallest_network_names_the_trunk(self) -> None:
        trunks = [{"name": "wide", "addresses": ["10.0.0.0/8"]}, {"name": "narrow", "addresses": ["10.1.0.0/16"]}]
        settings = made(trunks=trunks)
        found = [settings.trunk_for(address) for address in ("10.1.2.3", "10.2.2.3", "127.0.0.1", "::1")]
        assert [trunk and trunk.name for trunk in found] == ["narrow", "wide", None, None]

    @pytest.mark.parametrize(
        ("user", "host", "pool"),
        [
            ("+49301234", "a.example", "exact"),
            ("%2B49-30-1234;npdi", "x", "exact"),
            ("+493012345", "a.example", "long"),
            ("+4989", "a.example", "short"),
            ("+33", "A.Example.", "domain"),
            ("bob", "a.example", "domain"),
            ("bob", "b.example", "all"),
            ("", "_", "all"),
            ("%zz", "x", "all"),
            ("*", "x", "all"),
        ],
    )
    def test_exact_number_longest_prefix_domain_and_all_find_the_pool_in_this_order(
        self, user: str, host: str, pool: str
    ) -> None:
        matches: dict[str, dict[str, list[str]]] = {
            "all": {"numbers": ["*"]},
            "domain": {"domains": ["a.example"]},
            "short": {"numbers": ["+49*"]},
            "long": {"numbers": ["+4930*"]},
            "exact": {"numbers": ["+49 30 1234"]},
        }
        settings = made(pools=[{"name": name, "agents": AGENTS, **match} for name, match in matches.items()])
        found = settings.pool_for(user, host)
        assert found is not None
        assert found.name == pool

    def test_a_call_that_no_pool_wants_finds_none(self) -> None:
        settings = made(pools=[{"name": "p", "numbers": ["1"], "agents": AGENTS}])
        assert settings.pool_for("2", "a.example") is None

    def test_a_pool_is_found_by_its_name(self) -> None:
        settings = made()
        assert settings.pool_named("agents") is settings.pools[0]
        assert settings.pool_named("other") is None

    @pytest.mark.parametrize(
        ("host", "allowed"),
        [
            ("pbx.example.com", True),
            ("PBX.example.com.", True),
            ("a.pbx.example.com", False),
            ("a.example.org", True),
            ("a.b.example.org", True),
            ("example.org", False),
            ("evilexample.org", False),
            ("*.example.org", False),
            ("[2001:DB8::1]", True),
            ("", False),
        ],
    )
    def test_the_policy_allows_the_hosts_it_lists_and_no_others(self, host: str, allowed: bool) -> None:
        settings = made(policy={"dial_uris": ["pbx.example.com", "*.Example.org", "[2001:db8::1]"]})
        assert settings.may_dial(host) is allowed

    def test_without_a_policy_no_host_may_be_dialled(self) -> None:
        assert made().may_dial("pbx.example.com") is False


def test_settings_never_change() -> None:
    settings = made()
    with pytest.raises(ValueError, match="frozen"):
        settings.log.level = "debug"  # type: ignore[misc]


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", URL, "rediss://h:6380/1"])
def test_a_redis_url_is_taken_as_it_is(url: str) -> None:
    assert made(redis={"url": url}).redis.url == url


def test_stages_of_transfers_are_kept_only_where_somebody_wants_to_know_of_them() -> None:
    urls = ("https://hooks.example.com/",)
    assert Webhooks().stages == frozenset()
    assert Webhooks(urls=urls).stages == set(Stage)
    assert Webhooks(urls=urls, events=("failed", "answered")).stages == {Stage.ANSWERED}
