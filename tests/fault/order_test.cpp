// Promise 3 under load: conflicting jobs in id order, nothing lost, nothing twice.
#include <random>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Order : public DatabaseTest {};

TEST_F(Order, promise_3_two_hundred_jobs_over_ten_workers_run_in_order) {
  as_owner("CREATE TABLE log (job int, tab text, at int GENERATED ALWAYS AS IDENTITY)");
  for (int t = 0; t < 8; ++t) as_owner("CREATE TABLE t" + std::to_string(t) + " (a int)");
  start_workers(10);
  std::mt19937 random(20261121);  // NOLINT: the same run each time
  std::vector<JobId> jobs;
  client::Client client(dsn());
  for (int i = 0; i < 200; ++i) {
    const auto table = "t" + std::to_string(random() % 8);
    jobs.push_back(
        client.submit("ALTER TABLE " + table + " ADD c" + std::to_string(i) + " int").id);
  }
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  // Columns of a table are numbered in the order in which the jobs ran.
  EXPECT_EQ(
      value(
          "SELECT count(*) FROM (SELECT attrelid, attnum, substr(attname, 2)::int - "
          "lag(substr(attname, 2)::int) OVER (PARTITION BY attrelid ORDER BY attnum) AS step FROM "
          "pg_attribute WHERE attname ~ '^c[0-9]+$' AND attnum > 0) s WHERE step < 0"),
      "0");
  EXPECT_EQ(value("SELECT count(*) FROM pg_attribute WHERE attname ~ '^c[0-9]+$' AND attnum > 0"),
            "200");
  // No two jobs on one table overlapped.
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history a JOIN lockkeeper.ddl_history b ON "
                  "a.id < b.id "
                  "AND a.objects = b.objects AND b.started_at < a.started_at"),
            "0");
  // Promise 4: versions are dense.
  EXPECT_EQ(value("SELECT count(*) || ' ' || min(version) || ' ' || max(version) FROM "
                  "lockkeeper.ddl_schema_diff"),
            "200 1 200");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
}

TEST_F(Order, jobs_of_all_kinds_submitted_at_once_all_end_and_leave_nothing) {
  as_owner("CREATE SCHEMA s0; CREATE SCHEMA s1; CREATE TABLE s0.p (id int PRIMARY KEY)");
  start_workers(6);
  std::vector<std::thread> submitters;
  std::mutex mutex;
  std::vector<JobId> jobs;
  for (int w = 0; w < 4; ++w)
    submitters.emplace_back([&, w] {
      client::Client client(dsn());
      std::mt19937 random(static_cast<unsigned>(w));  // NOLINT: the same run each time
      for (int i = 0; i < 40; ++i) {
        const auto name = "x" + std::to_string(w) + "_" + std::to_string(i);
        std::string sql = "CREATE TABLE s" + std::to_string(random() % 2) + "." + name + " (a int)";
        if (random() % 4 == 0) sql = "CREATE TABLE s1." + name + " (a int REFERENCES s0.p)";
        if (random() % 8 == 0) sql = "ALTER TABLE s0.p ADD " + name + " int";
        if (random() % 16 == 0) sql = "DO $$ BEGIN NULL; END $$";
        if (random() % 16 == 0) sql = "COMMENT ON SCHEMA s1 IS 'x'";
        const auto job = client.submit(sql).id;
        const std::lock_guard lock(mutex);
        jobs.push_back(job);
      }
    });
  for (auto& submitter : submitters) submitter.join();
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
  EXPECT_EQ(value("SELECT bool_and(version = n) FROM (SELECT version, row_number() OVER (ORDER BY "
                  "version) AS n "
                  "FROM lockkeeper.ddl_schema_diff) x"),
            "true");
}

}  // namespace
}  // namespace lockkeeper::test
