#!/usr/bin/env python3
"""The dashboards and alerts against a real Prometheus that watches a busy worker.

    prometheus_test.py BUILD_DIR [--png DIRECTORY]

Every expression of every panel must have data, or its panel stands in MAY_BE_EMPTY with the reason. --png draws each
dashboard from what was measured, for people to look at.
"""
import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import psycopg

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1]).resolve()
PNG = pathlib.Path(sys.argv[sys.argv.index("--png") + 1]).resolve() if "--png" in sys.argv else None
BUSY_SECONDS = 90 if PNG else 20
MAY_BE_EMPTY = {}  # title of a panel: why it has no data here
problems = []


def check(good, what):
    if not good:
        problems.append(what)
        print("FAILED:", what, flush=True)


def tool(name):
    found = BUILD.parent / "prometheus/usr/bin" / name
    if found.exists():
        return str(found)
    if shutil.which(name):
        return name
    sys.exit(f"{name} is missing: scripts/test fetches it, or install prometheus")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(so, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, psycopg.Error):
            if so():
                return True
        time.sleep(0.1)
    check(False, f"in {seconds} s: {what}")
    return False


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def die_with_parent():
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextlib.contextmanager
def running(words, **more):
    process = subprocess.Popen(words, preexec_fn=die_with_parent, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def check_files():
    rules = TOP / "metrics/alerts.yml"
    for words in (["check", "rules", str(rules)], ["test", "rules", str(TOP / "metrics/alerts_test.yml")]):
        ran = subprocess.run([tool("promtool"), *words], capture_output=True, text=True)
        check(ran.returncode == 0, f"promtool {words[0]}: {ran.stdout}{ran.stderr}")
    made = subprocess.run([sys.executable, str(TOP / "metrics/dashboards.py"), "--check"], capture_output=True, text=True)
    check(made.returncode == 0, made.stderr.strip())
    text = rules.read_text()
    tested = (TOP / "metrics/alerts_test.yml").read_text()
    runbook = (TOP / "docs/operations.md").read_text()
    for alert in re.findall(r"alert: (\w+)", text):
        check(f"alertname: {alert}\n        exp_alerts" in tested, f"no case of alerts_test.yml fires {alert}")
        check(re.search(rf"^#+ {alert}$", runbook, re.M), f"docs/operations.md says nothing of {alert}")
        check(f"docs/operations.md#{alert.lower()}\n" in text, f"{alert} has no runbook_url")
    named = set(re.findall(r"(?<!\")\blockkeeper_\w+", text + "".join(p.read_text() for p in (TOP / "metrics/grafana/dashboards").glob("*.json"))))
    listed = set(re.findall(r"^(lockkeeper_\w+)", (TOP / "metrics/metrics.txt").read_text(), re.M))
    for name in {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} - listed:
        check(False, f"{name} is not in metrics.txt")


class Application:
    """What makes every panel move: jobs that end, fail, wait for locks, for others, for nodes and for rows."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.over = threading.Event()
        self.threads = []
        with self.connect() as c:
            c.execute("CREATE TABLE busy (id int PRIMARY KEY, v int, note text)")
            c.execute("CREATE TABLE quick (a int)")
            c.execute("INSERT INTO busy SELECT i, i, repeat('x', 50) FROM generate_series(1, 300000) AS i")

    def connect(self):
        return psycopg.connect(self.dsn, autocommit=True)

    def submit(self, sql, **options):
        with self.connect() as c:
            c.execute("SELECT lockkeeper.submit(%s, %s)", (sql, json.dumps(options)))

    def changes(self, turn):
        self.submit(f"CREATE TABLE made_{turn} (a int)")
        self.submit(f"ALTER TABLE quick ADD c_{turn} int")
        self.submit(f"ALTER TABLE quick DROP c_{turn}")
        self.submit("DROP TABLE there_is_no_such")
        if turn % 10 == 0:
            self.submit(f"DROP TABLE made_{turn - 5}")
        if turn % 25 == 0:
            self.submit(f"ALTER TABLE busy ALTER v TYPE {'bigint' if turn % 50 == 0 else 'int'}")
            self.submit(f"CREATE INDEX ON busy (note, v) WHERE v > {turn}")

    def hold_locks(self, turn):
        with psycopg.connect(self.dsn) as c:
            c.execute("SELECT count(*) FROM quick")
            c.execute("UPDATE busy SET note = 'held' WHERE id = %s", (1 + turn * 37 % 300000,))
            self.over.wait(0.8)

    def die_as_a_node(self, turn):
        with self.connect() as c:
            node, = c.execute("SELECT lockkeeper.register_node(%s)", (f"mortal {turn}",)).fetchone()
            version, = c.execute("SELECT lockkeeper.schema_version()").fetchone()
            c.execute("SELECT lockkeeper.sync_node(%s, %s, true)", (node, version))

    def repeat(self, what, pause):
        def body():
            turn = 0
            while not self.over.is_set():
                turn += 1
                try:
                    what(turn)
                except psycopg.Error as error:
                    print("application:", error, flush=True)
                self.over.wait(pause)
        self.threads.append(threading.Thread(target=body))
        self.threads[-1].start()

    def __enter__(self):
        self.repeat(self.changes, 0.3)
        self.repeat(self.hold_locks, 2)
        self.repeat(self.die_as_a_node, 5)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def query(self, expression):
        answer = json.loads(get(f"{self.base}/api/v1/query?query={urllib.parse.quote(expression)}"))
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def range(self, expression, seconds):
        now = time.time()
        answer = json.loads(get(f"{self.base}/api/v1/query_range?step=1&start={now - seconds}&end={now}"
                                f"&query={urllib.parse.quote(expression)}"))
        return answer["data"]["result"]


def panels():
    for path in sorted((TOP / "metrics/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            yield path.stem, board["title"], panel


def filled_in(expression):
    return (expression.replace("$instance", ".*").replace("$database", ".*").replace("$__rate_interval", "20s")
            .replace("[1h]", "[60s]"))


def check_panels(prometheus):
    count = 0
    missing = {}
    # What comes and goes has its data at some moment.
    end = time.monotonic() + 60
    wanted = {(title, panel["title"], target["expr"]) for _, title, panel in panels() for target in panel["targets"]
              if panel["title"] not in MAY_BE_EMPTY}
    count = len(wanted)
    while wanted and time.monotonic() < end:
        wanted = {one for one in wanted if not prometheus.query(filled_in(one[2]))}
        missing = wanted
        time.sleep(0.5)
    for title, panel, expression in sorted(missing):
        check(False, f"{title}, {panel}: no data for {expression}")
    print(f"{count - len(missing)} of {count} expressions have data", flush=True)


def legend_of(target, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m.group(1), ""), target["legendFormat"]) or "value"


def draw(prometheus, directory):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    boards = {}
    for stem, title, panel in panels():
        boards.setdefault((stem, title), []).append(panel)
    for (stem, title), its in boards.items():
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in its)
        figure = plt.figure(figsize=(16, rows * 0.42), layout=None)
        figure.suptitle(title, y=1 - 0.1 / (rows * 0.42), fontsize=14)
        grid = figure.add_gridspec(rows, 24, left=0.04, right=0.99, bottom=0.02, top=1 - 0.8 / (rows * 0.42), hspace=0.5, wspace=2)
        for panel in its:
            at = panel["gridPos"]
            axes = figure.add_subplot(grid[at["y"]:at["y"] + at["h"] - 1, at["x"]:at["x"] + at["w"]])
            axes.set_title(f"{panel['title']} [{panel['fieldConfig']['defaults']['unit']}]", fontsize=9)
            axes.tick_params(labelsize=7)
            if panel["type"] == "stat":
                found = prometheus.query(filled_in(panel["targets"][0]["expr"]))
                axes.axis("off")
                axes.text(0.5, 0.4, f"{float(found[0]['value'][1]):.3g}" if found else "no data", ha="center", fontsize=22)
                continue
            for target in panel["targets"]:
                for series in prometheus.range(filled_in(target["expr"]), BUSY_SECONDS):
                    at_second = {round(float(x)): float(y) for x, y in series["values"]}
                    last = max(at_second)
                    seconds = range(last - BUSY_SECONDS, last + 1)
                    axes.plot([x - last + BUSY_SECONDS for x in seconds], [at_second.get(x, math.nan) for x in seconds],
                              linewidth=1, marker=".", markersize=2, label=legend_of(target, series["metric"]))
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend(fontsize=6, loc="upper left", ncols=2, framealpha=0.5)
        directory.mkdir(parents=True, exist_ok=True)
        figure.savefig(directory / f"dashboard-{stem}.png", dpi=80)
        plt.close(figure)


def prometheus_configuration(directory, worker_port):
    config = pathlib.Path(directory) / "prometheus.yml"
    config.write_text(f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{TOP / 'metrics/alerts.yml'}]
scrape_configs:
  - job_name: lockkeeper
    static_configs: [{{targets: ['127.0.0.1:{worker_port}']}}]
""")
    return config


def main():
    check_files()
    if problems:
        sys.exit(1)
    worker_port, port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="lockkeeper-test-"))
        dev = stack.enter_context(running([str(BUILD / "lockkeeper"), "dev", "--poll", "1", "--metrics", f"127.0.0.1:{worker_port}"],
                                          stdout=subprocess.PIPE, stderr=open(f"{directory}/dev.log", "w"), text=True))
        dsn = dev.stdout.readline().strip()
        stack.enter_context(running([tool("prometheus"), f"--config.file={prometheus_configuration(directory, worker_port)}",
                                     f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"],
                                    stderr=open(f"{directory}/prometheus.log", "w")))
        prometheus = Prometheus(port)
        with Application(dsn):
            stack.enter_context(running(["/usr/bin/python3", str(TOP / "docs/examples/column_cache.py"), dsn, "public.quick"],
                                        stdout=subprocess.DEVNULL))
            until(lambda: prometheus.query('up{job="lockkeeper"} == 1'), "Prometheus reads the worker's metrics")
            time.sleep(BUSY_SECONDS)
            check_panels(prometheus)
            for name in ("/healthz", "/readyz"):
                check(get(f"http://127.0.0.1:{worker_port}{name}") == "ok\n", name)
            firing = [one["metric"] for one in prometheus.query('ALERTS{alertstate="firing"}')]
            check(all(one["alertname"] == "LockkeeperJobsFail" for one in firing), f"alerts fire: {firing}")
            if PNG:
                draw(prometheus, PNG)
        if problems:
            print(pathlib.Path(f"{directory}/dev.log").read_text()[-3000:])
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    os.chdir("/")
    main()
