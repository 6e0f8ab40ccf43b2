"""The operations of AWS's services that are linked into each built function, against those that its role allows: a function links only operations that its
role allows, and a role allows only operations that its function links.

    BELLHOP_BINARIES=target/debug python test_operations.py        with the requirements of requirements.txt installed

An operation shows in the symbols of a program that was not stripped: each is a module of its service's SDK. What is only named in a text, as in the
description of an error, does not count.
"""

import os
import re
import unittest
from pathlib import Path

from infra import PROGRAMS, SUITE, Template
from infra_checks import granted

# A symbol's path, each part behind its length: `11aws_sdk_ecs9operation8run_task`. The last part's end is where its length says.
LINKED = re.compile(rb"\d+aws_sdk_([a-z0-9]+)9operation(\d+)([a-z0-9_]+)")
# Services whose actions have another prefix than their SDK's crate.
PREFIXES = {"cloudcontrol": "cloudformation", "sfn": "states"}
# Operations that ask for other permissions than one of their own name
# <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
ACTIONS = {
    # ConditionCheckItem only where a transaction checks an item that it does not write.
    "dynamodb:TransactWriteItems": ["dynamodb:PutItem"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "sqs:SendMessageBatch": ["sqs:SendMessage"],
    # Part of the SDK's signing, for directory buckets, which the suite has none of.
    "s3:CreateSession": [],
}
# Actions that no operation of the functions has: what services ask for on their way, and what Lambda does.
WITHOUT_OPERATION = {
    "iam:PassRole",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:GetObjectVersion",
    # Lambda, for the function that timers invoke.
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    # Cloud Control, with the caller's permissions, for what a restore test created.
    "dynamodb:DeleteTable",
    "dynamodb:DescribeTable",
    "ec2:DeleteVolume",
    "ec2:DescribeVolumes",
    "elasticfilesystem:DeleteFileSystem",
    "elasticfilesystem:DescribeFileSystems",
}
# Operations that a function holds without being allowed them, and why it never asks for them. A port is linked as a whole.
HELD = [
    (["push"], ["codecommit:GetRepository"], "a push names its branch"),
    (["pipeline", "control"], ["codecommit:GetCommit", "codecommit:GetDifferences"], "only a push has files that changed"),
    (
        ["alarm"],
        ["codecommit:GetCommit", "codecommit:GetDifferences", "codecommit:GetFile", "codecommit:GetFolder", "codecommit:GetMergeOptions", "codecommit:GetRepository"],
        "the job of a remedy names its branch, whose tip it runs at, and stands in the suite configuration",
    ),
    (["task-state", "build-state"], ["s3:ListBucketVersions"], "they read no suite configuration"),
    (["backup"], ["dynamodb:Query", "dynamodb:DeleteItem"], "it looks backups up by their keys, and removes none of its records"),
    (["backup"], ["s3:PutObject"], "it stores no script and no report"),
]


def operations(binary):
    """The operations that are linked into a program, as `service:Operation`."""
    return {f"{PREFIXES.get(service.decode(), service.decode())}:{camel_case(part[: int(length)].decode())}" for service, length, part in LINKED.findall(binary)}


def camel_case(name):
    return "".join(word.capitalize() for word in name.split("_"))


def allowed(template):
    """The actions that the role of each function with a program of its own allows, by the functions' names."""
    return {
        function["FunctionName"]["Fn::Sub"].removeprefix("${Suite}-"): {action for action, _ in granted(template, function["Role"]["Fn::GetAtt"][0])}
        for function in template.of_type("AWS::Lambda::Function").values()
        if function["FunctionName"]["Fn::Sub"].removeprefix("${Suite}-") not in PROGRAMS
    }


def differences(template, linked):
    """Where functions and roles do not go together, one line each."""
    found = []
    for function, actions in allowed(template).items():
        needed = {action for operation in linked[function] for action in ACTIONS.get(operation, [operation])}
        held = {action for functions, actions, _ in HELD if function in functions for action in actions}
        found += [f"{function} holds {action}, and may not do it" for action in sorted(needed - actions - held)]
        found += [f"{function} need not do {action}, and may do it or does not hold it" for action in sorted(held - (needed - actions))]
        found += [f"{function} may do {action}, and does not hold it" for action in sorted(actions - needed - WITHOUT_OPERATION)]
    return found


def grant(role, action):
    """A template in which a role allows one more action."""

    def change(template):
        template.properties(role)["Policies"][0]["PolicyDocument"]["Statement"].append({"Effect": "Allow", "Action": action, "Resource": "*"})

    return change


def without_draining(template):
    document = template.properties("SpotInterruptionRole")["Policies"][0]["PolicyDocument"]
    document["Statement"] = [statement for statement in document["Statement"] if statement["Action"] != "ecs:UpdateContainerInstancesState"]


# What is broken, and what has to be found.
FAULTS = [
    (grant("SweepRole", "backup:StartBackupJob"), ["sweep may do backup:StartBackupJob, and does not hold it"]),
    (grant("TaskStateRole", "codecommit:GetFile"), ["task-state may do codecommit:GetFile, and does not hold it"]),
    (grant("PushRole", "codecommit:GetRepository"), ["push need not do codecommit:GetRepository, and may do it or does not hold it"]),
    (without_draining, ["spot-interruption holds ecs:UpdateContainerInstancesState, and may not do it"]),
]


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = Template.read(SUITE)
        binaries = Path(os.environ["BELLHOP_BINARIES"])
        cls.linked = {function: operations((binaries / function).read_bytes()) for function in allowed(cls.template)}

    def test_every_function_may_do_what_it_holds_and_no_more(self):
        for function, linked in self.linked.items():
            self.assertIn("dynamodb:GetItem", linked, f"{function} has no symbols")
        self.assertEqual(differences(self.template, self.linked), [])

    def test_every_exception_is_needed(self):
        granted_somewhere = set().union(*allowed(self.template).values())
        linked_somewhere = set().union(*self.linked.values())
        self.assertEqual(WITHOUT_OPERATION - granted_somewhere, set())
        self.assertEqual(WITHOUT_OPERATION & linked_somewhere, set())
        self.assertEqual(ACTIONS.keys() - linked_somewhere, set())

    def test_every_fault_is_found(self):
        for fault, expected in FAULTS:
            template = self.template.copy()
            fault(template)
            with self.subTest(expected=expected[0]):
                self.assertEqual(differences(template, self.linked), expected)


if __name__ == "__main__":
    unittest.main()
