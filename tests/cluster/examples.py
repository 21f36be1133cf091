"""The files of examples/, read as what they are, and the command lines of flowquet in them."""

import json
import re
import shlex

import yaml

from conftest import ROOT

EXAMPLES = ROOT / "examples"
COMMANDS = ["compact", "convert", "plan", "reconvert", "register", "schema", "status"]


class Template(yaml.SafeLoader):
    """CloudFormation's short forms, each as the text or the value that it is of."""


for name in ["Ref", "Sub", "GetAtt"]:
    Template.add_constructor(f"!{name}", lambda loader, node: loader.construct_scalar(node))


def load(path):
    """Documents of a JSON or YAML file."""
    text = path.read_text()
    return [json.loads(text)] if path.suffix == ".json" else list(yaml.load_all(text, Template))


def lists(value):
    """All lists within a value, and what Step Functions makes lists of."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from lists(inner)
    elif isinstance(value, list):
        yield value
        for inner in value:
            yield from lists(inner)
    elif isinstance(value, str) and value.startswith("States.Array("):
        yield [word.strip().strip("'") for word in value.removeprefix("States.Array(").removesuffix(")").split(",")]


def commands_of(path):
    """Arguments of each command line of flowquet in a file."""
    found = []
    if path.suffix in (".json", ".yaml"):
        words = (given for document in load(path) for given in lists(document))
        found += [given for given in words if given and given[0] in COMMANDS]
    if path.suffix == ".tf":
        found += [shlex.split(line.replace(",", " ")) for line in re.findall(r'command\s*= \[(.*)\]', path.read_text())]
    for line in path.read_text().replace("\\\n", " ").splitlines():
        line = re.sub(r"^\s*(# )?(exec )?", "", line)
        if line.startswith("flowquet "):
            found.append(shlex.split(re.split(r" [>|] |  #", line)[0])[1:])
    return found


def files():
    return sorted(path for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc")
