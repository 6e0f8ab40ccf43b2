"""What AWS's events look like, as AWS itself says: the schemas of EventBridge's schema registry, and for what they lack botocore's shapes and AWS's documents.

The schemas stand in event-schemas.json, which is made from @aws-cdk/aws-service-spec, in which AWS publishes them for the CDK (Apache-2.0). To make it anew:

    npm pack @aws-cdk/aws-service-spec@VERSION
    python event_schemas.py aws-cdk-aws-service-spec-VERSION.tgz
"""

import functools
import gzip
import json
import re
import sys
import tarfile
from typing import NamedTuple

import models
from local_aws import HERE

FILE = HERE / "event-schemas.json"
# The events that are held against a schema.
KEPT = [
    ("aws.cloudwatch", "CloudWatch Alarm State Change"),
    ("aws.codebuild", "CodeBuild Build Phase Change"),
    ("aws.codebuild", "CodeBuild Build State Change"),
    ("aws.codecommit", "CodeCommit Repository State Change"),
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    ("aws.ecs", "ECS Task State Change"),
]

# What real events have and the schema does not, with its type. The samples of https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html
# have them, but for the file systems, which deliveries of today have.
MORE = {
    "additional-information.build-number": "number",
    "additional-information.project-file-system-locations": "any",
    "additional-information.exported-environment-variables": [{"name*": "string", "value*": "string"}],
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html: of alarms on expressions, and of muted ones.
    "configuration.metrics[].expression": "string",
    "configuration.metrics[].label": "string",
    "configuration.metrics[].period": "number",
    "muteDetail": "any",
}
# What the schemas require and real events leave out.
LEFT_OUT = {
    # A build outside a VPC has neither, and one that has no container yet has no log and no phases: the samples of
    # https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html, and of events/codebuild.
    "additional-information.network-interface",
    "additional-information.vpc-config",
    "additional-information.logs.group-name",
    "additional-information.logs.stream-name",
    "additional-information.phases",
    # An alarm on an expression has no metric of its own, and not every reason has data: the samples on CloudWatch's page above.
    "configuration.metrics[].metricStat",
    "state.reasonData",
    "previousState.reasonData",
}

# A table has a structure's members with their types. A star marks what is always there. A list has the type of its items, a tuple names a service's shape with
# the words that there are, and a set has them.

# AWS Backup's are in no registry: the samples of https://docs.aws.amazon.com/aws-backup/latest/devguide/eventbridge.html.
BACKUP = {
    "Backup Job State Change": {
        "backupJobId*": "string",
        "backupSizeInBytes": "string",
        "backupVaultArn*": "string",
        "backupVaultName*": "string",
        "bytesTransferred*": "string",
        "completionDate": "time",
        "createdBy": "any",
        "creationDate*": "time",
        "expectedCompletionDate": "string",
        "iamRoleArn*": "string",
        "percentDone": "number",
        "resourceArn*": "string",
        "resourceType*": "string",
        "retryCount": "number",
        "startBy": "time",
        "state*": ("backup", "BackupJobState"),
        "statusMessage": "string",
    },
    "Copy Job State Change": {
        "backupSizeInBytes": "number",
        "completionDate": "time",
        "copyJobId": "string",
        "createdBy": "any",
        "creationDate*": "time",
        "destinationBackupVaultArn": "string",
        # An ARN, or an empty structure before there is one.
        "destinationRecoveryPointArn": "any",
        "iamRoleArn": "string",
        "resourceArn": "string",
        "resourceType": "string",
        "sourceBackupVaultArn*": "string",
        "state*": ("backup", "CopyJobState"),
        "statusMessage": "string",
    },
    # The state of a restore is in `status`, and in `state` where it was created only just now.
    "Restore Job State Change": {
        "backupSizeInBytes": "string",
        "completionDate": "time",
        "createdResourceArn": "string",
        "creationDate*": "time",
        "iamRoleArn": "string",
        "percentDone": "number",
        "resourceType": "string",
        "restoreJobId*": "string",
        "state": {"CREATED"},
        "status": ("backup", "RestoreJobStatus"),
        "statusMessage": "string",
    },
}
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
EC2 = {"EC2 Instance Rebalance Recommendation": {"instance-id*": "string"}}


class Nullable(NamedTuple):
    """A type, or null."""

    kind: object


# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html: the schema registry's schema is older than half of the members. An execution
# that runs has no stop and no output, and a large input is left out.
STATES = {
    "Step Functions Execution Status Change": {
        "executionArn*": "string",
        "stateMachineArn*": "string",
        "name*": "string",
        "status*": ("states", "ExecutionStatus"),
        "startDate*": "number",
        "stopDate*": Nullable("number"),
        "input*": Nullable("string"),
        "inputDetails": Nullable({"included*": "boolean"}),
        "output*": Nullable("string"),
        "outputDetails": Nullable({"included*": "boolean"}),
        "stateMachineVersionArn": Nullable("string"),
        "stateMachineAliasArn": Nullable("string"),
        "redriveCount": "number",
        "redriveDate": Nullable("number"),
        "redriveStatus": ("states", "ExecutionRedriveStatus"),
        "redriveStatusReason": Nullable("string"),
        "error": Nullable("string"),
        "cause": Nullable("string"),
    }
}

# Words that the schemas take for any text, with who knows them.
WORDS = {
    "build-status": ("codebuild", "StatusType"),
    "current-phase": ("codebuild", "BuildPhaseType"),
    "completed-phase": ("codebuild", "BuildPhaseType"),
    "additional-information.phases[].phase-type": ("codebuild", "BuildPhaseType"),
    "additional-information.environment.type": ("codebuild", "EnvironmentType"),
    "additional-information.environment.compute-type": ("codebuild", "ComputeType"),
    "additional-information.source.type": ("codebuild", "SourceType"),
    # https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html
    "event": {"referenceCreated", "referenceUpdated", "referenceDeleted", "unreferencedMergeCommitCreated"},
    "referenceType": {"branch", "tag"},
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_StateTransition.html
    "state.value": ("cloudwatch", "StateValue"),
    "previousState.value": ("cloudwatch", "StateValue"),
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    "instance-action": {"hibernate", "stop", "terminate"},
}

TASK = ("aws.ecs", "ECS Task State Change")
RESTORE = ("aws.backup", "Restore Job State Change")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SCALARS = {
    "any": lambda value: True,
    "boolean": lambda value: isinstance(value, bool),
    "json": lambda value: True,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "time": lambda value: isinstance(value, str) and bool(TIME.fullmatch(value)),
}
ENVELOPE = {
    "version": re.compile("0"),
    "id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "detail-type": re.compile(".+"),
    "source": re.compile(r"aws\.[a-z0-9-]+"),
    "account": re.compile(r"\d{12}"),
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    "region": re.compile(r"[a-z]+(-[a-z]+)+-\d"),
}


def differences(event):
    """How an event differs from what AWS sends: a line for each difference."""
    for name, wanted in ENVELOPE.items():
        if not isinstance(event.get(name), str) or not wanted.fullmatch(event[name]):
            yield f"{name} of the envelope: {event.get(name)!r}"
    resources = event.get("resources")
    if not isinstance(resources, list) or not all(isinstance(arn, str) and arn.startswith("arn:") for arn in resources):
        yield f"resources of the envelope: {resources!r}"
    for name in sorted(set(event) - {*ENVELOPE, "resources", "detail"}):
        yield f"{name} of the envelope: an unknown member"
    kind, detail = (event.get("source"), event.get("detail-type")), event.get("detail")
    table = tables().get(kind)
    if table is None:
        yield f"there is no event {kind[1]!r} of {kind[0]!r}"
    elif kind == TASK:
        # The schema says what is always there, and DescribeTasks what else there is and of which types.
        shape = models.service("ecs").shape_for("Task")
        described = {name: item for name, item in detail.items() if name in shape.members}
        yield from models.differences(shape, described, codec=models.Json("iso8601"))
        for line in of_kind(table, detail, ""):
            name = line.partition(":")[0]
            if "is missing" in line or name in detail and name not in shape.members:
                yield line
    else:
        yield from of_kind(table, detail, "")
        if kind == RESTORE and ("state" in detail) == ("status" in detail):
            yield "the whole: either state or status is needed"


def of_kind(kind, value, path):
    """How a value differs from its type."""
    at = path or "the whole"
    if isinstance(kind, Nullable):
        if value is not None:
            yield from of_kind(kind.kind, value, path)
    elif isinstance(kind, dict):
        if not isinstance(value, dict):
            yield f"{at}: {type(value).__name__} in place of a structure"
            return
        members = {name.rstrip("*"): below for name, below in kind.items()}
        for name in kind:
            if name.endswith("*") and name[:-1] not in value:
                yield f"{at}: the required member {name[:-1]} is missing"
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name in members:
                yield from of_kind(members[name], item, below)
            else:
                yield f"{below}: an unknown member"
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{at}: {type(value).__name__} in place of a list"
            return
        for item in value:
            yield from of_kind(kind[0], item, f"{path}[]")
    elif isinstance(kind, (set, tuple)):
        words = kind if isinstance(kind, set) else models.service(kind[0]).shape_for(kind[1]).metadata["enum"]
        if value not in words:
            yield f"{at}: {value!r} is none of the values that there are"
    elif not SCALARS[kind](value):
        yield f"{at}: {value!r} is no {kind}"


@functools.cache
def tables():
    """What is in the detail of each event, by its source and its detail-type."""
    kept = json.loads(FILE.read_text())["events"]
    found = {(source, kind): amended(kept[source][kind], "") for source, kind in KEPT}
    found.update({("aws.backup", kind): table for kind, table in BACKUP.items()})
    found.update({("aws.ec2", kind): table for kind, table in EC2.items()})
    found.update({("aws.states", kind): table for kind, table in STATES.items()})
    return found


def amended(kind, path):
    """A schema with what it lacks, without what it requires in vain, and with the words that there are."""
    if isinstance(kind, list):
        return [amended(kind[0], f"{path}[]")]
    if not isinstance(kind, dict):
        return WORDS.get(path, kind)
    found = {}
    for name, below in kind.items():
        bare = name.rstrip("*")
        at = f"{path}.{bare}" if path else bare
        found[bare if at in LEFT_OUT else name] = amended(below, at)
    found.update({at.rpartition(".")[2]: more for at, more in MORE.items() if at.rpartition(".")[0] == path})
    return found


def table_of(types, kind):
    """A type of the database as a table."""
    if kind["type"] == "ref":
        properties = types[kind["reference"]["$ref"]]["properties"]
        return {name + ("*" if said.get("required") else ""): table_of(types, said["type"]) for name, said in properties.items()}
    if kind["type"] == "array":
        return [table_of(types, kind["element"])]
    return "any" if kind["type"] == "map" else kind["type"]


def main(package):
    with tarfile.open(package) as files:
        version = json.load(files.extractfile("package/package.json"))["version"]
        database = json.loads(gzip.decompress(files.extractfile("package/db.json.gz").read()))["schema"]
    types = {kind["$id"]: kind for kind in database["eventTypeDefinition"]["entities"]}
    events = {source: {} for source, _ in KEPT}
    for event in database["event"]["entities"]:
        if (event["source"], event["detailType"]) in KEPT:
            events[event["source"]][event["detailType"]] = table_of(types, {"type": "ref", "reference": event["rootProperty"]})
    made = {"from": f"@aws-cdk/aws-service-spec {version}, Apache-2.0; made by event_schemas.py", "events": events}
    FILE.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
