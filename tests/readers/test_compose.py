"""docker/compose.yaml without Docker: each service's own command and environment, on this machine."""

import os
import re
import shlex
import socket
import subprocess
import sys

import yaml

from conftest import FLOWQUET, ROOT

FILE = ROOT / "docker/compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())["services"]
VERSIONS = dict(re.findall(r"^([a-z0-9\[\]]+)==(\S+)$", (ROOT / "tests/readers/requirements.txt").read_text(), re.M))


def python(service):
    """The arguments that a service gives its Python; what it installs is what the tests have."""
    shell, option, line = COMPOSE[service]["command"]
    install, program = line.split(" && exec ")
    for package in [word for word in shlex.split(install) if "==" in word]:
        name, version = package.split("==")
        assert VERSIONS[name] == version, package
    interpreter, script, *args = shlex.split(program)
    assert (shell, option, interpreter, script) == ("sh", "-c", "python", "/laptop.py")
    assert f"./laptop.py:{script}:ro" in COMPOSE[service]["volumes"]
    return [sys.executable, str(ROOT / "docker/laptop.py"), *args]


def environment(service, port):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLOWQUET_"))}
    own = COMPOSE[service]["environment"]
    return env | own | {"AWS_ENDPOINT_URL": own["AWS_ENDPOINT_URL"].replace("5000", str(port)), "AWS_CONFIG_FILE": "/nonexistent"}


def test_a_store_a_conversion_and_a_query():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, logs = COMPOSE["s3"]["volumes"]
    assert logs == "${LOGS:-../tests/sample}:/logs:ro"
    serve = [ROOT / "tests/sample" if word == "/logs" else word for word in python("s3")]
    store = subprocess.Popen(serve, env=environment("s3", port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert any(line == "ready\n" for line in store.stdout)
        probe = [sys.executable, *COMPOSE["s3"]["healthcheck"]["test"][2:]]
        subprocess.run(probe, env=environment("s3", port), check=True)
        converted = subprocess.run([FLOWQUET, *COMPOSE["convert"]["command"]], env=environment("convert", port), capture_output=True, text=True)
        assert converted.returncode == 0 and "records written" in converted.stderr, converted.stderr
        asked = subprocess.run(python("query"), env=environment("query", port), capture_output=True, text=True)
        assert asked.returncode == 0 and "srcaddr" in asked.stdout and "shape: (10, 4)" in asked.stdout, (asked.stdout, asked.stderr)
    finally:
        store.kill()
        store.wait()
    assert COMPOSE["convert"]["depends_on"]["s3"] == {"condition": "service_healthy"}
    assert (ROOT / "docker" / COMPOSE["convert"]["build"]["context"] / COMPOSE["convert"]["build"]["dockerfile"]).exists()
