#include "parse/parser.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "parse/message.hpp"
#include "parse/passwords.hpp"

namespace lockkeeper::parse {
namespace {

Statement one(const std::string& sql) { return parse(sql).at(0); }

// "relation:app.orders!" for exclusive, without ! for shared; sorted.
std::vector<std::string> footprint(const std::string& sql) {
  std::vector<std::string> keys;
  for (const auto& ref : one(sql).refs) {
    std::string key = ref.kind + ":" + (ref.schema.empty() ? "" : ref.schema + ".") + ref.name;
    if (ref.barrier_unless_builtin) key += "?";
    keys.push_back(key + (ref.exclusive ? "!" : ""));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}
using Keys = std::vector<std::string>;

struct ActionCase {
  const char* sql;
  const char* action;
};

class ParserAction : public ::testing::TestWithParam<ActionCase> {};
TEST_P(ParserAction, is_named_as_people_name_it) {
  EXPECT_EQ(one(GetParam().sql).action, GetParam().action) << GetParam().sql;
}
INSTANTIATE_TEST_SUITE_P(
    Statements, ParserAction,
    ::testing::Values(
        ActionCase{"CREATE TABLE t (a int)", "create table"},
        ActionCase{"ALTER TABLE t ADD COLUMN a int", "add column"},
        ActionCase{"ALTER TABLE t ADD a int, ADD b int", "add column"},
        ActionCase{"ALTER TABLE t ADD a int, DROP b", "alter table"},
        ActionCase{"ALTER TABLE t ALTER a TYPE bigint", "modify column"},
        ActionCase{"ALTER TABLE t ALTER a DROP DEFAULT", "drop default"},
        ActionCase{"ALTER TABLE t ALTER a SET DEFAULT 1", "set default"},
        ActionCase{"ALTER TABLE t ADD PRIMARY KEY (a)", "add primary key"},
        ActionCase{"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p",
                   "add foreign key"},
        ActionCase{"CREATE UNIQUE INDEX i ON t (a)", "add index"},
        ActionCase{"DROP INDEX i", "drop index"}, ActionCase{"DROP TABLE t", "drop table"},
        ActionCase{"ALTER TABLE t RENAME TO u", "rename table"},
        ActionCase{"ALTER TABLE t RENAME a TO b", "rename column"},
        ActionCase{"ALTER INDEX i RENAME TO j", "rename index"},
        ActionCase{"CREATE TYPE e AS ENUM ('a')", "create type"},
        ActionCase{"ALTER TYPE e ADD VALUE 'b'", "alter type"},
        ActionCase{"CREATE MATERIALIZED VIEW v AS SELECT 1", "create materialized view"},
        ActionCase{"DROP MATERIALIZED VIEW v", "drop materialized view"},
        ActionCase{"GRANT SELECT ON t TO r", "grant"},
        ActionCase{"REVOKE SELECT ON t FROM r", "revoke"},
        ActionCase{"COMMENT ON TABLE t IS 'x'", "comment"}, ActionCase{"DO 'BEGIN END'", "do"},
        ActionCase{"UPDATE t SET a = 1", "update"}, ActionCase{"TRUNCATE t", "truncate table"},
        ActionCase{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "create function"},
        ActionCase{"CREATE PROCEDURE f() LANGUAGE sql AS 'SELECT 1'", "create procedure"},
        ActionCase{"CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int)", "create aggregate"},
        ActionCase{"VACUUM t", "vacuum"}, ActionCase{"ANALYZE t", "analyze"},
        ActionCase{"CREATE POLICY p ON t", "create policy"},
        ActionCase{"ALTER SEQUENCE s RESTART", "alter sequence"},
        ActionCase{"CREATE EXTENSION x", "create extension"},
        ActionCase{"CREATE SCHEMA s", "create schema"}));

TEST(ParserFootprint, what_is_changed_is_exclusive_and_what_is_read_is_shared) {
  EXPECT_EQ(footprint("ALTER TABLE a.t ADD c int REFERENCES p (id)"),
            (Keys{"relation:a.t!", "relation:p"}));
  EXPECT_EQ(footprint("CREATE TABLE t (LIKE src, s app.status)"),
            (Keys{"relation:src", "relation:t!", "type:app.status"}));
  EXPECT_EQ(footprint("CREATE VIEW v AS SELECT * FROM x JOIN s.y USING (id)"),
            (Keys{"relation:s.y", "relation:v!", "relation:x"}));
  EXPECT_EQ(footprint("INSERT INTO t SELECT * FROM u"), (Keys{"relation:t!", "relation:u"}));
  EXPECT_EQ(footprint("CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()"),
            (Keys{"function:f", "relation:t!"}));
}

TEST(ParserFootprint, both_names_of_a_rename_are_taken) {
  EXPECT_EQ(footprint("ALTER TABLE s.t RENAME TO u"), (Keys{"relation:s.t!", "relation:s.u!"}));
  EXPECT_EQ(footprint("ALTER TYPE s.e RENAME TO f"), (Keys{"type:s.e!", "type:s.f!"}));
  EXPECT_EQ(footprint("ALTER TABLE t SET SCHEMA s"),
            (Keys{"relation:s.t!", "relation:t!", "schema:s"}));
}

TEST(ParserFootprint, each_kind_of_drop_names_its_object) {
  EXPECT_EQ(footprint("DROP TABLE a.b, c"), (Keys{"relation:a.b!", "relation:c!"}));
  EXPECT_EQ(footprint("DROP TRIGGER g ON s.t"), (Keys{"relation:s.t!"}));
  EXPECT_EQ(footprint("DROP TYPE s.e"), (Keys{"type:s.e!"}));
  EXPECT_EQ(footprint("DROP SCHEMA s"), (Keys{"schema:s!"}));
  EXPECT_EQ(footprint("DROP FUNCTION s.f(int)"), (Keys{"function:s.f!"}));
}

TEST(ParserFootprint, a_cte_is_not_a_table) {
  EXPECT_EQ(footprint("WITH c AS (SELECT * FROM x) SELECT * FROM c"), (Keys{"relation:x"}));
}

TEST(ParserFootprint, code_that_cannot_be_read_is_a_barrier) {
  for (const char* sql : {"DO 'BEGIN END'", "CALL p()", "CREATE EXTENSION x"}) {
    const auto keys = footprint(sql);
    EXPECT_TRUE(std::find(keys.begin(), keys.end(), "database:!") != keys.end()) << sql;
  }
  EXPECT_EQ(footprint("SELECT fill(1)"), (Keys{"function:fill?"}));
}

TEST(ParserFootprint, built_in_serial_types_are_no_objects) {
  EXPECT_EQ(footprint("CREATE TABLE t (a serial, b bigserial)"), (Keys{"relation:t!"}));
}

TEST(ParserFootprint, names_are_folded_as_the_server_folds_them) {
  EXPECT_EQ(footprint("DROP TABLE Foo, \"Bar\""), (Keys{"relation:Bar!", "relation:foo!"}));
}

TEST(ParserMode, knows_what_cannot_be_in_a_transaction) {
  for (const char* sql :
       {"CREATE INDEX CONCURRENTLY i ON t (a)", "DROP INDEX CONCURRENTLY i", "VACUUM t",
        "REINDEX INDEX CONCURRENTLY i", "ALTER TABLE t DETACH PARTITION p CONCURRENTLY"})
    EXPECT_EQ(one(sql).mode, Mode::outside_transaction) << sql;
  for (const char* sql :
       {"CREATE INDEX i ON t (a)", "ANALYZE t", "REINDEX INDEX i", "ALTER TYPE e ADD VALUE 'x'"})
    EXPECT_EQ(one(sql).mode, Mode::transactional) << sql;
}

TEST(ParserFile, commands_of_psql_that_say_nothing_to_the_server_are_passed_over) {
  const std::string text =
      "\\restrict abcDEF123\nCREATE TABLE a ();\n  \\set ON_ERROR_STOP on\nSELECT '\n\\restrict "
      "x\n';\n"
      "CREATE TABLE b ();\n\\unrestrict abcDEF123\n";
  const auto units = parse_file(text);
  ASSERT_EQ(units.size(), 3U);
  EXPECT_EQ(units[1].statements.front().text, "SELECT '\n\\restrict x\n'");
  EXPECT_EQ(units[2].position(), static_cast<int>(text.find("CREATE TABLE b")) + 1);
  EXPECT_THROW(parse_file("\\i other.sql"), InputError);
}

TEST(ParserFile, control_characters_in_a_string_are_kept) {
  const std::string text = "SELECT '\x01\x1f', E'\\a' FROM \"a\x02\" -- \x03";
  EXPECT_EQ(parse_file(text).front().statements.front().refs.front().name, "a\x02");
}

TEST(ParserFile, commands_that_are_passed_over_cost_nothing_much_and_hide_nothing) {
  EXPECT_EQ(parse_file("\\restrict " + std::string(300000, 'a') + "\nSELECT 1").size(), 1U);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "\\set QUIET\n";
  EXPECT_THROW(parse_file(many + "SELECT 1"), InputError);
  EXPECT_THROW(parse_file("\\set ON_ERROR_STOP off\nSELECT 1"), InputError);
  EXPECT_THROW(parse_file("SELECT E'abc\n\\restrict \\uZZZZ\nend'"), InputError);
}

TEST(ParserFile, functions_of_the_session_stay_in_one_job_with_what_uses_them) {
  const auto units = parse_file(
      "CREATE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE sql AS 'select $1'; SELECT 1; INSERT "
      "INTO t "
      "SELECT pg_temp.f(1); CREATE TABLE after ()");
  ASSERT_EQ(units.size(), 2U);
  EXPECT_EQ(units[0].statements.size(), 3U);
  EXPECT_EQ(
      parse_file("CREATE TYPE pg_temp.c AS (a int); CREATE TABLE t AS SELECT NULL::pg_temp.c AS c")
          .size(),
      1U);
}

TEST(ParserFile, booleans_are_read_as_postgresql_reads_them) {
  for (const char* value : {"on", "'ON'", "t", "TRUE", "'yes'", "1"})
    EXPECT_NO_THROW(parse_file(std::string("SET standard_conforming_strings = ") + value));
  EXPECT_THROW(parse_file("SET standard_conforming_strings = off"), InputError);
}

TEST(ParserStatement, knows_what_takes_columns_by_their_places) {
  const auto tables = [](const std::string& sql) {
    std::string names;
    for (const auto& ref : one(sql).by_position) names += (names.empty() ? "" : " ") + ref.name;
    return names;
  };
  EXPECT_EQ(tables("INSERT INTO t VALUES (1, 2)"), "t");
  EXPECT_EQ(tables("INSERT INTO t (a, b) VALUES (1, 2)"), "");
  EXPECT_EQ(tables("INSERT INTO t DEFAULT VALUES"), "");
  EXPECT_EQ(tables("INSERT INTO t (a, b) SELECT * FROM u"), "t u");
  EXPECT_EQ(tables("INSERT INTO t SELECT a FROM u"), "t");
  EXPECT_EQ(tables("SELECT * FROM t"), "");
  EXPECT_EQ(tables("WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT FROM x"), "t");
  EXPECT_EQ(tables("MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT VALUES (1)"), "t");
  EXPECT_EQ(tables("MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT (a) VALUES (1)"), "");
  EXPECT_EQ(tables("INSERT INTO t (a) SELECT 5 WHERE EXISTS (SELECT * FROM u)"), "");
}

struct RefusalCase {
  const char* sql;
  const char* message;  // a part of it
  int line;
  int column;
};
class ParserRefusal : public ::testing::TestWithParam<RefusalCase> {};
// Promise 13: a clear error with the place, before anything is queued.
TEST_P(ParserRefusal, promise_13_says_why_and_where) {
  try {
    parse_file(GetParam().sql);
    FAIL() << GetParam().sql;
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().message), std::string::npos)
        << error.what();
    EXPECT_EQ(error.place().line, GetParam().line) << GetParam().sql;
    EXPECT_EQ(error.place().column, GetParam().column) << GetParam().sql;
  }
}
INSTANTIATE_TEST_SUITE_P(
    Statements, ParserRefusal,
    ::testing::Values(
        RefusalCase{"SELECT 1;\n  DROP TABEL x", "syntax error", 2, 8},
        RefusalCase{"CREATE DATABASE x", "CREATE DATABASE", 1, 1},
        RefusalCase{"-- c\n\nDROP DATABASE x", "DROP DATABASE", 3, 1},
        RefusalCase{"/* a /* b */ c */ ALTER SYSTEM SET a = 1", "ALTER SYSTEM", 1, 19},
        RefusalCase{"COPY t FROM PROGRAM 'x'", "PROGRAM", 1, 1},
        RefusalCase{"COPY t FROM STDIN", "stream", 1, 1},
        RefusalCase{"DROP TABLE lockkeeper.ddl_job", "lockkeeper schema", 1, 1},
        RefusalCase{"DROP SCHEMA lockkeeper CASCADE", "lockkeeper schema", 1, 1},
        RefusalCase{"SELECT 1;\n\\d t", "syntax error", 2, 1},
        RefusalCase{"SELECT set_config('role', 'x', false)", "set_config('role')", 1, 1},
        RefusalCase{"REINDEX SCHEMA lockkeeper", "lockkeeper schema", 1, 1},
        RefusalCase{"BEGIN; SELECT 1; SET ROLE x; SELECT 2; COMMIT", "role cannot change", 1, 18},
        RefusalCase{"BEGIN; SELECT 1; DISCARD ALL; COMMIT", "transaction block", 1, 18},
        RefusalCase{"SET default_transaction_read_only = on", "READ WRITE", 1, 1},
        RefusalCase{"SET default_transaction_isolation = 'serializable'", "READ COMMITTED", 1, 1},
        RefusalCase{"BEGIN; SELECT 1", "BEGIN without COMMIT", 1, 1},
        RefusalCase{"BEGIN; SELECT 1; ROLLBACK", "ROLLBACK", 1, 18},
        RefusalCase{"BEGIN; VACUUM t; COMMIT", "transaction block", 1, 8},
        RefusalCase{"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT", "READ COMMITTED", 1, 1},
        RefusalCase{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "READ WRITE", 1, 1},
        RefusalCase{"SELECT 1;\nSELECT 'caf\xe9'", "not UTF-8", 2, 12},
        RefusalCase{"SELECT '\xe0\x9c\x9f'", "not UTF-8", 1, 9},
        RefusalCase{"SELECT '\xed\xa0\x80'", "not UTF-8", 1, 9},
        RefusalCase{"PREPARE TRANSACTION 'x'", "two-phase", 1, 1},
        RefusalCase{"SAVEPOINT a", "SAVEPOINT", 1, 1},
        RefusalCase{"SET standard_conforming_strings = off", "standard_conforming", 1, 1}));

// The tree of version 15 loses negative numbers: refused there, and kept by later ones.
TEST(ParserRefusal, promise_13_a_number_that_the_tree_loses_is_not_taken_for_zero) {
  if (grammar() < 16)
    EXPECT_THROW(parse_file("SET TimeZone TO -7; CREATE TABLE t ()"), InputError);
  else
    EXPECT_EQ(parse_file("SET TimeZone TO -7; CREATE TABLE t ()").front().settings.at("timezone"),
              "-7");
}

TEST(ParserRefusal, a_psql_command_is_explained) {
  try {
    parse_file("SELECT 1;\n\\d t");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(error.report().hint.find("psql"), std::string::npos);
  }
}

TEST(ParserRefusal, a_tree_that_is_too_deep_is_refused_and_not_walked) {
  for (const int terms : {20000, 60000, 200000}) {
    std::string sql = "SELECT 1";
    for (int i = 0; i < terms; ++i) sql += "+1";
    EXPECT_THROW(parse(sql), InputError) << terms;
  }
}

TEST(ParserRefusal, data_after_copy_is_explained) {
  try {
    parse_file("COPY t (a) FROM stdin;\n1\n\\.\n");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(error.report().hint.find("COPY"), std::string::npos);
  }
}

TEST(ParserFile, prepared_statements_and_cursors_stay_with_their_users) {
  EXPECT_EQ(parse_file("PREPARE q AS SELECT 1; EXECUTE q; DEALLOCATE q; SELECT 2").size(), 2U);
}

TEST(ParserFootprint, cascade_and_all_are_barriers) {
  for (const char* sql : {"DROP TABLE a CASCADE", "TRUNCATE a CASCADE",
                          "ALTER TABLE a DROP b CASCADE", "VACUUM", "REINDEX SCHEMA s"}) {
    const auto keys = footprint(sql);
    EXPECT_TRUE(std::find(keys.begin(), keys.end(), "database:!") != keys.end()) << sql;
  }
  EXPECT_EQ(footprint("DROP ROLE bob"), Keys{"role:bob!"});
  EXPECT_EQ(footprint("ALTER SEQUENCE q OWNED BY t.c"), (Keys{"relation:q!", "relation:t!"}));
}

TEST(ParserOne, takes_exactly_one_statement) {
  EXPECT_EQ(parse_one("SELECT 1;").statements.size(), 1U);
  EXPECT_THROW(parse_one("SELECT 1; DROP TABLE x"), InputError);
  EXPECT_THROW(parse_one("  -- nothing\n"), InputError);
  EXPECT_THROW(parse_one("SET search_path = a"), InputError);
}

std::vector<std::size_t> sizes(const std::string& sql, const FileOptions& options = {}) {
  std::vector<std::size_t> result;
  for (const auto& unit : parse_file(sql, options)) result.push_back(unit.statements.size());
  return result;
}
using Sizes = std::vector<std::size_t>;

TEST(ParserFile, each_statement_is_a_job) {
  EXPECT_EQ(sizes("CREATE TABLE a (x int); CREATE INDEX CONCURRENTLY ON a (x); ;DROP TABLE b;"),
            (Sizes{1, 1, 1}));
  EXPECT_EQ(sizes(""), Sizes{});
  EXPECT_EQ(sizes("-- only a comment"), Sizes{});
}

TEST(ParserFile, an_explicit_transaction_is_one_job) {
  EXPECT_EQ(sizes("SELECT 1; BEGIN; CREATE TABLE a (x int); DROP TABLE a; COMMIT; SELECT 2"),
            (Sizes{1, 2, 1}));
  EXPECT_EQ(sizes("BEGIN; COMMIT;"), Sizes{});
  EXPECT_EQ(sizes("START TRANSACTION; SELECT 1; SAVEPOINT s; RELEASE s; END;"), (Sizes{3}));
}

TEST(ParserFile, a_temporary_table_keeps_its_users_together) {
  const auto units = parse_file(
      "CREATE TABLE a (x int); CREATE TEMP TABLE tmp (y int); ANALYZE a; INSERT INTO a SELECT y "
      "FROM "
      "tmp; DROP TABLE b;");
  ASSERT_EQ(units.size(), 3U);
  EXPECT_EQ(units[1].statements.size(), 3U);
  for (const auto& statement : units[1].statements)
    for (const auto& ref : statement.refs) EXPECT_NE(ref.name, "tmp");
}

TEST(ParserFile, lock_table_keeps_what_follows) {
  EXPECT_EQ(sizes("SELECT 1; LOCK TABLE a; UPDATE a SET x = 1; SELECT 2"), (Sizes{1, 3}));
}

TEST(ParserFile, set_changes_what_follows_and_makes_no_job) {
  const auto units = parse_file(
      "SET search_path TO app, \"Odd\"; SET check_function_bodies = false; CREATE TABLE t (a int); "
      "RESET check_function_bodies; SELECT pg_catalog.set_config('search_path', '', false); "
      "SET lock_timeout = 0; CREATE TABLE app.u (a int); RESET ALL; DROP TABLE v");
  ASSERT_EQ(units.size(), 3U);
  EXPECT_EQ(units[0].settings.at("search_path"), "\"app\", \"Odd\"");
  EXPECT_EQ(units[0].settings.at("check_function_bodies"), "false");
  EXPECT_EQ(units[1].settings.count("check_function_bodies"), 0U);
  EXPECT_EQ(units[1].settings.at("search_path"), "");
  EXPECT_EQ(units[1].settings.count("lock_timeout"), 0U);
  EXPECT_TRUE(units[2].settings.empty());
}

TEST(ParserFile, set_role_holds_for_the_jobs_after_it) {
  const auto units = parse_file(
      "SELECT 0; SET ROLE app; CREATE TABLE a (); RESET ALL; BEGIN; SET LOCAL ROLE \"Other\"; "
      "SELECT "
      "1; SELECT 2; RESET ROLE; COMMIT; SELECT 3; SET ROLE app; SET ROLE NONE; SELECT 4; SET ROLE "
      "app; DISCARD ALL; SELECT 5");
  std::vector<std::string> roles;
  for (const auto& unit : units)
    roles.push_back(unit.settings.count("role") == 0 ? "" : unit.settings.at("role"));
  EXPECT_EQ(roles, (std::vector<std::string>{"", "app", "Other", "", "", ""}));
  EXPECT_EQ(units[2].statements.size(), 2U);
}

TEST(ParserFile, set_session_authorization_is_a_set_role) {
  const auto units = parse_file(
      "SET SESSION AUTHORIZATION 'app'; SELECT 1; RESET SESSION AUTHORIZATION; SELECT 2");
  EXPECT_EQ(units[0].settings.at("role"), "app");
  EXPECT_EQ(units[0].role_position, 1);
  EXPECT_EQ(units[1].settings.count("role"), 0U);
}

TEST(ParserFile, set_local_counts_only_where_psql_would_be_in_a_transaction) {
  EXPECT_EQ(sizes("CREATE TEMP TABLE x (a int); SET LOCAL search_path TO s; CREATE TABLE y (); "
                  "SELECT * FROM x"),
            (Sizes{3}));
  EXPECT_EQ(sizes("BEGIN; SET LOCAL search_path TO s; CREATE TABLE y (); COMMIT"), (Sizes{2}));
  EXPECT_EQ(sizes("SET LOCAL search_path TO s; CREATE TABLE y ()", {true, {}}), (Sizes{2}));
}

TEST(ParserFile, what_a_job_has_or_is_anyway_is_passed_over) {
  EXPECT_EQ(
      sizes("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE, NOT DEFERRABLE; SELECT 1; COMMIT; "
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; SET TRANSACTION ISOLATION "
            "LEVEL READ COMMITTED; SET default_transaction_read_only = off; SET "
            "default_transaction_isolation = 'read committed'; LISTEN a; UNLISTEN *; DISCARD "
            "PLANS; SELECT 2"),
      (Sizes{1, 1}));
}

TEST(ParserFile, load_stays_with_what_may_use_it) {
  EXPECT_EQ(sizes("LOAD 'auto_explain'; CREATE TABLE a (); SELECT make('b'); DROP TABLE c"),
            (Sizes{3, 1}));
}

TEST(ParserFile, it_is_kept_what_made_one_job_of_several_statements) {
  const auto units = parse_file(
      "CREATE TEMP TABLE x (a int); CREATE TABLE b (); CALL f(); BEGIN; SELECT 1; SELECT 2; "
      "COMMIT");
  EXPECT_EQ(units[0].together_by, "CREATE TEMP TABLE x (a int)");
  EXPECT_EQ(units[1].together_by, "BEGIN … COMMIT");
  try {
    parse_file("CREATE TEMP TABLE x (a int); CREATE INDEX CONCURRENTLY ON b (c); CALL f()");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(error.report().hint.find("begins with CREATE TEMP TABLE x (a int)"),
              std::string::npos);
  }
}

TEST(ParserFile, single_transaction_makes_one_job_of_all) {
  EXPECT_EQ(sizes("BEGIN; SELECT 1; COMMIT; SELECT 2", {true, {}}), (Sizes{2}));
  EXPECT_THROW(sizes("CREATE INDEX CONCURRENTLY ON a (x); SELECT 1", {true, {}}), InputError);
}

TEST(ParserFile, positions_are_those_in_the_file) {
  const auto units = parse_file("-- é\nSELECT 1;\n\n  SELECT 2;");
  EXPECT_EQ(units[0].position(), 6);
  EXPECT_EQ(units[1].position(), 19);
  EXPECT_EQ(units[1].statements[0].text, "SELECT 2");
}

TEST(Passwords, of_roles_are_hashed_and_nothing_else_is_touched) {
  const auto hashed = [](const std::string& sql) {
    return with_hashed_password(sql, [](const std::string& word) { return "hash of " + word; });
  };
  // Deparsers of different versions write words of no meaning or leave them out.
  const std::vector<std::pair<const char*, const char*>> kChanged = {
      {"create user bob createdb password 'top''secret'",
       "CREATE USER bob CREATEDB PASSWORD 'hash of top''secret'"},
      {"ALTER ROLE \"Bob\" ENCRYPTED PASSWORD 'x' VALID UNTIL 'infinity'",
       "ALTER ROLE \"Bob\" PASSWORD 'hash of x' VALID UNTIL 'infinity'"},
      {"ALTER ROLE current_user PASSWORD E'a\\'b'",
       "ALTER ROLE current_user PASSWORD 'hash of a''b'"}};
  for (const auto& [sql, wanted] : kChanged)
    EXPECT_TRUE(same_statement(hashed(sql), wanted)) << hashed(sql);
  for (const char* same :
       {"CREATE ROLE  bob", "ALTER ROLE bob PASSWORD NULL", "ALTER ROLE bob PASSWORD ''",
        "ALTER ROLE bob PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$a:b'",
        "ALTER ROLE bob PASSWORD 'md5d41d8cd98f00b204e9800998ecf8427e'",
        "ALTER ROLE bob SET password_encryption  TO md5", "SELECT  'password'", "nonsense  here"})
    EXPECT_EQ(hashed(same), same);
  EXPECT_NE(hashed("ALTER ROLE bob PASSWORD 'md5'"), "ALTER ROLE bob PASSWORD 'md5'");
}

TEST(ParserBarrier, takes_text_that_the_grammar_does_not_know) {
  const auto units = barriers("ALTER TABLE t FROBNICATE; SELECT ';'");
  ASSERT_EQ(units.size(), 2U);
  EXPECT_TRUE(units[0].unparsed);
  EXPECT_EQ(units[1].statements[0].text, "SELECT ';'");
}

TEST(ParserBarrier, is_no_way_around_a_refusal) {
  for (const char* refused :
       {"CREATE DATABASE x", "ALTER SYSTEM SET work_mem = 1", "COPY t FROM PROGRAM 'true'",
        "ALTER TABLE t FROBNICATE; DELETE FROM lockkeeper.ddl_setting"})
    EXPECT_THROW(barriers(refused), InputError) << refused;
  try {
    barriers("SELECT 1; CREATE DATABASE x");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.report().position, 11);
  }
}

}  // namespace
}  // namespace lockkeeper::parse
