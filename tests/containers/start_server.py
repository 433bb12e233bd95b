#!/usr/bin/env python3
"""A throw-away PostgreSQL for a test: prints its connection string when it takes connections, and is gone when standard
input ends, at SIGTERM, or when this program is killed.

    start_server.py BUILD_DIR [--image IMAGE] [--local DIRECTORY_OF_BINARIES]

In a container where an engine works (IMAGE: one like docker.io/library/postgres:16; without it one is made of the base's
packages), otherwise from installed binaries.
"""
import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys

import psycopg

from engine import HERE, Engine, NoEngine, until


def in_container(build, image):
    with Engine(build / "containers") as engine:
        if image:
            address = engine.start("postgres", image, address=10, environment={"POSTGRES_HOST_AUTH_METHOD": "trust"})
        else:
            made = engine.build("localhost/lockkeeper-servers:test", HERE / "servers.Dockerfile", HERE)
            address = engine.start("postgres", made, "postgres.sh", address=10, options=["--user", "postgres"])
        dsn = f"host={address} user=postgres dbname=postgres"
        until(lambda: psycopg.connect(dsn, connect_timeout=2).close() is None, "PostgreSQL takes connections")
        print(dsn, flush=True)
        sys.stdin.read()


def local(build, binaries):
    environment = {**os.environ, **({"LOCKKEEPER_PG_BIN": binaries} if binaries else {})}
    server = subprocess.Popen([build / "lockkeeper", "dev", "--workers", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, env=environment,
                              preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM))  # it goes with us
    try:
        print(server.stdout.readline().strip(), flush=True)
        sys.stdin.read()
    finally:
        server.terminate()
        server.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--image")
    parser.add_argument("--local", metavar="DIRECTORY_OF_BINARIES", nargs="?", const="")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if words.local is None:
        try:
            return in_container(words.build, words.image)
        except NoEngine as reason:
            print(f"from installed binaries, because: {reason}", file=sys.stderr)
    local(words.build, words.local)


if __name__ == "__main__":
    main()
