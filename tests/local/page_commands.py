"""The commands of a page of docs, as somebody gives them to a shell who follows it."""

import os
import subprocess
import threading
import uuid
from pathlib import Path
from typing import NamedTuple

from documents import LOCAL, MARKERS

# How long a command may take, in seconds.
PATIENCE = 120


class Command(NamedTuple):
    text: str
    locally: bool
    section: str


def whole(text):
    """Whether Bash takes this for whole commands. An open here-document is a warning alone."""
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    return checked.returncode == 0 and not checked.stderr and not text.endswith("\\\n")


def commands(block):
    """The commands of a block: each ends with the first line that makes it whole."""
    found, open_lines = [], ""
    for line in block.splitlines(keepends=True):
        open_lines += line
        if whole(open_lines):
            found.append(open_lines)
            open_lines = ""
    if open_lines:
        raise ValueError(f"no whole command: {open_lines}")
    return found


def read(document):
    """All commands of a document, in order. Every block of them has to say who gives them."""
    found = []
    for block in document.blocks:
        if block.language == "sh":
            who, _, text = block.text.partition("\n")
            if who not in MARKERS:
                raise ValueError(f"{document}, line {block.line}: a block does not say who gives its commands: {who}")
            found += [Command(command, who == LOCAL, block.section) for command in commands(text)]
    return found


class Shell:
    """One Bash for all commands, which ends with the first that fails."""

    def __init__(self, folder, environment):
        self.script = Path(folder) / f".command-{uuid.uuid4().hex}"
        self.bash = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, text):
        """What a command prints."""
        self.script.write_text(text)
        end = uuid.uuid4().hex
        self.bash.stdin.write(f"source {self.script} </dev/null\necho; echo {end}\n")
        self.bash.stdin.flush()
        late = threading.Timer(PATIENCE, self.bash.kill)
        late.start()
        printed = []
        for line in self.bash.stdout:
            if line.strip() == end:
                late.cancel()
                return "".join(printed)
            printed.append(line)
        late.cancel()
        raise AssertionError(f"{text}failed:\n{''.join(printed)}")

    def close(self):
        self.bash.stdin.close()
        self.bash.stdout.close()
        self.bash.wait(10)
        self.script.unlink(missing_ok=True)
