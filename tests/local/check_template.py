"""Checks templates: expands those of SAM as CloudFormation would, then runs cfn-lint on what comes out.

    python check_template.py [TEMPLATE ...]        default: every template in infra/ and infra/solutions/

cfn-lint on a SAM file itself sees neither the resources that the transform makes nor references to them, and so misses most mistakes; it looks at that as
well. It has every rule of its own at work, errors, warnings and information, strict types, and the experimental ones, in every region with CodeCommit, without
which there is no suite. What is no mistake is explained in `EXPLAINED`; what that explains has to be found.

What a template nests is held against the nested template: its parameters, those that it cannot do without, and the outputs that are taken from it.
Exit code 0 without findings, 1 with findings, 2 when a template cannot be expanded at all.
"""

import json
import logging
import os
import sys
from pathlib import Path

# The translator asks boto3 for the region, to find the partition. Nothing is called.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from boto3 import Session  # noqa: E402
from cfnlint import decode  # noqa: E402
from cfnlint.api import ManualArgs, lint  # noqa: E402
from cfnlint.helpers import REGIONS  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# The translator knows only code that is already in S3, and CloudFormation only templates that are. What `aws cloudformation package` would write there
# is written here instead.
PACKAGED = {
    "AWS::Serverless::Function": ("CodeUri", "s3://packaged/{}.zip"),
    "AWS::CloudFormation::Stack": ("TemplateURL", "https://packaged.s3.amazonaws.com/{}.yaml"),
}

# Where there is CodeCommit. cfn-lint knows what types of resources a region has, and the SDK what services.
SERVED = sorted(
    set(REGIONS) & {region for partition in Session().get_available_partitions() for region in Session().get_available_regions("codecommit", partition)}
)
# The rules that find what is no mistake here, and why it is none.
EXPLAINED = {
    "I4010": "an experiment that asks for metadata in which programs may read what a resource is for; the comments say it to people",
}
RULES = {
    # Numbers are numbers and texts are texts.
    "E3012": {"strict": True},
    # No ARN names a region, an account or a partition.
    "I3042": {"partition": True, "region": True, "accountId": True},
}


def plain(node):
    """The document without cfn-lint's node types, which the translator does not accept everywhere."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node


def read(path):
    """The file's template as it is."""
    template, problems = decode.decode(str(path))
    if problems:
        raise ValueError("\n".join(f"line {problem.linenumber}: {problem.message}" for problem in problems))
    return plain(template)


def expand(path):
    """The CloudFormation template that the SAM transform makes of the file."""
    template = read(path)
    for name, resource in template.get("Resources", {}).items():
        location, packaged = PACKAGED.get(resource.get("Type"), (None, None))
        if location and isinstance(resource.get("Properties", {}).get(location), str):
            resource["Properties"][location] = packaged.format(name)
    # Without managed policies: templates here write their policies out.
    return Translator({}, Parser()).translate(template, parameter_values={})


def attributes(node):
    """Every Fn::GetAtt below a node, as the resource's name and the attribute."""
    if isinstance(node, list):
        for item in node:
            yield from attributes(item)
    elif isinstance(node, dict):
        for name, item in node.items():
            if name == "Fn::GetAtt":
                yield item.split(".", 1) if isinstance(item, str) else (item[0], ".".join(map(str, item[1:])))
            else:
                yield from attributes(item)


def nested(path):
    """The findings on the stacks that a template nests, which CloudFormation would only make when they are deployed."""
    template = read(path)
    lines = []
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") != "AWS::CloudFormation::Stack":
            continue
        properties = resource["Properties"]
        location = properties["TemplateURL"]
        inner = read(Path(path).parent / location)
        parameters = inner.get("Parameters", {})
        given = set(properties.get("Parameters", {}))
        needed = {parameter for parameter, about in parameters.items() if "Default" not in about}
        taken = {attribute.removeprefix("Outputs.") for of, attribute in attributes(template) if of == name}
        for what, names in [
            ("has no parameter", given - set(parameters)),
            ("needs the parameter", needed - given),
            ("has no output", taken - set(inner.get("Outputs", {}))),
        ]:
            lines += [f"nested Resources/{name}: {location} {what} {missing}" for missing in sorted(names)]
    return lines


def cfn_lint(text, regions):
    """What cfn-lint finds in the text of a template: each finding's rule, and a line to print."""
    settings = ManualArgs(regions=regions, include_checks=["I"], include_experimental=True, configure_rules=RULES)
    for finding in sorted(lint(text, config=settings), key=lambda finding: (str(finding.path), finding.rule.id)):
        where = "/".join(str(part) for part in finding.path or []) or "the template"
        # cfn-lint likes to list every resource there is.
        message = finding.message if len(finding.message) <= 300 else finding.message[:300] + " …"
        yield finding.rule.id, f"{finding.rule.id} {where}: {message}"


def check(path, explained=None):
    """The findings on one template, as lines to print. Rules whose findings are explained go to `explained`."""
    findings = list(cfn_lint(json.dumps(expand(path), indent=1), SERVED))
    if "Transform" in read(path):
        # A region is the same to it as another.
        findings += [(rule, f"as it is written: {line}") for rule, line in cfn_lint(Path(path).read_text(), SERVED[:1])]
    if explained is not None:
        explained.update(rule for rule, _ in findings if rule in EXPLAINED)
    return nested(path) + [line for rule, line in findings if rule not in EXPLAINED]


def main(arguments):
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    paths = [Path(argument) for argument in arguments] or sorted([*(ROOT / "infra").glob("*.yaml"), *(ROOT / "infra" / "solutions").glob("*.yaml")])
    failed, explained = 0, set()
    for path in paths:
        try:
            findings = check(path, explained)
        except InvalidDocumentException as error:
            print(f"{path}: the SAM transform refuses it:")
            for cause in error.causes:
                print(f"  {cause.message}")
            return 2
        except (ValueError, OSError) as error:
            print(f"{path}: {error}")
            return 2
        if findings:
            failed = 1
            print(f"{path}: {len(findings)} finding{'s' if len(findings) != 1 else ''}, in the expanded template unless another is named:")
            for finding in findings:
                print(f"  {finding}")
        else:
            print(f"{path}: no findings in {len(SERVED)} regions")
    for rule in EXPLAINED.keys() - explained:
        failed = 1
        print(f"{rule} is explained and not found")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
