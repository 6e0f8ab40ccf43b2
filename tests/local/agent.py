"""One attempt of an agent, run as ECS runs it: a fresh folder, an environment, signals. Needs bash and git.

S3 is a folder (a stand-in for the `aws` command copies to and from it), and git is led to a local repository by its own configuration.
"""

import json
import os
import signal
import stat
import subprocess
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

ENTRYPOINT = Path(__file__).resolve().parents[2] / "infra" / "agent" / "entrypoint"

# Knows `s3 cp [options] SOURCE TARGET` and `codecommit credential-helper`. In its folder, `failures` holds how many further uploads fail, and `slow`
# how long those of a folder take.
AWS = r"""#!/usr/bin/env bash
set -eu
if [[ $1 == codecommit && $2 == credential-helper ]]; then
  if [[ $3 == get ]]; then printf 'username=agent\npassword=signature\n'; fi
  exit
fi
[[ $1 == s3 && $2 == cp ]]
shift 2
operands=()
recursive=no
while (($#)); do
  case $1 in
    --only-show-errors | --no-follow-symlinks) ;;
    --recursive) recursive=yes ;;
    --cli-*) shift ;;
    *) operands+=("$1") ;;
  esac
  shift
done
if [[ ${operands[1]} == s3://* ]]; then
  failures=$(cat "$FAKE_S3/failures" 2>/dev/null || echo 0)
  if ((failures > 0)); then echo $((failures - 1)) >"$FAKE_S3/failures"; echo "upload failed: throttled" >&2; exit 1; fi
  target=$FAKE_S3/${operands[1]#s3://}
  if [[ $recursive == yes ]]; then
    echo once >>"$FAKE_S3/folders"
    if [[ -f $FAKE_S3/slow ]]; then echo uploading; sleep "$(cat "$FAKE_S3/slow")"; fi
    mkdir -p "$target"
    cp -R "${operands[0]}/." "$target"
    exit
  fi
  mkdir -p "$(dirname "$target")"
  cat "${operands[0]/#-//dev/stdin}" >"$target"
else
  cat "$FAKE_S3/${operands[0]#s3://}" >"${operands[1]}"
fi
"""


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
        self.work = self.folder / "work"
        self.work.mkdir()
        self.log = self.folder / "log"
        values = {
            "PATH": f"{case.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AWS_REGION": "eu-west-1",
            "AWS_SECRET_ACCESS_KEY": "do-not-print-me",
            "CI": "true",
            "BELLHOP_RUN": "abcdefghij",
            "BELLHOP_JOB": "test",
            "BELLHOP_ATTEMPT": "1",
            "BELLHOP_BUILD": "abcdefghij/test",
            "BELLHOP_REPOSITORY": "shop",
            "BELLHOP_COMMIT": case.commits[-1],
            "BELLHOP_REF": "refs/heads/main",
            "BELLHOP_CAPACITY": "on-demand",
            "BELLHOP_RESULT_URI": "s3://bucket/runs/abcdefghij/test/1/result.json",
            "FAKE_S3": str(self.s3),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{case.root}/repositories/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/",
        }
        if script is not None:
            values["BELLHOP_SCRIPT"] = script
        values.update(environment)
        self.values = {name: value for name, value in values.items() if value is not None}
        self.process = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(ENTRYPOINT)], cwd=self.work, env=self.values, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def wait_for(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.output():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {text!r} in the log:\n{self.output()}")
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
        top = self.s3 / "bucket/runs/abcdefghij/test/1/artifacts"
        return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}

    @property
    def report(self):
        return json.loads((self.s3 / "bucket/runs/abcdefghij/test/1/result.json").read_bytes().decode("utf-8"))


class AgentCase(unittest.TestCase):
    """Agents that check out a repository of 60 commits."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.holder.name)
        (cls.root / "bin").mkdir()
        aws = cls.root / "bin" / "aws"
        aws.write_text(AWS)
        aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
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
        places = {"BELLHOP_ARTIFACTS": patterns, "BELLHOP_ARTIFACTS_URI": "s3://bucket/runs/abcdefghij/test/1/artifacts/"}
        return self.agent(script, **places, **environment)

    def assertReport(self, agent, **expected):
        report = agent.report
        self.assertEqual(set(report), {"version", "phase", "exit-code", "signalled", "command", "line", "message"})
        self.assertEqual(report["version"], 1)
        self.assertEqual(report["exit-code"], agent.code)
        for name, value in expected.items():
            self.assertEqual(report[name], value, f"{name} in {report}\n{agent.output()}")
