"""The agent's checkout from a server that speaks HTTP: one that is slow, one that is silent, one that has files of Git LFS or has not.

    python test_checkout.py

The tests of Git LFS take place with a stand-in for git-lfs, and some of them once more with the real one where a machine has it.
"""

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import unittest
from pathlib import Path

from agent import PROGRAM, AgentCase, git
from agent_store import KEY, TOKEN, git_password

CODECOMMIT = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/"

# What the agent needs of git-lfs 3: `install`, `fetch`, the filters, the texts of its errors and its trace. Like that one it asks again without end when its
# credentials are refused with 401.
GIT_LFS = f"#!{sys.executable}\n" + r"""
import base64, hashlib, json, os, subprocess, sys, urllib.error, urllib.request

def git(*arguments, given=None):
    return subprocess.run(["git", *arguments], input=given, check=True, stdout=subprocess.PIPE, text=True).stdout

def trace(text):
    with open(os.environ["GIT_TRACE"], "a") as file:
        file.write(f"00:00:00.000000 trace git-lfs: {text}\n")

def ask(endpoint, pointers):
    objects = [{"oid": oid, "size": size} for oid, size in set(pointers.values())]
    body = json.dumps({"operation": "download", "transfers": ["basic"], "objects": objects}).encode()
    address = git("config", "remote.origin.url").strip()
    while True:
        filled = git("credential", "fill", given="url=" + git("ls-remote", "--get-url", "origin"))
        values = dict(line.split("=", 1) for line in filled.splitlines())
        word = base64.b64encode(f"{values['username']}:{values['password']}".encode()).decode()
        headers = {"Authorization": f"Basic {word}", "Content-Type": "application/vnd.git-lfs+json"}
        trace(f"HTTP: POST {endpoint}/objects/batch")
        try:
            answer = urllib.request.urlopen(urllib.request.Request(f"{endpoint}/objects/batch", body, headers))
            trace("HTTP: 200")
            return json.load(answer)
        except urllib.error.HTTPError as error:
            trace(f"HTTP: {error.code}")
            if error.code != 401:
                sys.exit(f"batch response: {error.reason}: {endpoint}/objects/batch")

def fetch():
    pointers = {}
    for path in filter(None, git("ls-files", "-z").split("\0")):
        text = git("show", f":{path}")
        if text.startswith("version https://git-lfs.github.com/spec/v1\n"):
            _, oid, size = text.splitlines()
            pointers[path] = (oid.removeprefix("oid sha256:"), int(size.removeprefix("size ")))
    endpoint = git("ls-remote", "--get-url", "origin").strip() + ".git/info/lfs"
    os.makedirs(".git/lfs", exist_ok=True)
    for item in ask(endpoint, pointers)["objects"]:
        if "error" in item:
            sys.exit(f"[{item['oid']}] {item['error']['message']}: [404] {item['error']['message']}")
        urllib.request.urlretrieve(item["actions"]["download"]["href"], f".git/lfs/{item['oid']}")

if sys.argv[1] == "install":
    git("config", "filter.lfs.clean", "git-lfs clean -- %f")
    git("config", "filter.lfs.smudge", "git-lfs smudge " + ("--skip " if "--skip-smudge" in sys.argv else "") + "-- %f")
    git("config", "filter.lfs.required", "true")
elif sys.argv[1] == "fetch":
    fetch()
elif sys.argv[1] == "clean":
    content = sys.stdin.buffer.read()
    if content.startswith(b"version https://git-lfs.github.com/spec/v1\n"):
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n")
elif sys.argv[1] == "smudge":
    content = sys.stdin.buffer.read()
    if "--skip" not in sys.argv:
        with open(".git/lfs/" + content.decode().splitlines()[1].removeprefix("oid sha256:"), "rb") as file:
            content = file.read()
    sys.stdout.buffer.write(content)
else:
    sys.exit(f"git-lfs {sys.argv[1]}")
"""

class Server(http.server.ThreadingHTTPServer):
    """Serves repositories and files of Git LFS to those who have the agent's credentials."""

    daemon_threads = True

    def __init__(self, repositories):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.objects = {}
        # What to answer the next requests for a batch with, in place of files; None is for files.
        self.answers = []
        self.silent = 0
        self.configuration = {}
        self.requests = []
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def asked(self, end):
        return sum(request.endswith(end) for request in self.requests)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        server = self.server
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        server.requests.append(f"{self.command} {path}")
        if path.startswith("/files/"):
            self.answer(200, server.objects[path.removeprefix("/files/")])
        elif not self.is_signed(path):
            self.answer(401, WWW_Authenticate='Basic realm="test"')
        elif path.endswith("/objects/batch"):
            self.batch(json.loads(body))
        elif path.endswith("/git-upload-pack") and server.silent > 0:
            server.silent -= 1
            server.closing.wait()
        else:
            self.repository(path, query, body)

    do_GET = do_POST = handle_request

    def is_signed(self, path):
        """Whether user name and password are those of CodeCommit: a key with its token, and a signature of host and path."""
        kind, _, word = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return False
        user, _, password = base64.b64decode(word).decode().partition(":")
        repository = re.sub(r"/(info/refs|git-upload-pack|objects/batch)$", "", path)
        paths = {repository, repository.removesuffix(".git/info/lfs")}
        return user == f"{KEY}%{TOKEN}" and password in {git_password(password[:15], "127.0.0.1", path) for path in paths}

    def batch(self, question):
        status = self.server.answers.pop(0) if self.server.answers else None
        if status:
            return self.answer(status)
        objects = []
        for item in question["objects"]:
            if item["oid"] in self.server.objects:
                download = {"href": f"{self.server.url}/files/{item['oid']}"}
                objects.append({**item, "authenticated": True, "actions": {"download": download}})
            else:
                objects.append({**item, "error": {"code": 404, "message": "no such object"}})
        body = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return self.answer(200, body, Content_Type="application/vnd.git-lfs+json")

    def repository(self, path, query, body):
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": str(len(self.server.configuration)),
        }
        for index, (name, value) in enumerate(self.server.configuration.items()):
            environment |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
        # Unbuffered: what comes is passed on as it comes.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        with subprocess.Popen(["git", "http-backend"], env=environment, **pipes) as backend:
            backend.stdin.write(body)
            backend.stdin.close()
            headers = {}
            while line := backend.stdout.readline().strip().decode():
                name, value = line.split(": ", 1)
                headers[name] = value
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while part := os.read(backend.stdout.fileno(), 65536):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                # The agent has given up.
                backend.kill()


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class HttpCase(AgentCase):
    def setUp(self):
        self.server = Server(self.root / "repositories")
        self.addCleanup(self.server.close)

    def from_http(self, script="cat number", configuration=None, programs=(), **environment):
        """An agent that checks out from the server. `programs` are folders of the test's, whose programs come before all others."""
        settings = {
            f"url.{self.server.url}/.insteadOf": CODECOMMIT,
            # By itself the agent answers for CodeCommit alone.
            f"credential.{self.server.url}.helper": f"!'{PROGRAM}' git-credential --ignore-host-check",
            f"credential.{self.server.url}.useHttpPath": "true",
            **(configuration or {}),
        }
        values = {"GIT_CONFIG_COUNT": str(len(settings)), "LANG": "C.UTF-8"}
        for index, (name, value) in enumerate(settings.items()):
            values |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
        agent = self.agent(script, **values, **environment)
        agent.values["PATH"] = ":".join([*(str(self.root / folder) for folder in programs), agent.values["PATH"]])
        return agent


class Fetch(HttpCase):
    def test_a_server_that_prepares_for_long_is_waited_for(self):
        # An empty packet a second is what moves meanwhile. Both limits, the agent's and libcurl's, are below the time that it takes.
        program(self.root / "hooks" / "prepare", '#!/bin/sh\nsleep 6\nexec "$@"\n')
        self.server.configuration = {"uploadpack.packObjectsHook": str(self.root / "hooks" / "prepare"), "uploadpack.keepAlive": "1"}
        agent = self.from_http(configuration={"http.lowSpeedTime": "4"}, BELLHOP_FETCH_SILENCE="4").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n59\n", agent.output())
        self.assertNotIn("retrying in", agent.output())

    def test_a_server_that_falls_silent_is_asked_again(self):
        self.server.silent = 1
        agent = self.from_http(BELLHOP_FETCH_SILENCE="1").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("the server sent nothing for 1 s\n", agent.output())
        self.assertIn("\n59\n", agent.output())

    def test_a_server_that_stays_silent_is_asked_three_times(self):
        self.server.silent = 99
        agent = self.from_http(BELLHOP_FETCH_SILENCE="1").run()
        self.assertEqual(agent.code, 90, agent.output())
        self.assertReport(agent, phase="checkout")
        self.assertIn("the server sent nothing for 1 s", agent.report["message"])
        # Not for one reference and then for everything, which it would be silent about as well.
        self.assertEqual(99 - self.server.silent, 3)
        self.assertNotIn("fetching all branches", agent.output())

    def test_a_tag_has_its_name(self):
        agent = self.from_http("git describe --exact-match", BELLHOP_REF="refs/tags/v1", BELLHOP_COMMIT=self.side).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\nv1\n", agent.output())

    def test_the_checkout_has_credentials_of_its_own(self):
        # Without those that the script's environment has, and so as the agent's own fetch has them.
        script = f"unset GIT_CONFIG_COUNT; echo url={CODECOMMIT}shop | git credential fill; cd ..; echo url={CODECOMMIT}shop | git credential fill"
        agent = self.agent(script, GIT_TERMINAL_PROMPT="0").run()
        self.assertIn(f"username={KEY}%{TOKEN}\n", agent.output())
        [password] = re.findall(r"^password=(.*)$", agent.output(), re.MULTILINE)
        self.assertEqual(password, git_password(password[:15], CODECOMMIT.split("/")[2], "/v1/repos/shop"))
        self.assertEqual(agent.code, 128, agent.output())

    def test_the_script_has_credentials_for_other_repositories(self):
        script = f"cd ..; echo url={CODECOMMIT}library | git credential fill; echo url=https://example.com/library | git credential fill"
        agent = self.from_http(script, GIT_TERMINAL_PROMPT="0").run()
        self.assertEqual(agent.code, 128, agent.output())
        [(user, time, signature)] = re.findall(r"\nusername=(.*)\npassword=(\d{8}T\d{6})Z(.*)\n", agent.output())
        self.assertEqual(user, f"{KEY}%{TOKEN}")
        self.assertEqual(f"{time}Z{signature}", git_password(time, "git-codecommit.eu-west-1.amazonaws.com", "/v1/repos/library"))
        self.assertIn("could not read Username for 'https://example.com", agent.output())


class LfsCase(HttpCase):
    # Folders with the git-lfs that is used.
    programs = ["lfs"]
    content = b"a large file\n"

    def setUp(self):
        super().setUp()
        program(self.root / "lfs" / "git-lfs", GIT_LFS)
        self.oid = hashlib.sha256(self.content).hexdigest()
        self.pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {len(self.content)}\n"
        self.server.objects[self.oid] = self.content

    def art(self, script="head -n 1 logo.bin", configuration=None, programs=None, more=(), **environment):
        """An agent that checks out a repository with two files of Git LFS, and one that only looks like it."""
        source = self.root / "art"
        shutil.rmtree(source, ignore_errors=True)
        (source / "sounds").mkdir(parents=True)
        files = {
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "logo.bin": self.pointer,
            "sounds/.gitattributes": "* filter=lfs\n.gitattributes !filter\n",
            "sounds/two\nlines ü": self.pointer,
            "pointer.txt": self.pointer,
            **dict(more),
        }
        for name, text in files.items():
            (source / name).write_text(text)
        git(source, "init", "--quiet", "--initial-branch=main")
        # As they are, independent of what git-lfs has configured on this machine.
        git(source, "-c", "filter.lfs.process=", "-c", "filter.lfs.clean=", "-c", "filter.lfs.required=false", "add", "--all")
        git(source, "commit", "--quiet", "--message", "art")
        repository = self.root / "repositories" / "art"
        shutil.rmtree(repository, ignore_errors=True)
        git(self.root, "clone", "--quiet", "--bare", str(source), str(repository))
        values = {"BELLHOP_REPOSITORY": "art", "BELLHOP_COMMIT": git(source, "rev-parse", "HEAD"), **environment}
        return self.from_http(script, configuration, self.programs if programs is None else programs, **values)

    def assertPointers(self, agent, why):
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\nversion https://git-lfs.github.com/spec/v1\n", agent.output())
        self.assertEqual(agent.output().count("bellhop: checkout: Git LFS"), 1, agent.output())
        self.assertIn(f"bellhop: checkout: Git LFS: 2 files are left as pointers: {why}\n", agent.output())
        self.assertNotIn("batch response", agent.output())


class WithAnyLfs:
    def test_the_files_are_fetched(self):
        agent = self.art("cat logo.bin sounds/*; cat pointer.txt; git status --porcelain").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("bellhop: checkout: Git LFS: 2 files fetched\n", agent.output())
        self.assertIn(f"\na large file\na large file\n{self.pointer}bellhop: ", agent.output())
        self.assertEqual(self.server.asked(f"/files/{self.oid}"), 1)

    def test_the_filters_of_an_image_are_not_in_the_way(self):
        configuration = self.root / "system"
        configuration.write_text('[filter "lfs"]\n\tclean = false\n\tsmudge = false\n\trequired = true\n')
        values = {"GIT_CONFIG_NOSYSTEM": None, "GIT_CONFIG_SYSTEM": str(configuration)}
        agent = self.art("cat logo.bin", **values).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\na large file\n", agent.output())

    def test_a_server_without_lfs_leaves_pointers(self):
        for status in (404, 501):
            with self.subTest(status):
                self.server.answers = [status] * 9
                agent = self.art("head -n 1 logo.bin; rm logo.bin; git checkout --quiet logo.bin; git status --porcelain").run()
                self.assertPointers(agent, f"the server does not support Git LFS (HTTP {status})")
                self.assertNotIn(" M ", agent.output())
                self.assertNotIn("retrying in", agent.output())

    def test_credentials_that_are_refused_are_not_offered_for_ever(self):
        self.server.answers = [401] * 9999
        agent = self.art("echo never", BELLHOP_LFS_TIMEOUT="2").run()
        self.assertEqual(agent.code, 90, agent.output())
        self.assertNotIn("retrying in", agent.output())
        self.assertIn("the files of Git LFS could not be fetched", agent.report["message"])


class Lfs(WithAnyLfs, LfsCase):
    """With the stand-in for git-lfs."""

    def test_an_image_without_git_lfs_leaves_pointers(self):
        # Every program of this machine but git-lfs.
        without = self.root / "without"
        without.mkdir(exist_ok=True)
        for folder in os.environ["PATH"].split(":"):
            for path in Path(folder).glob("*"):
                if path.name != "git-lfs" and not os.path.lexists(without / path.name):
                    (without / path.name).symlink_to(path)
        agent = self.art(programs=[])
        agent.values["PATH"] = str(without)
        self.assertPointers(agent.run(), "git-lfs is not in the agent's image")

    def test_a_server_of_the_repository_s_own_is_left_to_the_script(self):
        agent = self.art(more={".lfsconfig": "[lfs]\n\turl = https://lfs.example.com/art\n"}.items()).run()
        self.assertPointers(agent, ".lfsconfig names another server; the script can fetch from it")
        self.assertEqual(self.server.asked("batch"), 0)

    def test_a_fetch_that_fails_is_tried_again(self):
        self.server.answers = [503]
        agent = self.art("cat logo.bin").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("bellhop: checkout: the fetch of Git LFS failed, retrying in 2 s\n", agent.output())
        self.assertIn("\na large file\n", agent.output())

    def test_a_fetch_that_keeps_failing_is_a_failed_checkout(self):
        self.server.answers = [403] * 9
        agent = self.art("echo never").run()
        self.assertEqual(agent.code, 90, agent.output())
        self.assertNotIn("never", agent.output())
        self.assertReport(agent, phase="checkout", signalled=False, command=None)
        self.assertIn("batch response: ", agent.report["message"])
        self.assertIn("the files of Git LFS could not be fetched", agent.report["message"])

    def test_a_file_that_the_server_has_lost_is_a_failed_checkout(self):
        self.server.objects = {}
        agent = self.art("echo never").run()
        self.assertEqual(agent.code, 90, agent.output())
        self.assertIn("no such object", agent.report["message"])


@unittest.skipUnless(shutil.which("git-lfs"), "git-lfs is not on this machine")
class RealLfs(WithAnyLfs, LfsCase):
    """With git-lfs itself."""

    programs = []


if __name__ == "__main__":
    unittest.main()
