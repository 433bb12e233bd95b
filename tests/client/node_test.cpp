// client::Node: the loop of a process that caches the schema (promises 5 and 11).
#include "client/node.hpp"

#include <boost/asio/io_context.hpp>
#include <mutex>
#include <thread>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A cache of the columns of one table, and what the node said.
class Cache {
 public:
  Cache(const pg::Dsn& dsn, milliseconds lease = seconds(600)) : session_(dsn, "cache") {
    options.name = "api-1";
    options.lease = lease;
    options.on_load = [this](std::int64_t) { add("load"); };
    options.on_change = [this](const std::vector<versions::SchemaDiff>& diffs) {
      for (const auto& diff : diffs) {
        if (fails) throw std::runtime_error("no more");
        if (diff.touches("public.t")) add("change " + std::to_string(diff.version));
      }
    };
    options.on_lost = [this](const std::string&) { add("lost"); };
  }
  std::string said() {
    const std::lock_guard lock(mutex_);
    return said_;
  }
  std::string columns() {
    const std::lock_guard lock(mutex_);
    return columns_;
  }
  ::testing::AssertionResult will_have_said(const std::string& wanted) {
    if (eventually([&] { return said() == wanted; })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "it said: " << said();
  }
  client::NodeOptions options;
  std::atomic<bool> fails = false;

 private:
  void add(const std::string& word) {
    const auto columns = session_
                             .statement(
                                 "SELECT string_agg(attname, ',' ORDER BY attnum) AS c FROM "
                                 "pg_attribute WHERE attrelid = to_regclass('public.t') AND "
                                 "attnum > 0 AND NOT attisdropped")
                             .front()
                             .text("c");
    const std::lock_guard lock(mutex_);
    if (word != "lost") columns_ = columns;
    said_ += (said_.empty() ? "" : ", ") + word;
  }
  pg::Session session_;
  std::mutex mutex_;
  std::string said_;
  std::string columns_;
};

class Node : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int); CREATE TABLE u (a int)");
  }
  void await_state(JobId job, const std::string& state) {
    await("SELECT state FROM lockkeeper.ddl_job WHERE id = " + job.str(), state);
  }
  // A change that no notification tells of.
  void change_silently() { execute(kChange); }

  static constexpr const char* kChange =
      "WITH next AS (UPDATE lockkeeper.ddl_schema_version SET version = version + 1 RETURNING "
      "version) INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, "
      "state_to, objects, affected) SELECT version, 1, 'by hand', 'none', 'public', "
      "'{relation:public.t}', '[{\"old\": \"relation:public.t\"}]' FROM next";
};

TEST_F(Node, keeps_a_cache_right_while_tables_change) {
  Cache cache(dsn());
  const client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  EXPECT_EQ(cache.columns(), "a");
  start_workers();
  EXPECT_EQ(ends_of(apply(
                "ALTER TABLE u ADD b int; ALTER TABLE t ADD b int; ALTER TABLE t RENAME a TO c")),
            (std::vector<std::string>(3, "synced")));
  // Whoever hears that a job has ended finds each node on its version.
  EXPECT_EQ(node.version(), 3);
  EXPECT_EQ(cache.columns(), "c,b");
  EXPECT_EQ(cache.said(), "load, change 2, change 3");
  EXPECT_EQ(value("SELECT version FROM lockkeeper.ddl_node"), "3");
}

TEST_F(Node, runs_on_a_loop_of_the_callers) {
  Cache cache(dsn());
  boost::asio::io_context loop;
  std::optional<client::Node> node(std::in_place, loop, dsn(), cache.options);
  start_workers();
  std::jthread runs([&] { loop.run(); });
  ASSERT_TRUE(cache.will_have_said("load"));
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD b int")), "synced");
  loop.stop();
  runs.join();
  node.reset();
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_node"), "0");
}

TEST_F(Node, promise_5_a_pinned_transaction_holds_back_what_touches_its_table_and_nothing_else) {
  Cache cache(dsn());
  client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  start_workers();
  auto pin = node.pin("public.t");
  EXPECT_EQ(pin.version(), 0);
  EXPECT_EQ(end_of(submit("ALTER TABLE u ADD b int")), "synced");
  const auto job = submit("ALTER TABLE t ADD b int");
  await_state(job, "done");
  ASSERT_TRUE(cache.will_have_said("load, change 2"));
  // It has loaded it, and one that begins now uses it; and yet it does not say so.
  EXPECT_EQ(node.pin("public.t").version(), 2);
  EXPECT_EQ(end_of(submit("ALTER TABLE u ADD c int")), "synced");
  EXPECT_EQ(state_of(job), "done");
  pin = {};
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Node, promise_11_comes_back_within_its_grace_and_hears_what_it_missed) {
  as_owner("SELECT lockkeeper.set('node_grace_ms', '600000')");
  Cache cache(dsn());
  const client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  const auto id = value("SELECT id FROM lockkeeper.ddl_node");
  // The change is there only once the connection is gone, and the node is back only after that.
  execute(
      "BEGIN; LOCK TABLE lockkeeper.ddl_node IN ACCESS EXCLUSIVE MODE; SELECT "
      "pg_terminate_backend(pid, 20000) FROM lockkeeper.ddl_node; " +
      std::string(kChange) + "; COMMIT");
  ASSERT_TRUE(cache.will_have_said("load, lost, change 1"));
  EXPECT_TRUE(node.trusted());
  EXPECT_EQ(value("SELECT id FROM lockkeeper.ddl_node"), id);
}

TEST_F(Node, loads_everything_anew_when_it_is_fenced) {
  Cache cache(dsn(), milliseconds(1500));
  client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  execute("DELETE FROM lockkeeper.ddl_node");  // Somebody found it dead.
  ASSERT_TRUE(cache.will_have_said("load, lost, load"));
  EXPECT_TRUE(eventually([&] { return node.trusted(); }));
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_node"), "1");
}

TEST_F(Node, promise_11_a_lost_notification_is_made_good_by_the_heartbeat) {
  Cache cache(dsn(), milliseconds(1500));
  const client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  change_silently();
  EXPECT_TRUE(cache.will_have_said("load, change 1"));
}

TEST_F(Node, loads_everything_anew_when_what_changed_is_forgotten_or_could_not_be_taken) {
  Cache cache(dsn(), milliseconds(1500));
  const client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  execute("UPDATE lockkeeper.ddl_schema_version SET version = 7");
  ASSERT_TRUE(cache.will_have_said("load, lost, load"));
  EXPECT_TRUE(eventually([&] { return node.version() == 7; }));
  cache.fails = true;
  change_silently();
  ASSERT_TRUE(cache.will_have_said("load, lost, load, lost, load"));
}

TEST_F(Node, loads_everything_anew_when_another_server_knows_less) {
  Cache cache(dsn(), milliseconds(1500));
  const client::Node node(dsn(), cache.options);
  ASSERT_TRUE(cache.will_have_said("load"));
  change_silently();
  ASSERT_TRUE(cache.will_have_said("load, change 1"));
  execute(
      "UPDATE lockkeeper.ddl_schema_version SET version = 0; DELETE FROM "
      "lockkeeper.ddl_schema_diff");
  ASSERT_TRUE(cache.will_have_said("load, change 1, lost, load"));
  EXPECT_TRUE(eventually([&] { return node.version() == 0; }));
}

TEST_F(Node, says_why_it_cannot_join) {
  execute("CREATE ROLE stranger LOGIN");
  Cache cache(dsn());
  {
    const client::Node node(dsn("stranger"), cache.options);
    EXPECT_TRUE(cache.will_have_said("lost"));
  }
  execute("DROP ROLE stranger");
  cache.options.name.clear();
  EXPECT_THROW(client::Node(dsn(), cache.options), Error);
}

TEST_F(Node, refuses_pins_while_its_cache_is_not_to_be_trusted) {
  Cache cache(dsn());
  cache.options.on_load = [](std::int64_t) { throw std::runtime_error("cannot load"); };
  client::Node node(dsn(), cache.options);
  EXPECT_FALSE(node.trusted());
  try {
    (void)node.pin("public.t");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), versions::kFenced);
  }
}

}  // namespace
}  // namespace lockkeeper::test
