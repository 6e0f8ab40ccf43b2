"""What holds for every template of infra/, and whether the checks would see it broken: each fault below is made in a copy of the template, and the check
that is named with it has to find it.

    python test_infra.py        with the requirements of requirements.txt installed
"""

import re
import unittest

import infra_checks
from infra import ROOT, SUITE, TEMPLATES, Template
from local_aws import LocalAws

CHECKS = infra_checks.CHECKS

# Schedules with what they are: in order, or not.
SCHEDULES = [
    ("rate(1 minute)", True),
    ("rate(6 hours)", True),
    ("rate(30 days)", True),
    ("rate(1 minutes)", False),
    ("rate(6 hour)", False),
    ("rate(0 minutes)", False),
    ("rate(90 seconds)", False),
    ("rate(1.5 hours)", False),
    ("cron(0 3 * * ? *)", True),
    ("cron(0/5 8-17 ? * MON-FRI *)", True),
    ("cron(0 9 ? * 2#1 *)", True),
    ("cron(0 0 L * ? *)", True),
    ("cron(0 8 1W JAN,JUL ? *)", True),
    # As Unix writes it, with five fields, or without the question mark.
    ("cron(0 3 * * *)", False),
    ("cron(0 3 * * * *)", False),
    ("cron(0 3 ? * ? *)", False),
    ("cron(0 25 * * ? *)", False),
    ("cron(60 3 * * ? *)", False),
    ("cron(0 3 32 * ? *)", False),
    ("cron(0 3 ? * 0 *)", False),
    ("cron(0 3 ? * 2#6 *)", False),
    ("cron(0/0 3 * * ? *)", False),
    # Days and years that never come.
    ("cron(0 3 30 2 ? *)", False),
    ("cron(0 3 * * ? 2020)", False),
    ("0 3 * * ? *", False),
    ("@daily", False),
]


def role_statements(template, name):
    return template.properties(name)["Policies"][0]["PolicyDocument"]["Statement"]


def wrong_runtime(template):
    template.properties("PushFunction")["Runtime"] = "provided.al2032"


def attribute_that_is_none(template):
    template.properties("PushFunction")["Role"] = {"Fn::GetAtt": ["PushRole", "Name"]}


def resource_that_is_none(template):
    template.properties("TaskStateFunction")["Role"] = {"Fn::GetAtt": ["TaskStatRole", "Arn"]}


def no_effect(template):
    del role_statements(template, "PushRole")[0]["Effect"]


def cron_of_unix(template):
    template.document["Parameters"]["BackupSchedule"]["Default"] = "cron(0 3 * * *)"


def rate_in_the_wrong_number(template):
    template.properties("SweepFunctionEveryMinute")["ScheduleExpression"] = "rate(1 minutes)"


def pattern_that_misses(template):
    template.properties("PushFunctionRepositoryChanged")["EventPattern"]["detail"]["event"] = ["referenceUpdate"]


def pattern_of_another_service(template):
    template.properties("TaskStateFunctionTaskChanged")["EventPattern"]["source"] = ["aws.batch"]


def pattern_without_detail(template):
    del template.properties("TaskStateFunctionTaskChanged")["EventPattern"]["detail"]


def rule_twice(template):
    template.resources["Again"] = template.copy().resources["AlarmFunctionAlarmChanged"]


def every_action(template):
    role_statements(template, "PushRole")[0]["Action"] = "*"


def every_action_of_a_service(template):
    role_statements(template, "PushRole")[0]["Action"] = ["codecommit:GetCommit", "s3:*"]


def every_resource(template):
    role_statements(template, "SweepRole")[0]["Resource"] = "*"


def every_resource_of_a_managed_policy(template):
    template.properties("StartPolicy")["PolicyDocument"]["Statement"][0]["Resource"] = ["*"]


def all_actions_but_one(template):
    statement = role_statements(template, "PushRole")[0]
    statement["NotAction"] = statement.pop("Action")


def administrator(template):
    template.properties("ControlRole")["ManagedPolicyArns"].append({"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess"})


def no_public_access_block(template):
    del template.properties("Bucket")["PublicAccessBlockConfiguration"]


def public_policies_allowed(template):
    template.properties("Bucket")["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


def public_bucket(template):
    [statement] = template.properties("BucketPolicy")["PolicyDocument"]["Statement"]
    statement.update(Effect="Allow", Action="s3:GetObject")


def queue_for_everybody(template):
    [statement] = template.properties("PushDeadLetterQueuePolicy")["PolicyDocument"]["Statement"]
    statement["Principal"] = {"AWS": ["*"]}


def trigger_of_anybodys_repository(template):
    del template.properties("PushTriggerPermission")["SourceAccount"]


def plain_topic(template):
    del template.properties("Topic")["KmsMasterKeyId"]


def plain_queue(template):
    template.properties("PushDeadLetterQueue")["SqsManagedSseEnabled"] = False


def plain_table(template):
    del template.properties("Table")["SSESpecification"]


def bucket_without_tls(template):
    del template.resources["BucketPolicy"]


def items_for_ever(template):
    template.properties("Table")["TimeToLiveSpecification"]["Enabled"] = False


def items_that_expire_by_another_name(template):
    template.properties("Table")["TimeToLiveSpecification"]["AttributeName"] = "ttl"


def no_recovery(template):
    del template.properties("Table")["PointInTimeRecoverySpecification"]


def objects_for_ever(template):
    del template.properties("Bucket")["LifecycleConfiguration"]


def logs_for_ever(template):
    del template.properties("PushLogGroup")["RetentionInDays"]


def table_that_goes_with_the_stack(template):
    template.resources["Table"]["DeletionPolicy"] = "Delete"


def function_without_queue(template):
    del template.resources["SweepFunctionEventInvokeConfig"]


def destination_that_is_none(template):
    del template.properties("PushFunctionEventInvokeConfig")["DestinationConfig"]


def role_that_may_not_write(template):
    statements = role_statements(template, "AlarmRole")
    statements[:] = [statement for statement in statements if statement["Sid"] != "DeadLetter"]


def rule_without_queue(template):
    del template.properties("AlarmFunctionAlarmChanged")["Targets"][0]["DeadLetterConfig"]


def rule_with_anothers_queue(template):
    template.properties("AlarmFunctionAlarmChanged")["Targets"][0]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] = "PushDeadLetterQueue"


def rule_that_may_not_write(template):
    del template.resources["PushDeadLetterQueuePolicy"]


def queue_without_alarm(template):
    del template.resources["BackupDeadLetterAlarm"]


def rule_without_permission(template):
    del template.resources["SweepFunctionEveryMinutePermission"]


def permission_of_another_function(template):
    template.properties("PushFunctionRepositoryChangedPermission")["FunctionName"]["Ref"] = "SweepFunction"


def topic_without_permission(template):
    del template.resources["AlarmTopicPermission"]


# What is broken, the check that has to find it, and a part of what it has to say.
FAULTS = [
    # One look of cfn-lint's at all of its faults: it takes seconds each time.
    ((wrong_runtime, attribute_that_is_none, resource_that_is_none, no_effect), "lint", ["'provided.al2032'", "PushRole", "TaskStatRole", "'Effect'"]),
    (cron_of_unix, "schedules", ["BackupSchedule", "6 required"]),
    (rate_in_the_wrong_number, "schedules", ["SweepFunctionEveryMinute", "singular"]),
    (pattern_that_misses, "patterns", ["events/codecommit/push.json", "should reach PushFunction"]),
    (pattern_of_another_service, "patterns", ["events/ecs/running.json", "should reach TaskStateFunction"]),
    (pattern_without_detail, "patterns", ["events/ecs/foreign-service.json", "should reach nobody"]),
    (rule_twice, "patterns", ["events/alarm/alarm.json", "Again"]),
    (every_action, "wildcards", ["PushRole", "Action *"]),
    (every_action_of_a_service, "wildcards", ["PushRole", "Action s3:*"]),
    (every_resource, "wildcards", ["SweepRole", "Resource *"]),
    (every_resource_of_a_managed_policy, "wildcards", ["StartPolicy", "Resource *"]),
    (all_actions_but_one, "wildcards", ["PushRole", "NotAction"]),
    (administrator, "wildcards", ["ControlRole", "AdministratorAccess"]),
    (no_public_access_block, "public", ["Bucket: RestrictPublicBuckets"]),
    (public_policies_allowed, "public", ["Bucket: BlockPublicPolicy"]),
    (public_bucket, "public", ["BucketPolicy", "lets anybody in"]),
    (queue_for_everybody, "public", ["PushDeadLetterQueuePolicy", "lets anybody in"]),
    (trigger_of_anybodys_repository, "public", ["PushTriggerPermission"]),
    (plain_topic, "encryption", ["Topic: no KmsMasterKeyId"]),
    (plain_queue, "encryption", ["PushDeadLetterQueue"]),
    (plain_table, "encryption", ["Table"]),
    (bucket_without_tls, "encryption", ["without TLS"]),
    (items_for_ever, "retention", ["Table: nothing expires"]),
    (items_that_expire_by_another_name, "retention", ["Table: nothing expires"]),
    (no_recovery, "retention", ["Table: no point-in-time recovery"]),
    (objects_for_ever, "retention", ["Bucket: no LifecycleConfiguration"]),
    (logs_for_ever, "retention", ["PushLogGroup"]),
    (table_that_goes_with_the_stack, "retention", ["Table: goes with the stack"]),
    (function_without_queue, "dead letters", ["SweepFunction: no queue"]),
    (destination_that_is_none, "dead letters", ["PushFunction: no queue"]),
    (role_that_may_not_write, "dead letters", ["AlarmRole may not write"]),
    (rule_without_queue, "dead letters", ["AlarmFunctionAlarmChanged"]),
    (rule_with_anothers_queue, "dead letters", ["AlarmFunctionAlarmChanged"]),
    (rule_that_may_not_write, "dead letters", ["PushFunctionRepositoryChanged: may not write"]),
    (queue_without_alarm, "dead letters", ["BackupDeadLetterQueue"]),
    (rule_without_permission, "permissions", ["SweepFunctionEveryMinute may not invoke SweepFunction"]),
    (permission_of_another_function, "permissions", ["PushFunctionRepositoryChanged may not invoke PushFunction", "never invokes SweepFunction"]),
    (topic_without_permission, "permissions", ["AlarmsTopicArn may not invoke AlarmFunction"]),
]


class Infra(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.stop)

    def findings(self, check, template):
        return infra_checks.patterns(template, self.local) if check == "patterns" else CHECKS[check](template)

    def test_nothing_is_found_in_the_templates(self):
        self.assertIn(SUITE, TEMPLATES)
        templates = [Template.read(path) for path in TEMPLATES]
        for template in templates:
            # The step `template` has cfn-lint look at every template, and the step `rules` looks at every pattern.
            for check in CHECKS.keys() - {"lint"}:
                with self.subTest(template=template.name, check=check):
                    self.assertEqual(self.findings(check, template), [])
        self.assertEqual(infra_checks.unneeded(templates), [])

    def test_every_fault_is_found(self):
        self.assertEqual({check for _, check, _ in FAULTS}, {*CHECKS, "patterns"})
        for faults, check, said in FAULTS:
            faults = faults if isinstance(faults, tuple) else (faults,)
            template = Template.read(SUITE)
            for fault in faults:
                fault(template)
            with self.subTest(fault=", ".join(fault.__name__ for fault in faults), check=check):
                findings = "\n".join(self.findings(check, template))
                for part in said:
                    self.assertIn(part, findings)

    def test_an_explanation_that_nothing_needs_is_found(self):
        template = Template.read(SUITE)
        statements = template.properties("AgentLaunchPolicy")["PolicyDocument"]["Statement"]
        statements[:] = [statement for statement in statements if statement["Sid"] != "FindByStartedBy"]
        [found] = infra_checks.unneeded([template])
        self.assertIn("AgentLaunchPolicy/FindByStartedBy", found)

    def test_schedules_are_read_as_eventbridge_reads_them(self):
        for schedule, right in SCHEDULES:
            self.assertEqual(infra_checks.wrong_schedule(schedule) is None, right, f"{schedule}: {infra_checks.wrong_schedule(schedule)}")

    def test_schedules_in_the_documents_are_right(self):
        files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tests" / "local").glob("*.yaml"))]
        shown = [(file, schedule) for file in files for schedule in infra_checks.SCHEDULE.findall(file.read_text())]
        self.assertTrue(shown)
        for file, schedule in shown:
            self.assertIsNone(infra_checks.wrong_schedule(schedule), f"{file}: {schedule}")
        # None is missed for being written otherwise.
        for file in files:
            for written in re.findall(r"--schedule-expression[ =]'?([^'\n]*)'?", file.read_text()):
                self.assertIn(written.split("'")[0], [schedule for _, schedule in shown], file)


if __name__ == "__main__":
    unittest.main()
