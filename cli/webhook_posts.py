"""What webhooks say: news of a transfer as a signed HTTP request.

A receiver checks X-Handoff-Signature, which is "sha256=" and the HMAC-SHA256 (RFC 2104, hexadecimal) of the value of
X-Handoff-Timestamp, a full stop and the body; and that the timestamp is not old, so that nobody sends it again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from cli.views import transfer_data
from routing.secret_sources import find_value
from routing.secrets import Secret
from routing.store import Post
from routing.texts import BadValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.settings_model import Webhooks
    from routing.store import News

LONGEST_DELAY = 600.0
"""Seconds between two attempts at most."""
ID_LENGTH = 12


def make_posts(news: News, settings: Webhooks, now: float) -> list[Post]:
    """Make what is to be sent about a transfer: a post for each receiver, if they want to know of it."""
    if news.event not in settings.events:
        return []
    event = f"transfer.{news.event}"
    head = {"id": news.id, "event": event, "at": news.at, "call": news.call_id}
    body = json.dumps({**head, "transfer": transfer_data(news.transfer)})
    return [
        Post(
            id=_short(news.id, url),
            url=url,
            lane=_short("lane", news.transfer.id, url),
            event=event,
            event_id=news.id,
            body=body,
            queued_at=now,
        )
        for url in settings.urls
    ]


def _short(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:ID_LENGTH]


def request_headers(post: Post, secret: Secret | None, now: float) -> dict[str, str]:
    """Give the header fields of one attempt; signed only where there is a secret."""
    stamp = str(int(now))
    headers = {
        "Content-Type": "application/json",
        "X-Handoff-Event": post.event,
        "X-Handoff-Event-Id": post.event_id,
        "X-Handoff-Timestamp": stamp,
    }
    return headers if secret is None else {**headers, "X-Handoff-Signature": sign(secret, stamp, post.body)}


def sign(secret: Secret, stamp: str, body: str) -> str:
    """Give the signature of a body that is sent at that time (whole seconds since the epoch)."""
    return "sha256=" + hmac.new(secret.reveal().encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()


def delay_after(attempts: int, settings: Webhooks) -> float:
    """Tell how many seconds to wait after so many attempts: it doubles each time."""
    return float(min(settings.retry_after * 2 ** (attempts - 1), LONGEST_DELAY))


def find_webhook_secret(settings: Webhooks, environ: Mapping[str, str]) -> Secret | None:
    """Read the secret that posts are signed with, if there is one; raises BadValue."""
    if settings.secret is None:
        return None
    try:
        return find_value(Secret.read(settings.secret), None, environ)
    except BadValue as error:
        raise BadValue(f"webhooks.secret: {error.what}", mend=error.mend) from None


def shown_url(url: str) -> str:
    """Write a URL for people; what follows the ? may be a secret."""
    place, mark, _ = url.partition("?")
    return f"{place}{mark and '?...'}"
