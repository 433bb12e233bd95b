// Backfills: what the application does meanwhile is in the result, whatever it does; several
// workers share one; it is steered while it runs (promises 6 to 11).
#include <atomic>
#include <random>
#include <thread>

#include "base/testpoint.hpp"
#include "jobs/steer.hpp"
#include "steps/online.hpp"

namespace lockkeeper::test {
namespace {

// Each transaction writes a table and its twin; the twin is changed by nobody else.
class Writers {
 public:
  explicit Writers(const pg::Dsn& dsn) {
    for (int i = 0; i < 4; ++i) threads_.emplace_back([this, dsn, i] { run(dsn, i); });
  }
  ~Writers() { stop(); }
  int stop() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    return transactions_;
  }
  void at_least(int transactions) const {
    EXPECT_TRUE(eventually([&] { return transactions_ >= transactions || !failure_.empty(); }));
  }
  std::string failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  // A key of the thread's own: old rows by their remainder, new ones from a range.
  static std::string key(std::mt19937& random, int number) {
    return std::to_string(static_cast<int>(random() % 3500) * 4 + number + 1);
  }
  static std::string operation(std::mt19937& random, int number) {
    const auto id = key(random, number);
    const auto n = std::to_string(random() % 1000);
    switch (random() % 8) {
      case 0:
        return "UPDATE %t SET a = NULL WHERE id = " + id;
      case 1:
        return "UPDATE %t SET a = " + n + ", b = NULL WHERE id = " + id;
      case 2:
        return "UPDATE %t SET id = -id WHERE id = " + id +
               " AND NOT EXISTS (SELECT FROM %t WHERE id = -" + id + ")";
      case 3:
        return "WITH gone AS (DELETE FROM %t WHERE id = " + id +
               " RETURNING *) SELECT count(*) FROM gone; INSERT INTO %t (id, a, b, txt) VALUES (" +
               id + ", " + n + ", 1, 'again') ON CONFLICT (id) DO NOTHING";
      case 4:
        return "INSERT INTO %t (id, a, b, txt) VALUES (" + id + ", " + n +
               ", 2, 'conflict') ON CONFLICT (id) DO UPDATE SET a = excluded.a, txt = 'both'";
      case 5:
        return "UPDATE %t SET txt = txt || '.' WHERE id IN (" + id + ", -" + id + ")";
      case 6:
        return "SAVEPOINT s; UPDATE %t SET a = 0 WHERE id = " + id +
               "; ROLLBACK TO s; UPDATE %t SET b = " + n + " WHERE id = " + id;
      default:
        return "DELETE FROM %t WHERE id = -" + id;
    }
  }
  static std::string on(const std::string& table, std::string text) {
    for (auto at = text.find("%t"); at != std::string::npos; at = text.find("%t"))
      text.replace(at, 2, table);
    return text;
  }

  void run(const pg::Dsn& dsn, int number) {
    std::mt19937 random(static_cast<unsigned>(number));
    const std::string id = std::to_string(number);
    const pg::Query insert{"insert",
                           "INSERT INTO big (id, a, b, txt) VALUES ($1, $2, 3, 'prepared')"};
    const pg::Query twin{"twin", "INSERT INTO twin (id, a, b, txt) VALUES ($1, $2, 3, 'prepared')"};
    try {
      pg::Session session(dsn, "application");
      for (int n = 0; !stopping_; ++n) {
        session.script("BEGIN");
        const auto what = operation(random, number);
        session.script(on("big", what));
        session.script(on("twin", what));
        if (n % 5 == 0) {
          const auto fresh = pg::Params::of(100000 + n * 4 + number, n);
          session.run(insert, fresh);
          session.run(twin, fresh);
        }
        session.script(n % 11 == 0 ? "ROLLBACK" : "COMMIT");
        ++transactions_;
      }
    } catch (const Error& error) {
      const std::lock_guard lock(mutex_);
      failure_ = error.what();
    }
  }

  std::atomic<bool> stopping_{false};
  std::atomic<int> transactions_{0};
  std::mutex mutex_;
  std::string failure_;
  std::vector<std::thread> threads_;
};

class Backfill : public Online {
 protected:
  void make_tables_with_twin() {
    make_tables(
        "ALTER TABLE big ADD PRIMARY KEY (id); CREATE INDEX ON big (a); CREATE TABLE twin (LIKE "
        "big INCLUDING INDEXES); INSERT INTO twin SELECT * FROM big");
  }
  void expect_same_rows() {
    for (const char* sides : {"big EXCEPT ALL SELECT id, a, b, txt FROM twin",
                              "twin EXCEPT ALL SELECT id, a, b, txt FROM big"})
      EXPECT_EQ(
          value(std::string("SELECT count(*) FROM (SELECT id, a, b, txt FROM ") + sides + ") AS d"),
          "0");
  }
  // For hooks, which run on the threads of workers: the test's own sessions are not for them.
  std::string somebody(const std::string& sql) {
    const auto rows = pg::Session(dsn(), "somebody", 60000).script(sql);
    return rows.empty() ? std::string() : rows.front().text(kFirst);
  }
  static constexpr const char* kFirst = "value";
  std::atomic<int> seen_{0};
};

class BackfillMirror : public Backfill, public ::testing::WithParamInterface<const char*> {};

TEST_P(BackfillMirror, promise_8_what_the_application_does_meanwhile_is_in_the_result) {
  make_tables_with_twin();
  Writers writers(dsn());
  writers.at_least(50);
  start_workers(2);
  // Where the new values are others, who writes them must know: all stop before the cut-over.
  const bool others = std::string(GetParam()).find("USING") != std::string::npos;
  client::ApplyOptions options;
  if (others) options.tuning = {{"postpone_cutover", "on"}};
  client::Client client(dsn());
  const auto job = client.submit(GetParam(), options).id;
  if (others) {
    await("SELECT error->>'message' LIKE '%cut-over%' FROM lockkeeper.jobs", "true");
    writers.stop();
    client.alter(job, {{"postpone_cutover", "off"}});
  }
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_GT(writers.stop(), 100);
  EXPECT_EQ(writers.failure(), "");
  std::string twin = GetParam();
  as_owner(twin.replace(twin.find("big"), 3, "twin"));
  expect_same_rows();
  EXPECT_NE(value("SELECT steps FROM lockkeeper.history").find("UPDATE"), std::string::npos)
      << "it was not backfilled";
}

INSTANTIATE_TEST_SUITE_P(
    Changes, BackfillMirror,
    ::testing::Values(
        "ALTER TABLE big ALTER a TYPE bigint", "ALTER TABLE big ALTER id TYPE bigint",
        "ALTER TABLE big ALTER a TYPE text USING 'n' || a, ALTER b TYPE bigint USING b + 1",
        "ALTER TABLE big ADD u uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE"),
    [](const auto& one) { return "change_" + std::to_string(one.index); });

TEST_F(Backfill, promise_8_no_trigger_of_the_application_fires) {
  make_tables(
      "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.txt := "
      "''touched''; "
      "RETURN new; END'; CREATE TRIGGER touch BEFORE UPDATE ON big FOR EACH ROW EXECUTE FUNCTION "
      "touch()");
  // Who may not silence it runs the statement as it is written.
  start_workers(2);
  EXPECT_EQ(end_of(submit("ALTER TABLE big ALTER a TYPE bigint")), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE txt = 'touched'"), "0");
  stop_workers();
  // Who may, does.
  start_over();
  start_workers(
      2, [this](config::WorkSettings& settings) { settings.dsns = {dsn("postgres").conninfo()}; });
  client::Client boss(dsn("postgres"));
  const auto job = boss.submit("ALTER TABLE big ALTER a TYPE bigint").id;
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE txt = 'touched'"), "0");
  EXPECT_NE(value("SELECT steps FROM lockkeeper.history WHERE id = " + job.str()).find("UPDATE"),
            std::string::npos);
  EXPECT_EQ(value("SELECT count(*) FROM pg_trigger WHERE tgname = 'touch' AND tgenabled = 'O'"),
            "1");
}

TEST_F(Backfill, promise_6_several_workers_and_processes_share_it) {
  make_tables(
      "INSERT INTO big SELECT i, i, i % 100, repeat('x', 80) FROM generate_series(12001, 90000) i");
  // The first batch of the one that has the job is held: others do the rest.
  as_owner(
      "CREATE FUNCTION slow(int) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF $1 = 1 "
      "THEN PERFORM "
      "set_config(''lock_timeout'', ''0'', true), pg_advisory_xact_lock_shared(7700, 1); END IF; "
      "RETURN $1; END'");
  hold();
  WorkerProcess one(dsn(), {}, {"--reorg-workers", "2"});
  WorkerProcess two(dsn(), {}, {"--reorg-workers", "2"});
  client::ApplyOptions options;
  options.tuning = {{"threads", "4"}};
  client::Client client(dsn());
  const auto job = client.submit("ALTER TABLE big ALTER a TYPE bigint USING slow(a)", options).id;
  await_held();
  await("SELECT count(*) FROM lockkeeper.ddl_subtask WHERE NOT done", "1");
  EXPECT_GT(std::stoi(value("SELECT count(*) FROM lockkeeper.ddl_subtask WHERE done")), 2);
  let_go();
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE a = id"), "90000");
}

TEST_F(Backfill, promise_10_it_is_paused_between_two_batches_and_goes_on_from_there) {
  make_tables();
  testpoint::set_hook([&](const std::string& name) {
    if (name == "batch_committed" && ++seen_ == 2)
      pg::Session(dsn(), "boss").script("SELECT lockkeeper.steer('pause', '{\"all\": true}')");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ALTER a TYPE bigint");
  await("SELECT state FROM lockkeeper.jobs", "paused");
  const auto blocks = value("SELECT next_block FROM lockkeeper.ddl_subtask");
  EXPECT_GT(std::stoi(blocks), 16);
  // What was done is not done again.
  as_owner("UPDATE lockkeeper.ddl_subtask SET rows = 0");
  value("SELECT lockkeeper.resume(" + job.str() + ")");
  std::atomic<int> rows{-1};
  std::atomic<int> rated{-1};
  testpoint::set_hook([&](const std::string& name) {
    if (name != "swept") return;
    rows = std::stoi(somebody("SELECT sum(rows) AS value FROM lockkeeper.ddl_subtask"));
    rated = std::stoi(somebody("SELECT rated_blocks AS value FROM lockkeeper.ddl_reorg"));
  });
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(std::to_string(rated), blocks) << "its rate does not count the pause";
  EXPECT_GT(rows, 0);
  EXPECT_LT(rows, 12000);
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE a = id"), "12000");
}

TEST_F(Backfill, it_is_made_slower_and_faster_while_it_runs) {
  make_tables();
  client::ApplyOptions options;
  options.tuning = {{"rows_per_second", "1"}, {"threads", "1"}};
  client::Client client(dsn());
  start_workers(2);
  const auto job = client.submit("ALTER TABLE big ALTER a TYPE bigint", options).id;
  await("SELECT count(*) FROM lockkeeper.progress WHERE blocks_done > 0 AND percent < 50", "1");
  const auto now = client.alter(job, {{"rows_per_second", "0"}});
  EXPECT_EQ(now.at("rows_per_second"), "0");
  EXPECT_EQ(now.at("threads"), "1");
  // As the manual shows it for psql.
  EXPECT_EQ(
      value("SELECT lockkeeper.alter_job(" + job.str() + ", '{\"batch_ms\": 50}')->>'batch_ms'"),
      "50");
  EXPECT_EQ(value("SELECT jsonb_typeof(settings->'lockkeeper.batch_ms') FROM lockkeeper.ddl_job"),
            "string");
  EXPECT_EQ(end_of(job), "synced");
  for (const jobs::Tuning& bad : {jobs::Tuning{{"speed", "1"}}, jobs::Tuning{{"threads", "many"}},
                                  jobs::Tuning{{"threads", ""}}})
    EXPECT_THROW(client.alter(job, bad), Error);
}

TEST_F(Backfill, the_cut_over_waits_when_it_was_postponed) {
  make_tables();
  client::ApplyOptions options;
  options.tuning = {{"postpone_cutover", "on"}};
  client::Client client(dsn());
  start_workers(2);
  const auto job = client.submit("ALTER TABLE big ALTER a TYPE bigint", options).id;
  await("SELECT error->>'message' LIKE 'waits for lockkeeper cutover%' FROM lockkeeper.jobs",
        "true");
  EXPECT_EQ(value("SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = "
                  "'big'::regclass AND attname = 'a'"),
            "integer");
  as_owner("INSERT INTO big VALUES (-1, 5, 5, 'late')");
  client.alter(job, {{"postpone_cutover", "off"}});
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT a FROM big WHERE id = -1"), "5");
}

TEST_F(Backfill, promise_9_a_row_that_somebody_holds_delays_it_and_holds_nobody_up) {
  make_tables();
  const auto before = rows();
  // Two transactions, each begun by a hook, and ended here once it is known to hold the row.
  std::unique_ptr<pg::Session> first;
  std::unique_ptr<pg::Session> second;
  std::atomic<bool> first_holds{false};
  std::atomic<bool> second_holds{false};
  const auto holds = [&](std::unique_ptr<pg::Session>& holder, std::atomic<bool>& done) {
    if (done) return;
    holder = std::make_unique<pg::Session>(dsn(), "holder");
    holder->script("BEGIN; SELECT FROM big WHERE id = 6000 FOR UPDATE");
    done = true;
  };
  testpoint::set_hook([&](const std::string& name) {
    if (name == "plan_kept") holds(first, first_holds);
    if (name == "batch_committed") holds(second, second_holds);
  });
  start_workers(1);
  // The first step waits for it, as it should; afterwards only the row is held.
  client::ApplyOptions alone;
  alone.tuning = {{"threads", "1"}};
  client::Client client(dsn());
  const auto job = client.submit("ALTER TABLE big ALTER a TYPE bigint", alone).id;
  await("SELECT error->>'message' LIKE 'waits for pid%' FROM lockkeeper.jobs", "true");
  EXPECT_TRUE(first_holds);
  first->script("COMMIT");
  EXPECT_TRUE(eventually([&] { return second_holds.load(); }));
  await("SELECT throttled FROM lockkeeper.progress", "a row is held by somebody");
  // The row before it can be written by anybody all the while.
  for (int i = 0; i < 20; ++i) as_owner("UPDATE big SET b = b WHERE id = 5999");
  second->script("UPDATE big SET a = -6000 WHERE id = 6000; COMMIT");
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT a FROM big WHERE id = 6000"), "-6000");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE a = id"), "11999");
}

TEST_F(Backfill, promise_7_an_index_that_somebody_makes_meanwhile_is_not_lost) {
  make_tables();
  const auto before = shape();
  std::atomic<bool> made{false};
  testpoint::set_hook([&](const std::string& name) {
    if (name == "batch_committed" && !made.exchange(true))
      pg::Session(dsn(), "somebody").script("CREATE INDEX his ON big (a)");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ALTER a TYPE bigint");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(error_of(job), "55000");
  as_owner("DROP INDEX his");
  EXPECT_EQ(shape(), before);
}

TEST_F(Backfill, promise_7_a_value_that_does_not_fit_ends_it) {
  make_tables();
  as_owner("UPDATE big SET a = 40000 WHERE id = 11000");
  const auto before = shape();
  const auto content = rows();
  start_workers(2);
  const auto job = submit("ALTER TABLE big ALTER a TYPE smallint");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(error_of(job), "22003") << error_of(job, "message");
  EXPECT_EQ(shape(), before);
  EXPECT_EQ(rows(), content);
  expect_queue_empty();
}

TEST_F(Backfill, promise_8_rows_that_somebody_moves_to_other_blocks_are_filled_too) {
  for (const char* sql :
       {"ALTER TABLE big ALTER a TYPE bigint", "ALTER TABLE big ALTER a TYPE text USING 'n' || a",
        "ALTER TABLE big ADD n serial"}) {
    SCOPED_TRACE(sql);
    make_tables(
        "DELETE FROM big WHERE id % 2 = 0; ALTER TABLE big ADD PRIMARY KEY (id); CLUSTER big USING "
        "big_pkey; INSERT INTO big SELECT -i, i, 1, repeat('x', 80) FROM generate_series(1, 6000) "
        "i");
    const auto plain = plain_shape(sql);
    seen_ = 0;
    testpoint::set_hook([&](const std::string& name) {
      // The last rows come first.
      if (name == "batch_committed" && ++seen_ == 2)
        pg::Session(dsn(), "somebody").script("CLUSTER big USING big_pkey");
    });
    start_workers(1);
    const auto job = submit(sql);
    EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
    stop_workers();
    testpoint::set_hook({});
    EXPECT_EQ(rows(), plain_rows_);
    as_owner("DROP TABLE big, target");
  }
}

TEST_F(Backfill, promise_8_a_write_past_the_trigger_is_refused_and_not_lost) {
  make_tables();
  std::atomic<bool> tried{false};
  std::atomic<bool> refused{false};
  testpoint::set_hook([&](const std::string& name) {
    if (name != "swept" || tried.exchange(true)) return;
    somebody("ALTER TABLE big DISABLE TRIGGER ALL");
    try {
      somebody("UPDATE big SET a = -1 WHERE id = 1");
    } catch (const Error& error) {
      refused = error.sqlstate() == "23514";
    }
    somebody("ALTER TABLE big ENABLE ALWAYS TRIGGER \"~lockkeeper_fill\"");
  });
  start_workers(2);
  EXPECT_EQ(end_of(submit("ALTER TABLE big ALTER a TYPE bigint")), "synced");
  EXPECT_TRUE(refused);
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE a = id"), "12000");
}

TEST_F(Backfill, promise_8_values_do_not_depend_on_the_sessions_of_the_application) {
  make_tables(
      "ALTER TABLE big ADD ts timestamp DEFAULT '2026-01-01 12:00'; ALTER TABLE big ADD PRIMARY "
      "KEY (id)");
  const auto plain = [&] {
    as_owner("SET timezone = 'UTC'; ALTER TABLE big ALTER ts TYPE timestamptz");
    return value("SELECT extract(epoch FROM max(ts)) FROM big");
  }();
  start_over();
  std::atomic<bool> written{false};
  testpoint::set_hook([&](const std::string& name) {
    if (name == "after_commit" && !written.exchange(true))
      pg::Session(dsn(), "application")
          .script("SET timezone = 'Asia/Tokyo'; UPDATE big SET b = b; SET timezone = 'UTC'");
  });
  start_workers(2);
  as_owner("SET timezone = 'UTC'");
  const auto jobs =
      apply("SET timezone = 'America/New_York'; ALTER TABLE big ALTER ts TYPE timestamptz");
  EXPECT_EQ(end_of(jobs.front()), "synced") << error_of(jobs.front(), "message");
  EXPECT_EQ(value("SELECT count(DISTINCT ts) FROM big"), "1");
  EXPECT_EQ(std::stod(value("SELECT extract(epoch FROM max(ts)) FROM big")) - std::stod(plain),
            5 * 3600);
}

TEST_F(Backfill, promise_12_nobody_else_can_have_the_triggers_function_run_his_code) {
  make_tables();
  execute("CREATE ROLE mallory_" + database_ + " LOGIN; CREATE SCHEMA mal AUTHORIZATION mallory_" +
          database_);
  client::ApplyOptions options;
  options.tuning = {{"postpone_cutover", "on"}};
  client::Client client(dsn());
  start_workers(2);
  const auto job =
      client.submit("ALTER TABLE big ADD COLUMN r float8 DEFAULT random()", options).id;
  await("SELECT error->>'message' LIKE '%cut-over%' FROM lockkeeper.jobs", "true");
  const auto function =
      value("SELECT oid::regproc FROM pg_proc WHERE proname LIKE 'lockkeeper_fill_%'");
  const std::string attach =
      "CREATE TABLE t (id int, lockkeeper_new_1 float8); CREATE TRIGGER x BEFORE "
      "INSERT ON t FOR EACH ROW EXECUTE FUNCTION " +
      function +
      "();"
      "INSERT INTO t VALUES (1)";
  EXPECT_THROW(pg::Session(dsn("mallory_" + database_), "x")
                   .script("SET search_path = mal, public;" + attach),
               Error);
  EXPECT_THROW(as_owner(attach), Error);  // Nor is it for another table.
  client.alter(job, {{"postpone_cutover", "off"}});
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Backfill, promise_12_what_a_roles_code_leaves_in_a_session_meets_no_query_of_the_worker) {
  const std::string role = "plain_" + database_;
  execute("CREATE ROLE " + role + " LOGIN; GRANT " + role + " TO " + kOwner +
          "; CREATE SCHEMA mal AUTHORIZATION " + role + "; GRANT CREATE ON SCHEMA public TO " +
          role);
  as_owner("SELECT lockkeeper.grant_use('" + role + "')");
  make_tables();
  execute("ALTER TABLE big OWNER TO " + role + "; GRANT USAGE ON SCHEMA mal TO PUBLIC");
  pg::Session(dsn(role), "plain")
      .script(
          "CREATE TABLE mal.seen (who name); GRANT INSERT ON mal.seen TO PUBLIC;"
          "CREATE FUNCTION mal.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN "
          "INSERT INTO "
          "mal.seen VALUES (current_user); RETURN $1 OPERATOR(pg_catalog.=) $2; END';"
          "CREATE OPERATOR mal.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = mal.eq);"
          "CREATE FUNCTION mal.f() RETURNS float8 LANGUAGE plpgsql AS 'BEGIN PERFORM "
          "pg_catalog.set_config(''search_path'', ''mal, pg_catalog'', false); RETURN "
          "pg_catalog.random(); END'");
  start_workers(2);
  client::Client client(dsn(role));
  const auto job = client.submit("ALTER TABLE big ADD COLUMN r float8 DEFAULT mal.f()").id;
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_NE(value("SELECT steps FROM lockkeeper.history").find("UPDATE"), std::string::npos);
  EXPECT_EQ(value("SELECT string_agg(DISTINCT who, ' ') FROM mal.seen"), "");
}

TEST_F(Backfill, promise_7_what_others_do_to_the_column_meanwhile_is_not_lost) {
  for (const char* theirs :
       {"ALTER TABLE big ALTER a SET DEFAULT 42", "ALTER TABLE big ALTER a SET NOT NULL",
        "COMMENT ON COLUMN big.a IS 'new'", "GRANT SELECT (a) ON big TO PUBLIC",
        "ALTER TABLE big ALTER a SET STATISTICS 7", "ALTER TABLE big ADD CHECK (a < 1000000)",
        "DROP INDEX by_a; CREATE INDEX by_a ON big (a DESC)",
        "ALTER TABLE big DISABLE TRIGGER ALL; ALTER TABLE big ENABLE TRIGGER ALL"}) {
    SCOPED_TRACE(theirs);
    make_tables("CREATE INDEX by_a ON big (a)");
    seen_ = 0;
    std::string before;
    testpoint::set_hook([&](const std::string& name) {
      if (name == "swept" && seen_++ == 0) somebody(theirs);
    });
    start_workers(2);
    const auto job = submit("ALTER TABLE big ALTER a TYPE bigint");
    EXPECT_EQ(end_of(job), "rollback done");
    EXPECT_EQ(error_of(job), "55000") << error_of(job, "message");
    stop_workers();
    testpoint::set_hook({});
    as_owner("DROP TABLE big, target");
  }
}

TEST_F(Backfill, what_cannot_be_filled_well_runs_as_it_is_written) {
  const std::pair<const char*, const char*> cases[] = {
      {"CREATE TABLE child (x big)", "ALTER TABLE big ALTER a TYPE bigint"},
      {"CREATE PUBLICATION p FOR TABLE big; ALTER TABLE big REPLICA IDENTITY FULL",
       "ALTER TABLE big ALTER a TYPE bigint"},
      {"ALTER TABLE big ADD CHECK (id <> 5) NOT VALID", "ALTER TABLE big ADD COLUMN n serial"},
      {"CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; "
       "END'; "
       "CREATE TRIGGER \"~z\" BEFORE INSERT ON big FOR EACH ROW EXECUTE FUNCTION f()",
       "ALTER TABLE big ALTER a TYPE bigint"},
      {"", "ALTER TABLE big ALTER a TYPE float8 USING a + random()"},
      {"ALTER TABLE big ADD PRIMARY KEY (id)", "ALTER TABLE big ADD COLUMN n serial PRIMARY KEY"}};
  for (const auto& [before, sql] : cases) {
    SCOPED_TRACE(sql);
    make_tables(before);
    client::Client client(dsn());
    const auto plan = client.plan({{}, sql}).front().plan;
    EXPECT_FALSE(plan.online);
    EXPECT_FALSE(plan.remarks.empty());
    as_owner("DROP PUBLICATION IF EXISTS p; DROP TABLE IF EXISTS child, big, target");
  }
}

TEST_F(Backfill, a_foreign_key_that_rows_break_does_not_hold_the_job_up_for_ever) {
  make_tables(
      "ALTER TABLE big ADD PRIMARY KEY (id); CREATE TABLE child (big_id int REFERENCES big)");
  execute(
      "SET session_replication_role = replica; INSERT INTO child VALUES (-5); RESET "
      "session_replication_role");
  start_workers(2);
  EXPECT_EQ(end_of(submit("ALTER TABLE big ALTER id TYPE bigint")), "synced");
  EXPECT_EQ(value("SELECT convalidated FROM pg_constraint WHERE conrelid = 'child'::regclass"),
            "false");
}

TEST_F(Backfill, a_table_that_is_dropped_meanwhile_leaves_nothing) {
  make_tables();
  testpoint::set_hook([&](const std::string& name) {
    if (name == "swept" && seen_++ == 0) somebody("DROP TABLE big");
  });
  start_workers(2);
  EXPECT_EQ(end_of(submit("ALTER TABLE big ALTER a TYPE bigint")), "rollback done");
  EXPECT_EQ(value("SELECT count(*) FROM pg_proc WHERE proname LIKE 'lockkeeper%' AND pronamespace "
                  "= 'public'::regnamespace"),
            "0");
}

TEST_F(Backfill, limits_are_kept_at_submission) {
  make_tables("CREATE VIEW v AS SELECT a FROM big");
  client::Client client(dsn());
  client::ApplyOptions options;
  options.refuse_rewrite = true;
  // Not online, because a generated column cannot be made of another one.
  EXPECT_THROW(
      client.submit("ALTER TABLE big ADD g int GENERATED ALWAYS AS (id * 2) STORED", options),
      InputError);
  EXPECT_NO_THROW(client.submit("ALTER TABLE big ALTER b TYPE bigint", options));
  options = {};
  options.longest_stall = std::chrono::milliseconds(1);
  EXPECT_THROW(client.submit("ALTER TABLE big SET UNLOGGED", options), InputError);
  EXPECT_NO_THROW(client.submit("ALTER TABLE big ADD COLUMN z int", options));
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "2");
}

}  // namespace
}  // namespace lockkeeper::test
