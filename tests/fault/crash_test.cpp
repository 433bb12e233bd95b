// Promises 1, 2, 6, 11: death of anything at any moment delays a job, never loses or repeats it.
#include <csignal>

#include "base/testpoint.hpp"
#include "support/stopped.hpp"
#include "support/tcp_gate.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Crash : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int)");
  }
  void TearDown() override {
    testpoint::set_hook({});
    DatabaseTest::TearDown();
  }
  JobId held_job() {
    return apply("BEGIN; ALTER TABLE t ADD b int; " + until_released() + "; COMMIT").front();
  }
  void expect_done_once(JobId job) {
    EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "0");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_step"), "0");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_schema_diff WHERE job_id = " + job.str()),
              "1");
  }
};

class CrashAt : public Crash, public ::testing::WithParamInterface<const char*> {};

TEST_P(CrashAt, promise_11_a_worker_killed_here_is_replaced) {
  WorkerProcess dying(dsn(), std::string(GetParam()) + "=kill");
  const auto job =
      apply("BEGIN; ALTER TABLE t ADD b int; INSERT INTO t VALUES (1, 2); COMMIT").front();
  ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
  WorkerProcess next(dsn());
  expect_done_once(job);
  EXPECT_EQ(value("SELECT count(*) FROM t"), "1");
}
INSTANTIATE_TEST_SUITE_P(Testpoints, CrashAt,
                         ::testing::Values("after_claim", "after_statement", "before_commit",
                                           "after_commit"));

class CrashOutside : public Crash, public ::testing::WithParamInterface<const char*> {};

TEST_P(CrashOutside, promise_6_a_concurrent_index_is_made_exactly_once) {
  WorkerProcess dying(dsn(), std::string(GetParam()) + "=kill");
  const auto job = submit("CREATE INDEX CONCURRENTLY ON t (a)");
  ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
  WorkerProcess next(dsn());
  expect_done_once(job);
  EXPECT_EQ(value("SELECT count(*) || ' ' || bool_and(indisvalid) FROM pg_index WHERE indrelid = "
                  "'t'::regclass"),
            "1 true");
}

TEST_P(CrashOutside, promise_6_a_concurrent_drop_is_done_exactly_once) {
  as_owner("CREATE INDEX i ON t (a)");
  WorkerProcess dying(dsn(), std::string(GetParam()) + "=kill");
  const auto job = submit("DROP INDEX CONCURRENTLY i");
  ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
  WorkerProcess next(dsn());
  expect_done_once(job);
  EXPECT_EQ(value("SELECT to_regclass('i')"), "");
}
INSTANTIATE_TEST_SUITE_P(Testpoints, CrashOutside,
                         ::testing::Values("after_claim", "before_outside", "between_steps",
                                           "before_commit", "after_commit"));

TEST_F(Crash, promise_6_an_invalid_index_of_a_killed_build_is_replaced) {
  pg::Session old(dsn(), "test");
  old.script("BEGIN; INSERT INTO t VALUES (1)");
  auto dying = std::make_unique<WorkerProcess>(dsn());
  const auto job = submit("CREATE INDEX CONCURRENTLY i ON t (a)");
  await("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid", "1");
  dying->process().signal(SIGKILL);
  dying->process().wait(std::chrono::seconds(30));
  WorkerProcess next(dsn());
  old.script("COMMIT");
  expect_done_once(job);
  EXPECT_EQ(value("SELECT count(*) || ' ' || bool_and(indisvalid) FROM pg_index WHERE indrelid = "
                  "'t'::regclass"),
            "1 true");
}

// The statement waits for the transaction of `old`, with something half made in the catalog.
class CrashHalfMade : public Crash {
 protected:
  void SetUp() override {
    Crash::SetUp();
    as_owner("CREATE INDEX i ON t (a)");
    as_owner(
        "CREATE TABLE parent (a int) PARTITION BY LIST (a); CREATE TABLE part PARTITION OF parent "
        "FOR VALUES IN (1)");
    old_ = std::make_unique<pg::Session>(dsn(), "old");
    old_->script("BEGIN; INSERT INTO t VALUES (1); SELECT FROM parent");
    worker_ = std::make_unique<WorkerProcess>(dsn());
  }
  JobId half_reindexed() {
    const auto job = submit("REINDEX INDEX CONCURRENTLY i");
    await("SELECT count(*) FROM pg_class WHERE relname = 'i_ccnew'", "1");
    return job;
  }
  JobId half_detached() {
    const auto job = submit("ALTER TABLE parent DETACH PARTITION part CONCURRENTLY");
    await("SELECT count(*) FROM pg_inherits WHERE inhdetachpending", "1");
    return job;
  }
  void replace_worker() {
    worker_->process().signal(SIGKILL);
    worker_->process().wait(std::chrono::seconds(30));
    worker_ = std::make_unique<WorkerProcess>(dsn());
    old_->script("COMMIT");
  }
  void expect_one_index() {
    EXPECT_EQ(value("SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ') FROM "
                    "pg_index WHERE indrelid = 't'::regclass"),
              "i true");
  }

  std::unique_ptr<pg::Session> old_;
  std::unique_ptr<WorkerProcess> worker_;
};

TEST_F(CrashHalfMade, promise_6_a_killed_reindex_is_done_again_and_leaves_nothing) {
  const auto job = half_reindexed();
  replace_worker();
  expect_done_once(job);
  expect_one_index();
}

TEST_F(CrashHalfMade, promise_7_a_cancelled_reindex_leaves_nothing) {
  const auto job = half_reindexed();
  as_owner("SELECT lockkeeper.cancel(" + job.str() + ")");
  // What is dropped waits for older transactions, too.
  await("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY%'", "1");
  old_->script("COMMIT");
  EXPECT_EQ(end_of(job), "cancelled");
  expect_one_index();
}

TEST_F(CrashHalfMade, promise_6_a_killed_detach_is_brought_to_its_end) {
  const auto job = half_detached();
  replace_worker();
  expect_done_once(job);
  EXPECT_EQ(value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'parent'::regclass"), "0");
}

TEST_F(CrashHalfMade, promise_7_a_cancelled_detach_is_brought_to_its_end) {
  const auto job = half_detached();
  as_owner("SELECT lockkeeper.cancel(" + job.str() + ")");
  old_->script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'parent'::regclass"), "0");
}

TEST_F(Crash, promise_6_code_outside_a_transaction_is_never_run_twice) {
  as_owner(
      "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (1); COMMIT; END'");
  WorkerProcess dying(dsn(), "between_steps=kill");
  const auto job = submit("CALL p()");
  ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
  WorkerProcess next(dsn());
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "08007");
  EXPECT_EQ(value("SELECT count(*) FROM t"), "1");
}

TEST_F(Crash, a_job_whose_worker_dies_three_times_is_set_aside) {
  start_workers(2);
  const auto job = submit("DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$");
  await("SELECT state || ' ' || paused_by || ' ' || crashes FROM lockkeeper.jobs WHERE id = " +
            job.str(),
        "paused crashes 3");
  EXPECT_EQ(value("SELECT error->>'sqlstate' FROM lockkeeper.jobs WHERE id = " + job.str()),
            "57P02");
  // It keeps its place until somebody decides.
  const auto later = submit("ALTER TABLE t ADD b int");
  EXPECT_EQ(value("SELECT dependency_id FROM lockkeeper.jobs WHERE id = " + later.str()),
            job.str());
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + job.str() + ")"), "cancelled");
  EXPECT_EQ(end_of(later), "synced");
}

TEST_F(Crash, promise_2_a_worker_that_was_stopped_finds_its_claim_gone) {
  WorkerProcess slow(dsn(), "before_commit=stop");
  const auto job = submit("ALTER TABLE t ADD b int");
  ASSERT_TRUE(stands_still(slow));
  // Its backends die, as they would behind a cut cable; its process sleeps through it.
  execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
      "AND "
      "application_name LIKE 'lockkeeper %'");
  WorkerProcess next(dsn());
  expect_done_once(job);
  slow.process().signal(SIGCONT);
  const auto later = submit("ALTER TABLE t ADD c int");
  expect_done_once(later);
}

TEST_F(Crash,
       promise_2_a_worker_that_is_silent_beyond_its_lease_is_replaced_and_can_write_nothing) {
  for (const char* point : {"after_claim", "after_statement", "before_commit"}) {
    SCOPED_TRACE(point);
    as_owner("ALTER TABLE t DROP COLUMN IF EXISTS b");
    WorkerProcess slow(dsn(), std::string(point) + "=stop", {"--lease", "1"});
    const auto job = submit("ALTER TABLE t ADD b int");
    ASSERT_TRUE(stands_still(slow));
    // Its connections stay open and its locks are held: only the lease tells.
    WorkerProcess next(dsn(), {}, {"--lease", "1"});
    expect_done_once(job);
    slow.process().signal(SIGCONT);
    const auto later = submit("ALTER TABLE t ADD c int");
    expect_done_once(later);
    expect_done_once(submit("ALTER TABLE t DROP c"));
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_schema_diff WHERE job_id = " + job.str()),
              "1");
  }
}

TEST_F(Crash, promise_6_a_silent_worker_outside_a_transaction_is_stopped_before_it_is_replaced) {
  pg::Session old(dsn(), "test");
  old.script("BEGIN; INSERT INTO t VALUES (1)");
  WorkerProcess slow(dsn(), {}, {"--lease", "1"});
  const auto job = submit("CREATE INDEX CONCURRENTLY i ON t (a)");
  await("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid", "1");
  slow.process().signal(SIGSTOP);
  ASSERT_TRUE(stands_still(slow));
  WorkerProcess next(dsn(), {}, {"--lease", "1"});
  await("SELECT max(epoch) FROM lockkeeper.ddl_job WHERE claimed_by IS NOT NULL AND epoch > 1",
        "3");
  old.script("COMMIT");
  expect_done_once(job);
  slow.process().signal(SIGCONT);
  EXPECT_EQ(value("SELECT count(*) || ' ' || bool_and(indisvalid) FROM pg_index WHERE indrelid = "
                  "'t'::regclass"),
            "1 true");
}

TEST_F(Crash, one_of_two_workers_that_stops_hands_over_without_a_pause) {
  hold();
  WorkerProcess first(dsn(), {}, {"--shutdown-limit", "0.1"});
  const auto job = held_job();
  await_held();
  WorkerProcess second(dsn(), {}, {"--poll", "600"});
  await(
      "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
      "application_name = 'lockkeeper control'",
      "2");
  first.process().signal(SIGTERM);
  EXPECT_EQ(first.process().wait(std::chrono::seconds(30)), 0) << first.log();
  await_held();
  let_go();
  expect_done_once(job);
}

TEST_F(Crash, promise_11_a_commit_whose_answer_is_lost_is_decided_by_the_tables) {
  TcpGate gate(server().socket_directory() + "/.s.PGSQL.5432");
  const auto through = dsn().with("host", "127.0.0.1").with("port", std::to_string(gate.port()));
  testpoint::set_hook([&](const std::string& name) {
    if (name == "before_commit" && gate.cuts() == 0) gate.cut_next_commit();
  });
  start_workers(2, [&](auto& settings) { settings.dsns = {through.conninfo()}; });
  const auto job =
      apply("BEGIN; ALTER TABLE t ADD b int; INSERT INTO t VALUES (1, 2); COMMIT").front();
  expect_done_once(job);
  // The tables may say so before the gate has counted it.
  EXPECT_TRUE(eventually([&] { return gate.cuts() == 1; }));
  EXPECT_EQ(value("SELECT count(*) FROM t"), "1");
  const auto later = submit("ALTER TABLE t ADD c int");
  expect_done_once(later);
}

TEST_F(Crash, promise_11_terminated_backends_only_delay) {
  hold();
  start_workers(2);
  const auto job = held_job();
  await_held();
  execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
      "AND "
      "application_name LIKE 'lockkeeper %'");
  await_held();
  let_go();
  expect_done_once(job);
}

TEST_F(Crash, promise_11_the_server_is_restarted_under_a_running_job) {
  hold();
  start_workers(2);
  const auto job = held_job();
  await_held();
  server().crash_and_restart();
  await("SELECT 1", "1");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Crash, promise_11_lost_notifications_are_made_up_by_the_poll) {
  start_workers(2, [](auto& settings) { settings.poll = std::chrono::milliseconds(200); });
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD b int")), "synced");
  // No notification is ever sent any more.
  as_owner("CREATE FUNCTION lockkeeper.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''");
  as_owner(
      "ALTER FUNCTION lockkeeper.enqueue(jsonb, jsonb) SET search_path = lockkeeper, pg_catalog");
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD c int")), "synced");
}

TEST_F(Crash, a_worker_that_is_told_to_stop_finishes_what_it_runs) {
  hold();
  WorkerProcess worker(dsn());
  const auto job = held_job();
  await_held();
  worker.process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return worker.log().find("stopping") != std::string::npos; }));
  let_go();
  EXPECT_EQ(worker.process().wait(std::chrono::seconds(30)), 0) << worker.log();
  EXPECT_EQ(state_of(job), "synced") << worker.log();
}

TEST_F(Crash, a_worker_that_may_not_wait_hands_back_what_it_runs) {
  hold();
  WorkerProcess worker(dsn(), {}, {"--shutdown-limit", "0.1"});
  const auto job = held_job();
  await_held();
  worker.process().signal(SIGTERM);
  EXPECT_EQ(worker.process().wait(std::chrono::seconds(30)), 0) << worker.log();
  EXPECT_EQ(state_of(job), "queueing") << worker.log();
  EXPECT_EQ(value("SELECT tries FROM lockkeeper.jobs"), "0");
}

}  // namespace
}  // namespace lockkeeper::test
