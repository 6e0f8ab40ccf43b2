"""The documents of this repository, as their readers' tools see them: headings, links, blocks, prose."""

import re
import subprocess
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from local_aws import HERE

ROOT = HERE.parent.parent
# As GitHub makes anchors of headings: https://github.com/gjtorikian/html-pipeline/blob/main/lib/html_pipeline/node_filter/table_of_contents_filter.rb
NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
# How a block of commands says who gives them.
LOCAL = "# on AWS, or the local AWS"
MARKERS = (LOCAL, "# needs an account", "# in this repository")
PARSER = MarkdownIt("commonmark").enable("table")
# What a line ends with in the text of a passage.
BREAKS = ("softbreak", "hardbreak")


class Link(NamedTuple):
    line: int
    target: str


class Block(NamedTuple):
    """A fenced block of code."""

    line: int
    language: str
    text: str
    # The heading of the second level that it is under.
    section: str

    @property
    def first_line(self):
        return self.text.partition("\n")[0]


class Passage(NamedTuple):
    """A paragraph, a heading or a row of a table."""

    line: int
    # Without code.
    text: str
    code: list
    targets: list


class Document:
    def __init__(self, path, text=None):
        self.path = Path(path)
        self.text = self.path.read_text() if text is None else text

    def __str__(self):
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else str(self.path)

    @cached_property
    def tokens(self):
        return PARSER.parse(self.text)

    @cached_property
    def lines(self):
        return self.text.splitlines()

    @cached_property
    def anchors(self):
        """What `#…` of a link may be: one for each heading; a repeated one gets a number."""
        seen, anchors = {}, set()
        for opening, inline in zip(self.tokens, self.tokens[1:]):
            if opening.type == "heading_open":
                words = "".join(child.content for child in inline.children if child.type in ("text", "code_inline"))
                anchor = NOT_IN_ANCHORS.sub("", words.lower()).replace(" ", "-")
                count = seen.get(anchor, 0)
                seen[anchor] = count + 1
                anchors.add(f"{anchor}-{count}" if count else anchor)
        return anchors

    @cached_property
    def links(self):
        """Links and pictures."""
        return [Link(token.map[0] + 1, target) for token in self.tokens for target in targets(token)]

    @cached_property
    def blocks(self):
        found, section = [], ""
        for token, inline in zip(self.tokens, [*self.tokens[1:], None]):
            if token.type == "heading_open" and token.tag == "h2":
                section = inline.content
            elif token.type == "fence":
                found.append(Block(token.map[0] + 1, token.info.strip(), token.content, section))
        return found

    @cached_property
    def passages(self):
        """All prose. The cells of a row are one passage."""
        found, row = [], None
        for token in self.tokens:
            if token.type == "tr_open":
                row = []
            elif token.type == "tr_close":
                found.append(passage(row))
                row = None
            elif token.type == "inline":
                if row is None:
                    found.append(passage([token]))
                else:
                    row.append(token)
        return found

    def lines_of(self, *types):
        """The numbers of the lines that these kinds of tokens are on, from 0."""
        return {line for token in self.tokens if token.type in types and token.map for line in range(*token.map)}

    def target(self, link):
        """The file that a link within the repository leads to, and the anchor there. None for a link out of it."""
        if re.match(r"[a-z]+:", link):
            return None
        path, _, anchor = link.partition("#")
        return (self.path.parent / path).resolve() if path else self.path.resolve(), anchor


def targets(token):
    """Where the links and pictures of a token lead."""
    found = []
    for child in token.children or []:
        target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src") if child.type == "image" else None
        if target:
            found.append(target)
    return found


def passage(inlines):
    children = [[*(token.children or [])] for token in inlines]
    words = [
        "".join(" " if child.type in BREAKS else "`…`" if child.type == "code_inline" else child.content for child in cell if child.type != "html_inline")
        for cell in children
    ]
    code = [child.content for cell in children for child in cell if child.type == "code_inline"]
    return Passage(inlines[0].map[0] + 1, " | ".join(words), code, [target for token in inlines for target in targets(token)])


def all_documents():
    """Every document that Git knows, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [Document(ROOT / name) for name in sorted(listed.stdout.split()) if (ROOT / name).exists()]
