"""No secret appears: not in a log, an output, a metric, Redis or a list of processes, whatever the endpoint answers."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.daemons import TLS_KEY, KamailioLog
from cli.main import handoff
from routing.digest_server import Keys
from tests.stack.system import System
from tests.stack.test_challenges import REALM, USER, asks, challenge
from tests.stack.test_metrics import Scrape
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message
    from tests.stack.talk import Talk

SECRETS = {"prompt": "aardvark-1", "env": "badger-22", "file": "capybara-333"}
"""The password of each target, which is named like the way in which it was given."""
PASSWORD = "dromedary-4444"
"""Of a user whose phone registers with us."""
KEY = base64.b64encode(b"the key that encrypts all others").decode()


class Operator:
    """Types commands, and keeps all that they print."""

    def __init__(self, system: System) -> None:
        self._env = {"HANDOFF_SETTINGS": str(system.folder / "settings.json"), "HANDOFF_KEY": KEY}
        self.printed: dict[str, str] = {}

    def types(self, *words: str, stdin: str = "", fails: bool = False) -> None:
        result = CliRunner().invoke(handoff, words, input=stdin, env=self._env)
        assert fails or result.exit_code == 0, result.output
        self.printed[" ".join(words)] = result.output


@pytest.fixture(scope="module")
def agent_and_system() -> Iterator[tuple[Ua, System]]:
    """Give a stack that logs as much as it can and knows a key and a secret from its environment."""
    with pytest.MonkeyPatch.context() as patch, Ua("agent") as agent:
        agent.allow("OPTIONS")
        patch.setenv("HANDOFF_KEY", KEY)
        patch.setenv("PBX_SECRET", SECRETS["env"])
        system = System(
            agent.uri, sidecar=True, security={"key": "env:HANDOFF_KEY"}, users={"domains": ["handoff.local"]}
        )
        command = system.kamailio.command
        command[command.index("LOG_LEVEL=2")] = "LOG_LEVEL=3"
        with system:
            yield agent, system


def add_targets(operator: Operator, desk: Ua, folder: Path) -> None:
    file = folder / "secret"
    file.write_text(SECRETS["file"])
    login = ("--user", USER)
    operator.types("targets", "add", "prompt", desk.uri, *login, "--secret-prompt", stdin=f"{SECRETS['prompt']}\n")
    operator.types("targets", "add", "env", desk.uri, *login, "--secret-env", "PBX_SECRET")
    operator.types("targets", "add", "file", desk.uri, *login, "--secret-file", str(file))


def challenged(talk: Talk, desk: Ua, target: str, algorithm: str) -> Message:
    """Let the agent send REFER and the desk ask who calls; gives the INVITE that tells it."""
    talk.agent.expect(202, to=talk.refer(target))
    talk.notified(100)
    asks(desk, desk.expect("INVITE"), 401, challenge(algorithm, "abc"))
    return desk.expect("INVITE")


def look_everywhere(operator: Operator, call_id: str) -> None:
    shows = [("targets", "show", name) for name in SECRETS]
    for words in (("targets", "list"), ("calls", "list"), ("calls", "show", call_id), *shows):
        operator.types(*words)
        operator.types(*words, "--json")
    for words in (("users", "list"), ("trunks",), ("webhooks",), ("log",), ("status", "--once")):
        operator.types(*words)
        operator.types(*words, "--json")
    operator.types("targets", "export")
    for form in ("--full", "--json", "--mermaid"):
        operator.types("trace", call_id, form)


def hashes(password: str) -> list[str]:
    """Give what is as good as the password: the HA1 of each algorithm (RFC 7616 section 3.4.2)."""
    words = f"{USER}:{REALM}:{password}".encode()
    return [hashlib.md5(words).hexdigest(), hashlib.sha256(words).hexdigest()]


def test_no_secret_appears_anywhere(talk: Talk, system: System, tmp_path: Path) -> None:
    answers = list[str]()
    operator = Operator(system)
    with Ua("desk") as desk:
        add_targets(operator, desk, tmp_path)
        operator.types("users", "add", "alice", stdin=f"{PASSWORD}\n")
        for target in SECRETS:
            for algorithm in ("MD5", "SHA-256"):
                again = challenged(talk, desk, target, algorithm)
                answers += re.findall(r'response="(\w+)"', again["Authorization"])
                desk.reply(again, 180)
                talk.notified(180)
                look_everywhere(operator, talk.record.id)
                asks(desk, again, 401, challenge(algorithm, "other"))
                talk.notified(401, final=True)
        again = challenged(talk, desk, "prompt", "MD5")
        answers += re.findall(r'response="(\w+)"', again["Authorization"])
        desk.reply(again, 200, sdp=talk.target_voice.sdp())
        desk.expect("ACK")
        talk.notified(200, final=True)
        talk.agent_leaves()
        look_everywhere(operator, talk.record.id)
        operator.types("doctor", "--json", fails=True)  # it misses a file of settings
        bye = talk.caller.request("BYE", talk.caller_dialog)
        desk.reply(desk.expect("BYE"), 200)
        talk.caller.expect(200, to=bye)
        talk.nothing_left()
        for form in ((), ("--json",)):
            operator.types("log", "show", system.store.finished(1)[0].transfer.id, *form)

    key_lines = (system.folder / TLS_KEY).read_text().splitlines()
    hidden = [
        *SECRETS.values(),
        PASSWORD,
        KEY,
        key_lines[1],
        *(each for word in SECRETS.values() for each in hashes(word)),
    ]
    keys = Keys.of("alice", "handoff.local", PASSWORD)
    secrets = {*hidden, keys.md5, keys.sha256}
    assert len(answers) == 7
    logs = {path.name: path.read_text(errors="replace") for path in system.folder.glob("*.log")}
    pick = KamailioLog(debug=True).pick
    logs["kamailio.log"] = "\n".join(pick(line) for line in logs["kamailio.log"].splitlines())
    assert set(logs) == {"kamailio.log", "media1.log", "redis.log", "sidecar.log"}
    assert 'response="***"' in logs["kamailio.log"]
    redis = {p.name: p.read_bytes().decode("latin1") for p in (system.folder / "appendonlydir").iterdir()}
    assert any("capybara" not in text and f"file:{tmp_path}" in text for text in redis.values())
    processes = {str(path): _command(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
    assert any("kamailio.cfg" in text for text in processes.values())
    metrics = {"metrics": Scrape(system).text.decode()}
    for place, text in (logs | redis | processes | metrics | operator.printed).items():
        for number, secret in enumerate((*secrets, *answers) if place in logs else secrets):
            assert secret not in text, f"secret {number} is in {place}"


def _command(path: Path) -> str:
    """Read the command line of a process; of one that has ended meanwhile there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
