"""Bookings, for the examples: an API that tells how it is, and jobs that move them on. One connection for each piece of work."""
import json
import os
import signal
import sys
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import psycopg2

HEARTBEAT_SECONDS = 3


def ask(sql, *values):
    connection = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=2, application_name="bookings")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def newest_revision():
    """What the release's own code is written for: the last of its revisions by name."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alembic", "versions")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    return names[-1].split("_")[0]


def readiness():
    try:
        version = ask("select version_num from alembic_version")[0][0]
        age = ask("select extract(epoch from clock_timestamp() - max(at))::float8 from heartbeats")[0][0]
    except psycopg2.Error:
        return {"ok": False, "checks": [{"name": "db", "ok": False}]}
    expected = newest_revision()
    checks = [
        {"name": "db", "ok": True},
        {"name": "migrations", "ok": version == expected, "detail": {"current_version": version, "expected_head": expected}},
        {"name": "jobs", "ok": age < HEARTBEAT_SECONDS, "detail": {"age_seconds": age}},
    ]
    if os.path.exists("broken"):
        checks.append({"name": "search", "ok": False})
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlparse(self.path)
        if url.path == "/version":
            return self.answer(200, {"tag": os.environ.get("RELEASE")})
        if url.path == "/readyz":
            ready = readiness()
            return self.answer(200 if ready["ok"] else 503, ready)
        try:
            wanted = parse_qs(url.query).get("correlation")
            rows = ask("select count(*) from bookings where %s::text is null or correlation = %s", wanted and wanted[0], wanted and wanted[0])
            return self.answer(200, {"ok": True, "total": rows[0][0]})
        except psycopg2.Error:
            return self.answer(503, {"ok": False})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        try:
            # Sent twice it is one: the correlation id is the booking's own.
            ask(
                "insert into bookings (customer, correlation) values (%s, %s) on conflict (correlation) do nothing",
                body.get("customer"),
                self.headers.get("x-correlation-id"),
            )
            return self.answer(201, {"ok": True})
        except psycopg2.Error:
            return self.answer(503, {"ok": False})

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        if "x-correlation-id" in self.headers:
            self.send_header("x-correlation-id", self.headers["x-correlation-id"])
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Api)
    server.daemon_threads = True
    server.serve_forever()


def work():
    """Marks that it lives, and confirms what was booked."""
    while True:
        try:
            ask("insert into heartbeats (at) values (%s)", datetime.now(timezone.utc))
            ask("update bookings set confirmed = true where not confirmed")
        except psycopg2.Error:
            pass
        time.sleep(0.2)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    {"api": serve, "jobs": work}[sys.argv[1]]()
