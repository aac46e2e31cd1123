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
    from routing.store import Store

ANSWER_WITHIN = 5.0
"""Seconds that the sidecars have together."""


def find_trace(store: Store, prefix: str) -> Trace:
    """Find the trace of the one call whose id begins so; raises Failed."""
    prefix = check_prefix(prefix)
    answers, silent = _ask_all(store, prefix)
    chosen = choose(prefix, {str(call_id) for answer in answers for call_id in answer.get("ids", ())})
    refusals = [str(answer["text"]) for answer in answers if not answer.get("ok")]
    hints = [f"the sidecar of node {node} did not answer" for node in silent] + refusals
    if chosen is None:
        text = f"no SIP messages of a call {prefix} are kept"
        mend = "; ".join(hints) or 'a call without a transfer is kept only with trace.mode = "all"'
        raise Failed(f"{text} ({mend})")
    if not any(answer.get("messages") for answer in answers):  # a node has several that begin so, others have one
        answers, _ = _ask_all(store, chosen)
    messages = [Message.read(data) for answer in answers for data in answer.get("messages", ())]
    return make_trace(chosen, messages, sum(answer.get("left_out", 0) for answer in answers))


def _ask_all(store: Store, prefix: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Ask the sidecars of all nodes; gives their answers, and the nodes whose sidecar is silent."""
    asked = {node: str(uuid.uuid4()) for node in sorted(store.nodes())}
    for node, request in asked.items():
        store.ask_speech(node, [{"kind": "trace", "id": request, "call": prefix}])
    answers, silent, until = [], [], time.monotonic() + ANSWER_WITHIN
    for node, request in asked.items():
        answer = store.await_answer(request, max(until - time.monotonic(), 0.1))
        if answer is None:
            silent.append(node)
        else:
            answers.append(answer)
    return answers, silent
