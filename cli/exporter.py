"""`handoff exporter`: serves the metrics of the workers, and gauges read from Redis, to Prometheus."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any

import click
from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cli.effective import connect, effective_settings
from cli.exemplars import Exemplified
from cli.gauges import StoredGauges
from cli.output import Failed, OperatorCommand, print_json
from cli.paths import METRICS, run_dir
from cli.prober import Prober
from cli.webhook_posts import find_webhook_secret
from cli.webhook_sender import Sender
from routing.texts import split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from routing.secrets import Secret
    from routing.settings import Settings

UNREADABLE = (OSError, ValueError, RuntimeError, struct.error)
"""What reading a worker's file raises when the worker has just made it, or when it is damaged."""


@click.command(cls=OperatorCommand)
@click.option("--listen", metavar="HOST:PORT", help="Where Prometheus may ask; default: metrics.listen.")
def exporter(config: str | None, as_json: bool, listen: str | None) -> None:
    """Serve the metrics to Prometheus, send webhooks, and probe targets, until Ctrl-C or SIGTERM.

    `handoff up` runs it as well. Counters and histograms are read from the files of the workers, in
    PROMETHEUS_MULTIPROC_DIR or the folder of the running handoff; calls and nodes are read from Redis.
    """
    settings = effective_settings(config)
    place = split_host_port(listen or settings.metrics.listen)
    secret = find_webhook_secret(settings.webhooks, os.environ)
    registry = CollectorRegistry()
    stop = _stop_asked()
    with connect(settings) as store, connect(settings) as log:
        registry.register(Exemplified(WorkerMetrics(metrics_folder(os.environ)), log, settings.node.id))
        registry.register(StoredGauges(store, settings.node.id))
        with serve(registry, *place) as server:
            url = f"http://{place[0]}:{place[1]}/metrics"
            print_json({"url": url}, one_line=True) if as_json else click.echo(f"metrics at {url}")
            threading.Thread(target=server.serve_forever, name="scrapes", daemon=True).start()
            prober = threading.Thread(target=_probe_targets, args=(settings, stop), name="probes")
            prober.start()
            try:
                _send_webhooks(settings, secret, stop)
            finally:
                stop.set()  # one that fails ends as a whole, and is started anew
                prober.join()
                server.shutdown()


def _send_webhooks(settings: Settings, secret: Secret | None, stop: threading.Event) -> None:
    """Post what becomes of transfers until it is told to stop, or only wait for that where nobody wants to know."""
    if not settings.webhooks.urls:
        stop.wait()
        return
    with connect(settings) as store:
        Sender(store, settings.webhooks, secret, _say).run(stop)


def _probe_targets(settings: Settings, stop: threading.Event) -> None:
    """Probe the targets that want it, until it is told to stop."""
    with connect(settings) as store:
        Prober(store, settings, _say).run(stop)


def _say(line: str) -> None:
    click.echo(line, err=True)


def metrics_folder(environ: Mapping[str, str]) -> Path:
    """Name the folder with the files of the workers; it need not be there yet."""
    return Path(environ.get("PROMETHEUS_MULTIPROC_DIR") or run_dir(environ) / METRICS)


class WorkerMetrics(Collector):
    """Adds up the files of all workers.

    The files of workers that have ended are kept and counted on: counters must not go back. There are no gauges among
    them, which would have to go with their process; those come from Redis. `handoff up` empties the folder at start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Give all counters and histograms; a file that cannot be read is left out, and the others are served."""
        files = [str(path) for path in self._folder.glob("*.db")]
        try:
            return _merge(files)
        except UNREADABLE:
            return _merge([file for file in files if _is_readable(file)])


def _merge(files: list[str]) -> list[Metric]:
    return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]


def _is_readable(file: str) -> bool:
    try:
        _merge([file])
    except UNREADABLE:
        return False
    return True


class _Handler(MetricsHandler):
    timeout = 5.0
    """Seconds that a client may stay silent, before its request and while it takes the answer."""


class Server(ThreadingMixIn, TCPServer):
    """An HTTP server with a thread for each scrape."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, place: Any, registry: CollectorRegistry) -> None:
        self.address_family = family
        super().__init__(place, _Handler.factory(registry))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write one line about a request that failed, unless the client itself has gone."""
        del request
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            click.echo(f"the scrape by {client_address[0]} failed: {error!r}", err=True)


def serve(registry: CollectorRegistry, host: str, port: int) -> Server:
    """Begin to listen; raises Failed when that is not possible there."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        return Server(family, place, registry)
    except OSError as error:
        mend = "see whether another exporter runs (`handoff up` starts one), or give another --listen"
        raise Failed(f"cannot listen at {host}:{port} ({error.strerror}): {mend}") from error


def _stop_asked() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
