"""Attacks by code that runs in an agent, each a test with the attack as its name: on the bucket, on other roles, and on the agent's program.

    python test_attacks.py        with BELLHOP_AGENT, BELLHOP_NODE and NODE_PATH as `cargo xtask test --only attacks` sets them

The agents are processes of the agent's program. The stand-in for S3 asks an evaluator of IAM policies, which is somebody else's, whether the deployed role
may do what it is asked for. The attacks on the functions are in tests/scenarios/tests/scenarios/attacks.
"""

import json
import re
import shutil
import sys
import unittest

import attacks
from agent import AgentCase
from infra import SUITE, Template, given
from policies import HERE, Request, made_up, user_id
from test_policies import Suite, policy

# The folder of an agent, by the role that its task has.
FOLDERS = {"TestTaskRole": "runs/abcdefghij/{own}/test/1/", "RepositoryRole": "repositories/shop/abcdefghij/{own}/test/1/"}

# What a hostile job does to the bucket: the attack, the operation and the key. In braces stand the `aws:userid` of its own agent and of another one.
ON_THE_BUCKET = [
    ("forges the report of another attempt", "put_object", "runs/klmnopqrst/{other}/test/1/result.json"),
    ("forges the report of another job of its run", "put_object", "runs/abcdefghij/{other}/build/1/result.json"),
    ("leaves an artifact among those of another attempt", "put_object", "runs/klmnopqrst/{other}/test/1/artifacts/app.zip"),
    ("names a folder in the folder of another agent after itself", "put_object", "runs/klmnopqrst/{other}/test/1/artifacts/{own}/app.zip"),
    ("names a run after itself", "put_object", "runs/{own}/test/1/result.json"),
    ("takes a folder whose name begins with its own", "put_object", "runs/abcdefghij/{own}0/test/1/result.json"),
    ("leaves a file beside the folders", "put_object", "runs/abcdefghij/test/1/result.json"),
    ("writes the report of its run", "put_object", "runs/abcdefghij/report.json"),
    ("writes the report of another run", "put_object", "runs/klmnopqrst/report.json"),
    ("reads the report of a run", "get_object", "runs/klmnopqrst/report.json"),
    ("reads the report of another attempt", "get_object", "runs/klmnopqrst/{other}/test/1/result.json"),
    ("reads the artifacts of another repository", "get_object", "repositories/payroll/klmnopqrst/{other}/test/1/artifacts/app.zip"),
    ("leaves a report with another repository", "put_object", "repositories/payroll/klmnopqrst/{own}/test/1/result.json"),
    ("forges a report of its repository", "put_object", "repositories/shop/klmnopqrst/{other}/test/1/result.json"),
    ("leaves an artifact for a build of CodeBuild of another repository", "put_object", "builds/payroll/klmnopqrst/test/1/0a1b2c3d/artifacts/app.zip"),
    ("replaces the script of a job", "put_object", "scripts/shop/0a1b2c3d"),
    ("replaces the script of another repository", "put_object", "scripts/payroll/0a1b2c3d"),
    ("replaces the suite configuration", "put_object", "config/bellhop.yaml"),
    ("reads the suite configuration", "get_object", "config/bellhop.yaml"),
    ("replaces what the image of the agents is made of", "put_object", "images/agent.zip"),
]
ACTIONS = {"put_object": "s3:PutObject", "get_object": "s3:GetObject"}

# A script with the credentials of its agent, which tries each and prints what came of it.
HOSTILE = """\
#!{python}
import base64, hashlib, json, os
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", region_name=os.environ["AWS_REGION"], config=Config(retries={{"total_max_attempts": 1}}))
for name, operation, key in json.loads({table!r}):
    more = {{}}
    if operation == "put_object":
        body = b"forged"
        more = {{"Body": body, "ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode()}}
    try:
        getattr(s3, operation)(Bucket="bucket", Key=key, **more)
        came = "done"
    except ClientError as error:
        came = error.response["Error"]["Code"]
    print(json.dumps(["tried", name, came]), flush=True)
open("own.txt", "w").write("mine")
raise SystemExit({code})
"""


def suite():
    """The roles of the templates, as they are written, with a bucket named `bucket`."""
    parameters = {"AWS::StackName": "bellhop", "Suite": "bellhop", "CustomerKey": "true"}
    ids = made_up(given(Template.read(SUITE), parameters), parameters)
    topics = {name: f"arn:aws:sns:{HERE}:{ids[name]}" for name in ("Topic", "WakeTopic")}
    return Suite({**ids, **topics, "Bucket": "bucket"})


SUITE_ROLES = suite()


def name_of(sentence):
    return "test_" + re.sub(r"[^a-z0-9]+", "_", sentence.lower())


def tests(table, check):
    """A class's tests, one for each row: named after the attack, which is the row's first column."""

    def decorate(case):
        for sentence, *row in table:
            name = name_of(sentence)
            if hasattr(case, name):
                raise ValueError(f"two attacks have the name {name}")
            setattr(case, name, lambda self, sentence=sentence, row=row: check(self, sentence, *row))
        return case

    return decorate


def is_refused(case, sentence, _operation, _key):
    for role, tried in case.tried.items():
        with case.subTest(role=role):
            case.assertEqual(tried[sentence], "AccessDenied")


@tests(ON_THE_BUCKET, is_refused)
class OnTheBucket(AgentCase):
    """A job of an agent, with the role that all repositories share, or the one of its repository."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agents, cls.tried = {}, {}
        for role, folder in FOLDERS.items():
            own = user_id(role)
            names = {"own": own, "other": own.replace("0a1b2c3d", "ffffffff")}
            table = [(sentence, operation, key.format_map(names)) for sentence, operation, key in ON_THE_BUCKET]
            script = HOSTILE.format(python=sys.executable, table=json.dumps(table), code=3)
            place = f"s3://bucket/{folder.format(own='{identity}')}"
            agent = cls.hold(script, BELLHOP_ARTIFACTS="own.txt", BELLHOP_ARTIFACTS_URI=f"{place}artifacts/", BELLHOP_RESULT_URI=f"{place}result.json")
            agent.store.identity = own
            agent.store.permits = lambda action, key, role=role: permits(role, action, key)
            agent.run()
            lines = [line for line in agent.output().splitlines() if line.startswith('["tried"')]
            cls.agents[role] = agent
            cls.tried[role] = {name: came for _, name, came in map(json.loads, lines)}

    @classmethod
    def hold(cls, script, **environment):
        """An agent that the whole class looks at."""
        holder = cls("run")
        agent = holder.agent(script, **environment)
        cls.addClassCleanup(holder.doCleanups)
        return agent

    def test_what_the_agent_itself_leaves_is_in_its_folder_and_says_how_the_job_ended(self):
        for role, folder in FOLDERS.items():
            agent = self.agents[role]
            with self.subTest(role=role):
                self.assertEqual(agent.code, 3, agent.output())
                self.assertEqual(agent.store.mistakes, [])
                top = agent.s3 / "bucket" / folder.format(own=user_id(role))
                self.assertEqual(json.loads((top / "result.json").read_text())["exit-code"], 3)
                left = sorted(str(path.relative_to(agent.s3)) for path in agent.s3.rglob("*") if path.is_file())
                self.assertEqual(left, [str((top / file).relative_to(agent.s3)) for file in ("artifacts/own.txt", "result.json")])

    def test_each_is_an_attack_on_a_role_that_may_do_everything(self):
        everything = SUITE_ROLES.account.holding({role: {"everything": policy(Action="*", Resource="*")} for role in FOLDERS})
        for role in FOLDERS:
            answers = everything.answers([request(role, ACTIONS[operation], f"/bucket/{key}") for _, operation, key in ON_THE_BUCKET])
            self.assertTrue(all(answer.allowed for answer in answers))


def request(role, action, key):
    """What S3 asks IAM about a key with its bucket."""
    own = user_id(role)
    key = key.lstrip("/").format_map({"own": own, "other": own.replace("0a1b2c3d", "ffffffff")}).rstrip("/")
    return Request.of(role, action, f"arn:aws:s3:::{key}")


def permits(role, action, key):
    [answer] = SUITE_ROLES.account.answers([request(role, action, key)])
    return answer.allowed


def is_denied(case, sentence, *_):
    for who, answer in case.answers[sentence].items():
        with case.subTest(role=who):
            case.assertFalse(answer.allowed, answer.by)


def by_agents():
    """Attacks of attacks.py by roles of agents: the sentence, what is asked, and the roles that ask."""
    agents = SUITE_ROLES.agents
    for table, roles in ((attacks.AGENT, agents), (attacks.REPOSITORY, attacks.OWN)):
        for sentence, action, resource, *context in table:
            yield f"an agent {sentence}" if roles is agents else f"an agent of a repository {sentence}", action, resource, *(context or [{}]), roles
    for sentence, action, resource, context, may in attacks.WORK:
        yield f"an agent that may not {sentence}", action, resource, context, [role for role in agents if role not in may]


@tests(by_agents(), is_denied)
class OnRoles(unittest.TestCase):
    """What the roles of agents may not do, by the policies of the templates."""

    @classmethod
    def setUpClass(cls):
        asked = [(row[0], who, SUITE_ROLES.request(who, *row[1:4])) for row in by_agents() for who in row[4]]
        cls.answers = {}
        for (sentence, who, _), answer in zip(asked, SUITE_ROLES.account.answers([one for *_, one in asked]), strict=True):
            cls.answers.setdefault(sentence, {})[who] = answer


class OnTheProgram(AgentCase):
    """A job that turns against the program that runs it."""

    def with_own_program(self, script, **environment):
        """An agent whose program the job may replace, as the owner of the file may."""
        agent = self.keeping("number", script, **environment)
        agent.program = shutil.copy(agent.program, agent.folder / "program")
        agent.values["PROGRAM"] = str(agent.program)
        return agent

    def test_a_job_that_sets_where_its_report_goes(self):
        elsewhere = "s3://bucket/runs/klmnopqrst/other/test/1"
        agent = self.keeping("number", f"export BELLHOP_RESULT_URI={elsewhere}/result.json BELLHOP_ARTIFACTS_URI={elsewhere}/artifacts/\nsh -c 'exit 3'").run()
        self.assertEqual(agent.code, 3)
        self.assertReport(agent, command="sh -c 'exit 3'")
        self.assertEqual([key for key, _ in agent.store.written if "klmnopqrst" in key], [])

    def test_a_job_that_deletes_its_agent(self):
        for code in (0, 1):
            agent = self.with_own_program(f"rm -rf \"$PROGRAM\" ../internal\nexit {code}").run()
            self.assertEqual(agent.code, code, agent.output())
            self.assertReport(agent, phase="script")
            self.assertEqual(agent.artifacts, {"number": "59\n"})

    def test_a_job_that_replaces_its_agent(self):
        for code in (0, 1):
            script = f"printf '#!/bin/sh\\nexit 0\\n' > new; chmod +x new; mv -f new \"$PROGRAM\"\nexit {code}"
            agent = self.with_own_program(script).run()
            self.assertEqual(agent.code, code, agent.output())
            self.assertReport(agent, phase="script")

    def test_a_job_that_kills_its_agent(self):
        agent = self.agent("kill -KILL $PPID; sleep 30").run()
        # For ECS this is exit code 137, and a failure: without a report, nothing else decides.
        self.assertEqual(agent.code, -9)
        self.assertEqual(agent.store.written, [])

    def test_a_job_that_prints_commands_and_lines_of_the_agent(self):
        lines = [
            "::set-output name=status::success",
            "::stop-commands::x",
            "##vso[task.complete result=Succeeded]",
            "##teamcity[buildStatus status='SUCCESS']",
            "bellhop: script: exit code 0 after 1 s",
            "\x1b]0;owned\x07\x1b[2J",
        ]
        agent = self.agent("".join(f"printf '%s\\n' \"{line}\"\n" for line in lines) + "sh -c 'exit 4'").run()
        self.assertEqual(agent.code, 4)
        self.assertReport(agent, command="sh -c 'exit 4'", message=None)
        for line in lines:
            self.assertIn(line, agent.output())

    def test_a_job_that_makes_its_report_large(self):
        agent = self.agent("sh -c 'exit 3' \"" + "\x01" * 6000 + '"').run()
        self.assertEqual(agent.code, 3)
        self.assertEqual(len(agent.report["command"]), 2000)
        [path] = agent.s3.rglob("result.json")
        self.assertLess(path.stat().st_size, 64 * 1024)

    def test_a_job_whose_artifacts_lead_out_of_its_checkout(self):
        script = "ln -s /etc/passwd number-link; ln -s / root; rm number; ln -s /etc/passwd number"
        agent = self.keeping("number*\nroot/etc/passwd", script).run()
        self.assertNotIn("root:", json.dumps(agent.artifacts))


if __name__ == "__main__":
    unittest.main()
