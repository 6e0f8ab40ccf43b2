"""What holds for every template of infra/, and whether the checks would see it broken: each fault below is made in a copy of a template, and the check
that is named with it has to find it.

    python test_infra.py        with the requirements of requirements.txt installed
    python test_infra.py write  writes the files of tests/checks/suite-configuration
"""

import io
import json
import re
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import check_template
import infra_checks
from infra import ROOT, SUITE, TEMPLATES, Template, given, resolve
from local_aws import LocalAws

CHECKS, TOGETHER = infra_checks.CHECKS, infra_checks.TOGETHER

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


def function_named_by_the_stack(template):
    template.properties("PushFunction")["FunctionName"] = {"Fn::Sub": "${AWS::StackName}-push"}


def longer_suite(template):
    template.document["Parameters"]["Suite"]["MaxLength"] = 47


def suite_of_any_length(template):
    del template.document["Parameters"]["Suite"]["MaxLength"]


def arn_of_one_partition(template):
    template.properties("Bucket")["BucketArn"] = "arn:aws:s3:::bucket"


def registry_outside_of_china_alone(template):
    template.properties("EcrApiEndpoint")["ServiceName"] = {"Fn::Sub": "com.amazonaws.${AWS::Region}.ecr.api"}


def logs_that_china_does_not_know(template):
    prefix = {"Fn::If": ["InChina", "cn.com.amazonaws", "com.amazonaws"]}
    template.properties("LogsEndpoint")["ServiceName"] = {"Fn::Sub": ["${Prefix}.${AWS::Region}.logs", {"Prefix": prefix}]}


def role_statements(template, name):
    return template.properties(name)["Policies"][0]["PolicyDocument"]["Statement"]


def statement(template, name, sid):
    """The statement with this Sid, wherever the resource has it."""
    [found] = [of for resource, _, of in infra_checks.statements(template) if (resource, of.get("Sid")) == (name, sid)]
    return found


def wrong_runtime(template):
    template.properties("PushFunction")["Runtime"] = "provided.al2032"


def attribute_that_is_none(template):
    template.properties("PushFunction")["Role"] = {"Fn::GetAtt": ["PushRole", "Name"]}


def resource_that_is_none(template):
    template.properties("TaskStateFunction")["Role"] = {"Fn::GetAtt": ["TaskStatRole", "Arn"]}


def no_effect(template):
    del role_statements(template, "PushRole")[0]["Effect"]


def number_as_text(template):
    template.properties("SweepFunction")["MemorySize"] = "256"


def type_that_some_regions_lack(template):
    template.resources["Editor"] = {"Type": "AWS::Cloud9::EnvironmentEC2", "Properties": {"InstanceType": "t3.micro", "ImageId": "amazonlinux-2023-x86_64"}}


def parameter_that_nothing_uses(template):
    template.document["Parameters"]["Colour"] = {"Type": "String", "Default": "blue"}


def arn_of_one_region(template):
    role_statements(template, "PushRole")[2]["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:codecommit:us-east-1:${AWS::AccountId}:*"}


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
    template.resources["Again"] = template.copy().resources["AlarmFunctionOwnAlarmChanged"]


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


def public_bucket(template):
    [statement] = template.properties("BucketPolicy")["PolicyDocument"]["Statement"]
    statement.update(Effect="Allow", Action="s3:GetObject")


def queue_for_everybody(template):
    [statement] = template.properties("PushDeadLetterQueuePolicy")["PolicyDocument"]["Statement"]
    statement["Principal"] = {"AWS": ["*"]}


def bucket_without_tls(template):
    del template.resources["BucketPolicy"]


def items_for_ever(template):
    template.properties("Table")["TimeToLiveSpecification"]["Enabled"] = False


def items_that_expire_by_another_name(template):
    template.properties("Table")["TimeToLiveSpecification"]["AttributeName"] = "ttl"


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


def every_object(template):
    template.properties("StartPolicy")["PolicyDocument"]["Statement"][0]["Resource"] = "arn:aws:s3:::*"


def every_role(template):
    statement(template, "AgentLaunchPolicy", "PassAgentRoles")["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*"}


def every_table(template):
    role_statements(template, "SweepRole")[0]["Resource"] = [{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}]


def every_image_repository(template):
    statement(template, "ExecutionRole", "PullImages")["Resource"] = "arn:aws:ecr:*:*:repository/*"


def every_project(template):
    projects = {"Fn::Join": ["", ["arn:*:codebuild:*:*:project/*,", {"Fn::Join": [",", {"Ref": "AgentProjects"}]}]]}
    statement(template, "BuildLaunchPolicy", "StartFindStop")["Resource"] = {"Fn::Split": [",", projects]}


def agents_open_to_all(template):
    rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "CidrIp": "0.0.0.0/0"}
    template.properties("AgentSecurityGroup")["SecurityGroupIngress"] = [rule]


def agents_open_to_a_group(template):
    properties = {"GroupId": {"Ref": "AgentSecurityGroup"}, "IpProtocol": "-1", "SourceSecurityGroupId": {"Ref": "AgentSecurityGroup"}}
    template.resources["EachOther"] = {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": properties}


def endpoints_open_to_all(template):
    template.properties("EndpointSecurityGroup")["SecurityGroupIngress"][0]["CidrIp"] = "0.0.0.0/0"


def endpoints_open_to_all_of_ipv6(template):
    template.properties("EndpointSecurityGroup")["SecurityGroupIngress"].append({"IpProtocol": "-1", "CidrIpv6": "::/0"})


def no_login_to_the_registry(template):
    statement(template, "ExecutionRole", "RegistryLogin")["Action"] = "ecr:DescribeRegistry"


def no_layers(template):
    statement(template, "ExecutionRole", "PullImages")["Action"].remove("ecr:GetDownloadUrlForLayer")


def logs_of_another_group(template):
    statement(template, "ExecutionRole", "Log")["Resource"] = {"Fn::GetAtt": ["CodeBuildLogGroup", "Arn"]}


def job_without_rights(template):
    template.properties("DeployTaskRole")["ManagedPolicyArns"] = []


def no_endpoint_for_logs(template):
    del template.resources["LogsEndpoint"]


def private_subnet_without_route(template):
    del template.resources["PrivateRouteB"]


def no_way_to_the_nat_gateway(template):
    template.properties("NatRoute")["RouteTableId"] = {"Ref": "PublicRouteTable"}


def agents_without_addresses(template):
    template.document["Outputs"]["AssignPublicIp"]["Value"] = "false"


def subnets_of_another_choice(template):
    template.document["Outputs"]["SubnetIds"]["Value"]["Fn::Join"][1]["Fn::If"][0] = "HasNatGateway"


def gateway_endpoint_of_others(template):
    template.properties("S3Endpoint")["RouteTableIds"]["Fn::If"][2].pop()


def gateway_endpoint_of_public_subnets(template):
    template.properties("S3Endpoint")["RouteTableIds"]["Fn::If"][1].append({"Ref": "PublicRouteTable"})


def policy_that_is_not_written_out(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][2] = {"Version": "2012-10-17", "Statement": []}


def endpoint_for_everybody(template):
    del template.properties("GitEndpoint")["PolicyDocument"]["Statement"][0]["Condition"]


def endpoint_without_policy(template):
    del template.properties("DynamoDbEndpoint")["PolicyDocument"]


def packages_that_are_refused(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][1]["Statement"][1]["Resource"].pop()


def anybodys_buckets(template):
    template.properties("S3Endpoint")["PolicyDocument"]["Fn::If"][1]["Statement"][1]["Resource"].append("arn:aws:s3:::*")


def alarm_that_basic_lacks(template):
    template.resources["PushDeadLetterAlarm"]["Condition"] = "HasFullMonitoring"


def dashboard_always(template):
    del template.resources["Dashboard"]["Condition"]


def alarm_that_no_rule_brings(template):
    template.properties("OverdueAlarm")["AlarmName"] = {"Fn::Sub": "${Suite}-overdue"}


def both_alarm_rules(template):
    template.properties("AlarmFunctionOwnAlarmChanged")["State"] = "ENABLED"


def other_limit(template):
    template.document["Parameters"]["RetentionDays"]["MaxValue"] = 9999


def project_of_any_length(template):
    del template.document["Parameters"]["CodeBuildProject"]["MaxLength"]


def endpoint_of_a_condition(template):
    template.resources["EcrApiEndpoint"]["Condition"] = "HasSecretsEndpoint"


def endpoint_without_name(template):
    template.properties("GitEndpoint")["PrivateDnsEnabled"] = False


def route_before_the_gateway(template):
    del template.resources["PublicRoute"]["DependsOn"]


def address_before_the_gateway(template):
    del template.resources["NatAddress"]["DependsOn"]


def role_of_another_path(template):
    template.properties("TestTaskRole")["Path"] = "/other/"


def family_of_another_prefix(template):
    template.properties("SmallTaskDefinition")["Family"] = "agent-small"


def another_cluster(template):
    template.document["Parameters"]["SpotClusterName"]["Default"] = "agents"


def another_project(template):
    template.document["Parameters"]["CodeBuildProject"]["Default"] = "docker"


def parameters_of(template, stack):
    return template.properties(stack)["Parameters"]


def projects_from_families(template):
    parameters_of(template, "Suite")["AgentProjects"] = {"Ref": "AgentFamilyPrefix"}


def bucket_from_the_table(template):
    parameters_of(template, "Agents")["BucketName"] = {"Fn::GetAtt": ["Suite", "Outputs.TableName"]}


def parameter_not_given(template):
    del parameters_of(template, "Suite")["BackupSchedule"]


def parameter_given_needlessly_explained(template):
    parameters_of(template, "Suite")["AgentRolePattern"] = {"Ref": "AgentRolePattern"}


def output_of_another(template):
    template.document["Outputs"]["BucketName"]["Value"] = {"Fn::GetAtt": ["Suite", "Outputs.TableName"]}


def overdue_after_a_month(template):
    template.properties("OverdueAlarm")["Threshold"] = 3000000


def no_sweep_is_well(template):
    template.properties("SweepMissingAlarm")["TreatMissingData"] = "notBreaching"


def nine_hundred_errors(template):
    template.properties("PushErrorsAlarm")["Threshold"] = 900


def dead_letters_on_average_after_a_day(template):
    template.properties("PushDeadLetterAlarm").update(Statistic="Average", Period=86400)


def throttles_of_another_function(template):
    template.properties("PushThrottlesAlarm")["Dimensions"][0]["Value"] = {"Ref": "SweepFunction"}


def alarm_without_actions(template):
    template.properties("AlarmErrorsAlarm")["ActionsEnabled"] = False


def function_without_errors_alarm(template):
    del template.resources["BackupErrorsAlarm"]


def in_the_dashboard(template, old, new):
    body = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert old in body[0], old
    body[0] = body[0].replace(old, new)


def metric_misspelt(template):
    in_the_dashboard(template, '"QueueSeconds"', '"QueueSecond"')


def another_metric_misspelt(template):
    in_the_dashboard(template, '"Retries"', '"Retrys"')


def search_by_what_is_not_written(template):
    in_the_dashboard(template, "{Bellhop,Suite,Repository}", "{Bellhop,Repository}")


def outcome_not_shown(template):
    in_the_dashboard(template, '"Outcome", "timed-out"', '"Outcome", "timeout"')


def capacity_that_is_none(template):
    in_the_dashboard(template, '"Capacity", "on-demand"', '"Capacity", "ondemand"')


def metric_that_lambda_has_not(template):
    in_the_dashboard(template, '"AWS/Lambda", "Errors"', '"AWS/Lambda", "Error"')


def alarm_of_another_dimension(template):
    template.properties("OverdueAlarm")["Dimensions"][0]["Name"] = "Stack"


def key_without_cloudwatch(template):
    statements = template.properties("Key")["KeyPolicy"]["Statement"]
    statements[:] = [statement for statement in statements if statement["Sid"] != "AlarmsPublish"]


def topic_policy_without_cloudwatch(template):
    account = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": "sns:Publish", "Resource": {"Ref": "Topic"}}
    properties = {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [account]}}
    template.resources["OwnersPublish"] = {"Type": "AWS::SNS::TopicPolicy", "Properties": properties}


def alarms_of_anothers_topic(template):
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        alarm.pop("AlarmActions", None)
        alarm.pop("OKActions", None)


# What the output SuiteConfiguration is with these parameters, in a file that a test of tests/checks has the functions' own parser read.
SUITE_CONFIGURATIONS = ROOT / "tests" / "checks" / "suite-configuration"
SUITE_CONFIGURATION = {
    "default.yaml": {"AssignPublicIp": "true"},
    "one-cluster-without-codebuild.yaml": {"SpotClusterName": "ci", "OnDemandClusterName": "ci", "CodeBuildProject": ""},
}


def suite_configuration(template, parameters):
    """The output SuiteConfiguration, with made-up ids for what AWS names."""
    ids = {"BucketName": "bellhop-bucket", "VpcId": "vpc-0a1b2c3d", "SubnetIds": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"], "AgentSecurityGroup": "sg-0a1b2c3d"}
    ids["AWS::StackName"] = "bellhop-agents"
    template = given(template, {**ids, **parameters})
    values = {**template.defaults(), **ids, **parameters}
    for kind, name in (("AWS::ECS::Cluster", "ClusterName"), ("AWS::CodeBuild::Project", "Name"), ("AWS::Logs::LogGroup", "LogGroupName")):
        values |= {resource: resolve(properties[name], values) for resource, properties in template.of_type(kind).items()}
    return resolve(template.document["Outputs"]["SuiteConfiguration"]["Value"], values)


# What is broken, the check that has to find it, parts of what it has to say, and the template if it is not the one with the functions.
FAULTS = [
    # One look of cfn-lint's at all of its faults: it takes seconds each time.
    (
        (
            wrong_runtime,
            attribute_that_is_none,
            resource_that_is_none,
            no_effect,
            number_as_text,
            type_that_some_regions_lack,
            parameter_that_nothing_uses,
            arn_of_one_region,
        ),
        "lint",
        ["'provided.al2032'", "PushRole", "TaskStatRole", "'Effect'", "E3012", "E3006", "W2001", "I3042"],
    ),
    (cron_of_unix, "schedules", ["BackupSchedule", "6 required"]),
    (rate_in_the_wrong_number, "schedules", ["SweepFunctionEveryMinute", "singular"]),
    (pattern_that_misses, "patterns", ["events/codecommit/push.json", "should reach PushFunction"]),
    (pattern_of_another_service, "patterns", ["events/ecs/running.json", "should reach TaskStateFunction"]),
    (pattern_without_detail, "patterns", ["events/ecs/foreign-service.json", "should reach nobody"]),
    (both_alarm_rules, "patterns", ["events/alarm/own.json", "AlarmFunctionOwnAlarmChanged"]),
    (rule_twice, "patterns", ["events/alarm/own.json", "Again"]),
    (every_action, "wildcards", ["PushRole", "Action *"]),
    (every_action_of_a_service, "wildcards", ["PushRole", "Action s3:*"]),
    (every_resource, "wildcards", ["SweepRole", "Resource *"]),
    (every_resource_of_a_managed_policy, "wildcards", ["StartPolicy", "Resource *"]),
    (all_actions_but_one, "wildcards", ["PushRole", "NotAction"]),
    (administrator, "wildcards", ["ControlRole", "AdministratorAccess"]),
    (public_bucket, "public", ["BucketPolicy", "lets anybody in"]),
    (queue_for_everybody, "public", ["PushDeadLetterQueuePolicy", "lets anybody in"]),
    (bucket_without_tls, "encryption", ["without TLS"]),
    (items_for_ever, "retention", ["Table: nothing expires"]),
    (items_that_expire_by_another_name, "retention", ["Table: nothing expires"]),
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
    (every_object, "wildcards", ["StartPolicy", "Resource arn:aws:s3:::*"]),
    (every_role, "wildcards", ["AgentLaunchPolicy", ":role/*"]),
    (every_table, "wildcards", ["SweepRole", ":table/*"]),
    (every_project, "wildcards", ["BuildLaunchPolicy", ":project/*"]),
    (every_image_repository, "wildcards", ["ExecutionRole", ":repository/*"], "agents.yaml"),
    (agents_open_to_all, "ingress", ["AgentSecurityGroup: 0.0.0.0/0", "connect to agents"], "agents.yaml"),
    (agents_open_to_a_group, "ingress", ["EachOther", "connect to agents"], "agents.yaml"),
    (endpoints_open_to_all, "ingress", ["EndpointSecurityGroup: 0.0.0.0/0"], "network.yaml"),
    (endpoints_open_to_all_of_ipv6, "ingress", ["EndpointSecurityGroup: ::/0"], "network.yaml"),
    (function_named_by_the_stack, "names", ["PushFunction: FunctionName may have 133 characters, and AWS::Lambda::Function takes 64"]),
    (longer_suite, "names", ["SpotInterruptionFunction: FunctionName may have 65 characters"]),
    (suite_of_any_length, "names", ["BackupVault: nothing limits ${Suite}"]),
    (arn_of_one_partition, "partitions", ["arn:aws:s3:::bucket"]),
    (project_of_any_length, "names", ["DockerProject: nothing limits ${CodeBuildProject}"], "agents.yaml"),
    (registry_outside_of_china_alone, "network", ["EcrApiEndpoint: the service has another name in China"], "network.yaml"),
    (logs_that_china_does_not_know, "network", ["LogsEndpoint: there is no such service in China"], "network.yaml"),
    (no_login_to_the_registry, "agents start", ["ExecutionRole may not ecr:GetAuthorizationToken"], "agents.yaml"),
    (no_layers, "agents start", ["ExecutionRole may not ecr:GetDownloadUrlForLayer on AgentImages"], "agents.yaml"),
    (logs_of_another_group, "agents start", ["ExecutionRole may not logs:PutLogEvents on AgentLogGroup"], "agents.yaml"),
    (job_without_rights, "agents start", ["DeployTaskRole may not codecommit:GitPull"], "agents.yaml"),
    (no_endpoint_for_logs, "network", ["no endpoint of Interface for logs"], "network.yaml"),
    (endpoint_of_a_condition, "network", ["EcrApiEndpoint", "HasSecretsEndpoint only"], "network.yaml"),
    (endpoint_without_name, "network", ["GitEndpoint: nobody finds it"], "network.yaml"),
    (route_before_the_gateway, "network", ["PublicRoute"], "network.yaml"),
    (address_before_the_gateway, "network", ["NatAddress"], "network.yaml"),
    (private_subnet_without_route, "network", ["nat: PrivateSubnetB", "endpoints: PrivateSubnetB"], "network.yaml"),
    (no_way_to_the_nat_gateway, "network", ["nat: PrivateSubnetA: does not reach ecr.api"], "network.yaml"),
    (agents_without_addresses, "network", ["public: PublicSubnetA: the way out is gateway, and agents have no public addresses"], "network.yaml"),
    (subnets_of_another_choice, "network", ["public: PrivateSubnetA is an agents' subnet and not there"], "network.yaml"),
    (gateway_endpoint_of_others, "network", ["nat: PrivateSubnetA: does not reach S3Endpoint"], "network.yaml"),
    (gateway_endpoint_of_public_subnets, "network", ["S3Endpoint: refuses what the public subnets"], "network.yaml"),
    (policy_that_is_not_written_out, "network", ["public: S3Endpoint: its policy is not open", "nat: S3Endpoint"], "network.yaml"),
    (endpoint_for_everybody, "network", ["GitEndpoint: lets anybody *", "GitEndpoint: does not admit"], "network.yaml"),
    (endpoint_without_policy, "network", ["DynamoDbEndpoint: does not admit this account", "lets anybody *"], "network.yaml"),
    (packages_that_are_refused, "network", ["S3Endpoint: refuses amazonlinux-2-repos"], "network.yaml"),
    (anybodys_buckets, "network", ["S3Endpoint: lets anybody s3:GetObject"], "network.yaml"),
    (role_of_another_path, "agents fit", ["SmallTaskDefinition: its role other/TestTaskRole"], "agents.yaml"),
    (family_of_another_prefix, "agents fit", ["the family agent-small"], "agents.yaml"),
    (another_cluster, "agents fit", ["agents, ci-main are made"], "agents.yaml"),
    (another_project, "agents fit", ["docker are made", "AgentProjects is ci-docker"], "agents.yaml"),
    (projects_from_families, "nesting", ["Suite/AgentProjects comes from AgentFamilyPrefix"], "bellhop.yaml"),
    (bucket_from_the_table, "nesting", ["Agents/BucketName comes from Suite.Outputs.TableName"], "bellhop.yaml"),
    (parameter_not_given, "nesting", ["Suite/BackupSchedule is not given"], "bellhop.yaml"),
    (parameter_given_needlessly_explained, "nesting", ["Suite/AgentRolePattern is explained"], "bellhop.yaml"),
    (other_limit, "nesting", ["Suite/RetentionDays: MaxValue is another"], "bellhop.yaml"),
    (output_of_another, "nesting", ["Outputs/BucketName comes from Suite.Outputs.TableName"], "bellhop.yaml"),
    (overdue_after_a_month, "alarms", ["OverdueAlarm: Threshold is 3000000"]),
    (no_sweep_is_well, "alarms", ["SweepMissingAlarm: TreatMissingData"]),
    (nine_hundred_errors, "alarms", ["PushErrorsAlarm: Threshold is 900"]),
    (dead_letters_on_average_after_a_day, "alarms", ["PushDeadLetterAlarm: Statistic is Average", "86400"]),
    (throttles_of_another_function, "alarms", ["PushThrottlesAlarm: looks at ['SweepFunction']"]),
    (alarm_without_actions, "alarms", ["AlarmErrorsAlarm: ActionsEnabled"]),
    (function_without_errors_alarm, "alarms", ["no BackupErrorsAlarm"]),
    (alarm_that_basic_lacks, "monitoring", ["basic: no PushDeadLetterAlarm"]),
    (dashboard_always, "monitoring", ["basic: not 0 dashboards"]),
    (alarm_that_no_rule_brings, "monitoring", ["OverdueAlarm: its name does not begin with ${Suite}-own-"]),
    (metric_misspelt, "metrics", ["nobody writes QueueSecond by Suite"]),
    (another_metric_misspelt, "metrics", ["nobody writes Retrys by Suite"]),
    (search_by_what_is_not_written, "metrics", ["nobody writes Builds by Repository"]),
    (outcome_not_shown, "metrics", ["timeout is no Outcome", "Builds by outcome: no timed-out"]),
    (capacity_that_is_none, "metrics", ["ondemand is no Capacity", "no on-demand"]),
    (metric_that_lambda_has_not, "metrics", ["AWS/Lambda has no Error"]),
    (alarm_of_another_dimension, "metrics", ["OverdueAlarm: nobody writes OldestOverdueSeconds by Stack"]),
    (key_without_cloudwatch, "alarms publish", ["Key: does not let", "publish to Topic"]),
    (topic_policy_without_cloudwatch, "alarms publish", ["OwnersPublish: does not let", "publish to Topic"]),
    (alarms_of_anothers_topic, "alarms publish", ["no alarm publishes"]),
]


class Infra(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.stop)

    def findings(self, check, template, templates):
        if check in TOGETHER:
            return TOGETHER[check]({**templates, template.name: template})
        return infra_checks.patterns(template, self.local) if check == "patterns" else CHECKS[check](template)

    def test_nothing_is_found_in_the_templates(self):
        self.assertIn(SUITE, TEMPLATES)
        templates = [Template.read(path) for path in TEMPLATES]
        for template in templates:
            # The step `template` has cfn-lint look at every template, and the step `rules` looks at every pattern.
            for check in CHECKS.keys() - {"lint"}:
                with self.subTest(template=template.name, check=check):
                    self.assertEqual(CHECKS[check](template), [])
        for check, look in TOGETHER.items():
            with self.subTest(check=check):
                self.assertEqual(look({template.name: template for template in templates}), [])
        self.assertEqual(infra_checks.unneeded(templates), [])

    def test_every_fault_is_found(self):
        self.assertEqual({check for _, check, *_ in FAULTS}, {*CHECKS, *TOGETHER, "patterns"})
        templates = {path.name: Template.read(path) for path in TEMPLATES}
        for faults, check, said, *broken in FAULTS:
            faults = faults if isinstance(faults, tuple) else (faults,)
            [name] = broken or [SUITE.name]
            template = templates[name].copy()
            for fault in faults:
                fault(template)
            with self.subTest(fault=", ".join(fault.__name__ for fault in faults), check=check):
                findings = "\n".join(self.findings(check, template, templates))
                for part in said:
                    self.assertIn(part, findings)

    def test_cfn_lint_looks_at_a_template_as_it_is_written_too(self):
        function = {"Runtime": "provided.al2023", "Handler": "bootstrap", "CodeUri": "code/", "Timeout": "78"}
        document = {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Sweep": {"Type": "AWS::Serverless::Function", "Properties": function}}}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(document))
            file.flush()
            found = [line for line in check_template.check(Path(file.name)) if "E3012" in line]
        self.assertEqual([line.startswith("as it is written: ") for line in found], [False, True], found)

    def test_an_explanation_of_cfn_lints_findings_that_nothing_needs_is_found(self):
        printed = io.StringIO()
        with patch.dict(check_template.EXPLAINED, {"E9999": "of nothing"}), redirect_stdout(printed):
            self.assertEqual(check_template.main([str(ROOT / "infra" / "bellhop.yaml")]), 1)
        self.assertIn("E9999 is explained and not found", printed.getvalue())

    def test_the_suite_configuration_that_the_parser_reads_is_that_of_the_agents(self):
        template = Template.read(ROOT / "infra" / "agents.yaml")
        self.assertEqual({path.name for path in SUITE_CONFIGURATIONS.iterdir()}, SUITE_CONFIGURATION.keys())
        for name, parameters in SUITE_CONFIGURATION.items():
            file = SUITE_CONFIGURATIONS / name
            rendered = suite_configuration(template, parameters)
            with self.subTest(file=name):
                self.assertEqual(file.read_text(), rendered, f"python test_infra.py write makes {file.relative_to(ROOT)} anew")

    def test_the_suite_configuration_says_where_the_agents_log_to(self):
        template = Template.read(ROOT / "infra" / "agents.yaml")
        agents = suite_configuration(template, {}).splitlines()
        groups = {name: f"/bellhop-agents/{what}" for name, what in (("AgentLogGroup", "agents"), ("CodeBuildLogGroup", "builds"))}
        for name, group in groups.items():
            self.assertEqual(resolve(template.properties(name)["LogGroupName"], {"AWS::StackName": "bellhop-agents"}), group)
        for name, definition in template.of_type("AWS::ECS::TaskDefinition").items():
            [container] = definition["ContainerDefinitions"]
            # The suite configuration names no container, and this is what it is called then.
            self.assertEqual(container["Name"], "agent", name)
            options = container["LogConfiguration"]["Options"]
            logs = f"logs: {{ group: {resolve(options['awslogs-group'], groups)}, stream-prefix: {options['awslogs-stream-prefix']} }}"
            family = resolve(definition["Family"], template.defaults())
            [agent] = [line for line in agents if f"task-definition: {family}," in line]
            self.assertIn(logs, agent)
        logs = resolve(template.properties("DockerProject")["LogsConfig"]["CloudWatchLogs"], groups)
        self.assertEqual(logs, {"Status": "ENABLED", "GroupName": "/bellhop-agents/builds"})
        self.assertIn("    codebuild: { project: ci-docker, logs: { group: /bellhop-agents/builds } }", agents)

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
        # Jenkins's schedules look like EventBridge's, and are others.
        documents = [file for file in sorted((ROOT / "docs").rglob("*.md")) if file.name != "moving-from-jenkins.md"]
        files = [ROOT / "README.md", *documents, *sorted((ROOT / "tests" / "local").glob("*.yaml"))]
        shown = [(file, schedule) for file in files for schedule in infra_checks.SCHEDULE.findall(file.read_text())]
        self.assertTrue(shown)
        for file, schedule in shown:
            self.assertIsNone(infra_checks.wrong_schedule(schedule), f"{file}: {schedule}")
        # None is missed for being written otherwise.
        for file in files:
            for written in re.findall(r"--schedule-expression[ =]'?([^'\n]*)'?", file.read_text()):
                self.assertIn(written.split("'")[0], [schedule for _, schedule in shown], file)


def write():
    template = Template.read(ROOT / "infra" / "agents.yaml")
    for name, parameters in SUITE_CONFIGURATION.items():
        (SUITE_CONFIGURATIONS / name).write_text(suite_configuration(template, parameters))


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    else:
        unittest.main()
