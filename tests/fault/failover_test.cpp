// A synchronous standby takes over while two hundred jobs are in flight: nothing is lost, nothing
// is done twice, and what a client was told stays so (promises 2 and 11).
#include <filesystem>
#include <thread>

#include "pg/migrator.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

constexpr int kJobs = 200;

class Failover : public ::testing::Test {
 protected:
  void SetUp() override {
    primary_ = std::make_unique<service::EmbeddedServer>();
    if (!std::filesystem::exists(primary_->binaries() + "/pg_basebackup"))
      GTEST_SKIP() << "these binaries are without pg_basebackup";
    service::ServerOptions options;
    options.follows = primary_->socket_directory();
    standby_ = std::make_unique<service::EmbeddedServer>(options);
    pg::Session admin(primary_->dsn(), "test");
    admin.statement("ALTER SYSTEM SET synchronous_standby_names = '*'");
    admin.script("SELECT pg_reload_conf()");
    EXPECT_TRUE(eventually([&] {
      return value(admin, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") ==
             "1";
    }));
    admin.script(std::string("CREATE ROLE ") + kOwner + " LOGIN");
    admin.script(std::string("CREATE DATABASE shop OWNER ") + kOwner);
    pg::Session owner(both(), "test");
    pg::migrate(owner);
    owner.script("CREATE TABLE log (i int)");
    for (int t = 0; t < 8; ++t)
      owner.script("CREATE TABLE t" + std::to_string(t) +
                   " AS SELECT g AS a FROM generate_series(1, 1000) g");
  }
  // Whichever of them takes writes.
  [[nodiscard]] pg::Dsn both() const {
    return primary_->dsn("shop")
        .with("user", kOwner)
        .with("host", primary_->socket_directory() + "," + standby_->socket_directory())
        .with("port", "5432,5432")
        .with("target_session_attrs", "read-write");
  }
  static std::string statement(int i) {
    const auto number = std::to_string(i);
    const auto table = "t" + std::to_string(i % 8);
    switch (i % 5) {
      case 0:
        return "CREATE INDEX i" + number + " ON " + table + " (a)";
      case 1:
        return "CREATE TABLE n" + number + " (a int)";
      case 2:
        return "DO $$ BEGIN INSERT INTO log VALUES (" + number + "); END $$";
      default:
        return "ALTER TABLE " + table + " ADD c" + number + " int";
    }
  }
  // Again and again, until one of the servers has taken it.
  JobId submit(int i) {
    client::ApplyOptions options;
    options.submit.key = "job " + std::to_string(i);
    JobId job;
    const bool taken = eventually([&] {
      try {
        job = client::Client(both()).submit(statement(i), options).id;
        return true;
      } catch (const Error&) {
        return false;
      }
    });
    EXPECT_TRUE(taken) << i;
    return job;
  }
  static std::string value(pg::Session& session, const std::string& sql) {
    return session.script("SELECT (" + sql + ")::text AS v").front().text("v");
  }
  std::unique_ptr<service::EmbeddedServer> primary_;
  std::unique_ptr<service::EmbeddedServer> standby_;
};

TEST_F(Failover, promise_11_a_promoted_standby_loses_and_repeats_nothing) {
  std::vector<JobId> jobs;
  for (int i = 0; i < kJobs - 20; ++i) jobs.push_back(submit(i));
  std::vector<std::unique_ptr<WorkerProcess>> workers;
  for (int i = 0; i < 2; ++i)
    workers.push_back(
        std::make_unique<WorkerProcess>(both(), "", std::vector<std::string>{"--workers", "4"}));
  // What a client has been told: those, and when they ended.
  std::string told;
  const std::string ends =
      "(SELECT string_agg(id || ' ' || state || ' ' || ended_at, ',' ORDER BY id) FROM "
      "lockkeeper.ddl_history WHERE id <= " +
      jobs[20].str() + ")";
  {
    client::Client client(both());
    client.wait({jobs.begin(), jobs.begin() + 21}, [](const auto&) { return true; });
    pg::Session session(both(), "test");
    told = value(session, ends);
  }
  {
    pg::Session session(both(), "test");
    EXPECT_GE(std::stoi(value(session, "SELECT count(*) FROM lockkeeper.ddl_job")), 50);
  }
  std::jthread submits([&] {
    for (int i = kJobs - 20; i < kJobs; ++i) jobs.push_back(submit(i));
  });
  primary_->crash();
  standby_->promote();
  submits.join();
  pg::Session session(both(), "test");
  ASSERT_TRUE(
      eventually([&] { return value(session, "SELECT count(*) FROM lockkeeper.ddl_job") == "0"; }));
  EXPECT_EQ(value(session, ends), told);
  EXPECT_EQ(value(session,
                  "SELECT string_agg(DISTINCT state::text, ',') || ' ' || count(*) FROM "
                  "lockkeeper.ddl_history"),
            "synced " + std::to_string(kJobs))
      << value(session,
               "SELECT string_agg(DISTINCT error->>'message', ',') FROM "
               "lockkeeper.ddl_history");
  EXPECT_EQ(value(session, "SELECT count(*) FROM lockkeeper.ddl_job"), "0");
  EXPECT_EQ(value(session, "SELECT count(*) || ' ' || count(DISTINCT i) FROM log"), "40 40");
  EXPECT_EQ(value(session,
                  "SELECT count(*) || ' ' || count(*) FILTER (WHERE indisvalid) FROM "
                  "pg_index WHERE indexrelid::regclass::text ~ '^i[0-9]'"),
            "40 40");
  EXPECT_EQ(value(session,
                  "SELECT count(*) FROM pg_attribute WHERE attname ~ '^c[0-9]' AND "
                  "attrelid::regclass::text ~ '^t[0-9]'"),
            "80");
  EXPECT_EQ(value(session, "SELECT count(*) - max(version) FROM lockkeeper.ddl_schema_diff"), "0");
}

}  // namespace
}  // namespace lockkeeper::test
