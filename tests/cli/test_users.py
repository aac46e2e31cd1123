"""`handoff users`: passwords come in by safe ways only, and no key comes out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from routing.digest_server import Keys
from routing.secret_sources import find_value
from routing.secrets import Kind
from routing.users import Contact, User, read_keys

if TYPE_CHECKING:
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

PASSWORD = "hunter2-hunter2"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ALICE = "alice@handoff.local"
RIGHT = Keys.of("alice", "handoff.local", PASSWORD)


@pytest.fixture(autouse=True)
def with_domain(operator: Operator) -> None:
    """Users have a domain, unless a test says otherwise."""
    operator.writes_settings(users={"domains": ["handoff.local", "other.local"]})


def add(operator: Operator, name: str = "alice", password: str = PASSWORD, command: str = "add") -> str:
    said = operator.types("users", command, name, stdin=f"{password}\n")
    assert said.exit_code == 0, said.output
    return said.stderr


def stored(operator: Operator, name: str = ALICE) -> User:
    with operator.store() as store:
        return User.from_json(name, store.users()[name])


def test_a_user_is_kept_by_keys_and_never_by_password(operator: Operator, redis: RedisServer) -> None:
    """A warning says that they are not encrypted."""
    assert add(operator) == (
        f"Warning: the keys of user {ALICE} are kept in Redis as they are; set security.key to encrypt them\n"
    )
    user = stored(operator)
    assert read_keys(user.keys) == RIGHT
    assert PASSWORD.encode() not in user.to_json()
    listed = operator.types("users", "list").output + operator.types("users", "list", "--json").output
    assert RIGHT.md5 not in listed
    assert RIGHT.sha256 not in listed


def test_with_a_key_the_keys_are_encrypted(operator: Operator) -> None:
    """Whoever reads Redis cannot register."""
    file = operator.folder / "key"
    file.write_text(f"{KEY}\n")
    operator.writes_settings(users={"domains": ["handoff.local"]}, security={"key": f"file:{file}"})
    assert not add(operator)
    user = stored(operator)
    assert user.keys.kind is Kind.SEALED
    assert RIGHT.md5.encode() not in user.to_json()
    assert read_keys(find_value(user.keys, f"file:{file}")) == RIGHT


def test_the_password_comes_from_the_environment_or_a_file(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read by the command at once."""
    monkeypatch.setenv("ALICES", PASSWORD)
    operator.reads("users", "add", "alice", "--password-env", "ALICES")
    file = operator.folder / "password"
    file.write_text(f"{PASSWORD}\n")
    operator.reads("users", "add", "alice@other.local", "--password-file", str(file))
    assert read_keys(stored(operator).keys) == RIGHT
    other = read_keys(stored(operator, "alice@other.local").keys)
    assert other == Keys.of("alice", "other.local", PASSWORD)


def test_a_password_on_the_command_line_is_refused(operator: Operator) -> None:
    """And not repeated."""
    error = operator.fails(2, "users", "add", "alice", "--password", PASSWORD)
    assert "must not stand on the command line" in error
    assert PASSWORD not in error


def test_only_one_password_can_be_given(operator: Operator) -> None:
    """Nobody knows which one would count."""
    error = operator.fails(2, "users", "add", "alice", "--password-env", "A", "--password-file", "b")
    assert "more than one password" in error


def test_a_person_at_a_terminal_is_asked_twice_and_sees_nothing(operator: Operator) -> None:
    """As everywhere else."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "cli.main", "users", "add", "alice"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=operator.folder) as process:
        os.close(slave)
        said = b""
        for prompt in (b"Password: ", b"Repeat for confirmation: "):
            while not said.endswith(prompt):
                said += os.read(master, 1000)
            os.write(master, f"{PASSWORD}\n".encode())
        assert process.wait(timeout=20) == 0
    os.close(master)
    assert PASSWORD.encode() not in said
    assert read_keys(stored(operator).keys) == RIGHT


def test_the_password_can_be_changed(operator: Operator) -> None:
    """The one before is of no use any more."""
    add(operator, password="another-one")
    add(operator, command="passwd")
    assert read_keys(stored(operator).keys) == RIGHT
    assert operator.reads("users", "list") == [{"user": ALICE, "phones": []}]


def test_users_are_listed_with_their_phones(operator: Operator) -> None:
    """Where each is reached, by what, until when; those whose time is over are not."""
    soon, now = time.time() + 600, time.time()
    add(operator)
    add(operator, "bob")
    phones = [
        Contact(uri="sip:alice@10.0.0.1:5060", hop="sip:192.0.2.1:9;transport=tcp", expires_at=soon, user_agent="Desk"),
        Contact(uri="sip:alice@192.0.2.2:5060", expires_at=now - 1),
    ]
    with operator.store() as store:
        store.keep_contacts(ALICE, "node1", {each.uri: each.model_dump_json().encode() for each in phones}, 600)
    (alice, bob) = operator.reads("users", "list")
    assert bob == {"user": "bob@handoff.local", "phones": []}
    (phone,) = alice["phones"]
    assert phone["contact"] == "sip:alice@10.0.0.1:5060"
    assert phone["reached_at"] == "sip:192.0.2.1:9;transport=tcp"
    assert phone["transport"] == "tcp"
    assert phone["user_agent"] == "Desk"
    table = operator.types("users", "list").stdout
    assert "sip:alice@10.0.0.1:5060" in table
    assert "registered nowhere" in table


def test_a_removed_user_is_gone_with_its_phones(operator: Operator) -> None:
    """Each node that is alive is told to forget them."""
    add(operator)
    with operator.store() as store:
        store.keep_contacts(ALICE, "node1", {"sip:a": b"{}"}, 600)
        store.beat("node1", {})
        assert operator.reads("users", "remove", "alice") == {"removed": ALICE}
        assert store.reach(ALICE) == (False, [])
        (command,) = store.take_commands("node1")
    assert command["kind"] == "unregister"
    assert command["user"] == ALICE
    assert json.loads(operator.types("users", "list", "--json").stdout) == []
    assert "no users yet" in operator.types("users", "list").stderr


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["users", "remove", "alice"], 1, "there is no user 'alice@handoff.local'; there is none yet"),
        (["users", "passwd", "alice"], 1, "there is no user"),
        (["users", "add", "alice@elsewhere"], 2, "'elsewhere' is no domain for users"),
        (["users", "add", "a b"], 2, "'a b' is not a name"),
    ],
)
def test_what_cannot_be_done_is_said(operator: Operator, words: list[str], code: int, error: str) -> None:
    """With the mend."""
    assert error in operator.fails(code, *words)


def test_a_user_cannot_be_added_twice(operator: Operator) -> None:
    """The password would be another one unnoticed."""
    add(operator)
    assert "is there already" in operator.fails(1, "users", "add", "alice")
    assert "did you mean" in operator.fails(1, "users", "passwd", "alic")


def test_without_a_domain_there_are_no_users(operator: Operator) -> None:
    """The mend says what to configure."""
    operator.writes_settings()
    assert "there is no domain for users" in operator.fails(2, "users", "add", "alice")
