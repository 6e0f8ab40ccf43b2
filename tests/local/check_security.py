"""Has checkov look over the templates of infra/ for what is unsafe.

    python check_security.py CHECKOV        CHECKOV: the program; this one with the requirements of requirements.txt installed

checkov gets what the SAM transform makes of a template, twice: with every condition true, and with every condition false. Left to itself it would leave out
what is there under a condition only.

A finding that is right as it is is explained where it is, for one resource in its template,

    Metadata: { checkov: { skip: [{ id: CKV_AWS_1, comment: why }] } }

and for all resources of a type in `ACCEPTED`. An explanation that explains nothing is a finding too. And checkov has to find the faults of `FAULTS`, each
made in a copy of a resource.

Exit code 0 when all is well, 1 with findings.
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra import SUITE, TEMPLATES, Template, assume

# What holds for every resource of a type: the check and why it is left unfulfilled.
ACCEPTED = {
    ("CKV_AWS_115", "AWS::Lambda::Function"): "a reservation takes from what the account's other functions may use, and an account begins with ten in all",
    ("CKV_AWS_116", "AWS::Lambda::Function"): "dead letters go to OnFailure destinations, which tell more; see the check `dead letters`",
    ("CKV_AWS_117", "AWS::Lambda::Function"): "functions call AWS alone and listen to nobody: a VPC would add an endpoint for each service and protect nothing",
    ("CKV_AWS_158", "AWS::Logs::LogGroup"): "CloudWatch Logs encrypts with its own key, and functions log no secret",
    ("CKV_AWS_173", "AWS::Lambda::Function"): "the variables are names and ARNs, no secrets; Lambda encrypts them with its own key",
    ("CKV_AWS_27", "AWS::SQS::Queue"): "it asks for a key of KMS and does not know SQS's own encryption; see the check `encryption`",
}


def without_public_access_block(resource):
    del resource["Properties"]["PublicAccessBlockConfiguration"]


def public_acl(resource):
    resource["Properties"]["AccessControl"] = "PublicRead"


def unversioned(resource):
    del resource["Properties"]["VersioningConfiguration"]


def plain_topic(resource):
    del resource["Properties"]["KmsMasterKeyId"]


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


# The resource of template.yaml, what is broken about it, and the checks that have to find it.
FAULTS = [
    ("Bucket", without_public_access_block, {"CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"}),
    ("Bucket", public_acl, {"CKV_AWS_20"}),
    ("Bucket", unversioned, {"CKV_AWS_21"}),
    ("Topic", plain_topic, {"CKV_AWS_26"}),
    ("Table", without_recovery, {"CKV_AWS_28"}),
    ("TopicKey", key_for_ever, {"CKV_AWS_7"}),
    ("PushRole", every_action, {"CKV_AWS_62", "CKV_AWS_63"}),
    ("PushRole", assumed_by_anybody, {"CKV_AWS_60"}),
    ("PushFunction", key_in_environment, {"CKV_AWS_45"}),
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


def scan(checkov, documents):
    """The findings on each of these templates, by their names: pairs of resource and check, with what the check says."""
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
            if kind in ACCEPTED:
                used.add(kind)
                continue
            left.append(f"{template.name}: {resource}: {check}: {says}")
        for resource, check in sorted(skips.keys() - findings[template.name].keys()):
            left.append(f"{template.name}: {resource}: {check} is explained and not found")
    left += [f"{check} on {kind} is accepted and not found" for check, kind in ACCEPTED.keys() - used]
    return left


def main(arguments):
    [checkov] = arguments
    templates = [Template.read(path) for path in TEMPLATES]
    suite = Template.read(SUITE)
    documents = {}
    for template in templates:
        for holds in (True, False):
            documents[f"{template.name}-{holds}"] = given_conditions(template.document, holds)
    for number, (name, fault, _) in enumerate(FAULTS):
        for what, change in (("whole", lambda _: None), ("broken", fault)):
            document = {"Resources": {name: copy.deepcopy(suite.resources[name])}}
            change(document["Resources"][name])
            documents[f"{what}-{number}"] = given_conditions(document, True)
    raw = scan(checkov, documents)

    findings = {template.name: {**raw[f"{template.name}-True"], **raw[f"{template.name}-False"]} for template in templates}
    left = judge(templates, findings)
    for number, (name, fault, checks) in enumerate(FAULTS):
        caused = {check for _, check in raw[f"broken-{number}"].keys() - raw[f"whole-{number}"].keys()}
        if not checks <= caused:
            left.append(f"{fault.__name__} of {name} is not found by {', '.join(sorted(checks - caused))}, only by {sorted(caused)}")
    # An explanation too many is found, and so is one too few.
    twisted = suite.copy()
    twisted.resources["Topic"]["Metadata"] = {"checkov": {"skip": [{"id": "CKV_AWS_26", "comment": "of nothing"}]}}
    twisted.resources["Table"].pop("Metadata", None)
    found = "\n".join(judge([twisted], findings))
    for part in ("Topic: CKV_AWS_26 is explained and not found", "Table: CKV_AWS_119:"):
        if part not in found:
            left.append(f"not noticed: {part}")
    for line in left:
        print(line)
    if not left:
        print(f"{len(templates)} templates, {len(FAULTS)} faults: nothing unexplained")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
