// Two releases side by side on one database while its schema is migrated: nothing is lost, nothing
// stands still; and a migration that the older one cannot live with stops it, and nothing else.
#include <csignal>

#include "base/child_process.hpp"
#include "pg/migrator.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Upgrade : public DatabaseTest {
 protected:
  static constexpr int kTables = 12;

  void SetUp() override {
    DatabaseTest::SetUp();
    for (int i = 0; i < kTables; ++i) as_owner("CREATE TABLE t" + std::to_string(i) + " (a int)");
  }
  // Some of all kinds: alone, in steps, outside of a transaction, in a batch.
  std::vector<JobId> round(int number) {
    const std::string column = "c" + std::to_string(number);
    std::vector<JobId> jobs;
    for (int i = 0; i < kTables; ++i) {
      const std::string table = "t" + std::to_string(i);
      if (i % 4 == 0) jobs.push_back(submit("ALTER TABLE " + table + " ADD " + column + " int"));
      if (i % 4 == 1)
        jobs.push_back(submit("ALTER TABLE " + table + " ADD " + column + " int NOT NULL UNIQUE"));
      if (i % 4 == 2)
        jobs.push_back(submit("CREATE INDEX " + table + column + " ON " + table + " (a)"));
      if (i % 4 == 3)
        for (const auto& job :
             apply("CREATE TABLE " + table + column + " (a int); DROP TABLE " + table + column))
          jobs.push_back(job);
    }
    return jobs;
  }
  static std::string next(std::vector<std::string> words) {
    words.insert(words.begin(), LOCKKEEPER_NEXT);
    return run_to_end(words);
  }
  std::string done() {
    return value(
        "SELECT count(*) || ' ' || count(DISTINCT id) FROM lockkeeper.ddl_history WHERE state = "
        "'synced'");
  }
};

TEST_F(Upgrade, an_older_worker_goes_on_while_the_schema_is_migrated_and_hands_over) {
  auto old = std::make_unique<WorkerProcess>(dsn());
  client::Client old_client(dsn());
  auto jobs = round(0);
  const auto more = [&](int number) {
    const auto some = round(number);
    jobs.insert(jobs.end(), some.begin(), some.end());
  };
  // In the midst of it.
  EXPECT_EQ(end_of(jobs.front()), "synced");
  EXPECT_NE(next({"migrate", "--dsn", dsn().conninfo()}).find("applied next"), std::string::npos);
  more(1);
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(jobs.size(), "synced"));
  EXPECT_NO_THROW(old_client.jobs(1));
  // Both.
  WorkerProcess newer(dsn(), {}, {}, LOCKKEEPER_NEXT);
  more(2);
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(jobs.size(), "synced"));
  // The new one alone, and not at leisure.
  more(3);
  old->process().signal(SIGTERM);
  EXPECT_EQ(old->process().wait(std::chrono::seconds(60)), 0) << old->log();
  more(4);
  EXPECT_EQ(ends_of(jobs), std::vector<std::string>(jobs.size(), "synced"));
  EXPECT_EQ(done(), std::to_string(jobs.size()) + " " + std::to_string(jobs.size()));
  EXPECT_EQ(run_command({"jobs", "--dsn", dsn().conninfo()}).code, 0);
  EXPECT_EQ(run_command({"migrate", "--dsn", dsn().conninfo()}).out,
            "the lockkeeper schema has version 9999, nothing to do\n");
}

TEST_F(Upgrade, a_breaking_migration_stops_the_older_worker_after_what_it_runs) {
  hold();
  auto old = std::make_unique<WorkerProcess>(dsn());
  const auto running =
      apply("BEGIN; ALTER TABLE t0 ADD b int; " + until_released() + "; COMMIT").front();
  await_held();
  next({"migrate", "--dsn", dsn().conninfo()});
  as_owner(
      "UPDATE lockkeeper.ddl_migration SET breaking = true WHERE version = 9999; SELECT "
      "pg_notify('lockkeeper_ready', 'settings')");
  ASSERT_TRUE(eventually(
      [&] { return old->log().find("works with versions up to") != std::string::npos; }));
  const auto later = [&] {
    pg::Session session(dsn(), "test");
    return JobId{session.script("SELECT lockkeeper.submit('ALTER TABLE t1 ADD b int') AS id")
                     .front()
                     .integer("id")};
  }();
  let_go();
  await("SELECT state FROM lockkeeper.ddl_history WHERE id = " + running.str(), "synced");
  EXPECT_EQ(run_command({"jobs", "--dsn", dsn().conninfo()}).code, 2);
  WorkerProcess newer(dsn(), {}, {}, LOCKKEEPER_NEXT);
  await("SELECT state FROM lockkeeper.ddl_history WHERE id = " + later.str(), "synced");
  EXPECT_EQ(value("SELECT count(DISTINCT split_part(worker, '/', 1)) FROM lockkeeper.ddl_history"),
            "2");
}

}  // namespace
}  // namespace lockkeeper::test
