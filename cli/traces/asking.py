"""Asking the nodes for the messages of a call: each has those that it handled itself."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from cli.lookup import check_prefix, choose
from cli.output import Failed
from cli.traces.parties import Trace, make_trace
from cli.traces.sip import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.store import Store

ANSWER_WITHIN = 5.0
"""Seconds that the sidecars have together."""


def find_trace(store: Store, prefix: str) -> tuple[Trace, list[str]]:
    """Find the trace of the one call whose id begins so, and why it may not be whole; raises Failed."""
    prefix = check_prefix(prefix)
    answers, missing = ask_sidecars(store, prefix)
    chosen = choose(prefix, {str(call_id) for answer in answers.values() for call_id in answer.get("ids", ())})
    if chosen is None:
        refusals = [f"node {node}: {answer['text']}" for node, answer in answers.items() if not answer.get("ok")]
        text = f"no SIP messages of a call {prefix} are kept"
        mend = "; ".join([*missing, *refusals]) or _explain(answers)
        raise Failed(f"{text} ({mend})")
    if not any(answer.get("messages") for answer in answers.values()):  # one node has several, others have one
        answers, missing = ask_sidecars(store, chosen)
    messages = [Message.read(data) for answer in answers.values() for data in answer.get("messages", ())]
    if not messages:
        raise Failed(f"the SIP messages of call {chosen} have just been dropped; trace.megabytes keeps more")
    return make_trace(chosen, messages, sum(answer.get("left_out", 0) for answer in answers.values())), missing


def ask_sidecars(
    store: Store, prefix: str, only: Iterable[str] | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Ask the sidecars of all nodes, or of those named; gives their answers by node, and what is said of the others.

    A sidecar may outlive its node, whose calls others went on with.
    """
    alive = set(store.sidecars())
    asked = {node: str(uuid.uuid4()) for node in sorted(alive if only is None else alive.intersection(only))}
    for node, request in asked.items():
        store.ask_speech(node, [{"kind": "trace", "id": request, "call": prefix}])
    answers, until = {}, time.monotonic() + ANSWER_WITHIN
    missing = [f"node {node} has no sidecar" for node in sorted(set(store.nodes()) - alive)]
    for node, request in asked.items():
        answer = store.await_answer(request, max(until - time.monotonic(), 0.1))
        if answer is None:
            missing.append(f"the sidecar of node {node} did not answer")
        else:
            answers[node] = answer
    return answers, missing


def _explain(answers: dict[str, dict[str, Any]]) -> str:
    if not answers:
        return "no sidecar is alive: start `handoff up`"
    minutes = max(float(answer.get("minutes", 0)) for answer in answers.values())
    dropped = f"they are dropped {minutes:g} minutes after the call's last message, or when memory is short"
    if any(answer.get("mode") == "all" for answer in answers.values()):
        return dropped
    return f'{dropped}; a call without a transfer is kept only with trace.mode = "all"'
