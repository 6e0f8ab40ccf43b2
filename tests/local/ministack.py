"""Starts the local AWS: ministack, with three changes.

EventBridge refuses events whose source begins with `aws.` from callers, because AWS services alone send those. The services that Bellhop listens
to are played by a stand-in here, outside ministack, and its events have to pass the deployed rules like the real ones: PutEvents is opened for such
sources. And EventBridge invokes functions asynchronously, so that Lambda retries a failed invocation and hands it to the OnFailure destination;
ministack does that for asynchronous invocations by callers, but runs a rule's target only once: rules are led the same way.

Its CloudFormation knows plans of AWS Backup and not their selections, although its AWS Backup does: they are made through that.

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
import signal
import sys

# This file has the package's name, and Python looks for modules beside the script first.
sys.path = [folder for folder in sys.path if os.path.abspath(folder) != os.path.dirname(os.path.abspath(__file__))]

os.environ.setdefault("BIND_HOST", "127.0.0.1")
os.environ.setdefault("SFTP_ENABLED", "0")
os.environ.setdefault("GATEWAY_PORT", "4566")
os.environ.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

import ministack.app  # noqa: E402
from ministack.core import lambda_runtime  # noqa: E402
from ministack.services import backup, eventbridge, lambda_svc  # noqa: E402
from ministack.services.cloudformation import provisioners  # noqa: E402


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


def main():
    accept_aws_sources()
    invoke_rule_targets_asynchronously()
    deploy_backup_selections()
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
