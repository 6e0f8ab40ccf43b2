"""The JSON Schemas of users' files against the parsers, both ways, on generated files.

    BELLHOP_LOCAL=target/debug/bellhop-local python -m unittest test_schemas
"""

import collections
import json
import os
import re
import subprocess
import unittest

import fastjsonschema
import jsonschema

import generated_files
from schema_tables import KINDS, schema

# How many files there are of each kind, beside those with a mistake in each place.
COUNT = 1_000
# How many of the files that are meant to be valid the parser has to take: the test would say little otherwise.
TAKEN = 0.9

# What the parsers refuse and no schema can say: each is about more than one value of the file, or about a text that only a library can judge.
BEYOND = [
    r"there is no (job|agent|backup) `",
    r"the job waits for itself",
    r"the jobs wait for each other",
    r"is out of bounds: expected (1s to 24h|at most 1h)",
    r"a critical job is never on Spot",
    r"a job with a `lock` has one agent at a time",
    r"the job does not come after `",
    r"keeps no files: expected `artifacts`",
    r"is also in `environment`",
    r"secrets need an agent on ECS or CodeBuild",
    r"the rule matches nothing",
    r"the filters have \d+ patterns in all: at most 1000",
    r"the file has \d+ KiB: at most 256 KiB",
    r"the file has more than 20000 values",
    r"nested too deeply: at most 32 levels",
    r"is not a valid pattern",
    r"is not valid: expected whole (minutes|days)",
    r"expected at least (1h|60 minutes more|90 days more)",
    r"expected at least 60 minutes less",
    r"restores of this resource cannot be tested",
    r"`at-most-every` is also in `restart-service`",
    r"`[A-Za-z-]+` is set by Bellhop, so that the restore creates something new",
    r"missing key `availabilityZone`: Bellhop cannot determine it",
]

# Files that the schemas allow, for rules that chance does not meet.
JOB = {"agent": "small", "run": "x"}
BY_HAND = {
    "pipeline-file": [
        {"version": 1, "jobs": {"a": {**JOB, "on": {"push": {"branches": "[a"}}}}},
        {"version": 1, "jobs": {f"a{number}": {**JOB, "on": {"push": {"tags": ["v"] * 50}}} for number in range(21)}},
        {"version": 1, "jobs": {"a": {**JOB, "run": "x" * 256 * 1024}}},
        {"version": 1, "jobs": {"a": JOB}, "x-own": [0] * 20_000},
        {"version": 1, "jobs": {"a": JOB}, "x-own": json.loads("[" * 40 + "]" * 40)},
        {"version": 1.0, "jobs": {"a": {**JOB, "retry": [{"exit-codes": [3.0], "limit": 1.0}]}}},
    ],
    "suite-configuration": [
        {"version": 1, "agents": {}, "backups": {"home": {"resource": resource, "vault": "v", "role": "arn:aws:iam::1:role/r", "restore-test": test}}}
        for resource, test in [
            ("arn:aws:dynamodb:us-east-1:1:table/t", {"every": "7d", "metadata": {"targetTableName": "t"}}),
            ("arn:aws:ec2:us-east-1::volume/vol-0a", {"every": "7d"}),
        ]
    ],
}


def parse(questions):
    """What the parsers answer: None, or what is wrong."""
    lines = "".join(json.dumps({"kind": kind, "text": text}) + "\n" for kind, text in questions)
    answered = subprocess.run([os.environ["BELLHOP_LOCAL"], "parse"], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answered.stdout.splitlines()]


def disagreements(kind, values, answers):
    """Files on which schema and parser disagree, one line each; and how often each rule beyond the schema was met."""
    # Without defaults, which it would write into the files.
    validate, found, met = fastjsonschema.compile(schema(kind), use_default=False), [], collections.Counter()
    for value, answer in zip(values, answers, strict=True):
        error = None
        try:
            validate(value)
        except fastjsonschema.JsonSchemaValueException as refused:
            error = refused.message
        beyond = next((rule for rule in BEYOND if answer and re.search(rule, answer)), None)
        if error and not answer:
            found.append(f"only the schema refuses, because {error[:200]}: {json.dumps(value)[:400]}")
        elif answer and not error and not beyond:
            found.append(f"only the parser refuses, because {answer}: {json.dumps(value)[:400]}")
        if beyond:
            met[beyond] += 1
    return found, met


class Schemas(unittest.TestCase):
    def test_they_are_schemas(self):
        for kind in KINDS:
            jsonschema.Draft202012Validator.check_schema(schema(kind))

    def test_schema_and_parser_take_the_same_files(self):
        met = collections.Counter()
        for kind in KINDS:
            shares = []
            for values in [*generated_files.files(kind, schema(kind), COUNT, seed=kind), BY_HAND[kind]]:
                # YAML is a superset of JSON.
                answers = parse([(kind, json.dumps(value)) for value in values])
                shares.append(sum(answer is None for answer in answers) / len(values))
                found, of_kind = disagreements(kind, values, answers)
                self.assertEqual(found[:20], [], f"{len(found)} files")
                met += of_kind
            print(f"{kind}: the parser takes {shares[0]:.0%} of the valid files, {shares[1]:.0%} of those with a mistake, {shares[2]:.0%} of the others")
            self.assertGreater(shares[0], TAKEN)
            self.assertLess(shares[1], 0.7)
        self.assertEqual([rule for rule in BEYOND if rule not in met], [], "rules that no generated file has met")

    def test_disagreements_are_found(self):
        found, _ = disagreements("pipeline-file", [{"version": 1}, {"version": 1, "jobs": {"a": {"agent": "b", "run": "c"}}}], [None, "no"])
        self.assertEqual([line.split(",")[0] for line in found], ["only the schema refuses", "only the parser refuses"])

    def test_each_key_is_described(self):
        for kind in KINDS:
            for name, definition in {"": schema(kind), **schema(kind)["$defs"]}.items():
                for key, value in definition.get("properties", {}).items():
                    self.assertIn("description", value, f"{kind}: {name}.{key}")


if __name__ == "__main__":
    unittest.main()
