#!/usr/bin/env python3
"""A stand-in for `vllm serve`: the parts of its HTTP API that the proxy touches, and its ways to end.

What it was asked goes to the file FAKE_VLLM_LOG, JSON by line. FAKE_VLLM_FAILS = "code:last words" ends it
at once. Prompts steer it: "hold" waits for a file `release` beside the log, "die" ends the process.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOG = Path(os.environ["FAKE_VLLM_LOG"])


def log(value):
    with LOG.open("a") as out:
        out.write(json.dumps(value) + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        texts = {"/health": "", "/version": '{"version": "0.0"}', "/metrics": "vllm:num_requests_running 0\n"}
        self.reply(texts.get(self.path, json.dumps({"path": self.path})))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        log({"path": self.path, "body": body, "authorization": self.headers.get("authorization")})
        prompt = body.get("prompt") or body["messages"][-1]["content"]
        if prompt == "die":
            os._exit(5)
        if prompt == "hold":
            while not LOG.with_name("release").exists():
                time.sleep(0.02)
        if prompt == "refuse":
            self.reply(json.dumps({"error": {"message": "too long", "code": 400}}), 400)
        elif self.path == "/tokenize":
            self.reply(json.dumps({"count": len(prompt.split())}))
        elif body.get("stream"):
            self.stream(prompt)
        else:
            said = f"{body['model']} says {prompt}"
            choice = {"text": f" -> {said}", "message": {"role": "assistant", "content": said}}
            self.reply(json.dumps({"choices": [choice] * body.get("n", 1)}))

    def stream(self, prompt):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            self.chunk("data: 1\n\n")
            while prompt == "endless" or not LOG.with_name("release").exists():
                time.sleep(0.02)
                if prompt == "endless":
                    self.chunk("data: on\n\n")
            self.chunk("data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            log({"gone": prompt})
            self.close_connection = True

    def chunk(self, text):
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        self.wfile.flush()

    def reply(self, text, status=200):
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def main():
    log({"argv": sys.argv[1:]})
    if fails := os.environ.get("FAKE_VLLM_FAILS"):
        code, words = fails.split(":", 1)
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()
        if int(code) < 0:
            os.kill(os.getpid(), -int(code))
        sys.exit(int(code))
    options = dict(
        each.removeprefix("--").split("=", 1) for each in sys.argv if each.startswith("--") and "=" in each
    )
    server = ThreadingHTTPServer((options["host"], int(options["port"])), Handler)

    def stop(*_):
        log({"signal": "SIGTERM"})
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
