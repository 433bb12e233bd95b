// Migration histories as Prisma, Diesel, Django, Rails and people write them: applied by
// "lockkeeper apply" and by psql, the schemas must be the same to the letter.
#include <algorithm>
#include <filesystem>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

namespace fs = std::filesystem;

class Histories : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    pg::Session maker(server().dsn(), "test");
    maker.script("CREATE DATABASE by_psql OWNER " + std::string(kOwner));
  }
  void TearDown() override {
    pg::Session maker(server().dsn(), "test");
    maker.script("DROP DATABASE by_psql WITH (FORCE)");
    DatabaseTest::TearDown();
  }
  // psql's \restrict lines differ at each run.
  static std::string dump(const pg::Dsn& dsn) {
    return run_to_end({"sh", "-c", "\"$0\" -s -N 'lockkeeper*' \"$1\" | grep -v '^[\\]'",
                       server().binaries() + "/pg_dump", dsn.conninfo()});
  }
};

TEST_F(Histories, give_the_same_schema_as_psql) {
  if (!fs::exists(server().binaries() + "/pg_dump")) GTEST_SKIP() << "this server has no pg_dump";
  // Extensions and roles of the histories need more than the owner's rights.
  execute("ALTER ROLE keeper SUPERUSER");
  start_workers(4);
  const auto by_psql = server().dsn("by_psql").with("user", kOwner);
  for (const char* history : {"prisma", "diesel", "django", "hand", "rails"}) {
    const std::string folder = std::string(LOCKKEEPER_SOURCE) + "/tests/histories/" + history;
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files)
      run_to_end({server().binaries() + "/psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", file,
                  by_psql.conninfo()});
    const auto ran = run_command({"apply", "--wait", "--dsn", dsn().conninfo(), folder});
    EXPECT_EQ(ran.code, 0) << history << "\n" << ran.err;
  }
  EXPECT_EQ(dump(dsn()), dump(by_psql));
  EXPECT_GE(std::stoi(value("SELECT sum(cardinality(statements)) FROM lockkeeper.ddl_history")),
            150);
  execute("ALTER ROLE keeper NOSUPERUSER");
}

}  // namespace
}  // namespace lockkeeper::test
