"""The names by which Kamailio calls into Python; a misspelt one would only be seen in a debug log."""

from __future__ import annotations

from enum import StrEnum


class Callback(StrEnum):
    """Every method of `kemi.app.Handoff` that Kamailio is told to call."""

    REQUEST = "ksr_request_route"
    REPLY = "ksr_reply_route"
    LOCAL_REQUEST = "ksr_tm_event"
    TICK = "ksr_tick"
    HTTP_REQUEST = "ksr_http_request"
    AGENT_EVENT = "ksr_agent_event"
    CALL_REPLY = "ksr_call_reply"
    CALL_FAILURE = "ksr_call_failure"
    LEG_REPLY = "ksr_leg_reply"
    LEG_FAILURE = "ksr_leg_failure"
    DIALOG_REPLY = "ksr_dialog_reply"
    DIALOG_FAILURE = "ksr_dialog_failure"
    REFER_REPLY = "ksr_refer_reply"
    REFER_FAILURE = "ksr_refer_failure"
    REFRESH_REPLY = "ksr_refresh_reply"
    REFRESH_FAILURE = "ksr_refresh_failure"
    PROBE_REPLY = "ksr_probe_reply"
    CONTACT_EXPIRED = "ksr_contact_expired"
