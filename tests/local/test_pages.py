"""boto3's own paginators and waiters on the stand-in: clients that AWS wrote.

    python test_pages.py        in the environment of `bellhop-local pages -- python test_pages.py`

Each paginator has to bring everything that there is, once each, in more than one page; each waiter has to wait until it is so. Which of them botocore has for
the operations that the stand-in answers is read from botocore, so that a new one is missed here.
"""

import json
import os
import threading
import time
import unittest
import urllib.request

import boto3
import botocore.exceptions
import botocore.session

import models
from local_aws import CREDENTIALS, REGION

CLUSTER, PROJECT, VAULT, REPOSITORY = "ci-main", "ci-docker", "ci", "shop"
OTHER_PROJECT, OTHER_VAULT = "ci-other", "other"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"
FUNCTION, OTHER_FUNCTION = "shop", "oven"
# What a zip file begins with.
PACKAGE = b"PK\x03\x04 bread"
# How many there are of each thing (tests/local/src/pages.rs).
MANY = 25
# More builds than ListBuildsForProject gives at once; it takes no size of a page.
BUILDS = 230
SIZE = 7
# Seconds between two looks of a waiter, and how many looks.
PATIENCE = {"Delay": 0.05, "MaxAttempts": 200}

# What botocore has for the operations that the stand-in answers.
PAGINATORS = {
    ("backup", "ListRecoveryPointsByBackupVault"),
    ("codebuild", "ListBuildsForProject"),
    ("codecommit", "GetDifferences"),
    ("ecs", "ListClusters"),
    ("ecs", "ListContainerInstances"),
    ("ecs", "ListTasks"),
    ("lambda", "ListVersionsByFunction"),
    ("monitoring", "DescribeAlarms"),
}
WAITERS = {
    ("cloudcontrolapi", "ResourceRequestSuccess"),
    ("ecs", "ServicesInactive"),
    ("ecs", "ServicesStable"),
    ("ecs", "TasksRunning"),
    ("ecs", "TasksStopped"),
    ("lambda", "FunctionActive"),
    ("lambda", "FunctionUpdated"),
    ("lambda", "PublishedVersionActive"),
    ("monitoring", "AlarmExists"),
    ("monitoring", "CompositeAlarmExists"),
    ("monitoring", "LogAlarmExists"),
}


def client(service, **credentials):
    return boto3.client(service, region_name=REGION, endpoint_url=os.environ["AWS_ENDPOINT_URL"], **{**CREDENTIALS, **credentials})


def run_tasks(ecs, count):
    """So many tasks on Fargate, ten at a time: their ARNs."""
    arns = []
    while len(arns) < count:
        reply = ecs.run_task(
            cluster=CLUSTER,
            taskDefinition="agent-small",
            count=min(10, count - len(arns)),
            startedBy="pages",
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-0a"]}},
        )
        arns += [task["taskArn"] for task in reply["tasks"]]
    return arns


def start_builds(codebuild, project, count):
    """So many builds, each stopped at once: their ids, the newest first."""
    ids = []
    for _ in range(count):
        build = codebuild.start_build(projectName=project, buildspecOverride="version: 0.2\nphases: {}\n")["build"]["id"]
        codebuild.stop_build(id=build)
        ids.append(build)
    return ids[::-1]


def pages(service, operation, **parameters):
    """The pages that boto3's paginator brings."""
    # Of what takes no size of a page, botocore would cut one itself.
    size = {"PaginationConfig": {"PageSize": SIZE}} if operation != "list_builds_for_project" else {}
    return list(service.get_paginator(operation).paginate(**parameters, **size))


def lost(found, wanted, key):
    """What is wrong with pages: nothing if they have everything once, in order where that is known, and are more than one."""
    items = [item for page in found for item in page[key]]
    if len(found) < 2:
        return f"{len(found)} page"
    if len(items) != len(set(items)):
        return "an item comes twice"
    if isinstance(wanted, int):
        return None if len(items) == wanted else f"{len(items)} of {wanted}"
    return None if items == wanted else f"{len(items)} of {len(wanted)}, or another order"


class Pages(unittest.TestCase):
    tried = set()

    @classmethod
    def tearDownClass(cls):
        assert cls.tried == PAGINATORS, cls.tried

    def whole(self, service, operation, key, wanted, name=lambda item: item, **parameters):
        self.tried.add((service.meta.service_model.signing_name, service.meta.method_to_api_mapping[operation]))
        found = [{key: [name(item) for item in page[key]]} for page in pages(service, operation, **parameters)]
        self.assertIsNone(lost(found, wanted, key))

    def test_paginators_of_ecs(self):
        ecs = client("ecs")
        arns = run_tasks(ecs, MANY)
        self.whole(ecs, "list_tasks", "taskArns", arns, cluster=CLUSTER, startedBy="pages")
        self.whole(ecs, "list_container_instances", "containerInstanceArns", MANY, cluster=CLUSTER)
        self.whole(ecs, "list_clusters", "clusterArns", MANY + 1)
        for arn in arns:
            ecs.stop_task(cluster=CLUSTER, task=arn)

    def test_paginator_of_codebuild(self):
        codebuild = client("codebuild")
        ids = start_builds(codebuild, PROJECT, BUILDS)
        self.whole(codebuild, "list_builds_for_project", "ids", ids, projectName=PROJECT)

        # One that is not told of the next page loses what is there.
        codebuild.meta.events.register("after-call.codebuild.ListBuildsForProject", lambda parsed, **_: parsed.pop("nextToken", None))
        self.assertEqual(lost(pages(codebuild, "list_builds_for_project", projectName=PROJECT), ids, "ids"), "1 page")

    def test_paginator_of_codecommit(self):
        codecommit = client("codecommit")
        before, after = os.environ["BELLHOP_COMMITS"].split()
        commits = {"repositoryName": REPOSITORY, "beforeCommitSpecifier": before, "afterCommitSpecifier": after}

        def path(difference):
            return difference["afterBlob"]["path"]

        files = sorted(f"file-{number}" for number in range(MANY))
        self.whole(codecommit, "get_differences", "differences", files, path, **commits)

        # Nor may a page be lost in the middle, or come twice.
        found = [{"paths": [path(item) for item in page["differences"]]} for page in pages(codecommit, "get_differences", **commits)]
        self.assertRegex(lost([*found[:1], *found[2:]], files, "paths"), f"{MANY - SIZE} of {MANY}")
        self.assertEqual(lost([*found, found[0]], files, "paths"), "an item comes twice")

    def test_paginator_of_backup(self):
        backup = client("backup")

        def arn(point):
            return point["RecoveryPointArn"]

        self.whole(backup, "list_recovery_points_by_backup_vault", "RecoveryPoints", MANY, arn, BackupVaultName=VAULT)


    def test_paginator_of_lambda(self):
        def version(configuration):
            return configuration["Version"]

        versions = ["$LATEST", *(str(number) for number in range(1, MANY + 1))]
        self.whole(client("lambda"), "list_versions_by_function", "Versions", versions, version, FunctionName=FUNCTION)

    def test_paginator_of_cloudwatch(self):
        def name(alarm):
            return alarm["AlarmName"]

        names = [f"alarm-{number:02}" for number in range(MANY)]
        self.whole(client("cloudwatch"), "describe_alarms", "MetricAlarms", names, name)


class Waiters(unittest.TestCase):
    tried = set()

    @classmethod
    def tearDownClass(cls):
        assert cls.tried == {name.lower() for _, name in WAITERS}, cls.tried

    def wait(self, service, name, **parameters):
        self.tried.add(name.replace("_", ""))
        service.get_waiter(name).wait(WaiterConfig=PATIENCE, **parameters)

    def test_tasks_come_up_and_go(self):
        ecs = client("ecs")
        tasks = run_tasks(ecs, 2)
        self.wait(ecs, "tasks_running", cluster=CLUSTER, tasks=tasks)
        stopping = threading.Timer(0.3, lambda: [client("ecs").stop_task(cluster=CLUSTER, task=task) for task in tasks])
        begun = time.monotonic()
        stopping.start()
        self.wait(ecs, "tasks_stopped", cluster=CLUSTER, tasks=tasks)
        stopping.join()
        self.assertGreater(time.monotonic() - begun, 0.3)
        # A task that is over does not come up any more, and botocore's waiter knows that.
        with self.assertRaises(botocore.exceptions.WaiterError):
            ecs.get_waiter("tasks_running").wait(WaiterConfig=PATIENCE, cluster=CLUSTER, tasks=tasks)

    def test_services_become_stable(self):
        ecs = client("ecs")
        ecs.update_service(cluster=CLUSTER, service="jenkins", forceNewDeployment=True)
        [service] = ecs.describe_services(cluster=CLUSTER, services=["jenkins"])["services"]
        self.assertEqual(len(service["deployments"]), 2)
        self.wait(ecs, "services_stable", cluster=CLUSTER, services=["jenkins"])
        self.wait(ecs, "services_inactive", cluster=CLUSTER, services=["retired"])
        with self.assertRaises(botocore.exceptions.WaiterError):
            ecs.get_waiter("services_stable").wait(WaiterConfig=PATIENCE, cluster=CLUSTER, services=["retired"])

    def test_a_deployment_takes_effect(self):
        function = client("lambda")
        self.wait(function, "function_active", FunctionName=OTHER_FUNCTION)
        function.update_function_code(FunctionName=OTHER_FUNCTION, ZipFile=PACKAGE)
        self.wait(function, "function_updated", FunctionName=OTHER_FUNCTION)
        version = function.publish_version(FunctionName=OTHER_FUNCTION)["Version"]
        self.wait(function, "published_version_active", FunctionName=OTHER_FUNCTION, Qualifier=version)

    def test_alarms_are_there(self):
        cloudwatch = client("cloudwatch")
        self.wait(cloudwatch, "alarm_exists", AlarmNames=["alarm-00"])
        self.wait(cloudwatch, "composite_alarm_exists", AlarmNames=["whole"], AlarmTypes=["CompositeAlarm"])
        self.wait(cloudwatch, "log_alarm_exists", AlarmNames=["logs"], AlarmTypes=["LogAlarm"])

    def test_a_removal_succeeds(self):
        cloudcontrol = client("cloudcontrol")
        removal = cloudcontrol.delete_resource(TypeName="AWS::DynamoDB::Table", Identifier="orders", ClientToken="pages")["ProgressEvent"]
        self.wait(cloudcontrol, "resource_request_success", RequestToken=removal["RequestToken"])


class Everything(unittest.TestCase):
    def test_no_paginator_and_no_waiter_is_left_out(self):
        loader = botocore.session.get_session().get_component("data_loader")
        found = {}
        for kind, of_kind in [("paginators-1", "pagination"), ("waiters-2", "waiters")]:
            found[of_kind] = set()
            for service, operations in models.ANSWERED.items():
                name = models.NAMES.get(service, service)
                try:
                    there = loader.load_service_model(name, kind)[of_kind]
                except botocore.exceptions.DataNotFoundError:
                    continue
                found[of_kind] |= {(service, one) for one, said in there.items() if said.get("operation", one) in operations}
        self.assertEqual(found["pagination"], PAGINATORS)
        self.assertEqual(found["waiters"], WAITERS)

    def test_every_operation_answers_boto3(self):
        answered = set()

        def called(model, http_response, **_):
            if http_response.status_code < 300:
                answered.add((model.service_model.signing_name, model.name))

        clients = {service: client(models.NAMES.get(service, service)) for service in models.ANSWERED}
        for one in clients.values():
            one.meta.events.register("after-call", called)
        task = call_ecs(clients["ecs"])
        # The stand-in answers tasks only.
        of_task = client("sts", aws_access_key_id=f"ASIA{task.rpartition('/')[2][:16].upper()}")
        of_task.meta.events.register("after-call", called)
        self.assertTrue(of_task.get_caller_identity()["UserId"].endswith(":" + task.rpartition("/")[2]))
        call_builds(clients["codebuild"], clients["codecommit"])
        call_backup(clients["backup"])
        call_codepipeline(clients["codepipeline"])
        call_cloudcontrol(clients["cloudcontrolapi"])
        call_step_functions(clients["states"])
        call_lambda(clients["lambda"])
        clients["monitoring"].describe_alarms(AlarmNames=["alarm-00", "other"])
        self.assertEqual(answered, {(service, operation) for service, operations in models.ANSWERED.items() for operation in operations})

    def test_every_service_refuses_what_it_does_not_know(self):
        unknown = "00000000-0000-0000-0000-000000000000"
        for service, operation, parameters, code in [
            ("backup", "describe_backup_job", {"BackupJobId": unknown}, "ResourceNotFoundException"),
            ("cloudcontrol", "get_resource_request_status", {"RequestToken": unknown}, "RequestTokenNotFoundException"),
            ("codebuild", "list_builds_for_project", {"projectName": "other"}, "ResourceNotFoundException"),
            ("codecommit", "get_repository", {"repositoryName": "other"}, "RepositoryDoesNotExistException"),
            ("codepipeline", "put_job_success_result", {"jobId": unknown}, "JobNotFoundException"),
            ("cloudwatch", "describe_alarms", {"NextToken": "x"}, "InvalidNextToken"),
            ("ecs", "describe_tasks", {"cluster": "other", "tasks": ["1"]}, "ClusterNotFoundException"),
            ("lambda", "get_alias", {"FunctionName": FUNCTION, "Name": "other"}, "ResourceNotFoundException"),
            ("stepfunctions", "describe_execution", {"executionArn": f"arn:aws:states:{REGION}:000000000000:execution:release:{unknown}"}, "ExecutionDoesNotExist"),
        ]:
            with self.subTest(service), self.assertRaises(botocore.exceptions.ClientError) as refusal:
                getattr(client(service), operation)(**parameters)
            self.assertEqual(refusal.exception.response["Error"]["Code"], code)


def call_ecs(ecs):
    container = {"name": "agent", "image": "agent", "memory": 512, "environment": [{"name": "LEVEL", "value": "1"}]}
    ecs.register_task_definition(family="agent-small", containerDefinitions=[container], tags=[{"key": "suite", "value": "bellhop"}])
    tasks = run_tasks(ecs, 1)
    ecs.describe_tasks(cluster=CLUSTER, tasks=tasks, include=["TAGS"])
    ecs.stop_task(cluster=CLUSTER, task=tasks[0], reason="enough")
    ecs.describe_clusters(clusters=[CLUSTER, "other"])
    ecs.list_clusters()
    ecs.list_tasks(cluster=CLUSTER)
    instances = ecs.list_container_instances(cluster=CLUSTER)["containerInstanceArns"]
    for status in ["DRAINING", "ACTIVE"]:
        ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=instances[:1], status=status)
    ecs.describe_services(cluster=CLUSTER, services=["controller", "other"])
    ecs.update_service(cluster=CLUSTER, service="controller", forceNewDeployment=True)
    return tasks[0]


def call_builds(codebuild, codecommit):
    ids = start_builds(codebuild, OTHER_PROJECT, 1)
    codebuild.batch_get_builds(ids=[*ids, f"{OTHER_PROJECT}:00000000-0000-0000-0000-000000000000"])
    codebuild.list_builds_for_project(projectName=OTHER_PROJECT)
    codebuild.batch_get_projects(names=[OTHER_PROJECT, "other"])
    before, after = os.environ["BELLHOP_COMMITS"].split()
    codecommit.create_repository(repositoryName="new", repositoryDescription="Bread")
    codecommit.get_repository(repositoryName=REPOSITORY)
    codecommit.get_branch(repositoryName=REPOSITORY, branchName="main")
    codecommit.get_commit(repositoryName=REPOSITORY, commitId=after)
    codecommit.get_folder(repositoryName=REPOSITORY, folderPath="/")
    codecommit.get_file(repositoryName=REPOSITORY, filePath="file-1")
    codecommit.get_differences(repositoryName=REPOSITORY, beforeCommitSpecifier=before, afterCommitSpecifier=after)
    codecommit.get_merge_options(repositoryName=REPOSITORY, sourceCommitSpecifier=before, destinationCommitSpecifier=after)


def call_backup(backup):
    role = "arn:aws:iam::000000000000:role/backup"
    job = backup.start_backup_job(BackupVaultName=VAULT, ResourceArn=TABLE, IamRoleArn=role)
    backup.describe_backup_job(BackupJobId=job["BackupJobId"])
    [point, *_] = backup.list_recovery_points_by_backup_vault(BackupVaultName=VAULT)["RecoveryPoints"]
    of_point = {"RecoveryPointArn": point["RecoveryPointArn"]}
    far = "arn:aws:backup:eu-west-1:000000000000:backup-vault:far"
    job = backup.start_copy_job(**of_point, SourceBackupVaultName=VAULT, DestinationBackupVaultArn=far, IamRoleArn=role)
    backup.describe_copy_job(CopyJobId=job["CopyJobId"])
    backup.get_recovery_point_restore_metadata(**of_point, BackupVaultName=VAULT)
    job = backup.start_restore_job(**of_point, Metadata={"targetTableName": "test"}, IamRoleArn=role, ResourceType="DynamoDB")
    backup.describe_restore_job(RestoreJobId=job["RestoreJobId"])
    [point] = backup.list_recovery_points_by_backup_vault(BackupVaultName=OTHER_VAULT)["RecoveryPoints"]
    backup.delete_recovery_point(RecoveryPointArn=point["RecoveryPointArn"], BackupVaultName=OTHER_VAULT)


def call_codepipeline(codepipeline):
    for report in [
        lambda job: codepipeline.put_job_success_result(jobId=job, outputVariables={"BuildId": "1"}),
        lambda job: codepipeline.put_job_failure_result(jobId=job, failureDetails={"type": "JobFailed", "message": "no"}),
    ]:
        report(start_action())


def start_action():
    """An action of CodePipeline that waits for its function: its job."""
    asked = urllib.request.Request(
        f"{os.environ['AWS_ENDPOINT_URL']}/_stand-in/actions",
        data=json.dumps({"function": "bellhop-pipeline"}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)["jobs"][0]["id"]


def call_step_functions(states):
    machine = f"arn:aws:states:{REGION}:000000000000:stateMachine:release"
    started = states.start_execution(stateMachineArn=machine, name="pages", input="{}")
    states.describe_execution(executionArn=started["executionArn"])
    states.stop_execution(executionArn=started["executionArn"])


def call_lambda(function):
    of_function = {"FunctionName": FUNCTION}
    function.update_function_code(**of_function, ZipFile=PACKAGE, DryRun=True)
    function.publish_version(**of_function)
    function.get_function_configuration(**of_function, Qualifier="live")
    function.list_versions_by_function(**of_function)
    alias = function.get_alias(**of_function, Name="live")
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    function.update_alias(**of_function, Name="live", FunctionVersion="1", RoutingConfig=weights, RevisionId=alias["RevisionId"])
    assert function.invoke(**of_function, Qualifier="live", Payload="{}")["ExecutedVersion"] in ("1", "2")


def call_cloudcontrol(cloudcontrol):
    removal = cloudcontrol.delete_resource(TypeName="AWS::DynamoDB::Table", Identifier="shop")
    cloudcontrol.get_resource_request_status(RequestToken=removal["ProgressEvent"]["RequestToken"])


if __name__ == "__main__":
    unittest.main()
