"""The template's rules against every sample event and what comes near to them, judged by the local AWS; the table of events in docs; and the local AWS
itself: start, what PutEvents takes, end.

    python test_rules.py        with the requirements of requirements.txt installed
"""

import json
import re
import unittest

import events_table
import infra_checks
import samples
from infra import ROOT, SUITE, Template, behind_urls, resolve
from local_aws import LocalAws


def leaves(pattern, path=()):
    """The fields that a pattern looks at: the path of each, and what it takes there. Of alternatives, those of the first."""
    for key, item in pattern.items():
        if key == "$or":
            yield from leaves(item[0], path)
        elif isinstance(item, dict):
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key), item


def changed(event, path, value):
    """The event with another value at a path, or with none there if the value is None."""
    event = json.loads(json.dumps(event))
    node = event
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return event


# What comes near to what a rule lets pass, and no rule may let pass: by the field that tells.
NEAR_MISSES = {
    "source": ["my.source", "aws", "aws.s3"],
    "detail-type": [
        "CodeCommit Pull Request State Change",
        "ECS Container Instance State Change",
        "CodeBuild Build Batch State Change",
        "Step Functions Map Run Status Change",
        "EC2 Instance State-change Notification",
        "CloudWatch Alarm Configuration Change",
        "Recovery Point State Change",
    ],
    "account": ["210987654321", "000000000000", "1234567890123", "12345678901"],
    # CodeCommit: what happened to a reference.
    "event": ["referenceDeleted", "unreferencedMergeCommitCreated", "pullRequestMergeStatusUpdated"],
    # ECS: who started a task, and how far it is.
    "startedBy": ["ecs-svc/1234567890123456789", "bellhop-of-others/abcdefghij/test/1", "bellhop", "not-bellhop/abcdefghij/test/1"],
    "lastStatus": ["PROVISIONING", "PENDING", "ACTIVATING"],
    # CodeBuild: whose project, which phase, and how it ended.
    "project-name": ["ci-docker-2", "docker", "shop", "CI-DOCKER"],
    "completed-phase": ["SUBMITTED", "QUEUED", "BUILD", "COMPLETED"],
    "completed-phase-status": ["FAILED", "CLIENT_ERROR", "TIMED_OUT"],
    # Step Functions: whose input.
    "input": ["{}", '{"environment":{"BELLHOP_BUILDER":"x"}}', '{"environment":{"MY_BELLHOP_BUILD":"x"}}', '{"text":"BELLHOP_BUILD"}'],
    # CloudWatch: alarms of the stack that tell people themselves.
    "alarmName": ["bellhop-direct-alarm-errors", "bellhop-direct-sweep-missing"],
    # Backup and copy jobs, and restore jobs.
    "state": ["CREATED", "PENDING", "RUNNING", "ABORTING"],
    "status": ["PENDING", "RUNNING"],
}


# Patterns made too wide on purpose: the rule, a sample that it lets pass, the field, what it takes there by mistake, and what passes then.
TOO_WIDE = [
    ("TaskStateFunctionTaskChanged", "ecs/running.json", "startedBy", [{"prefix": "bellhop"}], "bellhop-of-others/abcdefghij/test/1"),
    ("TaskStateFunctionTaskChanged", "ecs/running.json", "startedBy", [{"wildcard": "*bellhop/*"}], "not-bellhop/abcdefghij/test/1"),
    ("TaskStateFunctionTaskChanged", "ecs/running.json", "account", [{"exists": True}], "210987654321"),
    ("SpotInterruptionFunctionInstanceTold", "ec2/spot-warning.json", "account", [{"prefix": "123456789012"}], "1234567890123"),
    ("TaskStateFunctionTaskChanged", "ecs/running.json", "lastStatus", [{"anything-but": "PROVISIONING"}], "PENDING"),
    ("BuildStateFunctionBuildChanged", "codebuild/succeeded.json", "project-name", [{"prefix": "ci-"}], "ci-docker-2"),
    ("BuildStateFunctionBuildChanged", "codebuild/succeeded.json", "project-name", [{"equals-ignore-case": "ci-docker"}], "CI-DOCKER"),
    ("BuildStateFunctionBuildProvisioned", "codebuild/provisioned.json", "completed-phase-status", [{"exists": True}], "FAILED"),
    ("BuildStateFunctionExecutionChanged", "step-functions/succeeded.json", "input", [{"wildcard": "*BELLHOP_BUILD*"}], '{"text":"BELLHOP_BUILD"}'),
    ("BuildStateFunctionExecutionChanged", "step-functions/succeeded.json", "input", [{"exists": True}], "{}"),
    ("PushFunctionRepositoryChanged", "codecommit/push.json", "event", [{"prefix": "reference"}], "referenceDeleted"),
    ("BackupFunctionRestoreEnded", "backup/restore-completed.json", "status", [{"exists": True}], "RUNNING"),
    ("BackupFunctionJobEnded", "backup/completed.json", "state", ["COMPLETED", "RUNNING", "ABORTING"], "RUNNING"),
]


# What the template calls the suite.
SUITE_NAME = {"Ref": "Suite"}


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.stop)
        cls.template = Template.read(SUITE)
        cls.rules = cls.template.of_type("AWS::Events::Rule")
        # Of the two rules for alarms one is enabled.
        cls.patterns = {**cls.template.patterns(), **cls.template.patterns(AlarmRule="all")}

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
        return self.local.passes(json.dumps(pattern), json.dumps(event))

    def test_every_sample_reaches_its_function_by_one_rule(self):
        names = {name for name, _ in (sample.removesuffix(".json").split("/") for sample in samples.samples())}
        self.assertEqual(names, set(samples.REACHES))
        for folder, (_, others) in samples.REACHES.items():
            self.assertLessEqual({f"{folder}/{other}.json" for other in others}, set(samples.samples()))
        self.assertEqual(infra_checks.patterns(self.template, self.local), [])

    def near_misses(self, pattern, sample):
        """What differs from a sample in one field that the pattern looks at, and passes all the same."""
        passed = []
        for path, taken in leaves(pattern):
            others = list(NEAR_MISSES[path[-1]])
            # Without the field as well; and, where it is said what it has to be, with it as something of another kind.
            if not any(isinstance(value, dict) and "anything-but" in value for value in taken):
                others += ["", {"is": "something else"}, 1]
            for other in [*others, None]:
                if self.passes(pattern, changed(sample, path, other)):
                    passed.append((path[-1], other))
        return passed

    def test_every_rule_lets_a_sample_pass_and_nothing_that_differs_in_one_field(self):
        reaching = samples.reaching(self.local, self.patterns)
        for rule, pattern in self.patterns.items():
            passing = [json.loads(samples.samples()[sample]) for sample, rules in reaching.items() if rule in rules]
            self.assertTrue(passing, f"no sample is let pass by {rule}")
            self.assertEqual(self.near_misses(pattern, passing[0]), [], rule)

    def test_a_pattern_that_is_too_wide_is_found(self):
        for rule, sample, field, wide, passes in TOO_WIDE:
            pattern = json.loads(json.dumps(self.patterns[rule]))
            detail = pattern.get("detail", {})
            [holder] = [part for part in (pattern, detail, *detail.get("$or", [])[:1]) if field in part]
            holder[field] = wide
            event = json.loads(samples.samples()[sample])
            self.assertIn((field, passes), self.near_misses(pattern, event), f"{rule}: {field}")

    def test_every_rule_for_events_names_the_account(self):
        for name, rule in self.rules.items():
            if "EventPattern" in rule:
                self.assertEqual(rule["EventPattern"]["account"], [{"Ref": "AWS::AccountId"}], name)

    def test_what_may_invoke_a_function_is_of_the_account(self):
        rules = {json.dumps({"Fn::GetAtt": [name, "Arn"]}) for name in self.rules}
        for name, permission in self.template.of_type("AWS::Lambda::Permission").items():
            source = permission["SourceArn"]
            topic = isinstance(source, dict) and "Ref" in source and permission["Principal"] == "sns.amazonaws.com"
            own = "AccountId" in json.dumps(source) and permission.get("SourceAccount") == {"Ref": "AWS::AccountId"}
            self.assertTrue(json.dumps(source) in rules or topic or own, f"{name}: {permission}")

    def test_the_table_of_events_is_current(self):
        self.assertEqual(events_table.DOCUMENT.read_text(), events_table.text(self.local), events_table.HOW)

    def test_every_function_has_outputs_alarms_and_its_name_in_the_user_agent(self):
        alarms = {}
        for name, alarm in self.template.of_type("AWS::CloudWatch::Alarm").items():
            [dimension] = alarm["Dimensions"]
            alarms[alarm["Namespace"], alarm["MetricName"], json.dumps(dimension["Value"])] = name
        failures = infra_checks.invocation_failures(self.template)
        expected = {
            ("AWS/Events", "Invocations", json.dumps({"Ref": "SweepFunctionEveryMinute"})): "SweepMissingAlarm",
            ("Bellhop", "OldestOverdueSeconds", json.dumps(SUITE_NAME)): "OverdueAlarm",
        }
        for function, queue in failures.items():
            name = function.removesuffix("Function")
            depth = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", json.dumps({"Fn::GetAtt": [queue, "QueueName"]}))
            expected[depth] = f"{name}DeadLetterAlarm"
            for metric in ("Errors", "Throttles"):
                expected["AWS/Lambda", metric, json.dumps({"Ref": function})] = f"{name}{metric}Alarm"
        self.assertEqual(alarms, expected)
        outputs = self.template.document["Outputs"]
        for function, queue in failures.items():
            for output, value in [
                (f"{function}Name", {"Ref": function}),
                (f"{function}Arn", {"Fn::GetAtt": [function, "Arn"]}),
                (f"{queue}Url", {"Ref": queue}),
            ]:
                self.assertEqual(outputs[output]["Value"], value, output)
            properties = self.template.properties(function)
            name = properties["FunctionName"]["Fn::Sub"].removeprefix("${Suite}-")
            self.assertEqual(properties["Environment"]["Variables"]["AWS_SDK_UA_APP_ID"], f"bellhop-{name}")
            self.assertEqual(properties["Environment"]["Variables"]["BELLHOP_SUITE"], SUITE_NAME)

    def test_every_alarm_is_told_one_way(self):
        direct = set()
        for name, alarm in self.template.of_type("AWS::CloudWatch::Alarm").items():
            actions = [{"Ref": "Topic"}] if "AlarmActions" in alarm else None
            self.assertEqual((alarm.get("AlarmActions"), alarm.get("OKActions")), (actions, actions), name)
            alarm_name = resolve(alarm["AlarmName"], {"Suite": "bellhop"})
            for rule in ("AlarmFunctionOwnAlarmChanged", "AlarmFunctionAlarmChanged"):
                detail = {"alarmName": alarm_name, "state": {"value": "ALARM"}}
                told_by_function = self.matches(rule, "aws.cloudwatch", "CloudWatch Alarm State Change", detail)
                self.assertEqual(told_by_function, actions is None, f"{name} by {rule}")
            if actions:
                direct.add(name)
        # Those that the function that tells people, or the rule that wakes it, may not be there to tell.
        self.assertEqual(direct, {"AlarmDeadLetterAlarm", "AlarmErrorsAlarm", "AlarmThrottlesAlarm", "SweepMissingAlarm"})

    def test_the_reference_says_what_every_alarm_means(self):
        text = (ROOT / "docs" / "reference" / "alarms.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        named = [name for row in rows for name in re.findall(r"`([A-Za-z]+Alarm)`", row.split("|")[1])]
        self.assertEqual(sorted(named), sorted(self.template.of_type("AWS::CloudWatch::Alarm")))

    def test_what_costs_carries_the_suites_tag(self):
        free = {
            "AWS::Backup::BackupSelection",  # takes no tags
            "AWS::CloudWatch::Dashboard",  # takes no tags
            "AWS::Events::Rule",
            "AWS::IAM::ManagedPolicy",
            "AWS::IAM::Role",
            "AWS::Lambda::EventInvokeConfig",
            "AWS::Lambda::EventSourceMapping",  # what it reads is billed to the queue
            "AWS::Lambda::Permission",
            "AWS::Lambda::Url",  # takes no tags
            "AWS::S3::BucketPolicy",
            "AWS::SNS::Subscription",
            "AWS::SNS::TopicPolicy",
            "AWS::SQS::QueuePolicy",
        }
        for name, resource in self.template.resources.items():
            if resource["Type"] not in free:
                properties = resource["Properties"]
                tags = properties.get("BackupVaultTags") or properties.get("BackupPlanTags") or {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
                self.assertEqual(tags.get("bellhop:suite"), SUITE_NAME, name)

    def test_the_dashboard_shows_every_alarm_and_function(self):
        [dashboard] = self.template.of_type("AWS::CloudWatch::Dashboard").values()
        body, values = dashboard["DashboardBody"]["Fn::Sub"]
        self.assertEqual(values, {"Name": SUITE_NAME})
        numbers = {name for name, parameter in self.template.document["Parameters"].items() if parameter["Type"] == "Number"}
        shown = set(re.findall(r"\$\{([A-Za-z]+)(?:\.[A-Za-z]+)?\}", body))
        functions = self.template.of_type("AWS::Lambda::Function").keys() - behind_urls(self.template)
        self.assertLessEqual({*self.template.of_type("AWS::CloudWatch::Alarm"), *functions}, shown)
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
        for status in ("DEACTIVATING", "STOPPING"):
            self.assertTrue(matches(lastStatus=status, stopCode="SpotInterruption"), status)
            self.assertTrue(matches(lastStatus=status, stopCode="UserInitiated"), status)
            self.assertFalse(matches(lastStatus=status, stopCode="EssentialContainerExited"), status)
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
                pattern = self.template.patterns(AgentProjects=projects)[rule]
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

    def test_execution_state(self):
        def matches(**detail):
            detail = {"status": "FAILED", "input": '{"environment":{"BELLHOP_BUILD":"abcdefghij/release"}}', **detail}
            return self.matches("BuildStateFunctionExecutionChanged", "aws.states", "Step Functions Execution Status Change", detail)

        for status in ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE"):
            self.assertTrue(matches(status=status), status)
        self.assertFalse(matches(input="{}"))
        self.assertFalse(matches(input=None))

    def test_alarm(self):
        def matches(source="aws.cloudwatch", detail_type="CloudWatch Alarm State Change"):
            return self.matches("AlarmFunctionAlarmChanged", source, detail_type, {"alarmName": "a", "state": {"value": "ALARM"}})

        self.assertTrue(matches())
        # By default, the rule for every alarm is off, and the one for the suite's own does not take others'.
        self.assertNotIn("AlarmFunctionAlarmChanged", self.template.patterns())
        others = {"alarmName": "a", "state": {"value": "ALARM"}}
        self.assertFalse(self.matches("AlarmFunctionOwnAlarmChanged", "aws.cloudwatch", "CloudWatch Alarm State Change", others))
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
        self.assertEqual(self.local.events.put_events(Entries=[entry])["FailedEntryCount"], 0)


if __name__ == "__main__":
    unittest.main()
