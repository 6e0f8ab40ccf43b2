"""Checks of the documents. Each is given all of them, and gives what it finds, one line each.

    python document_checks.py        prints everything that is found, with the requirements of requirements.txt installed
"""

import json
import re
from urllib.parse import urlsplit

import yaml

from command_checks import commands_that_fail
from documents import MARKERS, ROOT, all_documents

README, INDEX = "README.md", "docs/index.md"
README_LINES = 150
COLUMNS = 100

# What a YAML block that is no whole file of Bellhop's begins with. A test of tests/checks has the parsers read the first two.
FRAGMENTS = ("# part of .bellhop.yaml", "# part of config/bellhop.yaml", "# CloudFormation")
OTHER_FILE = re.compile(r"# [\w./-]+\.ya?ml$")

# Where prices and measured figures are at home, and which other documents may have some: they say what was measured once.
HOMES = ("docs/explanation/cost.md", "docs/explanation/performance.md", "docs/contributing/testing.md")
HISTORY = ("CHANGELOG.md", "docs/explanation/decisions/")
FIGURE = re.compile(
    r"US\$ ?\d[\d.,]*\b|(?<!US)[$€]\d[\d.,]*|(?<![\w.])\d[\d.,]* ?(?:USD|dollars?|cents?)\b"
    r"|(?<![\w.])\d[\d.,]* ?(?:ms|milliseconds?)\b|(?<![\w.])\d+\.\d+ ?(?:s|seconds)\b"
    r"|\b(?:\d[\d.]*|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty) minutes(?=[^.]* on two cores)"
)
COMPUTED, END = re.compile(r"<!-- (?:computed|measured): [\w-]+ -->"), "<!-- end -->"
# The pages of which programs write parts.
WRITTEN = {README, *HOMES[:2], *(f"docs/reference/{name}.md" for name in ("alarms", "environment", "limits", "messages", "parameters", "pipeline-file", "requests", "suite-configuration"))}
# The languages of blocks.
LANGUAGES = ("sh", "yaml", "json", "text", "groovy")

# What makes a sentence be read twice.
AVOIDED = re.compile(
    r"\b(?:whoever|whatever|but for|nobody|hangs? on|go(?:es)? on|hears? of|heard of|at all times|closes the matter|rings?(?: the bell)?"
    r"|(?:is|are|was|were|be) told(?! to\b| apart\b)|(?:it|that|this|which) is no (?!longer|more|less|other))\b",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"https?://\S+")


def links_that_lead_nowhere(documents):
    by_path = {document.path.resolve(): document for document in documents}
    found = []
    for document in documents:
        for link in document.links:
            target = document.target(link.target)
            if target is None:
                wrong = wrong_address(link.target)
            elif not target[0].exists() and target[0] not in by_path:
                wrong = "is not there"
            elif target[1] and target[0] in by_path and target[1] not in by_path[target[0]].anchors:
                wrong = f"is no heading of {by_path[target[0]]}"
            else:
                continue
            found += [f"{document}, line {link.line}: {link.target} {wrong}"] if wrong else []
    return found


def wrong_address(target):
    """What is wrong with an address outside of the repository. Whether somebody answers there is not asked."""
    address = urlsplit(target)
    if address.scheme not in ("https", "http"):
        return f"begins with {address.scheme}:"
    if not re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", address.netloc):
        return "has no host"
    return None


def pages_that_are_not_linked(documents):
    """Pages of docs/ that README.md does not lead to, or that the map does not name."""
    by_path = {document.path.resolve(): document for document in documents}
    leads_to = {
        path: {target[0] for link in document.links if (target := document.target(link.target)) and target[0] in by_path}
        for path, document in by_path.items()
    }
    readme, index = (ROOT / README).resolve(), (ROOT / INDEX).resolve()
    reached, begun = set(), [readme]
    while begun:
        path = begun.pop()
        if path not in reached and path in by_path:
            reached.add(path)
            begun += leads_to[path]
    found = []
    for path in sorted(by_path):
        if path.is_relative_to(ROOT / "docs"):
            found += [f"{by_path[path]}: {README} does not lead to it"] if path not in reached else []
            found += [f"{by_path[path]}: {INDEX} has no link to it"] if path not in {index, *leads_to.get(index, ())} else []
    return found


def readme_that_is_too_long(documents):
    return [f"{document}: {len(document.lines)} lines, and {README_LINES} may be" for document in documents if str(document) == README and len(document.lines) > README_LINES]


def blocks_that_do_not_say_what_they_are(documents):
    found = []
    for document in documents:
        for block in document.blocks:
            if wrong := unsaid(block):
                found.append(f"{document}, line {block.line}: {wrong}: {block.first_line}")
        indented = sorted(document.lines_of("code_block"))
        found += [f"{document}, line {line + 1}: code without a fence: {document.lines[line].strip()}" for line in indented[:1]]
    return found


def unsaid(block):
    if not block.language:
        return "a block without a language"
    if block.language not in LANGUAGES:
        return f"{block.language} is none of {', '.join(LANGUAGES)}"
    if block.language == "text" and re.search(r"^\s*\$ ", block.text, re.MULTILINE):
        return "commands are `sh`, without `$` before them"
    if block.language == "sh" and block.first_line not in MARKERS:
        return "a block does not say who gives its commands"
    if block.language == "yaml" and not (is_whole(block.text) or block.first_line in FRAGMENTS or OTHER_FILE.match(block.first_line)):
        return "a block does not say which file it is of"
    return None


def is_whole(text):
    """Whether a YAML text is a whole file of Bellhop's."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return bool(lines) and lines[0].partition(" #")[0].rstrip() == "version: 1"


def blocks_that_do_not_parse(documents):
    readers = {"json": read_json, "yaml": lambda text: yaml.load(text, Loader=CloudFormation)}
    found = []
    for document in documents:
        for block in document.blocks:
            try:
                readers.get(block.language, str)(block.text)
            except (ValueError, yaml.YAMLError) as error:
                found.append(f"{document}, line {block.line}: no {block.language}: {' '.join(str(error).split())}")
    return found


class CloudFormation(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions, such as `!Ref`."""


CloudFormation.add_multi_constructor("!", lambda loader, tag, node: tag)


def read_json(text):
    """One value, or one in each line."""
    try:
        json.loads(text)
    except ValueError:
        lines = text.splitlines()
        if len(lines) < 2:
            raise
        for line in lines:
            json.loads(line)


def figures_away_from_home(documents):
    """Prices and measured figures that no page is linked to which has the same."""
    homes = {(ROOT / home).resolve(): home for home in HOMES}
    texts = {homes[path]: document.text for document in documents if (path := document.path.resolve()) in homes}
    found = []
    for document in documents:
        if str(document) in HOMES or str(document).startswith(HISTORY):
            continue
        computed = computed_lines(document)
        for passage in document.passages:
            linked = [homes[target[0]] for link in passage.targets if (target := document.target(link)) and target[0] in homes]
            for figure in () if passage.line in computed else FIGURE.findall(passage.text):
                wrong = wrong_figure(figure, linked, texts)
                found += [f"{document}, line {passage.line}: {figure} {wrong}"] if wrong else []
    return found


def parts_that_no_program_writes(documents):
    """Marks of computed parts on other pages, or that do not come in pairs."""
    found = []
    for document in documents:
        marks = [line for line in document.lines if COMPUTED.fullmatch(line) or line == END]
        if marks and str(document) not in WRITTEN:
            found.append(f"{document}: no program writes parts of it")
        if len(marks) % 2 or any((mark == END) != bool(index % 2) for index, mark in enumerate(marks)):
            found.append(f"{document}: a computed part has no end")
    return found


def html(documents):
    """HTML in the text, whose links and pictures nothing checks. Comments are none."""
    return [
        f"{document}, line {number}: {match.group()} is HTML"
        for document in documents
        for number, line in enumerate(document.lines, 1)
        if number - 1 not in document.lines_of("fence", "code_block")
        for match in re.finditer(r"<(?:a|img|br|table|details|sub|sup|p|div)\b[^>]*>", re.sub(r"`[^`]*`", "", line))
    ]


def wrong_figure(figure, linked, texts):
    if not linked:
        return "has no link to a page where figures are at home"
    if not any(re.search(rf"(?<![\w.]){re.escape(figure)}(?![.,]?\d)", texts.get(home, "")) for home in linked):
        return f"is not in {', '.join(linked)}"
    return None


def computed_lines(document):
    """The lines between the marks of what a program writes, from 1."""
    found, inside = set(), False
    for number, line in enumerate(document.lines, 1):
        inside = (inside or bool(COMPUTED.search(line))) and END not in line
        found |= {number} if inside else set()
    return found


def words_to_avoid(documents):
    return [
        f"{document}, line {passage.line}: {match.group()}: …{match.string[max(0, match.start() - 30) : match.end() + 30]}…"
        for document in documents
        for passage in document.passages
        for match in AVOIDED.finditer(ADDRESS.sub("", passage.text))
    ]


def lines_that_are_too_long(documents):
    """Lines of prose beyond the last column. What cannot be wrapped does not count: the addresses of links."""
    found = []
    for document in documents:
        exempt = document.lines_of("fence", "code_block", "html_block", "table_open", "heading_open")
        for number, line in enumerate(document.lines):
            length = len(re.sub(r"\]\([^)]*\)|^\s*\[[^\]]*\]:.*|<https?:[^>]*>", "]", line))
            if number not in exempt and length > COLUMNS:
                found.append(f"{document}, line {number + 1}: {length} columns")
    return found


CHECKS = {
    "links": links_that_lead_nowhere,
    "map": pages_that_are_not_linked,
    "length of the README": readme_that_is_too_long,
    "languages": blocks_that_do_not_say_what_they_are,
    "syntax": blocks_that_do_not_parse,
    "commands": commands_that_fail,
    "figures": figures_away_from_home,
    "parts": parts_that_no_program_writes,
    "HTML": html,
    "words": words_to_avoid,
    "lines": lines_that_are_too_long,
}


def findings(documents):
    return [f"{name}: {line}" for name, check in CHECKS.items() for line in check(documents)]


if __name__ == "__main__":
    print("\n".join(findings(all_documents())) or "nothing is found")
