"""One HTTP request with a deadline for all of it, however slowly a receiver takes or gives each byte."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping


async def post(url: str, headers: Mapping[str, str], body: str, timeout: float, trust: ssl.SSLContext) -> str:
    """Post once; gives why it failed, or "" when the receiver has it.

    `timeout` is in seconds, and for everything: looking up the host, connecting, TLS, the request, and the response up
    to the end of its header; its body says nothing. `trust` says who may certify hosts.
    """
    try:
        async with (
            asyncio.timeout(timeout),  # httpx counts each read anew
            httpx.AsyncClient(verify=trust, timeout=timeout, trust_env=False) as client,
            client.stream("POST", url, headers=headers, content=body) as response,
        ):
            return "" if response.is_success else f"it answered {response.status_code}"
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer within {timeout:g} s"
    except httpx.HTTPError as error:
        return f"no answer ({_first_cause(error)})"
    except (httpx.InvalidURL, UnicodeError) as error:  # of a redirect, which httpx reads though it does not follow it
        return f"no URL that leads anywhere ({error})"


def _first_cause(error: BaseException) -> str:
    """Find what the layers below said, which is more than `All connection attempts failed`."""
    while earlier := error.__cause__ or error.__context__:
        error = earlier
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own words say only where
    return str(error)
