"""Faults of rights, encryption and retention: what is open, what is too wide, and what agents lack."""

from infra_faults.parts import role_statements, statement


def every_action(template):
    role_statements(template, "PushRole")[0]["Action"] = "*"


def every_action_of_a_service(template):
    role_statements(template, "PushRole")[0]["Action"] = ["codecommit:GetCommit", "s3:*"]


def every_resource(template):
    role_statements(template, "SweepRole")[0]["Resource"] = "*"


def every_resource_of_a_managed_policy(template):
    template.properties("AgentLaunchPolicy")["PolicyDocument"]["Statement"][0]["Resource"] = ["*"]


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


def url_for_everybody(template):
    template.properties("ControlUrlFunctionUrl")["AuthType"] = "NONE"


def names_believed_without_a_url(template):
    template.properties("ControlFunction")["Environment"]["Variables"]["BELLHOP_CALLERS"] = "verified"


def url_of_the_function_that_anybody_invokes(template):
    template.properties("ControlUrlFunctionUrl")["TargetFunctionArn"] = {"Ref": "ControlFunction"}


def topic_that_invokes_the_function_behind_the_url(template):
    permission = {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "ControlUrlFunction"}, "Principal": "s3.amazonaws.com"}
    template.resources["Others"] = {"Type": "AWS::Lambda::Permission", "Properties": permission}


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


def every_object(template):
    template.properties("AgentLaunchPolicy")["PolicyDocument"]["Statement"][0]["Resource"] = "arn:aws:s3:::*"


def every_role(template):
    statement(template, "AgentLaunchPolicy", "PassAgentRoles")["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*"}


def every_table(template):
    role_statements(template, "SweepRole")[0]["Resource"] = [{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}]


def every_image_repository(template):
    statement(template, "ExecutionRole", "PullImages")["Resource"] = "arn:aws:ecr:*:*:repository/*"


def every_project(template):
    projects = {"Fn::Join": ["", ["arn:*:codebuild:*:*:project/*,", {"Fn::Join": [",", {"Ref": "AgentProjects"}]}]]}
    statement(template, "AgentLaunchPolicy", "StartFindStopBuilds")["Resource"] = {"Fn::Split": [",", projects]}


def every_state_machine(template):
    statement(template, "AgentLaunchPolicy", "StartExecutions")["Resource"] = "arn:*:states:*:*:stateMachine:*"


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


FAULTS = [
    (every_action, "wildcards", ["PushRole", "Action *"]),
    (every_action_of_a_service, "wildcards", ["PushRole", "Action s3:*"]),
    (every_resource, "wildcards", ["SweepRole", "Resource *"]),
    (every_resource_of_a_managed_policy, "wildcards", ["AgentLaunchPolicy", "Resource *"]),
    (all_actions_but_one, "wildcards", ["PushRole", "NotAction"]),
    (administrator, "wildcards", ["ControlRole", "AdministratorAccess"]),
    (public_bucket, "public", ["BucketPolicy", "lets anybody in"]),
    (queue_for_everybody, "public", ["PushDeadLetterQueuePolicy", "lets anybody in"]),
    (url_for_everybody, "callers", ["ControlUrlFunctionUrl: AuthType is NONE"]),
    (names_believed_without_a_url, "callers", ["ControlFunction: believes names and has no URL"]),
    (url_of_the_function_that_anybody_invokes, "callers", ["ControlFunction: has a URL and believes no name", "ControlUrlFunction: believes names and has no URL"]),
    (topic_that_invokes_the_function_behind_the_url, "callers", ["Others: invokes a function that believes names"]),
    (bucket_without_tls, "encryption", ["without TLS"]),
    (items_for_ever, "retention", ["Table: nothing expires"]),
    (items_that_expire_by_another_name, "retention", ["Table: nothing expires"]),
    (objects_for_ever, "retention", ["Bucket: no LifecycleConfiguration"]),
    (logs_for_ever, "retention", ["PushLogGroup"]),
    (table_that_goes_with_the_stack, "retention", ["Table: goes with the stack"]),
    (every_object, "wildcards", ["AgentLaunchPolicy", "Resource arn:aws:s3:::*"]),
    (every_role, "wildcards", ["AgentLaunchPolicy", ":role/*"]),
    (every_table, "wildcards", ["SweepRole", ":table/*"]),
    (every_project, "wildcards", ["AgentLaunchPolicy", ":project/*"]),
    (every_state_machine, "wildcards", ["AgentLaunchPolicy", ":stateMachine:*"]),
    (every_image_repository, "wildcards", ["ExecutionRole", ":repository/*"], "agents.yaml"),
    (agents_open_to_all, "ingress", ["AgentSecurityGroup: 0.0.0.0/0", "connect to agents"], "agents.yaml"),
    (agents_open_to_a_group, "ingress", ["EachOther", "connect to agents"], "agents.yaml"),
    (endpoints_open_to_all, "ingress", ["EndpointSecurityGroup: 0.0.0.0/0"], "network.yaml"),
    (endpoints_open_to_all_of_ipv6, "ingress", ["EndpointSecurityGroup: ::/0"], "network.yaml"),
    (no_login_to_the_registry, "agents start", ["ExecutionRole may not ecr:GetAuthorizationToken"], "agents.yaml"),
    (no_layers, "agents start", ["ExecutionRole may not ecr:GetDownloadUrlForLayer on AgentImages"], "agents.yaml"),
    (logs_of_another_group, "agents start", ["ExecutionRole may not logs:PutLogEvents on AgentLogGroup"], "agents.yaml"),
    (job_without_rights, "agents start", ["DeployTaskRole may not codecommit:GitPull"], "agents.yaml"),
]
