#!/usr/bin/env python3
"""A web page of another origin, in a real browser, against `qwen3 serve`: fetch, forms, images, scripts,
frames, beacons, WebSocket and EventSource, whose bodies hold whole requests (browser.html). The server's
access log must show nothing but refusals, none of the requests inside bodies, and the page must not be
able to read an answer.

The same page under an origin that the server allows must read answers: that shows that the page can.

    tests/attacks/browser.py [--program build/release/bin/qwen3] [--browser chromium]
"""
import argparse
import collections
import http.server
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench"))
import server_client as sc  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--program", default=sc.BIN / "qwen3")
parser.add_argument("--browser", default="chromium")
parser.add_argument("--seconds", type=float, default=120, help="that a page may take")
options = parser.parse_args()


class Page(http.server.ThreadingHTTPServer):
    """Serves the page under any name, and takes its report."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), PageHandler)
        self.text, self.reports = b"", queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def origin(self, name):
        return f"http://{name}:{self.server_address[1]}"


class PageHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/" else 404, self.server.text if self.path == "/" else b"")

    def do_POST(self):
        report = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/report":
            self.server.reports.put(json.loads(report))
        self.answer(200, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def visit(page, name):
    """What the page reports from under this name; the browser finds every name on this machine."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        log = open(Path(profile, "log"), "wb")
        browser = subprocess.Popen(
            [options.browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
             f"--user-data-dir={profile}/data", "--host-resolver-rules=MAP *.example 127.0.0.1", page.origin(name)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            return page.reports.get(timeout=options.seconds)
        except queue.Empty:
            raise SystemExit(f"no report from the browser within {options.seconds:.0f} s:\n"
                             + Path(profile, "log").read_text(errors="replace")[-2000:]) from None
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def attack_server(page, name, verdicts, *more):
    """The page's report and the server's log records after it ran under this name."""
    server = sc.qwen3_serve("-m", "nano", *more, program=options.program)
    # The line of the question whether it is ready may follow its answer.
    while not any(record["status"] == 200 for record in server.records()):
        time.sleep(0.01)
    asked = len(server.records())
    page.text = (HERE / "browser.html").read_bytes().replace(b"PORT", str(server.port).encode())
    report = visit(page, name)
    records = server.records()[asked:]
    verdicts.equal(f"{name}: exit code of the server", server.stop(), 0)
    return report, records


page, verdicts = Page(), sc.Verdicts()
report, records = attack_server(page, "evil.example", verdicts)
statuses = collections.Counter(record["status"] for record in records)
inner = [record["id"] for record in records if record["id"].startswith("inner-")]
for entry in report:
    if entry["readable"]:
        print(f"  {entry['name']}: {entry['said']}")
for record in records:
    if record["status"] < 400:
        print(f"  {record['method']} {record['path']}: {record['status']} ({record['id']})")
verdicts.equal("foreign page: requests inside bodies begun", len(inner), 0)
verdicts.equal("foreign page: requests not refused", sum(n for status, n in statuses.items() if status < 400), 0)
verdicts.equal("foreign page: answers it could read", sum(entry["readable"] for entry in report), 0)
verdicts.at_least("foreign page: requests that reached the server", len(records), 30)

allowed_report, _ = attack_server(page, "good.example", verdicts, "--allow-origin", page.origin("good.example"))
can_read = [entry["name"] for entry in allowed_report if entry["readable"]]
verdicts.check("plain GET" in can_read and "EventSource" not in can_read, "allowed page: reads what it asks for",
               ", ".join(can_read), "plain GET among it")
print(f"{len(report)} ways tried from a foreign page, {len(records)} requests reached the server: "
      + ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items())))
verdicts.exit()
