"""Whether deny.toml finds what it has to: each fault below is made in a small package, and cargo-deny has to end with the exit code of the check that
forbids it. `BELLHOP_CARGO_DENY` is the program; `cargo xtask test --only dependencies` sets it.
"""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Entries of deny.toml that only the workspace needs are no error in a small package.
OF_THE_WORKSPACE = [word for name in ("license-not-encountered", "unmatched-skip", "unnecessary-skip", "unused-wrapper") for word in ("--allow", name)]
BANS, LICENCES, SOURCES = 2, 4, 8

# What is wrong, the exit code, the package's dependencies (GIT is the URL of the repository that is its folder), and the packages behind it: name, version,
# and the rest of the manifest.
PLAIN = ("plain", "1.0.0", "license = 'MIT'")
FAULTS = [
    ("nothing wrong", 0, "plain = { path = '1.0.0', version = '1' }", [PLAIN]),
    ("a licence with more conditions", LICENCES, "copyleft = { path = '1.0.0', version = '1' }", [("copyleft", "1.0.0", "license = 'GPL-3.0-only'")]),
    ("no licence", LICENCES, "unlicensed = { path = '1.0.0', version = '1' }", [("unlicensed", "1.0.0", "")]),
    ("a second TLS stack", BANS, "openssl = { path = '0.10.0', version = '0.10' }", [("openssl", "0.10.0", "license = 'Apache-2.0'")]),
    (
        "two versions of one crate",
        BANS,
        "one = { path = '1.0.0', version = '1', package = 'twice' }\ntwo = { path = '2.0.0', version = '2', package = 'twice' }",
        [("twice", "1.0.0", "license = 'MIT'"), ("twice", "2.0.0", "license = 'MIT'")],
    ),
    (
        "any version",
        BANS,
        "plain = { path = '1.0.0', version = '1' }",
        [("plain", "1.0.0", "license = 'MIT'\n\n[dependencies]\nnext = { path = '../2.0.0' }"), ("next", "2.0.0", "license = 'MIT'")],
    ),
    ("a source that is not crates.io", SOURCES, "plain = { git = 'GIT', version = '1' }", [PLAIN]),
]


def write_package(folder, name, version, rest):
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "lib.rs").write_text("")
    (folder / "Cargo.toml").write_text(f"[package]\nname = '{name}'\nversion = '{version}'\nedition = '2024'\n{rest}\n")


def commit(repository):
    """A repository of a folder, with the name and address that its one commit needs."""
    person = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for arguments in (["init", "--quiet"], ["add", "."], [*person, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)


class Dependencies(unittest.TestCase):
    def test_every_fault_is_found(self):
        for what, code, dependencies, behind in FAULTS:
            with self.subTest(what), tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for package in behind:
                    write_package(folder / package[1], *package)
                if "GIT" in dependencies:
                    repository = folder / behind[0][1]
                    commit(repository)
                    dependencies = dependencies.replace("GIT", f"file://{repository}")
                dependencies = dependencies.replace("path = '", "path = '../")
                write_package(
                    folder / "app",
                    "app",
                    "0.1.0",
                    f"license = 'Apache-2.0'\npublish = false\n\n[dependencies]\n{dependencies}\n\n[workspace]",
                )
                deny = [os.environ["BELLHOP_CARGO_DENY"], "--config", ROOT / "deny.toml", "--manifest-path", folder / "app" / "Cargo.toml", "check"]
                # The copies of repositories that cargo keeps go with the folder.
                environment = {**os.environ, "CARGO_HOME": str(folder / "cargo")}
                checks = ["licenses", "bans", "sources"]
                run = subprocess.run([*deny, *OF_THE_WORKSPACE, *checks], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                self.assertEqual(run.returncode, code, run.stderr)


if __name__ == "__main__":
    unittest.main()
