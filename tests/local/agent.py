"""One attempt of an agent, run as ECS runs it: a fresh folder, an environment, signals. Needs bash and git, and the agent's program.

S3 is a stand-in that keeps objects in a folder, beside parameters and secrets, and git is led to a local repository by its own configuration.
"""

import json
import os
import signal
import subprocess
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

from agent_store import IDENTITY, KEY, REGION, SECRET, TOKEN, Store

ROOT = Path(__file__).resolve().parents[2]
# `cargo xtask test` names the one that it has built.
PROGRAM = Path(os.environ.get("BELLHOP_AGENT", ROOT / "target" / "debug" / "bellhop-agent")).resolve()

# Where it leaves what it leaves.
PLACE = f"bucket/runs/abcdefghij/{IDENTITY}/test/1"


def git(folder, *arguments):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.stdout.strip()


class Agent:
    """One attempt that is running, or has run."""

    def __init__(self, case, script=None, **environment):
        self.folder = Path(tempfile.mkdtemp(dir=case.root))
        self.s3 = self.folder / "s3"
        self.s3.mkdir()
        self.store = Store(self.s3)
        case.addCleanup(self.store.close)
        self.work = self.folder / "work"
        self.work.mkdir()
        self.log = self.folder / "log"
        values = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_ENDPOINT_URL_S3": self.store.url,
            "AWS_ENDPOINT_URL_SSM": self.store.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.store.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CI": "true",
            "BELLHOP_RUN": "abcdefghij",
            "BELLHOP_JOB": "test",
            "BELLHOP_ATTEMPT": "1",
            "BELLHOP_BUILD": "abcdefghij/test",
            "BELLHOP_REPOSITORY": "shop",
            "BELLHOP_COMMIT": case.commits[-1],
            "BELLHOP_REF": "refs/heads/main",
            "BELLHOP_CAPACITY": "on-demand",
            "BELLHOP_RESULT_URI": "s3://bucket/runs/abcdefghij/{identity}/test/1/result.json",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{case.root}/repositories/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/",
        }
        if script is not None:
            values["BELLHOP_SCRIPT"] = script
        values.update(environment)
        self.values = {name: value for name, value in values.items() if value is not None}
        self.program = PROGRAM
        self.process = None

    def start(self, log=None):
        """Starts it, with its log in a file or at this end of a pipe."""
        self.log.touch()
        with open(self.log if log is None else log, "wb") as log:
            self.process = subprocess.Popen(
                [str(self.program)], cwd=self.work, env={"AWS_ENDPOINT_URL_STS": self.store.url, **self.values}, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def wait_for(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.output():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {text!r} in the log:\n{self.output()}")
            time.sleep(0.02)

    def wait_for_file(self, name, seconds=20):
        end = time.monotonic() + seconds
        while not (self.work / name).exists():
            if time.monotonic() > end:
                raise AssertionError(f"no {name}:\n{self.output()}")
            time.sleep(0.02)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return time.monotonic()

    def end(self, seconds=40):
        try:
            self.code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running:\n{self.output()}") from None
        return self

    def run(self):
        return self.start().end()

    def output(self):
        return self.log.read_bytes().decode(errors="replace")

    @property
    def artifacts(self):
        """What was uploaded: contents by path."""
        top = self.s3 / PLACE / "artifacts"
        return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}

    @property
    def report(self):
        return json.loads((self.s3 / PLACE / "result.json").read_bytes().decode("utf-8"))


class AgentCase(unittest.TestCase):
    """Agents that check out a repository of 60 commits."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.holder.name)
        source = cls.root / "source"
        source.mkdir()
        git(source, "init", "--quiet", "--initial-branch=main")
        cls.commits = []
        for number in range(60):
            (source / "number").write_text(f"{number}\n")
            git(source, "add", "number")
            git(source, "commit", "--quiet", "--message", f"number {number}")
            cls.commits.append(git(source, "rev-parse", "HEAD"))
        git(source, "checkout", "--quiet", "-b", "side", cls.commits[5])
        (source / "number").write_text("side\n")
        git(source, "commit", "--quiet", "--all", "--message", "side")
        cls.side = git(source, "rev-parse", "HEAD")
        git(source, "tag", "--annotate", "--message", "v1", "v1")
        (cls.root / "repositories").mkdir()
        git(cls.root, "clone", "--quiet", "--bare", str(source), str(cls.root / "repositories" / "shop"))

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def agent(self, script=None, **environment):
        return Agent(self, script and textwrap.dedent(script), **environment)

    def keeping(self, patterns, script, **environment):
        """An agent whose job has artifacts."""
        places = {"BELLHOP_ARTIFACTS": patterns, "BELLHOP_ARTIFACTS_URI": "s3://bucket/runs/abcdefghij/{identity}/test/1/artifacts/"}
        return self.agent(script, **places, **environment)

    def assertReport(self, agent, **expected):
        report = agent.report
        self.assertEqual(set(report), {"version", "phase", "exit-code", "signalled", "command", "line", "message"})
        self.assertEqual(report["version"], 1)
        self.assertEqual(report["exit-code"], agent.code)
        for name, value in expected.items():
            self.assertEqual(report[name], value, f"{name} in {report}\n{agent.output()}")
