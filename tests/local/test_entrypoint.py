"""The agent's program: what becomes of scripts, artifacts, signals and the report. test_artifacts.py has the artifacts,
test_fetch.py those of other jobs, test_checkout.py the checkout from a server, and test_secrets.py the secrets.

    python test_entrypoint.py
"""

import os
import random
import subprocess
import time
import unittest

import test_artifacts
import test_checkout
import test_fetch
import test_secrets
from agent import PROGRAM, AgentCase, git
from agent_store import CONTAINER_TOKEN


def load_tests(loader, tests, _pattern):
    for module in (test_artifacts, test_checkout, test_fetch, test_secrets):
        tests.addTests(loader.loadTestsFromModule(module))
    return tests


class EntryPoint(AgentCase):
    # -- scripts

    def test_success(self):
        agent = self.agent('echo "number $(cat number)"; git log -1 --format=%H').run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("number 59", agent.output())
        self.assertIn(self.commits[-1], agent.output())
        self.assertReport(agent, phase="script", signalled=False, command=None, line=None, message=None)

    def test_a_failing_command_ends_the_script_and_is_named(self):
        agent = self.agent("echo before\n\n  grep --quiet nothing number\necho later\n").run()
        self.assertEqual(agent.code, 1)
        self.assertIn("before", agent.output())
        self.assertNotIn("later", agent.output())
        self.assertReport(agent, phase="script", signalled=False, command="grep --quiet nothing number", line=3)

    def test_a_failing_command_in_a_function_is_named(self):
        agent = self.agent("f() {\n  echo in f\n  sh -c 'exit 7'\n}\nf\n").run()
        self.assertEqual(agent.code, 7)
        self.assertReport(agent, command="sh -c 'exit 7'", line=3)

    def test_a_failing_command_in_a_sourced_file_is_reported_at_the_line_that_led_there(self):
        agent = self.agent("echo 'false' > lib.sh\necho two\n. ./lib.sh\n").run()
        self.assertEqual(agent.code, 1)
        self.assertReport(agent, command="false", line=3)

    def test_a_missing_program_is_127(self):
        agent = self.agent("no-such-program --option").run()
        self.assertEqual(agent.code, 127)
        self.assertReport(agent, command="no-such-program --option", line=1)

    def test_a_failure_inside_a_pipeline_counts(self):
        agent = self.agent("echo one\n  sh -c 'exit 5' | cat\necho later\n").run()
        self.assertEqual(agent.code, 5)
        self.assertNotIn("later", agent.output())
        self.assertReport(agent, command="sh -c 'exit 5' | cat", line=2)

    def test_a_deliberate_exit_names_no_command(self):
        agent = self.agent("false || true\necho \"$(false)\"\nexit 75\n").run()
        self.assertEqual(agent.code, 75)
        self.assertReport(agent, command=None, line=None)

    def test_failures_that_the_script_allows_are_not_named(self):
        agent = self.agent("set +e\nfalse\nset -e\nif false; then :; fi\nexit 1\n").run()
        self.assertEqual(agent.code, 1)
        self.assertReport(agent, command=None)

    def test_programs_that_the_script_starts_are_left_alone(self):
        agent = self.agent("bash -c 'false; echo still here'\nenv > environment\n! grep --quiet BASH_ENV environment\n").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("still here", agent.output())

    def test_a_script_with_an_interpreter_line_is_run_as_it_is(self):
        agent = self.agent('#!/usr/bin/env python3\nimport sys\nprint("from", "python", open("number").read())\nsys.exit(4)\n').run()
        self.assertEqual(agent.code, 4)
        self.assertIn("from python 59", agent.output())
        self.assertReport(agent, phase="script", command=None)

    def test_a_script_from_the_bucket(self):
        agent = self.agent(BELLHOP_SCRIPT_URI="s3://bucket/runs/abcdefghij/test/1/script")
        path = agent.s3 / "bucket/runs/abcdefghij/test/1/script"
        path.parent.mkdir(parents=True)
        path.write_text("# " + "x" * 10000 + "\necho from the bucket\nfalse\n")
        agent.run()
        self.assertEqual(agent.code, 1)
        self.assertIn("from the bucket", agent.output())
        self.assertReport(agent, command="false", line=3)

    def test_the_script_sees_where_it_is_and_nothing_of_the_agent(self):
        times = {"BELLHOP_STOP_TIMEOUT": "30", "BELLHOP_FETCH_SILENCE": "300", "BELLHOP_LFS_TIMEOUT": "1800", "BELLHOP_HEARTBEAT": "300"}
        agent = self.keeping("seen", 'env | grep "^BELLHOP_\\|^CI=" | sort > seen; cat seen; pwd; ls ..', **times).run()
        self.assertEqual(agent.code, 0)
        for name in "ATTEMPT BUILD CAPACITY COMMIT JOB REF REPOSITORY RUN".split():
            self.assertIn(f"BELLHOP_{name}=", agent.output())
        self.assertIn("CI=true", agent.output())
        for name in "SCRIPT SCRIPT_URI RESULT_URI ARTIFACTS ARTIFACTS_URI STOP_TIMEOUT FETCH_SILENCE LFS_TIMEOUT".split():
            self.assertNotIn(f"BELLHOP_{name}=", agent.output())

    def test_nothing_secret_is_printed(self):
        agent = self.agent("false").run()
        self.assertNotIn("do-not-print", agent.output())
        # Nor where something fails that has to do with it.
        agent = self.keeping("number", "true", AWS_MAX_ATTEMPTS="1", HTTPS_PROXY="http://user:do-not-print@\x01")
        agent.store.denied = "/"
        agent.run()
        self.assertIn("HTTPS_PROXY is not", agent.output())
        self.assertIn("AccessDenied", agent.output())
        self.assertNotIn("do-not-print", agent.output())

    def test_without_room_for_the_note_the_exit_code_is_the_commands(self):
        agent = self.agent("rm -r ../internal\nsh -c 'exit 4'").run()
        self.assertEqual(agent.code, 4, agent.output())
        self.assertReport(agent, command=None)
        self.assertNotIn("prelude", agent.output())

    def test_odd_commands_are_reported_as_they_are(self):
        commands = [
            r"""sh -c 'exit 3' "double" 'single' \\ back\\slash""",
            "sh -c 'exit 3' 'tab\there'",
            "sh -c 'exit 3' 'bell\ahere and \x02\x1f'",
            "sh -c 'exit 3' 'two\nlines'",
            "sh -c 'exit 3' 'Grüße, 世界, 🎈'",
            "sh -c 'exit 3' '& $HOME `id` %s %d'",
        ]
        for command in commands:
            with self.subTest(command):
                agent = self.agent(command).run()
                self.assertEqual(agent.code, 3, agent.output())
                self.assertReport(agent, command=command)

    def test_bytes_that_are_not_utf8_become_replacement_characters(self):
        agent = self.agent(BELLHOP_SCRIPT_URI="s3://bucket/script")
        path = agent.s3 / "bucket/script"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"sh -c 'exit 3' 'a\xe9b \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x8e'\n")
        agent.run()
        self.assertEqual(agent.code, 3)
        self.assertReport(agent, command="sh -c 'exit 3' 'a\ufffdb \xe9 \ufffd\ufffd\ufffd \ufffd\ufffd\ufffd'")

    def test_a_long_command_is_cut(self):
        agent = self.agent("sh -c 'exit 3' " + "x" * 5000).run()
        self.assertEqual(agent.code, 3)
        self.assertEqual(len(agent.report["command"]), 2000)

    # -- the report

    def test_the_upload_is_tried_again(self):
        agent = self.agent("true")
        agent.store.failures = 2
        agent.run()
        self.assertEqual(agent.code, 0)
        self.assertReport(agent, phase="script")

    def test_a_connection_that_is_cut_is_made_again(self):
        agent = self.keeping("number", "true")
        agent.store.cuts = 2
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])

    def test_a_report_that_cannot_be_uploaded_changes_nothing(self):
        agent = self.agent("exit 6", AWS_MAX_ATTEMPTS="3")
        agent.store.throttled = "result.json"
        agent.run()
        self.assertEqual(agent.code, 6)
        self.assertIn("could not be uploaded", agent.output())

    # -- the checkout

    def test_a_commit_behind_the_tip(self):
        agent = self.agent("cat number", BELLHOP_COMMIT=self.commits[40]).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n40\n", agent.output())
        self.assertNotIn("fetching all branches", agent.output())

    def test_a_commit_far_behind_the_tip(self):
        agent = self.agent("cat number", BELLHOP_COMMIT=self.commits[2]).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n2\n", agent.output())
        self.assertIn("fetching all branches and tags", agent.output())

    def test_a_commit_whose_reference_is_gone(self):
        agent = self.agent("cat number", BELLHOP_REF="refs/heads/deleted", BELLHOP_COMMIT=self.side).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\nside\n", agent.output())

    def test_a_checkout_in_china(self):
        elsewhere = "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/"
        agent = self.agent("git remote get-url origin", AWS_REGION="cn-north-1", GIT_CONFIG_VALUE_0=elsewhere).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("/repositories/shop\n", agent.output())

    def test_a_tag(self):
        agent = self.agent("cat number", BELLHOP_REF="refs/tags/v1", BELLHOP_COMMIT=self.side).run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\nside\n", agent.output())

    def test_a_commit_that_does_not_exist(self):
        agent = self.agent("echo never", BELLHOP_COMMIT="0123456789" * 4).run()
        self.assertEqual(agent.code, 90)
        self.assertNotIn("never", agent.output())
        self.assertReport(agent, phase="commit-gone", signalled=False, command=None, line=None)
        self.assertIn("is not in the repository shop", agent.report["message"])

    def test_a_repository_that_does_not_exist(self):
        agent = self.agent("echo never", BELLHOP_REPOSITORY="nowhere").run()
        self.assertEqual(agent.code, 90)
        self.assertReport(agent, phase="checkout")
        self.assertIn("nowhere", agent.report["message"])

    def test_a_script_that_cannot_be_fetched(self):
        agent = self.agent(BELLHOP_SCRIPT_URI="s3://bucket/nothing").run()
        self.assertEqual(agent.code, 90)
        self.assertReport(agent, phase="checkout")

    def test_no_script_at_all(self):
        agent = self.agent().run()
        self.assertEqual(agent.code, 90)
        self.assertReport(agent, phase="checkout")
        self.assertIn("BELLHOP_SCRIPT", agent.report["message"])

    # -- names that a shell, git or printf would read

    def assertInert(self, agent):
        traces = list(agent.folder.rglob("pwned"))
        self.assertEqual(traces, [], agent.output())

    def test_a_branch_of_any_name_is_checked_out_and_is_nothing_but_a_name(self):
        for name in ["$(touch${IFS}pwned)", "`touch${IFS}pwned`", "a;touch${IFS}pwned", "a'b\"c", "a&&b|c>pwned", "a#%s%n", "{a,b}", "ü/世界", "!!"]:
            with self.subTest(name):
                reference = f"refs/heads/{name}"
                repository = self.root / "repositories" / "shop"
                git(repository, "update-ref", reference, self.side)
                try:
                    agent = self.agent(
                        "printf 'at %s\\n' \"$BELLHOP_REF\"; cat number", BELLHOP_REF=reference, BELLHOP_COMMIT=self.side
                    ).run()
                finally:
                    git(repository, "update-ref", "-d", reference)
                self.assertEqual(agent.code, 0, agent.output())
                self.assertIn(f"at {reference}\nside\n", agent.output())
                self.assertNotIn("fetching all branches", agent.output())
                self.assertInert(agent)

    def test_what_no_agent_should_be_given_runs_nothing(self):
        for variable, value in [
            ("BELLHOP_REF", "--upload-pack=touch pwned"),
            ("BELLHOP_REF", "refs/heads/main --upload-pack=touch${IFS}pwned"),
            ("BELLHOP_REF", "refs/heads/main:refs/heads/pwned\n+x"),
            ("BELLHOP_REPOSITORY", "$(touch pwned); touch pwned"),
            ("BELLHOP_REPOSITORY", "--upload-pack=touch pwned"),
            ("BELLHOP_COMMIT", "--output=pwned"),
            ("BELLHOP_COMMIT", "$(touch pwned)"),
            ("BELLHOP_COMMIT", "main; touch pwned"),
        ]:
            with self.subTest(f"{variable}={value}"):
                agent = self.agent("true", **{variable: value}).run()
                self.assertInert(agent)
                if variable != "BELLHOP_REF":
                    # Without a reference everything is fetched, and the commit is among it.
                    self.assertEqual(agent.code, 90, agent.output())
                self.assertIn("phase", agent.report)

    def test_job_and_attempt_are_nothing_but_names(self):
        odd = "$(touch pwned)`touch pwned`;touch pwned %s %n"
        agent = self.agent("true", BELLHOP_JOB=odd, BELLHOP_ATTEMPT=odd, BELLHOP_CAPACITY=odd, BELLHOP_RUN=odd, BELLHOP_STOP_TIMEOUT=f"a[{odd}]").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn(f"job {odd}, attempt {odd}", agent.output())
        self.assertInert(agent)

    # -- signals

    def test_on_demand_sigterm_is_passed_on_at_once(self):
        agent = self.agent("echo started; sleep 30; echo later").start()
        agent.wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(agent.code, 143)
        self.assertReport(agent, phase="script", signalled=True, message="stopped by SIGTERM")

    def test_spot_work_that_finishes_in_time_counts(self):
        agent = self.agent("echo started; sleep 2; echo finished", BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="12").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("finished", agent.output())
        self.assertReport(agent, phase="script", signalled=False, message=None)

    def test_spot_failures_in_the_window_count_too(self):
        agent = self.agent("echo started; sleep 1; exit 127", BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="12").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 127)
        self.assertReport(agent, signalled=False)

    def test_spot_work_that_does_not_finish_is_stopped_before_the_end(self):
        agent = self.agent("echo started; sleep 30", BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="3").start()
        agent.wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        took = time.monotonic() - sent
        self.assertGreaterEqual(took, 1.9)
        self.assertLess(took, 3)
        self.assertEqual(agent.code, 143)
        self.assertReport(agent, signalled=True)

    def test_a_script_that_ignores_sigterm_is_killed_in_time(self):
        agent = self.agent("trap '' TERM; echo started; sleep 30", BELLHOP_STOP_TIMEOUT="3").start()
        agent.wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 3)
        self.assertEqual(agent.code, 137)
        self.assertReport(agent, signalled=True, message="killed: still running after SIGTERM")

    def test_a_script_that_handles_sigterm_was_signalled_all_the_same(self):
        agent = self.agent("trap 'echo cleaned up; exit 0' TERM; echo started; while :; do sleep 0.1; done").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 0)
        self.assertIn("cleaned up", agent.output())
        self.assertReport(agent, signalled=True, message="stopped by SIGTERM")

    def test_a_second_sigterm_changes_nothing(self):
        agent = self.agent("echo started; sleep 2; echo finished", BELLHOP_CAPACITY="spot", BELLHOP_STOP_TIMEOUT="30").start()
        agent.wait_for("\nstarted")
        agent.terminate()
        time.sleep(0.3)
        agent.terminate()
        agent.end()
        self.assertEqual(agent.code, 0)
        self.assertReport(agent, signalled=False)

    def test_sigterm_during_the_checkout(self):
        slow = self.root / "bin-slow"
        slow.mkdir(exist_ok=True)
        fake = slow / "git"
        fake.write_text("#!/usr/bin/env bash\ntouch ../fetching; sleep 30\n")
        fake.chmod(0o755)
        agent = self.agent("echo never")
        agent.values["PATH"] = f"{slow}:{agent.values['PATH']}"
        agent.start()
        agent.wait_for_file("fetching")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(agent.code, 143)
        self.assertNotIn("never", agent.output())
        self.assertReport(agent, phase="checkout", signalled=True)

    def test_background_children_do_not_outlive_the_script(self):
        agent = self.agent("sleep 987 & echo $! > ../child\n(trap '' TERM; echo $BASHPID > ../stubborn; sleep 988) &\nsleep 0.3").run()
        self.assertEqual(agent.code, 0, agent.output())
        for name in ("child", "stubborn"):
            process = int((agent.work / name).read_text())
            self.assertFalse(running(process), f"{name} still runs")

    def test_what_left_the_process_group_does_not_outlive_the_script(self):
        script = """
            setsid bash -c 'echo $BASHPID > ../gone; sleep 989' &
            setsid --fork bash -c 'trap "" TERM; (setsid sleep 990; true) & echo $! > ../deep; wait'
            until [[ -s ../gone && -s ../deep ]]; do sleep 0.05; done
        """
        agent = self.agent(script).run()
        self.assertEqual(agent.code, 0, agent.output())
        for name in ("gone", "deep"):
            self.assertFalse(running(int((agent.work / name).read_text())), f"{name} still runs")

    def test_what_left_the_process_group_is_killed_with_the_script(self):
        script = "setsid bash -c 'trap \"\" TERM; echo $BASHPID > ../gone; sleep 991' &\ntrap '' TERM; echo started; sleep 30"
        agent = self.agent(script, BELLHOP_STOP_TIMEOUT="3").start()
        agent.wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 3)
        self.assertEqual(agent.code, 137)
        self.assertFalse(running(int((agent.work / "gone").read_text())))

    def test_sigterm_at_any_moment(self):
        # A job of a second, with a checkout, processes of all kinds, an artifact and a report that take their time; some of its processes have to be killed.
        script = """
            setsid sleep 992 & sleep 0.1; echo report > report.xml
            ((RANDOM % 6)) || (trap '' TERM; sleep 993) &
        """
        moments = int(os.environ.get("BELLHOP_MOMENTS", "24"))
        chance = random.Random(59)
        for capacity in ("on-demand", "spot"):
            for _ in range(moments // 2):
                agent = self.keeping("report.xml", script, BELLHOP_CAPACITY=capacity, BELLHOP_STOP_TIMEOUT="6")
                agent.store.slow = agent.store.slow_report = 0.2
                # Before its first line it may not listen yet.
                agent.start().wait_for("bellhop: ")
                moment = chance.uniform(0, 0.9)
                time.sleep(moment)
                agent.terminate()
                agent.end(6)
                with self.subTest(moment=moment, capacity=capacity, log=agent.output()):
                    self.assertReport(agent)
                    self.assertIn(agent.code, (0, 91, 143))
                    # A script that was just ending may have met the signal.
                    self.assertIn(agent.report["signalled"], [True] if agent.code != 0 else [False, True])
                    if agent.code == 0 and not agent.report["signalled"]:
                        self.assertEqual(agent.artifacts, {"report.xml": "report\n"})
                    listed = subprocess.run(["ps", "-A", "-o", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
                    self.assertNotRegex(listed, r"(?m)^sleep 99[23]$")

    # -- the log

    def test_a_script_that_prints_much_costs_no_memory(self):
        agent = self.agent("grep VmHWM /proc/$PPID/status; head -c 100000000 /dev/zero | tr '\\0' x; echo; grep VmHWM /proc/$PPID/status").run()
        self.assertEqual(agent.code, 0)
        self.assertGreater(agent.log.stat().st_size, 100_000_000)
        before, after = (int(line.split()[1]) for line in agent.output().splitlines() if line.startswith("VmHWM"))
        self.assertLess(after - before, 1000, "KB")

    def test_the_agents_lines_begin_no_lines_of_the_scripts(self):
        agent = self.agent("printf '12 %% '; sleep 0.1; printf '13 %% '").run()
        self.assertRegex(agent.output(), r"\n12 % 13 % \nbellhop: script: exit code 0 after \d s\n")

    def test_both_outputs_keep_their_order(self):
        agent = self.agent("for ((i = 0; i < 300; i++)); do echo out $i; echo err $i >&2; done; echo x > /dev/stdout; echo y > /dev/stderr").run()
        self.assertEqual(agent.code, 0, agent.output())
        expected = "".join(f"out {number}\nerr {number}\n" for number in range(300)) + "x\ny\nbellhop: script: exit code 0"
        self.assertIn(expected, agent.output())

    def test_a_silent_script_shows_that_it_is_alive(self):
        agent = self.agent("sleep 2.5; for i in 1 2 3 4 5; do echo loud; sleep 0.3; done", BELLHOP_HEARTBEAT="1").run()
        silent, _, loud = agent.output().partition("loud")
        self.assertIn("bellhop: script: still running after 2 s, 2 s without output\n", silent)
        self.assertNotIn("still running", loud)

    def test_a_log_that_nothing_reads_does_not_hold_up_the_end(self):
        for timeout, spot in (("3", "on-demand"), ("6", "spot")):
            agent = self.agent("touch ../started; head -c 10000000 /dev/zero", BELLHOP_STOP_TIMEOUT=timeout, BELLHOP_CAPACITY=spot)
            reading, writing = os.pipe()
            self.addCleanup(os.close, reading)
            agent.start(writing).wait_for_file("started")
            time.sleep(0.3)
            sent = agent.terminate()
            agent.end()
            self.assertLess(time.monotonic() - sent, int(timeout))
            self.assertEqual(agent.code, 143)
            self.assertReport(agent, phase="script", signalled=True)

    def test_a_log_that_is_read_slowly_loses_nothing(self):
        agent = self.agent("head -c 120000 /dev/zero | tr '\\0' x; echo; echo the last line; sh -c 'exit 3'")
        reading, writing = os.pipe()
        agent.start(writing)
        time.sleep(4)
        self.assertIsNone(agent.process.poll())
        with open(reading, encoding="utf-8") as log:
            text = log.read()
        agent.end()
        self.assertEqual(agent.code, 3)
        self.assertRegex(text, r"x\nthe last line\nbellhop: script: exit code 3 after \d s, line 1: .*\n$")

    def test_a_report_without_an_answer_does_not_hold_up_the_end(self):
        agent = self.agent("echo started; sleep 0.5", BELLHOP_STOP_TIMEOUT="6", BELLHOP_CAPACITY="spot")
        agent.store.slow_report = 60
        agent.start().wait_for("\nstarted")
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 6)
        self.assertEqual(agent.code, 0)
        self.assertIn("bellhop: report: there was no time left to upload it\n", agent.output())

    def test_a_log_that_is_gone_is_no_reason_to_stop(self):
        agent = self.agent("head -c 10000000 /dev/zero; echo done > ../done")
        reading, writing = os.pipe()
        os.close(reading)
        agent.start(writing).end()
        self.assertEqual(agent.code, 0)
        self.assertTrue((agent.work / "done").exists())
        self.assertReport(agent, phase="script", signalled=False)

    def test_names_begin_no_lines_of_their_own(self):
        forged = "shop\nbellhop: script: exit code 0 after 3 s"
        agent = self.agent("true", BELLHOP_REPOSITORY=forged).run()
        self.assertEqual(agent.code, 90)
        self.assertNotIn("\nbellhop: script:", agent.output())
        agent = self.agent("true", BELLHOP_JOB="test\nbellhop: exit code 0").run()
        self.assertIn("bellhop: script: job test bellhop: exit code 0, attempt 1", agent.output())
        self.assertNotIn("\nbellhop: exit code 0,", agent.output())

    # -- credentials

    def test_credentials_of_the_container(self):
        without = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None}
        agent = self.keeping("number", "true", **without)
        agent.values |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.store.url}/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN}
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertEqual(list(agent.artifacts), ["number"])
        self.assertReport(agent, phase="script")
        # Once for artifacts and report.
        self.assertEqual(agent.store.credentials, 1)
        self.assertNotIn("do-not-print", agent.output())

    def test_the_place_has_the_identity_of_the_credentials(self):
        agent = self.keeping("number", "true").run()
        self.assertReport(agent, phase="script")
        self.assertEqual(agent.artifacts, {"number": "59\n"})
        self.assertEqual(agent.store.identities, 1)

    def test_without_an_identity_nothing_is_uploaded_and_the_script_counts(self):
        agent = self.agent("exit 3")
        agent.store.unknown = True
        agent.run()
        self.assertEqual(agent.code, 3)
        self.assertIn("report: it could not be uploaded to s3://bucket/runs/abcdefghij/{identity}/test/1/result.json: STS does not tell the agent's identity", agent.output())
        self.assertIn("ExpiredToken", agent.output())
        self.assertEqual(agent.store.written, [])
        agent = self.keeping("number", "true")
        agent.store.unknown = True
        self.assertEqual(agent.run().code, 91, agent.output())

    def test_an_address_of_credentials_that_does_not_answer_has_a_limit(self):
        agent = self.agent(AWS_CONTAINER_AUTHORIZATION_TOKEN=CONTAINER_TOKEN)
        agent.store.silent = True
        values = {name: value for name, value in agent.values.items() if not name.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_SESSION"))}
        values["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{agent.store.url}/credentials"
        question = "protocol=https\nhost=git-codecommit.eu-west-1.amazonaws.com\npath=v1/repos/shop\n\n"
        command = [str(PROGRAM), "git-credential", "get"]
        answer = subprocess.run(command, env=values, input=question, capture_output=True, text=True, timeout=25, check=False)
        self.assertEqual((answer.returncode, answer.stdout), (1, ""))
        self.assertIn("bellhop: git-credential: no credentials", answer.stderr)

    def test_without_credentials_the_log_says_what_is_missing(self):
        agent = self.keeping("number", "true", AWS_ACCESS_KEY_ID=None).run()
        self.assertEqual(agent.code, 91)
        self.assertIn("no credentials: expected AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", agent.output())

    # -- settings

    def test_a_time_that_is_none_is_a_remark(self):
        agent = self.agent("true", BELLHOP_STOP_TIMEOUT="2m").run()
        self.assertEqual(agent.code, 0)
        self.assertIn('BELLHOP_STOP_TIMEOUT is "2m": expected a number of seconds from 1 to 9999; 30 is used\n', agent.output())


def running(process):
    """Whether the process exists and is not merely waiting to be collected by its parent."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], stdout=subprocess.PIPE, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


if __name__ == "__main__":
    unittest.main()
