// Instant jobs that share a transaction: all of them are done, or only the bad one is not.
#include <csignal>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Together : public DatabaseTest {
 protected:
  static std::string creates(int from, int to) {
    std::string text;
    for (int i = from; i < to; ++i) text += "CREATE TABLE m" + std::to_string(i) + " (a int);\n";
    return text;
  }
  std::string most_in_one_transaction() {
    return value("SELECT max((steps->0->>'jobs')::int) FROM lockkeeper.ddl_history");
  }
  std::string tables() {
    return value("SELECT count(*) FROM pg_class WHERE relname ~ '^m[0-9]+$'");
  }
};

TEST_F(Together, a_batch_of_creates_runs_many_to_a_transaction) {
  const auto jobs = apply(creates(0, 150));
  start_workers(4);
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(tables(), "150");
  EXPECT_GT(std::stoi(most_in_one_transaction()), 10);
  // Promise 4: each has a version of its own, in order.
  EXPECT_EQ(value("SELECT count(*) FILTER (WHERE d.version = n) FROM (SELECT version, job_id, "
                  "row_number() OVER (ORDER BY job_id) AS n FROM lockkeeper.ddl_schema_diff) d"),
            "150");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
}

TEST_F(Together, independent_creates_share_a_transaction_too) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 40; ++i) jobs.push_back(submit("CREATE TABLE m" + std::to_string(i) + " ()"));
  start_workers(1);
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(most_in_one_transaction(), "40");
}

TEST_F(Together, a_bad_one_fails_alone) {
  as_owner("CREATE TABLE m7 (x int)");
  std::vector<JobId> jobs;
  for (int i = 0; i < 20; ++i)
    jobs.push_back(submit("CREATE TABLE m" + std::to_string(i) + " (a int)"));
  start_workers(1);
  const auto states = ends_of(jobs);
  for (std::size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(states[i], i == 7 ? "cancelled" : "synced") << i;
  EXPECT_EQ(error_of(jobs[7]), "42P07");
  EXPECT_EQ(error_of(jobs[7], "statement"), "CREATE TABLE m7 (a int)");
}

TEST_F(Together, a_bad_one_in_a_batch_ends_the_rest_of_it_and_nothing_before) {
  as_owner("CREATE TABLE m7 (x int)");
  const auto jobs = apply(creates(0, 20));
  start_workers(2);
  const auto states = ends_of(jobs);
  for (std::size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(states[i], i < 7 ? "synced" : "cancelled") << i;
  EXPECT_EQ(error_of(jobs[7]), "42P07");
  EXPECT_EQ(error_of(jobs[8]), "57014");
  EXPECT_EQ(tables(), "8");
}

TEST_F(Together, a_batch_that_may_continue_does) {
  as_owner("CREATE TABLE m7 (x int)");
  client::ApplyOptions options;
  options.submit.on_error = "continue";
  const auto jobs = apply(creates(0, 20), options);
  start_workers(2);
  const auto states = ends_of(jobs);
  for (std::size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(states[i], i == 7 ? "cancelled" : "synced") << i;
}

TEST_F(Together, other_statements_of_a_batch_keep_their_places) {
  const auto jobs = apply(creates(0, 10) + "ALTER TABLE m3 ADD b int;" + creates(10, 20) +
                          "CREATE TABLE c (a int, b int); ALTER TABLE c DROP b;");
  start_workers(2);
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history h JOIN lockkeeper.ddl_history g ON "
                  "g.id > h.id AND g.schema_version < h.schema_version"),
            "0");
}

TEST_F(Together, what_waits_for_a_job_outside_of_the_batch_is_not_taken_along) {
  as_owner("CREATE TYPE mood AS ENUM ('a')");
  hold();
  const auto before = apply("BEGIN; ALTER TYPE mood RENAME TO old_mood; " + until_released() +
                            "; CREATE TYPE mood AS ENUM ('b'); COMMIT")
                          .front();
  const auto jobs = apply(creates(0, 3) + "CREATE TABLE m3 (a mood);" + creates(4, 6));
  start_workers(3);
  await_held();
  EXPECT_EQ(end_of(jobs[2]), "synced");
  EXPECT_EQ(state_of(jobs[3]), "queueing");
  let_go();
  EXPECT_EQ(end_of(before), "synced");
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(value("SELECT enumlabel FROM pg_enum WHERE enumtypid = (SELECT atttypid FROM "
                  "pg_attribute WHERE attrelid = 'm3'::regclass AND attname = 'a')"),
            "b");
}

TEST_F(Together, promise_11_a_worker_killed_in_the_middle_loses_and_repeats_nothing) {
  for (const char* point : {"after_claim", "after_statement", "before_commit", "after_commit"}) {
    SCOPED_TRACE(point);
    as_owner(
        "DO $$ BEGIN FOR i IN 0..29 LOOP EXECUTE 'DROP TABLE IF EXISTS m' || i; END LOOP; END "
        "$$");
    const auto jobs = apply(creates(0, 30));
    WorkerProcess dying(dsn(), std::string(point) + "=kill");
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    WorkerProcess next(dsn());
    for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
    EXPECT_EQ(tables(), "30");
  }
}

TEST_F(Together, ten_thousand_statements_are_submitted_in_a_handful_of_round_trips) {
  client::ApplyOptions options;
  options.submit.key = "release-1";
  const auto jobs = apply(creates(0, 10000), options);
  EXPECT_EQ(jobs.size(), 10000U);
  EXPECT_EQ(value("SELECT count(*) || ' ' || count(DISTINCT batch_id) || ' ' || max(batch_seq) || "
                  "' ' || count(*) FILTER (WHERE waits = 0) FROM lockkeeper.ddl_job"),
            "10000 1 10000 1");
  EXPECT_EQ(apply(creates(0, 10000), options).size(), 10000U);  // The same key: the same jobs.
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "10000");
}

}  // namespace
}  // namespace lockkeeper::test
