#include "workers/executor.hpp"

#include "base/testpoint.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Executor : public DatabaseTest {};

// The job is in its own way: it would be so for ever.
TEST_F(Executor, what_the_job_itself_uses_is_not_waited_for) {
  start_workers();
  for (const char* sql : {"CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE "
                          "TABLE c (p int REFERENCES p "
                          "DEFERRABLE INITIALLY DEFERRED); BEGIN; INSERT INTO c VALUES (1); ALTER "
                          "TABLE c ADD z int; COMMIT",
                          "DO $$ DECLARE r record; BEGIN FOR r IN SELECT FROM p LOOP ALTER TABLE p "
                          "ADD x int; END LOOP; END $$"}) {
    const auto job = apply(sql).back();
    EXPECT_EQ(end_of(job), "cancelled");
    EXPECT_EQ(error_of(job), "55006");
  }
}

// Promise 8: what a job leaves in its session meets no later one.
TEST_F(Executor, promise_8_temporary_objects_of_a_job_hide_nothing_from_the_next) {
  as_owner("CREATE TABLE orders (id int); CREATE TABLE dates (a int)");
  start_workers(1, [](auto& settings) { settings.reorg_workers = 1; });
  for (const char* sql :
       {"CREATE TEMP TABLE orders (id int)", "ALTER TABLE orders ADD COLUMN note text",
        "CREATE DOMAIN pg_temp.date AS text", "ALTER TABLE dates ADD COLUMN d date"})
    EXPECT_EQ(end_of(submit(sql)), "synced") << sql;
  EXPECT_EQ(
      value("SELECT string_agg(atttypid::regtype::text, ' ' ORDER BY attname) FROM pg_attribute "
            "WHERE attrelid IN "
            "('public.orders'::regclass, 'public.dates'::regclass) AND attname IN ('note', 'd')"),
      "date text");
}

TEST_F(Executor, a_function_keeps_the_search_path_as_it_was_written) {
  start_workers();
  EXPECT_EQ(end_of(submit("CREATE FUNCTION kept() RETURNS int LANGUAGE sql SET search_path FROM "
                          "CURRENT AS 'SELECT 1'")),
            "synced");
  EXPECT_EQ(
      value("SELECT proconfig::text FROM pg_proc WHERE proname = 'kept'"),
      value("SELECT format('{%s}', to_json('search_path=' || current_setting('search_path')))"));
}

TEST_F(Executor, an_error_is_kept_with_all_that_the_server_said) {
  as_owner("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)");
  start_workers();
  const auto duplicate = submit("CREATE UNIQUE INDEX i ON t (a)");
  EXPECT_EQ(end_of(duplicate), "cancelled");
  EXPECT_EQ(error_of(duplicate), "23505");
  EXPECT_EQ(error_of(duplicate, "detail"), "Key (a)=(1) is duplicated.");
  const auto typo = submit("ALTER TABLE t ADD b nope");
  EXPECT_EQ(end_of(typo), "cancelled");
  EXPECT_EQ(error_of(typo, "position"), "21");
  EXPECT_EQ(error_of(typo, "statement"), "ALTER TABLE t ADD b nope");
}

TEST_F(Executor, promise_9_a_lock_that_is_held_is_waited_for_in_short_tries) {
  as_owner("CREATE TABLE t (a int)");
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; SELECT * FROM t");
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await("SELECT tries >= 1 AND epoch >= 3 FROM lockkeeper.jobs WHERE id = " + job.str(), "true");
  EXPECT_EQ(value("SELECT error->>'sqlstate' FROM lockkeeper.jobs"), "55P03");
  holder.script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_NE(value("SELECT tries FROM lockkeeper.history"), "0");
}

TEST_F(Executor, promise_9_who_has_been_in_the_way_for_long_is_not_queued_behind) {
  as_owner("CREATE TABLE t (a int)");
  pg::Session holder(dsn(), "holder");
  holder.script("BEGIN; SELECT * FROM t");
  await("SELECT max(clock_timestamp() - xact_start) > '0.2 s' FROM pg_stat_activity WHERE pid = " +
            std::to_string(holder.backend_pid()),
        "true");
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await("SELECT tries FROM lockkeeper.jobs", "1");  // The first try, a short one.
  // From now on it only looks: nobody ever sees it wait for the lock.
  const auto looks = [&] { return std::stoi(value("SELECT epoch FROM lockkeeper.jobs")); };
  int waited = 0;
  for (const int first = looks(); looks() < first + 4;)
    waited += std::stoi(
        value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"));
  EXPECT_EQ(waited, 0);
  EXPECT_EQ(value("SELECT tries FROM lockkeeper.jobs"), "1");
  const auto message = value("SELECT error->>'message' FROM lockkeeper.jobs");
  EXPECT_NE(message.find("waits for pid " + std::to_string(holder.backend_pid()) +
                         ", which holds AccessShareLock on public.t for "),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("application \"holder\", idle in transaction"), std::string::npos);
  holder.script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
}

// The end of a job needs the locks that a submission has until its transaction ends.
TEST_F(Executor, promise_10_an_open_transaction_that_has_submitted_is_named_and_met_once) {
  as_owner("CREATE TABLE t (a int)");
  const auto job = submit("ALTER TABLE t ADD b int");
  pg::Session holder(dsn(), "holder");
  holder.script("BEGIN; SELECT lockkeeper.submit('ALTER TABLE t ADD c int')");
  await("SELECT max(clock_timestamp() - xact_start) > '0.2 s' FROM pg_stat_activity WHERE pid = " +
            std::to_string(holder.backend_pid()),
        "true");
  start_workers();
  await("SELECT tries FROM lockkeeper.jobs", "1");
  const auto looks = [&] { return std::stoi(value("SELECT epoch FROM lockkeeper.jobs")); };
  int held = 0;
  for (const int first = looks(); looks() < first + 4;)
    held += std::stoi(
        value("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = "
              "'t'::regclass"));
  EXPECT_EQ(held, 0);
  EXPECT_EQ(value("SELECT tries FROM lockkeeper.jobs"), "1");
  const auto message = value("SELECT error->>'message' FROM lockkeeper.jobs");
  EXPECT_NE(message.find("waits for pid " + std::to_string(holder.backend_pid()) +
                         ", which holds ExclusiveLock on the entry of "),
            std::string::npos)
      << message;
  holder.script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Executor, promise_9_a_prepared_transaction_in_the_way_is_named) {
  if (value("SELECT current_setting('max_prepared_transactions')") == "0")
    GTEST_SKIP() << "this server takes no prepared transactions";
  as_owner("CREATE TABLE t (a int)");
  as_owner("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'left'");
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await("SELECT error->>'message' LIKE 'waits for prepared transaction left%' FROM lockkeeper.jobs",
        "true");
  as_owner("COMMIT PREPARED 'left'");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Executor, what_is_refused_is_refused_as_a_barrier_from_psql_too_and_costs_no_worker) {
  start_workers();
  for (const char* sql : {"COPY (SELECT 1) TO PROGRAM 'true'", "CREATE DATABASE never",
                          "DELETE FROM lockkeeper.ddl_history", "ALTER SYSTEM SET work_mem = 1"}) {
    pg::Session psql(dsn(), "psql");
    const auto rows = psql.statement("SELECT lockkeeper.submit($1, '{\"as_barrier\": true}') AS id",
                                     pg::Params::of(sql));
    const JobId job{rows.front().integer("id")};
    EXPECT_EQ(end_of(job), "cancelled") << sql;
    EXPECT_EQ(error_of(job), "0A000") << sql;
  }
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history WHERE epoch > 2"), "0");
}

TEST_F(Executor, a_job_that_writes_to_the_queue_is_undone_and_ends) {
  start_workers();
  for (const char* sql : {"DO $$ BEGIN UPDATE lockkeeper.ddl_job SET epoch = epoch + 1; END $$",
                          "DO $$ BEGIN DELETE FROM lockkeeper.ddl_job; END $$",
                          "DO $$ BEGIN TRUNCATE lockkeeper.ddl_job CASCADE; END $$"}) {
    const auto job = submit(sql);
    EXPECT_EQ(end_of(job), "cancelled") << sql;
    EXPECT_EQ(error_of(job), "55000") << sql;
  }
  EXPECT_EQ(end_of(submit("CREATE TABLE after_it (a int)")), "synced");
}

TEST_F(Executor, a_code_of_a_lost_connection_that_a_statement_raises_is_its_own_error) {
  start_workers();
  for (const char* code : {"08006", "08ABC", "57P01", "53300"}) {
    const auto job = submit("DO $$ BEGIN RAISE EXCEPTION 'not ours' USING ERRCODE = '" +
                            std::string(code) + "'; END $$");
    EXPECT_EQ(end_of(job), "cancelled") << code;
    EXPECT_EQ(error_of(job), code);
    EXPECT_EQ(error_of(job, "message"), "not ours");
  }
  EXPECT_EQ(value("SELECT max(epoch) FROM lockkeeper.ddl_history"), "1");
}

TEST_F(Executor, retries_have_a_limit) {
  as_owner("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; UPDATE t SET a = 2");
  start_workers(2, [](auto& settings) { settings.tries_most = 3; });
  const auto job = submit("UPDATE t SET a = 3");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "55P03");
  EXPECT_EQ(value("SELECT tries FROM lockkeeper.history"), "2");
}

TEST_F(Executor, what_a_job_of_unknown_code_leaves_ready_starts_at_once_also_in_the_other_pool) {
  as_owner("CREATE TABLE t (a int)");
  start_workers(2, [](auto& settings) { settings.poll = std::chrono::minutes(10); });
  const auto barrier = submit("DO $$ BEGIN PERFORM 1; END $$");
  const auto index = submit("CREATE INDEX ON t (a)");
  EXPECT_EQ(end_of(barrier), "synced");
  EXPECT_EQ(end_of(index), "synced");
}

TEST_F(Executor, a_statement_cannot_switch_the_lock_timeout_off_for_the_next) {
  as_owner("CREATE TABLE t (a int)");
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; LOCK TABLE t");
  start_workers(2);
  const auto job =
      apply(
          "BEGIN; SET LOCAL lock_timeout = 0; SELECT set_config('lock_timeout', '0', true); "
          "ALTER TABLE t ADD b int; COMMIT")
          .front();
  await("SELECT error->>'sqlstate' FROM lockkeeper.jobs", "55P03");
  holder.script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Executor, the_rest_of_a_batch_falls_with_a_job_unless_it_is_to_go_on) {
  start_workers();
  const auto jobs =
      apply("CREATE TABLE a (x int); ALTER TABLE nope ADD y int; CREATE TABLE b (x int)");
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>{"synced", "cancelled", "cancelled"}));
  EXPECT_EQ(error_of(jobs[1]), "42P01");
  EXPECT_EQ(error_of(jobs[2]), "57014");
  client::ApplyOptions go_on;
  go_on.submit.on_error = "continue";
  const auto others = apply("ALTER TABLE nope ADD y int; CREATE TABLE b (x int)", go_on);
  EXPECT_EQ(ends_of(others), (std::vector<std::string>{"cancelled", "synced"}));
}

TEST_F(Executor, a_transaction_of_a_file_is_all_or_nothing) {
  start_workers();
  const auto job =
      apply("BEGIN; CREATE TABLE a (x int); ALTER TABLE nope ADD y int; COMMIT").front();
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(value("SELECT to_regclass('a')"), "");
}

TEST_F(Executor, temporary_tables_serve_their_job_and_leave_nothing_behind) {
  start_workers(1);
  const auto jobs = apply(
      "CREATE TABLE t (a int); CREATE TEMP TABLE tmp AS SELECT 7 AS a; INSERT INTO t SELECT a FROM "
      "tmp;"
      "SET search_path = nowhere; SELECT 1; RESET search_path; CREATE TABLE u (a int)");
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "synced");
  EXPECT_EQ(value("SELECT a FROM t"), "7");
  EXPECT_EQ(value("SELECT to_regclass('public.u')"), "u");
  // The same worker must not meet the temporary table of the earlier job.
  const auto again = submit("CREATE TABLE tmp (b int)");
  EXPECT_EQ(end_of(again), "synced");
  EXPECT_EQ(value("SELECT to_regclass('public.tmp')"), "tmp");
}

TEST_F(Executor, settings_of_the_file_hold_for_its_jobs_and_only_for_them) {
  start_workers(1);
  const auto jobs = apply(
      "SET TimeZone = 'Asia/Tokyo'; CREATE TABLE t (at timestamptz DEFAULT "
      "'2026-01-01 00:00:00'); RESET TimeZone; CREATE TABLE u (at timestamptz "
      "DEFAULT '2026-01-01 00:00:00')");
  ends_of(jobs);
  as_owner("SET TimeZone = 'UTC'; INSERT INTO t DEFAULT VALUES; INSERT INTO u DEFAULT VALUES");
  EXPECT_EQ(value("SELECT extract(epoch FROM u.at - t.at)::int FROM t, u"), "32400");
}

TEST_F(Executor, what_cannot_be_in_a_transaction_runs_outside_of_one) {
  as_owner("CREATE TABLE t (a int)");
  start_workers();
  const auto jobs = apply(
      "CREATE INDEX CONCURRENTLY i ON t (a); VACUUM t; REINDEX INDEX CONCURRENTLY i; "
      "DROP INDEX CONCURRENTLY i");
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>(4, "synced")));
  EXPECT_EQ(value("SELECT to_regclass('i')"), "");
}

TEST_F(Executor, code_that_commits_by_itself_is_found_out_and_run_outside) {
  as_owner(
      "CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t "
      "VALUES (1); COMMIT; INSERT INTO t VALUES (2); COMMIT; END'");
  start_workers();
  EXPECT_EQ(end_of(submit("CALL p()")), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM t"), "2");
}

TEST_F(Executor, promise_7_a_failed_concurrent_index_leaves_no_invalid_one) {
  as_owner("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)");
  start_workers();
  const auto job = submit("CREATE UNIQUE INDEX CONCURRENTLY ON t (a)");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "23505");
  EXPECT_EQ(value("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"), "0");
}

TEST_F(Executor, promise_7_somebody_elses_index_is_not_taken_for_the_one_that_failed) {
  as_owner("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (1, 1)");
  start_workers();
  // Made by somebody else, and committed between the look at what is there and the failure.
  pg::Session other(dsn(), "test");
  other.script("BEGIN; CREATE UNIQUE INDEX other ON t (a) WHERE b < 0");
  const auto job = submit("CREATE UNIQUE INDEX CONCURRENTLY ON t (a) WHERE b > 0");
  await("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass", "1");
  other.script("COMMIT");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "23505");
  EXPECT_EQ(value("SELECT string_agg(indexrelid::regclass::text, ',') FROM pg_index WHERE indrelid "
                  "= 't'::regclass"),
            "other");
}

TEST_F(Executor, promise_7_a_running_statement_is_stopped_by_a_cancel) {
  as_owner("CREATE TABLE t (a int)");
  hold();
  start_workers();
  const auto job =
      apply("BEGIN; ALTER TABLE t ADD b int; " + until_released() + "; COMMIT").front();
  await_held();
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + job.str() + ")"), "cancelling");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "57014");
  EXPECT_EQ(
      value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0"),
      "1");
}

TEST_F(Executor, promise_7_what_a_cancelled_procedure_has_committed_is_not_called_taken_back) {
  as_owner(
      "CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN INSERT INTO t "
      "VALUES (1); COMMIT; PERFORM set_config('lock_timeout', '0', true), "
      "pg_advisory_xact_lock_shared(7700, 1); END$$");
  hold();
  start_workers();
  const auto job = submit("CALL p()");
  await_held();
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + job.str() + ")"), "cancelling");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(value("SELECT count(*) FROM t"), "1");
  EXPECT_NE(error_of(job, "message").find("what it had done stays"), std::string::npos)
      << error_of(job, "message");
}

TEST_F(Executor, promise_7_a_concurrent_index_that_waits_is_cancelled_without_a_trace) {
  as_owner("CREATE TABLE t (a int)");
  pg::Session old(dsn(), "test");
  old.script("BEGIN; INSERT INTO t VALUES (1)");
  start_workers();
  const auto job = submit("CREATE INDEX CONCURRENTLY i ON t (a)");
  await("SELECT count(*) FROM pg_stat_progress_create_index", "1");
  value("SELECT lockkeeper.cancel(" + job.str() + ")");
  await(
      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%' AND state = "
      "'active'",
      "0");
  // The invalid index is dropped concurrently, which waits for the old transaction too.
  old.script("COMMIT");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(value("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"), "0");
}

TEST_F(Executor, an_enum_value_can_be_used_by_the_next_job_of_the_file) {
  as_owner("CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (x e)");
  start_workers();
  const auto jobs = apply("ALTER TYPE e ADD VALUE 'b'; INSERT INTO t VALUES ('b')");
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>{"synced", "synced"}));
}

TEST_F(Executor, a_deferred_constraint_fails_the_job_and_not_the_queue) {
  as_owner(
      "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE "
      "INITIALLY DEFERRED)");
  start_workers();
  const auto job = submit("INSERT INTO c VALUES (1)");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "23503");
}

}  // namespace
}  // namespace lockkeeper::test
