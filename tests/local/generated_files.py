"""Users' files that are generated from their JSON Schemas: valid ones, and ones with a mistake.

The generator knows what the two schemas use of JSON Schema, and refuses what it does not know.
"""

import copy
import random

# What no pattern generates, and what is not worth a character class: such a definition has examples.
ALPHABET = "abcxyz019-_./* "
KNOWN = {
    "$ref", "$schema", "$defs", "title", "description", "examples", "default", "type", "enum", "pattern", "not", "minimum", "maximum",
    "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "items", "properties", "patternProperties", "required", "additionalProperties",
    "propertyNames", "minProperties", "maxProperties", "anyOf", "oneOf", "allOf",
}  # fmt: skip
# Values of every kind, to put where another one is expected. There are no whole numbers with a decimal point for names, which JSON takes for integers and
# YAML does not, no numbers of hundreds of digits, and no lists with a number and the same in quotes, which only YAML takes for the same.
STRANGERS = [None, True, False, 0, 1, -1, 7, 1.5, 300, "", " ", "a", "A b", "main", "never", "manual", "1h", "1M", "1y", "1 years", "1.5h", "1 h 1m", "1h ", "1  h", "0s", "a}b", "{a,b}", "-", "a/b", "!a", "{a}", "a\n", "ä", "!!", "!!a", "\u001c", "\ufeff", "\u00a0", "\u0000", "\u0085", "x" * 63, "x" * 64, "y" * 201, "z" * 513, "arn:a:b:c:d:e", "arn:a:states:c:d:stateMachine:e", "arn:a:states:c:d:stateMachine:e:1", "arn:a:b:c:d", "refs/heads/a", "refs/tags/", "!refs/tags/v*", "refs/a", "true", "5", [], ["a"], ["a", "a"], [None], {}, {"a": "b"}]  # fmt: skip

# Names of keys, around the rules for each kind of them.
NAMES = ["CI", "CIX", "BELLHOP_", "BELLHOPX", "AWS_A", "CODEBUILD_A", "_", "9A", "A-B", "A" * 255, "A" * 256, "a" * 63, "a" * 64, "-a", "a-", "a.git", "a.gitx", "b" * 100, "b" * 101, "", " a"]  # fmt: skip
# Mappings whose keys are names that users give.
NAMED_BY_USERS = {"jobs", "agents", "repositories", "backups", "environment", "metadata", "secrets"}
# Lengths of lists, around the limits of each kind of them.
LENGTHS = [0, 1, 19, 20, 21, 49, 50, 51]


class Generator:
    def __init__(self, schema, seed):
        self.schema = schema
        self.random = random.Random(seed)

    def resolve(self, schema):
        """A schema without its reference. What stands beside a reference holds as well, and none of ours does more than describe."""
        while "$ref" in schema:
            schema = {**self.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], **{key: schema[key] for key in schema if key == "examples"}}
        unknown = schema.keys() - KNOWN
        if unknown:
            raise ValueError(f"the generator does not know {unknown}")
        return schema

    def valid(self, schema=None):
        """A value that is likely to be valid."""
        schema = self.resolve(self.schema if schema is None else schema)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if schema.get("type") == "object":
            return self.mapping(schema)
        if schema.get("type") == "array":
            return self.list_of(schema)
        if "examples" in schema:
            return self.random.choice(schema["examples"])
        if "anyOf" in schema:
            return self.valid(self.random.choice(schema["anyOf"]))
        if "allOf" in schema:
            return self.valid(schema["allOf"][0])
        if schema["type"] == "boolean":
            return self.random.random() < 0.5
        if schema["type"] == "integer":
            return self.random.randint(schema["minimum"], min(schema.get("maximum", 99), 999))
        raise ValueError(f"nothing to generate: {schema}")

    def mapping(self, schema):
        properties, value = schema.get("properties", {}), {}
        wanted = set(schema.get("required", ()))
        for alternatives in ("oneOf", "anyOf"):
            if alternatives in schema:
                wanted |= set(self.random.choice(schema[alternatives])["required"])
        unwanted = {name for alternative in schema.get("oneOf", ()) for name in alternative["required"]} - wanted
        for name, inner in properties.items():
            if name in wanted or (name not in unwanted and self.random.random() < 0.4):
                value[name] = self.valid(inner)
        if isinstance(schema.get("additionalProperties"), dict):
            for _ in range(self.random.randint(schema.get("minProperties", 0), 3)):
                value[str(self.valid(schema["propertyNames"]))] = self.valid(schema["additionalProperties"])
        if "patternProperties" in schema and self.random.random() < 0.3:
            value[self.random.choice([".own", "x-own"])] = self.random.choice(STRANGERS)
        return value

    def list_of(self, schema):
        values = [self.valid(schema["items"]) for _ in range(self.random.randint(schema.get("minItems", 0), 3))]
        if schema.get("uniqueItems"):
            values = [value for index, value in enumerate(values) if value not in values[:index]]
        return values

    def mistakes(self, value, way):
        """The same with something else in one place: most are mistakes, and some are not."""
        *outer, last = way
        inner = at(value, way)
        others = [*STRANGERS, *(self.misspelt(inner) for _ in range(8) if isinstance(inner, str))]
        if isinstance(inner, list) and inner:
            others += [of_length(inner, length) for length in LENGTHS]
        for other in others:
            yield changed(value, outer, lambda parent, other=other: parent.__setitem__(last, other))
        yield changed(value, outer, lambda parent: parent.pop(last))
        if isinstance(last, str):
            for name in NAMES:
                yield changed(value, outer, lambda parent, name=name: parent.__setitem__(name, parent.pop(last)))

    def misspelt(self, text):
        """A text with a character more, or less, or another one."""
        at = self.random.randrange(len(text) + 1)
        rest = text[at + self.random.randint(0, 1) :]
        return text[:at] + self.random.choice([*ALPHABET, "", "!", "{", "\n", "A", ":"]) + rest


def changed(value, way, change):
    """A copy in which the mapping or list at the end of the way is changed."""
    copied = copy.deepcopy(value)
    change(at(copied, way))
    return copied


def at(value, way):
    """What is at the end of the way."""
    for step in way:
        value = value[step]
    return value


def of_length(values, length):
    """A list of another length. Its texts differ from each other."""
    return [f"{values[0]}{number}" if isinstance(values[0], str) and number else values[number % len(values)] for number in range(length)]


def places(value, way=()):
    """The way to every value within."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*way, key)
        yield from places(inner, (*way, key))


def shape(way):
    """A way without what users name: the same for the first job's agent and for the second's."""
    return tuple("*" if isinstance(step, int) or (index and way[index - 1] in NAMED_BY_USERS) else step for index, step in enumerate(way))


def consistent_pipeline(file, choose):
    """A pipeline file whose jobs need jobs that are there, and not each other."""
    jobs = file.get("jobs")
    before = []
    for name, job in (jobs or {}).items():
        if "needs" in job:
            job["needs"] = choose(before) if before else []
        if "fetch" in job:
            # A job that it needs, and that keeps files.
            keepers = [earlier for earlier in before if "artifacts" in jobs[earlier]]
            job["fetch"] = [choose(keepers)] if keepers else []
            if keepers:
                job["needs"] = list(job["fetch"])
        if "lock" in job and "relaunch" in job:
            job["relaunch"] = "stopped"
        for variable in job.get("environment", {}).keys() & job.get("secrets", {}).keys():
            del job["secrets"][variable]
        if job.get("critical"):
            for rule in job["retry"] if isinstance(job.get("retry"), list) else ():
                rule.pop("capacity", None)
        for key in ("timeout", "queue-timeout"):
            if key in job:
                job[key] = choose(["90s", "30m", "1h 30m", "24h"])
        for rule in job["retry"] if isinstance(job.get("retry"), list) else ():
            if "on" not in rule and "exit-codes" not in rule:
                rule["on"] = "failure"
            if "backoff" in rule:
                rule["backoff"] = choose(["0s", "90s", "1h"])
        before.append(name)
    return file


def consistent_suite(file, choose):
    """A suite configuration that names what is there, with times that AWS Backup takes."""
    agents = file["agents"] = file["agents"] or {"small": {"codebuild": {"project": "p"}}}
    for repository in (file.get("repositories") or {}).values():
        repository["agents"] = choose([list(agents), choose(list(agents)), []])
    for job in (file.get("jobs") or {}).values():
        job["agent"] = choose(list(agents))
        if "step-functions" in agents[job["agent"]]:
            job.pop("secrets", None)
    for rule in file.get("alarms") or ():
        rule.pop("at-most-every", None) if "pause-starts" in rule or "restart-service" in rule else None
        for key, section in (("run-job", "jobs"), ("back-up-now", "backups")):
            if key in rule and file.get(section):
                rule[key] = choose(list(file[section]))
            elif key in rule:
                del rule[key]
                rule["pause-starts"] = True
                rule.pop("at-most-every", None)
    for agent in agents.values():
        ecs = agent.get("ecs")
        if ecs and "capacity-providers" in ecs:
            ecs.pop("assign-public-ip", None)
    for backup in (file.get("backups") or {}).values():
        for key, fits in (("start-within", "1h"), ("complete-within", "10h"), ("cold-after", "30d"), ("delete-after", "120d"), ("newest-at-most", "26h")):
            if key in backup:
                backup[key] = fits
        if "restore-test" in backup:
            backup["resource"] = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
            backup["restore-test"]["every"] = "7d"
            backup["restore-test"].pop("metadata", None)
    return file


CONSISTENT = {"pipeline-file": consistent_pipeline, "suite-configuration": consistent_suite}


def files(kind, schema, count, seed):
    """Files of three sorts: valid ones; each kind of mistake in each kind of place; and ones that the schema allows and whose parts may not fit together."""
    generator = Generator(schema, seed)
    valid = [CONSISTENT[kind](generator.valid(), generator.random.choice) for _ in range(count)]
    smallest = {}
    for value in sorted(valid, key=lambda value: len(str(value))):
        for way in places(value):
            smallest.setdefault((shape(way), type(at(value, way))), (value, way))
    mistaken = [mistake for value, way in smallest.values() for mistake in generator.mistakes(value, way)]
    return valid, mistaken, [generator.valid() for _ in range(count)]
