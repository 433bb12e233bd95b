"""Keeps a cache of a table's columns right while Lockkeeper changes the table, with nothing but a PostgreSQL driver.

    column_cache.py 'dbname=shop' public.orders

No job takes its next step before this program has read the columns anew. (psycopg 3; Debian: python3-psycopg.)
"""
import select
import sys
import time

import psycopg

HEARTBEAT = 15  # a third of the lease of 45 s


def load(connection, table):
    rows = connection.execute("SELECT name FROM lockkeeper.columns_of(%s) WHERE readable", (table,))
    print(table + ":", *(name for (name,) in rows), flush=True)


def live(dsn, table):
    """As a node, until the connection is lost or the node is fenced."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        heard = []
        connection.add_notify_handler(heard.append)
        # What a crash of the server undoes of it is said again.
        connection.execute("SET synchronous_commit = off")
        connection.execute("LISTEN lockkeeper_version")
        (node,) = connection.execute("SELECT lockkeeper.register_node('column_cache.py')").fetchone()
        (version,) = connection.execute("SELECT lockkeeper.schema_version()").fetchone()
        load(connection, table)
        while True:
            waits = connection.execute("SELECT job_id, version FROM lockkeeper.sync_node(%s, %s)",
                                       (node, version)).fetchall()
            if waits:
                # Here a program with transactions of its own waits for those that use an older version.
                jobs, versions = zip(*waits)
                connection.execute("SELECT lockkeeper.acknowledge(%s, %s, %s)", (node, list(jobs), list(versions)))
            known = version
            while known == version:
                if not heard:
                    select.select([connection], [], [], HEARTBEAT)
                heard.clear()
                (known,) = connection.execute("SELECT lockkeeper.heartbeat_node(%s)", (node,)).fetchone()
            changes = connection.execute("SELECT version, affected FROM lockkeeper.changes_since(%s)",
                                         (version,)).fetchall()
            touched = {one.get(side) for _, affected in changes for one in affected for side in ("old", "new")}
            if touched & {"relation:" + table, "schema:" + table.split(".")[0], "database"}:
                load(connection, table)
            version = changes[-1][0] if changes else known


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: column_cache.py DSN SCHEMA.TABLE")
    while True:
        try:
            live(*sys.argv[1:])
        except psycopg.Error as error:
            # The connection, or LK010 (fenced), or LK011 (too far behind): everything is loaded again.
            print("do not trust it now:", str(error).splitlines()[0], flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    main()
