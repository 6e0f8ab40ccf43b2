"""The documents: links, blocks, commands, figures, words and lines. Each check is shown to find what it is there for.

    python -m unittest test_documents     with the requirements of requirements.txt installed
"""

import unittest

import command_checks
from document_checks import CHECKS
from documents import ROOT, Document, all_documents

# Four pages in which nothing is found.
PAGES = {
    "README.md": "# Bellhop\n\n[The map](docs/index.md).\n",
    "docs/index.md": "# Map\n\n[Install](how-to/install.md#the-stack), [cost](explanation/cost.md).\n",
    "docs/how-to/install.md": "# Install\n\n## The stack\n\n```sh\n# needs an account\naws s3 ls\n```\n",
    "docs/explanation/cost.md": "# Cost\n\nA month costs US$ 5.20, and a start takes 12 ms. It takes 10 minutes.\n",
}


def sh(line, marker="# needs an account"):
    return f"```sh\n{marker}\n{line}\n```"


# A check, what is added to the page of the installation, and what the check says then.
FAULTS = [
    ("links", "[a](none.md)", "line 10: none.md is not there"),
    ("links", "![a](none.svg)", "none.svg is not there"),
    ("links", "[a](../index.md#maps)", "../index.md#maps is no heading of docs/index.md"),
    ("links", "[a](#the-stock)", "is no heading of docs/how-to/install.md"),
    ("links", "| a |\n|---|\n| [a](none.md) |", "none.md is not there"),
    ("links", "[a](https://localhost/a)", "has no host"),
    ("links", "[a](htps://example.com)", "begins with htps:"),
    ("languages", "```\na\n```", "a block without a language: a"),
    ("languages", "```bash\na\n```", "bash is none of"),
    ("languages", "```sh\na\n```", "does not say who gives its commands: a"),
    ("languages", "- a\n\n  ```sh\n  # runs local\n  ```", "# runs local"),
    ("languages", "```yaml\njobs: {}\n```", "does not say which file it is of"),
    ("languages", "a\n\n    b", "code without a fence: b"),
    ("syntax", '```json\n{"a":}\n```', "no json: Expecting value"),
    ("syntax", '```json\n{"a":1}\n{"b"}\n```', "no json: Expecting"),
    ("syntax", "```yaml\n# CloudFormation\na: [\n```", "no yaml: while parsing"),
    ("commands", sh("aws s4 ls"), "line 10: the AWS CLI has no s4"),
    ("commands", sh("aws ecs list-task"), "the AWS CLI has no ecs list-task"),
    ("commands", sh("aws ecs list-tasks --clusters ci"), "aws ecs list-tasks has no --clusters"),
    ("commands", sh("aws ecs list-tasks \\\n  --cluster=ci --famly a"), "has no --famly"),
    ("commands", sh("aws logs tail a --following"), "aws logs tail has no --following"),
    ("commands", sh("aws logs tail a", "# on AWS, or the local AWS"), "the AWS CLI has no logs tail"),
    ("commands", sh("aws ecs list-tasks --cli-binary-format a", "# on AWS, or the local AWS"), "has no --cli-binary-format"),
    ("commands", sh("aws logs create-log-group"), "aws logs create-log-group lacks --log-group-name"),
    ("commands", sh("aws ecs list-tasks --desired-status RUNING"), "--desired-status is none of RUNNING"),
    ("commands", sh("aws ecs list-tasks --query 'a['"), "aws ecs list-tasks --query: "),
    ("commands", sh('a=$(echo "$(aws ecs list-task | cat)" b)'), "ecs list-task"),
    ("commands", sh("until aws ecs wait service-stable --services a; do :; done"), "ecs wait service-stable"),
    ("commands", sh("echo a | xargs -n 1 aws ecs stop-tasks --task"), "ecs stop-tasks"),
    ("commands", "Give `aws ecs stop-tasks`.", "line 10: the AWS CLI has no ecs stop-tasks"),
    ("commands", sh("cargo function --arm64", "# in this repository"), "cargo has no function"),
    ("commands", sh("cargo lambda invoke pusher", "# in this repository"), "there is no function pusher"),
    ("commands", sh("cat events/none.json", "# in this repository"), "there is no file events/none.json"),
    ("figures", "It costs US$ 5.20.", "US$ 5.20 has no link"),
    ("figures", "It costs US$ 5.20 ([why](../index.md)).", "US$ 5.20 has no link"),
    ("figures", "It costs US$ 5.2 ([why](../explanation/cost.md)).", "US$ 5.2 is not in docs/explanation/cost.md"),
    ("figures", "| a | 12 ms |\n|---|---|\n| b | 13 ms |", "13 ms has no link"),
    ("figures", "It takes 0.5 s.", "0.5 s has no link"),
    ("figures", "It takes ten minutes or so on two cores.", "ten minutes has no link"),
    ("figures", "<!-- computed: bill -->\n\na\n\n<!-- end -->\n\nUS$ 1", "US$ 1 has no link"),
    ("figures", "It costs $5 or 5 dollars.", "$5 has no link"),
    ("figures", "It takes 12ms.", "12ms has no link"),
    ("parts", "<!-- computed: bill -->\n\nUS$ 1 in 7 ms\n\n<!-- end -->", "no program writes parts of it"),
    ("parts", "<!-- computed: bill -->\n\nUS$ 1", "a computed part has no end"),
    ("HTML", 'See <a href="nowhere.md">it</a>.', "is HTML"),
    ("languages", "```sh-session\naws s4 ls\n```", "sh-session is none of"),
    ("languages", "```text\n$ aws s4 ls\n```", "commands are `sh`"),
    ("commands", sh('echo "$(stack BucketNmae)"'), "the stack puts out no BucketNmae"),
    ("words", "Whoever may invoke it.", "Whoever"),
    ("words", "The run\ngoes on.", "goes on"),
    ("words", "| a |\n|---|\n| Its owner is told |", "is told"),
    ("words", "It is no duration.", "It is no "),
    ("lines", "a " * 51, "line 10: 102 columns"),
    ("lines", "- " + "a " * 50, "102 columns"),
    ("lines", "[" + "a " * 51 + "](../index.md)", "104 columns"),
]

# What is added to a page and is right, although it looks like one of the above.
RIGHT = [
    "[a](https://example.com/a_(b)?c=d#e), [a](#the-stack), [a](../../Cargo.toml), [a](../reference)",
    "<!-- a -->\n\n```text\nUS$ 5 whoever\n```\n\n`whoever`, <https://example.com/nobody>; there is no job, it is no longer there, it is told to stop, they are told apart",
    "It costs US$ 5.20, starts in 12 ms and takes 10 minutes on two cores ([why](../explanation/cost.md)).",
    "It waits for 10 minutes, 30 s, 24h.",
    f"[a](https://example.com/{'a' * 100})",
    f"| {'a ' * 60}|\n|---|\n| a |",
    f"# {'a' * 120}",
    '```json\n{"a":1}\n{"b":"RUN"}\n```',
    "```yaml\n# buildspec.yml\nversion: 0.2\n```",
    "```yaml\n# Of everybody.\nversion: 1\njobs: {}\n```",
    "```yaml\n# CloudFormation\na: !Sub ${b}\n```",
    sh("# aws nothing\naws logs tail --follow a # --nothing\naws s3 cp - s3://a > --nothing\necho 'a; b' \"$(aws ecs list-tasks --query \"a[?b=='c']\" | cat)\""),
    sh("aws lambda invoke --function-name push --payload fileb://events/control/list.json /dev/stdout"),
    sh("aws sns publish --cli-input-json file://a.json --no-cli-pager"),
    sh("cargo functions --arm64\ncargo lambda invoke push --data-file events/codecommit/push.json", "# in this repository"),
    "Give `aws ecs stop-task`.",
]


def documents(added="", path="docs/how-to/install.md"):
    return [Document(ROOT / name, text + (f"\n{added}\n" if name == path else "")) for name, text in PAGES.items()]


class Checks(unittest.TestCase):
    def test_every_fault_is_found(self):
        for check, added, said in FAULTS:
            with self.subTest(check=check, added=added):
                self.assertIn(said, "\n".join(CHECKS[check](documents(added))))

    def test_what_is_right_passes(self):
        for added in ["", *RIGHT]:
            for name, check in CHECKS.items():
                with self.subTest(check=name, added=added):
                    self.assertEqual(check(documents(added)), [])

    def test_each_check_has_a_fault(self):
        others = {"map", "length of the README"}
        self.assertEqual({check for check, *_ in FAULTS}, CHECKS.keys() - others)

    def test_a_page_without_a_link_is_found(self):
        alone = Document(ROOT / "docs" / "how-to" / "remove.md", "# Remove\n")
        self.assertEqual(
            CHECKS["map"]([*documents(), alone]),
            ["docs/how-to/remove.md: README.md does not lead to it", "docs/how-to/remove.md: docs/index.md has no link to it"],
        )
        behind = documents("[Remove](remove.md)")
        self.assertEqual(CHECKS["map"]([*behind, alone]), ["docs/how-to/remove.md: docs/index.md has no link to it"])

    def test_a_long_readme_is_found(self):
        name = "length of the README"
        self.assertEqual(CHECKS[name](documents("a\n" * 150, "README.md")), ["README.md: 155 lines, and 150 may be"])
        self.assertEqual(CHECKS[name](documents("a\n" * 150)), [])

    def test_headings_get_githubs_anchors(self):
        document = Document("a.md", "# The `stack()`, and: *this*\n\n## Ä-b c_d\n\n## Ä-b c_d\n")
        self.assertEqual(document.anchors, {"the-stack-and-this", "ä-b-c_d", "ä-b-c_d-1"})

    def test_words_are_bashs(self):
        text = """aws a "b c" 'd"e' f\\ g --h="$(i "j)" | k)" 2>/dev/null \\\n  l <<<m | n"""
        [words] = command_checks.commands(text, "aws")
        self.assertEqual(words, ["a", "b c", 'd"e', "f g", '--h=$(i "j)" | k)', "l"])


class Documents(unittest.TestCase):
    def test_nothing_is_found(self):
        documents = all_documents()
        self.assertIn("README.md", [str(document) for document in documents])
        for name, check in CHECKS.items():
            with self.subTest(check=name):
                found = check(documents)
                self.assertEqual(found, [], "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
