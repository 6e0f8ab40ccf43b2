"""Faults of alarms, metrics and the dashboard."""

from infra_faults.parts import statement, in_the_dashboard


def alarm_that_basic_lacks(template):
    template.resources["PushDeadLetterAlarm"]["Condition"] = "HasFullMonitoring"


def dashboard_always(template):
    del template.resources["Dashboard"]["Condition"]


def alarm_that_no_rule_brings(template):
    template.properties("OverdueAlarm")["AlarmName"] = {"Fn::Sub": "${Suite}-overdue"}


def overdue_after_a_month(template):
    template.properties("OverdueAlarm")["Threshold"] = 3000000


def no_sweep_is_well(template):
    template.properties("SweepMissingAlarm")["TreatMissingData"] = "notBreaching"


def nine_hundred_errors(template):
    template.properties("PushErrorsAlarm")["Threshold"] = 900


def dead_letters_on_average_after_a_day(template):
    template.properties("PushDeadLetterAlarm").update(Statistic="Average", Period=86400)


def throttles_of_another_function(template):
    template.properties("PushThrottlesAlarm")["Dimensions"][0]["Value"] = {"Ref": "SweepFunction"}


def alarm_without_actions(template):
    template.properties("AlarmErrorsAlarm")["ActionsEnabled"] = False


def function_without_errors_alarm(template):
    del template.resources["BackupErrorsAlarm"]


def metric_misspelt(template):
    in_the_dashboard(template, '"QueueSeconds"', '"QueueSecond"')


def another_metric_misspelt(template):
    in_the_dashboard(template, '"Retries"', '"Retrys"')


def search_by_what_is_not_written(template):
    in_the_dashboard(template, "{Bellhop,Suite,Repository}", "{Bellhop,Repository}")


def outcome_not_shown(template):
    in_the_dashboard(template, '"Outcome", "timed-out"', '"Outcome", "timeout"')


def capacity_that_is_none(template):
    in_the_dashboard(template, '"Capacity", "on-demand"', '"Capacity", "ondemand"')


def metric_that_lambda_has_not(template):
    in_the_dashboard(template, '"AWS/Lambda", "Errors"', '"AWS/Lambda", "Error"')


def alarm_of_another_dimension(template):
    template.properties("OverdueAlarm")["Dimensions"][0]["Name"] = "Stack"


def key_without_cloudwatch(template):
    statements = template.properties("Key")["KeyPolicy"]["Statement"]
    statements[:] = [statement for statement in statements if statement["Sid"] != "AlarmsPublish"]


def topic_policy_without_cloudwatch(template):
    account = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": "sns:Publish", "Resource": {"Ref": "Topic"}}
    properties = {"Topics": [{"Ref": "Topic"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [account]}}
    template.resources["OwnersPublish"] = {"Type": "AWS::SNS::TopicPolicy", "Properties": properties}


def alarms_of_anothers_topic(template):
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        alarm.pop("AlarmActions", None)
        alarm.pop("OKActions", None)


FAULTS = [
    (overdue_after_a_month, "alarms", ["OverdueAlarm: Threshold is 3000000"]),
    (no_sweep_is_well, "alarms", ["SweepMissingAlarm: TreatMissingData"]),
    (nine_hundred_errors, "alarms", ["PushErrorsAlarm: Threshold is 900"]),
    (dead_letters_on_average_after_a_day, "alarms", ["PushDeadLetterAlarm: Statistic is Average", "86400"]),
    (throttles_of_another_function, "alarms", ["PushThrottlesAlarm: looks at ['SweepFunction']"]),
    (alarm_without_actions, "alarms", ["AlarmErrorsAlarm: ActionsEnabled"]),
    (function_without_errors_alarm, "alarms", ["no BackupErrorsAlarm"]),
    (alarm_that_basic_lacks, "monitoring", ["basic: no PushDeadLetterAlarm"]),
    (dashboard_always, "monitoring", ["basic: not 0 dashboards"]),
    (alarm_that_no_rule_brings, "monitoring", ["OverdueAlarm: its name does not begin with ${Suite}-own-"]),
    (metric_misspelt, "metrics", ["nobody writes QueueSecond by Suite"]),
    (another_metric_misspelt, "metrics", ["nobody writes Retrys by Suite"]),
    (search_by_what_is_not_written, "metrics", ["nobody writes Builds by Repository"]),
    (outcome_not_shown, "metrics", ["timeout is no Outcome", "Builds by outcome: no timed-out"]),
    (capacity_that_is_none, "metrics", ["ondemand is no Capacity", "no on-demand"]),
    (metric_that_lambda_has_not, "metrics", ["AWS/Lambda has no Error"]),
    (alarm_of_another_dimension, "metrics", ["OverdueAlarm: nobody writes OldestOverdueSeconds by Stack"]),
    (key_without_cloudwatch, "alarms publish", ["Key: does not let", "publish to Topic"]),
    (topic_policy_without_cloudwatch, "alarms publish", ["OwnersPublish: does not let", "publish to Topic"]),
    (alarms_of_anothers_topic, "alarms publish", ["no alarm publishes"]),
]
