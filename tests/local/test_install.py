"""The commands of the documents, on a local AWS on which nothing is deployed: install.md, the first file of the README, every other page, remove.md.

    python -m unittest test_install     in the environment of `bellhop-local empty -- python -m unittest test_install`

Afterwards nothing is left but what remove.md names: what stands in the local AWS is listed before and after.
"""

import fnmatch
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import boto3

import account_inventory
import page_commands
from command_checks import commands as commands_of
from document_checks import is_whole
from documents import ROOT, Document, all_documents
from local_aws import CREDENTIALS, REGION

INSTALL, REMOVE = "docs/how-to/install.md", "docs/how-to/remove.md"
# The other documents with commands that run locally, in the order in which they are followed: the lesson first. Each leaves a stack that works.
PAGES = [
    "docs/tutorials/first-pipeline.md",
    "docs/how-to/agents.md",
    "docs/how-to/backups.md",
    "docs/how-to/cost-by-suite.md",
    "docs/how-to/dead-letters.md",
    "docs/how-to/deploy-each-stack.md",
    "docs/how-to/react-to-alarms.md",
    "docs/how-to/restore-the-table.md",
    "docs/how-to/start-a-run.md",
    "docs/how-to/upgrade.md",
    "docs/reference/alarms.md",
]
ADDRESS = "you@example.com"
# What install.md may ask of people.
MOST_COMMANDS = 12
# How long a run may take, and a message, in seconds.
PATIENCE = 60

# Commands that are not run as they stand, and what takes their place.
REPLACED = {"cargo functions --arm64\n": "the functions as the other tests have them, built for this machine"}

# What the rows of remove.md's table are in the inventory, and whether the page's last section removes them.
STAYS = {
    "the table": (["table bellhop-Suite-*-Table-*"], True),
    "the bucket": (["bucket bellhop-suite-*-bucket-*"], True),
    "the vault": (["vault bellhop"], True),
    "the stack `aws-sam-cli-managed-default` and its bucket": (
        ["stack aws-sam-cli-managed-default", "bucket aws-sam-cli-managed-default-samclisourcebucket-*"],
        True,
    ),
    # ministack writes the name in another way than AWS:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
    "the role `AWSServiceRoleForECS`": (["role AWSServiceRoleForEcs"], False),
    "the task definitions, inactive": (
        [f"inactive task definition bellhop-agent-{agent}:*" for agent in ("small", "medium", "large", "publish", "deploy")],
        False,
    ),
    "your repositories": (["repository shop"], False),
}


def page(name):
    return Document(ROOT / name)


def first_file():
    """The first pipeline file of the README, and the commands that belong to it."""
    readme = page("README.md")
    text = next(block.text for block in readme.blocks if block.language == "yaml" and is_whole(block.text))
    return text, page_commands.read(readme)


def stays(text):
    """The first column of the table of what stays."""
    rows = text.partition("| stays |")[2].splitlines()[2:]
    return [row.split("|")[1].strip() for row in itertools.takewhile(lambda row: row.startswith("|"), rows)]


def differences(left, patterns):
    """What is left and has no pattern, and patterns for which not exactly one thing is left."""
    fits = {pattern: fnmatch.filter(left, pattern) for pattern in patterns}
    explained = {thing for things in fits.values() for thing in things}
    found = [f"{thing} is left" for thing in sorted(left - explained)]
    return found + [f"{pattern}: {len(things)} are left" for pattern, things in fits.items() if len(things) != 1]


class Differences(unittest.TestCase):
    def test_what_is_left_is_found(self):
        self.assertEqual(differences({"vault bellhop", "table a"}, ["vault bellhop", "table *"]), [])
        self.assertEqual(differences({"vault bellhop", "queue a"}, ["vault bellhop"]), ["queue a is left"])
        self.assertEqual(differences(set(), ["vault bellhop"]), ["vault bellhop: 0 are left"])
        self.assertEqual(differences({"table a", "table b"}, ["table *"]), ["table *: 2 are left"])

    def test_commands_are_told_apart(self):
        text = "## One\n```sh\n# on AWS, or the local AWS\na \\\n  b\ncat <<'E'\nx\nE\nf() {\n  c\n}\n```\n## Two\n```yaml\nx: 1\n```\n- x\n\n  ```sh\n  # needs an account\n  d\n  ```\n"
        found = page_commands.read(Document("page.md", text))
        self.assertEqual([command.text for command in found], ["a \\\n  b\n", "cat <<'E'\nx\nE\n", "f() {\n  c\n}\n", "d\n"])
        self.assertEqual([(command.locally, command.section) for command in found], [(True, "One")] * 3 + [(False, "Two")])
        with self.assertRaisesRegex(ValueError, "page.md, line 1: a block does not say who"):
            page_commands.read(Document("page.md", "```sh\na\n```\n"))

    def test_every_page_has_its_turn(self):
        followed = {INSTALL, REMOVE, "README.md", *PAGES}
        missing = [str(document) for document in all_documents() if any(command.locally for command in page_commands.read(document))]
        self.assertEqual([name for name in missing if name not in followed], [])
        self.assertEqual([name for name in PAGES if name not in missing], [])

    def test_the_sam_cli_has_the_options(self):
        given = {}
        for document in all_documents():
            for block in document.blocks:
                for command, *rest in commands_of(block.text, "sam") if block.language == "sh" else ():
                    given.setdefault(command, set()).update(word.partition("=")[0] for word in rest if word.startswith("--"))
        self.assertIn("deploy", given)
        for command, options in given.items():
            shown = subprocess.run(["sam", command, "--help"], capture_output=True, text=True)
            self.assertEqual(shown.returncode, 0, f"sam {command}: {shown.stderr}")
            known = set(re.findall(r"--[a-z0-9-]+", shown.stdout))
            self.assertEqual(options - known, set(), f"sam {command}")

    def test_the_first_failure_ends_the_shell(self):
        with tempfile.TemporaryDirectory() as folder:
            shell = page_commands.Shell(folder, {})
            self.assertEqual(shell.run("x=1\n").strip(), "")
            self.assertEqual(shell.run("echo $x\n").strip(), "1")
            with self.assertRaisesRegex(AssertionError, "(?s)false.*failed"):
                shell.run("false | cat\n")
            shell.close()


class Install(unittest.TestCase):
    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.work = Path(work.name)
        people = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))}
        # Nothing of the person who runs this: neither configuration of Git nor of the CLIs.
        self.environment = {**people, "HOME": str(self.work), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        self.check_out()
        self.shell = page_commands.Shell(self.work / "bellhop", self.environment)
        self.addCleanup(self.shell.close)

    def check_out(self):
        """A repository with what the commands read of this one, in which the functions of the tests stand in place of those that cargo-lambda builds."""
        checkout = self.work / "bellhop"
        for folder in ("infra", "events"):
            shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns(".aws-sam"))
        template = checkout / "infra" / "template.yaml"
        packages = os.environ["BELLHOP_PACKAGES"]
        built, text = re.compile(r"\.\./target/lambda/([a-z-]+)/"), template.read_text()
        self.assertEqual(set(built.findall(text)), {package.stem for package in Path(packages).glob("*.zip")})
        template.write_text(built.sub(rf"{packages}/\1.zip", text))
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Bellhop"]):
            subprocess.run(["git", *arguments], cwd=checkout, env={**os.environ, **self.environment}, check=True)

    def things(self):
        repositories = Path(os.environ["BELLHOP_REPOSITORIES"]).glob("*.git")
        return account_inventory.of(os.environ["BELLHOP_LOCAL_AWS"]) | {f"repository {repository.stem}" for repository in repositories}

    def follow(self, commands):
        """Runs commands of a page that run locally. Gives what the last of them printed."""
        printed = ""
        for command in commands:
            first = command.text.splitlines()[0]
            if command.text in REPLACED:
                print(f"replaced: {first}: {REPLACED[command.text]}")
            elif not command.locally:
                print(f"not run:  {first}")
            else:
                begun = time.monotonic()
                printed = self.shell.run(command.text)
                print(f"{time.monotonic() - begun:7.1f} s {first}")
        return printed

    def until(self, look, message):
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            self.assertLess(time.monotonic(), end, message)
            time.sleep(0.2)
        return found

    def published(self, subject):
        """The messages so far whose subject has these words: the topics."""
        with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/_stand-in/journal") as answer:
            entries = [entry for entry in json.load(answer) if (entry["service"], entry["operation"]) == ("sns", "Publish")]
        return [entry["request"]["TopicArn"] for entry in entries if subject in entry["request"]["Subject"]]

    def test_the_pages(self):
        install, remove = page_commands.read(page(INSTALL)), page_commands.read(page(REMOVE))
        self.assertLessEqual(len(install), MOST_COMMANDS)
        for text in REPLACED:
            self.assertIn(text, [command.text for command in install])
        self.assertEqual(stays(page(REMOVE).text), list(STAYS))
        before = self.things()

        self.follow(install[:-1])
        self.until(lambda: '"succeeded"' in self.shell.run(install[-1].text), "no run succeeded")
        self.messages_arrive()
        self.the_first_file_succeeds()

        # Of everything that the templates have, the inventory has something.
        self.assertEqual(account_inventory.types(os.environ["BELLHOP_LOCAL_AWS"]), account_inventory.KINDS.keys() | account_inventory.PARTS)
        added = self.things() - before
        self.assertEqual([kind for kind in account_inventory.KINDS.values() if not any(thing.startswith(f"{kind} ") for thing in added)], [])

        for name in PAGES:
            print(f"{name}:")
            self.follow(page_commands.read(page(name)))

        print(f"{REMOVE}:")
        self.use_the_bucket()
        last = remove[-1].section
        self.follow([command for command in remove if command.section != last])
        self.assertEqual(differences(self.things() - before, [pattern for patterns, _ in STAYS.values() for pattern in patterns]), [])

        self.follow([command for command in remove if command.section == last])
        remaining = [pattern for patterns, goes in STAYS.values() for pattern in patterns if not goes]
        left = self.things()
        self.assertEqual(differences(left - before, remaining), [])
        self.assertEqual(before - left, set())

        # The inventory has everything that stood there, and so one thing more.
        sqs = boto3.client("sqs", endpoint_url=os.environ["BELLHOP_LOCAL_AWS"], region_name=REGION, **CREDENTIALS)
        sqs.create_queue(QueueName="forgotten")
        self.assertEqual(differences(self.things() - before, remaining), ["queue forgotten is left"])

    def use_the_bucket(self):
        """Leaves more versions and delete markers in the suite's bucket than one request lists or deletes, which is 1,000."""
        s3 = boto3.client("s3", endpoint_url=os.environ["BELLHOP_LOCAL_AWS"], region_name=REGION, **CREDENTIALS)
        [bucket] = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if bucket["Name"].startswith("bellhop-suite-")]
        keys = [f"runs/{number}" for number in range(600)]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key)
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        listed = s3.list_object_versions(Bucket=bucket)
        self.assertTrue(listed["IsTruncated"])
        self.assertGreater(len(listed["DeleteMarkers"]), 0)

    def messages_arrive(self):
        """The address of the page is subscribed to the topic to which messages go: of a run that is rejected, and not of a first success."""
        sns = boto3.client("sns", endpoint_url=os.environ["BELLHOP_LOCAL_AWS"], region_name=REGION, **CREDENTIALS)
        # The others are functions, which the internal topic wakes.
        [subscription] = [one for one in sns.list_subscriptions()["Subscriptions"] if one["Protocol"] != "lambda"]
        self.assertEqual((subscription["Protocol"], subscription["Endpoint"]), ("email", ADDRESS))
        self.shop("checkout --quiet -b broken")
        (self.work / "shop" / ".bellhop.yaml").write_text("jobs: [")
        self.shop("commit --quiet --all --message Break", "push --quiet origin broken")
        topics = self.until(lambda: self.published("rejected"), "no message of a rejected run")
        self.assertEqual(topics, [subscription["TopicArn"]])
        self.assertEqual(self.published("succeeded"), [])
        self.shop("checkout --quiet -", "branch --quiet -D broken")

    def the_first_file_succeeds(self):
        """The repository builds with the first file that the README shows, and then with its own again."""
        text, commands = first_file()
        self.follow(commands)
        (self.work / "shop" / ".bellhop.yaml").write_text(text)
        for change in ("commit --quiet --message README", "revert --no-edit HEAD"):
            begun = time.monotonic()
            self.shop("add .", change, "push --quiet origin HEAD:main")
            commit = self.shop("rev-parse HEAD").strip()
            self.until(lambda: self.status(commit) == "succeeded", f"no run of {commit} succeeded")
            print(f"{time.monotonic() - begun:7.1f} s {change}")

    def shop(self, *commands):
        """What Git prints, in the repository that is built."""
        return self.shell.run("".join(f"git -C ../shop {command}\n" for command in commands))

    def status(self, commit):
        """How the run of a commit stands."""
        functions = boto3.client("lambda", region_name=REGION, **CREDENTIALS)
        name = self.shell.run("stack ControlFunctionName\n").strip()
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"list": {"repository": "shop"}}))
        return next((run["status"] for run in json.load(answer["Payload"])["runs"] if run["commit"] == commit), None)


if __name__ == "__main__":
    unittest.main()
