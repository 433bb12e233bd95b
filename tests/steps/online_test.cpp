// Online steps, as a table: each change × each moment. Whatever happens, the catalog is afterwards
// that of the plain statement or that of before, and nothing of ours is left (promises 6, 7, 8).
#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include "base/testpoint.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

struct Case {
  const char* name;
  const char* sql;
};
std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }

const Case kCases[] = {
    {"create_index", "CREATE INDEX by_a ON big (a) INCLUDE (b) WHERE b > 0"},
    {"create_index_unnamed", "CREATE INDEX ON big ((a + 1), lower(txt), b DESC NULLS LAST)"},
    {"create_unique_index", "CREATE UNIQUE INDEX IF NOT EXISTS \"By Id\" ON public.big (id)"},
    {"drop_index", "DROP INDEX IF EXISTS there"},
    {"set_not_null", "ALTER TABLE big ALTER a SET NOT NULL"},
    {"add_check", "ALTER TABLE big ADD CHECK (a >= 0), ADD CHECK (a < b + 100000)"},
    {"add_foreign_key", "ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target ON DELETE CASCADE"},
    {"add_unique", "ALTER TABLE ONLY big ADD UNIQUE (id, a) INCLUDE (b)"},
    {"add_primary_key", "ALTER TABLE big ADD PRIMARY KEY (id, a)"},
    {"add_column",
     "ALTER TABLE big ADD COLUMN \"New One\" int DEFAULT 7 CHECK (\"New One\" > 0) REFERENCES "
     "target (id)"},
    {"replace_key",
     "ALTER TABLE big DROP CONSTRAINT big_id_txt_key, ADD UNIQUE (id, txt) DEFERRABLE"},
    {"several",
     "ALTER TABLE big ADD c int DEFAULT 5 CONSTRAINT positive CHECK (c > 0), ALTER b SET NOT NULL, "
     "ADD CONSTRAINT one UNIQUE (id) DEFERRABLE INITIALLY DEFERRED, ALTER txt SET DEFAULT 'x', "
     "ALTER a SET STATISTICS 50"},
};

class Online : public DatabaseTest {
 protected:
  void TearDown() override {
    testpoint::set_hook({});
    DatabaseTest::TearDown();
  }

  void make_tables() {
    as_owner(
        "CREATE TABLE target (id int PRIMARY KEY); INSERT INTO target SELECT generate_series(0, "
        "99);"
        "CREATE TABLE big (id int, a int, b int, txt text);"
        "INSERT INTO big SELECT i, i, i % 100, repeat('x', 80) FROM generate_series(1, 12000) i;"
        "CREATE INDEX there ON big (txt, id); ALTER TABLE big ADD UNIQUE (id, txt)");
  }
  void start_over() {
    as_owner("DROP TABLE big, target");
    make_tables();
  }

  // Everything that a change could leave: columns, constraints, indexes with their states,
  // functions, triggers.
  std::string shape() {
    return value(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("
        "SELECT format('column %s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, "
        "a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attstattarget) AS line "
        "FROM "
        "pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = "
        "'public'::regnamespace LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' UNION ALL "
        "SELECT format('constraint %s %s %s %s', conrelid::regclass, conname, "
        "pg_get_constraintdef(oid), convalidated) FROM pg_constraint WHERE connamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('index %s %s %s', pg_get_indexdef(indexrelid), indisvalid, indisready) FROM "
        "pg_index JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = "
        "'public'::regnamespace UNION ALL "
        "SELECT format('trigger %s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT "
        "tgisinternal) AS lines");
  }
  std::string rows() {
    return value("SELECT md5(string_agg(big::text, ',' ORDER BY id)) FROM big");
  }

  // The shape that the statement gives when it is run as it is.
  std::string plain_shape(const char* sql) {
    as_owner(sql);
    auto plain = shape();
    start_over();
    return plain;
  }

  // The testpoints that the job reaches, in order.
  std::vector<std::string> moments(const char* sql) {
    std::vector<std::string> reached;
    testpoint::set_hook([&](const std::string& name) { reached.push_back(name); });
    start_workers(1);
    EXPECT_EQ(end_of(submit(sql)), "synced");
    stop_workers();
    testpoint::set_hook({});
    start_over();
    return reached;
  }

  void expect_queue_empty() {
    for (const char* table : {"ddl_job", "ddl_job_footprint", "ddl_step"})
      EXPECT_EQ(value(std::string("SELECT count(*) FROM lockkeeper.") + table), "0") << table;
    EXPECT_EQ(value("SELECT count(*) = coalesce(max(version), 0) FROM lockkeeper.ddl_schema_diff"),
              "true");
  }
};

class OnlineCase : public Online, public ::testing::WithParamInterface<Case> {};

TEST_P(OnlineCase, gives_what_the_plain_statement_gives) {
  make_tables();
  const auto before = shape();
  const auto plain = plain_shape(GetParam().sql);
  ASSERT_NE(plain, before);
  start_workers(2);
  const auto job = submit(GetParam().sql);
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(shape(), plain);
  expect_queue_empty();
  EXPECT_NE(value("SELECT steps FROM lockkeeper.history").find("\"sql\""), std::string::npos)
      << "it was not done in online steps";
}

TEST_P(OnlineCase, promise_6_a_worker_killed_at_any_moment_is_replaced) {
  make_tables();
  const auto plain = plain_shape(GetParam().sql);
  std::map<std::string, int> seen;
  for (const auto& moment : moments(GetParam().sql)) {
    const std::string point = moment + "=kill@" + std::to_string(++seen[moment]);
    SCOPED_TRACE(point);
    WorkerProcess dying(dsn(), point, {"--workers", "1", "--reorg-workers", "1"});
    const auto job = submit(GetParam().sql);
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    start_workers(1);
    EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
    stop_workers();
    EXPECT_EQ(shape(), plain);
    expect_queue_empty();
    start_over();
  }
}

TEST_P(OnlineCase, promise_7_a_cancel_at_any_moment_gives_the_shape_before_or_after) {
  make_tables();
  const auto before = shape();
  const auto plain = plain_shape(GetParam().sql);
  const auto all = moments(GetParam().sql);
  for (std::size_t at = 0; at < all.size(); ++at) {
    SCOPED_TRACE(all[at] + " " + std::to_string(at));
    std::atomic<std::size_t> reached{0};
    const auto job_now = std::make_shared<std::atomic<std::int64_t>>(0);
    testpoint::set_hook([&, job_now](const std::string&) {
      if (reached++ != at) return;
      pg::Session boss(dsn(), "boss");
      while (job_now->load() == 0) std::this_thread::yield();
      boss.script("SELECT lockkeeper.cancel(" + std::to_string(job_now->load()) + ")");
    });
    start_workers(1);
    const auto job = submit(GetParam().sql);
    *job_now = job.value;
    const auto end = end_of(job);
    stop_workers();
    testpoint::set_hook({});
    EXPECT_EQ(shape(), end == "synced" ? plain : before) << end;
    expect_queue_empty();
    start_over();
  }
}

TEST_P(OnlineCase, works_for_a_role_that_is_not_the_workers) {
  execute("CREATE ROLE plain_" + database_ + " LOGIN; GRANT plain_" + database_ + " TO " + kOwner);
  as_owner("SELECT lockkeeper.grant_use('plain_" + database_ + "')");
  make_tables();
  const auto plain = plain_shape(GetParam().sql);
  execute("ALTER TABLE big OWNER TO plain_" + database_ + "; ALTER TABLE target OWNER TO plain_" +
          database_ + "; GRANT CREATE ON SCHEMA public TO plain_" + database_ +
          "; GRANT TEMP ON DATABASE " + database_ + " TO plain_" + database_);
  start_workers(2);
  client::Client client(dsn("plain_" + database_));
  const auto job = client.submit(GetParam().sql).id;
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_EQ(shape(), plain);
  expect_queue_empty();
}

INSTANTIATE_TEST_SUITE_P(Cases, OnlineCase, ::testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

// Reads and writes all the time, with rows that each of the changes allows.
class Application {
 public:
  explicit Application(const pg::Dsn& dsn) {
    for (int i = 0; i < 3; ++i) threads_.emplace_back([this, dsn, i] { run(dsn, i); });
  }
  ~Application() { stop(); }
  int stop() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    return statements_;
  }
  std::string failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  void run(const pg::Dsn& dsn, int number) {
    try {
      pg::Session session(dsn, "application");
      for (int n = 0; !stopping_; ++n) {
        const auto id = std::to_string(100000 * (number + 1) + n);
        session.script("INSERT INTO big (id, a, b, txt) VALUES (" + id + ", 1, 1, 'new')");
        session.script("BEGIN; UPDATE big SET b = 2, a = a + 1 WHERE id = " + id +
                       "; SELECT count(*) FROM big WHERE id = " + id + "; COMMIT");
        if (n % 2 == 0) session.script("DELETE FROM big WHERE id = " + id);
        statements_ += 3;
      }
    } catch (const Error& error) {
      const std::lock_guard lock(mutex_);
      failure_ = error.what();
    }
  }
  std::atomic<bool> stopping_{false};
  std::atomic<int> statements_{0};
  std::mutex mutex_;
  std::string failure_;
  std::vector<std::thread> threads_;
};

TEST_P(OnlineCase, promise_8_the_application_goes_on_and_loses_nothing) {
  make_tables();
  const auto plain = plain_shape(GetParam().sql);
  Application application(dsn());
  start_workers(2);
  const auto job = submit(GetParam().sql);
  EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
  EXPECT_GT(application.stop(), 0);
  EXPECT_EQ(application.failure(), "");
  EXPECT_EQ(shape(), plain);
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE id <= 12000 AND txt = repeat('x', 80)"), "12000");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE txt = 'new' AND (id % 2 = 0 OR b <> 2)"), "0");
}

struct BadCase {
  const char* name;
  const char* rows;
  const char* sql;
  const char* sqlstate;
};
std::ostream& operator<<(std::ostream& out, const BadCase& one) { return out << one.name; }

class OnlineBad : public Online, public ::testing::WithParamInterface<BadCase> {};

TEST_P(OnlineBad, rows_that_do_not_fit_end_the_job_and_leave_nothing) {
  make_tables();
  as_owner(GetParam().rows);
  const auto before = shape();
  const auto content = rows();
  start_workers(2);
  const auto job = submit(GetParam().sql);
  const auto end = end_of(job);
  EXPECT_TRUE(end == "cancelled" || end == "rollback done") << end;
  EXPECT_EQ(error_of(job), GetParam().sqlstate) << error_of(job, "message");
  EXPECT_EQ(shape(), before);
  EXPECT_EQ(rows(), content);
  expect_queue_empty();
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OnlineBad,
    ::testing::Values(BadCase{"duplicate", "INSERT INTO big VALUES (1, 1, 1, '')",
                              "ALTER TABLE big ADD COLUMN c int, ADD UNIQUE (id)", "23505"},
                      BadCase{"null", "INSERT INTO big VALUES (-1, NULL, 1, '')",
                              "ALTER TABLE big ADD PRIMARY KEY (id, a)", "23502"},
                      BadCase{"check", "INSERT INTO big VALUES (-1, -1, 1, '')",
                              "ALTER TABLE big ADD CONSTRAINT c CHECK (a >= 0), ADD UNIQUE (id)",
                              "23514"},
                      BadCase{"reference", "INSERT INTO big VALUES (-1, 1, 1000, '')",
                              "ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target", "23503"},
                      BadCase{"name_taken",
                              "ALTER TABLE big ADD CONSTRAINT taken CHECK (id IS NOT NULL)",
                              "ALTER TABLE big ADD CONSTRAINT taken UNIQUE (id)", "42710"},
                      BadCase{"index_taken", "CREATE INDEX taken ON target (id)",
                              "CREATE INDEX taken ON big (a)", "42P07"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(Online, a_column_that_is_there_is_not_taken_back) {
  make_tables();
  as_owner(
      "ALTER TABLE big ADD c int; UPDATE big SET c = id; INSERT INTO big VALUES (1, 1, 1, '', 1)");
  const auto content = rows();
  start_workers(2);
  const auto job =
      submit("ALTER TABLE big ADD COLUMN IF NOT EXISTS c int, ADD CONSTRAINT one UNIQUE (id)");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "23505");
  EXPECT_EQ(rows(), content);
}

// Somebody else's hands on the table while the job is between two of its steps.
class OnlineOthers : public Online {
 protected:
  void SetUp() override {
    Online::SetUp();
    make_tables();
  }
  void at(const std::string& point, const std::string& sql) {
    testpoint::set_hook([this, point, sql](const std::string& name) {
      if (name != point || done_.exchange(true)) return;
      pg::Session(dsn(), "somebody").script(sql);
    });
  }
  JobId paused_after_first_step(const std::string& sql) {
    at("after_commit", "SELECT lockkeeper.steer('pause', '{\"all\": true}')");
    start_workers(2);
    const auto job = submit(sql);
    await("SELECT state FROM lockkeeper.jobs", "paused");
    return job;
  }
  std::atomic<bool> done_{false};
};

TEST_F(OnlineOthers, a_column_that_somebody_adds_meanwhile_is_his) {
  at("plan_kept", "ALTER TABLE big ADD z int; UPDATE big SET z = -id");
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD COLUMN IF NOT EXISTS z int CHECK (z > 0)");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "42701");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE z = -id"), "12000");
}

TEST_F(OnlineOthers, what_was_done_is_taken_back_from_its_table_also_after_a_rename) {
  const auto job = paused_after_first_step(
      "ALTER TABLE big ADD COLUMN z int, ADD CHECK (a >= 0), ALTER b SET NOT NULL");
  as_owner(
      "ALTER TABLE big RENAME TO old; CREATE TABLE big AS SELECT id, a, b, txt, id AS z FROM old");
  value("SELECT lockkeeper.cancel(" + job.str() + ")");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(value("SELECT count(*) FROM big WHERE z = id"), "12000");
  EXPECT_EQ(
      value(
          "SELECT count(*) FROM pg_constraint WHERE conrelid = 'old'::regclass AND contype = 'c'"),
      "0");
  EXPECT_EQ(
      value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'old'::regclass AND attname = "
            "'z'"),
      "0");
}

TEST_F(OnlineOthers, a_table_that_took_the_name_meanwhile_is_not_changed) {
  const auto job = paused_after_first_step("ALTER TABLE big ADD CONSTRAINT c CHECK (a >= 0)");
  as_owner(
      "ALTER TABLE big RENAME TO old; CREATE TABLE big (LIKE old); ALTER TABLE big ADD CONSTRAINT "
      "c "
      "CHECK (a <> 7) NOT VALID");
  value("SELECT lockkeeper.resume(" + job.str() + ")");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(error_of(job), "55000");
  EXPECT_EQ(
      value("SELECT string_agg(conrelid::regclass || ' ' || conname || ' ' || convalidated, ',') "
            "FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"),
      "big c false");
}

TEST_F(OnlineOthers, an_index_is_not_built_on_a_table_that_took_the_name_meanwhile) {
  at("plan_kept", "ALTER TABLE big RENAME TO old; CREATE TABLE big (LIKE old)");
  start_workers(2);
  const auto job = submit("CREATE INDEX c1 ON big (a)");
  EXPECT_NE(end_of(job), "synced");
  EXPECT_EQ(error_of(job), "55000");
  EXPECT_EQ(value("SELECT to_regclass('c1')"), "");
}

TEST_F(OnlineOthers, an_index_of_that_name_that_somebody_makes_meanwhile_is_his) {
  for (const char* sql :
       {"CREATE INDEX c1 ON big (a)", "ALTER TABLE big ADD CONSTRAINT c1 UNIQUE (id)"}) {
    SCOPED_TRACE(sql);
    done_ = false;
    at("before_outside", "CREATE INDEX c1 ON big (b)");
    start_workers(2);
    const auto job = submit(sql);
    EXPECT_NE(end_of(job), "synced");
    EXPECT_EQ(error_of(job), "42P07");
    stop_workers();
    EXPECT_EQ(value("SELECT pg_get_indexdef('c1'::regclass)"),
              "CREATE INDEX c1 ON public.big USING btree (b)");
    as_owner("DROP INDEX c1");
  }
}

TEST_F(OnlineOthers, another_index_of_that_name_is_not_adopted) {
  for (const char* sql :
       {"CREATE INDEX c1 ON big (a)", "ALTER TABLE big ADD CONSTRAINT c1 UNIQUE (id)"}) {
    SCOPED_TRACE(sql);
    WorkerProcess dying(dsn(), "before_outside=kill", {"--workers", "1", "--reorg-workers", "1"});
    const auto job = submit(sql);
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    as_owner("CREATE UNIQUE INDEX c1 ON big (id, a)");
    start_workers(1);
    EXPECT_NE(end_of(job), "synced");
    EXPECT_EQ(error_of(job), "42P07");
    stop_workers();
    EXPECT_EQ(value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'c1'::regclass"), "true");
    as_owner("DROP INDEX c1");
  }
}

TEST_F(OnlineOthers, promise_7_an_index_that_is_half_dropped_is_dropped_to_the_end) {
  for (const char* sql : {"DROP INDEX there", "DROP INDEX CONCURRENTLY there"}) {
    SCOPED_TRACE(sql);
    pg::Session reader(dsn(), "reader");
    reader.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM big LIMIT 1");
    start_workers(2);
    const auto job = submit(sql);
    await("SELECT indisvalid FROM pg_index WHERE indexrelid = 'there'::regclass", "false");
    EXPECT_EQ(value("SELECT lockkeeper.cancel(" + job.str() + ")"), "cancelling");
    await("SELECT state FROM lockkeeper.jobs", "running");  // It is too late.
    reader.script("COMMIT");
    EXPECT_EQ(end_of(job), "synced");
    stop_workers();
    EXPECT_EQ(value("SELECT to_regclass('there')"), "");
    as_owner("CREATE INDEX there ON big (txt, id)");
  }
}

TEST_F(OnlineOthers, promise_7_an_index_that_is_gone_is_not_said_to_be_back) {
  for (const char* sql : {"DROP INDEX there", "DROP INDEX CONCURRENTLY there"}) {
    SCOPED_TRACE(sql);
    WorkerProcess dying(dsn(), "between_steps=kill", {"--workers", "1", "--reorg-workers", "1"});
    const auto job = submit(sql);
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    value("SELECT lockkeeper.cancel(" + job.str() + ")");
    start_workers(1);
    EXPECT_EQ(end_of(job), "synced");
    stop_workers();
    EXPECT_EQ(value("SELECT to_regclass('there')"), "");
    as_owner("CREATE INDEX there ON big (txt, id)");
  }
}

TEST_F(OnlineOthers, what_keeps_a_job_from_going_back_is_said) {
  const auto job = paused_after_first_step("ALTER TABLE big ADD COLUMN z int CHECK (z > 0)");
  as_owner("CREATE VIEW v AS SELECT z FROM big");
  value("SELECT lockkeeper.cancel(" + job.str() + ")");
  await("SELECT error->>'undo' LIKE '%other objects depend on it' FROM lockkeeper.jobs", "true");
  as_owner("DROP VIEW v");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(error_of(job, "undo"), "");
}

TEST_F(Online, names_of_several_bytes_a_character_are_cut_between_characters) {
  make_tables();
  std::string table;
  std::string column;
  for (int i = 0; i < 30; ++i) table += "é";
  for (int i = 0; i < 22; ++i) column += "ą";
  const auto rename = "ALTER TABLE big RENAME TO \"" + table + "x\"; ALTER TABLE \"" + table +
                      "x\" RENAME a TO \"" + column + "\"";
  const auto sql = "CREATE INDEX ON \"" + table + "x\" (\"" + column + "\")";
  as_owner(rename);
  as_owner(sql);
  const auto plain = shape();
  as_owner("DROP TABLE \"" + table + "x\", target");
  make_tables();
  as_owner(rename);
  start_workers(2);
  EXPECT_EQ(end_of(submit(sql)), "synced");
  EXPECT_EQ(shape(), plain);
}

TEST_F(Online, small_tables_are_changed_as_the_statement_says) {
  as_owner("CREATE TABLE small (a int); INSERT INTO small SELECT generate_series(1, 100)");
  start_workers(2);
  for (const char* sql : {"CREATE INDEX ON small (a)", "ALTER TABLE small ALTER a SET NOT NULL",
                          "ALTER TABLE small ADD UNIQUE (a)"})
    EXPECT_EQ(end_of(submit(sql)), "synced") << sql;
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history WHERE steps::text LIKE '%\"sql\"%'"),
            "0");
}

TEST_F(Online, a_paused_job_keeps_its_steps_and_goes_on) {
  make_tables();
  const char* sql = "ALTER TABLE big ADD CONSTRAINT c CHECK (a >= 0)";
  const auto plain = plain_shape(sql);
  std::atomic<int> steps{0};
  testpoint::set_hook([&](const std::string& name) {
    if (name == "after_commit" && ++steps == 1)
      pg::Session(dsn(), "boss").script("SELECT lockkeeper.steer('pause', '{\"all\": true}')");
  });
  start_workers(2);
  const auto job = submit(sql);
  await("SELECT state FROM lockkeeper.jobs", "paused");
  EXPECT_EQ(value("SELECT string_agg(state, ' ' ORDER BY seq) FROM lockkeeper.steps"),
            "done pending");
  EXPECT_EQ(value("SELECT schema_state FROM lockkeeper.jobs"), "write only");
  EXPECT_EQ(value("SELECT lockkeeper.resume(" + job.str() + ")"), "queueing");
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(shape(), plain);
}

TEST_F(Online, a_paused_job_that_is_cancelled_is_taken_back) {
  make_tables();
  const auto before = shape();
  std::atomic<int> steps{0};
  testpoint::set_hook([&](const std::string& name) {
    if (name == "after_commit" && ++steps == 1)
      pg::Session(dsn(), "boss").script("SELECT lockkeeper.steer('pause', '{\"all\": true}')");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD CONSTRAINT c CHECK (a >= 0)");
  await("SELECT state FROM lockkeeper.jobs", "paused");
  value("SELECT lockkeeper.cancel(" + job.str() + ")");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(shape(), before);
}

TEST_F(Online, promise_6_a_worker_killed_on_the_way_back_is_replaced) {
  make_tables();
  as_owner("INSERT INTO big VALUES (-1, -1, 1, '')");
  const auto before = shape();
  for (const char* point :
       {"before_undo=kill", "before_undo=kill@2", "before_commit=kill@2", "after_commit=kill@2"}) {
    SCOPED_TRACE(point);
    WorkerProcess dying(dsn(), point, {"--workers", "1", "--reorg-workers", "1"});
    const auto job = submit(
        "ALTER TABLE big ADD c int, ADD CONSTRAINT one UNIQUE (id), ADD CONSTRAINT k CHECK (a > "
        "0)");
    ASSERT_EQ(dying.process().wait(std::chrono::seconds(60)), 128 + SIGKILL) << dying.log();
    start_workers(1);
    EXPECT_EQ(end_of(job), "rollback done");
    EXPECT_EQ(error_of(job), "23514");
    stop_workers();
    EXPECT_EQ(shape(), before);
    expect_queue_empty();
  }
}

TEST_F(Online, promise_9_what_waits_for_a_lock_on_the_way_back_goes_on_later) {
  make_tables();
  as_owner("INSERT INTO big VALUES (-1, -1, 1, '')");
  const auto before = shape();
  std::unique_ptr<pg::Session> reader;
  testpoint::set_hook([&](const std::string& name) {
    if (name != "before_undo" || reader) return;
    reader = std::make_unique<pg::Session>(dsn(), "reader");
    reader->script("BEGIN; SELECT FROM big LIMIT 1");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0)");
  await("SELECT tries > 1 FROM lockkeeper.jobs", "true");
  EXPECT_EQ(value("SELECT error->>'sqlstate' FROM lockkeeper.jobs"), "23514");
  reader->script("COMMIT");
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(shape(), before);
}

}  // namespace
}  // namespace lockkeeper::test
