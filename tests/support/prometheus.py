"""A real Prometheus on a loopback port of its own, and something for it to scrape."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.house import free_port

START_SECONDS = 30.0


class PrometheusServer:
    """One prometheus process that can be killed and brought back on the same port, its data kept in `folder`.

    `targets` are HOST:PORT, scraped every `interval` seconds. `rules` are alerting rules as in a rules file.
    """

    def __init__(
        self, folder: Path, targets: Sequence[str], *, interval: float = 1.0, rules: Sequence[Mapping[str, object]] = ()
    ) -> None:
        self.interval = interval
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        period = f"{int(interval * 1000)}ms"
        self._write("rules.yml", {"groups": [{"name": "test", "rules": rules}]})
        self._write(
            "prometheus.yml",
            {
                "global": {"scrape_interval": period, "scrape_timeout": period, "evaluation_interval": period},
                "rule_files": ["rules.yml"],
                "scrape_configs": [{"job_name": "test", "static_configs": [{"targets": list(targets)}]}],
            },
        )

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers queries."""
        if self._process is not None:
            return
        program = shutil.which("prometheus")
        assert program, "prometheus is not installed: `make test` installs it, or apt-get install prometheus"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder}/prometheus.yml",
                    f"--storage.tsdb.path={self._folder}/data",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            running = self._process.poll() is None and time.monotonic() < end
            assert running, f"prometheus does not answer: {(self._folder / 'log').read_text()[-500:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, unless it is gone already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=5) as answer:  # noqa: S310 - the address is our own
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _write(self, name: str, content: object) -> None:
        (self._folder / name).write_text(json.dumps(content))  # JSON is YAML


class ScrapeTarget:
    """Serves what a test sets in `values`, by metric's name, from a thread of its own."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        values = self.values

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = "".join(f"{name} {value}\n" for name, value in values.copy().items()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._thread = threading.Thread(target=self._server.serve_forever, name="scrape target")
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ScrapeTarget:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
