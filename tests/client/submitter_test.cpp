// Submissions of many threads share transactions, and nothing else.
#include "client/submitter.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Submitters : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int)");
  }
  // While the order of submissions is held, `threads` submissions come; then they go.
  void at_once(client::Submitter& submitter, int threads,
               const std::function<void(int, const std::function<void()>&)>& each) {
    pg::Session holder(dsn(), "holder");
    holder.script("BEGIN; LOCK TABLE lockkeeper.ddl_job IN SHARE MODE");
    std::vector<std::thread> all;
    std::atomic<int> begun = 0;
    const auto came = [&] { ++begun; };
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] { each(i, came); });
      // The first one is on its way, the others come after it.
      if (i == 0) await(kHeldUp, "1");
    }
    EXPECT_TRUE(eventually([&] { return begun == threads && submitter.waiting() == threads - 1; }));
    holder.script("COMMIT");
    for (auto& thread : all) thread.join();
  }
  static constexpr const char* kHeldUp =
      "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
      "'lockkeeper.ddl_job'::regclass";
};

TEST_F(Submitters, what_comes_meanwhile_shares_a_transaction_and_nothing_else) {
  client::Submitter submitter(dsn());
  std::mutex mutex;
  std::vector<JobId> ids;
  at_once(submitter, 10, [&](int i, const auto& came) {
    came();
    const auto job = submitter.submit("CREATE TABLE n" + std::to_string(i) + " (a int)");
    const std::lock_guard lock(mutex);
    ids.push_back(job.id);
  });
  EXPECT_EQ(submitter.transactions(), 2);
  // No batch: a failure of one is none of the others', and each is ready.
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job WHERE batch_id IS NULL AND waits = 0"),
            "10");
  start_workers();
  for (const auto& state : ends_of(ids)) EXPECT_EQ(state, "synced");
}

TEST_F(Submitters, one_that_is_refused_is_refused_alone) {
  client::Submitter submitter(dsn());
  EXPECT_THROW(submitter.submit("ALTER TABEL t"), InputError);
  std::mutex mutex;
  std::vector<JobId> ids;
  std::atomic<int> refused = 0;
  execute(
      "CREATE FUNCTION no_three() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF "
      "NEW.statements[1] LIKE '%n3%' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; "
      "END$$; CREATE TRIGGER no_three BEFORE INSERT ON lockkeeper.ddl_job FOR EACH ROW EXECUTE "
      "FUNCTION no_three()");
  at_once(submitter, 6, [&](int i, const auto& came) {
    came();
    try {
      const auto job = submitter.submit("CREATE TABLE n" + std::to_string(i) + " (a int)");
      const std::lock_guard lock(mutex);
      ids.push_back(job.id);
    } catch (const Error&) {
      ++refused;
    }
  });
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(ids.size(), 5U);
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "5");
}

TEST_F(Submitters, keeps_options_apart_and_order_on_one_table) {
  client::Submitter submitter(dsn());
  std::mutex mutex;
  std::vector<JobId> ids;
  at_once(submitter, 8, [&](int i, const auto& came) {
    came();
    jobs::SubmitOptions options;
    if (i % 2 == 0) options.priority = 1;
    if (i == 5) options.key = "five";
    const auto job = submitter.submit("ALTER TABLE t ADD c" + std::to_string(i) + " int", options);
    const std::lock_guard lock(mutex);
    ids.push_back(job.id);
  });
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job WHERE priority = 1"), "4");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job WHERE key = 'five'"), "1");
  // On one table: each waits for the one before it.
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job WHERE waits = 0"), "1");
  jobs::SubmitOptions again;
  again.key = "five";
  EXPECT_TRUE(submitter.submit("ALTER TABLE t ADD c5 int", again).existing);
  start_workers();
  for (const auto& state : ends_of(ids)) EXPECT_EQ(state, "synced");
}

TEST_F(Submitters, a_database_without_a_queue_is_refused_each_time) {
  execute("DROP SCHEMA lockkeeper CASCADE");
  client::Submitter submitter(dsn());
  for (int i = 0; i < 2; ++i) EXPECT_THROW(submitter.submit("ALTER TABLE t ADD b int"), InputError);
}

TEST_F(Submitters, a_lost_session_costs_one_submission) {
  client::Submitter submitter(dsn());
  submitter.submit("ALTER TABLE t ADD b int");
  execute(
      "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = "
      "current_database() AND application_name = 'lockkeeper'");
  try {
    submitter.submit("ALTER TABLE t ADD c int");
    ADD_FAILURE() << "it was not lost";
  } catch (const Error& error) {
    EXPECT_EQ(error.retry(), Retry::outcome_unknown);
    EXPECT_EQ(error.sqlstate(), "08007");
  }
  const auto job = submitter.submit("ALTER TABLE t ADD c int");
  start_workers();
  EXPECT_EQ(end_of(job.id), "synced");
}

}  // namespace
}  // namespace lockkeeper::test
