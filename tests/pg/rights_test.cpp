// Who may what: the rights that `migrate --roles` gives, each to somebody who has only that one.
#include "client/node.hpp"
#include "pg/migrator.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Rights : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    execute(
        "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY '{read,submit,node,operate,work}'::text[] "
        "LOOP"
        " IF to_regrole('only_' || r) IS NULL THEN EXECUTE format('CREATE ROLE %I LOGIN', 'only_' "
        "|| r); END IF;"
        " IF to_regrole('shop_' || r) IS NULL THEN EXECUTE format('CREATE ROLE %I', 'shop_' || r); "
        "END IF;"
        " EXECUTE format('GRANT %I TO %I', 'shop_' || r, 'only_' || r); END LOOP;"
        " IF to_regrole('app') IS NULL THEN CREATE ROLE app LOGIN; END IF; GRANT app TO "
        "only_submit, only_work; END $$");
    EXPECT_EQ(run_command({"migrate", "--roles", "shop", "--dsn", dsn().conninfo()}).code, 0);
    as_owner("CREATE SCHEMA shop; GRANT ALL ON SCHEMA shop TO PUBLIC");
  }
  // "": it may; else the SQLSTATE.
  std::string as(const std::string& role, const std::string& sql) {
    try {
      pg::Session session(dsn(role), "test");
      session.script(sql);
      return {};
    } catch (const Error& error) {
      return error.sqlstate();
    }
  }
  int lockkeeper_as(const std::string& role, std::vector<std::string> words) {
    words.insert(words.end(), {"--dsn", dsn(role).conninfo()});
    return run_command(words).code;
  }
};

TEST_F(Rights, each_has_what_it_says_and_nothing_else) {
  const std::map<std::string, std::map<std::string, std::string>> kMay = {
      {"SELECT FROM lockkeeper.jobs, lockkeeper.history, lockkeeper.statistics, lockkeeper.nodes, "
       "lockkeeper.trash, lockkeeper.steps, lockkeeper.progress, lockkeeper.ddl_mdl_view",
       {{"only_read", ""},
        {"only_submit", ""},
        {"only_operate", ""},
        {"only_work", ""},
        {"only_node", "42501"},
        {"app", "42501"}}},
      {"SELECT FROM lockkeeper.ddl_job",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", ""},
        {"only_work", ""},
        {"only_node", "42501"}}},
      {"UPDATE lockkeeper.ddl_job SET epoch = epoch",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", "42501"},
        {"only_work", ""},
        {"only_node", "42501"}}},
      {"BEGIN; SELECT lockkeeper.submit('CREATE TABLE x ()'); ROLLBACK",
       {{"only_read", "42501"},
        {"only_submit", ""},
        {"only_operate", "42501"},
        {"only_node", "42501"}}},
      {"BEGIN; SELECT lockkeeper.set('history_days', '7'); ROLLBACK",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", ""},
        {"only_node", "42501"}}},
      {"BEGIN; SELECT lockkeeper.register_node('n'); ROLLBACK",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", "42501"},
        {"only_node", ""}}},
      {"SELECT lockkeeper.claim(1, 'w', NULL, 'general', 1)",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", "42501"},
        {"only_work", ""},
        {"only_node", "42501"}}},
      {"SELECT lockkeeper.raise_floor()", {{"only_operate", "42501"}, {"only_work", ""}}},
      {"SELECT lockkeeper.grant_right('work', 'app')",
       {{"only_read", "42501"},
        {"only_submit", "42501"},
        {"only_operate", "42501"},
        {"only_work", "42501"},
        {"only_node", "42501"}}},
      {"DROP TABLE lockkeeper.ddl_job CASCADE",
       {{"only_operate", "42501"}, {"only_work", "42501"}}}};
  for (const auto& [sql, roles] : kMay)
    for (const auto& [role, wanted] : roles)
      EXPECT_EQ(as(role, sql), wanted) << role << ": " << sql;
}

TEST_F(Rights, a_worker_with_its_right_only_does_all_that_a_worker_does) {
  execute("GRANT only_submit TO only_work");
  WorkerProcess worker(dsn("only_work"));
  client::Client client(dsn("only_submit"));
  const auto done = [&](const std::string& sql) {
    for (const auto& job : client.apply({{"", sql}}))
      EXPECT_EQ(end_of(job.id), "synced") << sql << error_of(job.id, "message");
  };
  done(
      "CREATE TABLE shop.t (id int PRIMARY KEY, a int); INSERT INTO shop.t SELECT i, i FROM "
      "generate_series(1, 2000) i");
  done("ALTER TABLE shop.t ALTER a SET NOT NULL");
  done("CREATE INDEX i ON shop.t (a)");
  done("ALTER TABLE shop.t ALTER id TYPE bigint");
  done("REINDEX INDEX CONCURRENTLY shop.i");
  done("VACUUM shop.t");
  {
    client::NodeOptions options;
    options.name = "rights";
    const client::Node node(dsn("only_node"), options);
    await("SELECT count(*) FROM lockkeeper.nodes WHERE version IS NOT NULL", "1");
    done("ALTER TABLE shop.t DROP COLUMN a");
  }
  done("DROP TABLE shop.t");
  EXPECT_EQ(worker.log().find("permission denied"), std::string::npos) << worker.log();
  const auto doctor = run_command({"doctor", "--dsn", dsn("only_work").conninfo()});
  EXPECT_NE(doctor.out.find("has the right to work"), std::string::npos) << doctor.out;
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_trash"), "1");
  EXPECT_EQ(lockkeeper_as("only_submit", {"restore", "--wait", "1"}), 0);
  done("DROP TABLE shop.t");
  // Not by the one who asks, by the worker: the queue's owner may not.
  const auto purged = run_command({"purge", "2", "--json", "--dsn", dsn("only_submit").conninfo()});
  EXPECT_EQ(purged.code, 0) << purged.err;
  EXPECT_NE(purged.out.find("\"later\": true"), std::string::npos) << purged.out;
  await("SELECT count(*) FROM lockkeeper.ddl_trash", "0");
  EXPECT_EQ(value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'lockkeeper\\_trash%'"),
            "0");
}

// It would be counted as a worker that is there, while its jobs wait for ever.
TEST_F(Rights, who_may_not_work_serves_nothing_and_says_why) {
  const WorkerProcess worker(dsn("only_submit"));
  EXPECT_TRUE(
      eventually([&] { return worker.log().find("cannot serve database") != std::string::npos; }));
  EXPECT_NE(worker.log().find("permission denied"), std::string::npos) << worker.log();
  EXPECT_EQ(worker.log().find("serving database"), std::string::npos) << worker.log();
}

TEST_F(Rights, an_operator_steers_what_others_submitted_and_reads_it) {
  client::Client client(dsn("only_submit"));
  const auto job = client.submit("CREATE TABLE shop.o (a int)").id;
  EXPECT_EQ(
      as("only_read", "SELECT 1 / (statement = '(of role only_submit)')::int FROM lockkeeper.jobs"),
      "");
  EXPECT_EQ(as("only_operate", "SELECT 1 / (statement LIKE 'CREATE%')::int FROM lockkeeper.jobs"),
            "");
  EXPECT_NE(lockkeeper_as("only_read", {"pause", job.str()}), 0);
  EXPECT_EQ(lockkeeper_as("only_operate", {"pause", job.str()}), 0);
  EXPECT_EQ(lockkeeper_as("only_operate", {"resume", job.str()}), 0);
  EXPECT_EQ(lockkeeper_as("only_operate", {"set", "history_days", "9"}), 0);
  EXPECT_EQ(lockkeeper_as("only_operate", {"cancel", job.str()}), 0);
  EXPECT_EQ(state_of(job), "cancelled");
  for (const char* command : {"jobs", "history", "nodes", "blockers", "trash", "graph", "set"}) {
    EXPECT_EQ(lockkeeper_as("only_operate", {command}), 0) << command;
    EXPECT_EQ(lockkeeper_as("only_read", {command}), 0) << command;
  }
  EXPECT_EQ(lockkeeper_as("only_read", {"plan", "ALTER TABLE shop.o ADD b int"}), 0);
  EXPECT_EQ(lockkeeper_as("only_read", {"plan", "DROP TABLE shop.o"}), 0);
  EXPECT_EQ(lockkeeper_as("only_read", {"show", job.str()}), 0);
}

TEST_F(Rights, promise_12_nobody_reads_the_queue_of_another_database) {
  const std::string other = database_ + "_other";
  execute("CREATE DATABASE " + other + " OWNER keeper");
  const auto there = dsn("only_operate").with("dbname", other);
  {
    pg::Session owner(dsn().with("dbname", other), "test");
    pg::migrate(owner);
  }
  pg::Session session(there, "test");
  for (const char* sql : {"SELECT FROM lockkeeper.jobs", "SELECT lockkeeper.schema_version()",
                          "SELECT lockkeeper.submit('SELECT 1')"}) {
    try {
      session.script(sql);
      ADD_FAILURE() << sql;
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), "42501") << sql;
    }
  }
}

TEST_F(Rights, roles_that_cannot_be_made_are_told_with_what_to_do) {
  const auto ran = run_command({"migrate", "--roles", "nobodys", "--dsn", dsn().conninfo()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("CREATE ROLE nobodys_read NOLOGIN;"), std::string::npos) << ran.err;
  EXPECT_EQ(run_command({"migrate", "--roles", "--dsn",
                         dsn("postgres").with("dbname", database_).conninfo()})
                .code,
            0);
  EXPECT_EQ(
      value(
          "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lockkeeper\\_%' AND NOT rolcanlogin"),
      "5");
}

}  // namespace
}  // namespace lockkeeper::test
