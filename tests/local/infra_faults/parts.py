"""Parts of a template that several faults change."""

import infra_checks


def role_statements(template, name):
    return template.properties(name)["Policies"][0]["PolicyDocument"]["Statement"]


def statement(template, name, sid):
    """The statement with this Sid, wherever the resource has it."""
    [found] = [of for resource, _, of in infra_checks.statements(template) if (resource, of.get("Sid")) == (name, sid)]
    return found


def in_the_dashboard(template, old, new):
    body = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert old in body[0], old
    body[0] = body[0].replace(old, new)
