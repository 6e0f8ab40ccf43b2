"""The local AWS for as long as a test needs it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.exceptions import EndpointConnectionError

HERE = Path(__file__).resolve().parent
REGION = "us-east-1"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
# How long it may take to come up, in seconds; on a machine that compiles beside it, several times its usual one.
START = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class LocalAws:
    """A ministack on a free port, with a folder of its own. Both end with the `with` statement, or with `stop`."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "GATEWAY_PORT": str(port), "TMPDIR": self.folder.name}
        environment.pop("AWS_ENDPOINT_URL", None)
        self.server = subprocess.Popen(
            [sys.executable, str(HERE / "ministack.py")], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self.wait_until_up()
        except BaseException:
            self.stop()
            raise
        self.events = self.client("events")
        self.judged = {}

    def wait_until_up(self):
        events = self.client("events")
        end = time.monotonic() + START
        while True:
            try:
                events.list_rules()
                return
            except EndpointConnectionError:
                if time.monotonic() > end or self.server.poll() is not None:
                    raise
                time.sleep(0.05)

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **CREDENTIALS)

    def passes(self, pattern, event):
        """Whether a rule with this pattern lets the event pass. Both are JSON."""
        if (pattern, event) not in self.judged:
            self.judged[pattern, event] = self.events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]
        return self.judged[pattern, event]

    def stop(self):
        self.server.terminate()
        self.server.wait(10)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
