// Instant jobs that share a transaction: all of them are done, or only the bad one is not.
#include <atomic>
#include <csignal>

#include "base/testpoint.hpp"
#include "support/buffers.hpp"
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

// Quick changes of many tables, of a queue so long that a worker claims several at once.
class BriefTogether : public Together {
 protected:
  static constexpr int kTables = 120;
  void make_tables() {
    as_owner("DO $$ BEGIN FOR i IN 0.." + std::to_string(kTables - 1) +
             " LOOP EXECUTE format('CREATE TABLE m%s (a int)', i); END LOOP; END $$");
  }
  std::vector<JobId> submit_brief() {
    std::vector<JobId> jobs;
    for (int i = 0; i < kTables; ++i)
      jobs.push_back(submit("ALTER TABLE m" + std::to_string(i) +
                            (i % 2 == 0 ? " ADD COLUMN b text" : " ALTER a SET DEFAULT 7")));
    return jobs;
  }
  std::string done() {
    return value(
        "SELECT count(*) FROM pg_attribute WHERE attrelid::regclass::text ~ '^m[0-9]+$' AND "
        "(attname = 'b' OR atthasdef)");
  }
  std::string versions_in_order() {
    return value(
        "SELECT count(*) FILTER (WHERE d.version = d.n) FROM (SELECT version, row_number() OVER "
        "(ORDER BY version) AS n FROM lockkeeper.ddl_schema_diff) d");
  }
};

TEST_F(BriefTogether, promise_4_share_a_transaction_and_have_a_version_each) {
  make_tables();
  // A machine that is busy with other things may have them run one by one: then once more.
  int rounds = 0;
  ASSERT_TRUE(eventually([&] {
    as_owner(
        "DO $$ BEGIN FOR i IN 0..119 LOOP EXECUTE format('ALTER TABLE m%s DROP COLUMN IF EXISTS b, "
        "ALTER a DROP "
        "DEFAULT', i); END LOOP; END $$");
    stop_workers();
    const auto jobs = submit_brief();
    start_workers(2);
    for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
    EXPECT_EQ(done(), std::to_string(kTables));
    EXPECT_EQ(versions_in_order(), std::to_string(++rounds * kTables));
    return value(
               "SELECT count(*) FROM lockkeeper.ddl_history WHERE (steps->0->>'jobs')::int > 4") !=
           "0";
  }));
}

TEST_F(BriefTogether, promise_9_one_that_must_wait_holds_up_none_of_the_others) {
  make_tables();
  pg::Session reader(dsn(), "reader");
  const pg::Transaction reading(reader, "BEGIN; SELECT FROM m5");
  auto jobs = submit_brief();
  start_workers(1);
  const auto held = jobs[5];
  jobs.erase(jobs.begin() + 5);
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job WHERE id = " + held.str()), "1");
  reader.script("COMMIT");
  EXPECT_EQ(end_of(held), "synced");
  EXPECT_EQ(versions_in_order(), std::to_string(kTables));
}

// Promise 9: nobody of the application waits because the queue has to wait.
TEST_F(BriefTogether, promise_9_hold_no_table_while_the_queue_is_held) {
  make_tables();
  const auto jobs = submit_brief();
  pg::Session submitter(dsn(), "submitter");
  submitter.script("BEGIN; SELECT lockkeeper.submit('SELECT 1')");
  start_workers(1);
  await("SELECT least(count(*), 1) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "1");
  EXPECT_EQ(value("SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation "
                  "WHERE l.mode = "
                  "'AccessExclusiveLock' AND c.relname ~ '^m[0-9]+$'"),
            "0");
  submitter.script("COMMIT");
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
}

TEST_F(BriefTogether, a_bad_one_fails_alone) {
  make_tables();
  as_owner("ALTER TABLE m6 ADD b int");
  const auto jobs = submit_brief();
  start_workers(1);
  const auto states = ends_of(jobs);
  for (std::size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(states[i], i == 6 ? "cancelled" : "synced") << i;
  EXPECT_EQ(error_of(jobs[6]), "42701");
  EXPECT_EQ(error_of(jobs[6], "statement"), "ALTER TABLE m6 ADD COLUMN b text");
}

TEST_F(BriefTogether, one_that_is_cancelled_meanwhile_leaves_the_others) {
  make_tables();
  const auto jobs = submit_brief();
  std::atomic<bool> first = true;
  testpoint::set_hook([&](const std::string& name) {
    if (name == "after_statement" && first.exchange(false))
      as_owner("SELECT lockkeeper.cancel(" + jobs[4].str() + ")");
  });
  start_workers(1);
  const auto states = ends_of(jobs);
  for (std::size_t i = 0; i < states.size(); ++i)
    EXPECT_EQ(states[i], i == 4 ? "cancelled" : "synced") << i;
  testpoint::set_hook({});
  EXPECT_EQ(done(), std::to_string(kTables - 1));
}

TEST_F(BriefTogether, promise_11_a_worker_killed_in_the_middle_loses_and_repeats_nothing) {
  for (const char* point : {"after_claim", "after_statement", "before_commit", "after_commit"}) {
    SCOPED_TRACE(point);
    as_owner(
        "DO $$ BEGIN FOR i IN 0..119 LOOP EXECUTE 'DROP TABLE IF EXISTS m' || i; END LOOP; END "
        "$$");
    make_tables();
    const auto jobs = submit_brief();
    WorkerProcess dying(dsn(), std::string(point) + "=kill");
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    WorkerProcess next(dsn());
    for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
    EXPECT_EQ(done(), std::to_string(kTables));
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
  // A claim reads as much of it as of the first hundred of them.
  pg::Session session(dsn(), "test");
  const auto read = [&](const std::string& head) {
    const pg::Transaction tx(session);
    const int pages = pages_read(
        session, "SELECT * FROM lockkeeper.claim_more(" + head + ", 1, 'test', NULL, 15)");
    EXPECT_EQ(session.script("SELECT count(*) AS n FROM lockkeeper.ddl_job WHERE state = 'running'")
                  .front()
                  .text("n"),
              "15");
    return pages;
  };
  read(jobs[1].str());
  const int of_many = read(jobs[1].str());
  EXPECT_LE(of_many, 2 * read(jobs[9900].str()) + 50);
}

TEST_F(Together, a_claim_of_more_reads_no_long_queue_either) {
  const auto head = submit("CREATE TABLE first (a int)");
  pg::Session session(dsn(), "test");
  int others = 0;
  const auto read_behind = [&](int most) {
    std::vector<parse::Unit> units;
    while (others < most)
      units.push_back(parse::parse_one("ALTER TABLE o" + std::to_string(++others) + " ADD b int"));
    jobs::submit_each(session, units, jobs::environment_of(session), {});
    const pg::Transaction tx(session);
    return pages_read(
        session, "SELECT * FROM lockkeeper.claim_more(" + head.str() + ", 1, 'test', NULL, 15)");
  };
  read_behind(400);
  const int of_few = read_behind(500);
  EXPECT_LE(read_behind(2500), of_few + of_few / 2 + 50);
}

}  // namespace
}  // namespace lockkeeper::test
