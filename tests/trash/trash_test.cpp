// Promise 14: what was dropped can be had back until it is purged.
#include <filesystem>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Trash : public DatabaseTest {
 protected:
  // Servers from npm bring no pg_dump: then what it is made of.
  std::string dump() {
    if (!std::filesystem::exists(server().binaries() + "/pg_dump"))
      return value(
          "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
          "SELECT pg_get_constraintdef(oid) || conname FROM pg_constraint WHERE conrelid = "
          "'public.\"Orders\"'::regclass UNION ALL "
          "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = "
          "'public.\"Orders\"'::regclass UNION ALL "
          "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = "
          "'public.\"Orders\"'::regclass UNION ALL "
          "SELECT format('%s %s %s %s', attnum, attname, atttypid::regtype, attnotnull) FROM "
          "pg_attribute WHERE attrelid = 'public.\"Orders\"'::regclass AND attnum > 0 UNION ALL "
          "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext UNION ALL "
          "SELECT relacl::text || obj_description(oid) FROM pg_class WHERE relname = 'Orders' "
          "UNION "
          "ALL SELECT to_jsonb(o)::text FROM public.\"Orders\" AS o) AS d(line)");
    auto text = run_to_end({server().binaries() + "/pg_dump", "-d", dsn().conninfo(), "-n",
                            "public", "--inserts", "--no-publications"});
    // Newer ones write a key that changes from run to run.
    std::string kept;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind("\\restrict", 0) != 0 && line.rfind("\\unrestrict", 0) != 0)
        kept += line + "\n";
    return kept;
  }
  std::int64_t in_trash() { return std::stoll(value("SELECT count(*) FROM lockkeeper.ddl_trash")); }
  std::int64_t only_item() { return std::stoll(value("SELECT id FROM lockkeeper.ddl_trash")); }
  std::vector<std::string> restore(std::int64_t item) {
    std::vector<JobId> jobs;
    for (const auto& job : client::Client(dsn()).restore(item)) jobs.push_back(job.id);
    return ends_of(jobs);
  }
  // A table with everything that can belong to one.
  void make_orders() {
    as_owner(
        "CREATE TABLE customers (id int PRIMARY KEY);"
        "INSERT INTO customers VALUES (1), (2);"
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TABLE \"Orders\" (id serial PRIMARY KEY, customer int NOT NULL REFERENCES "
        "customers, "
        "n bigint GENERATED ALWAYS AS IDENTITY, note text DEFAULT 'none' CHECK (note <> ''), "
        "twice int GENERATED ALWAYS AS (customer * 2) STORED);"
        "CREATE INDEX by_note ON \"Orders\" (note) WHERE note IS NOT NULL;"
        "CREATE STATISTICS both_of ON customer, note FROM \"Orders\";"
        "CREATE TRIGGER stamps BEFORE INSERT ON \"Orders\" FOR EACH ROW EXECUTE FUNCTION stamp();"
        "COMMENT ON TABLE \"Orders\" IS 'what was ordered';"
        "GRANT SELECT ON \"Orders\" TO PUBLIC;"
        "INSERT INTO \"Orders\" (customer) VALUES (1), (2), (2)");
  }
};

TEST_F(Trash, a_dropped_table_comes_back_with_all_that_belongs_to_it) {
  start_workers();
  make_orders();
  const auto before = dump();
  EXPECT_EQ(end_of(submit("DROP TABLE \"Orders\"")), "synced");
  EXPECT_EQ(value("SELECT to_regclass('public.\"Orders\"') IS NULL"), "true");
  EXPECT_EQ(value("SELECT to_regclass('public.by_note') IS NULL"), "true");
  EXPECT_EQ(in_trash(), 1);
  EXPECT_EQ(restore(only_item()), (std::vector<std::string>{"synced", "synced"}));
  EXPECT_EQ(dump(), before);
  EXPECT_EQ(client::Client(dsn()).purge({only_item()}).size(), 0U);
  EXPECT_EQ(in_trash(), 0);
  EXPECT_EQ(value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lockkeeper\\_trash%'"),
            "0");
}

TEST_F(Trash, its_names_are_free_and_its_foreign_keys_hold_nobody_up) {
  start_workers();
  make_orders();
  EXPECT_EQ(end_of(submit("DROP TABLE \"Orders\"")), "synced");
  as_owner("DELETE FROM customers WHERE id = 2");
  EXPECT_EQ(end_of(submit("CREATE TABLE \"Orders\" (by_note int)")), "synced");
  // The name is taken: nothing happens, and it is still there.
  const auto item = only_item();
  EXPECT_EQ(restore(item), (std::vector<std::string>{"cancelled", "cancelled"}));
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper_trash_" + std::to_string(item) + ".\"Orders\""),
            "3");
  EXPECT_EQ(end_of(submit("ALTER TABLE \"Orders\" RENAME TO others")), "synced");
  // The table is back; its foreign key does not hold any more, and says so.
  EXPECT_EQ(restore(item), (std::vector<std::string>{"synced", "cancelled"}));
  EXPECT_EQ(value("SELECT count(*) FROM \"Orders\""), "3");
  EXPECT_EQ(value("SELECT error->>'sqlstate' FROM lockkeeper.history ORDER BY id DESC LIMIT 1"),
            "23503");
}

TEST_F(Trash, what_may_not_be_dropped_fails_as_it_would_and_stays) {
  start_workers();
  as_owner("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int REFERENCES t)");
  const auto refused = submit("DROP TABLE t");
  EXPECT_EQ(end_of(refused), "cancelled");
  EXPECT_EQ(error_of(refused), "2BP01");
  const auto missing = submit("DROP TABLE nowhere");
  EXPECT_EQ(end_of(missing), "cancelled");
  EXPECT_EQ(error_of(missing), "42P01");
  EXPECT_EQ(end_of(submit("DROP TABLE IF EXISTS nowhere")), "synced");
  EXPECT_EQ(in_trash(), 0);
  EXPECT_EQ(end_of(submit("DROP TABLE u, t")), "synced");
  EXPECT_EQ(in_trash(), 2);
}

// A view cannot be had back: with it, the table is dropped as the statement says.
TEST_F(Trash, what_takes_others_along_or_is_not_one_table_is_dropped_as_written) {
  start_workers();
  as_owner(
      "CREATE TABLE t (a int); CREATE VIEW v AS SELECT * FROM t;"
      "CREATE TABLE p (a int) PARTITION BY RANGE (a);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);"
      "CREATE TABLE x (a int); CREATE TABLE y (a int)");
  EXPECT_EQ(ends_of({submit("DROP TABLE t CASCADE"), submit("DROP TABLE p1"),
                     submit("DROP TABLE p"), submit("DROP TABLE x CASCADE")}),
            std::vector<std::string>(4, "synced"));
  EXPECT_EQ(value("SELECT string_agg(name, ',') FROM lockkeeper.trash"), "x");
  EXPECT_EQ(value("SELECT count(*) FROM pg_class WHERE relname IN ('t', 'v', 'p', 'p1')"), "0");
  as_owner("SELECT lockkeeper.set('trash_hours', '0')");
  EXPECT_EQ(end_of(submit("DROP TABLE y")), "synced");
  EXPECT_EQ(in_trash(), 1);
}

TEST_F(Trash, is_purged_when_its_time_is_over_and_not_before) {
  start_workers();
  as_owner("CREATE TABLE early (a int); CREATE TABLE late (a int)");
  ends_of({submit("DROP TABLE early"), submit("DROP TABLE late")});
  execute("UPDATE lockkeeper.ddl_trash SET purge_at = now() - interval '1 s' WHERE name = 'early'");
  pg::Session session(dsn(), "test");
  const auto purged = trash::purge(session);
  ASSERT_EQ(purged.size(), 1U);
  EXPECT_EQ(purged[0].name, "public.early");
  EXPECT_EQ(purged[0].problem, "");
  EXPECT_EQ(value("SELECT string_agg(name, ',') FROM lockkeeper.trash"), "late");
  EXPECT_EQ(value("SELECT count(*) FROM pg_class WHERE relname = 'early'"), "0");
  // What somebody uses there is not taken from him.
  as_owner("CREATE VIEW v AS SELECT * FROM lockkeeper_trash_" + std::to_string(only_item()) +
           ".late");
  const auto kept = trash::purge(session, {only_item()});
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_NE(kept[0].problem, "");
  EXPECT_EQ(in_trash(), 1);
}

// Promise 12: the trash gives nobody a right that he had not.
// What a table was made of may be dropped after it, as if it had been dropped for good.
TEST_F(Trash, keeps_nobody_from_dropping_what_it_is_made_of) {
  as_owner("SELECT lockkeeper.set('trash_hours', '24')");
  start_workers(2);
  const std::map<std::string, std::string> kUses = {
      {"CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood)", "DROP TYPE mood"},
      {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; CREATE "
       "TABLE t (a int); CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
       "DROP FUNCTION f()"},
      {"CREATE SEQUENCE q; CREATE TABLE t (a int DEFAULT nextval('q'))", "DROP SEQUENCE q"},
      {"CREATE DOMAIN d AS int; CREATE TABLE t (a d); INSERT INTO t VALUES (-1)",
       "ALTER DOMAIN d ADD CHECK (VALUE > 0); DROP DOMAIN d"},
      {"CREATE TYPE c AS (a int); CREATE TABLE t (a c)",
       "ALTER TYPE c ADD ATTRIBUTE b int; DROP TYPE c"}};
  for (const auto& [made, dropped] : kUses) {
    as_owner(made);
    for (const auto& job : apply("DROP TABLE t; " + dropped))
      EXPECT_EQ(end_of(job), "synced") << dropped << error_of(job, "message");
    EXPECT_EQ(in_trash(), 0) << dropped;
    EXPECT_EQ(value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lockkeeper\\_trash%'"),
              "0");
  }
}

TEST_F(Trash, of_others_is_not_purged_by_whoever_says_so) {
  as_owner("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood)");
  try {
    execute("CREATE ROLE sly LOGIN; GRANT sly TO keeper");
  } catch (const Error&) {
    // An earlier test of this process made it.
  }
  as_owner("SELECT lockkeeper.grant_use('sly')");
  start_workers(1);
  EXPECT_EQ(end_of(submit("DROP TABLE t")), "synced");
  const auto name = "lockkeeper_trash_" + std::to_string(only_item());
  client::Client sly(dsn("sly"));
  const auto job =
      sly.submit("DO $$ BEGIN RAISE '" + name + "' USING ERRCODE = '2BP01'; END $$").id;
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(in_trash(), 1);
}

// It goes with the commit of a job that needs it gone, or not at all.
TEST_F(Trash, is_not_purged_for_a_job_that_fails_all_the_same) {
  as_owner(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (m mood); CREATE TABLE live (m mood); CREATE "
      "TABLE notes "
      "(note text)");
  start_workers(1);
  EXPECT_EQ(end_of(submit("DROP TABLE t")), "synced");
  const auto name = "lockkeeper_trash_" + std::to_string(only_item());
  as_owner("INSERT INTO notes VALUES ('" + name + "'), ('" + name + "')");
  client::ApplyOptions together;
  together.single_transaction = true;
  for (const auto& jobs :
       {apply("DROP TYPE mood"), apply("CREATE TABLE r AS SELECT * FROM " + name + ".tt"),
        apply("CREATE UNIQUE INDEX ON notes (note)"),
        apply("DO $$ BEGIN RAISE '" + name + "'; END $$"),
        apply("DROP TABLE live; DROP TYPE mood; ALTER TABLE missing ADD x int", together)})
    for (const auto& job : jobs) EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.trash WHERE left_for > '23 h'"), "1");
  for (const auto& job :
       apply("DROP TABLE live; DROP TYPE mood; CREATE TABLE after_it ()", together))
    EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(in_trash(), 0);
}

TEST_F(Trash, tells_which_columns_went_with_what_they_were_made_of) {
  as_owner("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (a int, m mood)");
  start_workers(1);
  EXPECT_EQ(end_of(submit("DROP TABLE t")), "synced");
  EXPECT_EQ(end_of(submit("DROP TYPE mood CASCADE")), "synced");
  const auto item = std::to_string(only_item());
  EXPECT_NE(run_command({"trash", "--dsn", dsn().conninfo()}).out.find("public.t (lost m)"),
            std::string::npos);
  const auto ran = run_command({"restore", "--wait", item, "--dsn", dsn().conninfo()});
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.err.find("without m"), std::string::npos) << ran.err;
}

TEST_F(Trash, of_another_role_is_that_roles_alone) {
  start_workers();
  for (const std::string role : {"trash_one", "trash_two"}) {
    execute("DO $$ BEGIN CREATE ROLE " + role +
            " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    execute("GRANT " + role + " TO " + kOwner);
    execute("GRANT CREATE ON SCHEMA public TO " + role);
    as_owner("SELECT lockkeeper.grant_use('" + role + "')");
  }
  pg::Session one(dsn("trash_one"), "test");
  one.script("CREATE TABLE mine (a int); INSERT INTO mine VALUES (7)");
  const auto ask = [&](const std::string& role, const std::string& sql) {
    pg::Session session(dsn(role), "test");
    return JobId{session.statement("SELECT lockkeeper.submit($1) AS id", pg::Params::of(sql))
                     .front()
                     .integer("id")};
  };
  const auto refused = ask("trash_two", "DROP TABLE mine");
  EXPECT_EQ(end_of(refused), "cancelled");
  EXPECT_EQ(error_of(refused), "42501");
  EXPECT_EQ(in_trash(), 0);
  EXPECT_EQ(end_of(ask("trash_one", "DROP TABLE mine")), "synced");
  const auto item = only_item();
  const auto place = "lockkeeper_trash_" + std::to_string(item) + ".mine";
  pg::Session two(dsn("trash_two"), "test");
  EXPECT_THROW(two.statement("SELECT * FROM " + place), Error);
  EXPECT_THROW(trash::restore_statements(two, item), Error);
  EXPECT_TRUE(trash::purge(two, {item}).empty());
  EXPECT_EQ(in_trash(), 1);
  std::vector<JobId> jobs;
  for (const auto& job : client::Client(dsn("trash_one")).restore(item)) jobs.push_back(job.id);
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>{"synced"});
  EXPECT_EQ(one.statement("SELECT a FROM mine").front().integer("a"), 7);
}

// The owner of a schema may drop what he may not lock: it goes as the statement says.
TEST_F(Trash, who_may_drop_a_table_and_not_lock_it_still_drops_it) {
  start_workers();
  const std::string role = "trash_schema_owner";
  execute("DO $$ BEGIN CREATE ROLE " + role +
          " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  execute("GRANT " + role + " TO " + kOwner);
  execute("CREATE SCHEMA his AUTHORIZATION " + role + "; CREATE TABLE his.t (a int)");
  execute("ALTER TABLE his.t OWNER TO " + std::string(kOwner));
  as_owner("SELECT lockkeeper.grant_use('" + role + "')");
  pg::Session session(dsn(role), "test");
  const auto id =
      session.statement("SELECT lockkeeper.submit('DROP TABLE his.t') AS id").front().integer("id");
  EXPECT_EQ(end_of(JobId{id}), "synced");
  EXPECT_EQ(value("SELECT to_regclass('his.t') IS NULL"), "true");
  EXPECT_EQ(in_trash(), 0);
}

// Two tables of one name: the role's own is meant, whoever looks.
TEST_F(Trash, user_in_a_search_path_is_the_jobs_role) {
  start_workers();
  const std::string role = "trash_user";
  execute("DO $$ BEGIN CREATE ROLE " + role +
          " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  execute("GRANT " + role + " TO " + kOwner);
  execute("CREATE SCHEMA " + role + " AUTHORIZATION " + role + "; CREATE SCHEMA " + kOwner +
          " AUTHORIZATION " + kOwner);
  as_owner("SELECT lockkeeper.grant_use('" + role + "'); CREATE TABLE same (of_owner int)");
  pg::Session session(dsn(role), "test");
  session.script("CREATE TABLE same (of_role int)");
  const auto id =
      session.statement("SELECT lockkeeper.submit('DROP TABLE same') AS id").front().integer("id");
  EXPECT_EQ(end_of(JobId{id}), "synced");
  EXPECT_EQ(value("SELECT schema_name FROM lockkeeper.trash"), role);
  EXPECT_EQ(value("SELECT to_regclass('" + std::string(kOwner) + ".same') IS NOT NULL"), "true");
}

// Promise 6: a worker dies at any moment of it; the table is where it was, or in the trash.
class TrashCrash : public Trash, public ::testing::WithParamInterface<const char*> {};

TEST_P(TrashCrash, leaves_the_table_in_one_place) {
  make_orders();
  const auto before = dump();
  JobId job;
  {
    WorkerProcess dying(dsn(), std::string(GetParam()) + "=kill");
    job = submit("DROP TABLE \"Orders\"");
    ASSERT_TRUE(dying.process().wait(std::chrono::seconds(60)));
  }
  const bool dropped = value("SELECT to_regclass('public.\"Orders\"') IS NULL") == "true";
  EXPECT_EQ(in_trash(), dropped ? 1 : 0);
  start_workers();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(in_trash(), 1);
  EXPECT_EQ(restore(only_item()), (std::vector<std::string>{"synced", "synced"}));
  EXPECT_EQ(dump(), before);
}

INSTANTIATE_TEST_SUITE_P(At, TrashCrash,
                         ::testing::Values("after_claim", "after_statement", "before_commit",
                                           "after_commit"));

// Promise 12: operators of a job's role never run as the worker, whatever its search_path.
TEST_F(Trash, looking_around_for_a_job_runs_none_of_its_operators) {
  auto& service = start_workers();
  const std::string role = "trash_operator";
  execute("DO $$ BEGIN CREATE ROLE " + role +
          " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  execute("GRANT " + role + " TO " + kOwner);
  execute("CREATE SCHEMA evil AUTHORIZATION " + role);
  as_owner("SELECT lockkeeper.grant_use('" + role + "')");
  pg::Session session(dsn(role), "test");
  std::string trap =
      "CREATE SEQUENCE evil.as_somebody_else; GRANT ALL ON SEQUENCE evil.as_somebody_else TO "
      "PUBLIC;";
  for (const std::string type : {"text", "oid", "name", "\"char\"", "int8", "int4", "bool"})
    trap += "CREATE FUNCTION evil.eq(" + type + ", " + type +
            ") RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF current_user <> '" + role +
            "' THEN PERFORM nextval('evil.as_somebody_else'); END IF; RETURN $1 "
            "OPERATOR(pg_catalog.=) $2; END $$;"
            "CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = " +
            type + ", RIGHTARG = " + type + ");";
  session.script(trap);
  session.script("CREATE TABLE evil.t (a int); INSERT INTO evil.t SELECT generate_series(1, 1000)");
  session.script("SET search_path = evil, pg_catalog");
  pg::Session holder(dsn(role), "test");
  holder.script("BEGIN; LOCK TABLE evil.t");
  std::vector<JobId> jobs;
  for (const std::string sql :
       {"ALTER TABLE t ADD b int", "CREATE INDEX i ON t (a)", "ALTER TABLE t ALTER a TYPE bigint",
        "ALTER TABLE t ALTER a SET NOT NULL", "DROP TABLE t"})
    jobs.push_back(
        JobId{session.statement("SELECT lockkeeper.submit($1) AS id", pg::Params::of(sql))
                  .front()
                  .integer("id")});
  // Somebody is in the way, so that the worker looks who it is.
  EXPECT_TRUE(eventually([&] {
    return service.metrics().text().find("lockkeeper_lock_refused_total{") != std::string::npos;
  }));
  holder.script("ROLLBACK");
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(jobs.size(), "synced"));
  EXPECT_EQ(value("SELECT is_called FROM evil.as_somebody_else"), "false");
}

// Before it is dropped, `plan` says whether it can be had back.
TEST_F(Trash, plan_says_what_can_be_had_back) {
  as_owner("CREATE TABLE t (a int); CREATE TABLE p (a int) PARTITION BY LIST (a)");
  const auto remark = [this](const std::string& sql) {
    client::Client client(dsn());
    std::string all;
    for (const auto& explained : client.plan({"", sql}, {}))
      for (const auto& one : explained.plan.remarks) all += one + "\n";
    return all;
  };
  EXPECT_EQ(remark("DROP TABLE t"), "the table can be restored from the trash\n");
  EXPECT_EQ(remark("DROP TABLE IF EXISTS t, nowhere CASCADE"),
            "the table can be restored from the trash, unless other objects are dropped with it\n");
  EXPECT_EQ(remark("DROP TABLE t, p"),
            "the table is gone for good: it is partitioned, a partition, or inherits\n");
  EXPECT_EQ(remark("BEGIN; DROP TABLE t; SET LOCAL work_mem = '4MB'; COMMIT"),
            "the table is gone for good: statements are run together\n");
  EXPECT_EQ(remark("TRUNCATE t"), "the rows are gone for good\n");
  EXPECT_EQ(remark("DROP SCHEMA nowhere CASCADE"), "what is in the schema is gone for good\n");
  EXPECT_EQ(remark("DROP TABLE nowhere"), "");
  as_owner("SELECT lockkeeper.set('trash_hours', '0')");
  EXPECT_EQ(remark("DROP TABLE t"), "the table is gone for good: trash_hours is 0\n");
}

}  // namespace
}  // namespace lockkeeper::test
