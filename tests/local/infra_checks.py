"""What holds for the templates of infra/ and no linter knows. Each check takes a template after the SAM transform and gives its findings, one line each.

What is right although it looks wrong stands in a list here with its reason. An entry that no template needs is a finding of its own; see `unneeded`.
"""

import json
import re
import tempfile
from datetime import datetime, timezone

from aws_croniter import AwsCroniter

import check_template
import samples
from infra import as_list, attribute_of, reference_of, walk

# Statements that allow something on everything, or every action of a kind: template, resource and Sid, and why it has to be.
WIDE = {
    ("template.yaml", "LedgerPolicy", "AnswerPipelines"): "a job of CodePipeline is no resource: who has its id may answer it",
    ("template.yaml", "AgentLaunchPolicy", "FindByStartedBy"): "authorised on container instances, which Fargate has not; limited to the agents' clusters",
    ("template.yaml", "BackupPolicy", "CopyRestoreAndFollow"): "recovery points have the ARNs of many services, and jobs have none",
    ("template.yaml", "BackupPolicy", "AskForRemovals"): "Cloud Control acts with the caller's permissions, which name what may be removed",
    ("template.yaml", "BackupPolicy", "RemoveRestoredVolumes"): "a restored volume has no name; present only where RestoreTestsOfVolumes asks for it",
}
# Actions that know no resource, and do no more than let somebody in who needs further permissions for anything else.
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken"}
# Policies of AWS's own that allow more than one thing's work.
BROAD_MANAGED = re.compile(r"(AdministratorAccess|PowerUserAccess|FullAccess|IAMFullAccess)$")
# A resource of every service, or of all.
ANYTHING = re.compile(r"\*|arn:[^:]*:\*(:.*)?")
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
            text = resource.get("Fn::Sub") if isinstance(resource, dict) else resource
            if isinstance(text, str) and ANYTHING.fullmatch(text.replace("${AWS::Partition}", "aws")):
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
    return [f"{'/'.join(key)} is explained ({why}) and is not there" for key, why in WIDE.items() if key not in wide]


def public(template):
    """What others than the account's own may reach."""
    found = []
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        block = bucket.get("PublicAccessBlockConfiguration", {})
        for setting in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
            if block.get(setting) is not True:
                found.append(f"{name}: {setting} is not true")
    for name, path, statement in statements(template):
        principal = statement.get("Principal")
        anybody = principal == "*" or (isinstance(principal, dict) and "*" in as_list(principal.get("AWS", [])))
        if statement["Effect"] == "Allow" and (anybody or "NotPrincipal" in statement):
            found.append(f"{name}: {statement.get('Sid', path)} lets anybody in")
    for name, permission in template.of_type("AWS::Lambda::Permission").items():
        if permission["Principal"] == "*" or not permission.keys() & {"SourceArn", "SourceAccount"}:
            found.append(f"{name}: {permission['Principal']} may invoke it for anybody")
    return found


def encryption(template):
    """What keeps or carries something in plain text."""
    found = []
    for name, topic in template.of_type("AWS::SNS::Topic").items():
        if not topic.get("KmsMasterKeyId"):
            found.append(f"{name}: no KmsMasterKeyId")
    for name, queue in template.of_type("AWS::SQS::Queue").items():
        if queue.get("SqsManagedSseEnabled") is not True and not queue.get("KmsMasterKeyId"):
            found.append(f"{name}: neither SqsManagedSseEnabled nor KmsMasterKeyId")
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        if table.get("SSESpecification", {}).get("SSEEnabled") is not True:
            found.append(f"{name}: SSESpecification is not enabled")
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
        if table.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
            found.append(f"{name}: no point-in-time recovery")
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
    queues = template.of_type("AWS::SQS::Queue")
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


def patterns(template, local):
    """Samples that the rules bring to another function than they should, or to one by several rules."""
    rules = template.of_type("AWS::Events::Rule")
    if not rules:
        return []
    found = []
    for sample, reached in samples.reaching(local, template.patterns()).items():
        functions = [attribute_of(target["Arn"]) for rule in reached for target in rules[rule]["Targets"]]
        wanted = samples.expected(sample)
        if functions != ([wanted] if wanted else []):
            found.append(f"events/{sample} reaches {functions or 'nobody'} by {reached or 'no rule'}, and should reach {wanted or 'nobody'}")
    return found


# The checks that need nothing but the template.
CHECKS = {
    "lint": lint,
    "schedules": schedules,
    "wildcards": wildcards,
    "public": public,
    "encryption": encryption,
    "retention": retention,
    "dead letters": dead_letters,
    "permissions": permissions,
}
