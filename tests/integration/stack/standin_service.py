"""Stands for edge, billing, deposits and console when the supervisor is under test: answers /readyz, commands end at once."""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

NAME = (__package__ or "tt_edge").removeprefix("tt_").upper()


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


command = sys.argv[1] if len(sys.argv) > 1 else "serve"
if os.environ.get(f"FAIL_{command.upper()}") == "1":
    sys.exit(f"{NAME} was told to fail at {command}")
if command == "demo":
    sys.stdout.write("sk-demo\n")
elif command == "env":
    sys.stdout.write("\n".join(f"{key}={value}" for key, value in os.environ.items()))
elif command == "serve":
    HTTPServer((os.environ[f"{NAME}_HOST"], int(os.environ[f"{NAME}_PORT"])), Ready).serve_forever()
