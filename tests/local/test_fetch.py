"""The agent's program: the artifacts of other jobs, which it downloads into the checkout before the script.

    python test_fetch.py
"""

import hashlib
import json
import os
import time
import unittest

from agent import AgentCase, git

KEY = "/bucket/runs/abcdefghij/AROAOTHER:ffff/package/1/artifacts/"
ZIP = b"PK\3\4 the shop \0\xff"


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Fetch(AgentCase):
    def fetching(self, script, files, version=None, **environment):
        """An agent whose job needs these files: contents by path, or contents with what the list says otherwise."""
        agent = self.agent(script, **environment)
        listed = []
        for path, content in files.items():
            content, other = content if isinstance(content, tuple) else (content, {})
            key = f"{KEY}{len(listed)}"
            listed.append({"from": "package", "path": path, "key": key.removeprefix("/bucket/"), "sha256": digest(content), "size": len(content), **other})
            if "object-version" in listed[-1]:
                agent.store.versions[key, listed[-1]["object-version"]] = content
            else:
                self.put(agent, key, content)
        self.name(agent, {"version": 1, "files": listed})
        return agent

    @staticmethod
    def put(agent, key, content):
        file = agent.s3 / key.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def name(self, agent, listed, end=None):
        """Has the agent read this list."""
        content = json.dumps(listed).encode()
        address = f"bucket/scripts/shop/{end or digest(content)}"
        agent.values["BELLHOP_FETCH_URI"] = f"s3://{address}"
        return self.put(agent, address, content)

    def on_commit(self, name, make):
        """A commit with what a shell makes in the checkout, on a branch of its own. Returns its id."""
        source, bare = self.root / "source", self.root / "repositories" / "shop"
        git(source, "checkout", "--quiet", "--force", "-B", name, self.commits[-1])
        git(source, "clean", "--quiet", "--force", "-d", "-x")
        make(source)
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--message", name)
        git(bare, "fetch", "--quiet", str(source), f"+{name}:{name}")
        return {"BELLHOP_COMMIT": git(source, "rev-parse", "HEAD"), "BELLHOP_REF": f"refs/heads/{name}"}

    def assertFailed(self, agent, phase, *texts):
        self.assertEqual(agent.code, 93, agent.output())
        self.assertNotIn("never", agent.output())
        self.assertReport(agent, phase=phase, signalled=False, command=None, line=None)
        for text in texts:
            self.assertIn(text, agent.report["message"])
            self.assertIn("bellhop: fetch: ", agent.output())
            self.assertIn(text, agent.output())

    def assertNothingLeft(self, agent):
        """No part of a file that was not fetched is in the checkout."""
        self.assertEqual([str(path) for path in (agent.work / "checkout").rglob(".bellhop-fetch-*")], [])

    def test_files_are_under_their_paths_before_the_script(self):
        script = "cat dist/shop.zip > ../got; stat -c '%a %n' dist/shop.zip number 'dist/with space/Grüße'; cat number; env | grep BELLHOP_FETCH || echo none; git status --short"
        files = {
            "dist/shop.zip": (ZIP, {"object-version": "v/1+2="}),
            "number": b"fetched\n",
            "dist/with space/Grüße": b"",
            "large": b"x" * 1_300_000,
        }
        agent = self.fetching(script, files).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual((agent.work / "got").read_bytes(), ZIP)
        self.assertIn("644 dist/shop.zip\n644 number\n644 dist/with space/Grüße\nfetched\nnone\n", agent.output())
        self.assertIn("bellhop: fetch: package: dist/shop.zip (16 bytes)\n", agent.output())
        self.assertIn("bellhop: fetch: package: large (1.2 MiB)\n", agent.output())
        self.assertRegex(agent.output(), r"bellhop: fetch: 4 files, 1\.2 MiB, after \d s\nbellhop: script: job test")
        self.assertIn((f"{KEY}0", "v/1+2="), agent.store.read)
        self.assertReport(agent, phase="script", message=None)
        self.assertNothingLeft(agent)
        self.assertEqual(agent.store.mistakes, [])

    def test_without_a_list_nothing_is_asked_for(self):
        agent = self.agent("true").run()
        self.assertEqual((agent.code, agent.store.read), (0, []))
        self.assertNotIn("fetch:", agent.output())

    def test_a_list_without_files(self):
        agent = self.fetching("true", {}).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertRegex(agent.output(), r"fetch: 0 files, 0 bytes, after \d s\n")

    def test_many_files_are_a_short_log(self):
        contents = [f"{number}\n".encode() for number in range(2000)]
        agent = self.fetching("ls many | wc -l; cat many/* | sha256sum", {f"many/{number:04}": content for number, content in enumerate(contents)})
        agent.start().end(90)
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn(f"\n2000\n{digest(b''.join(contents))}", agent.output())
        self.assertEqual(agent.output().count("fetch: package: "), 20)
        self.assertIn("bellhop: fetch: 2000 files, 8.6 KiB", agent.output())

    # -- what lasts

    def test_two_files_with_one_path(self):
        agent = self.fetching("echo never", {"report": b"of test\n"})
        files = [{"from": job, "path": "report", "key": f"runs/{job}", "sha256": digest(b"of test\n"), "size": 8} for job in ("package", "test")]
        self.name(agent, {"version": 1, "files": files})
        agent.run()
        self.assertFailed(agent, "fetch-refused", "test: report cannot be fetched: report is a file of package")

    def test_another_content(self):
        same_size = b"PK\3\4 a shop \0\xff--"
        for other, expected in (
            (same_size, f"its SHA-256 is {digest(same_size)}: expected {digest(ZIP)}, as when its job ended"),
            (ZIP + b"more", "it has 20 bytes: expected 16"),
            (b"", "it has 0 bytes: expected 16"),
        ):
            with self.subTest(expected):
                agent = self.fetching("echo never", {"dist/shop.zip": ZIP})
                self.put(agent, f"{KEY}0", other)
                agent.run()
                self.assertFailed(agent, "fetch-refused", f"package: dist/shop.zip cannot be fetched: {expected}")
                self.assertFalse((agent.work / "checkout/dist/shop.zip").exists())
                self.assertNothingLeft(agent)
                # Once is enough.
                self.assertEqual(len(agent.store.read), 2)

    def test_an_artifact_that_is_gone(self):
        for version, lists, expected in (
            (None, True, "it is gone: S3 answered 404 NoSuchKey: The specified key does not exist."),
            ("v1", True, "it is gone: S3 answered 404 NoSuchVersion: The specified version does not exist."),
            ("v1", False, "it is gone, or the agent's role may not read it: S3 answered 403 AccessDenied: Access Denied"),
        ):
            with self.subTest(expected):
                agent = self.fetching("echo never", {"a": b"fine", "dist/shop.zip": (ZIP, {"object-version": version} if version else {})})
                agent.store.versions.clear()
                (agent.s3 / KEY.lstrip("/") / "1").unlink(missing_ok=True)
                agent.store.lists = lists
                agent.run()
                self.assertFailed(agent, "fetch-refused", f"package: dist/shop.zip cannot be fetched: {expected}")
                self.assertNothingLeft(agent)

    def test_paths_that_lead_out_of_the_checkout(self):
        for path in ("/etc/bellhop", "../secret", "a/../../secret", "a//b", "./a", "a/", "", "nul\0"):
            with self.subTest(path):
                agent = self.fetching("echo never", {path: ZIP, "fine": b"fine"}).run()
                self.assertFailed(agent, "fetch-refused", "cannot be fetched: it is not a path from the top of the checkout")
                # Nothing is fetched at all.
                self.assertEqual(len(agent.store.read), 1)
        agent = self.fetching("echo never", {f".git/hooks/{number}": ZIP for number in range(5)}).run()
        self.assertFailed(agent, "fetch-refused", "package: .git/hooks/0 cannot be fetched: it is in a .git folder; ", "; and 2 more")

    def test_links_of_the_repository(self):
        def links(folder):
            (folder / "real").mkdir()
            (folder / "real" / "kept").touch()
            for name, to in {"inside": "real", "out": "../../outside", "absolute": str(self.root), "file": "../../outside/file", "git": ".git"}.items():
                (folder / name).symlink_to(to)

        commit = self.on_commit("links", links)
        agent = self.fetching("cat real/new; cat file; test -L file || echo plain", {"inside/new": b"new\n", "file": b"mine\n"}, **commit)
        outside = agent.work.parent / "outside"
        outside.mkdir()
        (outside / "file").write_text("theirs\n")
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\nnew\nmine\nplain\n", agent.output())
        self.assertEqual((outside / "file").read_text(), "theirs\n")
        for path, why in (
            ("out/new", "out is a link that leads out of the checkout"),
            ("out/deep/new", "out is a link that leads out of the checkout"),
            ("absolute/new", "absolute is a link that leads out of the checkout"),
            ("git/config", "git is a link to a .git folder"),
            ("real", "it is a folder in the checkout"),
            ("number/x", "number is a file in the checkout"),
        ):
            with self.subTest(path):
                agent = self.fetching("echo never", {path: ZIP}, **commit)
                outside = agent.work.parent / "outside"
                outside.mkdir()
                agent.run()
                self.assertFailed(agent, "fetch-refused", f"package: {path} cannot be fetched: {why}")
                self.assertEqual(os.listdir(outside), [])
                self.assertFalse((self.root / "new").exists())

    # -- what may pass

    def test_throttled_requests_and_broken_answers_are_tried_again(self):
        agent = self.fetching("cat dist/shop.zip > ../got", {"dist/shop.zip": ZIP, "other": b"x" * 3_000_000})
        agent.store.reads = {f"{KEY}0": ["throttle", "break", "throttle", "break"], f"{KEY}1": ["break"], "/scripts/": ["break", "throttle"]}
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual((agent.work / "got").read_bytes(), ZIP)
        self.assertEqual((agent.work / "checkout/other").read_bytes(), b"x" * 3_000_000)
        self.assertNothingLeft(agent)

    def test_tries_have_an_end(self):
        for fault, expected in (("throttle", "S3 answered 503 SlowDown: throttled"), ("break", "the answer of S3 broke off: ")):
            agent = self.fetching("echo never", {"dist/shop.zip": ZIP}, AWS_MAX_ATTEMPTS="3")
            agent.store.reads = {KEY: [fault] * 50}
            agent.run()
            self.assertFailed(agent, "fetch", f"package: dist/shop.zip cannot be fetched: {expected}")
            self.assertEqual(len(agent.store.read), 4)
            self.assertNothingLeft(agent)

    def test_a_list_that_cannot_be_used_is_no_fault_of_the_job(self):
        agent = self.fetching("echo never", {})
        self.name(agent, {"version": 2})
        self.assertFailed(agent.run(), "fetch", "cannot be read: version 2: expected 1; build the agent's image from the version of Bellhop that the functions have")
        agent = self.fetching("echo never", {})
        self.name(agent, {"version": 1, "files": []}, end="0" * 64)
        self.assertFailed(agent.run(), "fetch", "cannot be read: the SHA-256 of its content is ")
        agent = self.fetching("echo never", {})
        self.name(agent, {"version": 1, "files": [{"from": "package"}]})
        self.assertFailed(agent.run(), "fetch", "cannot be read: missing field")
        agent = self.fetching("echo never", {})
        (agent.s3 / agent.values["BELLHOP_FETCH_URI"].removeprefix("s3://")).unlink()
        self.assertFailed(agent.run(), "fetch", "cannot be read: S3 answered 404 NoSuchKey")
        agent = self.agent("echo never", BELLHOP_FETCH_URI="s3://bucket/scripts/shop/list.json").run()
        self.assertFailed(agent, "fetch", 'BELLHOP_FETCH_URI is "s3://bucket/scripts/shop/list.json": expected s3://BUCKET/scripts/REPOSITORY/SHA256')

    def test_a_file_that_cannot_be_written_is_no_fault_of_the_job(self):
        agent = self.fetching("echo never", {"dist/shop.zip": ZIP * 100_000})
        # As on a full disk: no file has more than 500 KiB.
        limited = agent.folder / "limited"
        limited.write_text(f"#!/bin/sh\ntrap '' XFSZ\nulimit -f 1000\nexec {agent.program}\n")
        limited.chmod(0o755)
        agent.program = limited
        agent.run()
        self.assertFailed(agent, "fetch", "package: dist/shop.zip cannot be fetched: File too large")
        self.assertNothingLeft(agent)

    def test_secrets_in_paths_are_masked(self):
        agent = self.fetching("echo never", {"pa55-of-the-database": ZIP}, BELLHOP_SECRETS="PASSWORD ssm /bellhop/shop/password")
        agent.store.parameters["/bellhop/shop/password"] = "pa55-of-the-database"
        self.put(agent, f"{KEY}0", b"another content.")
        agent.run()
        self.assertFailed(agent, "fetch-refused", "package: *** cannot be fetched: its SHA-256 is ")
        self.assertNotIn("pa55", agent.output() + json.dumps(agent.report))

    # -- signals and memory

    def paused(self, **environment):
        """An agent in the middle of a download."""
        agent = self.fetching("echo never", {"dist/shop.zip": b"x" * 1_000_000}, **environment)
        agent.store.reads = {KEY: ["pause"]}
        agent.start()
        self.assertTrue(agent.store.paused.wait(20), agent.output())
        return agent

    def test_sigterm_ends_a_download(self):
        agent = self.paused()
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(agent.code, 143, agent.output())
        self.assertReport(agent, phase="checkout", signalled=True, message="stopped by SIGTERM before the script began")
        self.assertNothingLeft(agent)
        self.assertFalse((agent.work / "checkout/dist/shop.zip").exists())

    def test_sigterm_ends_a_download_on_spot_when_its_time_is_over(self):
        agent = self.paused(BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="3")
        sent = agent.terminate()
        agent.end()
        took = time.monotonic() - sent
        self.assertGreaterEqual(took, 1.9)
        self.assertLess(took, 3)
        self.assertEqual(agent.code, 143, agent.output())
        self.assertReport(agent, phase="checkout", signalled=True)

    def test_the_memory_does_not_grow_with_the_files(self):
        def high_water(files):
            agent = self.fetching("grep VmHWM /proc/$PPID/status", {})
            listed = []
            for number, size in enumerate(files):
                key = self.put(agent, f"{KEY}{number}", b"")
                hasher, piece = hashlib.sha256(), bytes(range(256)) * 4096
                with key.open("wb") as file:
                    for _ in range(size):
                        file.write(piece)
                        hasher.update(piece)
                listed.append(
                    {"from": "package", "path": f"large/{number}", "key": f"{KEY}{number}".removeprefix("/bucket/"), "sha256": hasher.hexdigest(), "size": size << 20}
                )
            self.name(agent, {"version": 1, "files": listed})
            agent.start().end(120)
            self.assertEqual(agent.code, 0, agent.output())
            self.assertEqual([(agent.work / f"checkout/large/{number}").stat().st_size for number in range(len(files))], [size << 20 for size in files])
            return int(agent.output().partition("VmHWM:")[2].split()[0]) >> 10

        large, small = high_water([256, 64, 64, 64]), high_water([1])
        print(f"fetches 448 MiB with {large} MiB of memory, and 1 MiB with {small}")
        self.assertLess(large, 64)


if __name__ == "__main__":
    unittest.main()
