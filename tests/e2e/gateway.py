"""A messaging gateway that records what arrives and when: the platform's own view of us."""

import json
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huntaze_pipeline import hashing
from huntaze_pipeline.local.simulator.judge import fullest


class Gateway(ThreadingHTTPServer):
    """Takes messages like the OnlyFans gateway, slowly now and then; forgets nothing."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.arrivals: list[tuple[float, str, str]] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "Gateway":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def worst(self, window_s: float) -> int:
        """The most arrivals of one account in any window."""
        times: dict[str, list[float]] = defaultdict(list)
        for at, account, _ in self.arrivals:
            times[account].append(at)
        return max(fullest(found, window_s) for found in times.values())

    def counts(self) -> Counter[str]:
        """How often each message arrived."""
        return Counter(key for _, _, key in self.arrivals)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def do_POST(self) -> None:
        at = time.monotonic()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = body["key"]
        self.server.arrivals.append((at, self.path.split("/")[2], key))
        time.sleep(0.005 + 0.15 * hashing.fraction("latency", key) ** 4)
        answer = json.dumps({"id": f"of-{key}"}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError):
            self.close_connection = True
