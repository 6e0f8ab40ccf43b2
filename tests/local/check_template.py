"""Checks a SAM template: expands it as CloudFormation would, then runs cfn-lint on what comes out.

    python check_template.py [TEMPLATE ...]        default: infra/template.yaml

cfn-lint on the SAM file itself sees neither the resources that the transform makes nor references to them, and so misses most mistakes.
Exit code 0 without findings, 1 with findings, 2 when a template cannot be expanded at all.
"""

import json
import logging
import os
import sys
from pathlib import Path

# The translator asks boto3 for the region, to find the partition. Nothing is called.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from cfnlint import decode  # noqa: E402
from cfnlint.api import ManualArgs, lint  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# The translator knows only code that is already in S3. What `aws cloudformation package` would write there is written here instead.
PACKAGED = {"AWS::Serverless::Function": "CodeUri"}


def plain(node):
    """The document without cfn-lint's node types, which the translator does not accept everywhere."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node


def expand(path):
    """The CloudFormation template that the SAM transform makes of the file."""
    template, problems = decode.decode(str(path))
    if problems:
        raise ValueError("\n".join(f"line {problem.linenumber}: {problem.message}" for problem in problems))
    template = plain(template)
    for name, resource in template.get("Resources", {}).items():
        location = PACKAGED.get(resource.get("Type"))
        if location and isinstance(resource.get("Properties", {}).get(location), str):
            resource["Properties"][location] = f"s3://packaged/{name}.zip"
    # Without managed policies: templates here write their policies out.
    return Translator({}, Parser()).translate(template, parameter_values={})


def check(path):
    """The findings on one template, as lines to print."""
    expanded = expand(path)
    findings = lint(
        json.dumps(expanded, indent=1),
        config=ManualArgs(regions=["us-east-1"], include_checks=["I"], ignore_checks=["I3042"]),
    )
    lines = []
    for finding in sorted(findings, key=lambda finding: (str(finding.path), finding.rule.id)):
        where = "/".join(str(part) for part in finding.path or []) or "the template"
        # cfn-lint likes to list every resource there is.
        message = finding.message if len(finding.message) <= 300 else finding.message[:300] + " …"
        lines.append(f"{finding.rule.id} {where}: {message}")
    return lines


def main(arguments):
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    paths = [Path(argument) for argument in arguments] or [ROOT / "infra" / "template.yaml"]
    failed = 0
    for path in paths:
        try:
            findings = check(path)
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
            print(f"{path}: {len(findings)} finding{'s' if len(findings) != 1 else ''} in the expanded template:")
            for finding in findings:
                print(f"  {finding}")
        else:
            print(f"{path}: no findings")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
