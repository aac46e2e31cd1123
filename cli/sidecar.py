"""`handoff sidecar`: does what SIP workers must not wait for: speech, keys told by rtpengine, traces of SIP."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from prometheus_client import Histogram

from cli.effective import connect, effective_settings
from cli.folders import find_sounds_problem
from cli.keys import KeyListener
from cli.output import Exit, Failed, OperatorCommand, plain
from cli.speech.cache import DAY, Cache
from cli.speech.engine import CommandEngine
from cli.speech.service import SpeechService
from cli.speech.standard import StandardSounds
from cli.traces.listener import Tracer
from cli.traces.place import trace_uri
from routing.records import BadRecordError
from routing.store import CallUnknown, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from routing.settings import Settings
    from routing.store import Store

BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
OUTCOMES = ("ok", "cached", "late", "failed")
WAIT = 4.0
"""Seconds that Redis is asked to wait for a text, after which it is told that the sidecar is alive."""
REST = 1.0
"""Seconds until a Redis that is away is asked again."""
TRIM_EVERY = 60.0
"""Seconds after which the cache is looked at, whether texts came or not."""


@click.command(cls=OperatorCommand)
def sidecar(config: str | None, as_json: bool) -> None:
    """Speak texts, and listen for the keys that people press, until Ctrl-C or SIGTERM.

    `handoff up` runs it as well; each node needs one. The spoken texts are put into speech.folder. With
    rtpengine.dtmf_listen it takes what rtpengine tells of keys (its --dtmf-log-dest), and with trace.listen the SIP
    messages that `handoff trace` shows.
    """
    del as_json  # it writes nothing but its log
    settings = effective_settings(config)
    folder = _folder(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(Exit.OK))
    seconds = Histogram("handoff_speech_seconds", "Texts spoken.", ["outcome"], buckets=BUCKETS)
    for outcome in OUTCOMES:  # Prometheus would not see the first count of a series that comes with it
        seconds.labels(outcome)
    engine = CommandEngine(settings.speech.command)
    cache = Cache(folder, settings.speech.cache_megabytes * 1_000_000, settings.speech.cache_days * DAY)
    with connect(settings) as store, connect(settings) as other:
        if settings.rtpengine.dtmf_listen is not None:
            hear_keys(settings.rtpengine.dtmf_listen, other)
        StandardSounds(folder, settings.speech, settings.transfer, engine, say).make()
        tracer = begin_trace(settings)
        service = SpeechService(
            settings.speech,
            engine,
            cache,
            say=say,
            observe=lambda outcome, took: seconds.labels(outcome).observe(took),
        )
        serve(store, settings.node.id, service, cache, tracer)


def say(line: str) -> None:
    """Write a line of the log, at once and whole although threads write at the same time."""
    sys.stderr.write(f"{plain(line)}\n")
    sys.stderr.flush()


def serve(store: Store, node: str, service: SpeechService, cache: Cache, tracer: Tracer | None = None) -> None:
    """Hand on what is asked of this node, without an end; a Redis that is away is waited for."""
    away, trim_at = False, 0.0
    while True:
        if time.monotonic() >= trim_at:
            cache.trim()
            trim_at = time.monotonic() + TRIM_EVERY
        try:
            if away:
                store.ping()
                say("Redis answers again")
                away = False
            store.beat_sidecar(node, {"pid": os.getpid()})
            request = store.take_speech(node, WAIT)
            if request is not None and request.get("kind") == "trace":
                store.answer_command(str(request.get("id")), give_trace(tracer, request))
                continue
        except StoreUnavailable as error:
            if not away:
                say(f"no texts are spoken: {error.text}")
            away = True
            time.sleep(REST)  # a Redis that is away tells nobody when it is back
            continue
        if request is not None:
            service.ask(request)


def begin_trace(settings: Settings) -> Tracer | None:
    """Begin to take the SIP messages that Kamailio copies; raises Failed where that is not possible."""
    if trace_uri(settings) is None:
        return None
    try:
        return Tracer(settings)
    except OSError as error:
        mend = "correct [trace], or see whether another sidecar runs (`handoff up` starts one)"
        raise Failed(f"cannot trace SIP at {settings.trace.listen} ({error.strerror}): {mend}") from error


def give_trace(tracer: Tracer | None, request: dict[str, Any]) -> dict[str, Any]:
    """Answer whoever wants to see a call."""
    if tracer is None:
        return {"ok": False, "text": "it does not trace SIP: see [trace] in its configuration"}
    return tracer.answer(str(request.get("call")))


def hear_keys(address: str, store: Store) -> None:
    """Begin to listen for keys at host:port, in a thread of its own; raises Failed where that is not possible."""
    try:
        listener = KeyListener(address, lambda call_id, tag, key: pass_on(store, call_id, tag, key))
    except OSError as error:
        mend = "correct rtpengine.dtmf_listen, or see whether another sidecar runs (`handoff up` starts one)"
        raise Failed(f"cannot listen for keys at {address} ({error.strerror}): {mend}") from error
    threading.Thread(target=_read_all, args=(listener,), name="keys", daemon=True).start()
    say(f"keys are heard at {address}")


def pass_on(store: Store, call_id: str, tag: str, key: str) -> None:
    """Tell the node of a call that a person pressed a key, where the call waits for one."""
    if not tag.startswith("leg"):
        return  # rtpengine tells the keys of callers and agents, too
    try:
        call = store.peek(call_id)
        if call.hears_keys:
            store.send_command(call.node, {"kind": "key", "call": call_id, "tag": tag, "key": key})
    except CallUnknown:
        return  # a call of somebody else, or one that has just ended
    except (StoreError, BadRecordError) as error:
        say(f"call={call_id} the key {key} is lost: {error.text}")


def _read_all(listener: KeyListener) -> None:
    while True:
        select.select([listener.fileno()], [], [])
        listener.read()


def _folder(settings: Settings) -> Path:
    """Give the folder of sounds; raises Failed where there is none to write to."""
    if settings.speech.folder is None:
        text = "no folder of sounds is known: the configuration has no speech.folder, and no handoff runs here"
        raise Failed(f"{text}: give one, or start `handoff up`", Exit.USAGE)
    folder = Path(settings.speech.folder)
    if problem := find_sounds_problem(folder):
        raise Failed(str(problem))
    return folder
