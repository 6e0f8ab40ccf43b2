"""The template's rules against sample events, judged by the local AWS; and the local AWS itself: start, what PutEvents takes, end.

    python test_rules.py        with the requirements of requirements.txt installed
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import boto3
from botocore.exceptions import EndpointConnectionError

import check_template

HERE = Path(__file__).resolve().parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        port = free_port()
        environment = {**os.environ, "GATEWAY_PORT": str(port), "TMPDIR": cls.folder.name}
        environment.pop("AWS_ENDPOINT_URL", None)
        cls.server = subprocess.Popen(
            [sys.executable, str(HERE / "ministack.py")], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        cls.events = boto3.client(
            "events",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        end = time.monotonic() + 20
        while True:
            try:
                cls.events.list_rules()
                break
            except EndpointConnectionError:
                if time.monotonic() > end or cls.server.poll() is not None:
                    raise
                time.sleep(0.05)
        template = check_template.expand(HERE.parents[1] / "infra" / "template.yaml")
        cls.patterns = {
            name: resource["Properties"]["EventPattern"]
            for name, resource in template["Resources"].items()
            if resource["Type"] == "AWS::Events::Rule" and "EventPattern" in resource["Properties"]
        }

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(10)
        cls.folder.cleanup()

    def matches(self, rule, source, detail_type, detail):
        event = {
            "version": "0",
            "id": "6f87d04b-9f74-4f04-a780-7acf4b0a9b38",
            "detail-type": detail_type,
            "source": source,
            "account": "123456789012",
            "time": "2024-05-02T10:11:12Z",
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
        return self.events.test_event_pattern(EventPattern=json.dumps(self.patterns[rule]), Event=json.dumps(event))["Result"]

    def test_push(self):
        def matches(detail, source="aws.codecommit", detail_type="CodeCommit Repository State Change"):
            return self.matches("PushFunctionRepositoryChanged", source, detail_type, {"repositoryName": "shop", **detail})

        self.assertTrue(matches({"event": "referenceCreated", "referenceType": "branch"}))
        self.assertTrue(matches({"event": "referenceUpdated", "referenceType": "tag"}))
        self.assertFalse(matches({"event": "referenceDeleted"}))
        self.assertFalse(matches({"event": "unreferencedMergeCommitCreated"}))
        self.assertFalse(matches({"event": "pullRequestCreated"}, detail_type="CodeCommit Pull Request State Change"))
        self.assertFalse(matches({"event": "referenceUpdated"}, source="my.codecommit"))

    def test_task_state(self):
        def matches(**detail):
            detail = {"startedBy": "bellhop/abcdefghij/test/1", "lastStatus": "RUNNING", "desiredStatus": "RUNNING", **detail}
            detail = {name: value for name, value in detail.items() if value is not None}
            return self.matches("TaskStateFunctionTaskChanged", "aws.ecs", "ECS Task State Change", detail)

        self.assertTrue(matches())
        self.assertTrue(matches(desiredStatus="STOPPED", stopCode="SpotInterruption"))
        self.assertTrue(matches(lastStatus="DEACTIVATING"))
        self.assertTrue(matches(lastStatus="STOPPING"))
        self.assertTrue(matches(lastStatus="DEPROVISIONING"))
        self.assertTrue(matches(lastStatus="STOPPED"))
        self.assertFalse(matches(lastStatus="PENDING"))
        self.assertFalse(matches(lastStatus="PROVISIONING"))
        self.assertFalse(matches(startedBy="ecs-svc/1234567890123456789"))
        self.assertFalse(matches(startedBy="not-bellhop/abcdefghij/test/1"))
        self.assertFalse(matches(startedBy=None))

    def test_the_local_aws_takes_events_of_aws_services(self):
        entry = {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": "{}"}
        self.assertEqual(self.events.put_events(Entries=[entry])["FailedEntryCount"], 0)


if __name__ == "__main__":
    unittest.main()
