"""The template's rules against every sample event, judged by the local AWS; their dead-letter queues; and the local AWS itself: start, what PutEvents
takes, end.

    python test_rules.py        with the requirements of requirements.txt installed
"""

import json
import os
import re
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
ROOT = HERE.parents[1]

# The function that the rules bring each folder's samples to, and the samples that they bring elsewhere. What is no event of EventBridge's, such as a
# request or a message of SNS, no rule may let pass either.
REACHES = {
    "alarm": (
        "AlarmFunction",
        {
            "action": None,
            "action-set-by-hand": None,
            "anomaly-in-sns": None,
            "contributor": None,
            "contributor-in-sns": None,
            "in-sns": None,
            "old-in-sns": None,
        },
    ),
    "backup": (
        "BackupFunction",
        {
            "check": None,
            "copy-created": None,
            "misspelt": None,
            "restore-created": None,
            "restore-running": None,
            "running": None,
            "scheduler": None,
            "start": None,
        },
    ),
    "codebuild": (
        "BuildStateFunction",
        {"foreign": None, "other-phase": None},
    ),
    "codecommit": (
        "PushFunction",
        {
            "codestar-in-sns": None,
            "deleted-branch": None,
            "in-sns": None,
            "trigger": None,
            "trigger-deleted": None,
            "trigger-in-sns": None,
            "trigger-test": None,
            "trigger-two-references": None,
            "unreferenced-merge": None,
        },
    ),
    "codepipeline": (None, {}),
    "control": (None, {}),
    "ec2": ("SpotInterruptionFunction", {"state-change": None}),
    "ecs": (
        "TaskStateFunction",
        {"foreign-service": None, "provisioning": None},
    ),
    "schedule": (None, {}),
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def resolve(node, parameters):
    """What CloudFormation makes of a part of the template that uses parameters alone."""
    if isinstance(node, list):
        return [resolve(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        [(name, of)] = node.items()
        if name == "Ref":
            return parameters[of]
        if name == "Fn::Join":
            delimiter, items = resolve(of, parameters)
            return delimiter.join(items)
        if name == "Fn::Split":
            delimiter, text = resolve(of, parameters)
            return text.split(delimiter)
        if name == "Fn::Sub" and isinstance(of, str):
            return re.sub(r"\$\{([^}]+)\}", lambda found: parameters[found[1]], of)
        if name.startswith("Fn::"):
            raise ValueError(f"{name} depends on more than parameters")
    return {name: resolve(item, parameters) for name, item in node.items()}


def defaults(template):
    """The values of the template's parameters when nobody gives any, and the stack's name."""
    lists = ("CommaDelimitedList", "List<")
    values = {
        name: parameter["Default"].split(",") if parameter["Type"].startswith(lists) else parameter["Default"]
        for name, parameter in template["Parameters"].items()
    }
    return {**values, "AWS::StackName": "bellhop"}


def attribute_of(node, attribute="Arn"):
    """The resource whose attribute this is."""
    [name, found] = node["Fn::GetAtt"]
    if found != attribute:
        raise ValueError(f"{found} of {name} where {attribute} was expected")
    return name


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
        template = check_template.expand(ROOT / "infra" / "template.yaml")
        cls.template = template
        cls.suite = {"Fn::If": ["HasSuite", {"Ref": "Suite"}, {"Ref": "AWS::StackName"}]}
        cls.outputs = template["Outputs"]
        cls.resources = template["Resources"]
        cls.parameters = defaults(template)
        cls.rules = cls.of_type("AWS::Events::Rule")
        cls.unresolved = {name: rule["EventPattern"] for name, rule in cls.rules.items() if "EventPattern" in rule}
        cls.patterns = resolve(cls.unresolved, cls.parameters)

    @classmethod
    def of_type(cls, kind):
        """The properties of the template's resources of a type, by their names."""
        return {name: resource["Properties"] for name, resource in cls.resources.items() if resource["Type"] == kind}

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(10)
        cls.folder.cleanup()

    def event(self, source, detail_type, detail):
        return {
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

    def matches(self, rule, source, detail_type, detail):
        return self.passes(self.patterns[rule], self.event(source, detail_type, detail))

    def passes(self, pattern, event):
        return self.events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"]

    def test_every_sample_reaches_its_function_by_one_rule(self):
        self.assertEqual({folder.name for folder in (ROOT / "events").iterdir() if folder.is_dir()}, set(REACHES))
        for folder, (function, others) in REACHES.items():
            samples = sorted((ROOT / "events" / folder).glob("*.json"))
            self.assertLessEqual(set(others), {sample.stem for sample in samples})
            for sample in samples:
                event = json.loads(sample.read_text())
                reached = [self.target(rule) for rule, pattern in self.patterns.items() if self.passes(pattern, event)]
                expected = others.get(sample.stem, function)
                self.assertEqual(reached, [expected] if expected else [], sample)

    def target(self, rule):
        [target] = self.rules[rule]["Targets"]
        return attribute_of(target["Arn"])

    def test_what_a_rule_cannot_deliver_may_go_to_its_functions_queue(self):
        writers = {}
        for policy in self.of_type("AWS::SQS::QueuePolicy").values():
            [queue] = [queue["Ref"] for queue in policy["Queues"]]
            [statement] = policy["PolicyDocument"]["Statement"]
            self.assertEqual(
                (attribute_of(statement["Resource"]), statement["Effect"], statement["Action"], statement["Principal"]),
                (queue, "Allow", "sqs:SendMessage", {"Service": "events.amazonaws.com"}),
            )
            rules = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
            writers[queue] = sorted(attribute_of(rule) for rule in (rules if isinstance(rules, list) else [rules]))
        used = {}
        for name, rule in sorted(self.rules.items()):
            [target] = rule["Targets"]
            queue = attribute_of(target["DeadLetterConfig"]["Arn"])
            self.assertEqual(queue, self.target(name).removesuffix("Function") + "DeadLetterQueue")
            used.setdefault(queue, []).append(name)
        self.assertEqual(writers, used)

    def test_every_function_has_a_queue_an_alarm_and_outputs(self):
        functions = self.of_type("AWS::Lambda::Function")
        failures = {
            config["FunctionName"]["Ref"]: attribute_of(config["DestinationConfig"]["OnFailure"]["Destination"])
            for config in self.of_type("AWS::Lambda::EventInvokeConfig").values()
        }
        alarms = {}
        for name, alarm in self.of_type("AWS::CloudWatch::Alarm").items():
            [dimension] = alarm["Dimensions"]
            alarms[alarm["Namespace"], alarm["MetricName"], json.dumps(dimension["Value"])] = name
        self.assertEqual(failures, {function: function.removesuffix("Function") + "DeadLetterQueue" for function in functions})
        expected = {
            ("AWS/Lambda", "Invocations", json.dumps({"Ref": "SweepFunction"})): "SweepMissingAlarm",
            ("Bellhop", "OldestOverdueSeconds", json.dumps(self.suite)): "OverdueAlarm",
        }
        for function, queue in failures.items():
            name = function.removesuffix("Function")
            depth = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", json.dumps({"Fn::GetAtt": [queue, "QueueName"]}))
            expected[depth] = f"{name}DeadLetterAlarm"
            for metric in ("Errors", "Throttles"):
                expected["AWS/Lambda", metric, json.dumps({"Ref": function})] = f"{name}{metric}Alarm"
        self.assertEqual(alarms, expected)
        for function, queue in failures.items():
            for output, value in [
                (f"{function}Name", {"Ref": function}),
                (f"{function}Arn", {"Fn::GetAtt": [function, "Arn"]}),
                (f"{queue}Url", {"Ref": queue}),
            ]:
                self.assertEqual(self.outputs[output]["Value"], value, output)
            properties = functions[function]
            name = properties["FunctionName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            self.assertEqual(properties["Environment"]["Variables"]["AWS_SDK_UA_APP_ID"], f"bellhop-{name}")
            self.assertEqual(properties["Environment"]["Variables"]["BELLHOP_SUITE"], self.suite)

    def test_every_alarm_is_told_one_way(self):
        direct = set()
        for name, alarm in self.of_type("AWS::CloudWatch::Alarm").items():
            actions = [{"Ref": "Topic"}] if "AlarmActions" in alarm else None
            self.assertEqual((alarm.get("AlarmActions"), alarm.get("OKActions")), (actions, actions), name)
            alarm_name = resolve(alarm.get("AlarmName", f"bellhop-{name}-1A2B3C4D5E6F"), self.parameters)
            told_by_function = self.matches(
                "AlarmFunctionAlarmChanged",
                "aws.cloudwatch",
                "CloudWatch Alarm State Change",
                {"alarmName": alarm_name, "state": {"value": "ALARM"}},
            )
            self.assertEqual(told_by_function, actions is None, name)
            if actions:
                direct.add(name)
        # Those that the function that tells people, or the rule that wakes it, may not be there to tell.
        self.assertEqual(direct, {"AlarmDeadLetterAlarm", "AlarmErrorsAlarm", "AlarmThrottlesAlarm", "SweepMissingAlarm"})

    def test_operations_says_what_every_alarm_means(self):
        text = (ROOT / "docs" / "operations.md").read_text()
        [section] = re.findall(r"^## The stack's alarms\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        named = [name for row in rows for name in re.findall(r"`([A-Za-z]+Alarm)`", row.split("|")[1])]
        self.assertEqual(sorted(named), sorted(self.of_type("AWS::CloudWatch::Alarm")))

    def test_what_costs_carries_the_suites_tag(self):
        free = {
            "AWS::CloudWatch::Dashboard",  # takes no tags
            "AWS::Events::Rule",
            "AWS::IAM::ManagedPolicy",
            "AWS::IAM::Role",
            "AWS::Lambda::EventInvokeConfig",
            "AWS::Lambda::Permission",
            "AWS::S3::BucketPolicy",
            "AWS::SNS::Subscription",
            "AWS::SQS::QueuePolicy",
        }
        for name, resource in self.resources.items():
            if resource["Type"] not in free:
                properties = resource["Properties"]
                tags = properties.get("BackupVaultTags") or {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
                self.assertEqual(tags.get("bellhop:suite"), self.suite, name)

    def test_the_dashboard_shows_every_alarm_and_function(self):
        [dashboard] = self.of_type("AWS::CloudWatch::Dashboard").values()
        body, values = dashboard["DashboardBody"]["Fn::Sub"]
        self.assertEqual(values, {"Name": self.suite})
        numbers = {name for name, parameter in self.template["Parameters"].items() if parameter["Type"] == "Number"}
        shown = set(re.findall(r"\$\{([A-Za-z]+)(?:\.[A-Za-z]+)?\}", body))
        self.assertLessEqual({*self.of_type("AWS::CloudWatch::Alarm"), *self.of_type("AWS::Lambda::Function")}, shown)
        # Prices are numbers outside of JSON strings, too, and what is left of the substitutions is CloudWatch's.
        text = re.sub(r"\$\{([A-Za-z][A-Za-z0-9.:]*)\}", lambda found: "0.5" if found[1] in numbers else "x", body)
        widgets = json.loads(text.replace("${!", "${"))["widgets"]
        for widget in widgets:
            self.assertLessEqual(widget["x"] + widget["width"], 24, widget)
        places = [(widget["x"], widget["y"]) for widget in widgets]
        self.assertEqual(len(set(places)), len(widgets))

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

    def test_build_state(self):
        def matches(rule, detail_type, projects=None, **detail):
            pattern = self.patterns[rule]
            if projects is not None:
                pattern = resolve(self.unresolved[rule], {**self.parameters, "AgentProjects": projects})
            detail = {name.replace("_", "-"): value for name, value in {"project_name": "ci-docker", **detail}.items()}
            return self.passes(pattern, self.event("aws.codebuild", detail_type, detail))

        def changed(**detail):
            return matches("BuildStateFunctionBuildChanged", "CodeBuild Build State Change", **{"build_status": "FAILED", **detail})

        def provisioned(**detail):
            detail = {"completed_phase": "PROVISIONING", "completed_phase_status": "SUCCEEDED", **detail}
            return matches("BuildStateFunctionBuildProvisioned", "CodeBuild Build Phase Change", **detail)

        for status in ("IN_PROGRESS", "SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"):
            self.assertTrue(changed(build_status=status), status)
        self.assertTrue(provisioned())
        # What fails here ends the build, and its state says so.
        self.assertFalse(provisioned(completed_phase_status="FAILED"))
        self.assertFalse(provisioned(completed_phase="BUILD"))
        for rule in (changed, provisioned):
            self.assertFalse(rule(project_name="ci-docker-2"))
            self.assertTrue(rule(projects=["ci-docker", "ci-macos"], project_name="ci-macos"))
            self.assertFalse(rule(projects=["ci-linux", "ci-macos"]))

    def test_alarm(self):
        def matches(source="aws.cloudwatch", detail_type="CloudWatch Alarm State Change"):
            return self.matches("AlarmFunctionAlarmChanged", source, detail_type, {"alarmName": "a", "state": {"value": "ALARM"}})

        self.assertTrue(matches())
        self.assertFalse(matches(detail_type="CloudWatch Alarm Contributor State Change"))
        self.assertFalse(matches(detail_type="CloudWatch Alarm Configuration Change"))
        self.assertFalse(matches(source="my.cloudwatch"))

    def test_backup(self):
        def matches(kind, **detail):
            rule = "BackupFunctionRestoreEnded" if kind == "Restore" else "BackupFunctionJobEnded"
            return self.matches(rule, "aws.backup", f"{kind} Job State Change", detail)

        for kind in ("Backup", "Copy"):
            for state in ("COMPLETED", "FAILED", "ABORTED", "EXPIRED", "PARTIAL"):
                self.assertTrue(matches(kind, state=state), state)
            for state in ("CREATED", "PENDING", "RUNNING", "ABORTING"):
                self.assertFalse(matches(kind, state=state), state)
        for status in ("COMPLETED", "FAILED", "ABORTED"):
            self.assertTrue(matches("Restore", status=status), status)
        self.assertFalse(matches("Restore", status="RUNNING"))
        # The first event of a restore has its word elsewhere.
        self.assertFalse(matches("Restore", state="CREATED"))

    def test_the_local_aws_takes_events_of_aws_services(self):
        entry = {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": "{}"}
        self.assertEqual(self.events.put_events(Entries=[entry])["FailedEntryCount"], 0)


if __name__ == "__main__":
    unittest.main()
