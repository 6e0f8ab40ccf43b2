"""The documents of this repository, as their readers' tools see them: headings, links, blocks, tables."""

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
PARSER = MarkdownIt("commonmark").enable("table")


class Link(NamedTuple):
    line: int
    target: str


class Block(NamedTuple):
    """A fenced block of code."""

    line: int
    language: str
    text: str


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
        found = []
        for token in self.tokens:
            for child in token.children or []:
                target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src") if child.type == "image" else None
                if target:
                    found.append(Link(token.map[0] + 1, target))
        return found

    @cached_property
    def blocks(self):
        return [Block(token.map[0] + 1, token.info.strip(), token.content) for token in self.tokens if token.type == "fence"]


def all_documents():
    """Every document that Git knows, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [Document(ROOT / name) for name in sorted(listed.stdout.split()) if (ROOT / name).exists()]


def broken_links(documents):
    """Links within the repository that lead nowhere, one line each."""
    by_path = {document.path.resolve(): document for document in documents}
    broken = []
    for document in documents:
        for link in document.links:
            if re.match(r"[a-z]+:", link.target):
                continue
            path, _, anchor = link.target.partition("#")
            target = (document.path.parent / path).resolve() if path else document.path.resolve()
            if not target.exists():
                broken.append(f"{document}, line {link.line}: {link.target} is not there")
            elif anchor and target in by_path and anchor not in by_path[target].anchors:
                broken.append(f"{document}, line {link.line}: {link.target} is no heading of {by_path[target]}")
    return broken


if __name__ == "__main__":
    print("\n".join(broken_links(all_documents())) or "every link leads somewhere")
