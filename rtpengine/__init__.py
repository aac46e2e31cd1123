"""How to talk to rtpengine: typed commands and replies over its ng protocol.

`commands` and `replies` are values, `exchange` the protocol without I/O, `client` one node over UDP, `pool` all nodes,
`fake` an rtpengine in memory for tests.
"""

from rtpengine.client import Client
from rtpengine.codec_choice import Codecs
from rtpengine.commands import Answer, Command, Delete, Offer, Ping, Query
from rtpengine.errors import (
    BadAddress,
    BadReply,
    CommandRefused,
    DeadlineExceeded,
    NodeFailed,
    NodeUnreachable,
    NoNodeAvailable,
    RtpengineError,
    UnknownNode,
)
from rtpengine.fake import FakeRtpengine
from rtpengine.party_commands import BlockDtmf, BlockMedia, PlayMedia, StopMedia, UnblockDtmf, UnblockMedia
from rtpengine.pool import MediaPool, Pool
from rtpengine.replies import CallQueried, Done, MediaPlayed, PartyMedia, Pong, Quality, Reply, SdpReply, Stream
from rtpengine.security import Security

__all__ = [
    "Answer",
    "BadAddress",
    "BadReply",
    "BlockDtmf",
    "BlockMedia",
    "CallQueried",
    "Client",
    "Codecs",
    "Command",
    "CommandRefused",
    "DeadlineExceeded",
    "Delete",
    "Done",
    "FakeRtpengine",
    "MediaPlayed",
    "MediaPool",
    "NoNodeAvailable",
    "NodeFailed",
    "NodeUnreachable",
    "Offer",
    "PartyMedia",
    "Ping",
    "PlayMedia",
    "Pong",
    "Pool",
    "Quality",
    "Query",
    "Reply",
    "RtpengineError",
    "SdpReply",
    "Security",
    "StopMedia",
    "Stream",
    "UnblockDtmf",
    "UnblockMedia",
    "UnknownNode",
]
