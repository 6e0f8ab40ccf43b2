"""What holds for the templates of infra/ and no linter knows. Each check takes a template after the SAM transform and gives its findings, one line each.

What is right although it looks wrong stands in a list here with its reason. An entry that no template needs is a finding of its own; see `unneeded`.
"""

import json
import re
import tempfile
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from ipaddress import ip_network

from aws_croniter import AwsCroniter

import alarm_checks
import check_template
import network_checks
import samples
from infra import as_list, assume, attribute_of, behind_urls, reference_of, resolve, walk

# Statements that allow something on everything, or every action of a kind: template, resource and Sid, and why it has to be.
WIDE = {
    ("template.yaml", "LedgerPolicy", "AnswerPipelines"): "a job of CodePipeline is no resource: who has its id may answer it",
    ("network.yaml", "FlowLogRole", "Find"): "flow logs look for their group among all of them",
    ("template.yaml", "AgentLaunchPolicy", "StopDescribe"): "a task's ARN is an id; limited to the agents' clusters",
    ("template.yaml", "AgentLaunchPolicy", "FindByStartedBy"): "authorised on container instances, which Fargate has not; limited to the agents' clusters",
    ("template.yaml", "AgentLaunchPolicy", "Digests"): "a job may push any repository's images; only names and digests are read",
    ("template.yaml", "StartPolicy", "PipelineFiles"): "whichever repository is pushed to has its pipeline file read",
    ("template.yaml", "AlarmRole", "FindBranches"): "the jobs of the suite's own may be any repository's",
    ("template.yaml", "PushRole", "ReadCommits"): "whichever repository is pushed to has its commits read",
    ("template.yaml", "PipelineRole", "FindBranches"): "an action may be any repository's",
    ("template.yaml", "ControlRole", "FindBranches"): "a run may be any repository's",
    ("template.yaml", "SpotInterruptionRole", "DrainInstances"): "an instance's ARN is an id",
    ("template.yaml", "BackupServiceRole", "Vault"): "copies go to vaults that only the suite configuration names",
    ("template.yaml", "BackupServiceRole", "RecoveryPoints"): "a recovery point's ARN is an id",
    ("template.yaml", "BackupPolicy", "StartBackupsAndFindRecoveryPoints"): "the vaults are those that the suite configuration names",
    ("template.yaml", "BackupPolicy", "CopyRestoreAndFollow"): "recovery points have the ARNs of many services, and jobs have none",
    ("template.yaml", "BackupPolicy", "AskForRemovals"): "Cloud Control acts with the caller's permissions, which name what may be removed",
    ("template.yaml", "BackupPolicy", "RemoveRestoredVolumes"): "a restored volume has no name; present only where RestoreTestsOfVolumes asks for it",
}
# Actions that know no resource, and do no more than let somebody in who needs further permissions for anything else.
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken"}
# Policies of AWS's own that allow more than one thing's work.
BROAD_MANAGED = re.compile(r"(AdministratorAccess|PowerUserAccess|FullAccess|IAMFullAccess)$")
# What an ARN ends with that names every resource of its service, or every one of a type: `*`, `role/*`, `log-group:*:*`. A name between the type and the
# asterisk, be it a parameter's, limits it.
ANYTHING = re.compile(r"([A-Za-z-]+[/:])?\*[*/:]*")
RATE = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)")
CRON = re.compile(r"cron\((.*)\)")
# A schedule anywhere in a text. Others' functions whose names end so, such as enumerate, are none.
SCHEDULE = re.compile(r"\b(?:cron|rate)\([^()]*\)")


def lint(template):
    """What cfn-lint finds."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(template.document, file)
        file.flush()
        # What is expanded already, the transform leaves as it is.
        return check_template.check(file.name)


def wrong_schedule(expression):
    """What is wrong with a schedule of EventBridge, or nothing. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>"""
    rate = RATE.fullmatch(expression)
    if rate:
        return None if (rate[1] == "1") == (rate[3] == "") else f"{rate[2]} in the singular goes with 1 alone"
    cron = CRON.fullmatch(expression)
    if not cron:
        return "neither rate(NUMBER UNIT) nor cron(SIX FIELDS)"
    try:
        [following] = AwsCroniter(cron[1]).get_next(datetime(2026, 1, 1, tzinfo=timezone.utc))
    # The library's own errors are ValueErrors, and not all of its errors are its own.
    except (ValueError, TypeError, IndexError) as error:
        return str(error)
    return None if following else "it never comes"


def schedules(template):
    """Schedules that EventBridge would refuse, or that never come."""
    parameters = template.defaults()
    found = []
    for path, node in walk(template.document):
        if path[:1] not in (("Parameters",), ("Resources",)):
            continue
        where = "/".join(map(str, path))
        if path[-1] == "ScheduleExpression" and isinstance(node, dict):
            if parameters.get(node.get("Ref")) is None:
                found.append(f"{where}: no parameter with a default, so nothing to look at")
        elif isinstance(node, str) and (path[-1] == "ScheduleExpression" or SCHEDULE.fullmatch(node)):
            wrong = wrong_schedule(node)
            if wrong:
                found.append(f"{where}: {node}: {wrong}")
    return found


def statements(template):
    """The statements of every policy: its resource's name, its property's path, the statement."""
    for name, resource in template.resources.items():
        for path, node in walk(resource.get("Properties", {})):
            if isinstance(node, dict) and "Effect" in node:
                yield name, path, node


class Unknown(dict):
    """Parameters of which nobody knows the values."""

    def __missing__(self, name):
        return f"${{{name}}}"


def texts(resource, template):
    """What a statement's resource says, with parameters and attributes left in it, where that can be said."""
    parameters = Unknown({"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "111122223333"})
    for name, parameter in template.document.get("Parameters", {}).items():
        if parameter["Type"].startswith(("CommaDelimitedList", "List<")):
            parameters[name] = [f"${{{name}}}"]
    try:
        return as_list(resolve(resource, parameters))
    except ValueError:
        return []


def anything(text):
    """Whether a resource is everything, everything of a service, or everything of a type."""
    if text == "*":
        return True
    parts = text.split(":", 5)
    if parts[0] != "arn":
        return False
    return "*" in parts[2:3] or len(parts) < 6 or ANYTHING.fullmatch(parts[5]) is not None


def wide_statements(template):
    """Statements of roles that allow something on everything, or every action of a kind: the key for `WIDE`, and what is wide."""
    for name, path, statement in statements(template):
        if template.resources[name]["Type"] not in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
            continue
        if statement["Effect"] != "Allow" or "AssumeRolePolicyDocument" in path:
            continue
        key = (template.name, name, statement.get("Sid", "/".join(map(str, path))))
        for negated in ("NotAction", "NotResource"):
            if negated in statement:
                yield key, negated
        for action in as_list(statement.get("Action", [])):
            if "*" in action:
                yield key, f"Action {action}"
        if "Action" in statement and set(as_list(statement["Action"])) <= WITHOUT_RESOURCE:
            continue
        for resource in as_list(statement.get("Resource", [])):
            for text in texts(resource, template):
                if isinstance(text, str) and anything(text):
                    yield key, f"Resource {text}"


def wildcards(template):
    """Roles that may do more than they are for."""
    found = [f"{'/'.join(key)}: {what}" for key, what in wide_statements(template) if key not in WIDE]
    for name, resource in template.resources.items():
        for path, node in walk(resource.get("Properties", {})):
            if "ManagedPolicyArns" in path and isinstance(node, str) and BROAD_MANAGED.search(node):
                found.append(f"{template.name}/{name}: {node}")
    return found


def unneeded(templates):
    """Entries of `WIDE` that no template needs."""
    wide = {key for template in templates for key, _ in wide_statements(template)}
    names = {template.name for template in templates}
    return [f"{'/'.join(key)} is explained ({why}) and is not there" for key, why in WIDE.items() if key[0] in names and key not in wide]


def public(template):
    """What others than the account's own may reach, where neither checkov nor Guard sees it."""
    found = []
    for name, path, statement in statements(template):
        principal = statement.get("Principal")
        anybody = principal == "*" or (isinstance(principal, dict) and "*" in as_list(principal.get("AWS", [])))
        # What an endpoint's policy allows, nobody may do by it; see the check `network`.
        if template.resources[name]["Type"] == "AWS::EC2::VPCEndpoint":
            continue
        of_this_account = statement.get("Condition", {}).get("StringEquals", {}).get("kms:CallerAccount") == {"Ref": "AWS::AccountId"}
        if statement["Effect"] == "Allow" and ((anybody and not of_this_account) or "NotPrincipal" in statement):
            found.append(f"{name}: {statement.get('Sid', path)} lets anybody in")
    return found


def callers(template):
    """Functions that would believe a name that nobody verified: the name of a caller stands in the events of a function URL that asks IAM, and who may
    invoke a function in another way writes its events."""
    found = [f"{name}: AuthType is {url.get('AuthType')}" for name, url in template.of_type("AWS::Lambda::Url").items() if url.get("AuthType") != "AWS_IAM"]
    for name, function in template.of_type("AWS::Lambda::Function").items():
        believes = "BELLHOP_CALLERS" in function.get("Environment", {}).get("Variables", {})
        if believes != (name in behind_urls(template)):
            found.append(f"{name}: {'believes names and has no URL' if believes else 'has a URL and believes no name'}")
    invoked = [(name, permission["FunctionName"]) for name, permission in template.of_type("AWS::Lambda::Permission").items()]
    for rule, properties in template.of_type("AWS::Events::Rule").items():
        invoked += [(rule, target["Arn"]) for target in properties["Targets"]]
    found += [f"{name}: invokes a function that believes names" for name, of in invoked if reference_of(of) in behind_urls(template)]
    return found


def encryption(template):
    """Buckets that keep or carry something in plain text. Of topics, queues and tables checkov and Guard see it."""
    found = []
    over_tls = set()
    for policy in template.of_type("AWS::S3::BucketPolicy").values():
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            plain = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
            if (statement.get("Effect"), statement.get("Principal"), statement.get("Action"), plain) == ("Deny", "*", "s3:*", "false"):
                over_tls.add(reference_of(policy["Bucket"]))
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        if not bucket.get("BucketEncryption"):
            found.append(f"{name}: no BucketEncryption")
        if name not in over_tls:
            found.append(f"{name}: no policy that denies requests without TLS")
    return found


def retention(template):
    """What would be kept for ever, or lost too early."""
    found = []
    for name, group in template.of_type("AWS::Logs::LogGroup").items():
        if not group.get("RetentionInDays"):
            found.append(f"{name}: no RetentionInDays")
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        # The ledger writes when an item may go into this attribute.
        if table.get("TimeToLiveSpecification") != {"AttributeName": "expires", "Enabled": True}:
            found.append(f"{name}: nothing expires")
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        if not bucket.get("LifecycleConfiguration", {}).get("Rules"):
            found.append(f"{name}: no LifecycleConfiguration")
    for name, resource in template.resources.items():
        # What is empty, because making it is rolled back, may go.
        kept = resource.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate") and resource.get("UpdateReplacePolicy") == "Retain"
        if resource["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Backup::BackupVault") and not kept:
            found.append(f"{name}: goes with the stack, and what is in it")
    return found


def invocation_failures(template):
    """The queue that takes what a function could not finish, by the function's name."""
    return {
        reference_of(config["FunctionName"]): attribute_of(config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"))
        for config in template.of_type("AWS::Lambda::EventInvokeConfig").values()
    }


def dead_letters(template):
    """Functions and rules that would lose what they cannot work off, and queues that nobody would hear of."""
    found = []
    # What another one reads is no queue of dead letters.
    read = {attribute_of(mapping["EventSourceArn"]) for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values()}
    queues = {name: queue for name, queue in template.of_type("AWS::SQS::Queue").items() if name not in read}
    alarmed = {
        attribute_of(dimension["Value"], "QueueName")
        for alarm in template.of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
    }
    writers = set()
    for policy in template.of_type("AWS::SQS::QueuePolicy").values():
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            sources = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn", [])
            if (statement.get("Principal"), statement.get("Action")) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage"):
                writers |= {(attribute_of(statement["Resource"]), attribute_of(source)) for source in as_list(sources)}
    failures = invocation_failures(template)
    for name, function in template.of_type("AWS::Lambda::Function").items():
        if name in behind_urls(template) and name not in failures:
            continue
        queue = failures.get(name)
        if queue not in queues:
            found.append(f"{name}: no queue for what it cannot finish")
            continue
        if queue != name.removesuffix("Function") + "DeadLetterQueue":
            found.append(f"{name}: {queue} is another function's")
        if queue not in alarmed:
            found.append(f"{name}: nobody would hear of what is in {queue}")
        role = attribute_of(function["Role"])
        sends = [
            statement
            for of, _, statement in statements(template)
            if of == role and "sqs:SendMessage" in as_list(statement.get("Action", [])) and attribute_of(statement.get("Resource")) == queue
        ]
        if not sends:
            found.append(f"{name}: {role} may not write to {queue}")
    used = set()
    for name, rule in template.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            function, queue = attribute_of(target["Arn"]), attribute_of(target.get("DeadLetterConfig", {}).get("Arn"))
            used.add((queue, name))
            if queue is None or queue != failures.get(function):
                found.append(f"{name}: what cannot be delivered to {function} does not go to that function's queue")
            elif (queue, name) not in writers:
                found.append(f"{name}: may not write to {queue}")
    found += [f"{queue}: lets {rule} write, which does not" for queue, rule in sorted(writers - used, key=str)]
    return found


def permissions(template):
    """Rules and topics that may not invoke the function that they are for, and functions that rules which are not theirs may invoke."""
    allowed = {}
    for name, permission in template.of_type("AWS::Lambda::Permission").items():
        key = (permission["Principal"], reference_of(permission.get("SourceArn")), reference_of(permission["FunctionName"]))
        if permission["Action"] == "lambda:InvokeFunction":
            allowed[key] = name
    wanted = set()
    for rule, properties in template.of_type("AWS::Events::Rule").items():
        wanted |= {("events.amazonaws.com", rule, attribute_of(target["Arn"])) for target in properties["Targets"]}
    for subscription in template.of_type("AWS::SNS::Subscription").values():
        if subscription["Protocol"] == "lambda":
            wanted.add(("sns.amazonaws.com", reference_of(subscription["TopicArn"]), attribute_of(subscription["Endpoint"])))
    found = [f"{source} may not invoke {function} ({principal})" for principal, source, function in sorted(wanted - allowed.keys(), key=str)]
    for key in sorted(allowed.keys() - wanted, key=str):
        if key[0] in ("events.amazonaws.com", "sns.amazonaws.com"):
            found.append(f"{allowed[key]}: {key[1]} never invokes {key[2]}")
    return found


def ingress(template):
    """Who may connect to what, beside those who are there for it: everybody, and anybody at all to an agent."""
    parameters = template.defaults()
    found = []
    rules = template.of_type("AWS::EC2::SecurityGroup") | template.of_type("AWS::EC2::SecurityGroupIngress")
    for name, properties in rules.items():
        let_in = properties if template.resources[name]["Type"].endswith("Ingress") else properties.get("SecurityGroupIngress", [])
        # Where there are agents, the groups are theirs, and nothing connects to an agent.
        if let_in and template.of_type("AWS::ECS::TaskDefinition"):
            found.append(f"{name}: lets somebody connect to agents")
        for path, node in walk(let_in):
            if path[-1:] in (("CidrIp",), ("CidrIpv6",)):
                cidr = parameters.get(node.get("Ref")) if isinstance(node, dict) else node
                # Shorter than any private range.
                if cidr is None or ip_network(cidr, strict=False).prefixlen < 7:
                    found.append(f"{name}: {node} may connect")
    return found


def granted(template, role):
    """What a role may do by the policies of the same template: each action with its statement's resources."""
    sources = [role] + [reference_of(policy) for policy in template.properties(role).get("ManagedPolicyArns", [])]
    return [
        (action, resource)
        for of, path, statement in statements(template)
        if of in sources and statement["Effect"] == "Allow" and "AssumeRolePolicyDocument" not in path
        for action in as_list(statement.get("Action", []))
        for resource in as_list(statement.get("Resource", []))
    ]


# What ECS needs of an execution role to start an agent, beside the registry's login, on the template's own images and on the agent's log group
# <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html>, and what an agent needs of its task role whatever the job.
TO_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
TO_LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
TO_WORK = ("codecommit:GitPull", "s3:GetObject", "s3:PutObject")
# The most characters of what a stack names, by type and property.
LONGEST_NAMES = {
    ("AWS::Lambda::Function", "FunctionName"): 64,
    ("AWS::Backup::BackupVault", "BackupVaultName"): 50,
    ("AWS::Backup::BackupPlan", "BackupPlan", "BackupPlanName"): 50,
    ("AWS::CloudWatch::Alarm", "AlarmName"): 255,
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
    ("AWS::Logs::LogGroup", "LogGroupName"): 512,
    ("AWS::CodeBuild::Project", "Name"): 255,
    ("AWS::ECR::Repository", "RepositoryName"): 256,
    ("AWS::ECS::Cluster", "ClusterName"): 255,
    ("AWS::ECS::TaskDefinition", "Family"): 255,
}


def names(template):
    """Names that are longer than their service takes in a suite whose own name is as long as it may be, and names that nothing limits."""
    longest = {name: "x" * parameter["MaxLength"] for name, parameter in template.document.get("Parameters", {}).items() if "MaxLength" in parameter}
    # The longest that there are; the stack's name is as long as CloudFormation lets it be.
    longest = Unknown({"AWS::StackName": "x" * 128, "AWS::Region": "ap-southeast-1", **longest})
    found = []
    for (kind, *path), most in LONGEST_NAMES.items():
        for resource, properties in template.of_type(kind).items():
            name = properties
            for key in path:
                name = name.get(key, {}) if isinstance(name, dict) else {}
            if name == {}:
                continue
            for text in {resolve(assume(name, holds), longest) for holds in (True, False)}:
                if "${" in text:
                    found.append(f"{resource}: nothing limits {text}")
                elif len(text) > most:
                    found.append(f"{resource}: {path[-1]} may have {len(text)} characters, and {kind} takes {most}")
    return found


def partitions(template):
    """ARNs of one partition alone."""
    return [f"{'/'.join(map(str, path))}: {node}" for path, node in walk(template.document) if isinstance(node, str) and "arn:aws:" in node]


def agents_start(template):
    """What an agent would lack to start, beside its network."""
    found = []
    images = set(template.of_type("AWS::ECR::Repository"))
    for name, definition in template.of_type("AWS::ECS::TaskDefinition").items():
        task, execution = (attribute_of(definition.get(key)) for key in ("TaskRoleArn", "ExecutionRoleArn"))
        if task is None or execution is None:
            found.append(f"{name}: no roles of this template")
            continue
        works = {action for action, _ in granted(template, task)}
        found += [f"{name}: {task} may not {action}" for action in TO_WORK if action not in works]
        starts = {(action, attribute_of(on) or str(on)) for action, on in granted(template, execution)}
        needed = [("ecr:GetAuthorizationToken", "*"), *((action, image) for action in TO_PULL for image in sorted(images))]
        for container in definition["ContainerDefinitions"]:
            group = reference_of(container["LogConfiguration"]["Options"]["awslogs-group"])
            needed += [(action, group) for action in TO_LOG]
        found += [f"{name}: {execution} may not {action} on {on}" for action, on in needed if (action, on) not in starts]
    return found


def agents_fit(templates):
    """Agents that the functions may not start as both templates are by default."""
    suite, agents = templates["template.yaml"].defaults(), templates["agents.yaml"]
    parameters = agents.defaults()
    found = []
    for name, definition in agents.of_type("AWS::ECS::TaskDefinition").items():
        family = resolve(definition["Family"], parameters)
        if not family.startswith(suite["AgentFamilyPrefix"]):
            found.append(f"{name}: the family {family} does not begin with AgentFamilyPrefix")
        for key in ("TaskRoleArn", "ExecutionRoleArn"):
            role = attribute_of(definition[key])
            path = agents.properties(role).get("Path", "/").removeprefix("/") + role
            if not fnmatchcase(path, suite["AgentRolePattern"]):
                found.append(f"{name}: its role {path} does not fit AgentRolePattern")
    for kind, name, among in (("AWS::ECS::Cluster", "ClusterName", "AgentClusters"), ("AWS::CodeBuild::Project", "Name", "AgentProjects")):
        # The project that builds the agents' image has a source of its own, and is no agent.
        of_agents = [properties for properties in agents.of_type(kind).values() if properties.get("Source", {}).get("Type", "NO_SOURCE") == "NO_SOURCE"]
        named = {resolve(properties[name], parameters) for properties in of_agents}
        if named != set(suite[among]):
            found.append(f"{', '.join(sorted(named))} are made, and {among} is {', '.join(suite[among])}")
    return found


# What limits a parameter, and has to be the same in bellhop.yaml and in the template that it goes to. (A list there is a text here, with a pattern.)
LIMITS = ("AllowedValues", "MinLength", "MaxLength", "MinValue", "MaxValue")
# The templates that bellhop.yaml nests. In what the transform makes of it their names are no longer to be seen.
NESTED = {"Network": "network.yaml", "Suite": "template.yaml", "Agents": "agents.yaml"}
# Parameters of nested stacks that bellhop.yaml does not give, and why it need not.
NOT_GIVEN = {
    ("Suite", "AgentRolePattern"): "the roles of agents.yaml have a path of their own; see the check `agents fit`",
}
# Where bellhop.yaml takes a nested stack's parameter from, or an output of its own, if not from its parameter, or a stack's output, of that name.
SOURCES = {
    ("Network", "Suite"): "AWS::StackName",
    ("Suite", "Suite"): "AWS::StackName",
    ("Agents", "Suite"): "AWS::StackName",
    ("Suite", "AgentClusters"): "HasOwnSpotCluster ? ${SpotClusterName},${OnDemandClusterName} : OnDemandClusterName",
    ("Suite", "AgentProjects"): "HasCodeBuildProject ? CodeBuildProject : -",
    ("Agents", "BucketName"): "Suite.Outputs.BucketName",
    ("Agents", "VpcId"): "MakesNetwork ? Network.Outputs.VpcId : VpcId",
    ("Agents", "BucketKeyArn"): "HasCustomerKey ? Suite.Outputs.KeyArn : ",
    ("Agents", "SubnetIds"): "MakesNetwork ? Network.Outputs.SubnetIds : SubnetIds",
    ("Agents", "AssignPublicIp"): "MakesNetwork ? Network.Outputs.AssignPublicIp : AssignPublicIp",
    ("Outputs", "SubnetIds"): "MakesNetwork ? Network.Outputs.SubnetIds : SubnetIds",
    ("Outputs", "SuiteStackName"): '{"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": "Suite"}]}]}',
}


def source(node):
    """Where a value comes from, as `SOURCES` says it."""
    if isinstance(node, dict) and len(node) == 1:
        [(name, of)] = node.items()
        if name in ("Ref", "Fn::Sub") and isinstance(of, str):
            return of
        if name == "Fn::GetAtt":
            return of if isinstance(of, str) else ".".join(of)
        if name == "Fn::If":
            return f"{of[0]} ? {source(of[1])} : {source(of[2])}"
    return node if isinstance(node, str) else json.dumps(node)


def nesting(templates):
    """What bellhop.yaml gives its nested stacks from elsewhere than it should, or not at all, and what it puts out in another's place."""
    whole = templates["bellhop.yaml"]
    parameters = whole.document["Parameters"]
    needed = set()
    found = []

    def compare(key, node, otherwise):
        needed.add(key)
        wanted = SOURCES.get(key)
        if (source(node) not in otherwise) if wanted is None else (source(node) != wanted):
            found.append(f"{'/'.join(key)} comes from {source(node)}, and should from {wanted or ' or '.join(otherwise)}")

    for stack, properties in whole.of_type("AWS::CloudFormation::Stack").items():
        nested_parameters = templates[NESTED[stack]].document.get("Parameters", {})
        passed = properties.get("Parameters", {})
        for name in nested_parameters:
            if name in passed:
                compare((stack, name), passed[name], [name])
                if source(passed[name]) == name and name in parameters:
                    found += [f"{stack}/{name}: {key} is another" for key in LIMITS if parameters[name].get(key) != nested_parameters[name].get(key)]
            elif (stack, name) in NOT_GIVEN:
                needed.add((stack, name, "not given"))
            else:
                found.append(f"{stack}/{name} is not given, and nothing says why")
    for name, output in whole.document["Outputs"].items():
        compare(("Outputs", name), output["Value"], [f"{stack}.Outputs.{name}" for stack in whole.of_type("AWS::CloudFormation::Stack")])
    found += [f"{'/'.join(key)} has a source and is not there" for key in SOURCES if key not in needed]
    found += [f"{'/'.join(key)} is explained ({why}) and is given" for key, why in NOT_GIVEN.items() if (*key, "not given") not in needed]
    return found


def patterns(template, local):
    """Samples that the rules bring to another function than they should, or to one by several rules."""
    rules = template.of_type("AWS::Events::Rule")
    if not rules:
        return []
    found = []
    for alarm_rule in template.document["Parameters"]["AlarmRule"]["AllowedValues"]:
        for sample, reached in samples.reaching(local, template.patterns(AlarmRule=alarm_rule)).items():
            functions = [attribute_of(target["Arn"]) for rule in reached for target in rules[rule]["Targets"]]
            wanted = samples.expected(sample, alarm_rule)
            if functions != ([wanted] if wanted else []):
                found.append(f"events/{sample} reaches {functions or 'nobody'} by {reached or 'no rule'}, and should reach {wanted or 'nobody'} (AlarmRule {alarm_rule})")
    return found


# The checks that need nothing but the template.
CHECKS = {
    "lint": lint,
    "schedules": schedules,
    "wildcards": wildcards,
    "public": public,
    "callers": callers,
    "encryption": encryption,
    "retention": retention,
    "dead letters": dead_letters,
    "permissions": permissions,
    "ingress": ingress,
    "names": names,
    "partitions": partitions,
    "agents start": agents_start,
    "network": network_checks.network,
    "alarms": alarm_checks.alarms,
    "monitoring": alarm_checks.monitoring,
    "metrics": alarm_checks.metrics,
    "alarms publish": alarm_checks.alarms_publish,
}
# Those that need all templates, by their names.
TOGETHER = {
    "agents fit": agents_fit,
    "nesting": nesting,
}
