#!/usr/bin/env python3
"""Makes the Grafana dashboards in metrics/grafana/dashboards/ from the panels below. A test compares.

A panel: title, unit (Grafana's names), what it says, and its expressions with a legend each. SEL stands for the chosen
instances and databases. What is read from the tables is the same in every process of a database: max by.
"""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SEL = 'instance=~"$instance",database=~"$database"'
RATE = "$__rate_interval"


def of(metric, more="", where=SEL):
    return f"lockkeeper_{metric}{{{where}{',' + more if more else ''}}}"


def rate(metric, more="", by="", where=SEL):
    return f"sum by ({by}) (rate({of(metric, more, where)}[{RATE}]))"


def quantiles(metric, more="", by="", where=SEL, which=(0.5, 0.99)):
    legend = "".join(f"{{{{{label}}}}} " for label in by.replace(",", " ").split())
    labels = "le" + ("," + by if by else "")
    return [(f"histogram_quantile({q}, sum by ({labels}) (rate({of(metric + '_bucket', more, where)}[{RATE}])))",
             f"{legend}p{round(q * 100)}") for q in which]


def top(metric, by, more=""):
    return f"max by ({by}) ({of(metric, more)})"


def or_zero(expression):
    """Zero only while somebody is there to count: without a worker nothing is known."""
    return f"({expression}) or on() (0 * max({of('database_connected')} == 1))"


ALL = 'instance=~"$instance"'  # what has no database: the statements and the process

OVERVIEW = [
    ("stat", "Unfinished jobs", "none", "All that were submitted and have not ended.",
     [(or_zero(f"sum({top('jobs', 'database, state, action')})"), "")], None),
    ("stat", "Ready, but not run", "s", "For how long a job that nothing holds up has waited for a worker. Above some seconds: no worker "
     "is there, or all are busy.", [(or_zero(f"max({of('blocked_oldest_seconds', 'cause=%sslot%s' % (chr(34), chr(34)))})"), "")], (10, 60)),
    ("stat", "Held up by somebody", "s", "For how long a lock, a transaction or a node has held up a job: \"lockkeeper blockers\" says who.",
     [(or_zero(f"max({of('blocker_seconds')})"), "")], (60, 600)),
    ("stat", "Failed in an hour", "none", "Jobs that were cancelled, by somebody or by an error: \"lockkeeper history --state cancelled\".",
     [(f"round(sum(increase({of('jobs_failed_total')}[1h])))", "")], (1, 10)),
    ("stat", "Worker processes", "none", "Processes whose lease holds, of the database that has the fewest. None: nothing runs.",
     [(f"min(max by (database) ({of('processes')}))", "")], None),
    ("stat", "Databases not served", "none", "Databases that were served within a day, and that no process reaches now.",
     [(or_zero(f"count(max by (database) (max_over_time({of('database_connected')}[1d])) unless on (database) "
               f"(max by (database) ({of('database_connected')}) == 1))"), "")], (1, 1)),
    ("graph", "Unfinished jobs by state", "none", "A queue that grows is either held up or has too few workers: the panel beside it says which.",
     [(f"sum by (state) ({top('jobs', 'database, state, action')})", "{{state}}")], None),
    ("graph", "What holds jobs up", "none", "dependency: an earlier job on the same object. slot: no free worker. lock, transaction, node: somebody of the "
     "application. throttle: a standby or a held row. retry: it failed and is tried again.",
     [(f"sum by (cause) ({top('jobs_blocked', 'database, cause')})", "{{cause}}")], None),
    ("graph", "Jobs ended", "cpm", "Jobs a minute by result. synced is well.",
     [(f"60 * {rate('jobs_ended_total', by='result')}", "{{result}}")], None),
    ("graph", "From submission to end", "s", "What a user waits for, with all waits for others in it.", quantiles("job_total_seconds"), None),
    ("graph", "Jobs ended by action", "cpm", "What kind of changes they are, a minute.",
     [(f"60 * {rate('jobs_ended_total', by='action')}", "{{action}}")], None),
    ("graph", "Age of what is in the way", "s", "The oldest lock, transaction or node that holds up a job.",
     [(f"max by (cause) ({of('blocker_seconds')})", "{{cause}}")], None),
    ("graph", "Sessions stalled behind Lockkeeper", "none", "Sessions of others that wait for a lock of ours at the moment of the reading. Above zero for more than one "
     "reading: tell us.", [(top("stalled_sessions", "database"), "{{database}}")], None),
    ("graph", "Workers", "none", "Threads that run a job, and how many there may be, by pool.",
     [(f"sum by (pool) ({of('pool_busy')})", "{{pool}} busy"), (f"sum by (pool) ({of('pool_size')})", "{{pool}} most")], None),
]

JOB_TABLE = [
    ("graph", "Queue by action", "none", "Unfinished jobs by what they do.",
     [(f"sum by (action) ({top('jobs', 'database, state, action')})", "{{action}}")], None),
    ("graph", "Oldest job by state", "s", "Since its submission.", [(f"max by (state) ({of('oldest_job_seconds')})", "{{state}}")], None),
    ("graph", "Jobs held up, on average", "none", "Seconds of waiting of all jobs in a second, by cause: 2 means that two jobs waited all the time.",
     [(f"sum by (cause) (max by (database, cause) (rate({of('blocked_seconds_total')}[{RATE}])))", "{{cause}}")], None),
    ("graph", "Operations", "ops", "What workers do, a second: claims, transactions, steps, and what was put off because somebody was in the way.",
     [(rate("operation_seconds_count", by="operation, result"), "{{operation}} {{result}}")], None),
    ("graph", "Time of operations, p99", "s", "An operation that takes longer than usual points at what is slow.",
     quantiles("operation_seconds", by="operation", which=(0.99,)), None),
    ("graph", "From claim to end", "s", "Without the time in the queue.", quantiles("job_run_seconds"), None),
    ("graph", "Statements on the job table", "ops", "The ten most frequent, by the name of their file.",
     [(f"topk(10, {rate('query_seconds_count', by='query', where=ALL)})", "{{query}}")], None),
    ("graph", "Time of statements, p99", "s", "The ten slowest, by the name of their file.",
     [(f"topk(10, {quantiles('query_seconds', by='query', where=ALL, which=(0.99,))[0][0]})", "{{query}}")], None),
    ("graph", "Failed statements", "cpm", "By name and SQLSTATE. 55P03 is a lock that was not waited for.",
     [(f"60 * {rate('query_errors_total', by='query, sqlstate', where=ALL)}", "{{query}} {{sqlstate}}")], None),
    ("graph", "What wakes workers", "ops", "Mostly notification and chain. Mostly poll: notifications are lost on the way, by a pooler in transaction mode perhaps.",
     [(rate("wakes_total", by="by"), "{{by}}")], None),
    ("graph", "Notifications", "ops", "That came in, by channel.", [(rate("notifications_total", by="channel"), "{{channel}}")], None),
    ("graph", "Retries", "cpm", "Failed tries that are repeated, by SQLSTATE, and jobs taken from workers that are gone.",
     [(f"60 * {rate('job_retries_total', by='sqlstate')}", "{{sqlstate}}"), (f"60 * {rate('jobs_reclaimed_total')}", "reclaimed")], None),
    ("graph", "Size of tables", "bytes", "Of the lockkeeper schema, with indexes.", [(top("table_bytes", "table"), "{{table}}")], None),
    ("graph", "Dead rows", "none", "They grow while a transaction is open for long, and cost little: claims start behind them.",
     [(top("table_dead_rows", "table"), "{{table}}")], None),
    ("graph", "Trash", "bytes", "Dropped tables that are kept: \"lockkeeper trash\" lists them.", [(top("trash_bytes", "database"), "{{database}}")], None),
    ("graph", "History", "none", "Ended jobs that are kept, as PostgreSQL estimates them: \"lockkeeper set history_days\".",
     [(top("history_jobs", "database"), "{{database}}")], None),
    ("graph", "Processor", "percentunit", "Processor time of each worker process; 100 %: one core.",
     [(f"rate(process_cpu_seconds_total{{{ALL},job=\"lockkeeper\"}}[{RATE}])", "{{instance}}")], None),
    ("graph", "Memory", "bytes", "Resident memory of each worker process.",
     [(f"process_resident_memory_bytes{{{ALL},job=\"lockkeeper\"}}", "{{instance}}")], None),
]

STEPS = [
    ("graph", "How long locks were asked for and held", "s", "Of each transaction, from its first statement to its end: nobody was stalled by it for longer.",
     quantiles("lock_span_seconds", which=(0.5, 0.99, 1)), None),
    ("graph", "Locks got soon", "percentunit", "The part of all jobs that got their locks at the first try, and within three.",
     [(f"sum(rate({of('lock_tries_bucket', f'le=~{chr(34)}{le}([.]0)?{chr(34)}')}[{RATE}])) / sum(rate({of('lock_tries_count')}[{RATE}]))", f"within {le}") for le in (1, 3)], None),
    ("graph", "Locks not got", "cpm", "look: somebody was seen to hold one, and was not waited for. timeout: it was not let go of in time.",
     [(f"60 * {rate('lock_refused_total', by='why')}", "{{why}}")], None),
    ("graph", "Sessions stalled behind Lockkeeper", "none", "Sessions of others that wait for a lock of ours at the moment of the reading.",
     [(top("stalled_sessions", "database"), "{{database}}")], None),
    ("graph", "Steps", "cpm", "Steps, statements outside of transactions, probes and undos, by result, a minute.",
     [(f"60 * {rate('operation_seconds_count', 'operation=~%sstep|outside|probe|undo|transaction%s' % (chr(34), chr(34)), 'operation, result')}", "{{operation}} {{result}}")], None),
    ("graph", "Backfills", "none", "Under way, and those that go slower than they could.",
     [(top("backfills", "database"), "{{database}}"), (top("backfills_throttled", "database"), "{{database}} throttled")], None),
    ("graph", "Backfill done", "percentunit", "Part of the blocks of all backfills under way; 1 when there is none.",
     [(f"min by (database) ({of('backfill_done_ratio')})", "{{database}}")], None),
    ("graph", "Rows filled", "ops", "Rows a second that backfills write, of all workers.", [(rate("backfill_rows_total", by="database"), "{{database}}")], None),
    ("graph", "Time of a batch", "s", "Batches are made as large as fits their time (20 ms, unless asked for more).", quantiles("backfill_batch_seconds"), None),
    ("graph", "Batches that met a held row", "cpm", "They are tried again, smaller.", [(f"60 * {rate('backfill_held_total', by='database')}", "{{database}}")], None),
    ("graph", "Standby lag", "s", "Of the slowest standby: a backfill waits when it is more than \"work --lag\".",
     [(top("replication_lag_seconds", "database"), "{{database}}")], None),
    ("graph", "Asked to let pass", "cpm", "Autovacuums that were stopped for a step, and transactions that were ended because a job was to do so.",
     [(f"60 * {rate('autovacuum_stopped_total')}", "autovacuum"), (f"60 * {rate('transactions_ended_total')}", "transactions")], None),
]

NODES = [
    ("graph", "Schema version", "none", "One number for the database, one more for each step that changes anything.",
     [(top("schema_version", "database"), "{{database}}")], None),
    ("graph", "New versions", "cpm", "A minute.", [(f"60 * max by (database) (deriv({of('schema_version')}[{RATE}]))", "{{database}}")], None),
    ("graph", "Nodes by state", "none", "gone: its connection or lease is over, and it is waited for a moment more.",
     [(f"sum by (state) ({top('nodes', 'database, state')})", "{{state}}")], None),
    ("graph", "Lag of nodes", "none", "Versions that a node is behind, the ten worst. A job waits when it is two.",
     [(f"topk(10, {top('node_lag_versions', 'database, node')})", "{{node}}")], None),
    ("graph", "Wait for nodes and transactions", "s", "Of a worker after a step; a longer wait goes on in the queue.", quantiles("sync_seconds"), None),
    ("graph", "Jobs that wait for nodes or transactions", "none", "In the queue: \"lockkeeper blockers\" says for whom.",
     [(f"max by (cause) ({of('jobs_blocked', 'cause=~%snode|transaction%s' % (chr(34), chr(34)))})", "{{cause}}")], None),
    ("graph", "For how long", "s", "The wait of the job that has waited for the longest.",
     [(f"max by (cause) ({of('blocked_oldest_seconds', 'cause=~%snode|transaction%s' % (chr(34), chr(34)))})", "{{cause}}")], None),
    ("graph", "Time to acknowledge", "s", "From a step to the acknowledgement of its version, of each node.", quantiles("node_ack_seconds"), None),
    ("graph", "Acknowledgements", "ops", "Notifications of nodes that have left an old version.",
     [(rate("notifications_total", 'channel="lockkeeper_ack"', "database"), "{{database}}")], None),
    ("graph", "Nodes that died", "cpm", "Without saying goodbye: nobody waits for them any more.",
     [(f"60 * {rate('nodes_buried_total', by='database')}", "{{database}}")], None),
]

DASHBOARDS = [("overview", "Overview", OVERVIEW), ("job-table", "Job table", JOB_TABLE), ("online-steps", "Online steps", STEPS),
              ("versions-and-nodes", "Versions and nodes", NODES)]


def panel(number, place, kind, title, unit, says, targets, thresholds):
    steps = [{"color": "green", "value": None}]
    if thresholds:
        steps = steps + [{"color": color, "value": value} for color, value in zip(("orange", "red"), thresholds)]
    field = {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    options = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    if kind == "graph":
        field["custom"] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "id": number, "title": title, "description": says, "type": "timeseries" if kind == "graph" else "stat",
        "datasource": {"type": "prometheus", "uid": "${datasource}"}, "gridPos": place,
        "fieldConfig": {"defaults": field, "overrides": []}, "options": options,
        "targets": [{"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, "editorMode": "code", "range": True}
                    for i, (expression, legend) in enumerate(targets)],
    }


def variable(name, metric):
    return {"name": name, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": f"label_values({metric}, {name})", "refId": name}, "definition": f"label_values({metric}, {name})",
            "includeAll": True, "allValue": ".*", "multi": True, "refresh": 2, "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]}}


def dashboard(uid, title, panels):
    made, x, y = [], 0, 0
    for number, (kind, *rest) in enumerate(panels, 1):
        width, height = (4, 4) if kind == "stat" else (12, 8)
        if x + width > 24:
            x, y = 0, y + made[-1]["gridPos"]["h"]
        made.append(panel(number, {"x": x, "y": y, "w": width, "h": height}, kind, *rest))
        x += width
    return {
        "uid": "lockkeeper-" + uid, "title": "Lockkeeper: " + title, "tags": ["lockkeeper"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["lockkeeper"], "title": "Lockkeeper", "asDropdown": False, "keepTime": True, "includeVars": True}],
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus", "current": {}},
            variable("instance", "lockkeeper_build_info"), variable("database", "lockkeeper_database_connected")]},
        "panels": made,
    }


def main():
    stale = []
    for uid, title, panels in DASHBOARDS:
        path = HERE / "grafana/dashboards" / f"{uid}.json"
        text = json.dumps(dashboard(uid, title, panels), indent=1) + "\n"
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"made anew by metrics/dashboards.py, these would differ: {', '.join(stale)}")


if __name__ == "__main__":
    main()
