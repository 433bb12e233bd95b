#!/usr/bin/env python3
"""What a compiler does not check: layers, sizes, SQL files, migrations, tests, the list of metrics."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
SRC = TOP / "src"
FILE_MOST, FUNCTION_MOST, LINE_MOST = 600, 70, 100
problems = []


def problem(path, text):
    problems.append(f"{path.relative_to(TOP)}: {text}")


def sources(*folders):
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*")):
            if path.suffix in (".cpp", ".hpp", ".sql", ".py", ".sh", ".cmake"):
                yield path


def layers():
    table = {}
    for line in (TOP / "tests/layers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            folder, _, allowed = line.partition(":")
            table[folder] = allowed.split()
    return table


def check_layers():
    table = layers()
    folders = {p.name for p in SRC.iterdir() if p.is_dir() and any(p.glob("*.cpp"))}
    for missing in folders - set(table):
        problems.append(f"tests/layers.txt: no line for src/{missing}")
    # The table itself must go one way.
    depth, order = {}, list(table)
    for folder in order:
        for allowed in table[folder]:
            if order.index(allowed.split("/")[0]) > order.index(folder):
                depth[folder] = allowed
                if folder != "cli" and order.index(allowed.split("/")[0]) > order.index(folder):
                    problems.append(f"tests/layers.txt: {folder} may not include {allowed}, which comes later")
    for path in SRC.rglob("*.[ch]pp"):
        folder = path.relative_to(SRC).parts[0]
        if folder not in table:
            continue
        for target in re.findall(r'#include "([^"]+)"', path.read_text()):
            other = target.split("/")[0]
            allowed = table[folder]
            if other in (folder, "sql") or other in allowed or target in allowed:
                continue
            problem(path, f"may not include {target} (tests/layers.txt)")


def check_owners_of_libraries():
    only = {
        r"<pqxx/": {"src/pg/session.cpp"},
        r"<pg_query": {"src/parse/grammar.cpp", "src/parse/message.hpp"},
        r"<prometheus/": {"src/metrics/registry.cpp"},
        r"<toml": {"src/config/file.cpp"},
        r"<boost/beast": {"src/metrics/http_server.cpp"},
        r"<libpq-fe": {"src/pg/dsn.cpp", "src/pg/password.cpp"},
        r"<spdlog/": {"src/base/log.cpp"},
    }
    for path in SRC.rglob("*.[ch]pp"):
        text = path.read_text()
        for pattern, owners in only.items():
            if re.search(r"#include " + pattern, text) and str(path.relative_to(TOP)) not in owners:
                problem(path, f"only {', '.join(owners)} may include {pattern}")


def check_sizes():
    for path in sources("src", "sql", "migrations", "tests", "scripts"):
        lines = path.read_text().splitlines()
        if len(lines) > FILE_MOST:
            problem(path, f"{len(lines)} lines (at most {FILE_MOST})")
        if path.suffix in (".cpp", ".hpp"):
            for number, line in enumerate(lines, 1):
                if len(line) > LINE_MOST:
                    problem(path, f"line {number} has {len(line)} columns (at most {LINE_MOST})")
            check_functions(path, lines)


def check_functions(path, lines):
    """A function begins at a line that ends with '{' after ')' and ends at '}' in the same column."""
    start = None
    for number, line in enumerate(lines, 1):
        head = re.match(r"^(  )?\S.*\)( const| override| noexcept)*( : .*)? \{$", line)
        if start is None and head and not re.match(r"^\s*(if|for|while|switch|do|else)\b", line):
            start, indent = number, len(line) - len(line.lstrip())
        elif start is not None and re.match(r"^ {%d}\}" % indent, line):
            if number - start > FUNCTION_MOST:
                problem(path, f"function at line {start} has {number - start} lines (at most {FUNCTION_MOST})")
            start = None


def check_sql():
    code = "\n".join(p.read_text() for p in SRC.rglob("*.cpp"))
    for path in sorted((TOP / "sql").rglob("*.sql")):
        text = path.read_text()
        symbol = "sql::" + str(path.relative_to(TOP / "sql"))[:-4].replace("/", "_")
        if symbol not in code:
            problem(path, f"no code uses {symbol}")
        if not text.startswith("--") or "Caller:" not in text:
            problem(path, "begins with a comment that says what a row means, the locks and the caller")
        body = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        if body.strip().count(";") != 1 or not body.strip().endswith(";"):
            problem(path, "holds exactly one statement, ended by ;")
        if re.search(r"SELECT \*|RETURNING \*", body):
            problem(path, "names its columns")


def check_migrations():
    files = sorted((TOP / "migrations").glob("*.sql"))
    for number, path in enumerate(files, 1):
        text = path.read_text()
        if int(path.name[:4]) != number:
            problem(path, f"must have number {number:04}")
        if "breaking: " not in text.splitlines()[0]:
            problem(path, "the first line says breaking: yes or no")
        # From the migration on that has the column, its row says the same.
        if path.name >= "0015" and ("breaking: no" in text.splitlines()[0]) != (", false);" in text.splitlines()[1]):
            problem(path, "the row of ddl_migration, in the second line, says another breaking than the first line")
        row = f"VALUES ({number}, '{path.stem[5:]}'"
        if row + ")" not in text and row + ", false)" not in text:
            problem(path, "inserts its own row into ddl_migration")


def check_metrics():
    """That a name in the code is in the list, the compiler sees (metrics/list.hpp)."""
    code = "\n".join(path.read_text() for path in SRC.rglob("*.[ch]pp"))
    for line in (TOP / "metrics/metrics.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name = line.split("|")[0].strip()
            if not re.search(r"\b" + name.removeprefix("lockkeeper_") + r"\b", code):
                problems.append(f"metrics/metrics.txt: nothing in src/ counts {name}")


def check_top_level():
    allowed = {"CMakeLists.txt", "sql", "src", "migrations", "metrics", "tests", "docker", "README.md", "docs",
               "scripts", ".ci", "CMakePresets.json", "CHANGELOG.md", "LICENSE", "build"}
    for path in TOP.iterdir():
        if path.name not in allowed and not path.name.startswith("."):
            problem(path, "does not belong on the top level")


def check_tests_are_wired():
    wired = (TOP / "tests/CMakeLists.txt").read_text()
    for path in (TOP / "tests").rglob("*_test.cpp"):
        if str(path.relative_to(TOP / "tests")) not in wired:
            problem(path, "is not in tests/CMakeLists.txt")
        suites = set(re.findall(r"^(?:TEST|TEST_F|TEST_P)\((\w+),", path.read_text(), re.M))
        if "testbed.hpp" in path.read_text():
            for suite in suites:
                if f"{suite}." not in wired:
                    problem(path, f"suite {suite} is run by no ctest entry")


for check in (check_layers, check_owners_of_libraries, check_sizes, check_sql, check_migrations, check_metrics,
              check_top_level, check_tests_are_wired):
    check()
print("\n".join(problems) if problems else "tidy")
sys.exit(1 if problems else 0)
