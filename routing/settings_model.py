"""The settings of one node, as the sections of handoff.toml; made by `routing.settings.load_settings`."""

from __future__ import annotations

import socket
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from routing.hours import local_zone
from routing.settings_fields import (
    AgentUri,
    CallerId,
    Codec,
    Domain,
    HostPattern,
    HostPort,
    Interface,
    Listen,
    Name,
    Network,
    Number,
    Origin,
    Path,
    Port,
    Prompt,
    RedisUrl,
    Reference,
    RingTimeout,
    SpeechCommand,
    Spoken,
    Text,
    TimeZone,
    TrunkUri,
    Voice,
    WebhookEvent,
    WebhookUrl,
)
from routing.settings_lookup import dial_checker, normal_host, pool_finder, trunk_finder
from routing.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable


class Section(BaseModel):
    """A part of the settings: never changed after it is read, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Node(Section):
    """This machine."""

    id: Name = Field(default_factory=socket.gethostname, description="Name of this node; default: the hostname.")
    time_zone: TimeZone = Field(
        default_factory=local_zone,
        description="Time zone of office hours where a target says nothing else; default: the machine's.",
    )
    workers: int = Field(4, ge=1, le=64, description="Kamailio workers per place it listens at.")
    drain: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Seconds that SIGTERM leaves to the calls of this node to end; new ones get 503 meanwhile.",
    )


class Sip(Section):
    """Where SIP is spoken, and how."""

    listen: tuple[Listen, ...] = Field(
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"),
        min_length=1,
        description="Where to listen: udp:address:port, tcp:address:port or tls:address:port, and for web pages "
        "ws:address:port or wss:address:port.",
    )
    origins: tuple[Origin, ...] = Field(
        (), description="Pages that may connect by ws or wss: https://app.example.com; default: all."
    )
    advertise: HostPort | None = Field(
        None, description="host:port that others reach this node at, if it is behind NAT; default: as in listen."
    )
    no_reply_timeout: float = Field(
        4.0, ge=0.5, le=32, description="Seconds without any reply to an INVITE until its endpoint is unreachable."
    )
    user_agent: Text = Field("handoff", description="User-Agent header of the requests that handoff makes.")


class Tls(Section):
    """How peers are known over TLS, and we to them."""

    certificate: Path | None = Field(None, description="Our certificate, as PEM, with those between it and its CA.")
    key: Path | None = Field(None, description="The private key of it, as PEM, readable by handoff alone.")
    ca_file: Path | None = Field(
        None, description="Whom we trust to certify peers: certificates as PEM; default: those of the system."
    )
    verify: bool = Field(
        default=True, description="Whether a peer that we connect to must have a certificate for the name dialled."
    )


class Redis(Section):
    """Where calls and targets are kept."""

    url: RedisUrl | None = Field(
        None,
        repr=False,
        description="unix:///path, redis://host:port or rediss://host:port; default: handoff starts its own. "
        "The environment variable HANDOFF_REDIS_URL wins over it.",
    )
    deadline: float = Field(0.1, ge=0.01, le=5, description="Seconds that a worker waits for Redis at most.")


class Rtpengine(Section):
    """Who carries the media."""

    nodes: dict[Name, HostPort] = Field(
        {}, description='rtpengine nodes, name = "host:port" of the ng protocol; default: handoff starts its own.'
    )
    interface: Interface = Field(
        "127.0.0.1",
        description='Address of our own rtpengine for media; "address!public address" behind NAT.',
    )
    port_min: Port = Field(20000, description="First UDP port for media of our own rtpengine.")
    port_max: Port = Field(29999, description="Last UDP port for media of our own rtpengine.")
    dtmf_listen: HostPort | None = Field(
        None,
        description="host:port that rtpengine logs keys to (its --dtmf-log-dest); default: handoff picks one for its "
        "own rtpengine.",
    )


class Trunk(Section):
    """Who may send new calls."""

    name: Name = Field(description="Name of the trunk.", examples=['"carrier"'])
    addresses: tuple[Network, ...] = Field(
        min_length=1, description="IP addresses and networks that it calls from.", examples=['["192.0.2.0/24"]']
    )
    uri: TrunkUri | None = Field(
        None,
        description="Where it takes calls, without a user: sip:carrier.example.com. The endpoints of targets that are "
        "tel: URIs go to the first trunk that has one.",
    )
    user: Text | None = Field(None, description="Name to log in with where it asks who sends it a REFER.")
    secret: Reference | None = Field(None, description='Where the secret for that is: "env:NAME" or "file:/path".')


class Agent(Section):
    """One voice agent of a pool."""

    uri: AgentUri = Field(
        description="SIP URI that it is called at; without a user it gets the number called.",
        examples=['"sip:agent@192.0.2.10:5060"'],
    )
    weight: int = Field(50, ge=1, le=100, description="Its share of the calls, compared with the others' weights.")


class Pool(Section):
    """Voice agents that take the calls to some numbers or domains."""

    name: Name = Field(description="Name of the pool.", examples=['"agents"'])
    numbers: tuple[Number, ...] = Field((), description="Called numbers: +49301234, a prefix +49*, or * for all.")
    domains: tuple[Domain, ...] = Field((), description="Called domains, asked when no number matches.")
    agents: tuple[Agent, ...] = Field(
        min_length=1, description="Who answers.", examples=['[{uri = "sip:agent@192.0.2.10:5060"}]']
    )
    may_refer: bool = Field(default=True, description="Whether its agents may hand calls over by REFER.")
    ring_timeout: RingTimeout = Field(20.0, description="Seconds until the next agent is tried (1 to 300).")


class Users(Section):
    """Whose phones register here, so that they can be targets: sip:alice@handoff.local."""

    domains: tuple[Domain, ...] = Field((), description="Domains whose users register here; default: none.")
    max_contacts: int = Field(10, ge=1, le=50, description="How many phones of one user may be registered at once.")
    min_expires: int = Field(60, ge=1, le=86400, description="Seconds that a registration must last at least.")
    max_expires: int = Field(3600, ge=1, le=86400, description="Seconds after which it ends unless it is renewed.")
    algorithms: tuple[Literal["SHA-256", "MD5"], ...] = Field(
        ("SHA-256", "MD5"),
        min_length=1,
        description="Ways of digest that phones may log in with, best first; some old phones only bear MD5 alone.",
    )
    ping_every: int = Field(
        25, ge=1, le=600, description="Seconds between two OPTIONS to each phone behind NAT, to keep its way open."
    )

    def has(self, host: str) -> bool:
        """Say whether a host is one of the domains."""
        return bool(self.domains) and normal_host(host) in self.domains


class Policy(Section):
    """What agents may ask for."""

    dial_uris: tuple[HostPattern, ...] = Field(
        (), description="Hosts, or *.domain, that a REFER may name without there being a target; default: none."
    )


class Transfer(Section):
    """What a transfer does where its target says nothing else."""

    ring_timeout: RingTimeout = Field(30.0, description="Seconds that an endpoint may ring (1 to 300).")
    refer_timeout: float = Field(
        10.0,
        ge=1,
        le=60,
        description="Seconds that the caller's side has to answer a REFER, and then to begin to report (1 to 60).",
    )
    codecs: tuple[Codec, ...] = Field(
        ("PCMU", "PCMA", "G722", "opus"), min_length=1, description="Codecs offered to the target, best first."
    )
    caller_id: CallerId = Field(
        "caller", description="Whose identity the target sees: caller, agent, or a SIP URI for all calls."
    )
    apology: Spoken = Field(
        "We are sorry, nobody can take your call right now. Please call again later.",
        description="Spoken to the caller when nobody answered and the agent has left; then the call ends.",
    )
    music: Path | None = Field(
        None, description="Sound file that callers on hold hear, over and over; default: music that handoff makes."
    )


class Hunting(Section):
    """When an endpoint that seems to be out of order is left alone, so that no caller waits for it in vain."""

    failures: int = Field(
        2, ge=1, le=100, description="Failures in a row (no reply, bad certificate, 503) after which it rests."
    )
    rest: float = Field(
        30.0, ge=0, le=3600, description="Seconds that it rests, unless it replies to an OPTIONS before; 0: never."
    )
    probe_every: float = Field(3.0, ge=0.5, le=300, description="Seconds between two OPTIONS to one that rests.")


class Speech(Section):
    """How texts are spoken, and the texts that handoff itself says."""

    command: SpeechCommand = Field(
        "espeak-ng -b 1 -v {voice} --stdin -w {file}",
        description="Speech engine: takes UTF-8 text at its stdin and writes a sound file. {file}, {voice} and "
        "{language} are filled in; no shell runs it.",
    )
    language: Voice = Field("en", min_length=1, description="Language where a target says nothing else.")
    voice: Voice = Field("", description='Voice where a target says nothing else; "": the language.')
    deadline: float = Field(
        5.0,
        ge=0.1,
        le=60,
        description="Seconds after the answer that speech is waited for; then the message below is played.",
    )
    folder: Path | None = Field(
        None, description="Folder of the sounds, which rtpengine must see too; default: sounds in the state dir."
    )
    message: Spoken = Field(
        "Please hold the line. You are about to be connected with a caller.",
        description="Said to the person where no other text is given, or where it could not be spoken in time.",
    )
    goodbye: Spoken = Field(
        "The call was not given to you. Goodbye.", description="Said to the person who did not take the call."
    )
    caller_gone: Spoken = Field(
        "The caller has hung up. Goodbye.", description="Said to the person when the caller leaves too early."
    )
    prompt: Prompt = Field(
        "Press {key} to take the call.", description="Asks the person for the key where a target says nothing else."
    )
    cache_megabytes: int = Field(500, ge=1, le=100_000, description="How large the spoken texts may grow together.")
    cache_days: float = Field(30.0, ge=0.01, le=3650, description="Days after which a text not used is dropped.")


class Media(Section):
    """When a party counts as gone."""

    timeout: float = Field(60.0, ge=5, le=3600, description="Seconds without RTP until a call is ended.")
    check_every: float = Field(30.0, ge=1, le=600, description="Seconds between two looks at a call's RTP.")


class Security(Section):
    """How secrets are kept."""

    key: Reference | None = Field(
        None,
        description='Where the key is that encrypts secrets in Redis: "env:NAME" or "file:/path"; 32 bytes in base64. '
        "Default: they are kept as they are.",
    )


class Metrics(Section):
    """Where Prometheus may ask."""

    listen: HostPort = Field("127.0.0.1:9464", description="host:port of the exporter.")


class Webhooks(Section):
    """Who is told of transfers, and how."""

    urls: tuple[WebhookUrl, ...] = Field((), description="URLs that events are posted to; default: none.")
    secret: Reference | None = Field(
        None, description='Where the secret is that the posts are signed with: "env:NAME" or "file:/path".'
    )
    events: tuple[WebhookEvent, ...] = Field(
        get_args(WebhookEvent),
        min_length=1,
        description="What is told of a transfer: the stages of one under way, and how it finished.",
    )
    timeout: float = Field(
        5.0, ge=0.1, le=60, description="Seconds that a post may take, from looking up the host to the answer."
    )
    attempts: int = Field(12, ge=1, le=100, description="How often a post is tried before it is given up.")
    retry_after: float = Field(
        1.0, ge=0.01, le=600, description="Seconds until the second attempt; they double with each, up to 600."
    )

    @property
    def stages(self) -> frozenset[Stage]:
        """The stages that somebody is told of."""
        return frozenset(stage for stage in Stage if stage in self.events) if self.urls else frozenset()


class Trace(Section):
    """What is kept of the SIP messages of calls, in the memory of the sidecar."""

    mode: Literal["off", "transfers", "all"] = Field(
        "transfers", description="Whose messages are kept: of no call, of calls under transfer, or of all."
    )
    minutes: float = Field(60.0, ge=1, le=1440, description="How long they are kept after the call's last message.")
    megabytes: int = Field(64, ge=1, le=4096, description="How much memory they take at most.")
    listen: HostPort | None = Field(
        None, description="host:port where the sidecar takes them from Kamailio by UDP; default: handoff picks one."
    )
    homer: HostPort | None = Field(
        None, description="host:port that they are sent on to, as HEP version 3 by UDP, such as that of a Homer."
    )


class Log(Section):
    """How much is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    format: Literal["text", "json"] = Field(
        "text", description="text: a line with key=value pairs; json: an object a line."
    )


LOOPBACK = Trunk(name="loopback", addresses=("127.0.0.0/8", "::1"))
A_POOL = '[{name = "agents", numbers = ["*"], agents = [{uri = "sip:agent@192.0.2.10:5060"}]}]'


class Settings(Section):
    """All settings of one node, and the lookups that every call needs.

    The lookups remember what they found: make other settings with `make_settings`, not with `model_copy`.
    """

    node: Node = Node()
    sip: Sip = Sip()
    tls: Tls = Tls()
    redis: Redis = Redis()
    rtpengine: Rtpengine = Rtpengine()
    trunks: tuple[Trunk, ...] = Field(
        (LOOPBACK,), min_length=1, description="Who may send new calls; default: this machine only."
    )
    pools: tuple[Pool, ...] = Field(min_length=1, description="Who takes the calls.", examples=[A_POOL])
    users: Users = Users()
    policy: Policy = Policy()
    transfer: Transfer = Transfer()
    hunting: Hunting = Hunting()
    speech: Speech = Speech()
    media: Media = Media()
    security: Security = Security()
    metrics: Metrics = Metrics()
    webhooks: Webhooks = Webhooks()
    trace: Trace = Trace()
    log: Log = Log()

    def trunk_for(self, address: str) -> Trunk | None:
        """Find the trunk that an IP address belongs to, the smallest network first; None: it may not call."""
        return self._find_trunk(address)

    def pool_for(self, user: str, host: str) -> Pool | None:
        """Find the pool for a Request-URI: exact number, longest prefix, domain, then the pool for all."""
        return self._find_pool(user, host)

    def pool_named(self, name: str) -> Pool | None:
        """Find a pool by its name."""
        return self._pools_by_name.get(name)

    @property
    def tel_trunk(self) -> str | None:
        """Where numbers of tel: URIs are called; None where no trunk says it."""
        return next((trunk.uri for trunk in self.trunks if trunk.uri), None)

    def may_dial(self, host: str) -> bool:
        """Say whether the policy lets agents have any URI at this host dialled; our own users it always does."""
        return self._may_dial(host)

    @cached_property
    def _find_trunk(self) -> Callable[[str], Trunk | None]:
        return trunk_finder(self.trunks)

    @cached_property
    def _find_pool(self) -> Callable[[str, str], Pool | None]:
        return pool_finder(self.pools)

    @cached_property
    def _pools_by_name(self) -> dict[str, Pool]:
        return {pool.name: pool for pool in self.pools}

    @cached_property
    def _may_dial(self) -> Callable[[str], bool]:
        return dial_checker((*self.policy.dial_uris, *self.users.domains))
