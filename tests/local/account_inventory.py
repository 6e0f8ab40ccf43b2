"""What stands in a local AWS: one line for each thing that an account would have, and pay for, or find in its way.

A line is the kind of the thing and its name. What is a part of another thing, such as a permission of a function, has no line of its own: it cannot be left
behind alone.
"""

import boto3

from local_aws import CREDENTIALS, REGION


def pages(client, operation, key, **parameters):
    """What all pages of an operation list under a key."""
    if client.can_paginate(operation):
        return [item for page in client.get_paginator(operation).paginate(**parameters) for item in page.get(key, [])]
    return getattr(client, operation)(**parameters).get(key, [])


def last(arn):
    return arn.rpartition("/")[2].rpartition(":")[2]


def revision(arn):
    return arn.rpartition("/")[2]


# Kind: service, operation, what it lists, and what names an item.
LISTED = {
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "backup plan": ("backup", "list_backup_plans", "BackupPlansList", "BackupPlanName"),
    "bucket": ("s3", "list_buckets", "Buckets", "Name"),
    "build project": ("codebuild", "list_projects", "projects", None),
    "cluster": ("ecs", "list_clusters", "clusterArns", last),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "endpoint": ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "ServiceName"),
    "event source": ("lambda", "list_event_source_mappings", "EventSourceMappings", lambda mapping: last(mapping["FunctionArn"])),
    "function": ("lambda", "list_functions", "Functions", "FunctionName"),
    "image repository": ("ecr", "describe_repositories", "repositories", "repositoryName"),
    "internet gateway": ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "key": ("kms", "list_keys", "Keys", "KeyId"),
    "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "queue": ("sqs", "list_queues", "QueueUrls", lambda url: url.rpartition("/")[2]),
    "role": ("iam", "list_roles", "Roles", "RoleName"),
    "route table": ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    "rule": ("events", "list_rules", "Rules", "Name"),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    "subnet": ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    "subscription": ("sns", "list_subscriptions", "Subscriptions", "Endpoint"),
    "table": ("dynamodb", "list_tables", "TableNames", None),
    "task definition": ("ecs", "list_task_definitions", "taskDefinitionArns", revision),
    "topic": ("sns", "list_topics", "Topics", lambda topic: last(topic["TopicArn"])),
    "vault": ("backup", "list_backup_vaults", "BackupVaultList", "BackupVaultName"),
    "VPC": ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
}


# The kinds of the types that the templates have, and the types that are parts.
KINDS = {
    "AWS::Backup::BackupPlan": "backup plan",
    "AWS::Backup::BackupVault": "vault",
    "AWS::CloudFormation::Stack": "stack",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CodeBuild::Project": "build project",
    "AWS::DynamoDB::Table": "table",
    "AWS::EC2::InternetGateway": "internet gateway",
    "AWS::EC2::RouteTable": "route table",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::VPC": "VPC",
    "AWS::EC2::VPCEndpoint": "endpoint",
    "AWS::ECR::Repository": "image repository",
    "AWS::ECS::Cluster": "cluster",
    "AWS::ECS::TaskDefinition": "task definition",
    "AWS::Events::Rule": "rule",
    "AWS::IAM::ManagedPolicy": "policy",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::EventSourceMapping": "event source",
    "AWS::Lambda::Function": "function",
    "AWS::Logs::LogGroup": "log group",
    "AWS::S3::Bucket": "bucket",
    "AWS::SNS::Subscription": "subscription",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
}
PARTS = {
    "AWS::Backup::BackupSelection",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}


def name_of(item, by):
    if by is None:
        return item
    return by(item) if callable(by) else item[by]


def clients(url):
    return lambda service: boto3.client(service, endpoint_url=url, region_name=REGION, **CREDENTIALS)


def stacks(cloudformation):
    # Those that are gone stay in the list for 90 days.
    found = pages(cloudformation, "list_stacks", "StackSummaries")
    return [stack["StackName"] for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]


def inactive(ecs):
    return pages(ecs, "list_task_definitions", "taskDefinitionArns", status="INACTIVE")


def types(url):
    """The types of all resources of all stacks."""
    cloudformation = clients(url)("cloudformation")
    resources = [pages(cloudformation, "list_stack_resources", "StackResourceSummaries", StackName=name) for name in stacks(cloudformation)]
    return {resource["ResourceType"] for of_stack in resources for resource in of_stack}


def of(url):
    """The things that stand in the local AWS of this address."""
    client = clients(url)
    found = {f"{kind} {name_of(item, by)}" for kind, (service, operation, key, by) in LISTED.items() for item in pages(client(service), operation, key)}
    # ECS keeps those that were deregistered: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterTaskDefinition.html
    found |= {f"inactive task definition {revision(arn)}" for arn in inactive(client("ecs"))}
    # AWS's own policies are in every account.
    found |= {f"policy {policy['PolicyName']}" for policy in pages(client("iam"), "list_policies", "Policies", Scope="Local")}
    return found | {f"stack {name}" for name in stacks(client("cloudformation"))}
