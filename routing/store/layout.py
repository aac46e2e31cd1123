"""How keys are named and what a record looks like in the store.

All keys of one call carry the same hash tag, so that a script touches one slot of a Redis Cluster. A record is `F`
(fresh: the first BYE ends it), `P` (plain: a BYE ends it) or `T`, the node that owns the call, a newline, and the call
as JSON: scripts can tell what they need without reading JSON.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zlib import crc32

from routing.records import BadRecordError, Call, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARDS = 16
RECORD_TTL = 4 * 3600
"""Seconds a record lives after its last save; a call is saved at least at each liveness check."""
MESSAGE_TTL = 60
"""Seconds a command, an answer or a text to be spoken waits to be taken."""
SPEECH_LENGTH = 1000
"""Most texts that wait to be spoken by one node; beyond it the oldest are dropped."""
BEAT_TTL = 10
"""Seconds a node counts as alive after its last beat."""
NODES_TTL = 3600
ENDPOINT_TTL = 86400
"""Seconds that what is known of failing endpoints, and of the calls of one, lives after its last change."""
LOG_LENGTH = 100_000
DUE_RETRY = 1.0
"""Seconds after which a due call that nobody saved is named again."""
DUE_LIMIT = 100
"""Most due calls taken from one shard at once; the rest comes with the next tick."""

TARGETS = "handoff:targets"
TARGET_PROBES = "handoff:target-probes"
TRUNKS = "handoff:trunks"
USERS = "handoff:users"
NONCE_KEY = "handoff:nonce-key"
"""What all nodes make their nonces with."""
LOG = "handoff:log"
FAILING = "handoff:failing"
ENDED = "handoff:ended"
NODES = "handoff:nodes"
SIDECARS = "handoff:sidecars"
STAGES = "handoff:{webhooks}:stages"
STAGES_LENGTH = 10_000
"""Most stages of transfers that wait to be read for webhooks; beyond it the oldest are dropped."""
WEBHOOK_POSITION = "handoff:{webhooks}:news"
POSTS = "handoff:{webhooks}:posts"
POSTS_WAITING = "handoff:{webhooks}:waiting"
POSTS_DEAD = "handoff:{webhooks}:dead"
LANES = "handoff:{webhooks}:lanes"
"""Which posts are to be sent one after the other."""

_PREFIXES = tuple(f"handoff:{{{shard:02d}}}:" for shard in range(SHARDS))
DEADLINES = tuple(f"{prefix}deadlines" for prefix in _PREFIXES)
CALLS = tuple(f"{prefix}call:" for prefix in _PREFIXES)


def keys(call_id: str) -> tuple[str, str, str]:
    """Name the keys of a call's record, its lease, and its shard's deadlines."""
    shard = crc32(call_id.encode()) % SHARDS
    return CALLS[shard] + call_id, f"{_PREFIXES[shard]}lease:{call_id}", DEADLINES[shard]


def contacts_key(user: str) -> str:
    """Name the hash of a user's phones."""
    return f"handoff:contacts:{user}"


def contact_field(node: str, uri: str) -> str:
    """Name a phone among those of its user: two nodes may know the same one."""
    return f"{node} {uri}"


def commands_key(node: str) -> str:
    """Name the list of commands for a node."""
    return f"handoff:commands:{node}"


def answer_key(command_id: str) -> str:
    """Name the list that takes the one answer to a command."""
    return f"handoff:answer:{command_id}"


def speech_key(node: str) -> str:
    """Name the list of texts that a node is to speak."""
    return f"handoff:speech:{node}"


def node_key(node: str) -> str:
    """Name the key that lives as long as the node's beats come."""
    return f"handoff:node:{node}"


def sidecar_key(node: str) -> str:
    """Name the key that lives as long as the beats of the node's sidecar come."""
    return f"handoff:sidecar:{node}"


def occupants_key(uri: str) -> str:
    """Name the set of legs that are calls of an endpoint."""
    return f"handoff:occupants:{uri}"


def probe_key(uri: str) -> str:
    """Name the key that lives until the endpoint may be probed again."""
    return f"handoff:probe:{uri}"


def target_probe_key(name: str) -> str:
    """Name the key that lives until the target may be probed again."""
    return f"handoff:target-probe:{name}"


def pack(call: Call) -> bytes:
    """Write a call as it is stored."""
    kind = b"F" if call.fresh else b"P" if call.plain else b"T"
    return b"%c%b\n%b" % (kind, call.node.encode(), encode(call))


def is_plain(data: bytes) -> bool:
    """Tell from a stored record whether a BYE simply ends the call."""
    return data[:1] in {b"F", b"P"}


def is_fresh(data: bytes) -> bool:
    """Tell from a stored record whether nothing has happened to the call since it was answered."""
    return data[:1] == b"F"


def unpack(call_id: str, data: bytes) -> Call:
    """Read a stored call; raises BadRecordError."""
    head, newline, body = data.partition(b"\n")
    if not newline or head[:1] not in {b"F", b"P", b"T"}:
        raise BadRecordError(call_id, "it does not begin with the kind and the node")
    return decode(call_id, body)


def read(call_id: str, data: bytes) -> Call | BadRecordError:
    """Read a stored call, or give the error that says why it cannot be read."""
    try:
        return unpack(call_id, data)
    except BadRecordError as error:
        return error


def member(call_id: str, node: str) -> str:
    """Name a call and its owner among the deadlines."""
    return f"{call_id}@{node}"


def objects(texts: Iterable[str | bytes]) -> list[dict[str, Any]]:
    """Read commands or answers; what is no JSON object is left out, and its sender waits in vain."""
    found = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
