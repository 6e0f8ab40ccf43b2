"""AWS's service models as a judge: what botocore knows about an operation's parameters, answers and errors, and how a value differs from its shape.

botocore's own ParamValidator looks at types, required members and minimal lengths. It knows nothing of maximal lengths, patterns and enumerations, and lets
members of answers pass that no model has.
"""

import base64
import binascii
import functools
import re
from datetime import datetime
from email.utils import parsedate_to_datetime

import botocore.exceptions
import botocore.session

# Comes with cfn-lint. Patterns of the models have classes of Unicode (\p{L}), which `re` does not know.
import regex

# The models by the names with which requests are signed, where the two differ.
NAMES = {"cloudcontrolapi": "cloudcontrol", "monitoring": "cloudwatch", "states": "stepfunctions"}

# The protocol of operations in CBOR, which the record has as JSON.
CBOR = "smithy-rpc-v2-cbor"

# The operations that the stand-in answers.
ANSWERED = {
    "backup": [
        "DeleteRecoveryPoint",
        "DescribeBackupJob",
        "DescribeCopyJob",
        "DescribeRestoreJob",
        "GetRecoveryPointRestoreMetadata",
        "ListRecoveryPointsByBackupVault",
        "StartBackupJob",
        "StartCopyJob",
        "StartRestoreJob",
    ],
    "cloudcontrolapi": ["DeleteResource", "GetResourceRequestStatus"],
    "codebuild": ["BatchGetBuilds", "BatchGetProjects", "ListBuildsForProject", "StartBuild", "StopBuild"],
    "codecommit": ["CreateRepository", "GetBranch", "GetCommit", "GetDifferences", "GetFile", "GetFolder", "GetMergeOptions", "GetRepository"],
    "codepipeline": ["PutJobFailureResult", "PutJobSuccessResult"],
    "ecs": [
        "DescribeClusters",
        "DescribeServices",
        "DescribeTasks",
        "ListClusters",
        "ListContainerInstances",
        "ListTasks",
        "RegisterTaskDefinition",
        "RunTask",
        "StopTask",
        "UpdateContainerInstancesState",
        "UpdateService",
    ],
    "lambda": [
        "GetAlias",
        "GetFunctionConfiguration",
        "Invoke",
        "ListVersionsByFunction",
        "PublishVersion",
        "UpdateAlias",
        "UpdateFunctionCode",
    ],
    "monitoring": ["DescribeAlarms"],
    "states": ["DescribeExecution", "StartExecution", "StopExecution"],
    "sts": ["GetCallerIdentity"],
}

# What every service may answer beside the errors of its own. Every service's reference has the same page, some an older state of it than others:
# https://docs.aws.amazon.com/aws-backup/latest/devguide/CommonErrors.html and https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html.
# SerializationException is what the JSON protocols answer to a body that cannot be read: Smithy's tests of malformed requests
# (https://smithy.io/2.0/additional-specs/http-protocol-compliance-tests.html).
COMMON_ERRORS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "MalformedHttpRequestException",
    "NotAuthorized",
    "OptInRequired",
    "RequestAbortedException",
    "RequestEntityTooLargeException",
    "RequestExpired",
    "RequestTimeoutException",
    "SerializationException",
    "ServiceUnavailable",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
}
# Those of one service that no operation's model names.
MORE_ERRORS = {
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
    "s3": {"AccessDenied", "InternalError", "SlowDown"},
    # What Publish answers beyond its quota; botocore retries it under this name (botocore/retries/standard.py).
    "sns": {"Throttling"},
}

# The statuses of errors that are the service's own fault; all others that the models say nothing about are 400. The common errors' stand on the same pages, and
# the others' at the operations: ServerException at https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html, InternalServerError at
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html.
STATUSES = {
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ServerException": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 500,
    "SlowDown": 503,
}

# Structures of which one member is given: DynamoDB's "must contain exactly one of the supported datatypes", which its model does not say.
UNIONS = {"AttributeValue"}

# Most characters of a member that has no length in the model, with where AWS says so.
DOCUMENTED_LENGTHS = {
    # "up to 64 ASCII characters in the range of 33-126": https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
    ("ecs", "RunTask", "clientToken"): 64,
    # "Up to 128 letters (uppercase and lowercase), numbers, hyphens (-), forward slash (/), and underscores (_)":
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
    ("ecs", "RunTask", "startedBy"): 128,
    ("ecs", "ListTasks", "startedBy"): 128,
    # "Up to 255 characters are allowed in this message": https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
    ("ecs", "StopTask", "reason"): 255,
    # "The object key name is a sequence of Unicode characters with UTF-8 encoding of up to 1,024 bytes long":
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    ("s3", "PutObject", "Key"): 1024,
    ("s3", "GetObject", "Key"): 1024,
    # "Messages must be UTF-8 encoded strings and at most 256 KB in size": https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    ("sns", "Publish", "Message"): 262144,
    # "Must be ... less than 100 characters long": https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
    ("sns", "Publish", "Subject"): 99,
}

# What every subject has to look like: "ASCII text that begins with a letter, number, or punctuation mark; must not include line breaks or control characters".
# And startedBy, as above.
DOCUMENTED_PATTERNS = {
    ("sns", "Publish", "Subject"): r"[!-~][ -~]*",
    ("ecs", "RunTask", "startedBy"): r"[A-Za-z0-9/_\-]+",
    ("ecs", "RunTask", "clientToken"): r"[!-~]+",
}


@functools.cache
def service(name):
    """The model of a service, by the name with which its requests are signed; nothing if there is no such service."""
    try:
        return botocore.session.get_session().get_service_model(NAMES.get(name, name))
    except botocore.exceptions.UnknownServiceError:
        return None


@functools.cache
def pattern(text):
    """A pattern of a model. The services ask whether all of a text is like it, as Java's `matches` does."""
    return regex.compile(text)


class Json:
    """Values as the JSON protocols have them."""

    # How a time is written where the model says nothing.
    times = "unixtimestamp"

    def __init__(self, times=None, may_be_empty=False):
        self.times = times or self.times
        # Whether a list may have fewer items than the model says. Answers may: AWS's own example of BatchGetBuilds
        # (awscli/examples/codebuild/batch-get-builds.rst) has an empty list where the model wants an item.
        self.may_be_empty = may_be_empty

    def string(self, value):
        return value if isinstance(value, str) else None

    character = string

    def integer(self, value):
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    long = integer

    def float(self, value):
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    double = float

    def boolean(self, value):
        return value if isinstance(value, bool) else None

    def blob(self, value):
        try:
            return base64.b64decode(value, validate=True) if isinstance(value, str) else None
        except binascii.Error:
            return None

    def timestamp(self, value, form):
        form = form or self.times
        if form == "unixtimestamp":
            return self.float(value)
        if not isinstance(value, str):
            return None
        try:
            if form == "rfc822":
                return parsedate_to_datetime(value)
            return datetime.fromisoformat(value.replace("Z", "+00:00")) if re.match(r"\d{4}-\d\d-\d\dT", value) else None
        except ValueError:
            return None


class Text(Json):
    """Values as forms, XML, headers and addresses have them: all are texts."""

    times = "iso8601"

    def integer(self, value):
        return int(value) if re.fullmatch(r"-?\d+", value) else None

    long = integer

    def float(self, value):
        return float(value) if re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", value) else None

    double = float

    def boolean(self, value):
        return {"true": True, "false": False}.get(value)


def bounds(shape, size, path, what):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield f"{path}: {what} {size} is less than {low}"
    if high is not None and size > high:
        yield f"{path}: {what} {size} is more than {high}"


def wire_name(name, member):
    return member.serialization.get("name", name)


def differences(shape, value, path="", codec=None):
    """How a value on the wire differs from a shape: a line for each difference."""
    codec = codec or Json()
    at = path or "the whole"
    if getattr(shape, "is_document_type", False):
        return
    if value is None:
        yield f"{at}: null"
        return
    kind = shape.type_name
    if kind == "structure":
        yield from of_structure(shape, value, path, codec)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{at}: {type(value).__name__} in place of a list"
            return
        if value or not codec.may_be_empty:
            yield from bounds(shape, len(value), at, "number of items")
        for place, item in enumerate(value):
            yield from differences(shape.member, item, f"{path}[{place}]", codec)
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{at}: {type(value).__name__} in place of a map"
            return
        yield from bounds(shape, len(value), at, "number of entries")
        for name, item in value.items():
            yield from differences(shape.key, name, f"{path} (key)", codec)
            yield from differences(shape.value, item, f"{path}.{name}", codec)
    else:
        yield from of_scalar(shape, value, at, codec)


def of_structure(shape, value, path, codec):
    at = path or "the whole"
    if not isinstance(value, dict):
        yield f"{at}: {type(value).__name__} in place of a structure"
        return
    names = {wire_name(name, member): member for name, member in shape.members.items()}
    for name in shape.required_members:
        if wire_name(name, shape.members[name]) not in value:
            yield f"{at}: the required member {name} is missing"
    if (getattr(shape, "is_tagged_union", False) or shape.name in UNIONS) and len(value) != 1:
        yield f"{at}: {len(value)} members where there may be one"
    for name, item in value.items():
        below = f"{path}.{name}" if path else name
        if name in names:
            yield from differences(names[name], item, below, codec)
        else:
            yield f"{below}: an unknown member"


def of_scalar(shape, value, at, codec):
    kind = shape.type_name
    if kind == "timestamp":
        read = codec.timestamp(value, shape.serialization.get("timestampFormat"))
    else:
        read = getattr(codec, kind)(value)
    if read is None:
        yield f"{at}: {value!r} is no {kind}"
    elif kind in ("string", "character"):
        yield from bounds(shape, len(read), at, "length")
        allowed = shape.metadata.get("enum")
        if allowed and read not in allowed:
            yield f"{at}: {read!r} is none of the values that there are"
        wanted = shape.metadata.get("pattern")
        if wanted and not pattern(wanted).fullmatch(read):
            yield f"{at}: {read!r} is not like {wanted}"
    elif kind == "blob":
        yield from bounds(shape, len(read), at, "length")
    elif kind in ("integer", "long", "float", "double"):
        yield from bounds(shape, read, at, "value")


def documented(service_name, operation, value):
    """How a request differs from what AWS's documents say beyond the models."""
    for (of_service, of_operation, name), limit in DOCUMENTED_LENGTHS.items():
        text = value.get(name) if (of_service, of_operation) == (service_name, operation) else None
        if text is not None and len(text.encode()) > limit:
            yield f"{name}: length {len(text.encode())} is more than {limit}"
    for (of_service, of_operation, name), wanted in DOCUMENTED_PATTERNS.items():
        text = value.get(name) if (of_service, of_operation) == (service_name, operation) else None
        if text is not None and not re.fullmatch(wanted, text):
            yield f"{name}: {text!r} is not like {wanted}"
    # "Name, type, value, and the message body must not be empty or null": https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html
    attributes = value.get("MessageAttributes", {}) if (service_name, operation) == ("sns", "Publish") else {}
    for name, attribute in attributes.items():
        if not name or not attribute or not attribute.get("StringValue", attribute.get("BinaryValue")):
            yield f"MessageAttributes.{name}: it is empty"


def errors_of(model, operation):
    """The errors that an operation may answer, by their codes on the wire."""
    found = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in operation.error_shapes}
    # S3 and SNS model a few errors under the name alone.
    found.update({shape.name: shape for shape in operation.error_shapes if model.protocol != "query"})
    return found
