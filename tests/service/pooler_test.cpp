// PgBouncer in transaction mode between a client and the server, the real one: whoever submits and
// looks may go through it and leaves nothing behind in its sessions; whoever lives as long as a
// session (workers, nodes) says that it must not.
#include "support/pooler.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "client/node.hpp"
#include "client/submitter.hpp"
#include "service/doctor.hpp"

namespace lockkeeper::test {
namespace {

class Pooled : public DatabaseTest {
 protected:
  void SetUp() override {
    if (!Pooler::is_there()) GTEST_SKIP() << "there is no pgbouncer here; scripts/test fetches it";
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int); CREATE TABLE u (a int)");
  }
  Ran run(std::vector<std::string> words, const Pooler& pooler, const std::string& input = {}) {
    words.insert(words.end(), {"--dsn", pooler.dsn().conninfo()});
    return run_command(words, input);
  }
  // Of the pooler's only session, as the next application finds it.
  static void expect_clean(const Pooler& pooler) {
    pg::Session next(pooler.dsn(), "next");
    const auto left = next.script(
        "SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') || "
        "' ' || (SELECT count(*) FROM pg_prepared_statements) || ' ' || (SELECT count(*) FROM "
        "pg_listening_channels()) || ' ' || (SELECT count(*) FROM pg_locks WHERE pid = "
        "pg_backend_pid() AND locktype = 'advisory') AS left");
    EXPECT_EQ(left.front().text("left"), "0 0 0 0 0");
  }
};

TEST_F(Pooled, clients_work_through_one_session_and_leave_nothing_in_it) {
  const Pooler pooler(dsn(), kOwner, 1);
  start_workers();
  client::Client one(pooler.dsn());
  client::Client other(pooler.dsn());
  for (int i = 0; i < 5; ++i)
    for (auto* client : {&one, &other}) {
      const auto job = client->submit("ALTER TABLE t ADD c" +
                                      std::to_string(client == &one ? i : 10 + i) + " int");
      EXPECT_TRUE(client->wait({job.id}, [](const auto&) { return true; }));
      EXPECT_EQ(client->states({job.id}).front()["state"], "synced");
    }
  const auto jobs = one.apply({{"a.sql", "CREATE TABLE v (a int); CREATE INDEX i ON v (a);"}});
  EXPECT_TRUE(other.wait({jobs[0].id, jobs[1].id}, [](const auto&) { return true; }));
  EXPECT_EQ(other.history(50).size(), 12U);
  EXPECT_EQ(one.plan({"", "ALTER TABLE t ALTER c0 SET NOT NULL"}).size(), 1U);
  EXPECT_TRUE(one.show(jobs[0].id));
  one.set("reorg_workers", "3");
  EXPECT_EQ(other.settings().at("reorg_workers"), "3");
  expect_clean(pooler);
}

TEST_F(Pooled, what_the_role_has_set_for_its_transactions_is_not_ours) {
  for (const char* setting : {"default_transaction_isolation = 'repeatable read'",
                              "default_transaction_read_only = on", "statement_timeout = 1"})
    execute(std::string("ALTER ROLE ") + kOwner + " IN DATABASE " + database_ + " SET " + setting);
  const Pooler pooler(dsn(), kOwner, 1);
  start_workers();
  client::Client client(pooler.dsn());
  const auto job = client.submit("ALTER TABLE t ADD b int");
  EXPECT_EQ(end_of(job.id), "synced");
  client::Submitter submitter(pooler.dsn());
  EXPECT_EQ(end_of(submitter.submit("ALTER TABLE u ADD b int").id), "synced");
}

TEST_F(Pooled, commands_work_through_it) {
  const Pooler pooler(dsn(), kOwner, 2);
  execute("DROP SCHEMA lockkeeper CASCADE");
  EXPECT_EQ(run({"migrate"}, pooler).code, 0);
  start_workers();
  const auto applied =
      run({"apply", "-", "--wait"}, pooler, "CREATE TABLE w (a int);\nALTER TABLE w ADD b int;\n");
  EXPECT_EQ(applied.code, 0) << applied.err;
  EXPECT_EQ(
      value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0"),
      "2");
  const auto bad = run({"submit", "ALTER TABLE w ADD b int", "--wait"}, pooler);
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("already exists"), std::string::npos) << bad.err;
  for (const char* command : {"jobs", "history", "graph", "nodes", "blockers", "trash", "set"})
    EXPECT_EQ(run({command}, pooler).code, 0) << command;
  EXPECT_EQ(run({"plan", "ALTER TABLE w ADD UNIQUE (a)"}, pooler).code, 0);
  EXPECT_NE(run({"submit", "ALTER TABEL w ADD b int"}, pooler).code, 0);
}

TEST_F(Pooled, a_job_is_cancelled_and_a_text_is_submitted_in_sql_through_it) {
  const Pooler pooler(dsn(), kOwner, 1);
  hold();
  start_workers(1);
  client::Client client(pooler.dsn());
  const auto held = client.submit(until_released());
  await_held();
  const auto next = client.submit("DROP TABLE t");
  pg::Session any(pooler.dsn(), "psql");
  const auto third =
      any.script("SELECT lockkeeper.submit('DROP TABLE u') AS id").front().text("id");
  EXPECT_EQ(client.cancel(next.id), "cancelled");
  client.cancel(held.id);
  EXPECT_EQ(end_of(held.id), "cancelled");
  EXPECT_EQ(end_of(JobId{std::stoll(third)}), "synced");
  expect_clean(pooler);
}

TEST_F(Pooled, workers_and_nodes_say_that_they_need_the_server_itself) {
  const Pooler pooler(dsn(), kOwner, 5);
  const std::string reason = "a connection pooler is in between";
  const WorkerProcess worker(pooler.dsn());
  EXPECT_TRUE(eventually([&] { return worker.log().find(reason) != std::string::npos; }));
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_worker"), "0");
  std::mutex mutex;
  std::string said;
  client::NodeOptions options;
  options.name = "pooled";
  options.on_lost = [&](const std::string& why) {
    const std::lock_guard lock(mutex);
    said = why;
  };
  const client::Node node(pooler.dsn(), options);
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return said.find(reason) != std::string::npos;
  }));
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_node"), "0");
  std::string found;
  for (const auto& finding : service::examine(pooler.dsn(), 1))
    if (finding.level == service::Level::problem) found += finding.text + "; ";
  EXPECT_NE(found.find(reason), std::string::npos) << found;
}

}  // namespace
}  // namespace lockkeeper::test
