"""The words for what goes wrong with a transfer: one for each rule of the diagnosis."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What a rule finds; programs read it as the diagnosis's `rule`."""

    # what ended all
    CALLER_HUNG_UP = "caller_hung_up"
    CANCELLED = "cancelled"
    # on the way to the endpoint
    DNS = "dns"
    NO_ROUTE = "no_route"
    NO_REPLY = "no_reply"
    TCP = "tcp"
    TLS = "tls"
    CLOCK_SKEW = "clock_skew"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME = "certificate_name"
    CERTIFICATE_AUTHORITY = "certificate_authority"
    CERTIFICATE = "certificate"
    TOO_LARGE = "too_large"
    # not called
    LIMIT = "limit"
    RESTED = "rested"
    NOT_REGISTERED = "not_registered"
    NO_SUCH_USER = "no_such_user"
    # nobody came on
    RING_TIMEOUT = "ring_timeout"
    NEVER_RANG = "never_rang"
    NO_KEY = "no_key"
    DECLINED = "declined"
    # who calls
    NO_LOGIN = "no_login"
    WRONG_LOGIN = "wrong_login"
    STALE_NONCE = "stale_nonce"
    CALLER_ID = "caller_id"
    FORBIDDEN = "forbidden"
    # what else the endpoint said
    NOT_FOUND = "not_found"
    LOOP = "loop"
    REDIRECTED = "redirected"
    GIVEN_UP_THERE = "given_up_there"
    BUSY = "busy"
    AWAY = "away"
    CONGESTION = "congestion"
    GLARE = "glare"
    GLARE_STORM = "glare_storm"
    OUT_OF_ORDER = "out_of_order"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"
    # the caller's side was to call
    REFER_LOGIN = "refer_login"
    REFER_REFUSED = "refer_refused"
    REFER_SILENT = "refer_silent"
    REFER_FAILED = "refer_failed"
    # media
    CODEC = "codec"
    SRTP = "srtp"
    RTPENGINE = "rtpengine"
    NO_AUDIO = "no_audio"
    ONE_WAY_AUDIO = "one_way_audio"
    NAT_ADDRESS = "nat_address"
