#!/usr/bin/env python3
"""Lockkeeper as it is deployed: two of its containers, PostgreSQL and Prometheus on a private network. Each is killed and
cut off in turn, and the tables are looked at: every job ran once, none was lost.

    containers_test.py BUILD_DIR

Exits with 77 (skipped, and why) where no container engine works.
"""
import json
import pathlib
import subprocess
import sys
import urllib.parse
import urllib.request

import psycopg

from engine import HERE, TOP, Engine, NoEngine, until

JOBS_EACH = 20


class Deployment:
    def __init__(self, engine):
        self.engine = engine
        self.submitted = []
        image = engine.build("localhost/lockkeeper:test", TOP / "docker/Dockerfile", TOP)
        servers = engine.build("localhost/lockkeeper-servers:test", HERE / "servers.Dockerfile", HERE)
        self.postgres = engine.start("postgres", servers, "postgres.sh", address=10, options=["--user", "postgres"])
        self.dsn = f"host={self.postgres} user=postgres dbname=postgres connect_timeout=2"
        until(lambda: self.ask("SELECT 1"), "PostgreSQL takes connections")
        environment = {"LOCKKEEPER_DSN": self.dsn + " tcp_user_timeout=4000 keepalives_idle=2", "LOCKKEEPER_LEASE_SECONDS": "4"}
        print(engine.run(image, "migrate", environment=environment).splitlines()[-1])
        hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        self.workers = {name: engine.start(name, image, address=address, environment=environment, options=hardened)
                        for name, address in (("one", 11), ("two", 12))}
        config = engine.work / "prometheus.yml"
        targets = ", ".join(f"'{ip}:9632'" for ip in self.workers.values())
        config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: lockkeeper\n"
                          f"    static_configs: [{{targets: [{targets}]}}]\n")
        self.prometheus = engine.start("prometheus", servers, "prometheus", "--config.file=/tmp/prometheus.yml",
                                       "--storage.tsdb.path=/tmp/data", address=13, options=["-v", f"{config}:/tmp/prometheus.yml:ro"])
        with psycopg.connect(self.dsn, autocommit=True) as c:
            c.execute("CREATE TABLE ran (job int)")

    def ask(self, sql, *values):
        with psycopg.connect(self.dsn, autocommit=True) as c:
            return c.execute(sql, values).fetchall()

    def query(self, expression):
        url = f"http://{self.prometheus}:9090/api/v1/query?query={urllib.parse.quote(expression)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return [float(one["value"][1]) for one in json.loads(answer.read())["data"]["result"]]

    def submit(self):
        """Jobs that take a moment, and say in the data how often they ran."""
        with psycopg.connect(self.dsn, autocommit=True) as c:
            for _ in range(JOBS_EACH):
                n = len(self.submitted)
                sql = (f"DO $$ BEGIN PERFORM pg_sleep(0.1); INSERT INTO ran VALUES ({n}); END $$" if n % 2 else
                       f"CREATE TABLE t{n} AS SELECT {n} AS job")
                self.submitted.append(c.execute("SELECT lockkeeper.submit(%s)", (sql,)).fetchone()[0])

    def all_ended(self):
        return self.ask("SELECT count(*) FROM lockkeeper.ddl_job") == [(0,)]

    def check(self, what):
        until(self.all_ended, f"all jobs ended after: {what}")
        states = self.ask("SELECT state::text, count(*) FROM lockkeeper.ddl_history GROUP BY 1")
        assert states == [("synced", len(self.submitted))], (what, states)
        ran = self.ask("SELECT job FROM ran ORDER BY job")
        assert ran == [(n,) for n in range(1, len(self.submitted), 2)], (what, ran)
        made = self.ask("SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$'")
        assert made == [(len(self.submitted) / 2,)], (what, made)
        print(f"ok: {what}", flush=True)

    def running_on(self, name):
        """Waits until the worker's container has a job in its hands."""
        host = self.engine.of(name, "inspect", "--format", "{{.Config.Hostname}}")
        until(lambda: self.ask("SELECT FROM lockkeeper.ddl_job WHERE claimed_by IS NOT NULL AND worker LIKE %s", host + ":%"),
              f"a job runs on {name}")


def package(engine, build):
    """The Debian package goes onto a fresh system, works there, and leaves nothing when it is purged."""
    subprocess.run(["cpack", "-G", "DEB", "-B", str(engine.work / "package")], cwd=build, check=True, capture_output=True)
    deb = next((engine.work / "package").glob("lockkeeper_*.deb"))
    script = """set -e
      export DEBIAN_FRONTEND=noninteractive
      apt-get update && apt-get install -y --no-install-recommends /tmp/lockkeeper.deb
      lockkeeper version
      lockkeeper config check --config /etc/lockkeeper/lockkeeper.toml
      test "$(stat -c %a:%U:%G /etc/lockkeeper/lockkeeper.toml)" = 640:root:lockkeeper
      echo '# mine' >> /etc/lockkeeper/lockkeeper.toml
      apt-get install -y --reinstall /tmp/lockkeeper.deb
      grep -q '# mine' /etc/lockkeeper/lockkeeper.toml
      apt-get purge -y lockkeeper
      ! getent passwd lockkeeper
      ! test -e /etc/lockkeeper"""
    engine.call("run", "--rm", "--label", engine.tag, "--network", "host", "-v", f"{deb}:/tmp/lockkeeper.deb:ro",
                engine.base_image(), "sh", "-c", script)
    print("ok: the package is installed, kept and purged", flush=True)


def trials(house, engine):
    for name in house.workers:
        until(lambda name=name: engine.is_healthy(name), f"{name} is healthy")
    house.submit()
    house.check("nothing happened")

    house.submit()
    house.running_on("one")
    engine.of("one", "kill")
    house.check("a worker was killed")
    engine.of("one", "start")
    until(lambda: engine.is_healthy("one"), "it is back")

    house.submit()
    house.running_on("two")
    engine.disconnect("two")
    house.check("a worker was cut off")
    engine.connect("two", 12)
    until(lambda: house.query("min(lockkeeper_database_connected)") == [1.0] and house.query("count(up == 1)") == [2.0], "it is back")

    house.submit()
    house.running_on("one")
    engine.of("postgres", "kill")
    engine.of("postgres", "start")
    house.check("the server was killed")

    house.submit()
    engine.disconnect("postgres")
    until(lambda: house.query("max(lockkeeper_database_connected)") == [0.0], "Prometheus sees that nobody is connected")
    engine.connect("postgres", 10)
    house.check("the server was cut off")

    engine.of("prometheus", "kill")
    house.submit()
    house.check("Prometheus was killed")
    engine.of("one", "stop")
    code = engine.of("one", "inspect", "--format", "{{.State.ExitCode}}")
    assert code == "0", f"stopped in order: exit code {code}"


def main():
    try:
        engine = Engine(pathlib.Path(sys.argv[1]) / "containers")
        with engine:
            package(engine, sys.argv[1])
            house = Deployment(engine)
            try:
                trials(house, engine)
            except BaseException:
                for name in engine.containers:
                    print(f"--- {name}\n{engine.logs(name)}", flush=True)
                raise
    except NoEngine as reason:
        print(f"skipped: {reason}")
        sys.exit(77)


if __name__ == "__main__":
    main()
