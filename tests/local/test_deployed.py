"""What the local AWS has once infra/template.yaml is deployed to it, against what the template says: every resource, and every property of it.

    python test_deployed.py        with the requirements of requirements.txt installed

It is packaged and deployed with the AWS CLI, as to AWS, with every condition true; the functions' code is a word. What the template says is read from what
the SAM transform makes of it, while the local AWS has a transform of its own. What the local AWS does not keep is named in `NOT_KEPT`: the other tests, which
run on it, cannot show it.
"""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path
from urllib.parse import unquote

from botocore.exceptions import ClientError

from infra import ROOT, SUITE, Promise, Template, walk
from local_aws import CREDENTIALS, REGION, LocalAws

STACK = "bellhop"

# Properties that do nothing: nobody asks the local AWS what anything costs.
TAGS = {"Tags", "BackupVaultTags", "BackupPlanTags"}
# Properties that the local AWS does not have once they are deployed: type and property.
NOT_KEPT = {
    # It answers with a place of its own.
    ("AWS::Lambda::Function", "Code"),
    # ministack's CloudFormation leaves these out; see the steps `infra` and `security` for what the template says.
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"),
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"),
    ("AWS::DynamoDB::Table", "SSESpecification"),
    ("AWS::S3::Bucket", "LifecycleConfiguration"),
    # S3 always encrypts, and this says with what.
    ("AWS::S3::Bucket", "BucketEncryption"),
    ("AWS::SNS::Topic", "KmsMasterKeyId"),
}


class Deployed:
    """What the local AWS has, in CloudFormation's words."""

    def __init__(self, local):
        self.local = local
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = self.local.client(service)
        return self.clients[service]

    def properties(self, kind, of, said):
        """A resource's properties, by its type and its id. `said` is what the template says of it, for those that have no id to be asked by."""
        return getattr(self, kind.removeprefix("AWS::").replace("::", "_").lower())(of, said)

    def lambda_function(self, of, _):
        return self.client("lambda").get_function_configuration(FunctionName=of)

    def lambda_permission(self, of, said):
        policy = json.loads(self.client("lambda").get_policy(FunctionName=said["FunctionName"])["Policy"])
        [statement] = [statement for statement in policy["Statement"] if statement["Sid"] == of]
        conditions = {key.partition(":")[2]: value for condition in statement["Condition"].values() for key, value in condition.items()}
        function = statement["Resource"].rpartition(":")[2]
        return {"Action": statement["Action"], "FunctionName": function, "Principal": statement["Principal"]["Service"], **conditions}

    def lambda_eventinvokeconfig(self, _, said):
        names = {"FunctionName": said["FunctionName"], "Qualifier": said["Qualifier"]}
        return {**names, **self.client("lambda").get_function_event_invoke_config(**names)}

    def lambda_eventsourcemapping(self, of, _):
        mapping = self.client("lambda").get_event_source_mapping(UUID=of)
        return {**mapping, "FunctionName": mapping["FunctionArn"].rpartition(":")[2]}

    def lambda_url(self, of, _):
        url = self.client("lambda").get_function_url_config(FunctionName=of)
        return {**url, "TargetFunctionArn": url["FunctionArn"].rpartition(":")[2]}

    def events_rule(self, of, _):
        rule = self.client("events").describe_rule(Name=of)
        if "EventPattern" in rule:
            rule["EventPattern"] = json.loads(rule["EventPattern"])
        return {**rule, "Targets": self.client("events").list_targets_by_rule(Rule=of)["Targets"]}

    def sqs_queue(self, of, _):
        return self.client("sqs").get_queue_attributes(QueueUrl=of, AttributeNames=["All"])["Attributes"]

    def sqs_queuepolicy(self, _, said):
        policies = [json.loads(self.sqs_queue(queue, None)["Policy"]) for queue in said["Queues"]]
        return {"Queues": said["Queues"], "PolicyDocument": policies[0]} if policies else {}

    def sns_topic(self, of, _):
        return self.client("sns").get_topic_attributes(TopicArn=of)["Attributes"]

    def sns_topicpolicy(self, _, said):
        policies = [json.loads(self.sns_topic(topic, None)["Policy"]) for topic in said["Topics"]]
        return {"Topics": said["Topics"], "PolicyDocument": policies[0]} if policies else {}

    def sns_subscription(self, of, said):
        [found] = [one for one in self.client("sns").list_subscriptions_by_topic(TopicArn=said["TopicArn"])["Subscriptions"] if one["SubscriptionArn"] == of]
        attributes = self.client("sns").get_subscription_attributes(SubscriptionArn=of)["Attributes"]
        return {**found, "FilterPolicy": json.loads(attributes["FilterPolicy"] or "{}")}

    def dynamodb_table(self, of, _):
        client = self.client("dynamodb")
        table = client.describe_table(TableName=of)["Table"]
        ttl = client.describe_time_to_live(TableName=of)["TimeToLiveDescription"]
        backups = client.describe_continuous_backups(TableName=of)["ContinuousBackupsDescription"]
        return {
            **table,
            "BillingMode": table["BillingModeSummary"]["BillingMode"],
            "SSESpecification": {"SSEEnabled": table.get("SSEDescription", {}).get("Status") == "ENABLED"},
            "TimeToLiveSpecification": {"AttributeName": ttl.get("AttributeName"), "Enabled": ttl["TimeToLiveStatus"] == "ENABLED"},
            "PointInTimeRecoverySpecification": {
                "PointInTimeRecoveryEnabled": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
            },
        }

    def s3_bucket(self, of, _):
        client = self.client("s3")
        [encryption] = client.get_bucket_encryption(Bucket=of)["ServerSideEncryptionConfiguration"]["Rules"]
        return {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": encryption["ApplyServerSideEncryptionByDefault"]}]
            },
            "OwnershipControls": client.get_bucket_ownership_controls(Bucket=of)["OwnershipControls"],
            "PublicAccessBlockConfiguration": client.get_public_access_block(Bucket=of)["PublicAccessBlockConfiguration"],
            "VersioningConfiguration": {"Status": client.get_bucket_versioning(Bucket=of)["Status"]},
        }

    def s3_bucketpolicy(self, _, said):
        return {"Bucket": said["Bucket"], "PolicyDocument": json.loads(self.client("s3").get_bucket_policy(Bucket=said["Bucket"])["Policy"])}

    def iam_role(self, of, _):
        client = self.client("iam")
        names = client.list_role_policies(RoleName=of)["PolicyNames"]
        return {
            **client.get_role(RoleName=of)["Role"],
            "ManagedPolicyArns": [policy["PolicyArn"] for policy in client.list_attached_role_policies(RoleName=of)["AttachedPolicies"]],
            "Policies": [
                {"PolicyName": name, "PolicyDocument": client.get_role_policy(RoleName=of, PolicyName=name)["PolicyDocument"]} for name in names
            ],
        }

    def iam_managedpolicy(self, of, _):
        client = self.client("iam")
        policy = client.get_policy(PolicyArn=of)["Policy"]
        version = client.get_policy_version(PolicyArn=of, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        document = version["Document"]
        return {**policy, "PolicyDocument": json.loads(unquote(document)) if isinstance(document, str) else document}

    def cloudwatch_alarm(self, of, _):
        [alarm] = self.client("cloudwatch").describe_alarms(AlarmNames=[of])["MetricAlarms"]
        return alarm

    def cloudwatch_dashboard(self, of, _):
        return self.client("cloudwatch").get_dashboard(DashboardName=of)

    def logs_loggroup(self, of, _):
        [group] = [one for one in self.client("logs").describe_log_groups(logGroupNamePrefix=of)["logGroups"] if one["logGroupName"] == of]
        return {"LogGroupName": group["logGroupName"], "RetentionInDays": group.get("retentionInDays")}

    def kms_key(self, of, _):
        client = self.client("kms")
        return {
            **client.describe_key(KeyId=of)["KeyMetadata"],
            "EnableKeyRotation": client.get_key_rotation_status(KeyId=of)["KeyRotationEnabled"],
            "KeyPolicy": json.loads(client.get_key_policy(KeyId=of, PolicyName="default")["Policy"]),
        }

    def backup_backupvault(self, of, _):
        return self.client("backup").describe_backup_vault(BackupVaultName=of)

    def backup_backupplan(self, of, _):
        plan = self.client("backup").get_backup_plan(BackupPlanId=of)["BackupPlan"]
        rules = [{"TargetBackupVault": rule.pop("TargetBackupVaultName"), **rule} for rule in plan.pop("Rules")]
        # What the service gives each rule by itself.
        for rule in rules:
            rule.pop("RuleId", None)
        return {"BackupPlan": {**plan, "BackupPlanRule": rules}}

    def backup_backupselection(self, of, said):
        found = self.client("backup").get_backup_selection(BackupPlanId=said["BackupPlanId"], SelectionId=of)
        # A list that is empty says nothing.
        return {"BackupPlanId": found["BackupPlanId"], "BackupSelection": {key: value for key, value in found["BackupSelection"].items() if value}}


def plain(node):
    """A value in one spelling: numbers and truths as texts, as some services give them."""
    if isinstance(node, dict):
        return {key: plain(item) for key, item in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return str(node).lower() if isinstance(node, bool) else f"{node:g}" if isinstance(node, float) else str(node)


def different(template, promise, deployed, names=None):
    """What the template says and the local AWS has not, one line each: of all resources, or of the named ones."""
    found = []
    for name in names or template.resources:
        kind = template.resources[name]["Type"]
        said = promise.properties(name)
        try:
            has = deployed.properties(kind, promise.ids[name], said)
        # Each service has its own way to say that something is not there; a list without it is another.
        except (ClientError, ValueError) as error:
            found.append(f"{name} is not there, or not whole: {error}")
            continue
        for key, value in said.items():
            if key not in TAGS and (kind, key) not in NOT_KEPT and plain(has.get(key)) != plain(value):
                found.append(f"{name}: {key} is {has.get(key)} and not {value}")
    return found


def kept(template, promise, deployed):
    """Entries of `NOT_KEPT` that the local AWS keeps by now, or that nothing says."""
    lost = {}
    for name, resource in template.resources.items():
        said = promise.properties(name)
        for key in said.keys() & {key for kind, key in NOT_KEPT if kind == resource["Type"]}:
            has = deployed.properties(resource["Type"], promise.ids[name], said)
            lost.setdefault((resource["Type"], key), []).append(plain(has.get(key)) != plain(said[key]))
    return [f"{kind} {key}" for kind, key in NOT_KEPT if not any(lost.get((kind, key), []))]


def that_fulfil_conditions(template, topic):
    """The parameters with which every condition holds: what is empty or off by default is given a topic's ARN, an address, a word, or turned on, as it allows;
    of two choices it has the other one; and those without which there is no stack."""
    asked = {node["Ref"] for _, node in walk(template.document["Conditions"]) if isinstance(node, dict) and "Ref" in node}
    values = {"Suite": STACK}
    for name, parameter in template.document["Parameters"].items():
        if name in asked and (str(parameter["Default"]) == "" or "AllowedValues" in parameter):
            allowed = parameter.get("AllowedValues", [topic, "ops@example.com", "word"])
            pattern = parameter.get("AllowedPattern", ".*")
            values[name] = next(value for value in allowed if value != parameter["Default"] and re.fullmatch(pattern, value))
    return values


def cli(local, *arguments):
    """Runs a command of the AWS CLI for CloudFormation."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": local.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "AWS_PAGER": "",
    }
    command = [str(Path(sys.executable).with_name("aws")), "cloudformation", *map(str, arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}")


class Stack:
    """The template, deployed."""

    def __init__(self, local):
        self.local = local
        self.at = Path(local.folder.name) / "stack"
        template = self.at / "infra" / SUITE.name
        template.parent.mkdir(parents=True)
        template.write_text(SUITE.read_text())
        for folder in sorted(set(re.findall(r"CodeUri: (\S+)", SUITE.read_text()))):
            code = (template.parent / folder).resolve()
            code.mkdir(parents=True)
            (code / "bootstrap").write_text("function\n")
        local.client("s3").create_bucket(Bucket="packages")
        topic = local.client("sns").create_topic(Name="others")["TopicArn"]
        self.parameters = that_fulfil_conditions(Template.read(SUITE), topic)
        packaged = self.at / "packaged.yaml"
        cli(local, "package", "--s3-bucket", "packages", "--template-file", template, "--output-template-file", packaged)
        overrides = [f"{name}={value}" for name, value in self.parameters.items()]
        options = ["--stack-name", STACK, "--capabilities", "CAPABILITY_IAM", "--s3-bucket", "packages", "--template-file", packaged]
        cli(local, "deploy", *options, "--parameter-overrides", *overrides)

    def resources(self):
        """The type and the id of each resource, by its name in the template."""
        pages = self.local.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        return {
            resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
            for page in pages
            for resource in page["StackResourceSummaries"]
        }


def other_timeout(deployed, ids):
    deployed.client("lambda").update_function_configuration(FunctionName=ids["PushFunction"], Timeout=3)


def no_function(deployed, ids):
    deployed.client("lambda").delete_function(FunctionName=ids["SweepFunction"])


def no_permission(deployed, ids):
    deployed.client("lambda").remove_permission(FunctionName=ids["AlarmFunction"], StatementId=ids["AlarmFunctionAlarmChangedPermission"])


def open_url(deployed, ids):
    deployed.client("lambda").update_function_url_config(FunctionName=ids["ControlUrlFunction"], AuthType="NONE")


def no_target(deployed, ids):
    deployed.client("events").remove_targets(Rule=ids["TaskStateFunctionTaskChanged"], Ids=["TaskStateFunctionTaskChangedLambdaTarget"])


def other_pattern(deployed, ids):
    deployed.client("events").put_rule(Name=ids["AlarmFunctionAlarmChanged"], EventPattern='{"source":["aws.cloudwatch"]}')


def other_schedule(deployed, ids):
    deployed.client("events").put_rule(Name=ids["SweepFunctionEveryMinute"], ScheduleExpression="rate(2 minutes)")


def no_queue(deployed, ids):
    deployed.client("sqs").delete_queue(QueueUrl=ids["PushDeadLetterQueue"])


def forgetful_queue(deployed, ids):
    deployed.client("sqs").set_queue_attributes(QueueUrl=ids["SweepDeadLetterQueue"], Attributes={"MessageRetentionPeriod": "60"})


def no_index(deployed, ids):
    deployed.client("dynamodb").update_table(TableName=ids["Table"], GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "due"}}])


def open_bucket(deployed, ids):
    deployed.client("s3").delete_public_access_block(Bucket=ids["Bucket"])


def no_versions(deployed, ids):
    deployed.client("s3").put_bucket_versioning(Bucket=ids["Bucket"], VersioningConfiguration={"Status": "Suspended"})


def no_bucket_policy(deployed, ids):
    deployed.client("s3").delete_bucket_policy(Bucket=ids["Bucket"])


def no_topic(deployed, ids):
    deployed.client("sns").delete_topic(TopicArn=ids["Topic"])


def others_wake_ups(deployed, ids):
    attribute = {"AttributeName": "FilterPolicy", "AttributeValue": '{"performer":["backup"]}'}
    deployed.client("sns").set_subscription_attributes(SubscriptionArn=ids["AlarmFunctionWoken"], **attribute)


def role_without_policy(deployed, ids):
    deployed.client("iam").detach_role_policy(RoleName=ids["PushRole"], PolicyArn=ids["LedgerPolicy"])


def silent_alarm(deployed, ids):
    deployed.client("cloudwatch").delete_alarms(AlarmNames=[ids["PushDeadLetterAlarm"]])


def no_plan(deployed, ids):
    client = deployed.client("backup")
    client.delete_backup_selection(BackupPlanId=ids["BackupPlan"], SelectionId=ids["BackupSelection"])
    client.delete_backup_plan(BackupPlanId=ids["BackupPlan"])


def logs_for_ever(deployed, ids):
    deployed.client("logs").delete_retention_policy(logGroupName=ids["PushLogGroup"])


# What is done to the stack behind CloudFormation's back, the resource that is looked at, and what has to be said of it.
FAULTS = [
    (other_timeout, "PushFunction", "Timeout is 3"),
    (no_function, "SweepFunction", "is not there"),
    (no_permission, "AlarmFunctionAlarmChangedPermission", "is not there"),
    (open_url, "ControlUrlFunctionUrl", "AuthType is NONE"),
    (no_target, "TaskStateFunctionTaskChanged", "Targets is []"),
    (other_pattern, "AlarmFunctionAlarmChanged", "EventPattern is"),
    (other_schedule, "SweepFunctionEveryMinute", "ScheduleExpression is rate(2 minutes)"),
    (no_queue, "PushDeadLetterQueue", "is not there"),
    (forgetful_queue, "SweepDeadLetterQueue", "MessageRetentionPeriod is 60"),
    (no_index, "Table", "GlobalSecondaryIndexes is"),
    (no_versions, "Bucket", "VersioningConfiguration is"),
    (open_bucket, "Bucket", "NoSuchPublicAccessBlockConfiguration"),
    (no_bucket_policy, "BucketPolicy", "is not there"),
    (no_topic, "Topic", "is not there"),
    (others_wake_ups, "AlarmFunctionWoken", "FilterPolicy is {'performer': ['backup']}"),
    (role_without_policy, "PushRole", "ManagedPolicyArns is"),
    (silent_alarm, "PushDeadLetterAlarm", "is not there"),
    (no_plan, "BackupPlan", "is not there"),
    (logs_for_ever, "PushLogGroup", "RetentionInDays is None"),
]


class DeployedStack(unittest.TestCase):
    maxDiff = None

    def test_the_local_aws_has_what_the_template_says(self):
        local = LocalAws()
        self.addCleanup(local.stop)
        stack = Stack(local)
        template = Template.read(SUITE)
        resources = stack.resources()
        self.assertEqual({name: kind for name, (kind, _) in resources.items()}, {name: one["Type"] for name, one in template.resources.items()})
        ids = {name: of for name, (_, of) in resources.items()}
        promise = Promise(template, stack.parameters, ids)
        deployed = Deployed(local)
        self.assertEqual(different(template, promise, deployed), [])
        self.assertEqual(kept(template, promise, deployed), [])
        # And each of these would have been found.
        for fault, name, said in FAULTS:
            with self.subTest(fault=fault.__name__):
                self.assertEqual([line for line in different(template, promise, deployed, [name]) if said in line], [])
                fault(deployed, ids)
                self.assertIn(said, "\n".join(different(template, promise, deployed, [name])))

    def test_the_network_is_made_as_it_was_chosen(self):
        local = LocalAws()
        self.addCleanup(local.stop)
        ec2 = local.client("ec2")
        there = {}
        # The local AWS makes neither NAT gateways nor flow logs. The check `network` reads what the template says of each choice.
        for choice in ("public", "endpoints"):
            stack = f"network-{choice}"
            options = ["--template-file", ROOT / "infra" / "network.yaml", "--parameter-overrides", f"AgentNetwork={choice}"]
            cli(local, "deploy", "--stack-name", stack, "--capabilities", "CAPABILITY_IAM", *options)
            [described] = local.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
            of_vpc = [{"Name": "vpc-id", "Values": [outputs["VpcId"]]}]
            # Of endpoints, the local AWS lists those of all VPCs.
            endpoints = [one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["VpcId"] == outputs["VpcId"]]
            subnets = {subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=of_vpc)["Subnets"]}
            self.assertLessEqual(set(outputs["SubnetIds"].split(",")), subnets)
            kinds = [endpoint["VpcEndpointType"] for endpoint in endpoints]
            there[choice] = (kinds.count("Gateway"), kinds.count("Interface"), len(subnets), outputs["AssignPublicIp"])
        # Endpoints of either kind, subnets, and whether agents get public addresses.
        self.assertEqual(there, {"public": (2, 0, 2, "true"), "endpoints": (2, 5, 4, "false")})


if __name__ == "__main__":
    unittest.main()
