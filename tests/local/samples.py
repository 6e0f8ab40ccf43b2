"""The samples of events/, and which function the rules bring each to."""

import json

from infra import ROOT

FOLDER = ROOT / "events"

# The function that the rules bring each folder's samples to, and the samples that they bring elsewhere. What is no event of EventBridge's, such as a
# request or a message of SNS, no rule may let pass either.
REACHES = {
    "alarm": (
        "AlarmFunction",
        {
            "action": None,
            "action-set-by-hand": None,
            "anomaly-in-sns": None,
            "contributor": None,
            "contributor-in-sns": None,
            "in-sns": None,
            "old-in-sns": None,
        },
    ),
    "backup": (
        "BackupFunction",
        {
            "check": None,
            "copy-created": None,
            "misspelt": None,
            "restore-created": None,
            "restore-running": None,
            "running": None,
            "scheduler": None,
            "start": None,
        },
    ),
    "codebuild": (
        "BuildStateFunction",
        {"foreign": None, "other-phase": None},
    ),
    "step-functions": (
        "BuildStateFunction",
        {"foreign": None, "without-input": None},
    ),
    "codecommit": (
        "PushFunction",
        {
            "codestar-in-sns": None,
            "deleted-branch": None,
            "in-sns": None,
            "trigger": None,
            "trigger-deleted": None,
            "trigger-in-sns": None,
            "trigger-test": None,
            "trigger-two-references": None,
            "unreferenced-merge": None,
        },
    ),
    "codepipeline": (None, {}),
    "control": (None, {}),
    "ec2": ("SpotInterruptionFunction", {"state-change": None}),
    "ecs": (
        "TaskStateFunction",
        {"foreign-service": None, "provisioning": None},
    ),
    # Of the sample application pdf-index, whose rule is in a template of its own.
    "s3": (None, {}),
    "schedule": (None, {}),
}


def samples():
    """Every sample's text, by its path in events/."""
    return {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.glob("*/*.json"))}


def expected(sample, alarm_rule):
    """The function that the rules are to bring a sample to, or nothing. Of alarms that are not the suite's own, the parameter AlarmRule decides."""
    folder, _, name = sample.removesuffix(".json").partition("/")
    if folder == "alarm" and name != "own" and alarm_rule == "own":
        return None
    function, others = REACHES[folder]
    return others.get(name, function)


def reaching(local, patterns):
    """The rules that let each sample pass, by the sample's path in events/."""
    texts = {rule: json.dumps(pattern) for rule, pattern in patterns.items()}
    return {
        sample: [rule for rule, pattern in texts.items() if local.passes(pattern, text)]
        for sample, text in samples().items()
    }
