"""Has checkov, and AWS's own rules for Guard, look over the templates of infra/ and infra/solutions/ for what is unsafe.

    python check_security.py CHECKOV GUARD

CHECKOV is the program, and GUARD the npm package @cdklabs/cdk-validator-cfnguard, which has the program cfn-guard and AWS's rules: the proactive controls of
Control Tower, which an account may have in force for every stack. This Python is one with the requirements of requirements.txt.

Both get what the SAM transform makes of a template, twice: with every condition true, and with every condition false. Left to themselves they would leave
out what is there under a condition only.

A finding that is right as it is is explained where it is, for one resource in its template,

    Metadata: { checkov: { skip: [{ id: CKV_AWS_1, comment: why }] } }

and for all resources of a type in `ACCEPTED`; a rule of Guard's goes by the control's name, such as CT.S3.PR.2. An explanation that explains nothing is a
finding too. And the faults of `FAULTS`, each made in a copy of a resource, have to be found.

Exit code 0 when all is well, 1 with findings.
"""

import copy
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from infra import PSEUDO, SOLUTIONS, SUITE, TEMPLATES, Template, assume, reference_of, walk

# What holds for every resource of a type: the checks, and why they are left unfulfilled.
ACCEPTED = [
    (["CKV_AWS_115"], "AWS::Lambda::Function", "a reservation takes from what the account's other functions may use, and an account begins with ten in all"),
    (["CKV_AWS_116"], "AWS::Lambda::Function", "dead letters go to OnFailure destinations, which tell more; see the check `dead letters`"),
    (
        ["CKV_AWS_117", "CT.LAMBDA.PR.3"],
        "AWS::Lambda::Function",
        "functions call AWS alone and listen to nobody: a VPC would add an endpoint for each service and protect nothing",
    ),
    (["CKV_AWS_158", "CT.CLOUDWATCH.PR.3"], "AWS::Logs::LogGroup", "CloudWatch Logs encrypts with its own key, and functions log no secret"),
    (["CKV_AWS_173"], "AWS::Lambda::Function", "the variables are names and ARNs, no secrets; Lambda encrypts them with its own key"),
    (["CKV_AWS_27"], "AWS::SQS::Queue", "it asks for a key of KMS and does not know SQS's own encryption, which CT.SQS.PR.2 does"),
    (["CT.CLOUDWATCH.PR.1"], "AWS::CloudWatch::Alarm", "alarms reach the function alarm by its rule, and people from there; see the check `alarms`"),
    (["CT.CLOUDWATCH.PR.2"], "AWS::Logs::LogGroup", "a year of logs is nothing that builds need; the parameter LogRetentionDays may say so"),
    (["CT.CODEBUILD.PR.4"], "AWS::CodeBuild::Project", "a Docker daemon needs it; the parameter CodeBuildPrivileged turns it off"),
    (["CT.ECS.PR.2"], "AWS::ECS::Cluster", "costs by the metric, see the parameter ContainerInsights"),
    (["CT.ECS.PR.3"], "AWS::ECS::TaskDefinition", "the image names its user, and images of others name others; no capability is left to any"),
    (["CT.ECS.PR.6"], "AWS::ECS::TaskDefinition", "jobs install tools and write to their home; the file system is the task's own and ends with it"),
    (["CT.ECS.PR.7"], "AWS::ECS::TaskDefinition", "the task has one container and a limit, which on Fargate is the container's"),
    (["CT.S3.PR.2"], "AWS::S3::Bucket", "access logs need a second bucket that nobody reads, see CKV_AWS_18"),
    (["CT.S3.PR.4"], "AWS::S3::Bucket", "nothing waits for objects: functions read what they have been told of"),
    (["CT.S3.PR.9"], "AWS::S3::Bucket", "reports and artifacts expire, and earlier versions bring back what was overwritten"),
    (["CT.S3.PR.10"], "AWS::S3::Bucket", "S3 encrypts with its own key; the parameter CustomerKey asks for one of KMS"),
    (["CT.SQS.PR.1"], "AWS::SQS::Queue", "these are the dead-letter queues, of functions and rules, and the timers, which the sweep makes up for"),
]
REASONS = {(check, kind): why for checks, kind, why in ACCEPTED for check in checks}


def without_public_access_block(resource):
    del resource["Properties"]["PublicAccessBlockConfiguration"]


def public_policies_allowed(resource):
    resource["Properties"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


def public_acl(resource):
    resource["Properties"]["AccessControl"] = "PublicRead"


def unversioned(resource):
    del resource["Properties"]["VersioningConfiguration"]


def plain_topic(resource):
    del resource["Properties"]["KmsMasterKeyId"]


def plain_table(resource):
    del resource["Properties"]["SSESpecification"]


def without_recovery(resource):
    del resource["Properties"]["PointInTimeRecoverySpecification"]


def key_for_ever(resource):
    resource["Properties"]["EnableKeyRotation"] = False


def every_action(resource):
    resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0].update(Action="*", Resource="*")


def assumed_by_anybody(resource):
    resource["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": "*"}


def key_in_environment(resource):
    # Put together, so that no scanner takes this file for the fault.
    resource["Properties"]["Environment"]["Variables"]["KEY"] = "AKIA" + "IOSFODNN7EXAMPLE"


def key_that_anybody_grants(resource):
    resource["Properties"]["KeyPolicy"]["Statement"].pop()


def plain_queue(resource):
    del resource["Properties"]["SqsManagedSseEnabled"]


def without_tls(resource):
    resource["Properties"]["PolicyDocument"]["Statement"][0]["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}


def invoked_by_anybody(resource):
    del resource["Properties"]["SourceAccount"], resource["Properties"]["SourceArn"]


# The resource of template.yaml, what is broken about it, and the checks that have to find it.
FAULTS = [
    ("Bucket", without_public_access_block, {"CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56", "CT.S3.PR.1"}),
    ("Bucket", public_policies_allowed, {"CKV_AWS_54", "CT.S3.PR.1"}),
    ("Bucket", public_acl, {"CKV_AWS_20", "CT.S3.PR.5"}),
    ("Bucket", unversioned, {"CKV_AWS_21", "CT.S3.PR.11"}),
    ("BucketPolicy", without_tls, {"CT.S3.PR.8"}),
    ("Topic", plain_topic, {"CKV_AWS_26"}),
    ("Table", plain_table, {"CT.DYNAMODB.PR.2"}),
    ("Table", without_recovery, {"CKV_AWS_28", "CT.DYNAMODB.PR.1"}),
    ("Key", key_for_ever, {"CKV_AWS_7", "CT.KMS.PR.1"}),
    ("Key", key_that_anybody_grants, {"CT.KMS.PR.3"}),
    ("PushDeadLetterQueue", plain_queue, {"CT.SQS.PR.2"}),
    ("PushRole", every_action, {"CKV_AWS_62", "CKV_AWS_63", "CT.IAM.PR.1"}),
    ("PushRole", assumed_by_anybody, {"CKV_AWS_60"}),
    ("PushFunction", key_in_environment, {"CKV_AWS_45"}),
    ("PushTriggerPermission", invoked_by_anybody, {"CKV_AWS_364", "CT.LAMBDA.PR.2"}),
]


def given_conditions(document, holds):
    """The template as it is when every condition holds, or none. Explanations are left out: they are weighed here, not by checkov."""
    resources = {}
    for name, resource in document["Resources"].items():
        if holds or "Condition" not in resource:
            resource = assume(resource, holds)
            resource.pop("Condition", None)
            resource.pop("Metadata", None)
            resources[name] = resource
    parameters = {"Parameters": document["Parameters"]} if "Parameters" in document else {}
    return {"AWSTemplateFormatVersion": "2010-09-09", **parameters, "Resources": resources}


def checkov_finds(checkov, documents):
    """checkov's findings on each of these templates, by their names: pairs of resource and check, with what the check says."""
    with tempfile.TemporaryDirectory() as folder:
        for name, document in documents.items():
            Path(folder, f"{name}.json").write_text(json.dumps(document, indent=1))
        # Nothing is fetched or sent.
        command = [checkov, "--directory", folder, "--framework", "cloudformation", "--output", "json", "--compact", "--quiet", "--skip-download"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "LOG_LEVEL": "ERROR"})
        try:
            report = json.loads(ended.stdout)
            summary = report["summary"]
        except (ValueError, KeyError, TypeError):
            sys.exit(f"checkov ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        wanted = sum(len(document["Resources"]) for document in documents.values())
        if summary["parsing_errors"] or summary["resource_count"] != wanted:
            sys.exit(f"checkov saw {summary['resource_count']} of {wanted} resources: {report['results'].get('parsing_errors')}")
        findings = {name: {} for name in documents}
        for finding in report["results"].get("failed_checks", []):
            resource = finding["resource"].rpartition(".")[2]
            findings[Path(finding["file_path"]).stem][resource, finding["check_id"]] = finding["check_name"]
        return findings


def for_guard(node, parameters):
    """A part of a template as Guard's rules understand it: with the values of its parameters in their places, where a reference is nothing to them, and with
    what an attribute begins spelt as a Join."""
    if isinstance(node, list):
        return [for_guard(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"} and parameters.get(node["Ref"], "") != "":
        return parameters[node["Ref"]]
    begun = BEGUN.fullmatch(str(node["Fn::Sub"])) if node.keys() == {"Fn::Sub"} else None
    if begun:
        return {"Fn::Join": ["", [{"Fn::GetAtt": [begun[1], begun[2]]}, begun[3]]]}
    return {key: for_guard(item, parameters) for key, item in node.items()}


def guard_finds(guard, documents):
    """Guard's findings, likewise, by the controls' names."""
    architecture = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}[platform.machine()]
    program = Path(guard, "bin", "macos" if sys.platform == "darwin" else "ubuntu", architecture, "cfn-guard")
    rules = Path(guard, "rules", "control-tower", "cfn-guard")
    with tempfile.TemporaryDirectory() as folder:
        for name, document in documents.items():
            parameters = {**PSEUDO, **Template(name, document).defaults()}
            Path(folder, f"{name}.json").write_text(json.dumps(for_guard(document, parameters)))
        command = [program, "validate", "--rules", rules, "--data", folder, "--structured", "--output-format", "json", "--show-summary", "none"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        reports = {Path(report["name"]).stem: report for report in json.loads(ended.stdout)}
    except (ValueError, KeyError, TypeError):
        sys.exit(f"cfn-guard ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    known = len(list(rules.rglob("*.guard")))
    findings = {}
    for name in documents:
        # A file has its rule twice: the other one is for what CloudFormation hands to hooks, and fits no template.
        read = len(set(reports[name]["not_applicable"]))
        if not 0 < known == read:
            sys.exit(f"cfn-guard read {read} of {known} rules for {name}: {ended.stderr}")
        findings[name] = {}
        for rule in reports[name]["not_compliant"]:
            [control] = {found for _, node in walk(rule) for found in CONTROL.findall(str(node)) if isinstance(node, str)}
            resources = {found for _, node in walk(rule) if isinstance(node, str) for found in RESOURCE.findall(node)}
            findings[name] |= {(resource, control[0]): control[1] for resource in resources}
    return findings, known


# A text that begins with an attribute, and has nothing else to put in.
BEGUN = re.compile(r"\$\{(\w+)\.(\w+)\}([^$]*)")
# How a rule's message names its control, and how it says where it is unfulfilled.
CONTROL = re.compile(r"\[(CT\.[A-Z0-9.]+)\]: ([^\n]+)")
RESOURCE = re.compile(r"^/Resources/([A-Za-z0-9]+)")


def explained(template):
    """The explanations in a template: pairs of resource and check, with the reason."""
    skips = {}
    for name, resource in template.resources.items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            skips[name, skip["id"]] = skip.get("comment", "").strip()
    return skips


def judge(templates, findings):
    """What is left of the findings, and explanations that explain nothing: one line each."""
    left = []
    used = set()
    for template in templates:
        skips = explained(template)
        for (resource, check), says in sorted(findings[template.name].items()):
            kind = (check, template.resources[resource]["Type"])
            if skips.get((resource, check)):
                continue
            if kind in REASONS:
                used.add(kind)
                continue
            left.append(f"{template.name}: {resource}: {check}: {says}")
        for resource, check in sorted(skips.keys() - findings[template.name].keys()):
            left.append(f"{template.name}: {resource}: {check} is explained and not found")
    left += [f"{check} on {kind} is accepted and not found" for check, kind in REASONS.keys() - used]
    return left


def main(arguments):
    checkov, guard = arguments
    templates = [Template.read(path) for path in [*TEMPLATES, *SOLUTIONS]]
    suite = Template.read(SUITE)
    documents = {}
    for template in templates:
        for holds in (True, False):
            documents[f"{template.name}-{holds}"] = given_conditions(template.document, holds)
    for number, (name, fault, _) in enumerate(FAULTS):
        for what, change in (("whole", lambda _: None), ("broken", fault)):
            # With what it refers to: Guard looks whose the bucket of a policy is.
            beside = {reference_of(node) for _, node in walk(suite.resources[name])} & suite.resources.keys()
            document = {"Resources": copy.deepcopy({each: suite.resources[each] for each in sorted({name} | beside)})}
            change(document["Resources"][name])
            documents[f"{what}-{number}"] = given_conditions(document, True)
    raw = checkov_finds(checkov, documents)
    others, rules = guard_finds(guard, documents)
    for name, findings in others.items():
        raw[name] |= findings

    findings = {template.name: {**raw[f"{template.name}-True"], **raw[f"{template.name}-False"]} for template in templates}
    left = judge(templates, findings)
    for number, (name, fault, checks) in enumerate(FAULTS):
        caused = {check for _, check in raw[f"broken-{number}"].keys() - raw[f"whole-{number}"].keys()}
        if not checks <= caused:
            left.append(f"{fault.__name__} of {name} is not found by {', '.join(sorted(checks - caused))}, only by {sorted(caused)}")
    # An explanation too many is found, and so is one too few.
    twisted = suite.copy()
    twisted.resources["Bucket"]["Metadata"] = {"checkov": {"skip": [{"id": "CKV_AWS_26", "comment": "of nothing"}]}}
    twisted.resources["Table"].pop("Metadata", None)
    found = "\n".join(judge([twisted], findings))
    for part in ("Bucket: CKV_AWS_26 is explained and not found", "Table: CKV_AWS_119:"):
        if part not in found:
            left.append(f"not noticed: {part}")
    for line in left:
        print(line)
    if not left:
        print(f"{len(templates)} templates, checkov and {rules} rules of Guard, {len(FAULTS)} faults: nothing unexplained")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
