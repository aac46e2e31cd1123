"""`handoff targets`: how users and secrets are given, and that no secret comes out anywhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.diagnosis.stored import check_stored
from routing.secrets import Kind
from routing.targets import Target
from tests.cli.findings import settings
from tests.stack.system import System

if TYPE_CHECKING:
    from click.testing import Result

    from cli.diagnosis.finding import Finding
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

URI = "sip:support@127.0.0.1:5070"
OTHER = "sip:sales@127.0.0.1:5071"
VALUE = "hunter2-hunter2"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
WARNING = "Warning: the secret of target support is kept in Redis as it is; set security.key to encrypt it\n"


def prompted(operator: Operator, *words: str, value: str = VALUE) -> Result:
    """Type a command that asks for the secret, and give it by a pipe."""
    said = operator.types(*words, "--secret-prompt", stdin=f"{value}\n")
    assert said.exit_code == 0, said.output
    return said


def stored(operator: Operator, name: str = "support") -> Target:
    with operator.store() as store:
        data = store.target(name)
    assert data is not None
    return Target.from_json(data)


def shown(operator: Operator, name: str = "support") -> list[dict[str, str]]:
    endpoints: list[dict[str, str]] = operator.reads("targets", "show", name)["endpoints"]
    return endpoints


def with_key(operator: Operator, key: str = KEY) -> str:
    """Configure a key, and give its reference."""
    file = operator.folder / "key"
    file.write_text(f"{key}\n")
    operator.writes_settings(security={"key": f"file:{file}"})
    return f"file:{file}"


def found(operator: Operator, key: str | None = None) -> list[Finding]:
    given = settings(redis={"url": operator.url}, security={"key": key})
    return [finding for finding in check_stored(given) if finding.part == "secrets"]


def test_a_reference_is_kept_and_shown_as_it_is(operator: Operator) -> None:
    said = operator.types("targets", "add", "support", URI, "--user", "1001", "--secret-env", "PBX_SECRET")
    assert (said.exit_code, said.output) == (0, "target support added\n")
    assert shown(operator) == [{"uri": URI, "user": "1001", "secret": "env:PBX_SECRET"}]
    line = f"endpoints  {URI} (as 1001, secret env:PBX_SECRET)"
    assert line in operator.types("targets", "show", "support").stdout
    changed = operator.reads("targets", "set", "support", "--secret-file", "pbx.secret")
    assert changed["endpoints"] == [{"uri": URI, "user": "1001", "secret": f"file:{operator.folder}/pbx.secret"}]


def test_a_value_without_a_key_is_kept_as_it_is_with_a_warning_and_never_shown(operator: Operator) -> None:
    said = prompted(operator, "targets", "add", "support", URI)
    assert (said.stdout, said.stderr) == ("target support added\n", WARNING)
    assert shown(operator) == [{"uri": URI, "secret": "***"}]
    assert f"{URI} (secret ***)" in operator.types("targets", "list").stdout
    secret = stored(operator).endpoints[0].secret
    assert secret is not None
    assert (secret.kind, secret.reveal()) == (Kind.PLAIN, VALUE)


def test_a_value_with_a_key_is_encrypted_and_one_kept_before_is_with_the_next_change(operator: Operator) -> None:
    prompted(operator, "targets", "add", "support", URI)
    with_key(operator)
    assert operator.types("targets", "set", "support", "--ring-timeout", "9").stderr == ""
    said = prompted(operator, "targets", "add", "sales", OTHER)
    assert said.stderr == ""
    for name in ("support", "sales"):
        secret = stored(operator, name).endpoints[0].secret
        assert secret is not None
        assert secret.kind is Kind.SEALED
        assert VALUE not in secret.reveal()


def test_a_key_that_cannot_be_used_keeps_the_secret_out(operator: Operator) -> None:
    with_key(operator, "no key")
    said = operator.types("targets", "add", "support", URI, "--secret-prompt", stdin=f"{VALUE}\n")
    assert said.exit_code == 2
    assert "security.key is not 32 bytes in base64 (not shown)" in said.stderr
    assert operator.reads("targets", "list") == []


def test_a_login_is_for_all_endpoints_or_for_one(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI, OTHER, "--user", "me", "--secret-env", "ALL")
    operator.reads("targets", "set", "support", "--for", OTHER, "--secret-env", "ONE")
    assert shown(operator) == [
        {"uri": URI, "user": "me", "secret": "env:ALL"},
        {"uri": OTHER, "user": "me", "secret": "env:ONE"},
    ]
    error = operator.fails(2, "targets", "set", "support", "--for", "sip:a@b", "--user", "you")
    assert f"--for 'sip:a@b' is no endpoint of the target: it has {URI}, {OTHER}" in error


def test_endpoints_that_stay_keep_their_login_and_new_ones_have_none(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI, "--user", "me", "--secret-env", "PBX")
    operator.reads("targets", "set", "support", "--endpoint", OTHER, "--endpoint", URI)
    assert shown(operator) == [{"uri": OTHER}, {"uri": URI, "user": "me", "secret": "env:PBX"}]


def test_a_login_is_taken_back_by_clear(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI, "--user", "me", "--secret-env", "PBX")
    operator.reads("targets", "set", "support", "--clear", "login")
    assert shown(operator) == [{"uri": URI}]


@pytest.mark.parametrize("words", [("--secret", VALUE), (f"--secret={VALUE}",), ("--secret",)])
def test_a_secret_on_the_command_line_is_refused_with_the_ways_to_give_it(
    operator: Operator, words: tuple[str, ...]
) -> None:
    error = operator.fails(2, "targets", "add", "support", URI, "--user", "me", *words)
    assert "use --secret-prompt, --secret-env NAME or --secret-file FILE" in error
    assert VALUE not in error
    assert operator.reads("targets", "list") == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--user", "me"), "endpoints[0]: it has a user without a secret; give a secret"),
        (("--user", "a:b", "--secret-env", "X"), "this is no name to log in with"),
        (("--secret-env", VALUE), "this is no name of an environment variable (not shown"),
        (("--secret-env", "X", "--secret-file", "x"), "more than one secret is given"),
        (("--secret-prompt",), "the secret is empty or too long"),
        (("--for", URI), "--for needs what is for this endpoint"),
    ],
)
def test_what_is_no_login_is_refused_with_a_sentence(operator: Operator, words: tuple[str, ...], sentence: str) -> None:
    error = operator.fails(2, "targets", "add", "support", URI, *words)
    assert sentence in error
    assert VALUE not in error


def test_an_export_has_no_secret_and_its_import_keeps_those_that_are_stored(operator: Operator) -> None:
    prompted(operator, "targets", "add", "support", URI, "--user", "me")
    operator.reads("targets", "add", "sales", OTHER, "--secret-env", "PBX")
    before = stored(operator)
    exported = operator.types("targets", "export").stdout
    assert VALUE not in exported
    (operator.folder / "targets.json").write_text(exported)
    operator.reads("targets", "import", "targets.json", "--replace")
    assert stored(operator) == before
    assert operator.types("targets", "export").stdout == exported
    operator.reads("targets", "remove", "support")
    error = operator.fails(2, "targets", "import", "targets.json", "--replace")
    assert "targets[1].endpoints[0].secret: a secret that is not shown cannot be read" in error


def test_a_secret_does_not_move_to_another_uri_by_import(operator: Operator) -> None:
    prompted(operator, "targets", "add", "support", URI)
    entry = {"name": "support", "endpoints": [{"uri": OTHER, "secret": "***"}]}
    (operator.folder / "targets.json").write_text(json.dumps([entry]))
    assert "none is stored for this URI" in operator.fails(2, "targets", "import", "targets.json", "--replace")


@pytest.mark.parametrize(
    "entry",
    [
        {"name": ["support"], "endpoints": [URI]},
        {"name": "support", "endpoints": URI},
        {"name": "support", "endpoints": [{"uri": [URI], "secret": "***"}]},
        {"name": "support", "endpoints": [{"uri": URI, "secret": VALUE}]},
    ],
)
def test_an_import_of_another_form_is_refused_and_shows_no_secret(operator: Operator, entry: object) -> None:
    prompted(operator, "targets", "add", "support", URI)
    (operator.folder / "targets.json").write_text(json.dumps([entry]))
    error = operator.fails(2, "targets", "import", "targets.json", "--replace")
    assert VALUE not in error
    assert "targets[0]." in error


class TestDoctor:
    """`handoff doctor` tells of secrets that everybody can read, or nobody."""

    def test_without_secrets_and_key_it_says_nothing(self, operator: Operator) -> None:
        operator.reads("targets", "add", "support", URI)
        assert found(operator) == []

    def test_secrets_that_are_not_encrypted_are_a_warning_with_the_mend(self, operator: Operator) -> None:
        prompted(operator, "targets", "add", "support", URI, OTHER)
        (finding,) = found(operator)
        assert (finding.status, finding.what) == ("warning", "in Redis as they are, not encrypted: those of support")
        assert finding.mend == "set security.key, then `handoff targets set support --secret-prompt`"
        (finding,) = found(operator, with_key(operator))
        assert finding.mend == "give them again with `handoff targets set support --secret-prompt`"

    def test_secrets_that_are_encrypted_or_elsewhere_are_ok(self, operator: Operator) -> None:
        key = with_key(operator)
        prompted(operator, "targets", "add", "support", URI)
        operator.reads("targets", "add", "sales", OTHER, "--secret-env", "NOT_SET_ANYWHERE")
        (finding,) = found(operator, key)
        assert (finding.status, finding.what) == ("ok", "2 secrets, none of them in Redis as it is")

    def test_a_key_or_a_secret_that_cannot_be_used_is_told(self, operator: Operator) -> None:
        key = with_key(operator)
        prompted(operator, "targets", "add", "support", URI)
        (finding,) = found(operator)
        assert (finding.status, finding.what) == (
            "failed",
            "target support: the secret is encrypted, and no key is configured",
        )
        Path(key.removeprefix("file:")).unlink()
        (finding,) = found(operator, key)
        assert finding.status == "failed"
        assert finding.what.startswith("security.key: ")
        operator.reads("targets", "set", "support", "--secret-file", "nothing")
        (finding,) = found(operator)
        assert (finding.status, finding.mend) == ("warning", "check its name and its access rights")


class TestHiding:
    """A secret that was given is nowhere but in the store, and with a key not even there."""

    def test_no_command_writes_it_and_with_a_key_redis_does_not_hold_it(
        self, operator: Operator, redis: RedisServer
    ) -> None:
        redis.ask("CONFIG", "SET", "rdbcompression", "no")
        with_key(operator)
        said = [prompted(operator, "targets", "add", "support", URI, "--user", "me", "--json").output]
        said.append(prompted(operator, "targets", "set", "support", "--json").output)
        (operator.folder / "targets.json").write_text(operator.types("targets", "export").stdout)
        for words in (
            ("targets", "list"), ("targets", "show", "support"), ("targets", "export"), ("doctor",),
            ("targets", "import", "targets.json", "--replace"), ("targets", "set", "support", "--mode", "message"),
            ("targets", "add", "support", URI), ("calls", "list"), ("log",),
        ):  # fmt: skip
            said += [operator.types(*words, "--json").output, operator.types(*words).output]
        assert all(said)
        assert not [text for text in said if VALUE in text or KEY in text or "sealed:" in text]
        assert "support" in said[0]
        redis.ask("SAVE")
        files = [file for file in operator.folder.rglob("*") if file.is_file() and file.name != "key"]
        contents = b"".join(file.read_bytes() for file in files)
        assert b"sealed:" in contents  # of the dump of Redis, or of what else there is
        assert VALUE.encode() not in contents
        assert KEY.encode() not in contents

    def test_a_command_that_was_given_it_does_not_show_it_to_who_lists_processes(self, operator: Operator) -> None:
        with_key(operator)
        command = [sys.executable, "-m", "cli.main", "targets", "add", "support", URI, "--secret-prompt"]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
            assert process.stdin is not None
            process.stdin.write(VALUE.encode())  # the end of the line is what it waits for
            process.stdin.flush()
            # Of a process that has only just begun there is no command line yet.
            System.wait_until(Path(f"/proc/{process.pid}/cmdline").read_bytes)
            listed = [Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ", "comm")]
            out, _ = process.communicate(b"\n", timeout=60)
        assert (process.returncode, out) == (0, b"target support added\n")
        assert b"--secret-prompt" in listed[0]
        assert not [text for text in listed if VALUE.encode() in text]

    def test_at_a_terminal_it_is_asked_for_twice_and_not_echoed(self, operator: Operator) -> None:
        with_key(operator)
        ours, terminal = pty.openpty()
        command = [sys.executable, "-m", "cli.main", "targets", "add", "support", URI, "--secret-prompt"]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=environ, start_new_session=True
        )
        os.close(terminal)
        seen = b""
        with process:
            for prompt in (b"Secret: ", b"Repeat for confirmation: "):
                while prompt not in seen:
                    seen += os.read(ours, 1024)
                os.write(ours, f"{VALUE}\n".encode())
            deadline = time.monotonic() + 60
            while b"added" not in seen and time.monotonic() < deadline:
                seen += os.read(ours, 1024)
        os.close(ours)
        assert process.returncode == 0
        assert VALUE.encode() not in seen
        secret = stored(operator).endpoints[0].secret
        assert secret is not None
        assert secret.kind is Kind.SEALED


def test_a_file_that_only_the_workers_may_read_is_taken(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    (operator.folder / "pbx.secret").touch()
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    operator.reads("targets", "add", "support", URI, "--secret-file", "pbx.secret")
    assert shown(operator) == [{"uri": URI, "secret": f"file:{operator.folder}/pbx.secret"}]
