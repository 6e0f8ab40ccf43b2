"""Faults that CloudFormation or a region would refuse, or that do not fit from template to template."""

from infra_faults.parts import role_statements


def function_named_by_the_stack(template):
    template.properties("PushFunction")["FunctionName"] = {"Fn::Sub": "${AWS::StackName}-push"}


def longer_suite(template):
    template.document["Parameters"]["Suite"]["MaxLength"] = 47


def suite_of_any_length(template):
    del template.document["Parameters"]["Suite"]["MaxLength"]


def arn_of_one_partition(template):
    template.properties("Bucket")["BucketArn"] = "arn:aws:s3:::bucket"


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


def other_limit(template):
    template.document["Parameters"]["RetentionDays"]["MaxValue"] = 9999


def project_of_any_length(template):
    del template.document["Parameters"]["CodeBuildProject"]["MaxLength"]


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
    (function_named_by_the_stack, "names", ["PushFunction: FunctionName may have 133 characters, and AWS::Lambda::Function takes 64"]),
    (longer_suite, "names", ["SpotInterruptionFunction: FunctionName may have 65 characters"]),
    (suite_of_any_length, "names", ["BackupVault: nothing limits ${Suite}"]),
    (arn_of_one_partition, "partitions", ["arn:aws:s3:::bucket"]),
    (project_of_any_length, "names", ["DockerProject: nothing limits ${CodeBuildProject}"], "agents.yaml"),
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
]
