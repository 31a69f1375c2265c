"""waiting.py [--runs 10000]: runs waiting in back-off; memory of the engine, latency of its status.

Starts the engine and an endpoint that always answers 500, both on loopback; every run has an hour's
back-off, so that after its first attempt it only waits. Prints one JSON line.
"""
import argparse, json, os, socket, subprocess, sys, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fails(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def rss_mib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request(connection, method, path, body=None):
    connection.request(method, path, body, {"content-type": "application/json", "prefer": "respond-async"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--runs", type=int, default=10_000)
    runs = ap.parse_args().runs
    app = ThreadingHTTPServer(("127.0.0.1", 0), Fails)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        engine = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "serve", "--port", str(port), "--db", f"{folder}/a.db"],
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(2)
            empty = rss_mib(engine.pid)
            url = f"http://127.0.0.1:{app.server_port}/fails"

            def fill(numbers):
                connection = HTTPConnection("127.0.0.1", port, timeout=60)
                for number in numbers:
                    body = {"workflowName": "w", "stepInvokeUrl": url, "idempotencyKey": f"k{number}",
                            "payload": {"number": number}, "retry": {"count": 3, "backOff": 3600000, "maxBackOff": 3600000}}
                    status, text = request(connection, "POST", "/bench", json.dumps(body))
                    assert status == 202, (status, text)

            began = time.time()
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(fill, [range(start, runs, 16) for start in range(16)]))
            filled_s = time.time() - began
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            while True:
                status = json.loads(request(connection, "GET", "/api/v1/status")[1])
                if status["timedCount"] == runs and not status["inMemory"]:
                    break
                time.sleep(0.5)
            time.sleep(2)
            took = []
            for _ in range(200):
                began = time.perf_counter()
                request(connection, "GET", "/api/v1/status")
                took.append((time.perf_counter() - began) * 1000)
            took.sort()
            size = sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder))
            print(json.dumps({"runs": runs, "submitted_per_s": round(runs / filled_s), "rss_empty_mib": round(empty, 1),
                              "rss_waiting_mib": round(rss_mib(engine.pid), 1), "in_memory": status["inMemory"],
                              "status_ms_p50": round(took[100], 2), "status_ms_p99": round(took[197], 2),
                              "file_bytes_per_run": size // runs}))
        finally:
            engine.terminate()
            engine.wait(15)
            app.shutdown()


main()
