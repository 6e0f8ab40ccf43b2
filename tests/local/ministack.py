"""Starts the local AWS: ministack, with seven changes.

EventBridge refuses events whose source begins with `aws.` from callers, because AWS services alone send those. The services that Bellhop listens
to are played by a stand-in here, outside ministack, and its events have to pass the deployed rules like the real ones: PutEvents is opened for such
sources. And EventBridge invokes functions asynchronously, so that Lambda retries a failed invocation and hands it to the OnFailure destination;
ministack does that for asynchronous invocations by callers, but runs a rule's target only once: rules are led the same way.

Its CloudFormation knows plans of AWS Backup and not their selections, although its AWS Backup does: they are made through that. And it expands a SAM
template that is deployed itself, and none that another template nests: those are expanded too. With a nested stack it deletes what the stack's template
retains: that stays.

Its CloudWatch tells topics of an alarm's change, and EventBridge nothing: each change becomes an event, as on AWS. Its EventBridge Scheduler hands a
schedule's input on as it stands: keywords such as `<aws.scheduler.execution-id>` are filled in, and schedules are looked at each second.

All lean on private functions of ministack. The version is pinned, and their shape is checked before they are relied on.

The environment decides the rest, and the functions inherit it:
    GATEWAY_PORT                    the port (default 4566), on 127.0.0.1 unless BIND_HOST says otherwise
    AWS_ENDPOINT_URL                what the functions call; default: this ministack
    AWS_ENDPOINT_URL_ECS and so on  what the functions call instead for single services
    LAMBDA_ASYNC_RETRY_BASE_SECONDS pause before the first retry of a failed invocation (default 1), doubled for each further one
    TMPDIR                          where ministack keeps unpacked functions and its pid file; point it at a folder that is thrown away

SIGTERM and SIGINT end ministack and every function process it started.
"""

import inspect
import json
import os
import secrets
import signal
import sys
import time
import uuid
from datetime import datetime, timezone

# This file has the package's name, and Python looks for modules beside the script first.
sys.path = [folder for folder in sys.path if os.path.abspath(folder) != os.path.dirname(os.path.abspath(__file__))]

os.environ.setdefault("BIND_HOST", "127.0.0.1")
os.environ.setdefault("SFTP_ENABLED", "0")
os.environ.setdefault("GATEWAY_PORT", "4566")
os.environ.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import ministack.app  # noqa: E402
from ministack.core import lambda_runtime  # noqa: E402
from ministack.services import backup, cloudwatch, eventbridge, lambda_svc, scheduler  # noqa: E402
from ministack.services.cloudformation import _stacks, engine, provisioners  # noqa: E402


def require(module, name, *parameters):
    """The private function, or the end of the program where it no longer has the parameters that are relied on."""
    function = getattr(module, name, None)
    found = [parameter.name for parameter in inspect.signature(function).parameters.values()] if callable(function) else None
    if found != list(parameters):
        expected = f"{module.__name__}.{name}({', '.join(parameters)})"
        sys.exit(
            f"This ministack has no {expected}. Install the version that requirements.txt pins; where the pin was raised, "
            f"{os.path.abspath(__file__)} has to follow."
        )
    return function


def accept_aws_sources():
    """Makes PutEvents take events with `aws.*` sources."""
    require(eventbridge, "_put_events", "data", "allow_aws_source").__defaults__ = (True,)


def invoke_rule_targets_asynchronously():
    """Gives a rule's Lambda target Lambda's retries and OnFailure destination."""
    require(eventbridge, "_dispatch_to_lambda", "arn", "payload")
    find = require(lambda_svc, "_get_func_record_for_ref", "function_ref")
    record = require(lambda_svc, "_execution_record_for_config", "func", "config")
    invoke = require(lambda_svc, "invoke_async_with_retry", "func", "event")

    def dispatch(arn, payload):
        function, configuration, _ = find(arn)
        if function and configuration:
            invoke(record(function, configuration), json.loads(payload))
        else:
            eventbridge.logger.warning("EventBridge rule target %s does not exist", arn)

    eventbridge._dispatch_to_lambda = dispatch


def deploy_backup_selections():
    """Lets a template have an AWS::Backup::BackupSelection."""
    kind = "AWS::Backup::BackupSelection"
    make = require(backup, "_create_selection", "plan_id", "body")
    remove = require(backup, "_delete_selection", "plan_id", "selection_id")
    if kind in provisioners._RESOURCE_HANDLERS:
        sys.exit(f"This ministack deploys {kind} by itself: what {os.path.abspath(__file__)} does for it can go.")

    def create(_logical_id, properties, _stack_name):
        status, _, reply = make(properties["BackupPlanId"], properties)
        if status >= 300:
            raise ValueError(f"{kind} was refused: {reply!r}")
        selection = json.loads(reply)["SelectionId"]
        return selection, {"Id": selection, "SelectionId": selection, "BackupPlanId": properties["BackupPlanId"]}

    def delete(selection, properties):
        remove(properties["BackupPlanId"], selection)

    provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "delete": delete}


def expand_nested_templates():
    """Applies the SAM transform to nested templates, where they have been read and nothing of them is used yet."""
    check = require(provisioners, "_check_nested_stack_capabilities", "parent_stack_name", "template")
    transform = require(engine, "_apply_transforms", "template", "provided_params", "previous_params")

    def check_and_expand(parent_stack_name, template):
        check(parent_stack_name, template)
        expanded = dict(transform(template))
        template.clear()
        template.update(expanded)

    provisioners._check_nested_stack_capabilities = check_and_expand


def keep_what_nested_stacks_retain():
    """Deletes of a nested stack what its template does not retain. What is retained except on create goes where the creation is rolled back.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
    """
    kind = "AWS::CloudFormation::Stack"
    delete = require(provisioners, "_cfn_nested_stack_delete", "physical_id", "props")
    find = require(provisioners, "_nested_stack_lookup_name", "physical_id_or_arn")

    def delete_the_rest(physical_id, props):
        stack = _stacks.get(find(physical_id))
        if stack is not None:
            root = stack
            while root.get("_parent_stack_name") in _stacks:
                root = _stacks[root["_parent_stack_name"]]
            kept = {"Retain", "RetainExceptOnCreate"} if root["StackStatus"] == "DELETE_IN_PROGRESS" else {"Retain"}
            for name, resource in stack["_template"]["Resources"].items():
                if resource.get("DeletionPolicy") in kept:
                    stack["_resources"].pop(name, None)
        delete(physical_id, props)

    provisioners._RESOURCE_HANDLERS[kind]["delete"] = delete_the_rest


def utc(seconds, form):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(form)


def alarm_moment(seconds):
    """A time as CloudWatch writes it in its events."""
    return utc(seconds, "%Y-%m-%dT%H:%M:%S.") + f"{int(seconds * 1000) % 1000:03d}+0000"


def alarm_configuration(alarm):
    """What an alarm's event says of how it is set up."""
    described = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    if "AlarmRule" in alarm:
        return {**described, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "namespace": alarm.get("Namespace"),
        "name": alarm.get("MetricName"),
        "dimensions": {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions") or []},
    }
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    return {
        **described,
        "metrics": [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"])),
                "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": stat},
                "returnData": True,
            }
        ],
    }


def publish_alarm_changes():
    """Makes an event of each change of an alarm's state, whatever changed it.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """
    record = require(cloudwatch, "_record_history", "alarm_name", "old_state", "new_state", "reason", "alarm_type", "reason_data")
    require(cloudwatch, "_history_entries")
    require(eventbridge, "_put_events", "data", "allow_aws_source")

    def previous_state(name, value):
        last = next((entry for entry in reversed(cloudwatch._history_entries()) if entry["AlarmName"] == name), None)
        if last is None:
            # As the page's sample of a new alarm has it.
            return {"value": value, "reason": "Unchecked: Initial alarm creation", "timestamp": alarm_moment(time.time())}
        reason = json.loads(last["HistoryData"])["newState"]["stateReason"]
        at = datetime.fromisoformat(last["Timestamp"].replace("Z", "+00:00")).timestamp()
        return {"value": value, "reason": reason, "timestamp": alarm_moment(at)}

    def record_and_publish(alarm_name, old_state, new_state, reason, alarm_type="MetricAlarm", reason_data=None):
        previous = previous_state(alarm_name, old_state)
        record(alarm_name, old_state, new_state, reason, alarm_type, reason_data)
        # ministack enters an alarm's creation as well, from a state to the same one.
        if old_state == new_state:
            return
        alarm = cloudwatch._alarms.get(alarm_name) or cloudwatch._composite_alarms[alarm_name]
        state = {"value": new_state, "reason": reason, "timestamp": alarm_moment(time.time())}
        if alarm.get("StateReasonData"):
            state["reasonData"] = alarm["StateReasonData"]
        detail = {"alarmName": alarm_name, "state": state, "previousState": previous, "configuration": alarm_configuration(alarm)}
        entry = {
            "Source": "aws.cloudwatch",
            "DetailType": "CloudWatch Alarm State Change",
            "Resources": [alarm["AlarmArn"]],
            "Detail": json.dumps(detail),
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    cloudwatch._record_history = record_and_publish


def scheduled_time(schedule, now):
    """The time for which a schedule that comes now was set. Cron expressions count minutes, and rates count from the schedule's beginning."""
    expression = schedule["ScheduleExpression"]
    at = scheduler._at_time_epoch(expression)
    if at is not None:
        return at
    interval = eventbridge._parse_rate_seconds(expression)
    begun = 0 if interval is None else scheduler._to_epoch(schedule.get("StartDate") or schedule["CreationDate"])
    interval = interval or 60
    return begun + (now - begun) // interval * interval


def fill_in_schedules():
    """Fills in the keywords of a schedule's input.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    invoke = require(eventbridge, "_invoke_target", "target", "event", "rule", "view")
    require(eventbridge, "_parse_rate_seconds", "expr")
    require(scheduler, "_at_time_epoch", "expr")
    require(scheduler, "_to_epoch", "value")
    if not hasattr(scheduler, "_SCHEDULE_TICK_INTERVAL"):
        sys.exit(f"This ministack's scheduler has no interval of its own: {os.path.abspath(__file__)} has to follow.")
    scheduler._SCHEDULE_TICK_INTERVAL = 1

    def invoke_filled_in(target, event, rule, view=None):
        # Rules of EventBridge come here too; only schedules have an ARN of the scheduler.
        if rule.get("Arn", "").startswith("arn:aws:scheduler:") and target.get("Input"):
            keywords = {
                "schedule-arn": rule["Arn"],
                "scheduled-time": utc(scheduled_time(rule, event["Time"]), "%Y-%m-%dT%H:%M:%SZ"),
                "execution-id": secrets.token_hex(8),
                # ministack hands a schedule over once; what fails then is the function, which Lambda itself repeats.
                "attempt-number": "1",
            }
            text = target["Input"]
            for keyword, value in keywords.items():
                text = text.replace(f"<aws.scheduler.{keyword}>", value)
            target = {**target, "Input": text}
        invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_filled_in


def main():
    accept_aws_sources()
    invoke_rule_targets_asynchronously()
    deploy_backup_selections()
    expand_nested_templates()
    keep_what_nested_stacks_retain()
    publish_alarm_changes()
    fill_in_schedules()
    try:
        ministack.app.main()
    except KeyboardInterrupt:
        pass
    finally:
        # A second signal must not interrupt what follows, or function processes would be left behind.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lambda_runtime.reset()


if __name__ == "__main__":
    main()
