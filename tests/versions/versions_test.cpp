// Schema versions, the syncer of a node, and the waits of jobs for nodes and older transactions
// (promises 4, 5, 10, 11).
#include "versions/versions.hpp"

#include <csignal>
#include <thread>

#include "base/testpoint.hpp"
#include "support/buffers.hpp"

namespace lockkeeper::test {
namespace {

TEST_F(Versions, a_diff_names_each_object_before_and_after) {
  start_workers(1);
  const auto end = [&](const char* sql) {
    const auto job = apply(sql).back();
    EXPECT_EQ(end_of(job), "synced") << error_of(job, "message");
    return affected(job);
  };
  EXPECT_EQ(end("CREATE TABLE a (id int)"), "- relation:public.a");
  EXPECT_EQ(end("ALTER TABLE a ADD b int"), "relation:public.a relation:public.a same");
  EXPECT_EQ(end("ALTER TABLE a RENAME TO \"B b\""),
            "relation:public.a relation:public.\"B b\" same");
  EXPECT_EQ(end("ALTER TABLE \"B b\" RENAME id TO key"),
            "relation:public.\"B b\" relation:public.\"B b\" same");
  // Another table under the name of one that was there.
  EXPECT_EQ(end("BEGIN; ALTER TABLE \"B b\" RENAME TO old; CREATE TABLE \"B b\" (x int); COMMIT"),
            "- relation:public.\"B b\", relation:public.\"B b\" relation:public.old same");
  EXPECT_EQ(end("TRUNCATE old, \"B b\""),
            "relation:public.\"B b\" relation:public.\"B b\" same, relation:public.old "
            "relation:public.old same");
  EXPECT_EQ(end("DROP TABLE old"), "relation:public.old -");
  EXPECT_EQ(end("DO 'BEGIN END'"), "database database");
}

TEST_F(Versions, promise_4_a_node_is_told_of_every_change_in_order) {
  as_owner("CREATE TABLE t (a int); CREATE TABLE u (a int)");
  ManualNode node(dsn());
  start_workers();
  const auto jobs =
      apply("ALTER TABLE t ADD b int; ALTER TABLE u ADD b int; ALTER TABLE u ADD c int");
  for (int last = 0; last < 3;) {
    ASSERT_TRUE(node.session.wait_for_notification(seconds(60)));
    node.session.take_notifications();
    const auto diffs = node.syncer.changes_since(node.version);
    for (const auto& diff : diffs) {
      EXPECT_EQ(diff.version, ++node.version);
      EXPECT_EQ(diff.job, jobs[static_cast<std::size_t>(last++)]);
    }
    if (diffs.empty()) continue;
    EXPECT_EQ(diffs.front().touches("public.t"), diffs.front().job == jobs[0]);
    node.syncer.acknowledge(node.syncer.update_self_version(node.version));
  }
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>(3, "synced")));
}

TEST_F(Versions, a_job_is_done_first_and_synced_when_every_node_has_its_version) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode one(dsn(), "api-1");
  ManualNode two(dsn(), "api-2");
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  const auto next = submit("ALTER TABLE t ADD c int");
  await_state(job, "done");
  one.follow();
  // It is done, and yet it keeps what conflicts with it away.
  EXPECT_EQ(value("SELECT state || ' ' || (error->>'message') FROM lockkeeper.jobs WHERE id = " +
                  job.str()),
            "done waits for node api-2 (version 0 of 1)");
  EXPECT_EQ(value("SELECT waits > 0 FROM lockkeeper.ddl_job WHERE id = " + next.str()), "true");
  EXPECT_EQ(value("SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM "
                  "information_schema.columns WHERE table_name = 't'"),
            "a,b");
  two.follow();
  EXPECT_EQ(end_of(job), "synced");
  await_state(next, "done");
  one.follow();
  two.follow();
  EXPECT_EQ(end_of(next), "synced");
  expect_queue_empty();
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_mdl_info"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_node_ack"), "0");
}

TEST_F(Versions, what_is_done_cannot_be_cancelled_or_paused) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode node(dsn());
  start_workers();
  const auto jobs = apply("ALTER TABLE t ADD b int; ALTER TABLE t ADD c int");
  await_state(jobs[0], "done");
  for (const char* verb : {"cancel", "pause", "retry"}) {
    const auto ran = run_command({verb, jobs[0].str(), "--dsn", dsn().conninfo()});
    EXPECT_NE(ran.code, 0) << verb;
    EXPECT_NE(ran.out.find("done"), std::string::npos) << ran.out << ran.err;
  }
  // What comes after it in its batch can.
  EXPECT_EQ(run_command({"cancel", jobs[1].str(), "--dsn", dsn().conninfo()}).code, 0);
  node.follow();
  EXPECT_EQ(ends_of(jobs), (std::vector<std::string>{"synced", "cancelled"}));
}

TEST_F(Versions, a_node_that_registers_sees_what_has_ended_before_it) {
  // The end of a job stands between its version and its commit while the node registers.
  pg::Session ending(dsn(), "ending");
  ending.script("BEGIN; SELECT lockkeeper.next_version(1)");
  std::int64_t version = -1;
  std::jthread registering([&] { version = ManualNode(dsn()).version; });
  await(
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
      "application_name = 'api-1'",
      "1");
  ending.script("COMMIT");
  registering.join();
  EXPECT_EQ(version, 1);
}

TEST_F(Versions, an_open_transaction_of_a_node_stops_no_step) {
  as_owner("CREATE TABLE t (a int)");
  pg::Session careless(dsn(), "careless");
  careless.script(
      "BEGIN; SELECT lockkeeper.schema_version(); SELECT lockkeeper.register_node('x')");
  start_workers();
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD b int")), "synced");
}

TEST_F(Versions, an_end_that_a_node_overtook_is_tried_again_and_waits_for_it) {
  as_owner("CREATE TABLE t (a int)");
  std::unique_ptr<ManualNode> node;
  testpoint::set_hook([&](const std::string& name) {
    if (name == "before_commit" && !node) node = std::make_unique<ManualNode>(dsn());
  });
  start_workers(1);
  const auto job = submit("ALTER TABLE t ADD b int");
  await_state(job, "done");
  node->follow();
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Versions, promise_5_no_step_begins_before_each_node_has_left_the_version_before_the_last) {
  make_tables();
  ManualNode node(dsn());
  start_workers(2);
  const auto job = submit(kTwoSteps);
  await_wait("node api-1");
  EXPECT_EQ(steps_done(), "2");  // The probe, and the constraint NOT VALID.
  EXPECT_EQ(value("SELECT convalidated FROM pg_constraint WHERE conname = 'k'"), "false");
  EXPECT_EQ(node.syncer.must_get_global_version(), 1);
  node.follow();
  await_state(job, "done");
  EXPECT_EQ(value("SELECT convalidated FROM pg_constraint WHERE conname = 'k'"), "true");
  node.follow();
  EXPECT_EQ(end_of(job), "synced");
  expect_queue_empty();
}

TEST_F(Versions, promise_10_a_wait_ends_on_cancel_and_leaves_nothing) {
  make_tables();
  const auto before = shape();
  ManualNode node(dsn());
  start_workers(2);
  const auto job = submit(kTwoSteps);
  await_wait("node api-1");
  run_command({"cancel", job.str(), "--dsn", dsn().conninfo()});
  // What was announced is taken back at once; that it was is announced, too.
  await("SELECT count(*) FROM pg_constraint WHERE conname = 'k'", "0");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history"), "0");
  node.follow();
  EXPECT_EQ(node.version, 2);
  EXPECT_EQ(end_of(job), "rollback done");
  EXPECT_EQ(shape(), before);
  expect_queue_empty();
}

TEST_F(Versions, promise_10_a_wait_can_be_paused_and_goes_on) {
  make_tables();
  ManualNode node(dsn());
  start_workers(2);
  const auto job = submit(kTwoSteps);
  await_wait("node api-1");
  run_command({"pause", job.str(), "--dsn", dsn().conninfo()});
  await_state(job, "paused");
  run_command({"resume", job.str(), "--dsn", dsn().conninfo()});
  await_wait("node api-1");
  EXPECT_EQ(steps_done(), "2");
  node.follow();
  await_state(job, "done");
  node.follow();
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Versions, promise_10_a_wait_ends_at_its_deadline_as_asked) {
  make_tables();
  const auto before = shape();
  ManualNode node(dsn());
  start_workers(2);
  client::ApplyOptions options;
  options.tuning = {{"mdl_timeout", "1"}, {"mdl_on_timeout", "pause"}};
  const auto paused = submit(kTwoSteps, options);
  await_state(paused, "paused");
  EXPECT_EQ(steps_done(), "2");
  node.follow();
  const auto ran =
      run_command({"alter", paused.str(), "--on-mdl-timeout", "cancel", "--dsn", dsn().conninfo()});
  EXPECT_EQ(ran.code, 0) << ran.err;
  run_command({"cancel", paused.str(), "--dsn", dsn().conninfo()});
  await("SELECT count(*) FROM pg_constraint WHERE conname = 'k'", "0");
  node.follow();
  EXPECT_EQ(end_of(paused), "rollback done");
  options.tuning["mdl_on_timeout"] = "cancel";
  const auto cancelled = submit(kTwoSteps, options);
  await("SELECT max(version) FROM lockkeeper.ddl_schema_diff", "4");
  node.follow();
  EXPECT_EQ(end_of(cancelled), "rollback done");
  EXPECT_EQ(error_of(cancelled, "message").rfind("gave up after 1 s: waits for node api-1", 0), 0U)
      << error_of(cancelled, "message");
  EXPECT_EQ(shape(), before);
}

// Each window of tidb-ddl.md 5.6: the next worker neither skips the wait nor begins it anew.
class VersionsCrash : public Versions, public ::testing::WithParamInterface<const char*> {};

TEST_P(VersionsCrash, promise_11_a_wait_outlives_its_worker) {
  make_tables();
  ManualNode node(dsn());
  auto dying = std::make_unique<WorkerProcess>(dsn(), std::string(GetParam()) + "=kill");
  const auto job = submit(kTwoSteps);
  ASSERT_EQ(dying->process().wait(seconds(60)), 128 + SIGKILL) << dying->log();
  const auto since = value("SELECT since FROM lockkeeper.ddl_mdl_info");
  EXPECT_NE(since, "");
  WorkerProcess next(dsn());
  await_wait("node api-1");
  EXPECT_EQ(value("SELECT since FROM lockkeeper.ddl_mdl_info"), since);
  EXPECT_EQ(steps_done(), "2");
  node.follow();
  await_state(job, "done");
  node.follow();
  EXPECT_EQ(end_of(job), "synced");
  expect_queue_empty();
}
INSTANTIATE_TEST_SUITE_P(Windows, VersionsCrash,
                         ::testing::Values("after_commit", "waits_for_nodes"));

TEST_F(Versions, promise_11_a_done_job_is_ended_by_whoever_is_there) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode node(dsn());
  auto dying = std::make_unique<WorkerProcess>(dsn(), "after_commit=kill");
  const auto job = submit("ALTER TABLE t ADD b int");
  ASSERT_EQ(dying->process().wait(seconds(60)), 128 + SIGKILL) << dying->log();
  await_state(job, "done");
  node.follow();
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history"), "0");
  WorkerProcess next(dsn());
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_schema_diff"), "1");
  expect_queue_empty();
}

// Transactions of an application that knows nothing of us.

TEST_F(Versions, a_transaction_on_a_table_that_is_only_referred_to_is_not_waited_for) {
  make_tables();
  pg::Session reader(dsn(), "old reader");
  during_first_step([&] { reader.script("BEGIN; SELECT FROM target LIMIT 1"); });
  start_workers(2);
  EXPECT_EQ(end_of(submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target")), "synced");
  reader.script("COMMIT");
}

TEST_F(Versions, promise_5_a_step_waits_for_older_transactions_and_for_no_younger_ones) {
  make_tables();
  pg::Session old_reader(dsn(), "old reader");
  pg::Session prepared(dsn(), "prepared");
  during_first_step([&] {
    old_reader.script("BEGIN; SELECT FROM big LIMIT 1");
    prepared.script("BEGIN; SELECT FROM big LIMIT 1; PREPARE TRANSACTION 'left behind'");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target");
  await_wait("p");
  EXPECT_EQ(steps_done(), "2");
  pg::Session young(dsn(), "young reader");
  young.script("BEGIN; SELECT FROM big LIMIT 1");
  EXPECT_EQ(value("SELECT string_agg(coalesce(application, name), ', ' ORDER BY pid NULLS LAST) "
                  "FROM lockkeeper.ddl_mdl_view"),
            "old reader, left behind");
  const auto ran = run_command({"blockers", job.str(), "--dsn", dsn().conninfo()});
  EXPECT_NE(ran.out.find("old reader"), std::string::npos) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("prepared transaction left behind"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("young"), std::string::npos) << ran.out;
  old_reader.script("COMMIT");
  await("SELECT count(*) FROM lockkeeper.ddl_mdl_view", "1");
  EXPECT_EQ(steps_done(), "2");
  as_owner("ROLLBACK PREPARED 'left behind'");
  EXPECT_EQ(end_of(job), "synced");
  young.script("COMMIT");
}

TEST_F(Versions, with_nodes_only_no_transaction_is_waited_for) {
  make_tables();
  pg::Session old_reader(dsn(), "old reader");
  during_first_step([&] { old_reader.script("BEGIN; SELECT FROM big LIMIT 1"); });
  start_workers(2);
  client::ApplyOptions options;
  options.tuning = {{"mdl", "nodes"}};
  EXPECT_EQ(end_of(submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target", options)),
            "synced");
  old_reader.script("COMMIT");
}

TEST_F(Versions, a_transaction_in_the_way_is_ended_when_that_was_asked_for) {
  make_tables();
  pg::Session old_reader(dsn(), "old reader");
  during_first_step([&] { old_reader.script("BEGIN; SELECT FROM big LIMIT 1"); });
  start_workers(2);
  client::ApplyOptions options;
  options.tuning = {{"kill_blockers", "1"}};
  EXPECT_EQ(end_of(submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target", options)),
            "synced");
  EXPECT_THROW(old_reader.script("SELECT 1"), Error);
}

// Of another role's transactions the job's role must have the right to end them.
TEST_F(Versions, nobody_ends_a_transaction_that_he_has_no_right_to_end) {
  make_tables();
  pg::Session old_reader(server().dsn(database_), "superuser");
  during_first_step([&] { old_reader.script("BEGIN; SELECT FROM big LIMIT 1"); });
  start_workers(2);
  client::ApplyOptions options;
  options.tuning = {{"kill_blockers", "1"}, {"mdl_timeout", "2"}, {"mdl_on_timeout", "cancel"}};
  const auto job = submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target", options);
  await("SELECT count(*) FROM lockkeeper.ddl_job WHERE state = 'rolling back' OR error ? 'cancel'",
        "1");
  old_reader.script("COMMIT");  // It is still there.
  EXPECT_EQ(end_of(job), "rollback done");
}

TEST_F(Versions, promise_11_a_prepared_transaction_is_waited_for_over_a_restart) {
  make_tables();
  pg::Session prepared(dsn(), "prepared");
  during_first_step([&] {
    prepared.script(
        "BEGIN; SELECT FROM big LIMIT 1; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'kept'");
  });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target");
  await_wait("prepared transaction kept");
  server().crash_and_restart();
  await_wait("prepared transaction kept");
  EXPECT_EQ(value("SELECT name FROM lockkeeper.ddl_mdl_view"), "kept");
  EXPECT_EQ(steps_done(), "2");
  pg::Session(dsn(), "again").script("ROLLBACK PREPARED 'kept'");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Versions, a_setting_of_the_queue_ends_waits_that_have_begun) {
  make_tables();
  pg::Session old_reader(dsn(), "old reader");
  during_first_step([&] { old_reader.script("BEGIN; SELECT FROM big LIMIT 1"); });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target");
  await_wait("pid");
  as_owner("SELECT lockkeeper.set('mdl', 'nodes')");
  EXPECT_EQ(end_of(job), "synced");
  old_reader.script("COMMIT");
}

TEST_F(Versions, a_pinned_transaction_holds_the_next_step_back) {
  make_tables();
  pg::Session pinned(dsn(), "pinned");
  during_first_step([&] { pinned.script("BEGIN; SELECT lockkeeper.pin('big')"); });
  start_workers(2);
  const auto job = submit("ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES target");
  await_wait("pid");
  pinned.script("COMMIT");
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(Versions,
       promise_4_each_waits_for_the_one_before_it_also_when_that_is_drawn_in_the_old_way) {
  // As transactions do that began before migration 0016, and after it.
  const char* ways[] = {"UPDATE lockkeeper.ddl_schema_version SET version = version + 1",
                        "SELECT lockkeeper.next_version(1)"};
  int last = 0;
  for (const char* first : ways)
    for (const char* second : ways) {
      pg::Session one(dsn(), "one");
      one.script(std::string("BEGIN; ") + first);
      std::jthread other([&] { pg::Session(dsn(), "other", 30000).script(second); });
      await(
          "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
          "application_name = 'other'",
          "1");
      one.script("COMMIT");
      other.join();
      last += 2;
      EXPECT_EQ(value("SELECT lockkeeper.schema_version()"), std::to_string(last));
    }
}

TEST_F(Versions, what_the_next_one_reads_does_not_grow_under_a_held_snapshot) {
  pg::Session session(dsn(), "test");
  const auto read = [&] { return pages_read(session, "SELECT lockkeeper.next_version(1)"); };
  read();
  const int before = read();
  pg::Session old(dsn(), "old");
  old.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
  session.script(
      "DO $$ BEGIN FOR i IN 1..10000 LOOP PERFORM lockkeeper.next_version(1); COMMIT; END LOOP; "
      "END $$");
  EXPECT_LE(read(), before + 10);
  EXPECT_EQ(value("SELECT lockkeeper.schema_version()"), "10003");
}

// With the lock off, the old rule remains: two leases.
TEST_F(Versions, without_the_lock_a_silent_node_is_waited_for_two_leases) {
  make_tables();
  as_owner("SELECT lockkeeper.set('mdl', 'off')");
  ManualNode follows(dsn(), "api-1");
  ManualNode silent(dsn(), "api-2", seconds(1));
  start_workers(2);
  silent.follow();
  std::jthread alive([&](const std::stop_token& stop) {
    // It lives, and loads nothing.
    while (!stop.stop_requested()) {
      silent.syncer.heartbeat();
      silent.session.wait_for_notification(milliseconds(200));
      silent.session.take_notifications();
    }
  });
  const auto job = submit(kTwoSteps);
  await("SELECT max(version) FROM lockkeeper.ddl_schema_diff", "1");
  follows.load();
  await("SELECT max(version) FROM lockkeeper.ddl_schema_diff", "2");
  follows.load();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT bool_and(later - made_at >= interval '2 s') FROM (SELECT made_at, "
                  "lead(made_at) OVER (ORDER BY version) AS later FROM lockkeeper.ddl_schema_diff) "
                  "AS d WHERE later IS NOT NULL"),
            "true");
}

}  // namespace
}  // namespace lockkeeper::test
