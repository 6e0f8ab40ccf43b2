"""The agent's program: where a job's secrets come from, who gets them, and what the log and the report show of them.

    python test_secrets.py
"""

import base64
import json
import re
import time
import unittest
import urllib.parse

from agent import AgentCase

TOKEN = "tok3n-with-s0me-length/+='&\"$é"
KEY = "-----BEGIN PRIVATE KEY-----\n" + "".join(f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{number:032}\n" for number in range(9)) + "-----END PRIVATE KEY-----\n"
DATABASE = json.dumps({"username": "shop", "password": "pa55-of-the-database", "port": 5432})


def forms(secret):
    """What may not be found anywhere: the secret's lines, as they are and as programs write them."""
    lines = [line for line in secret.splitlines() if line]
    encoded = [json.dumps(line)[1:-1] for line in lines] + [urllib.parse.quote(line, safe="") for line in lines]
    # Of any Base64 of it, all but the ends.
    pieces = [base64.b64encode(b"x" * before + secret.strip().encode() + b"yyy").decode() for before in range(3)]
    inside = [piece[4 + start : 12 + start] for piece in pieces for start in range(0, len(piece) - 16, 8)]
    return {*lines, *encoded, *inside, *(piece.translate(str.maketrans("+/", "-_")) for piece in inside)}


class Secrets(AgentCase):
    def with_secrets(self, script, wanted="TOKEN ssm /bellhop/shop/token", patterns=None, **environment):
        """An agent whose job is to have secrets."""
        environment["BELLHOP_SECRETS"] = wanted
        agent = self.keeping(patterns, script, **environment) if patterns else self.agent(script, **environment)
        agent.store.parameters |= {"/bellhop/shop/token": TOKEN, "/bellhop/shop/key": KEY}
        agent.store.secrets |= {"/bellhop/shop/db": DATABASE}
        return agent

    def assertHidden(self, agent, *secrets):
        """Nothing that the agent leaves shows any of the secrets."""
        written = [json.dumps(agent.report, ensure_ascii=False), json.dumps(agent.report), json.dumps(agent.store.written)]
        # The report is there to be searched, and so is the log.
        self.assertTrue(agent.report["phase"] and "bellhop: " in agent.output())
        for secret in secrets:
            for form in forms(secret):
                self.assertNotIn(form, agent.output())
                for text in written:
                    self.assertNotIn(form, text)

    def test_what_is_not_masked_would_be_found(self):
        for script in ('echo "$TOKEN"', 'echo "$KEY" | base64', 'printf "a%s" "$TOKEN" | base64 -w 0', "sh -c 'exit 3' MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + "0" * 32):
            agent = self.agent(script, TOKEN=TOKEN, KEY=KEY).run()
            with self.assertRaises(AssertionError, msg=script):
                self.assertHidden(agent, TOKEN, KEY)

    # -- who gets them

    def test_the_script_gets_them_and_git_does_not(self):
        wanted = "TOKEN ssm /bellhop/shop/token\nKEY ssm /bellhop/shop/key\nPASSWORD secretsmanager /bellhop/shop/db password\nPORT secretsmanager /bellhop/shop/db port\nDB secretsmanager /bellhop/shop/db"
        script = """
            printf '%s\\0' "$TOKEN" "$KEY" "$PASSWORD" "$PORT" "$DB" > ../got
            ! env | grep BELLHOP_SECRETS
        """
        agent = self.with_secrets(script, wanted)
        # Git, which notes its environment.
        folder = agent.folder / "bin"
        folder.mkdir()
        git = folder / "git"
        git.write_text(f'#!/bin/sh\nenv >> {agent.folder}/environment\nPATH={agent.values["PATH"]} exec git "$@"\n')
        git.chmod(0o755)
        agent.values["PATH"] = f"{folder}:{agent.values['PATH']}"
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        got = (agent.work / "got").read_bytes().decode().split("\0")[:-1]
        self.assertEqual(got, [TOKEN, KEY, "pa55-of-the-database", "5432", DATABASE])
        environment = (agent.folder / "environment").read_text()
        self.assertIn("BELLHOP_COMMIT", environment)
        for text in ("TOKEN=tok", "BEGIN PRIVATE", "pa55", "BELLHOP_SECRETS"):
            self.assertNotIn(text, environment)
        # One request for the parameters, and one for the secret with three variables.
        self.assertCountEqual(agent.store.asked, [["/bellhop/shop/key", "/bellhop/shop/token"], ["/bellhop/shop/db"]])
        self.assertIn("bellhop: secrets: DB, KEY, PASSWORD, PORT, TOKEN\n", agent.output())
        self.assertIn("bellhop: secrets: PORT is shorter than 6 bytes, which the log does not mask\n", agent.output())
        self.assertEqual(agent.store.mistakes, [])

    def test_a_script_with_an_interpreter_line_gets_them_too(self):
        agent = self.with_secrets('#!/usr/bin/env python3\nimport os\nprint("<" + os.environ["TOKEN"] + ">")\n').run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n<***>\n", agent.output())
        self.assertHidden(agent, TOKEN)

    def test_twenty_parameters_are_two_requests(self):
        names = [f"/bellhop/shop/{number:02}" for number in range(20)]
        agent = self.with_secrets("echo $V00 $V19", "\n".join(f"V{name[-2:]} ssm {name}" for name in names))
        agent.store.parameters |= {name: f"value-of{name}" for name in names}
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n*** ***\n", agent.output())
        self.assertEqual(sorted(map(len, agent.store.asked)), [10, 10])

    def test_without_secrets_nothing_is_asked_for(self):
        agent = self.agent("true").run()
        self.assertEqual((agent.code, agent.store.asked), (0, []))
        self.assertNotIn("secrets:", agent.output())

    # -- what is masked

    def test_what_a_script_prints_of_them_is_masked(self):
        script = """
            echo "plain $TOKEN and $KEY"
            for before in '' a bb; do
              printf '%s%s' "$before" "$TOKEN" | base64 -w 0; echo
              printf '%s%s' "$before" "$TOKEN" | base64 -w 0 | tr '+/' '-_'; echo
              printf '%s%s' "$before" "$KEY" | base64
              printf '%s%s' "$before" "$KEY" | base64 -w 64
            done
            printf '%s' "${TOKEN:0:9}"; printf '%s\\n' "${TOKEN:9}"
            for ((i = 0; i < ${#TOKEN}; i++)); do printf '%s' "${TOKEN:i:1}"; done; echo
            printf '%s' "${TOKEN:0:9}" >&2; printf '%s\\n' "${TOKEN:9}"
            echo "to stderr: $TOKEN" >&2
            echo "twice in a line: $TOKEN$TOKEN, $TOKEN"
            python3 -c 'import json, os, urllib.parse; t = os.environ["TOKEN"]; print(json.dumps([t]), json.dumps(t, ensure_ascii=False), urllib.parse.quote(t), urllib.parse.quote_plus(t, safe=""))'
            set -x; : "$TOKEN"; set +x
            export -p | grep TOKEN
            head -c 200000 /dev/zero | tr '\\0' x
            printf 'at the very end: %s' "$TOKEN"
        """
        agent = self.with_secrets(script, "TOKEN ssm /bellhop/shop/token\nKEY ssm /bellhop/shop/key").run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertHidden(agent, TOKEN, KEY)
        output = re.sub("x{1000,}", "x", agent.output())
        self.assertIn("plain *** and ***\n***\n", output)
        self.assertIn("twice in a line: ***, ***\n", output)
        self.assertIn("to stderr: ***\n", output)
        self.assertIn("at the very end: ***\nbellhop: script: exit code 0", output)

    def test_a_secret_at_every_place_of_the_agents_buffer(self):
        script = f"""
            for length in {' '.join(str(65536 - 64 + step) for step in range(0, 128, 9))}; do
              head -c $length /dev/zero | tr '\\0' x; echo "$TOKEN"
            done
        """
        agent = self.with_secrets(script).run()
        self.assertHidden(agent, TOKEN)
        self.assertEqual(agent.output().count("***\n"), 15)

    def test_what_is_printed_otherwise_is_as_it_was(self):
        agent = self.with_secrets("seq 1 20000; head -c 300000 /dev/urandom | base64 | tee ../random").run()
        numbers = "".join(f"{number}\n" for number in range(1, 20001))
        self.assertIn(numbers + (agent.work / "random").read_text() + "bellhop: script: exit code 0", agent.output())

    def test_the_failed_command_is_masked_in_log_and_report(self):
        agent = self.agent(BELLHOP_SCRIPT="sh -c 'exit 3' x pa55-of-the-database", BELLHOP_SECRETS="PASSWORD secretsmanager /bellhop/shop/db password")
        agent.store.secrets["/bellhop/shop/db"] = DATABASE
        agent.run()
        self.assertEqual(agent.code, 3, agent.output())
        self.assertHidden(agent, "pa55-of-the-database")
        self.assertReport(agent, phase="script", command="sh -c 'exit 3' x ***", line=1)
        self.assertRegex(agent.output(), r"bellhop: script: exit code 3 after \d s, line 1: .* \*\*\*\n")

    def test_a_secret_that_is_cut_off_in_a_long_command_leaves_nothing(self):
        agent = self.with_secrets("sh -c 'exit 3' " + "x" * 1980 + " pa55-of-the-database", "PASSWORD secretsmanager /bellhop/shop/db password").run()
        self.assertEqual(agent.code, 3, agent.output())
        self.assertNotIn("pa55", agent.report["command"])

    def test_artifacts_and_their_errors(self):
        agent = self.with_secrets('echo content > out; echo content > "pa55-of-the-database"', "PASSWORD secretsmanager /bellhop/shop/db password", patterns="*5*", AWS_MAX_ATTEMPTS="1")
        agent.store.denied = "/artifacts/"
        agent.run()
        self.assertEqual(agent.code, 91, agent.output())
        self.assertReport(agent, phase="script", message="the script succeeded, but the artifacts could not be uploaded: ***: S3 answered 403 AccessDenied: denied")
        self.assertHidden(agent, "pa55-of-the-database")

    def test_a_line_that_may_be_the_beginning_of_a_secret_is_not_held_for_long(self):
        agent = self.with_secrets("printf 'password: tok3n'; sleep 8; echo").start()
        agent.wait_for("password: ")
        shown = time.monotonic()
        agent.wait_for("password: tok3n")
        self.assertLess(time.monotonic() - shown, 6)
        agent.end()
        self.assertEqual(agent.code, 0)

    def test_other_lines_are_not_held_at_all(self):
        # The log has a line before the script does anything else: it waits for that.
        agent = self.with_secrets("echo an ordinary line; until [[ -e ../seen ]]; do sleep 0.02; done").start()
        agent.wait_for("an ordinary line\n")
        (agent.work / "seen").touch()
        agent.end()
        self.assertEqual(agent.code, 0)

    # -- what is wrong

    def assertRefused(self, agent, phase, *texts):
        self.assertEqual(agent.code, 92, agent.output())
        self.assertNotIn("never", agent.output())
        self.assertNotIn("checkout:", agent.output())
        self.assertReport(agent, phase=phase, signalled=False, command=None, line=None)
        for text in texts:
            self.assertIn(text, agent.report["message"])
            self.assertIn(text, agent.output())

    def test_a_secret_that_is_missing(self):
        wanted = "TOKEN ssm /bellhop/shop/token\nOTHER ssm /bellhop/shop/other\nDB secretsmanager /bellhop/shop/nothing"
        agent = self.with_secrets("echo never", wanted).run()
        self.assertRefused(
            agent,
            "secret-refused",
            "OTHER: the parameter /bellhop/shop/other does not exist in this region: create it, or correct its name in `secrets`",
            "DB: the secret /bellhop/shop/nothing of Secrets Manager does not exist in this region",
        )
        self.assertNotIn("TOKEN", agent.report["message"])

    def test_a_secret_that_is_denied(self):
        agent = self.with_secrets("echo never", "TOKEN ssm /bellhop/shop/token\nKEY ssm /bellhop/shop/key")
        agent.store.forbidden.add("/bellhop/shop/key")
        agent.run()
        self.assertRefused(agent, "secret-refused", "KEY: the agent's role may not read the parameter /bellhop/shop/key: it needs ssm:GetParameters for it")
        self.assertNotIn("TOKEN:", agent.report["message"])
        agent = self.with_secrets("echo never", "DB secretsmanager /bellhop/shop/db")
        agent.store.forbidden.add("/bellhop/shop/db")
        self.assertRefused(agent.run(), "secret-refused", "DB: the agent's role may not read the secret /bellhop/shop/db of Secrets Manager: it needs secretsmanager:GetSecretValue")

    def test_a_secret_that_is_no_value_for_a_variable(self):
        for value, key, expected in [
            (b"\0\1", "", "is binary: expected a text"),
            ("x" * 40000, "", "has 40000 bytes: at most 32 KiB fit into a variable"),
            ("no-json-at-all", " password", 'is no JSON object: expected one with the key "password"'),
            ('{"other": "no-json-at-all"}', " password", 'has no key "password"'),
        ]:
            with self.subTest(expected):
                agent = self.with_secrets("echo never", f"DB secretsmanager /bellhop/shop/db{key}")
                agent.store.secrets["/bellhop/shop/db"] = value
                self.assertRefused(agent.run(), "secret-refused", f"DB: the secret /bellhop/shop/db of Secrets Manager {expected}")
                self.assertNotIn("no-json-at-all", agent.output())

    def test_throttled_requests_are_tried_again(self):
        agent = self.with_secrets("echo \"<$TOKEN>\"")
        agent.store.throttles = 2
        agent.run()
        self.assertEqual(agent.code, 0, agent.output())
        self.assertIn("\n<***>\n", agent.output())

    def test_a_service_that_does_not_answer_is_no_fault_of_the_job(self):
        agent = self.with_secrets("echo never", AWS_MAX_ATTEMPTS="2")
        agent.store.throttles = 99
        self.assertRefused(agent.run(), "secrets", "TOKEN: the parameter /bellhop/shop/token could not be read: Parameter Store answered 400 ThrottlingException: Rate exceeded")
        agent = self.with_secrets("echo never", AWS_ACCESS_KEY_ID=None)
        agent.run()
        self.assertEqual(agent.code, 92)
        self.assertIn("no credentials: expected AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", agent.output())

    def test_references_that_cannot_be_read(self):
        agent = self.with_secrets("echo never", "TOKEN vault a-value-by-mistake").run()
        self.assertRefused(agent, "secrets", "BELLHOP_SECRETS cannot be read: expected lines VARIABLE ssm NAME")
        self.assertNotIn("by-mistake", agent.output())

    def test_sigterm_while_they_are_fetched(self):
        agent = self.with_secrets("echo never")
        agent.store.throttles = 99
        agent.start()
        end = time.monotonic() + 20
        while agent.store.throttles > 97 and time.monotonic() < end:
            time.sleep(0.02)
        sent = agent.terminate()
        agent.end()
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(agent.code, 143, agent.output())
        self.assertReport(agent, phase="checkout", signalled=True)


if __name__ == "__main__":
    unittest.main()
