// SELECT lockkeeper.submit(…): for people who have only psql.
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Unparsed : public DatabaseTest {
 protected:
  JobId by_psql(const std::string& sql) {
    pg::Session psql(dsn(), "psql");
    return JobId{psql.statement("SELECT lockkeeper.submit($1) AS id", pg::Params::of(sql))
                     .front()
                     .integer("id")};
  }
};

TEST_F(Unparsed, is_parsed_and_run) {
  const auto job = by_psql("CREATE TABLE t (a int)");
  start_workers();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT action FROM lockkeeper.history"), "create table");
  EXPECT_EQ(value("SELECT to_regclass('t')"), "t");
}

TEST_F(Unparsed, bad_text_ends_as_cancelled_with_the_error) {
  const auto job = by_psql("CREATE TABEL t (a int)");
  const auto two = by_psql("SELECT 1; SELECT 2");
  start_workers();
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "42601");
  EXPECT_EQ(error_of(job, "position"), "8");
  EXPECT_EQ(end_of(two), "cancelled");
}

TEST_F(Unparsed, nothing_that_came_later_passes_it_before_it_is_parsed) {
  as_owner("CREATE TABLE a (x int); CREATE TABLE b (x int)");
  const auto first = by_psql("ALTER TABLE a ADD y int");
  const auto later = submit("ALTER TABLE b ADD y int");
  EXPECT_EQ(value("SELECT dependency_id FROM lockkeeper.jobs WHERE id = " + later.str()),
            first.str());
}

TEST_F(Unparsed, keeps_its_place_among_the_others_when_it_is_parsed) {
  as_owner("CREATE TABLE a (x int); CREATE TABLE b (x int)");
  // The first holds the queue, so that the others are filed while nothing runs.
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; LOCK TABLE a");
  const auto blocker = submit("ALTER TABLE a ADD y int");
  const auto mine = by_psql("ALTER TABLE a ADD z int");
  const auto later = submit("ALTER TABLE a DROP COLUMN z");
  const auto free = submit("ALTER TABLE b ADD y int");
  start_workers();
  EXPECT_EQ(end_of(free), "synced");  // Filing set free what does not conflict.
  EXPECT_EQ(value("SELECT dependency_id FROM lockkeeper.jobs WHERE id = " + mine.str()),
            blocker.str());
  EXPECT_EQ(value("SELECT dependency_id FROM lockkeeper.jobs WHERE id = " + later.str()),
            mine.str());
  holder.script("ROLLBACK");
  EXPECT_EQ(end_of(later), "synced");  // It could only succeed after the job that adds z.
}

TEST_F(Unparsed, as_barrier_runs_text_without_our_parser) {
  pg::Session psql(dsn(), "psql");
  const JobId job{
      psql.statement("SELECT lockkeeper.submit('CREATE TABLE t (a int)', '{\"as_barrier\": "
                     "true}') AS id")
          .front()
          .integer("id")};
  start_workers();
  EXPECT_EQ(end_of(job), "synced");
}

}  // namespace
}  // namespace lockkeeper::test
