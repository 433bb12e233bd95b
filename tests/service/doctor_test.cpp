// The doctor finds what is wrong, on a real server where it is, and nothing where nothing is.
#include "service/doctor.hpp"

#include "pg/migrator.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

using service::Level;

class Doctor : public DatabaseTest {
 protected:
  void examine(const std::string& role = kOwner) { findings_ = service::examine(dsn(role), 11); }
  // The level of the first finding that says so; "" when there is none.
  std::string level_of(const std::string& words) {
    for (const auto& finding : findings_)
      if (finding.text.find(words) != std::string::npos) return to_string(finding.level);
    return {};
  }
  std::string mend_of(const std::string& words) {
    for (const auto& finding : findings_)
      if (finding.text.find(words) != std::string::npos) return finding.mend;
    return {};
  }
  std::vector<service::Finding> findings_;
};

TEST_F(Doctor, finds_nothing_wrong_where_all_is_well) {
  start_workers(1);
  await("SELECT count(*) > 0 FROM lockkeeper.ddl_worker", "true");
  examine();
  for (const auto& finding : findings_) {
    // The tests' server is not durable, for speed.
    if (finding.subject == "safety") continue;
    EXPECT_TRUE(finding.level == Level::ok || finding.level == Level::note) << finding.text;
  }
  EXPECT_EQ(level_of("come through"), "ok");
  EXPECT_EQ(level_of("is a session of the server"), "ok");
  EXPECT_EQ(level_of("1 worker process:"), "ok");
}

TEST_F(Doctor, says_that_nobody_works_and_that_the_schema_is_missing) {
  examine();
  EXPECT_EQ(level_of("no worker process"), "problem");
  as_owner("DROP SCHEMA lockkeeper CASCADE");
  examine();
  EXPECT_EQ(level_of("there is no lockkeeper schema"), "problem");
  EXPECT_EQ(mend_of("there is no lockkeeper schema"), "lockkeeper migrate");
}

TEST_F(Doctor, says_what_the_role_may_not) {
  const std::string guest = "doctor_guest";
  execute("DROP ROLE IF EXISTS " + guest);
  execute("CREATE ROLE " + guest + " LOGIN");
  examine(guest);
  const std::string neither = "may neither \"migrate\" nor \"work\"";
  EXPECT_EQ(level_of(neither), "problem");
  EXPECT_EQ(level_of("may not read what is there"), "problem");
  EXPECT_EQ(mend_of(neither), std::string("run them as ") + kOwner +
                                  ", or give a role of its own the right to work: lockkeeper "
                                  "migrate --roles");
  // Its job can be submitted, and never run.
  as_owner("SELECT lockkeeper.grant_use('" + guest + "')");
  pg::Session session(dsn(guest), "test");
  session.statement("SELECT lockkeeper.submit('CREATE TABLE nope (a int)')");
  examine();
  EXPECT_EQ(mend_of("jobs of role " + guest), "GRANT " + guest + " TO " + kOwner);
  EXPECT_EQ(level_of("jobs of role " + guest), "problem");
}

TEST_F(Doctor, names_what_is_in_the_way) {
  as_owner("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)");
  pg::Session builder(dsn(), "test");
  EXPECT_THROW(builder.statement("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (a)"), Error);
  as_owner("SELECT lockkeeper.set('queue', 'paused')");
  execute("ALTER DATABASE " + database_ + " SET default_transaction_isolation = 'repeatable read'");
  execute("ALTER DATABASE " + database_ + " SET deadlock_timeout = '100ms'");
  examine();
  EXPECT_EQ(level_of("index broken is not valid"), "warning");
  EXPECT_EQ(mend_of("index broken"),
            "lockkeeper submit 'REINDEX INDEX CONCURRENTLY broken', or drop it");
  EXPECT_EQ(level_of("the queue is paused"), "warning");
  EXPECT_EQ(level_of("default_transaction_isolation is repeatable read"), "warning");
  EXPECT_EQ(level_of("deadlock_timeout is 0.1 s"), "warning");
}

TEST_F(Doctor, exits_with_1_while_something_is_to_be_mended) {
  const auto ran = run_command({"doctor", "--dsn", dsn().conninfo()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.out.find("-> start one: lockkeeper work"), std::string::npos) << ran.out;
  const auto nowhere = run_command({"doctor", "--dsn", "host=/nowhere"});
  EXPECT_EQ(nowhere.code, 3);
  EXPECT_EQ(nowhere.err.find("error: "), 0U) << nowhere.err;
}

}  // namespace
}  // namespace lockkeeper::test
