"""Faults on the way of an event to its function, and to its dead-letter queue."""

from infra_faults.parts import role_statements, statement


def cron_of_unix(template):
    template.document["Parameters"]["BackupSchedule"]["Default"] = "cron(0 3 * * *)"


def rate_in_the_wrong_number(template):
    template.properties("SweepFunctionEveryMinute")["ScheduleExpression"] = "rate(1 minutes)"


def pattern_that_misses(template):
    template.properties("PushFunctionRepositoryChanged")["EventPattern"]["detail"]["event"] = ["referenceUpdate"]


def pattern_of_another_service(template):
    template.properties("TaskStateFunctionTaskChanged")["EventPattern"]["source"] = ["aws.batch"]


def pattern_without_detail(template):
    del template.properties("TaskStateFunctionTaskChanged")["EventPattern"]["detail"]


def rule_twice(template):
    template.resources["Again"] = template.copy().resources["AlarmFunctionOwnAlarmChanged"]


def function_without_queue(template):
    del template.resources["SweepFunctionEventInvokeConfig"]


def destination_that_is_none(template):
    del template.properties("PushFunctionEventInvokeConfig")["DestinationConfig"]


def role_that_may_not_write(template):
    statements = role_statements(template, "AlarmRole")
    statements[:] = [statement for statement in statements if statement["Sid"] != "DeadLetter"]


def rule_without_queue(template):
    del template.properties("AlarmFunctionAlarmChanged")["Targets"][0]["DeadLetterConfig"]


def rule_with_anothers_queue(template):
    template.properties("AlarmFunctionAlarmChanged")["Targets"][0]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] = "PushDeadLetterQueue"


def rule_that_may_not_write(template):
    del template.resources["PushDeadLetterQueuePolicy"]


def queue_without_alarm(template):
    del template.resources["BackupDeadLetterAlarm"]


def rule_without_permission(template):
    del template.resources["SweepFunctionEveryMinutePermission"]


def permission_of_another_function(template):
    template.properties("PushFunctionRepositoryChangedPermission")["FunctionName"]["Ref"] = "SweepFunction"


def topic_without_permission(template):
    del template.resources["AlarmTopicPermission"]


def both_alarm_rules(template):
    template.properties("AlarmFunctionOwnAlarmChanged")["State"] = "ENABLED"


FAULTS = [
    (cron_of_unix, "schedules", ["BackupSchedule", "6 required"]),
    (rate_in_the_wrong_number, "schedules", ["SweepFunctionEveryMinute", "singular"]),
    (pattern_that_misses, "patterns", ["events/codecommit/push.json", "should reach PushFunction"]),
    (pattern_of_another_service, "patterns", ["events/ecs/running.json", "should reach TaskStateFunction"]),
    (pattern_without_detail, "patterns", ["events/ecs/foreign-service.json", "should reach nobody"]),
    (both_alarm_rules, "patterns", ["events/alarm/own.json", "AlarmFunctionOwnAlarmChanged"]),
    (rule_twice, "patterns", ["events/alarm/own.json", "Again"]),
    (function_without_queue, "dead letters", ["SweepFunction: no queue"]),
    (destination_that_is_none, "dead letters", ["PushFunction: no queue"]),
    (role_that_may_not_write, "dead letters", ["AlarmRole may not write"]),
    (rule_without_queue, "dead letters", ["AlarmFunctionAlarmChanged"]),
    (rule_with_anothers_queue, "dead letters", ["AlarmFunctionAlarmChanged"]),
    (rule_that_may_not_write, "dead letters", ["PushFunctionRepositoryChanged: may not write"]),
    (queue_without_alarm, "dead letters", ["BackupDeadLetterQueue"]),
    (rule_without_permission, "permissions", ["SweepFunctionEveryMinute may not invoke SweepFunction"]),
    (permission_of_another_function, "permissions", ["PushFunctionRepositoryChanged may not invoke PushFunction", "never invokes SweepFunction"]),
    (topic_without_permission, "permissions", ["AlarmsTopicArn may not invoke AlarmFunction"]),
]
