// The order of locks in the queue (migrations/0005): what two callers do at the same time ends well
// for both, whoever was first at which lock. Each test lets both come to the lock that a third one
// holds.
#include <future>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class LockOrder : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int)");
    worker = std::make_unique<pg::Session>(dsn(), "worker");
    me = jobs::register_worker(*worker, "me");
  }

  // One after the other comes to a lock that this test holds; then it is let go.
  void meet(const std::string& held, std::vector<std::function<void()>> callers) {
    pg::Session holder(dsn(), "holder");
    holder.script("BEGIN; " + held);
    std::vector<std::future<void>> running;
    for (auto& caller : callers) {
      running.push_back(std::async(std::launch::async, std::move(caller)));
      await(
          "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
          "current_database()",
          std::to_string(running.size()));
    }
    holder.script("COMMIT");
    for (auto& one : running) EXPECT_NO_THROW(one.get());
    EXPECT_EQ(
        value("SELECT count(*) FROM lockkeeper.ddl_job_footprint AS f WHERE NOT EXISTS (SELECT "
              "FROM lockkeeper.ddl_job AS j WHERE j.id = f.job_id)"),
        "0");
  }

  std::function<void()> ends(const std::vector<jobs::Job>& jobs) {
    return [this, jobs] {
      pg::Transaction tx(*worker);
      tx.commit(jobs::end_well_text(jobs, "[]", me, 0));
    };
  }
  std::function<void()> steers(jobs::Verb verb, std::vector<JobId> ids) {
    return [this, verb, ids = std::move(ids)] {
      pg::Session boss(dsn(), "boss");
      jobs::steer(boss, verb, {ids, {}, {}, false});
    };
  }
  std::vector<jobs::Job> claim() { return jobs::claim(*worker, me); }
  static std::string locks_of(JobId job) {
    return "SELECT lockkeeper.lock_footprints(ARRAY[" + job.str() + "])";
  }
  static std::string row_of(JobId job) {
    return "SELECT FROM lockkeeper.ddl_job WHERE id = " + job.str() + " FOR UPDATE";
  }

  std::unique_ptr<pg::Session> worker;
  jobs::WorkerIdentity me;
};

TEST_F(LockOrder, a_job_ends_while_the_next_one_is_cancelled) {
  const auto first = submit("ALTER TABLE t ADD b int");
  const auto next = submit("ALTER TABLE t ADD c int");
  const auto last = submit("ALTER TABLE t ADD d int");
  const auto claimed = claim();
  meet(locks_of(first), {ends(claimed), steers(jobs::Verb::cancel, {next})});
  EXPECT_EQ(state_of(first), "synced");
  EXPECT_EQ(state_of(next), "cancelled");
  EXPECT_EQ(claim().front().claim.job, last);
}

TEST_F(LockOrder, a_job_ends_while_it_and_the_next_one_are_cancelled) {
  const auto first = submit("ALTER TABLE t ADD b int");
  const auto next = submit("ALTER TABLE t ADD c int");
  const auto claimed = claim();
  meet(locks_of(next), {steers(jobs::Verb::cancel, {first, next}), [&] {
                          try {
                            ends(claimed)();
                          } catch (const Error& error) {
                            EXPECT_EQ(error.sqlstate(), "LK002");
                          }
                        }});
  EXPECT_EQ(state_of(first), "cancelling");
  EXPECT_EQ(state_of(next), "cancelled");
}

TEST_F(LockOrder, several_jobs_end_while_what_waits_between_them_is_paused) {
  const auto first = submit("CREATE TABLE a (x int)");
  const auto between = submit("ALTER TABLE a ADD y int");
  const auto second = submit("CREATE TABLE b (x int)");
  auto claimed = claim();
  const auto more = jobs::claim_more(*worker, me, claimed.front(), 10);
  claimed.insert(claimed.end(), more.begin(), more.end());
  ASSERT_EQ(claimed.size(), 2U);
  meet(row_of(between), {steers(jobs::Verb::pause, {between, second}), [&] {
                           try {
                             ends(claimed)();
                           } catch (const Error& error) {
                             EXPECT_EQ(error.sqlstate(), "LK002");
                           }
                         }});
  EXPECT_EQ(state_of(first), "running");
  EXPECT_EQ(state_of(between), "paused");
  EXPECT_EQ(state_of(second), "pausing");
}

TEST_F(LockOrder, a_job_from_psql_is_parsed_while_the_one_before_it_ends_and_it_is_cancelled) {
  submit("ALTER TABLE t ADD b int");
  const auto claimed = claim();
  as_owner("SELECT lockkeeper.submit('ALTER TABLE t ADD c int')");
  const JobId text{std::stoll(value("SELECT max(id) FROM lockkeeper.ddl_job"))};
  const auto parses = [&] {
    pg::Session parser(dsn(), "parser");
    pg::Transaction tx(parser);
    jobs::lock_barrier(parser);
    const auto job = jobs::next_unparsed(parser);
    ASSERT_TRUE(job);
    parser.script("SELECT lockkeeper.file_parsed(" + text.str() +
                  ", '{\"action\": \"add column\", \"refs\": [{\"kind\": \"relation\", \"name\": "
                  "\"t\", \"exclusive\": true}]}')");
    tx.commit();
  };
  meet(locks_of(text), {parses, ends(claimed), steers(jobs::Verb::cancel, {text})});
  EXPECT_EQ(state_of(text), "cancelled");
  EXPECT_EQ(state_of(claimed.front().claim.job), "synced");
}

TEST_F(LockOrder, a_job_fails_with_its_batch_while_a_later_one_of_it_is_cancelled) {
  const auto batch =
      apply("ALTER TABLE t ADD b int; ALTER TABLE t ADD c int; CREATE TABLE z (a int)");
  const auto claimed = claim();
  const auto fails = [&] {
    EXPECT_TRUE(
        jobs::fail(*worker, claimed.front().claim, Report{"42601", "x", {}, {}, {}, {}, 0}));
  };
  meet(locks_of(batch[1]), {fails, steers(jobs::Verb::cancel, {batch[2]})});
  for (const auto& job : batch) EXPECT_EQ(state_of(job), "cancelled");
  EXPECT_EQ(error_of(batch[1], "message"),
            "cancelled, because job " + batch[0].str() + " of the same batch did not succeed");
}

TEST_F(LockOrder, a_job_that_is_claimed_while_it_is_cancelled_is_left_to_its_worker) {
  const auto batch = apply("ALTER TABLE t ADD b int; ALTER TABLE t ADD c int");
  const auto other = submit("CREATE TABLE other (a int)");
  // It finds both unclaimed, and waits for the locks of their objects; meanwhile one is claimed.
  meet(locks_of(batch[0]),
       {steers(jobs::Verb::cancel, {batch[0], other}), [&] {
          EXPECT_EQ(claim().front().claim.job, batch[0]);
          worker->script("SELECT lockkeeper.lock_keys('{relation:public.t}', '{true}')");
        }});
  EXPECT_EQ(state_of(batch[0]), "cancelling");
  EXPECT_EQ(state_of(batch[1]), "queueing");
  EXPECT_EQ(state_of(other), "cancelled");
  // Its worker ends it, and the rest of the batch with it.
  EXPECT_TRUE(jobs::fail(*worker, {batch[0], Epoch{1}}, Report{"57014", "x", {}, {}, {}, {}, 0}));
  EXPECT_EQ(state_of(batch[1]), "cancelled");
}

}  // namespace
}  // namespace lockkeeper::test
