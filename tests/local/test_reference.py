"""The pages of docs/reference against the templates, the constants in the code and the agent, from which their tables are made.

    python -m unittest test_reference        with the requirements of requirements.txt installed
"""

import re
import unittest

import reference
from infra import ROOT, SUITE, Template


class Reference(unittest.TestCase):
    def test_the_computed_parts_are_current(self):
        changes, missing = reference.pages()
        self.assertEqual(missing, set())
        for page, (text, current) in changes.items():
            self.assertEqual(text, current, f"{page.relative_to(ROOT)} {reference.HOW}")

    def test_a_parameter_that_changed_is_found(self):
        template = Template.read(SUITE)
        before = reference.parameters(template, {})
        template.document["Parameters"]["RetentionDays"]["Default"] = 91
        self.assertNotEqual(before, reference.parameters(template, {}))

    def test_the_functions_variables_are_listed(self):
        page = (reference.PAGES / "environment.md").read_text().split("\n## Variables of the functions\n")[1].split("\n## ")[0]
        listed = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
        self.assertEqual(listed, set.union(*reference.variables(Template.read(SUITE)).values()))

    def test_what_the_agent_takes_for_itself_is_listed(self):
        text = (ROOT / "infra" / "agent" / "src" / "settings.rs").read_text()
        [taken] = re.findall(r"^pub const TAKEN: [^=]*= \[$(.*?)^\];$", text, re.MULTILINE | re.DOTALL)
        page = (reference.PAGES / "environment.md").read_text().split("\n### Variables of the agent\n")[1].split("\n### ")[0]
        self.assertEqual(sorted(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)), sorted(re.findall(r'"(\w+)"', taken)))

    def test_the_agents_exit_codes_are_listed(self):
        text = (ROOT / "infra" / "agent" / "src" / "report.rs").read_text()
        codes = re.findall(r"^pub const (?:CHECKOUT|ARTIFACTS|SECRETS)_FAILED: i32 = (\d+);$", text, re.MULTILINE)
        page = (reference.PAGES / "environment.md").read_text()
        self.assertEqual(len(codes), 3)
        for exit_code in codes:
            self.assertIn(f"\n| {exit_code} | ", page)


if __name__ == "__main__":
    unittest.main()
