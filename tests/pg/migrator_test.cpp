#include "pg/migrator.hpp"

#include <thread>
#include <vector>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Migrator : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    execute("DROP SCHEMA lockkeeper CASCADE");
  }
};

TEST_F(Migrator, twenty_at_once_make_one_schema) {
  std::vector<std::thread> migrators;
  std::atomic<int> applied{0};
  std::atomic<int> failed{0};
  for (int i = 0; i < 20; ++i)
    migrators.emplace_back([&] {
      try {
        pg::Session session(dsn(), "test");
        applied += static_cast<int>(pg::migrate(session).size());
      } catch (const std::exception& error) {
        ++failed;
        ADD_FAILURE() << error.what();
      }
    });
  for (auto& migrator : migrators) migrator.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(std::to_string(applied), value("SELECT count(*) FROM lockkeeper.ddl_migration"));
  EXPECT_EQ(value("SELECT max(version) FROM lockkeeper.ddl_migration"),
            std::to_string(pg::schema_version_of_binary()));
}

TEST_F(Migrator, a_second_run_does_nothing) {
  pg::Session session(dsn(), "test");
  EXPECT_FALSE(pg::migrate(session).empty());
  EXPECT_TRUE(pg::migrate(session).empty());
}

TEST_F(Migrator, a_newer_schema_is_refused) {
  pg::Session session(dsn(), "test");
  pg::migrate(session);
  as_owner("INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (9999, 'future')");
  EXPECT_THROW(pg::migrate(session), InputError);
  EXPECT_THROW(pg::require_schema(session), InputError);
  EXPECT_EQ(run_command({"jobs", "--dsn", dsn().conninfo()}).code, 2);
}

TEST_F(Migrator, a_missing_schema_is_told_with_what_to_do) {
  const auto ran = run_command({"jobs", "--dsn", dsn().conninfo()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("lockkeeper migrate"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace lockkeeper::test
