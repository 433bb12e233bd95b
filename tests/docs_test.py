#!/usr/bin/env python3
"""Every command and every SQL of the documents is run, as a reader would run it.

docs_test.py LOCKKEEPER DOCUMENT...   Of each document, in order, in one shell of its own, against a server of its own:
  ```sh       commands; each must succeed, unless its line ends with "# exits N"
  ```sql      run by psql
  others      are not run: output, and commands that stay, install or need what is not here (```console)
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
EXITS = re.compile(r"#\s*exits (\d+)\s*$")


def logical_lines(block):
    """Commands of a block: lines, with what continues them (a backslash, an open quote or a here-document) put back together."""
    command = ""
    for line in block.splitlines():
        command += ("\n" if command else "") + line
        if not command.strip():
            command = ""
            continue
        checked = subprocess.run(["bash", "-n"], input=command + "\n", capture_output=True, text=True)
        if checked.returncode == 0 and not checked.stderr and not command.endswith("\\"):
            yield command
            command = ""
    if command.strip():
        raise SystemExit(f"a command of the document does not end:\n{command}")


def script_of(text):
    """One bash script that stops at the first surprise, and says which command it was."""
    lines = []
    for kind, block in FENCE.findall(text):
        commands = []
        if kind == "sh":
            commands = [(c, int(m.group(1)) if (m := EXITS.search(c)) else 0) for c in logical_lines(block)
                        if not re.fullmatch(r"\s*#.*", c)]
        elif kind == "sql":
            commands = [(f"psql -Xq -v ON_ERROR_STOP=1 \"$LOCKKEEPER_DSN\" <<'LOCKKEEPER_SQL'\n{block}LOCKKEEPER_SQL", 0)]
        for command, wanted in commands:
            lines.append(f"{command}\ncode=$?; [ $code = {wanted} ] || {{ echo; echo exit $code instead of {wanted}: "
                         f"{shlex.quote(command)}; exit 1; }} >&2")
    return "\n".join(lines), len(lines)


def mentioned(text):
    """Commands that a document names without running them: in the line, indented, or in other fences."""
    rest = FENCE.sub(lambda m: "" if m.group(1) in ("sh", "sql") else m.group(0), text)
    for m in re.finditer(r"`lockkeeper ([a-z][^`]*)`|^(?:    )?lockkeeper ([a-z].*)$", rest, re.M):
        yield re.sub(r"\s#.*", "", m.group(1) or m.group(2))


def check_mentioned(lockkeeper, document, helps):
    """They must exist, with their options."""
    count = 0
    for words in mentioned(document.read_text()):
        name, *options = words.split()
        if name not in helps:
            helps[name] = subprocess.run([lockkeeper, *([name] if "|" not in name else name.split("|")[:1]), "--help"],
                                         capture_output=True, text=True)
        if helps[name].returncode != 0:
            raise SystemExit(f"{document}: there is no command: lockkeeper {words}")
        for option in re.findall(r"--[a-z-]+", " ".join(options)):
            if option not in helps[name].stdout and option != "--help":
                raise SystemExit(f"{document}: no option {option}: lockkeeper {words}")
        count += 1
    return count


def run(lockkeeper, document, tools):
    script, count = script_of(document.read_text())
    if count == 0:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LOCKKEEPER_"))}
        environment["PATH"] = f"{tools}:{environment['PATH']}"
        with open(f"{folder}/server.log", "w") as log:
            server = subprocess.Popen([lockkeeper, "dev", "--workers", "4", "--no-metrics"], stdout=subprocess.PIPE, stderr=log,
                                      text=True, env=environment)
        try:
            environment["LOCKKEEPER_DSN"] = server.stdout.readline().strip()
            os.mkdir(f"{folder}/empty")
            ran = subprocess.run(["bash", "-c", script], cwd=f"{folder}/empty", env=environment, capture_output=True, text=True,
                                 timeout=300, stdin=subprocess.DEVNULL)
        finally:
            server.terminate()
            server.wait(60)
        if ran.returncode != 0:
            log = pathlib.Path(f"{folder}/server.log").read_text()
            raise SystemExit(f"{document}: {ran.stderr[-3000:]}\nlast output:\n{ran.stdout[-2000:]}\nlast log:\n{log[-4000:]}")
    return count


def main():
    lockkeeper, documents = str(pathlib.Path(sys.argv[1]).resolve()), [pathlib.Path(d) for d in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as tools:
        os.symlink(lockkeeper, f"{tools}/lockkeeper")
        helps = {}
        for document in documents:
            named = check_mentioned(lockkeeper, document, helps)
            print(f"{document.name}: {run(lockkeeper, document, tools)} commands run, {named} more looked up", flush=True)


main()
