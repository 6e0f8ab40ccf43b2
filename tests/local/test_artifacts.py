"""What the agent keeps of a checkout when its script has ended, and what becomes of that when the agent is stopped.

    python test_artifacts.py
"""

import shutil
import time
import unittest

from agent import PLACE, AgentCase
from agent_store import Proxy, authority


class Artifacts(AgentCase):
    def test_artifacts_are_kept_under_their_paths(self):
        agent = self.keeping(
            "target/report.xml\ndist/**\nlogs/*.log\n**/*.txt\nnumber\n**/.keep",
            """
            mkdir -p target dist/css logs/old empty/.hidden
            echo report > target/report.xml; echo other > target/other.xml
            echo page > dist/index.html; echo sheet > dist/css/all.css; : > dist/css/empty
            echo log > logs/a.log; echo old > logs/old/b.log
            echo top > top.txt; echo deep > logs/old/deep.txt; echo .hidden > empty/.hidden/c.txt; echo .dot > dist/.dot; echo keep > empty/.keep
            """,
        ).run()
        self.assertEqual(agent.code, 0, agent.output())
        expected = {
            "target/report.xml": "report\n",
            "dist/index.html": "page\n",
            "dist/css/all.css": "sheet\n",
            "dist/css/empty": "",
            "logs/a.log": "log\n",
            "logs/old/deep.txt": "deep\n",
            "top.txt": "top\n",
            "number": "59\n",
            "empty/.keep": "keep\n",
        }
        self.assertEqual(agent.artifacts, expected)
        self.assertIn("artifacts: 9 files uploaded", agent.output())
        self.assertNotIn("left out", agent.output())
        self.assertReport(agent, phase="script", signalled=False, command=None, message=None)
        types = {key.rpartition("/")[2]: media_type for key, media_type in agent.store.written}
        self.assertEqual(len(agent.store.written), 10)
        self.assertEqual((types["index.html"], types["number"], types["result.json"]), ("text/html", "application/octet-stream", "application/json"))
        self.assertEqual(agent.store.mistakes, [])

    def test_artifacts_of_a_script_that_failed_are_kept(self):
        agent = self.keeping("report.xml", "echo '<testsuite/>' > report.xml\nsh -c 'exit 3'").run()
        self.assertEqual(agent.code, 3)
        self.assertEqual(agent.artifacts, {"report.xml": "<testsuite/>\n"})
        self.assertReport(agent, command="sh -c 'exit 3'", line=2, message=None)

    def test_a_pattern_that_matches_nothing_is_a_note(self):
        agent = self.keeping("no-such-file\n*.xml\nfolder\nnumber", "mkdir folder").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])
        for pattern in ("no-such-file", "*.xml", "folder"):
            self.assertIn(f"artifacts: nothing matches {pattern}\n", agent.output())
        self.assertNotIn("matches number", agent.output())
        self.assertReport(agent, message=None)

    def test_no_artifacts_at_all(self):
        for patterns, script in (("*.xml", "true"), ("number", "rm number")):
            agent = self.keeping(patterns, script).run()
            self.assertEqual(agent.code, 0, agent.output())
            self.assertIn("artifacts: no files\n", agent.output())
            self.assertFalse(agent.store.begun.is_set())
        agent = self.agent("true").run()
        self.assertNotIn("artifacts", agent.output())

    def test_a_checkout_that_is_gone_has_no_artifacts(self):
        agent = self.keeping("number", 'rm -rf "$PWD"').run()
        self.assertEqual(agent.code, 91)
        self.assertReport(agent, phase="script", signalled=False)
        self.assertIn("the script succeeded, but the artifacts could not be uploaded", agent.report["message"])

    def test_patterns_are_patterns_and_nothing_more(self):
        patterns = ["$(touch ../pwned)", "`touch ../pwned`", "~/*", "$HOME/*", "{number,number}", "two words", "a;b", "-n", "[ab]?", "@", "*'*"]
        agent = self.keeping("\n".join(patterns), "for name in 'two words' 'a;b' -n a1 b2 c3 @ '*' \"it's\" two; do echo x > \"$name\"; done").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(set(agent.artifacts), {"two words", "a;b", "-n", "a1", "b2", "@", "it's"})
        self.assertFalse((agent.work / "pwned").exists())

    def test_patterns_that_lead_out_of_the_checkout_are_refused(self):
        patterns = ["/etc/passwd", "../secret", "folder/../../secret", "./number", "folder//inner", "folder/"]
        agent = self.keeping("\n".join([*patterns, "number"]), "mkdir folder; echo x > ../secret; echo y > folder/inner").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])
        for pattern in patterns:
            self.assertIn(f"artifacts: {pattern} is not a path from the top of the checkout\n", agent.output())

    def test_links_are_followed_inside_of_the_checkout_alone(self):
        agent = self.keeping(
            "*\nlinked/*\nhome/*\nto-git/*\n.git/config\nsub/.git/*",
            """
            mkdir folder; echo inner > folder/inner; ln -s folder linked; ln -s folder/inner link
            mkdir ../home; echo secret > ../home/credentials; ln -s ../home home; ln -s ../home/credentials credentials
            ln -s nowhere dangling; ln -s loop loop; ln -s .git to-git; ln -s .git/config config; ln -s "$PWD-other" other; echo x > "$PWD-other"
            mkdir -p sub/.git; echo x > sub/.git/config; mkfifo pipe; ln -s /dev/null null
            """,
        ).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(agent.artifacts, {"number": "59\n", "link": "inner\n", "linked/inner": "inner\n"})
        self.assertIn("artifacts: 3 left out: a link to outside the checkout\n", agent.output())
        self.assertRegex(agent.output(), r"artifacts: \d+ left out: in a \.git folder\n")

    def test_names_that_s3_cannot_hold_are_left_out(self):
        agent = self.keeping(
            "**",
            r"""
            for name in 'Grüße 世界 🎈' '"quoted" & <b> %s $HOME' ' '; do echo x > "$name"; done
            echo x > $'two\nlines'; echo x > $'escape\x1b[31m'; echo x > $'not-\xff-utf8'; echo x > $'\x7f'
            long=$(printf 'd%.0s' {1..250}); mkdir -p $long/$long/$long/$long; echo x > $long/$long/$long/$long/file; echo x > $long/$long/$long/file
            """,
        ).run()
        self.assertEqual(agent.code, 0, agent.output())
        long = "d" * 250
        self.assertEqual(set(agent.artifacts), {"number", "Grüße 世界 🎈", '"quoted" & <b> %s $HOME', " ", f"{long}/{long}/{long}/file"})
        self.assertIn("artifacts: 5 left out: a name that is too long, not UTF-8, or has control characters\n", agent.output())

    def test_only_so_many_artifacts_are_kept(self):
        agent = self.keeping("number\nmany/**\nmany/*", 'mkdir many; seq -f "many/%05.0f" 10005 | xargs touch').start().end(200)
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(len(agent.artifacts), 10000)
        self.assertIn("many/09999", agent.artifacts)
        self.assertNotIn("many/10000", agent.artifacts)
        self.assertIn("artifacts: 6 left out: over the limit of 10000 files\n", agent.output())
        self.assertIn("artifacts: 10000 files uploaded\n", agent.output())

    def test_folders_without_the_permission_to_write(self):
        agent = self.keeping("cache/**", "mkdir cache; echo a > cache/a; echo b > cache/b; chmod 444 cache/*; chmod 555 cache").run()
        (agent.work / "checkout" / "cache").chmod(0o755)
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(agent.artifacts, {"cache/a": "a\n", "cache/b": "b\n"})

    def test_the_upload_of_artifacts_is_tried_again(self):
        agent = self.keeping("number", "true")
        agent.store.failures = 2
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])
        self.assertReport(agent, message=None)

    def test_artifacts_that_cannot_be_uploaded_fail_a_script_that_succeeded(self):
        for refused, answer in (("throttled", "503 SlowDown: throttled"), ("denied", "403 AccessDenied: denied")):
            agent = self.keeping("number", "true", AWS_MAX_ATTEMPTS="3")
            setattr(agent.store, refused, "/artifacts/")
            agent.run()
            self.assertEqual(agent.code, 91)
            message = f"the script succeeded, but the artifacts could not be uploaded: number: S3 answered {answer}"
            self.assertReport(agent, phase="script", signalled=False, command=None, message=message)
            self.assertIn(f"bellhop: artifacts: number: S3 answered {answer}\n", agent.output())

    def test_artifacts_that_may_not_be_uploaded_are_not_all_tried(self):
        agent = self.keeping("many/*", 'mkdir many; seq -f "many/%03.0f" 100 | xargs touch')
        agent.store.denied = "/artifacts/"
        agent.run()
        self.assertEqual(agent.code, 91)
        self.assertLess(agent.output().count("AccessDenied"), 30)
        self.assertRegex(agent.report["message"], r"\nand \d+ more$")

    def test_artifacts_that_cannot_be_uploaded_change_nothing_about_a_failure(self):
        agent = self.keeping("number", "sh -c 'exit 3'")
        agent.store.denied = "/artifacts/"
        agent.run()
        self.assertEqual(agent.code, 3)
        self.assertReport(agent, phase="script", signalled=False, command="sh -c 'exit 3'")
        self.assertIn("the artifacts could not be uploaded", agent.report["message"])

    def test_many_failures_leave_tries_for_the_report(self):
        agent = self.keeping("many/*", 'mkdir many; seq -f "many/%03.0f" 100 | xargs touch', AWS_MAX_ATTEMPTS="6")
        agent.store.throttled = "/artifacts/"
        agent.start()
        agent.wait_for("the artifacts could not be uploaded", 60)
        agent.store.failures = 3
        agent.end()
        self.assertEqual(agent.code, 91)
        self.assertReport(agent, phase="script")

    def test_a_bucket_in_another_region_is_named(self):
        agent = self.keeping("number", "true")
        agent.store.elsewhere = "eu-central-1"
        agent.run()
        self.assertIn("S3 answered 301 PermanentRedirect: elsewhere (AWS_REGION: expected eu-central-1, where the bucket is)", agent.output())

    def test_an_endpoint_may_have_a_path(self):
        agent = self.keeping("number", "true")
        agent.values["AWS_ENDPOINT_URL_S3"] += "/some/path"
        agent.run()
        self.assertTrue((agent.s3 / "some/path" / PLACE / "artifacts/number").exists(), agent.output())

    def test_a_place_that_is_wrong_loses_no_artifacts_silently(self):
        agent = self.agent("true", BELLHOP_ARTIFACTS="number", BELLHOP_ARTIFACTS_URI="s3://bucket").run()
        self.assertEqual(agent.code, 91)
        expected = 'the artifacts could not be uploaded: BELLHOP_ARTIFACTS_URI is "s3://bucket": expected s3://BUCKET/PREFIX/'
        self.assertReport(agent, message=f"the script succeeded, but {expected}")

    def test_artifacts_without_a_place_to_go(self):
        agent = self.agent("true", BELLHOP_ARTIFACTS="number").run()
        self.assertEqual(agent.code, 0)
        self.assertIn("BELLHOP_ARTIFACTS_URI is not set", agent.output())

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not on this machine")
    def test_artifacts_go_to_whom_the_image_trusts(self):
        for trusted in (True, False):
            agent = self.keeping("number", "true", AWS_MAX_ATTEMPTS="1")
            certificates, own = authority(agent.folder)
            agent.store.speak_tls(own)
            agent.values["AWS_ENDPOINT_URL_S3"] = agent.store.url
            if trusted:
                agent.values["SSL_CERT_FILE"] = str(certificates)
            agent.run()
            self.assertEqual(agent.code, 0 if trusted else 91, agent.output())
            self.assertEqual(list(agent.artifacts), ["number"] if trusted else [])
            self.assertEqual("invalid peer certificate: UnknownIssuer: the image's" in agent.output(), not trusted, agent.output())

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not on this machine")
    def test_artifacts_go_through_a_proxy(self):
        for excepted in ("", "127.0.0.1"):
            proxy = Proxy()
            self.addCleanup(proxy.close)
            agent = self.keeping("number", "true", HTTPS_PROXY=proxy.url, NO_PROXY=excepted)
            certificates, own = authority(agent.folder)
            agent.store.speak_tls(own)
            agent.values |= {"AWS_ENDPOINT_URL_S3": agent.store.url, "SSL_CERT_FILE": str(certificates)}
            agent.run()
            self.assertEqual(list(agent.artifacts), ["number"], agent.output())
            self.assertEqual(set(proxy.asked), set() if excepted else {f"CONNECT 127.0.0.1:{agent.store.server_port} HTTP/1.1"})

    # -- artifacts and signals

    def uploading(self, script, seconds, **environment):
        """An agent whose upload of artifacts takes so long, once it has begun."""
        agent = self.keeping("number", script, **environment)
        agent.store.slow = seconds
        agent.start()
        self.assertTrue(agent.store.begun.wait(20), agent.output())
        return agent

    def test_sigterm_ends_an_upload_on_demand(self):
        agent = self.uploading("true", 30)
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(agent.code, 91)
        self.assertEqual(agent.artifacts, {})
        self.assertReport(agent, signalled=True, message="the script succeeded, but the agent was stopped before its artifacts were uploaded")

    def test_a_failure_stays_one_when_its_upload_is_ended(self):
        agent = self.uploading("sh -c 'exit 3'", 30)
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 3)
        self.assertReport(agent, signalled=False, command="sh -c 'exit 3'", message="the agent was stopped before its artifacts were uploaded")

    def test_an_upload_in_the_window_of_spot_counts(self):
        agent = self.uploading("true", 2, BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="30")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])
        self.assertReport(agent, signalled=False, message=None)

    def test_an_upload_that_does_not_finish_in_the_window_of_spot_proves_nothing(self):
        agent = self.uploading("true", 30, BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="3")
        sent = agent.terminate()
        agent.end()
        took = time.monotonic() - sent
        self.assertGreaterEqual(took, 1.9)
        self.assertLess(took, 3)
        self.assertEqual(agent.code, 91)
        self.assertReport(agent, signalled=True)

    def test_a_script_that_was_stopped_keeps_its_artifacts_if_there_is_time(self):
        agent = self.keeping("number", "echo started; sleep 30").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 143)
        self.assertEqual(list(agent.artifacts), ["number"])
        self.assertReport(agent, signalled=True, message="stopped by SIGTERM")

    def test_the_artifacts_of_a_script_that_was_stopped_do_not_hold_up_the_end(self):
        agent = self.keeping("number", "echo started; sleep 30", BELLHOP_STOP_TIMEOUT="3")
        agent.store.slow = 30
        agent.start()
        agent.wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 3)
        self.assertEqual(agent.code, 143)
        self.assertEqual(agent.artifacts, {})
        self.assertReport(agent, signalled=True, message="stopped by SIGTERM; the agent was stopped before its artifacts were uploaded")

    def test_a_script_that_had_to_be_killed_leaves_no_time_for_artifacts(self):
        agent = self.keeping("number", "trap '' TERM; echo started; sleep 30", BELLHOP_STOP_TIMEOUT="3").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 137)
        self.assertFalse(agent.store.begun.is_set())
        self.assertReport(agent, signalled=True, message="killed: still running after SIGTERM")


if __name__ == "__main__":
    unittest.main()
