"""examples/ by the validators that there are without AWS: what is wrong in form, or names what is not there, fails here."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

import botocore.session
import botocore.validate
import hcl2
import kubernetes_validate
import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser, ASLParserException

import examples
import policies
from conftest import FLOWQUET
from examples import EXAMPLES, commands_of, files, load

#: Each file, and the call of AWS's API that takes it: `aws SERVICE … --cli-input-json file://…`.
CALLS = {
    "batch/job-definition.json": ("batch", "RegisterJobDefinition"),
    "batch/submit-array.json": ("batch", "SubmitJob"),
    "ecs/task-definition.json": ("ecs", "RegisterTaskDefinition"),
    "ecs/schedule.json": ("scheduler", "CreateSchedule"),
    "emr-serverless/start-job-run.json": ("emr-serverless", "StartJobRun"),
    "glue/job.json": ("glue", "CreateJob"),
}
#: Versions of Kubernetes whose schemas the manifests must fit: per-index backoff is there by default since the first.
KUBERNETES = ["1.29", "1.37"]


def not_in_enumeration(shape, value, at=""):
    """Values that are none of those that AWS lists; botocore's validator does not look."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from not_in_enumeration(shape.members[name], inner, f"{at}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            yield from not_in_enumeration(shape.member, inner, at)
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from not_in_enumeration(shape.value, inner, f"{at}.{name}")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{at}: {value}"


@pytest.mark.parametrize("name", CALLS)
def test_requests_fit_the_api(name):
    service, operation = CALLS[name]
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).input_shape
    (given,) = load(EXAMPLES / name)
    report = botocore.validate.ParamValidator().validate(with_token(shape, given), shape)
    assert not report.has_errors(), report.generate_report()
    assert list(not_in_enumeration(shape, given)) == []


def with_token(shape, given):
    """What `aws` adds by itself."""
    tokens = {name: "token" for name, member in shape.members.items() if member.metadata.get("idempotencyToken")}
    return tokens | given


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", ["backfill-job.yaml", "cronjob.yaml"])
def test_manifests_fit_kubernetes(name, version):
    documents = load(EXAMPLES / "kubernetes" / name)
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def lint(tmp_path, template):
    """cfn-lint's findings; it knows policies and state machines too."""
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template))
    return linted(path)


def linted(path):

    program = pathlib.Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([program, "--format", "parseable", path], capture_output=True, text=True)
    return done.stdout + done.stderr


def test_templates_fit_cloudformation():
    (template,) = (EXAMPLES / "cloudformation").glob("*.yaml")
    assert linted(template) == ""


def test_the_linter_finds_what_is_wrong(tmp_path):
    """The checks below would be content with a linter that looks at nothing."""
    assert "'Maybe' is not one of" in lint(tmp_path, template_of_policy({"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}))
    (machine,) = load(EXAMPLES / "step-functions/backfill.asl.json")
    machine["States"]["Shards"]["Type"] = "Mapp"
    assert "Mapp" in lint(tmp_path, template_of(machine))


def template_of(machine):
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/flowquet-map", "Definition": machine}
    return {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}


def template_of_policy(policy):
    return {"Resources": {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": policy}}}}


def strays(machine):
    """Transitions to states that are not there, and states that none leads to; cfn-lint does not look."""
    wanted = {machine["StartAt"]} | {state["Next"] for state in machine["States"].values() if "Next" in state}
    found = wanted ^ machine["States"].keys()
    for state in machine["States"].values():
        assert ("Next" in state) != state.get("End", False)
        if "ItemProcessor" in state:
            found |= strays(state["ItemProcessor"])
    return found


def test_the_state_machine_is_one(tmp_path):
    (machine,) = load(EXAMPLES / "step-functions/backfill.asl.json")
    assert lint(tmp_path, template_of(machine)) == ""
    assert strays(machine) == set()
    machine["States"]["Shards"]["Next"] = "Nowhere"
    assert strays(machine) == {"Nowhere", "FinishWhatIsLeft"}


def test_the_state_machine_and_its_expressions_can_be_parsed():
    """By moto's parser of the language, which knows paths and functions; but not yet items of JSON lines, nor a percentage without a point."""
    text = (EXAMPLES / "step-functions/backfill.asl.json").read_text()
    known = text.replace('"JSONL"', '"JSON"').replace('Percentage": 100', 'Percentage": 100.0')
    AmazonStateLanguageParser.parse(known)
    for wrong in [("States.Array(", "States.Aray("), ('"ItemReader"', '"ItemRead"')]:
        with pytest.raises((ASLParserException, ValueError)):
            AmazonStateLanguageParser.parse(known.replace(*wrong))


def test_policies_are_ones(tmp_path):
    found = sorted((EXAMPLES / "iam").glob("*.json"))
    assert len(found) >= 6
    resources = {path.stem.capitalize(): template_of_policy(policies.read(path))["Resources"]["Policy"] for path in found}
    assert lint(tmp_path, {"Resources": resources}) == ""


def test_terraform_can_be_parsed_and_knows_its_variables():
    parsed = {path.name: hcl2.loads(path.read_text()) for path in (EXAMPLES / "terraform").glob("*.tf")}
    unquoted = [name.strip('"') for block in parsed["variables.tf"]["variable"] for name in block]
    used = set(re.findall(r"\bvar\.(\w+)", "".join(path.read_text() for path in (EXAMPLES / "terraform").glob("*.tf"))))
    assert used == set(unquoted)
    text = (EXAMPLES / "terraform/main.tf").read_text()
    declared = {".".join(pair) for pair in re.findall(r'^(?:resource) "(\w+)" "(\w+)"', text, re.M)}
    assert set(re.findall(r"(?<![\w.])(aws_\w+\.\w+)\.", text)) <= declared
    declared = {".".join(pair) for pair in re.findall(r'^data "(\w+)" "(\w+)"', text, re.M)}
    assert set(re.findall(r"data\.(aws_\w+\.\w+)\.", text)) == declared


def test_roles_of_templates_allow_what_convert_needs():
    """The policy that is held to a server's log, with other names."""
    wanted = {s["Sid"]: policies.several(s["Action"]) for s in policies.read(EXAMPLES / "iam/convert.json")["Statement"]}
    (template,) = load(EXAMPLES / "cloudformation/hourly.yaml")
    (policy,) = template["Resources"]["ConvertRole"]["Properties"]["Policies"]
    assert {s["Sid"]: policies.several(s["Action"]) for s in policy["PolicyDocument"]["Statement"]} == wanted
    text = (EXAMPLES / "terraform/main.tf").read_text()
    found = re.findall(r'sid\s+= "(\w+)"\s+actions\s+= (\[.*\])', text)
    assert {sid: json.loads(actions) for sid, actions in found} == wanted


#: What stands in an argument for what is known when it runs.
STANDS_FOR = [(r"^\$\.shard$", "0/100"), (r"^\$\.plan$|^Ref::plan$", "plan.json"), (r"^\$\{SLURM_CPUS_PER_TASK:-2\}$", "2"), (r"\$\{\w+\}", "name")]


def understood(arguments):
    """Whether the program has these options; nothing is read or written."""
    for pattern, value in STANDS_FOR:
        arguments = [re.sub(pattern, value, argument) for argument in arguments]
    done = subprocess.run([FLOWQUET, *arguments, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [path for path in files() if commands_of(path)], ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_commands_are_understood(path):
    for arguments in commands_of(path):
        is_understood, said = understood(arguments)
        assert is_understood, (arguments, said)


def test_commands_are_found():
    """The test above would be content with none."""
    with_commands = {str(path.relative_to(EXAMPLES)) for path in files() if commands_of(path)}
    wanted = {
        "README.md", "batch/job-definition.json", "cloudformation/hourly.yaml", "ecs/task-definition.json", "kubernetes/backfill-job.yaml",
        "kubernetes/cronjob.yaml", "slurm/backfill.sbatch", "step-functions/backfill.asl.json", "terraform/main.tf",
    }  # fmt: skip
    assert wanted <= with_commands
    assert understood(["convert", "logs", "--out", "lake", "--no-such-option"])[0] is False


def drivers():
    """Command lines of the Spark driver."""
    (emr,) = load(EXAMPLES / "emr-serverless/start-job-run.json")
    (glue,) = load(EXAMPLES / "glue/job.json")
    return [emr["jobDriver"]["sparkSubmit"]["entryPointArguments"], shlex.split(glue["DefaultArguments"]["--flowquet"])]


@pytest.mark.parametrize("given", drivers(), ids=["emr", "glue"])
def test_drivers_are_understood(given):
    from flowquet_spark.__main__ import job_of, parser

    args, others = parser().parse_known_args(given)
    job = job_of(args, others)
    assert others[0] == "s3://logs/AWSLogs/" and job.plan_at == "s3://lake/plans/backfill.json"
    for arguments in [["plan", *job.plan_options, "--out", job.out, "--save", job.plan_at, "--json"], ["convert", *job.convert_options]]:
        is_understood, said = understood(arguments)
        assert is_understood, (arguments, said)


def test_arrays_have_the_size_of_their_plan():
    """An index past the plan's shards is an error, and a shard that has no index would be left."""
    sizes = {
        "batch": load(EXAMPLES / "batch/submit-array.json")[0]["arrayProperties"]["size"],
        "kubernetes": load(EXAMPLES / "kubernetes/backfill-job.yaml")[0]["spec"]["completions"],
    }
    told = {int(count) for path in files() for count in re.findall(r"--shards (\d+)", path.read_text())}
    assert set(sizes.values()) == told == {100}
    assert "--array=0-99" in (EXAMPLES / "slurm/backfill.sbatch").read_text()
