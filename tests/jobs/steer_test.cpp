// Cancel, pause, resume, retry of many; settings; upgrade mode; priorities; the floor.
#include <set>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Steer : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    as_owner("CREATE TABLE t (a int)");
    session = std::make_unique<pg::Session>(dsn(), "test");
    me = jobs::register_worker(*session, "me");
    boss = std::make_unique<pg::Session>(dsn(), "test");
  }
  std::vector<jobs::Steered> steer(jobs::Verb verb, const jobs::Which& which) {
    return jobs::steer(*boss, verb, which);
  }
  std::string states(const std::vector<jobs::Steered>& steered) {
    std::string text;
    for (const auto& job : steered)
      text += (text.empty() ? "" : " ") + job.state + (job.done ? "" : "!");
    return text;
  }
  std::int64_t claim() {
    const auto claimed = jobs::claim(*session, me);
    return claimed.empty() ? 0 : claimed.front().claim.job.value;
  }
  std::unique_ptr<pg::Session> session;  ///< of a worker
  std::unique_ptr<pg::Session> boss;     ///< of a person
  jobs::WorkerIdentity me;
};

TEST_F(Steer, each_job_gets_its_own_answer) {
  const auto first = submit("ALTER TABLE t ADD b int");
  const auto second = submit("ALTER TABLE t ADD c int");
  EXPECT_EQ(states(steer(jobs::Verb::pause, {{second, JobId{4711}}, {}, {}, false})), "paused !");
  EXPECT_EQ(states(steer(jobs::Verb::resume, {{first, second}, {}, {}, false})),
            "queueing! queueing");
  EXPECT_EQ(states(steer(jobs::Verb::cancel, {{}, {}, "add column", false})),
            "cancelled cancelled");
  EXPECT_EQ(states(steer(jobs::Verb::cancel, {{first}, {}, {}, false})), "cancelled!");
  EXPECT_EQ(states(steer(jobs::Verb::pause, {{}, {}, {}, true})), "");
}

class Deadline : public DatabaseTest {
 protected:
  static client::ApplyOptions within(int seconds) {
    client::ApplyOptions options;
    options.tuning["deadline"] = std::to_string(seconds);
    options.tuning["rows_per_second"] = "1000";
    return options;
  }
};

TEST_F(Deadline,
       promise_10_what_waits_what_runs_and_what_is_paused_is_cancelled_when_it_has_passed) {
  as_owner(
      "CREATE TABLE t (a int); CREATE TABLE big (id int PRIMARY KEY, v int); INSERT INTO big "
      "SELECT "
      "i, i FROM generate_series(1, 100000) AS i");
  const auto shape = value(
      "SELECT string_agg(attname || atttypid, ' ' ORDER BY attnum) FROM pg_attribute "
      "WHERE attrelid = 'big'::regclass AND attnum > 0 AND NOT attisdropped");
  client::Client client(dsn());
  const auto first = submit("ALTER TABLE t ADD b int");
  const auto waiting = submit("ALTER TABLE t ADD c int", within(1));
  const auto paused = submit("CREATE TABLE u (a int)", within(1));
  client.steer(jobs::Verb::pause, {{first, paused}, {}, {}, false});
  start_workers(4, [](auto& settings) { settings.poll = std::chrono::milliseconds(100); });
  EXPECT_EQ(ends_of({waiting, paused}), std::vector<std::string>(2, "cancelled"));
  EXPECT_EQ(error_of(waiting, "message"), "its deadline has passed");
  EXPECT_EQ(state_of(first), "paused");
  client.steer(jobs::Verb::resume, {{first}, {}, {}, false});
  const auto filling = submit("ALTER TABLE big ALTER v TYPE bigint", within(2));
  EXPECT_EQ(end_of(filling), "rollback done");
  EXPECT_EQ(error_of(filling, "message").rfind("its deadline has passed", 0), 0U)
      << error_of(filling, "message");
  EXPECT_EQ(value("SELECT string_agg(attname || atttypid, ' ' ORDER BY attnum) FROM pg_attribute "
                  "WHERE attrelid = 'big'::regclass AND attnum > 0 AND NOT attisdropped"),
            shape);
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD d int", within(60))), "synced");
}

TEST_F(Steer, a_batch_is_cancelled_as_one) {
  apply("ALTER TABLE t ADD b int; ALTER TABLE t ADD c int; ALTER TABLE t ADD d int");
  const auto other = submit("ALTER TABLE t ADD e int");
  const auto batch = std::stoll(value("SELECT min(batch_id) FROM lockkeeper.jobs"));
  EXPECT_EQ(states(steer(jobs::Verb::cancel, {{}, batch, {}, false})),
            "cancelled cancelled cancelled");
  EXPECT_EQ(claim(), other.value);
}

TEST_F(Steer, a_paused_job_keeps_its_place) {
  const auto first = submit("ALTER TABLE t ADD b int");
  const auto second = submit("ALTER TABLE t ADD c int");
  steer(jobs::Verb::pause, {{first}, {}, {}, false});
  EXPECT_EQ(claim(), 0);
  steer(jobs::Verb::resume, {{first}, {}, {}, false});
  EXPECT_EQ(claim(), first.value);
  EXPECT_EQ(state_of(second), "queueing");
}

TEST_F(Steer, a_running_job_is_paused_and_its_work_taken_back) {
  hold();
  start_workers(2);
  const auto job =
      apply("BEGIN; ALTER TABLE t ADD b int; " + until_released() + "; COMMIT").front();
  await_held();
  EXPECT_EQ(value("SELECT lockkeeper.pause(" + job.str() + ")"), "pausing");
  await("SELECT state FROM lockkeeper.jobs", "paused");
  EXPECT_EQ(value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = "
                  "'b'"),
            "0");
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + job.str() + ")"), "cancelled");
}

TEST_F(Steer, a_paused_queue_starts_nothing_and_goes_on_at_once) {
  start_workers(2, [](auto& settings) { settings.poll = std::chrono::minutes(10); });
  as_owner("SELECT lockkeeper.set('queue', 'paused')");
  const auto job = submit("ALTER TABLE t ADD b int");
  const auto text =
      boss->script("SELECT lockkeeper.submit('ALTER TABLE t ADD c int') AS id").front().text("id");
  EXPECT_EQ(claim(), 0);
  as_owner("SELECT lockkeeper.set('queue', 'running')");
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(end_of(JobId{std::stoll(text)}), "synced");
}

TEST_F(Steer, an_upgrade_resumes_what_it_paused_and_never_what_a_user_did) {
  const auto users = submit("ALTER TABLE t ADD b int");
  const auto systems = submit("CREATE TABLE u (a int)");
  steer(jobs::Verb::pause, {{users}, {}, {}, false});
  EXPECT_EQ(jobs::upgrade(*boss, true), 1);
  EXPECT_EQ(jobs::upgrade(*boss, true), 0);
  const auto later = submit("CREATE TABLE w (a int)");
  EXPECT_EQ(claim(), 0);
  EXPECT_EQ(states(steer(jobs::Verb::resume, {{systems}, {}, {}, false})), "paused!");
  EXPECT_EQ(jobs::upgrade(*boss, false), 1);
  EXPECT_EQ(claim(), systems.value);
  EXPECT_EQ(claim(), later.value);
  EXPECT_EQ(state_of(users), "paused");
}

TEST_F(Steer, an_upgrade_that_ends_early_leaves_nobody_behind_and_keeps_a_paused_queue) {
  hold(1);
  hold(2);
  start_workers(1);
  // It takes its time to stop.
  const auto job = submit("DO $$ BEGIN BEGIN EXECUTE $x$" + until_released(1) +
                          "$x$; EXCEPTION WHEN query_canceled THEN EXECUTE $x$" +
                          until_released(2) + "$x$; END; END $$");
  await_held(1, 1);
  as_owner("SELECT lockkeeper.set('queue', 'paused')");
  EXPECT_EQ(jobs::upgrade(*boss, true), 1);
  EXPECT_EQ(state_of(job), "pausing");
  await_held(1, 2);
  EXPECT_EQ(jobs::upgrade(*boss, false), 1);
  let_go(2);
  EXPECT_EQ(end_of(job), "synced");
  const auto later = submit("CREATE TABLE w (a int)");
  EXPECT_EQ(claim(), 0);
  as_owner("SELECT lockkeeper.set('queue', 'running')");
  EXPECT_EQ(end_of(later), "synced");
}

TEST_F(Steer, the_queue_refuses_transactions_with_an_older_snapshot) {
  boss->script("BEGIN ISOLATION LEVEL REPEATABLE READ");
  EXPECT_THROW(boss->script("SELECT lockkeeper.submit('CREATE TABLE a (x int)')"), Error);
  boss->script("ROLLBACK; BEGIN ISOLATION LEVEL SERIALIZABLE");
  EXPECT_THROW(boss->script("SELECT lockkeeper.steer('cancel', '{\"all\": true}')"), Error);
  boss->script("ROLLBACK");
  // The default of a database does not matter: every session of ours says what it needs.
  execute("ALTER DATABASE " + database_ + " SET default_transaction_isolation = 'serializable'");
  start_workers(2);
  client::Client client(dsn());
  EXPECT_EQ(end_of(client.submit("CREATE TABLE a (x int)").id), "synced");
}

TEST_F(Steer, somebody_who_resumes_a_job_and_sits_on_it_holds_up_nobody) {
  const auto old = submit("CREATE TABLE old (x int)");
  const auto first = submit("ALTER TABLE t ADD a int");
  const auto second = submit("ALTER TABLE t ADD b int");
  steer(jobs::Verb::pause, {{old}, {}, {}, false});
  EXPECT_EQ(claim(), first.value);
  for (int i = 0; i < 300; ++i) value("SELECT nextval('lockkeeper.ddl_job_id_seq')");
  jobs::raise_floor(*session);
  boss->script("BEGIN; SELECT lockkeeper.resume(" + old.str() + ")");
  session->script("SET lock_timeout = '300ms'");
  session->script(
      jobs::end_well_text({jobs::Job{{first, Epoch{1}}, "", {}, "", "", {}}}, "[]", me, 0));
  EXPECT_EQ(claim(), second.value);
  boss->script("COMMIT");
  EXPECT_EQ(claim(), old.value);
}

TEST_F(Steer, a_pool_is_resized_while_it_runs) {
  hold();
  start_workers(1);
  const auto slow = [&](int i) {
    as_owner("CREATE TABLE s" + std::to_string(i) + " (a int)");
    return apply("BEGIN; ALTER TABLE s" + std::to_string(i) + " ADD b int; " + until_released() +
                 "; COMMIT")
        .front();
  };
  const std::vector<JobId> jobs = {slow(1), slow(2), slow(3)};
  await("SELECT count(*) FROM lockkeeper.jobs WHERE state = 'running'", "1");
  as_owner("SELECT lockkeeper.set('general_workers', '3')");
  await("SELECT count(*) FROM lockkeeper.jobs WHERE state = 'running'", "3");
  for (const auto& job : jobs) value("SELECT lockkeeper.cancel(" + job.str() + ")");
  for (const auto& state : ends_of(jobs)) EXPECT_EQ(state, "cancelled");
}

TEST_F(Steer, a_slow_change_of_rows_never_holds_up_a_quick_one) {
  start_workers(1, [](auto& settings) { settings.reorg_workers = 1; });
  execute("INSERT INTO t VALUES (1)");
  pg::Session writer(dsn(), "test");
  writer.script("BEGIN; INSERT INTO t VALUES (2)");  // The index build waits for it.
  const auto slow = submit("CREATE INDEX CONCURRENTLY ON t (a)");
  await("SELECT state FROM lockkeeper.jobs", "running");
  EXPECT_EQ(end_of(submit("CREATE TABLE quick (a int)")), "synced");
  EXPECT_EQ(state_of(slow), "running");
  writer.script("COMMIT");
  EXPECT_EQ(end_of(slow), "synced");
}

TEST_F(Steer, priorities_order_only_jobs_that_are_ready) {
  client::ApplyOptions high;
  high.submit.priority = 1;
  client::ApplyOptions low;
  low.submit.priority = -1;
  const auto last = submit("CREATE TABLE a (x int)", low);
  const auto middle = submit("CREATE TABLE b (x int)");
  const auto first = submit("CREATE TABLE c (x int)", high);
  const auto behind = submit("ALTER TABLE b ADD y int", high);
  EXPECT_EQ(claim(), first.value);
  EXPECT_EQ(claim(), middle.value);
  EXPECT_EQ(claim(), last.value);
  EXPECT_EQ(state_of(behind), "queueing");
}

TEST_F(Steer, a_barrier_refuses_new_jobs_when_it_was_asked_to) {
  client::ApplyOptions alone;
  alone.as_barrier = true;
  alone.submit.refuse_new = true;
  submit("SELECT 1", alone);
  try {
    submit("CREATE TABLE a (x int)");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "55006");
  }
  start_workers(1);
  await("SELECT count(*) FROM lockkeeper.ddl_job", "0");
  EXPECT_EQ(end_of(submit("CREATE TABLE a (x int)")), "synced");
}

TEST_F(Steer, the_floor_never_hides_a_job) {
  const auto blocker = submit("ALTER TABLE t ADD a0 int");
  const auto blocked = submit("ALTER TABLE t ADD a1 int");
  const auto paused = submit("CREATE TABLE p (x int)");
  steer(jobs::Verb::pause, {{paused}, {}, {}, false});
  EXPECT_EQ(claim(), blocker.value);
  for (int i = 0; i < 300; ++i) value("SELECT nextval('lockkeeper.ddl_job_id_seq')");
  jobs::raise_floor(*session);
  EXPECT_GT(std::stoll(value("SELECT max(floor) FROM lockkeeper.ddl_floor")), paused.value);
  const auto old = jobs::claim(*session, me);
  EXPECT_TRUE(old.empty());
  // Everything that makes an older job ready lowers it again: an end, a resume, a hand back.
  session->script("UPDATE lockkeeper.ddl_job SET state = 'running' WHERE id = " + blocker.str());
  value("SELECT lockkeeper.resume(" + paused.str() + ")");
  const auto resumed = jobs::claim(*session, me);
  ASSERT_FALSE(resumed.empty());
  EXPECT_EQ(resumed.front().claim.job, paused);
  jobs::raise_floor(*session);
  ASSERT_TRUE(jobs::hand_back(*session, resumed.front().claim, {}, false, std::nullopt));
  EXPECT_EQ(claim(), paused.value);
  jobs::raise_floor(*session);
  session->script(
      jobs::end_well_text({jobs::Job{{blocker, Epoch{1}}, "", {}, "", "", {}}}, "[]", me, 0));
  EXPECT_EQ(claim(), blocked.value);
}

TEST_F(Steer, the_floor_waits_for_a_submission_that_has_drawn_its_id) {
  pg::Session submitter(dsn(), "test");
  submitter.script("BEGIN; SELECT lockkeeper.submit('CREATE TABLE a (x int)')");
  session->script("SET lock_timeout = '100ms'");
  EXPECT_THROW(jobs::raise_floor(*session), Error);
  submitter.script("COMMIT");
  EXPECT_NO_THROW(jobs::raise_floor(*session));
}

TEST_F(Steer, history_is_searched_by_each_of_its_indexes_and_paged) {
  start_workers(2);
  as_owner("CREATE SCHEMA app");
  std::vector<JobId> jobs;
  for (int i = 0; i < 5; ++i)
    jobs.push_back(submit("CREATE TABLE app.h" + std::to_string(i) + " (x int)"));
  jobs.push_back(submit("ALTER TABLE nowhere ADD x int"));
  ends_of(jobs);
  client::Client client(dsn());
  const auto found = [&](const client::Json& wanted) { return client.history(50, wanted).size(); };
  EXPECT_EQ(found({{"object", "app.h1"}}), 1U);
  EXPECT_EQ(found({{"object", "h1"}}), 1U);
  EXPECT_EQ(found({{"object", "relation:app.h1"}}), 1U);
  EXPECT_EQ(found({{"object", "h"}}), 0U);
  EXPECT_EQ(found({{"action", "create table"}}), 5U);
  EXPECT_EQ(found({{"state", "cancelled"}}), 1U);
  EXPECT_EQ(found({{"role", kOwner}}), 6U);
  EXPECT_EQ(found({{"since", "1h"}}), 6U);
  EXPECT_EQ(found({{"until", "1h"}}), 0U);
  std::vector<std::string> paged;
  client::Json wanted = client::Json::object();
  for (auto page = client.history(4, wanted); !page.empty(); page = client.history(4, wanted)) {
    for (const auto& job : page) paged.push_back(job["id"].dump());
    wanted["before"] = page.back()["id"].dump();
  }
  EXPECT_EQ(paged.size(), 6U);
  EXPECT_EQ(std::set<std::string>(paged.begin(), paged.end()).size(), 6U);
}

TEST_F(Steer, old_history_is_purged_by_age_and_by_count) {
  start_workers(1);
  std::vector<JobId> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(submit("CREATE TABLE h" + std::to_string(i) + " ()"));
  ends_of(jobs);
  EXPECT_EQ(jobs::purge_history(*session, 100), 0);
  execute("UPDATE lockkeeper.ddl_history SET ended_at = ended_at - interval '40 days' WHERE id < " +
          jobs[2].str());
  as_owner("SELECT lockkeeper.set('history_days', '30')");
  EXPECT_EQ(jobs::purge_history(*session, 1), 1);
  EXPECT_EQ(jobs::purge_history(*session, 100), 1);
  as_owner("SELECT lockkeeper.set('history_rows', '3')");
  EXPECT_EQ(jobs::purge_history(*session, 100), 1);
  EXPECT_EQ(value("SELECT min(id) FROM lockkeeper.ddl_history"), jobs[3].str());
}

}  // namespace
}  // namespace lockkeeper::test
