"""The environment that the template gives each function, against the variables that the built function asks for.

    BELLHOP_BINARIES=target/debug python test_environment.py        with the requirements of requirements.txt installed

Each binary runs for a moment, with a small library before libc's that writes down what it asks for, until it would wait for its first event. What a
function asks for only while it works on an event does not show: functions read their environment once, when they start. Nor does what is read by going
through the whole environment instead of asking by name. Needs a C compiler, which Rust needs as well, and Linux.
"""

import os
import platform
import subprocess
import tempfile
import unittest
from pathlib import Path

from infra import PROGRAMS, SUITE, Template

HERE = Path(__file__).resolve().parent
# Where nobody listens: the function ends at once when it asks Lambda for its first event.
NOBODY = "127.0.0.1:1"
# What Lambda and the SDK want to find, so that neither gives up early nor looks elsewhere.
LAMBDA = {
    "AWS_LAMBDA_RUNTIME_API": NOBODY,
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# How long a function may take to start, in seconds.
START = 30
OWN = "BELLHOP_"

# Variables of the suite's own that functions ask for and are not given, with the functions that are given them, and why the others need not be.
NOT_GIVEN = {
    "BELLHOP_TABLE_ARN": ({"backup"}, "the backup of the suite's own table is started by this one alone"),
    "BELLHOP_BACKUP_VAULT": ({"backup"}, "likewise"),
    "BELLHOP_BACKUP_ROLE_ARN": ({"backup"}, "likewise"),
    "BELLHOP_CALLERS": ({"control-url"}, "no other function is invoked by a function URL"),
}


def compile_probe(folder):
    """The library that writes down what is asked for."""
    library = folder / "getenv.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "getenv.c"), "-ldl"], check=True)
    return library


def asked_for(binary, library, folder):
    """The variables that a program asks for, first without any of its own and then with all of them."""
    names = set()
    for _ in range(2):
        seen = folder / "seen"
        seen.unlink(missing_ok=True)
        own = {name: "value" for name in names if name.startswith(OWN)}
        environment = {**LAMBDA, **own, "LD_PRELOAD": str(library), "PROBE_FILE": str(seen)}
        ended = subprocess.run([str(binary)], env=environment, capture_output=True, text=True, timeout=START, check=False)
        if not seen.exists():
            raise RuntimeError(f"{binary} asked for nothing: {ended.stderr}")
        names |= set(seen.read_text().split())
    # It came as far as asking for its first event, and failed at that.
    if "the Lambda runtime failed" not in ended.stdout:
        raise RuntimeError(f"{binary} did not start: {ended.stdout}{ended.stderr}")
    return names - {"PROBE_FILE"}


def given(template):
    """The variables that the template gives each function, by the functions' names."""
    return {
        function["FunctionName"]["Fn::Sub"].removeprefix("${Suite}-"): set(function["Environment"]["Variables"])
        for function in template.of_type("AWS::Lambda::Function").values()
    }


def environment(template, asked):
    """What is wrong with the functions' environments, one line each."""
    found = []
    for function, variables in given(template).items():
        for name in sorted(variables - asked[function]):
            found.append(f"{function} is given {name}, and never asks for it")
        for name in sorted(asked[function] - variables):
            if name.startswith(OWN) and (name not in NOT_GIVEN or function in NOT_GIVEN[name][0]):
                found.append(f"{function} asks for {name}, and is not given it")
    for name, (functions, why) in NOT_GIVEN.items():
        for function, variables in given(template).items():
            if function not in functions and (name in variables or name not in asked[function]):
                found.append(f"{function} need not be given {name} ({why}), and is, or does not ask for it")
    return found


def missing(template):
    del template.properties("SweepFunction")["Environment"]["Variables"]["BELLHOP_CONFIG_KEY"]


def missing_where_needed(template):
    del template.properties("BackupFunction")["Environment"]["Variables"]["BELLHOP_BACKUP_VAULT"]


def misspelt(template):
    variables = template.properties("PushFunction")["Environment"]["Variables"]
    variables["BELLHOP_TOPIC"] = variables.pop("BELLHOP_TOPIC_ARN")


def one_too_many(template):
    template.properties("PushFunction")["Environment"]["Variables"]["BELLHOP_COLOUR"] = "green"


def given_where_not_needed(template):
    variables = template.properties("PushFunction")["Environment"]["Variables"]
    variables["BELLHOP_BACKUP_VAULT"] = "bellhop"


# What is broken, and what has to be found.
FAULTS = [
    (missing, ["sweep asks for BELLHOP_CONFIG_KEY, and is not given it"]),
    (missing_where_needed, ["backup asks for BELLHOP_BACKUP_VAULT, and is not given it"]),
    (misspelt, ["push is given BELLHOP_TOPIC, and never asks for it", "push asks for BELLHOP_TOPIC_ARN, and is not given it"]),
    (one_too_many, ["push is given BELLHOP_COLOUR, and never asks for it"]),
    (given_where_not_needed, ["push need not be given BELLHOP_BACKUP_VAULT (likewise), and is, or does not ask for it"]),
]


@unittest.skipUnless(platform.system() == "Linux", "what a program asks for is seen on Linux alone")
class Environment(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = Template.read(SUITE)
        binaries = Path(os.environ["BELLHOP_BINARIES"])
        with tempfile.TemporaryDirectory() as folder:
            library = compile_probe(Path(folder))
            cls.asked = {function: asked_for(binaries / PROGRAMS.get(function, function), library, Path(folder)) for function in given(cls.template)}

    def test_every_function_is_given_what_it_asks_for_and_no_more(self):
        self.assertEqual(environment(self.template, self.asked), [])

    def test_every_fault_is_found(self):
        for fault, expected in FAULTS:
            template = self.template.copy()
            fault(template)
            with self.subTest(fault=fault.__name__):
                self.assertEqual(environment(template, self.asked), expected)


if __name__ == "__main__":
    unittest.main()
