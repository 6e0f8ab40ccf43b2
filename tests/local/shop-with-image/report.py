"""Runs the tests and writes a JUnit report, report.xml."""

import sys
import unittest
from xml.etree import ElementTree


class Result(unittest.TextTestResult):
    """What a run of tests prints, and its report."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.report = ElementTree.Element("testsuite", name="shop")

    def startTest(self, test):
        super().startTest(test)
        folder, _, name = test.id().rpartition(".")
        self.case = ElementTree.SubElement(self.report, "testcase", classname=folder, name=name)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        ElementTree.SubElement(self.case, "failure", message=str(error[1]))

    def addError(self, test, error):
        super().addError(test, error)
        ElementTree.SubElement(self.case, "error", message=str(error[1]))


if __name__ == "__main__":
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(unittest.defaultTestLoader.discover("."))
    ElementTree.ElementTree(result.report).write("report.xml", encoding="utf-8", xml_declaration=True)
    sys.exit(not result.wasSuccessful())
