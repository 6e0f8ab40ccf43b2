"""The commands of the documents that no test runs: whether programs, options and files of those names exist."""

import re
from functools import cache

import jmespath
from awscli.clidriver import create_clidriver

from documents import LOCAL, ROOT
from infra import Template

FUNCTIONS = {folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()}
# What cargo brings itself, and what its users install. `cargo xtask` is judged by a test of xtask's own.
CARGO = {"xtask", "build", "test", "run", "bench", "clippy", "fmt", "doc", "install", "update", "metadata", "mutants", "lambda", "deny", "fuzz"}
# What version 2 of the AWS CLI has beside version 1, whose models these are, and which the tests run.
# https://docs.aws.amazon.com/cli/latest/userguide/cliv2-migration-changes.html
SECOND_VERSION_OPTIONS = {"no-cli-pager", "cli-binary-format", "cli-input-yaml", "cli-auto-prompt"}
# https://docs.aws.amazon.com/cli/latest/reference/logs/tail.html
# https://docs.aws.amazon.com/cli/latest/reference/configure/export-credentials.html
SECOND_VERSION_COMMANDS = {
    ("logs", "tail"): {"since", "follow", "format", "filter-pattern", "log-stream-names", "log-stream-name-prefix"},
    ("configure", "export-credentials"): {"format"},
}
# Options with which a request comes from elsewhere.
WHOLE_REQUEST = {"cli-input-json", "cli-input-yaml", "generate-cli-skeleton"}

# Where a command can begin: a line, behind what ends another one, behind a word of the shell's, in xargs.
BEGINS = r"(?:^|[|;&({{]|\b(?:do|then|else|while|until|if|time|env|!|\w+=\S+)\s|\bxargs [^|\n]*?)\s*{program}[ \t]+"
FILE = re.compile(r"(?<![\w/.$}~-])(?:events|infra|tests|docs|functions|shared|xtask)/[\w./-]*\w")
# An output of the stack, by the shell function of docs/how-to/install.md.
STACK = re.compile(r"\bstack (?!NAME\b)([A-Z]\w+)")


@cache
def outputs():
    """What infra/bellhop.yaml puts out."""
    return Template.read(ROOT / "infra" / "bellhop.yaml").document["Outputs"]


def commands_that_fail(documents):
    found = []
    for document in documents:
        for block in document.blocks:
            if block.language == "sh":
                found += [f"{document}, line {block.line}: {wrong}" for wrong in wrong_commands(block.text)]
        for passage in document.passages:
            for code in passage.code:
                found += [f"{document}, line {passage.line}: {wrong}" for wrong in wrong_commands(code, whole=False)]
    return found


def wrong_commands(text, whole=True):
    """What is wrong with the commands of a text. In prose, not the whole command is there."""
    second = not text.startswith(LOCAL)
    found = [wrong for words in commands(text, "aws") for wrong in wrong_aws(words, whole, second)]
    found += [wrong for words in commands(text, "cargo") if (wrong := wrong_cargo(words))]
    found += [f"the stack puts out no {name}" for name in STACK.findall(text) if name not in outputs()]
    if whole:
        found += [f"there is no file {file}" for file in FILE.findall(text) if not (ROOT / file).exists()]
    return found


def commands(text, program):
    """The words behind the name of a program, wherever the text calls it."""
    return [shell_words(text, match.end()) for match in re.finditer(BEGINS.format(program=program), text, re.MULTILINE)]


def shell_words(text, at):
    """The words of a command of Bash's from here to its end, without quotes; `$…` stays as it is. Nor where its output goes to."""
    found, word, redirected = [], None, False

    def end_word():
        nonlocal word, redirected
        if word is not None and not redirected:
            found.append(word)
        redirected = redirected and word is None
        word = None

    while at < len(text):
        character = text[at]
        if character == "\\":
            word = word if text[at + 1 : at + 2] == "\n" else (word or "") + text[at + 1 : at + 2]
            at += 2
        elif character == "'":
            end = text.find("'", at + 1) if "'" in text[at + 1 :] else len(text)
            word = (word or "") + text[at + 1 : end]
            at = end + 1
        elif character == '"':
            end = closing(text, at + 1, '"')
            word = (word or "") + text[at + 1 : end]
            at = end + 1
        elif text.startswith("$(", at) or text.startswith("<(", at):
            end = closing(text, at + 2, ")")
            word = (word or "") + text[at : end + 1]
            at = end + 1
        elif character in "<>":
            word = None if word and word.isdigit() else word
            end_word()
            redirected = True
            at += len(re.match(r"[<>&]+", text[at:]).group())
        elif character in "|;&)\n" or (character == "#" and word is None):
            break
        elif character.isspace():
            end_word()
            at += 1
        else:
            word = (word or "") + character
            at += 1
    end_word()
    return found


def closing(text, at, end):
    """Where a quote or a command within another one ends."""
    while at < len(text) and text[at] != end:
        if text[at] == "\\":
            at += 2
        elif text.startswith("$(", at):
            at = closing(text, at + 2, ")") + 1
        elif end == ")" and text[at] in "'\"":
            at = (closing(text, at + 1, '"') if text[at] == '"' else text.find("'", at + 1)) + 1
        else:
            at += 1
    return at


def wrong_cargo(words):
    if not words:
        return None
    aliases = re.findall(r'^(\w+) = "', (ROOT / ".cargo" / "config.toml").read_text(), re.MULTILINE)
    if words[0] not in CARGO and words[0] not in aliases:
        return f"cargo has no {words[0]}"
    if words[:2] == ["lambda", "invoke"] and len(words) > 2:
        if words[2] not in FUNCTIONS and words[2] not in ("NAME", "--help"):
            return f"there is no function {words[2]}"
    return None


@cache
def driver():
    """The AWS CLI's own tables, without a request."""
    driver = create_clidriver()
    return driver._get_command_table(), driver._get_argument_table().keys()


def operations(command):
    return command._get_command_table() if hasattr(command, "_get_command_table") else getattr(command, "subcommand_table", {})


def wrong_aws(words, whole, second):
    """What the AWS CLI would have against a command before it asks AWS: version 2, or the first."""
    services, everywhere = driver()
    everywhere = everywhere | (SECOND_VERSION_OPTIONS if second else set())
    names, rest, table, command = [], list(words), services, None
    while rest and table and not rest[0].startswith("-"):
        names.append(rest.pop(0))
        if second and tuple(names) in SECOND_VERSION_COMMANDS:
            return wrong_options(names, rest, SECOND_VERSION_COMMANDS[tuple(names)] | everywhere)
        if names[-1] not in table:
            return [f"the AWS CLI has no {' '.join(names)}"]
        command = table[names[-1]]
        table = operations(command)
    arguments = getattr(command, "arg_table", {})
    found = wrong_options(names, rest, arguments.keys() | everywhere)
    given = {word[2:].partition("=")[0] for word in rest if word.startswith("--")}
    if whole and not table and not given & WHOLE_REQUEST:
        required = [name for name, argument in arguments.items() if argument.required and argument.cli_name.startswith("--")]
        found += [f"aws {' '.join(names)} lacks --{name}" for name in required if name not in given]
    return found + wrong_values(names, rest, arguments)


def wrong_options(names, rest, known):
    given = [word[2:].partition("=")[0] for word in rest if word.startswith("--") and len(word) > 2]
    return [f"aws {' '.join(names)} has no --{name}" for name in given if name not in known]


def wrong_values(names, rest, arguments):
    """Values that the service's model does not have, and queries that are none."""
    found = []
    for option, value in zip(rest, rest[1:]):
        model = getattr(arguments.get(option[2:]), "argument_model", None)
        allowed = getattr(model, "enum", None)
        if option.startswith("--") and "$" not in value:
            if allowed and value not in allowed and not value.startswith("--"):
                found.append(f"aws {' '.join(names)} {option} is none of {', '.join(allowed)}: {value}")
            if option == "--query":
                try:
                    jmespath.compile(value)
                except jmespath.exceptions.JMESPathError as error:
                    found.append(f"aws {' '.join(names)} {option}: {' '.join(str(error).split())}")
    return found
