"""A web server that is well until told otherwise: POST /PATH makes GET /PATH fail from then on."""

import argparse
import http.server
import os
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--host", default="0.0.0.0")
parser.add_argument("--port", type=int, default=5000)
given = parser.parse_args()
sick = set()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path in sick else 200)
        self.end_headers()
        self.wfile.write(os.environ["GREETING"].encode())

    def do_POST(self):
        sick.add(self.path)
        self.send_response(200)
        self.end_headers()


with http.server.HTTPServer((given.host, given.port), Answer) as server:
    sys.stdout.write(f"listening on {given.host}:{given.port}\n")
    sys.stdout.flush()
    server.serve_forever()
