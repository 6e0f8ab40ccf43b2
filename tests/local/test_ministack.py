"""What ministack.py adds to ministack: events of alarms, keywords in the inputs of schedules, and what nested stacks retain.

    python test_ministack.py       with the requirements of requirements.txt installed
"""

import importlib.util
import json
import sys
import time
import unittest
from datetime import datetime, timedelta, timezone

import event_schemas
from local_aws import HERE, LocalAws

# How long a message may take, in seconds.
PATIENCE = 20
KEYWORDS = ["schedule-arn", "scheduled-time", "execution-id", "attempt-number"]
INPUT = json.dumps({keyword: f"<aws.scheduler.{keyword}>" for keyword in KEYWORDS})


def library():
    """ministack.py as a module: by its path, because its name is the package's too."""
    path = list(sys.path)
    specification = importlib.util.spec_from_file_location("changes_of_ministack", HERE / "ministack.py")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path = path
    return module


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.aws = LocalAws()
        cls.addClassCleanup(cls.aws.stop)
        cls.sqs = cls.aws.client("sqs")

    def queue(self, name):
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def messages(self, queue, count):
        """The next so many messages of a queue."""
        found = []
        end = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < end:
            for message in self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
            time.sleep(0.05)
        self.assertEqual(len(found), count, found)
        return found

    def test_a_change_of_an_alarm_is_an_event(self):
        url, arn = self.queue("alarms")
        pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"]}
        self.aws.events.put_rule(Name="alarms", EventPattern=json.dumps(pattern))
        self.aws.events.put_targets(Rule="alarms", Targets=[{"Id": "queue", "Arn": arn}])
        cloudwatch = self.aws.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName="unhealthy",
            AlarmDescription="Nobody answers",
            Namespace="AWS/ApplicationELB",
            MetricName="UnHealthyHostCount",
            Dimensions=[{"Name": "TargetGroup", "Value": "jenkins"}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.put_composite_alarm(AlarmName="anything", AlarmRule="ALARM(unhealthy)")

        # The same state again is no change.
        for state, reason, more in [("ALARM", "no answer", {"StateReasonData": "{}"}), ("ALARM", "still none", {}), ("OK", "it answers", {})]:
            cloudwatch.set_alarm_state(AlarmName="unhealthy", StateValue=state, StateReason=reason, **more)
        cloudwatch.put_metric_data(
            Namespace="AWS/ApplicationELB",
            MetricData=[{"MetricName": "UnHealthyHostCount", "Dimensions": [{"Name": "TargetGroup", "Value": "jenkins"}], "Value": 2}],
        )
        events = self.messages(url, 7)
        for event in events:
            self.assertEqual(list(event_schemas.differences(event)), [])

        by_alarm = {name: [event for event in events if event["detail"]["alarmName"] == name] for name in ["unhealthy", "anything"]}
        # The composite alarm's rule is looked at first when it is created.
        states = {"unhealthy": ["ALARM", "OK", "ALARM"], "anything": ["OK", "ALARM", "OK", "ALARM"]}
        for name, of_alarm in by_alarm.items():
            details = [event["detail"] for event in of_alarm]
            self.assertEqual([detail["state"]["value"] for detail in details], states[name], name)
            self.assertEqual({tuple(event["resources"]) for event in of_alarm}, {(f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}",)})
            for before, after in zip(details, details[1:]):
                self.assertEqual(before["state"]["value"], after["previousState"]["value"])
                self.assertLess(before["state"]["timestamp"], after["state"]["timestamp"])
        first, second, third = (event["detail"] for event in by_alarm["unhealthy"])
        self.assertEqual((first["state"]["reason"], first["state"]["reasonData"]), ("no answer", "{}"))
        self.assertRegex(first["state"]["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        self.assertEqual(first["previousState"]["value"], "INSUFFICIENT_DATA")
        self.assertEqual(second["previousState"]["reason"], "no answer")
        self.assertIn("Threshold Crossed", third["state"]["reason"])
        self.assertEqual(first["configuration"]["description"], "Nobody answers")
        [metric] = first["configuration"]["metrics"]
        self.assertEqual(
            metric["metricStat"],
            {
                "metric": {
                    "namespace": "AWS/ApplicationELB",
                    "name": "UnHealthyHostCount",
                    "dimensions": {"TargetGroup": "jenkins"},
                },
                "period": 60,
                "stat": "Maximum",
            },
        )
        self.assertEqual(by_alarm["anything"][0]["detail"]["configuration"], {"alarmRule": "ALARM(unhealthy)"})

    def test_the_keywords_of_a_schedule_are_filled_in(self):
        url, arn = self.queue("schedules")
        at = datetime.now(timezone.utc) - timedelta(seconds=1)
        for name in ["one", "another"]:
            self.aws.client("scheduler").create_schedule(
                Name=name,
                ScheduleExpression=at.strftime("at(%Y-%m-%dT%H:%M:%S)"),
                FlexibleTimeWindow={"Mode": "OFF"},
                Target={"Arn": arn, "RoleArn": "arn:aws:iam::000000000000:role/schedule", "Input": INPUT},
            )
        inputs = self.messages(url, 2)
        self.assertEqual(
            {given["schedule-arn"] for given in inputs},
            {f"arn:aws:scheduler:us-east-1:000000000000:schedule/default/{name}" for name in ["one", "another"]},
        )
        self.assertEqual({given["scheduled-time"] for given in inputs}, {at.strftime("%Y-%m-%dT%H:%M:%SZ")})
        self.assertEqual({given["attempt-number"] for given in inputs}, {"1"})
        ids = {given["execution-id"] for given in inputs}
        self.assertEqual(len(ids), 2)
        for execution in ids:
            self.assertRegex(execution, r"^[0-9a-f]{16}$")

    def test_a_rule_of_eventbridge_keeps_its_input(self):
        url, arn = self.queue("rules")
        self.aws.events.put_rule(Name="own", EventPattern=json.dumps({"source": ["shop"]}))
        self.aws.events.put_targets(Rule="own", Targets=[{"Id": "queue", "Arn": arn, "Input": INPUT}])
        self.aws.events.put_events(Entries=[{"Source": "shop", "DetailType": "Sold", "Detail": "{}"}])
        self.assertEqual(self.messages(url, 1), [json.loads(INPUT)])

    def nest(self, stack, **more):
        """Deploys a stack that nests one with a bucket that is retained and a topic that is not. Gives its last status."""
        s3, cloudformation = self.aws.client("s3"), self.aws.client("cloudformation")
        s3.create_bucket(Bucket="templates")
        nested = {
            "Kept": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate", "Properties": {"BucketName": f"{stack}-kept"}},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{stack}-topic"}},
        }
        s3.put_object(Bucket="templates", Key="nested.json", Body=json.dumps({"Resources": nested}))
        outer = {"Nested": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": f"{self.aws.url}/templates/nested.json"}}, **more}
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": outer}))
        return self.at_rest(stack)

    def at_rest(self, stack):
        cloudformation = self.aws.client("cloudformation")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            [status] = [one["StackStatus"] for one in cloudformation.list_stacks()["StackSummaries"] if one["StackName"] == stack]
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.05)
        raise AssertionError(f"{stack} is still {status}")

    def left_of(self, stack):
        buckets = [bucket["Name"] for bucket in self.aws.client("s3").list_buckets()["Buckets"]]
        topics = [topic["TopicArn"].rpartition(":")[2] for topic in self.aws.client("sns").list_topics()["Topics"]]
        return sorted(name for name in buckets + topics if name.startswith(f"{stack}-"))

    def test_a_nested_stack_leaves_what_it_retains(self):
        self.assertEqual(self.nest("whole"), "CREATE_COMPLETE")
        self.assertEqual(self.left_of("whole"), ["whole-kept", "whole-topic"])
        self.aws.client("cloudformation").delete_stack(StackName="whole")
        self.assertEqual(self.at_rest("whole"), "DELETE_COMPLETE")
        self.assertEqual(self.left_of("whole"), ["whole-kept"])

    def test_a_creation_that_fails_leaves_nothing(self):
        refused = {"Type": "AWS::CloudFormation::Stack", "DependsOn": "Nested", "Properties": {"TemplateURL": f"{self.aws.url}/templates/none.json"}}
        self.assertEqual(self.nest("broken", Refused=refused), "ROLLBACK_COMPLETE")
        self.assertEqual(self.left_of("broken"), [])


class Schedules(unittest.TestCase):
    """What takes minutes on a ministack that runs: a schedule's times, set here."""

    @classmethod
    def setUpClass(cls):
        cls.library = library()

    def test_a_schedule_comes_again_with_another_id(self):
        scheduler, eventbridge = self.library.scheduler, self.library.eventbridge
        for name in ["_invoke_target", "_dispatch_to_lambda"]:
            self.addCleanup(setattr, eventbridge, name, getattr(eventbridge, name))
        self.addCleanup(scheduler.reset)
        given = []
        eventbridge._dispatch_to_lambda = lambda arn, payload: given.append(json.loads(payload))
        self.library.fill_in_schedules()
        target = {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:control", "RoleArn": "arn:aws:iam::000000000000:role/r", "Input": INPUT}
        body = {"ScheduleExpression": "rate(1 minute)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
        self.assertEqual(scheduler._create_schedule("minutely", body)[0], 200)
        schedule = scheduler._schedules["default/minutely"]
        # Created so long ago that it is due.
        schedule["CreationDate"] = created = time.time() - 65
        scheduler._tick_schedules()
        [key] = scheduler._schedule_last_fired
        scheduler._tick_schedules()
        self.assertEqual(len(given), 1, "it comes once a minute")
        # A minute passes: everything else is a minute earlier.
        scheduler._schedule_last_fired[key] -= 60
        schedule["CreationDate"] -= 60
        scheduler._tick_schedules()
        self.assertEqual(len(given), 2)
        self.assertEqual(len({one["execution-id"] for one in given}), 2)
        # Counted from its creation, not from when the tick came; the second time it is a minute more after a creation a minute earlier.
        self.assertEqual({one["scheduled-time"] for one in given}, {self.library.utc(created + 60, "%Y-%m-%dT%H:%M:%SZ")})

    def test_the_time_of_each_kind_of_schedule(self):
        def of(expression, now, **more):
            seconds = self.library.scheduled_time({"ScheduleExpression": expression, "CreationDate": 1000.5, **more}, now)
            return self.library.utc(seconds, "%H:%M:%S")

        self.assertEqual(of("at(2026-03-02T14:03:22)", 1772460205.2), "14:03:22")
        self.assertEqual(of("cron(0 2 * * ? *)", 7200.9), "02:00:00")
        self.assertEqual(of("rate(5 minutes)", 1301.1), self.library.utc(1300.5, "%H:%M:%S"))
        self.assertEqual(of("rate(1 minute)", 2100, StartDate=2000), self.library.utc(2060, "%H:%M:%S"))


if __name__ == "__main__":
    unittest.main()
