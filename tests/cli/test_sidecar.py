"""`handoff sidecar` as a process beside a real Redis, with the real speech engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.ports import free_port
from cli.sidecar import pass_on
from cli.speech.sound_file import duration
from routing.records import State
from routing.settings import Speech
from routing.speech import file_of
from routing.store import MemoryStore, StoreUnavailable
from routing.transfer_record import Sound, Standard
from tests.cli.lines import PATIENCE, Lines
from tests.cli.processes import await_end, descendants
from tests.cli.speech import script
from tests.cli.test_exporter import Exporter, scrape
from tests.routing.store_help import a_call

if TYPE_CHECKING:
    from routing.records import Call
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer


class Sidecar:
    """The command in a process of its own; a context manager, within which the standard sounds are there."""

    def __init__(self, operator: Operator, *, dtmf_listen: str | None = None, **speech: Any) -> None:
        self.speech = Speech(folder=str(operator.folder / "sounds"), **speech)
        operator.writes_settings(speech=self.speech.model_dump(), rtpengine={"dtmf_listen": dtmf_listen})
        (operator.folder / "metrics").mkdir()
        self._operator = operator
        self._environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(operator.folder / "metrics")}
        self.lines = Lines()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "cli.main", "sidecar"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=self._environ, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.await_file(Path(str(self.speech.folder), "standard.json"))
        return self

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr:
            for line in self.process.stderr:
                self.lines.add(line.rstrip("\n"))

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def ask(self, text: str) -> Path:
        with self._operator.store() as store:
            store.ask_speech("node1", [{"text": text, "language": "", "voice": ""}])
        return file_of(self.speech, Sound(text=text))

    def await_file(self, path: Path) -> None:
        until = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < until, f"{path} is not made; said: {self.lines.all}"
            assert self.process.poll() is None, self.lines.all
            time.sleep(0.01)  # a file that appears is no event


def test_it_makes_the_standard_sounds_and_speaks_what_is_asked_for(operator: Operator) -> None:
    with Sidecar(operator) as sidecar:
        assert [name for name in Standard if not duration(Path(str(sidecar.speech.folder), f"{name}.aiff"))] == []
        path = sidecar.ask("Grüße; $(reboot)")
        sidecar.await_file(path)
        assert duration(path) > 0.5
        assert sidecar.lines.all == []


def test_it_outlives_a_redis_that_is_restarted(operator: Operator, redis: RedisServer) -> None:
    with Sidecar(operator) as sidecar:
        redis.stop()
        sidecar.lines.expect("no texts are spoken: Redis at ")
        redis.start()
        sidecar.lines.expect("Redis answers again")
        sidecar.await_file(sidecar.ask("hello"))
        assert len(sidecar.lines.all) == 2


def test_what_cannot_be_spoken_is_one_line_and_is_counted(operator: Operator) -> None:
    with Sidecar(operator, command="no-such-engine {file}") as sidecar:
        path = sidecar.ask("hello")
        sidecar.lines.expect(f"speech failed file={path.name}")
        sidecar.ask("\n")
        sidecar.lines.expect("speech failed: the text has the control character U+000A")
        with Exporter() as exporter:
            found = {
                sample.labels["outcome"]: sample.value
                for family in text_string_to_metric_families(scrape(exporter.port))
                for sample in family.samples
                if sample.name == "handoff_speech_seconds_count"
            }
    assert found == {"ok": 0.0, "cached": 0.0, "late": 0.0, "failed": 2.0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_with_0_and_takes_a_speech_engine_along(operator: Operator, number: signal.Signals) -> None:
    lines = (
        f'read text; [ "$text" != long ] || {{ touch {operator.folder}/began; exec sleep 60; }}; espeak-ng -w "$1" x'
    )
    with Sidecar(operator, command=script(operator.folder, lines)) as sidecar:
        sidecar.ask("long")
        sidecar.await_file(operator.folder / "began")
        family = descendants(sidecar.process.pid)
        began = time.monotonic()
        sidecar.process.send_signal(number)
        assert sidecar.process.wait(10) == 0
        assert time.monotonic() - began < 3.0
        assert family
        await_end(family)


def test_a_key_that_rtpengine_tells_of_reaches_the_node_of_the_call(operator: Operator) -> None:
    port = free_port()
    packet = {"callid": "00000000000000aa", "source_tag": "leg1", "type": "DTMF", "event": 5}
    with Sidecar(operator, dtmf_listen=f"127.0.0.1:{port}") as sidecar, operator.store() as store:
        assert sidecar.lines.all == [f"keys are heard at 127.0.0.1:{port}"]
        store.create(a_call(state=State.ACCEPTING))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtpengine:
            rtpengine.sendto(json.dumps(packet).encode(), ("127.0.0.1", port))
        until = time.monotonic() + PATIENCE
        while not (commands := store.take_commands("node1")):
            assert time.monotonic() < until
            time.sleep(0.01)  # the store is asked for commands, as a node asks
    assert commands == [{"kind": "key", "call": "00000000000000aa", "tag": "leg1", "key": "5"}]


def test_a_place_for_keys_that_is_taken_is_told(operator: Operator) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{other.getsockname()[1]}"
        operator.writes_settings(speech={"folder": str(operator.folder / "s")}, rtpengine={"dtmf_listen": place})
        command = [sys.executable, "-m", "cli.main", "sidecar"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: cannot listen for keys at {place} (Address already in use): correct")


def test_without_a_folder_it_says_what_to_do(operator: Operator) -> None:
    assert "no folder of sounds is known" in operator.fails(2, "sidecar")
    (operator.folder / "file").touch()
    operator.writes_settings(speech={"folder": str(operator.folder / "file")})
    assert "speech.folder: the folder " in operator.fails(1, "sidecar")


@pytest.mark.parametrize("state", State)
def test_a_key_is_passed_on_to_the_node_of_a_call_that_waits_for_one(state: State) -> None:
    store = MemoryStore()
    store.create(a_call(state=state, node="node7"))
    pass_on(store, "00000000000000aa", "leg1", "5")
    wanted = [{"kind": "key", "call": "00000000000000aa", "tag": "leg1", "key": "5"}]
    waits = state in {State.BRIEFING, State.ACCEPTING}
    assert store.take_commands("node7") == (wanted if waits else [])


def test_a_key_for_no_call_is_passed_over_and_one_that_is_lost_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    class Away(MemoryStore):
        def peek(self, call_id: str) -> Call:
            raise StoreUnavailable("nowhere", "it is away")

    pass_on(MemoryStore(), "none", "leg1", "5")
    assert capsys.readouterr().err == ""
    pass_on(Away(), "aa", "leg1", "5")
    assert capsys.readouterr().err.startswith("call=aa the key 5 is lost: Redis at nowhere is not available")
