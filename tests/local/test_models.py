"""Whether check_models.py would see what is wrong: each fault below is made in a record that is right, and it has to be found, and nothing else with it.

    python test_models.py        with the requirements of requirements.txt installed
"""

import json
import unittest

import check_models
import models
import samples


def record(service, target, body, answer=None, status=200, **more):
    """A request of a function's to a service with a JSON protocol."""
    version = models.service(service).metadata["jsonVersion"]
    answered = {"headers": {"content-type": f"application/x-amz-json-{version}", "x-amzn-requestid": "1"}, "body": answer}
    return {
        "service": service,
        "operation": target.rpartition(".")[2],
        "method": "POST",
        "path": "/",
        "headers": {"x-amz-target": target, "content-type": f"application/x-amz-json-{version}"},
        "body": body,
        "client": "aws-sdk-rust",
        "caller": "bellhop-push",
        "fault": None,
        "status": status,
        "answer": answered if answer is not None else None,
        **more,
    }


ECS = "AmazonEC2ContainerServiceV20141113."
TASK = "arn:aws:ecs:us-east-1:000000000000:task/ci/0123456789abcdef0123456789abcdef"
POINT = "arn:aws:backup:us-east-1:000000000000:recovery-point:1"


def run_task():
    body = {
        "cluster": "ci",
        "taskDefinition": "agent",
        "count": 1,
        "launchType": "FARGATE",
        "clientToken": "token",
        "startedBy": "bellhop/abc/test/1",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0a"], "assignPublicIp": "DISABLED"}},
        "overrides": {"containerOverrides": [{"name": "agent", "environment": [{"name": "LEVEL", "value": "1"}]}]},
    }
    task = {"taskArn": TASK, "version": 1, "createdAt": 1790000000.123, "lastStatus": "PENDING", "launchType": "FARGATE", "stopCode": "UserInitiated"}
    return record("ecs", ECS + "RunTask", body, {"tasks": [task], "failures": []})


def refused():
    error = {"__type": "ConflictException", "message": "no", "resourceIds": [TASK]}
    return record("ecs", ECS + "RunTask", run_task()["body"], error, status=400)


def start_build():
    body = {
        "projectName": "ci-docker",
        "idempotencyToken": "token",
        "timeoutInMinutesOverride": 60,
        "artifactsOverride": {"type": "NO_ARTIFACTS"},
        "environmentVariablesOverride": [{"name": "LEVEL", "value": "1", "type": "PLAINTEXT"}],
    }
    environment = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}
    build = {"id": "ci-docker:1", "startTime": 1790000000, "buildStatus": "IN_PROGRESS", "environment": environment, "buildComplete": False}
    return record("codebuild", "CodeBuild_20161006.StartBuild", body, {"build": build})


def start_execution():
    machine = "arn:aws:states:us-east-1:000000000000:stateMachine:release"
    body = {"stateMachineArn": machine, "name": "token", "input": '{"environment":{"CI":"xxxx"}}'}
    answer = {"executionArn": "arn:aws:states:us-east-1:000000000000:execution:release:token", "startDate": 1790000000.123}
    return record("states", "AWSStepFunctions.StartExecution", body, answer)


def get_commit():
    answer = {"commit": {"commitId": "0" * 40, "parents": [], "message": "All"}}
    return record("codecommit", "CodeCommit_20150413.GetCommit", {"repositoryName": "shop", "commitId": "0" * 40}, answer)


def job_failed():
    details = {"type": "JobFailed", "message": "no"}
    body = {"jobId": "11111111-2222-3333-4444-555555555555", "failureDetails": details}
    return record("codepipeline", "CodePipeline_20150709.PutJobFailureResult", body, {})


def delete_resource():
    body = {"TypeName": "AWS::DynamoDB::Table", "Identifier": "orders", "ClientToken": "token"}
    return record("cloudcontrolapi", "CloudApiService.DeleteResource", body, {"ProgressEvent": {"OperationStatus": "IN_PROGRESS"}})


def put_item():
    body = {"TableName": "bellhop", "Item": {"pk": {"S": "RUN#1"}}, "ConditionExpression": "attribute_not_exists(pk)"}
    return record("dynamodb", "DynamoDB_20120810.PutItem", body)


def publish():
    attribute = "MessageAttributes.entry.1"
    fields = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Subject": "A build failed", "Message": "{}"}
    fields |= {f"{attribute}.Name": "kind", f"{attribute}.Value.DataType": "String", f"{attribute}.Value.StringValue": "run"}
    more = {"operation": "Publish", "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": [list(field) for field in fields.items()]}
    return {**run_task(), "service": "sns", "answer": None, **more}


def rest(service, operation, method, path, body=None, headers=None, answer=None):
    more = {"operation": operation, "method": method, "path": path, "body": body, "headers": headers or {}}
    answered = {"headers": {"content-type": "application/json", "x-amzn-requestid": "1"}, "body": answer}
    return {**run_task(), "service": service, **more, "answer": answered if answer is not None else None}


def put_object():
    headers = {"content-type": "application/json", "x-amz-checksum-crc32": "AAAAAA=="}
    return rest("s3", "PutObject", "PUT", "/bucket/runs/1/report.json?x-id=PutObject", {"bytes": 10}, headers)


def list_versions():
    return rest("s3", "ListObjectVersions", "GET", "/bucket/?versions&prefix=config%2Fbellhop.yaml&max-keys=50")


def delete_objects():
    body = '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object><Quiet>true</Quiet></Delete>'
    return rest("s3", "DeleteObjects", "POST", "/bucket?delete", body)


def start_backup():
    body = {"BackupVaultName": "ci", "ResourceArn": "arn:x", "IamRoleArn": "arn:y", "StartWindowMinutes": 60, "Lifecycle": {"DeleteAfterDays": 120}}
    return rest("backup", "StartBackupJob", "PUT", "/backup-jobs", body, answer={"BackupJobId": "1", "CreationDate": 1790000000.5})


def list_points():
    path = "/backup-vaults/ci/recovery-points?resourceArn=arn%3Ax&maxResults=7"
    answer = {"RecoveryPoints": [{"RecoveryPointArn": POINT, "Status": "COMPLETED", "CreationDate": 1790000000}]}
    return rest("backup", "ListRecoveryPointsByBackupVault", "GET", path, answer=answer)


def describe_alarms():
    body = {"AlarmNames": ["errors"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    alarm = {"AlarmName": "errors", "StateValue": "OK", "StateUpdatedTimestamp": 1790000000.5}
    path = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"
    headers = {"content-type": "application/cbor"}
    return rest("monitoring", "DescribeAlarms", "POST", path, body, headers, {"MetricAlarms": [alarm], "CompositeAlarms": []})


def describe_alarms_in_json():
    return record("monitoring", "GraniteServiceVersion20100801.DescribeAlarms", {"AlarmNames": ["errors"]}, {"MetricAlarms": []})


def bad_token():
    error = {"__type": "InvalidNextToken", "message": "no"}
    return {**describe_alarms(), "status": 400, "answer": {"headers": {"content-type": "application/cbor", "x-amzn-requestid": "1"}, "body": error}}


def update_alias():
    body = {"FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}, "RevisionId": "r"}
    answer = {"Name": "live", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}}
    return rest("lambda", "UpdateAlias", "PUT", "/2015-03-31/functions/shop/aliases/live", body, answer=answer)


def publish_version():
    answer = {"Version": "1", "State": "Pending", "CodeSha256": "AAAA"}
    return {**rest("lambda", "PublishVersion", "POST", "/2015-03-31/functions/shop/versions", {}, answer=answer), "status": 201}


def invoke():
    path = "/2015-03-31/functions/shop/invocations?Qualifier=live"
    headers = {"x-amz-invocation-type": "Event"}
    return {**rest("lambda", "Invoke", "POST", path, {"bytes": 10}, headers, {"anything": 1}), "status": 202}


RIGHT = [
    run_task,
    refused,
    start_build,
    start_execution,
    get_commit,
    job_failed,
    delete_resource,
    put_item,
    publish,
    put_object,
    list_versions,
    delete_objects,
    start_backup,
    list_points,
    describe_alarms,
    describe_alarms_in_json,
    bad_token,
    update_alias,
    publish_version,
    invoke,
]


def put(*path):
    """Puts the last of these at the place that the others name."""
    *path, name, value = path

    def change(record):
        for part in path:
            record = record[part]
        if name == "":
            record.append(value)
        else:
            record[name] = value

    return change


def take(*path):
    *path, name = path

    def change(record):
        for part in path:
            record = record[part]
        del record[name]

    return change


def field(name, value):
    """Changes or adds a field of a form."""

    def change(record):
        record["body"] = [pair for pair in record["body"] if pair[0] != name] + [[name, value]]

    return change


def without(name):
    """Takes a field out of a form."""

    def change(record):
        record["body"] = [pair for pair in record["body"] if pair[0] != name]

    return change


def asked(old, new):
    def change(record):
        record["path"] = record["path"].replace(old, new)

    return change


ANSWER = ("answer", "body")
JOB = "11111111-2222-3333-4444-555555555555"
# What is broken, where, how, and the one line that has to come of it.
FAULTS = [
    ("a required member", run_task, take("body", "taskDefinition"), "the whole: the required member taskDefinition is missing"),
    ("a required member further down", start_build, take("body", "artifactsOverride", "type"), "artifactsOverride: the required member type is missing"),
    ("a required member that is null", get_commit, put("body", "commitId", None), "the whole: the required member commitId is missing"),
    ("a text for a number", run_task, put("body", "count", "1"), "count: '1' is no integer"),
    ("a truth for a number", run_task, put("body", "count", True), "count: True is no integer"),
    ("a fraction for a whole number", start_build, put("body", "timeoutInMinutesOverride", 60.5), "timeoutInMinutesOverride: 60.5 is no integer"),
    ("a number for a text", run_task, put("body", "cluster", 1), "cluster: 1 is no string"),
    ("one thing for a list", run_task, put("body", "overrides", "containerOverrides", {}), "overrides.containerOverrides: dict in place of a list"),
    ("a list for a structure", run_task, put("body", "overrides", []), "overrides: list in place of a structure"),
    ("a word that there is not", run_task, put("body", "launchType", "LAMBDA"), "launchType: 'LAMBDA' is none of the values that there are"),
    (
        "a word in lower case",
        run_task,
        put("body", "networkConfiguration", "awsvpcConfiguration", "assignPublicIp", "disabled"),
        "networkConfiguration.awsvpcConfiguration.assignPublicIp: 'disabled' is none of the values that there are",
    ),
    ("a text too long", job_failed, put("body", "failureDetails", "message", "x" * 5001), "failureDetails.message: length 5001 is more than 5000"),
    ("a text too short", job_failed, put("body", "failureDetails", "message", ""), "failureDetails.message: length 0 is less than 1"),
    ("a pattern", job_failed, put("body", "jobId", JOB.replace("1", "X")), f"jobId: {JOB.replace('1', 'X')!r} is not like "),
    ("a pattern, at its end", delete_resource, put("body", "ClientToken", "to ken"), "ClientToken: 'to ken' is not like "),
    ("an unknown member", run_task, put("body", "memory", "512"), "memory: an unknown member"),
    (
        "an unknown member further down",
        run_task,
        put("body", "overrides", "containerOverrides", 0, "image", "x"),
        "overrides.containerOverrides[0].image: an unknown member",
    ),
    ("a member in another case", get_commit, put("body", "CommitId", "0"), "CommitId: an unknown member"),
    ("an operation that there is not", run_task, put("headers", "x-amz-target", ECS + "RunTasks"), "ecs has no operation RunTasks"),
    ("another service's operation", run_task, put("headers", "x-amz-target", "CodeBuild_20161006.RunTask"), "CodeBuild_20161006 is not how "),
    ("another content type", run_task, put("headers", "content-type", "application/json"), "the content type is application/json, not "),
    ("a body that is not valid JSON", run_task, put("body", "cluster=ci"), "the body is not valid JSON object: 'cluster=ci'"),
    ("two members of a union", put_item, put("body", "Item", "pk", {"S": "1", "N": "1"}), "Item.pk: 2 members where there may be one"),
    ("a binary that is no base64", put_item, put("body", "Item", "pk", {"B": "?"}), "Item.pk.B: '?' is no blob"),
    ("a token longer than documented", run_task, put("body", "clientToken", "x" * 65), "clientToken: length 65 is more than 64"),
    ("a text unlike what is documented", run_task, put("body", "startedBy", "bellhop:1"), "startedBy: 'bellhop:1' is not like "),
    ("an unknown field of a form", publish, field("Topic", "x"), "Topic: an unknown member"),
    ("another version of an API", publish, field("Version", "2010-03-30"), "the version is not 2010-03-31"),
    ("a subject too long", publish, field("Subject", "x" * 100), "Subject: length 100 is more than 99"),
    ("a subject with a line break", publish, field("Subject", "a\nb"), "Subject: 'a\\nb' is not like "),
    (
        "a required field further down",
        publish,
        without("MessageAttributes.entry.1.Value.DataType"),
        "MessageAttributes.kind: the required member DataType is missing",
    ),
    ("an attribute that is empty", publish, field("MessageAttributes.entry.1.Value.StringValue", ""), "MessageAttributes.kind: it is empty"),
    ("an unknown parameter of an address", list_versions, asked("max-keys", "max-items"), "?max-items: an unknown member"),
    ("a number of an address that is none", list_versions, asked("50", "many"), "MaxKeys: 'many' is no integer"),
    ("a number of an address too large", list_points, asked("=7", "=1001"), "MaxResults: value 1001 is more than 1000"),
    ("a pattern in an address", list_points, asked("/ci/", "/c/"), "BackupVaultName: 'c' is not like "),
    ("an address that there is not", list_points, asked("recovery-points", "points"), "backup has no operation at GET /backup-vaults/ci/points"),
    ("an unknown header", put_object, put("headers", "x-amz-colour", "red"), "x-amz-colour: an unknown member"),
    ("a header with a word that there is not", put_object, put("headers", "x-amz-storage-class", "COLD"), "StorageClass: 'COLD' is none of "),
    ("an address of another operation than it says", put_object, asked("x-id=PutObject", "x-id=GetObject"), "/bucket/runs/1/report.json?x-id=GetObject looks "),
    ("an unknown element", delete_objects, put("body", "<Delete><Object><Key>a</Key></Object><Loud>1</Loud></Delete>"), "Delete.Loud: an unknown member"),
    ("a missing element", delete_objects, put("body", "<Delete><Quiet>true</Quiet></Delete>"), "Delete: the required member Objects is missing"),
    ("an unknown member of a REST body", start_backup, put("body", "VaultName", "ci"), "VaultName: an unknown member"),
    ("an operation that the stand-in takes for another", list_versions, put("operation", "ListObjects"), "it is ListObjectVersions, and the stand-in takes "),
    ("an answer with an invented member", run_task, put(*ANSWER, "tasks", 0, "updatedAt", 1790000000), "tasks[0].updatedAt: an unknown member"),
    ("an answer with a null", run_task, put(*ANSWER, "tasks", 0, "startedBy", None), "tasks[0].startedBy: null"),
    ("an answer without a required member", get_commit, take(*ANSWER, "commit"), "the whole: the required member commit is missing"),
    ("an answer with a number as a text", run_task, put(*ANSWER, "tasks", 0, "version", "1"), "tasks[0].version: '1' is no long"),
    ("an answer with a time as a text", start_build, put(*ANSWER, "build", "startTime", "2026-01-01T00:00:00Z"), "build.startTime: '2026-01-01T00:00:00Z' "),
    ("an answer with a word that there is not", run_task, put(*ANSWER, "tasks", 0, "stopCode", "Tired"), "tasks[0].stopCode: 'Tired' is none of "),
    ("an answer without its request id", run_task, put("answer", "headers", {"content-type": "x"}), "it has no request id"),
    ("an answer with another status", start_backup, put("status", 202), "the status is 202"),
    (
        "an error that the operation does not have",
        refused,
        put(*ANSWER, {"__type": "NoSuchTaskException", "message": "no"}),
        "the error NoSuchTaskException is none of the operation's",
    ),
    (
        "a fault of the service's with a status of the caller's",
        refused,
        put(*ANSWER, {"__type": "ServerException", "message": "no"}),
        "the status of ServerException is 400, not 500",
    ),
    ("an unknown member of CBOR", describe_alarms, put("body", "AlarmName", "errors"), "AlarmName: an unknown member"),
    ("an operation of CBOR that there is not", describe_alarms, asked("Alarms", "Alarm"), "cloudwatch has no operation DescribeAlarm"),
    ("another service's address", describe_alarms, asked("Granite", "Marble"), "cloudwatch has no operation at POST /service/Marble"),
    ("CBOR that does not say so", describe_alarms, put("headers", "content-type", "application/json"), "the content type is application/json, not "),
    ("an answer of CBOR with a word that there is not", describe_alarms, put(*ANSWER, "MetricAlarms", 0, "StateValue", "ALARMED"), "MetricAlarms[0].StateValue: "),
    ("an error of CBOR that the operation does not have", bad_token, put(*ANSWER, "__type", "NoSuchAlarm"), "the error NoSuchAlarm is none of the "),
    (
        "a weight too large",
        update_alias,
        put("body", "RoutingConfig", "AdditionalVersionWeights", {"2": 1.5}),
        "RoutingConfig.AdditionalVersionWeights.2: value 1.5 is more than 1.0",
    ),
    ("a version that was published with another status", publish_version, put("status", 200), "the status is 200"),
    ("an invocation with a word that there is not", invoke, put("headers", "x-amz-invocation-type", "Later"), "InvocationType: 'Later' is none of "),
    ("an error with an invented member", refused, put(*ANSWER, "reason", "x"), "reason of the error ConflictException: an unknown member"),
    ("an error with a member of another type", refused, put(*ANSWER, "resourceIds", TASK), "resourceIds of the error ConflictException: str in place "),
]
def lines(one):
    judge = check_models.Judge()
    judge.judge(one)
    return [line for _, _, line in judge.different]


class Faults(unittest.TestCase):
    def test_what_is_right_is_found_so(self):
        for right in RIGHT:
            with self.subTest(right.__name__):
                self.assertEqual(lines(right()), [])

    def test_each_fault_is_found_and_nothing_else(self):
        for what, right, change, line in FAULTS:
            with self.subTest(what):
                broken = right()
                change(broken)
                [found] = lines(broken)
                self.assertTrue(found.startswith(line), found)


    def test_requests_of_tests_are_judged_where_they_were_taken(self):
        broken = {**run_task(), "client": None, "caller": None}
        broken["body"]["memory"] = "512"
        self.assertEqual(lines(broken), ["memory: an unknown member"])
        refusal = {**refused(), "client": None, "body": {}}
        self.assertEqual(lines(refusal), [])
        # One of the functions' is judged however it was answered, and also where no answer came.
        self.assertEqual(lines({**refusal, "client": "aws-sdk-rust"}), ["the whole: the required member taskDefinition is missing"])
        self.assertEqual(lines({**broken, "client": "aws-sdk-rust", "status": None, "answer": None}), ["memory: an unknown member"])

    def test_errors_in_a_tests_own_words_are_not_judged(self):
        made_up = refused()
        made_up["answer"]["body"] = {"__type": "SomethingException", "message": "no"}
        self.assertEqual(lines({**made_up, "fault": "error"}), [])
        self.assertNotEqual(lines({**made_up, "fault": "throttle"}), [])

    def test_a_record_that_lacks_something_is_none(self):
        judge = check_models.Judge()
        for right in RIGHT:
            judge.judge(right())
        missing = list(judge.lacking())
        self.assertIn("no answer of ecs StopTask", missing)
        self.assertIn("no events", missing)
        self.assertFalse(any("no request of the functions'" in line for line in missing), missing)
        judge.used.remove("sns")
        self.assertIn("no request of the functions' to sns", list(judge.lacking()))
        self.assertNotIn("no errors", missing)

    def test_an_operation_that_is_not_expected_is_told(self):
        judge = check_models.Judge()
        judge.judge(record("ecs", ECS + "ListServices", {"cluster": "ci"}, {"serviceArns": []}))
        self.assertIn("an answer of ecs ListServices, which models.ANSWERED does not have", list(judge.lacking()))


def event(sample):
    return lambda: {"event": json.loads(samples.samples()[sample])}


TASK_EVENT, BUILD_EVENT, PUSH_EVENT, BACKUP_EVENT = (
    event(sample) for sample in ["ecs/running.json", "codebuild/succeeded.json", "codecommit/push.json", "backup/completed.json"]
)
RESTORE_EVENT, SPOT_EVENT, ALARM_EVENT = (event(sample) for sample in ["backup/restore-completed.json", "ec2/spot-warning.json", "alarm/alarm.json"])
EXECUTION_EVENT = event("step-functions/failed.json")
DETAIL = ("event", "detail")
MORE = (*DETAIL, "additional-information")
EVENT_FAULTS = [
    ("a member that no task has", TASK_EVENT, put(*DETAIL, "stoppedBy", "x"), "stoppedBy: an unknown member"),
    ("a required member", TASK_EVENT, take(*DETAIL, "updatedAt"), "the whole: the required member updatedAt is missing"),
    ("seconds since 1970", TASK_EVENT, put(*DETAIL, "createdAt", 1790000000.5), "createdAt: 1790000000.5 is no timestamp"),
    ("a word of a task's", TASK_EVENT, put(*DETAIL, "connectivity", "FINE"), "connectivity: 'FINE' is none of the values that there are"),
    ("a build's invented member", BUILD_EVENT, put(*MORE, "colour", "red"), "additional-information.colour: an unknown member"),
    ("a build's required member", BUILD_EVENT, take(*DETAIL, "build-id"), "the whole: the required member build-id is missing"),
    ("a build's state", BUILD_EVENT, put(*DETAIL, "build-status", "DONE"), "build-status: 'DONE' is none of the values that there are"),
    ("a number as a text", BUILD_EVENT, put(*MORE, "timeout-in-minutes", "60"), "additional-information.timeout-in-minutes: '60' is no number"),
    ("a kind of change", PUSH_EVENT, put(*DETAIL, "event", "referenceMoved"), "event: 'referenceMoved' is none of the values that there are"),
    ("a backup's state", BACKUP_EVENT, put(*DETAIL, "state", "DONE"), "state: 'DONE' is none of the values that there are"),
    ("a size as a number", BACKUP_EVENT, put(*DETAIL, "bytesTransferred", 36048), "bytesTransferred: 36048 is no string"),
    ("a time without its T", BACKUP_EVENT, put(*DETAIL, "creationDate", "2026-01-01 00:00:00Z"), "creationDate: '2026-01-01 00:00:00Z' is no time"),
    ("two states", RESTORE_EVENT, put(*DETAIL, "state", "CREATED"), "the whole: either state or status is needed"),
    ("an action of EC2's", SPOT_EVENT, put(*DETAIL, "instance-action", "reboot"), "instance-action: 'reboot' is none of the values that there are"),
    ("an alarm's state", ALARM_EVENT, put(*DETAIL, "state", "value", "FINE"), "state.value: 'FINE' is none of the values that there are"),
    ("a required member of an alarm's", ALARM_EVENT, take(*DETAIL, "previousState", "timestamp"), "previousState: the required member timestamp is missing"),
    ("a stop in words", EXECUTION_EVENT, put(*DETAIL, "stopDate", "today"), "stopDate: 'today' is no number"),
    ("a word of an execution's", EXECUTION_EVENT, put(*DETAIL, "redriveStatus", "MAYBE"), "redriveStatus: 'MAYBE' is none of the values that there are"),
    ("an execution's error for a task", TASK_EVENT, put(*DETAIL, "error", "States.Timeout"), "error: an unknown member"),
    ("a kind of event that there is not", SPOT_EVENT, put("event", "detail-type", "EC2 Spot Warning"), "there is no event 'EC2 Spot Warning'"),
    ("an account that is none", PUSH_EVENT, put("event", "account", "1"), "account of the envelope: '1'"),
    ("a time with a fraction", PUSH_EVENT, put("event", "time", "2026-01-01T00:00:00.000Z"), "time of the envelope: "),
    ("an envelope with more", PUSH_EVENT, put("event", "seq", 1), "seq of the envelope: an unknown member"),
    ("one resource in place of a list", PUSH_EVENT, put("event", "resources", "arn:x"), "resources of the envelope: 'arn:x'"),
]


class Events(unittest.TestCase):
    def test_the_samples_are_what_aws_sends(self):
        self.assertEqual(check_models.check_samples(), [])

    def test_each_fault_is_found_and_nothing_else(self):
        for what, right, change, line in EVENT_FAULTS:
            with self.subTest(what):
                broken = right()
                self.assertEqual(lines(broken), [])
                change(broken)
                found = lines(broken)
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].startswith(line), found)


if __name__ == "__main__":
    unittest.main()
