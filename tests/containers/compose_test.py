#!/usr/bin/env python3
"""docker/compose.yaml as it is, but for images that can be had here: PostgreSQL comes up, the schema is made, a worker
takes the documented submission, Prometheus finds the worker by its name and knows the alerts. Without Grafana.

    compose_test.py BUILD_DIR

Exits with 77 (skipped, and why) where no container engine or no docker compose works.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request

from engine import HERE, TOP, Engine, NoEngine, until

# The images here have PostgreSQL and Prometheus in one, and no entry point.
OVERRIDE = """
services:
  postgres:
    command: [postgres.sh]
    user: postgres
  prometheus:
    command: [prometheus, --config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/tmp/data]
"""
SERVICES = ["postgres", "migrate", "lockkeeper", "prometheus"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Compose:
    """The project, gone when this process is, however it ends."""

    def __init__(self, engine):
        self.engine = engine
        self.project = f"lockkeeper-test-{os.getpid()}"
        self.ports = {name: free_port() for name in ("POSTGRES", "PROMETHEUS")}
        self.environment = dict(engine.environment, COMPOSE_PROJECT_NAME=self.project,
                                LOCKKEEPER_POSTGRES_IMAGE="localhost/lockkeeper-servers:test",
                                LOCKKEEPER_PROMETHEUS_IMAGE="localhost/lockkeeper-servers:test")
        for name, port in self.ports.items():
            self.environment[f"LOCKKEEPER_{name}_PORT"] = str(port)
        override = engine.work / "override.yaml"
        override.write_text(OVERRIDE)
        self.words = [*self._tool(), "-f", str(TOP / "docker/compose.yaml"), "-f", str(override)]
        self.service = None
        if engine.name == "podman":
            at = engine.work / "podman.sock"
            at.unlink(missing_ok=True)
            self.environment["DOCKER_HOST"] = f"unix://{at}"
            self.service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{at}"],
                                            env=engine.environment, stderr=subprocess.DEVNULL)
            until(at.exists, "podman answers as docker does")
        down = f"cat >/dev/null; {' '.join(self.words)} down -v -t 1; kill {self.service.pid if self.service else ''}"
        self.reaper = subprocess.Popen(["sh", "-c", down], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True, env=self.environment)

    def _tool(self):
        for words in (["docker", "compose"], ["docker-compose"]):
            if shutil.which(words[0]) and subprocess.run([*words, "version"], capture_output=True, env=self.environment).returncode == 0:
                return words
        raise NoEngine("no docker compose")

    def __enter__(self):
        self.over = threading.Event()
        self.checks = threading.Thread(target=self._check_health)
        self.checks.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.checks.join()
        self.reaper.stdin.close()
        self.reaper.wait(120)

    def _check_health(self):
        """Without systemd, nobody runs podman's health checks."""
        while self.engine.name == "podman" and not self.over.wait(1):
            listed = self.engine.call("ps", "-q", "--filter", f"label=com.docker.compose.project={self.project}", check=False)
            for container in listed.split():
                self.engine.call("healthcheck", "run", container, check=False)

    def call(self, *words):
        ran = subprocess.run([*self.words, *words], capture_output=True, text=True, env=self.environment, timeout=300)
        if ran.returncode != 0:
            raise RuntimeError(f"compose {' '.join(words)}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}")
        return ran.stdout

    def prometheus(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['PROMETHEUS']}/api/v1/{path}", timeout=5) as answer:
            return json.loads(answer.read())["data"]


def trial(compose):
    compose.call("up", "--detach", "--no-build", *SERVICES)
    said = compose.call("exec", "-T", "lockkeeper", "lockkeeper", "submit", "--wait", "CREATE TABLE hello (id int)")
    assert "synced" in said, said
    print("ok: compose brings a worker that takes a submission", flush=True)

    def ended():
        found = compose.prometheus("query?query=sum(lockkeeper_jobs_ended_total)")["result"]
        return found and float(found[0]["value"][1]) == 1

    until(ended, "Prometheus has seen the job")
    rules = [rule["name"] for group in compose.prometheus("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 10, rules
    print(f"ok: Prometheus finds the worker, and has {len(rules)} alerts", flush=True)


def main():
    try:
        engine = Engine(pathlib.Path(sys.argv[1]) / "containers")
        image = engine.build("localhost/lockkeeper:test", TOP / "docker/Dockerfile", TOP)
        engine.build("localhost/lockkeeper-servers:test", HERE / "servers.Dockerfile", HERE)
        for name in ("lockkeeper:latest", "docker.io/library/lockkeeper:latest"):
            engine.call("tag", image, name)
        with Compose(engine) as compose:
            try:
                trial(compose)
            except BaseException:
                print(compose.call("logs"), flush=True)
                raise
    except NoEngine as reason:
        print(f"skipped: {reason}")
        sys.exit(77)


if __name__ == "__main__":
    main()
