#include "jobs/queue.hpp"

#include <set>

#include "sql/queries.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class JobsQueue : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    session = std::make_unique<pg::Session>(dsn(), "test");
    me = jobs::register_worker(*session, "me");
  }
  std::optional<jobs::Job> claim() {
    for (const char* pool : {jobs::kGeneral, jobs::kReorg}) {
      me.pool = pool;
      auto claimed = jobs::claim(*session, me);
      if (!claimed.empty()) return claimed.front();
    }
    return std::nullopt;
  }
  // Empty: it has ended.
  std::optional<jobs::NotEnded> finish(const jobs::Job& job) {
    try {
      session->script(jobs::end_well_text({job}, "[]", me, 0));
      return std::nullopt;
    } catch (const Error& error) {
      return jobs::not_ended(error).value();
    }
  }
  std::string dependency(JobId job) {
    return value("SELECT dependency_id FROM lockkeeper.jobs WHERE id = " + job.str());
  }
  std::unique_ptr<pg::Session> session;
  jobs::WorkerIdentity me;
};

TEST_F(JobsQueue, promise_1_a_job_is_in_the_queue_or_in_history) {
  const auto id = submit("CREATE TABLE t (a int)");
  const std::string places =
      "SELECT (SELECT count(*) FROM lockkeeper.ddl_job) || '+' || (SELECT "
      "count(*) FROM lockkeeper.ddl_history)";
  EXPECT_EQ(value(places), "1+0");
  const auto job = claim();
  ASSERT_TRUE(job);
  EXPECT_EQ(job->claim.job, id);
  {
    const pg::Transaction tx(*session);
    EXPECT_FALSE(finish(*job));
    EXPECT_EQ(value(places), "1+0");  // Not before the commit.
  }
  EXPECT_EQ(value(places), "1+0");
  EXPECT_FALSE(finish(*job));
  EXPECT_EQ(value(places), "0+1");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
}

TEST_F(JobsQueue, promise_2_only_the_last_claim_can_write) {
  submit("CREATE TABLE t (a int)");
  const auto first = claim();
  ASSERT_TRUE(first);
  EXPECT_FALSE(claim());
  session = std::make_unique<pg::Session>(dsn(), "test");  // The worker is gone, and its lock.
  me = jobs::register_worker(*session, "other");
  await(
      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1280014187 AND "
      "database = (SELECT oid FROM pg_database WHERE datname = current_database())",
      "1");
  ASSERT_EQ(jobs::reclaim_lost(*session, 3).size(), 1U);
  const auto second = claim();
  ASSERT_TRUE(second);
  EXPECT_GT(second->claim.epoch, first->claim.epoch);
  EXPECT_EQ(finish(*first), jobs::NotEnded::lost);
  EXPECT_FALSE(jobs::hand_back(*session, first->claim, {}, true, std::nullopt));
  EXPECT_FALSE(jobs::begin_outside(*session, first->claim, "x", "x", "{}", 0));
  EXPECT_FALSE(finish(*second));
}

TEST_F(JobsQueue, a_living_worker_keeps_its_jobs) {
  submit("CREATE TABLE t (a int)");
  ASSERT_TRUE(claim());
  pg::Session other(dsn(), "test");
  EXPECT_TRUE(jobs::reclaim_lost(other, 3).empty());
}

TEST_F(JobsQueue, promise_3_conflicting_jobs_run_in_id_order) {
  as_owner("CREATE TABLE a (x int); CREATE TABLE b (x int)");
  const auto first = submit("ALTER TABLE a ADD y int");
  const auto second = submit("ALTER TABLE public.A ADD z int");
  const auto other = submit("ALTER TABLE b ADD y int");
  EXPECT_EQ(dependency(second), first.str());
  EXPECT_EQ(dependency(other), "");
  const auto one = claim();
  ASSERT_TRUE(one);
  EXPECT_EQ(one->claim.job, first);
  const auto two = claim();
  ASSERT_TRUE(two);
  EXPECT_EQ(two->claim.job, other);  // Jobs that do not conflict run at once.
  EXPECT_FALSE(claim());
  finish(*one);
  const auto three = claim();
  ASSERT_TRUE(three);
  EXPECT_EQ(three->claim.job, second);
}

TEST_F(JobsQueue, promise_3_shared_jobs_run_together_and_do_not_overtake_an_exclusive_one) {
  as_owner("CREATE TABLE p (id int PRIMARY KEY)");
  const auto shared1 = submit("CREATE TABLE c1 (x int REFERENCES p)");
  const auto shared2 = submit("CREATE TABLE c2 (x int REFERENCES p)");
  const auto exclusive = submit("ALTER TABLE p ADD y int");
  const auto shared3 = submit("CREATE TABLE c3 (x int REFERENCES p)");
  const auto one = claim();
  const auto two = claim();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->claim.job, shared1);
  EXPECT_EQ(two->claim.job, shared2);
  EXPECT_FALSE(claim());
  EXPECT_EQ(dependency(shared3), exclusive.str());
  finish(*two);
  EXPECT_FALSE(claim());
  finish(*one);
  const auto three = claim();
  ASSERT_TRUE(three);
  EXPECT_EQ(three->claim.job, exclusive);
  EXPECT_FALSE(claim());
  finish(*three);
  const auto four = claim();
  ASSERT_TRUE(four);
  EXPECT_EQ(four->claim.job, shared3);
}

TEST_F(JobsQueue, dropping_a_schema_waits_for_what_is_inside) {
  as_owner("CREATE SCHEMA s; CREATE TABLE s.t (x int)");
  const auto inside = submit("ALTER TABLE s.t ADD y int");
  const auto drop = submit("DROP SCHEMA s");
  const auto later = submit("CREATE TABLE s.u (x int)");
  const auto elsewhere = submit("CREATE TABLE u (x int)");
  EXPECT_EQ(dependency(drop), inside.str());
  EXPECT_EQ(dependency(later), drop.str());
  EXPECT_EQ(dependency(elsewhere), "");
}

TEST_F(JobsQueue, a_barrier_waits_for_everything_and_everything_for_it) {
  const auto before = submit("CREATE TABLE a (x int)");
  const auto barrier = submit("DO $$ BEGIN NULL; END $$");
  const auto after = submit("CREATE TABLE b (x int)");
  EXPECT_EQ(dependency(barrier), before.str());
  EXPECT_EQ(dependency(after), barrier.str());
}

TEST_F(JobsQueue, an_index_belongs_to_its_table) {
  as_owner("CREATE TABLE a (x int); CREATE INDEX i ON a (x)");
  const auto first = submit("ALTER TABLE a ADD y int");
  EXPECT_EQ(dependency(submit("DROP INDEX i")), first.str());
}

TEST_F(JobsQueue, a_partition_waits_for_its_parent) {
  as_owner("CREATE TABLE p (x int) PARTITION BY RANGE (x); CREATE TABLE p1 PARTITION OF p DEFAULT");
  const auto parent = submit("ALTER TABLE p ADD y int");
  EXPECT_EQ(dependency(submit("ALTER TABLE p1 SET (fillfactor = 50)")), parent.str());
}

TEST_F(JobsQueue, names_are_resolved_by_the_search_path_and_the_queue) {
  as_owner("CREATE SCHEMA app; CREATE TABLE app.t (x int); CREATE TABLE public.t (x int)");
  const auto in_app = apply("SET search_path = app, public; ALTER TABLE t ADD y int").front();
  const auto in_public = submit("ALTER TABLE t ADD y int");
  EXPECT_EQ(dependency(in_public), "");
  EXPECT_EQ(dependency(submit("ALTER TABLE app.t ADD z int")), in_app.str());
  const auto queued = submit("CREATE TABLE app.fresh (x int)");
  EXPECT_EQ(dependency(apply("SET search_path = public, app; ALTER TABLE fresh ADD y int").front()),
            queued.str());
}

TEST_F(JobsQueue, a_user_function_in_a_select_is_a_barrier_and_a_built_in_one_is_not) {
  as_owner("CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS ''");
  submit("CREATE TABLE a (x int)");
  const auto built_in = submit("SELECT setval('lockkeeper.ddl_batch_id_seq', 5)");
  EXPECT_EQ(dependency(built_in), "");
  EXPECT_EQ(dependency(submit("SELECT fill()")), built_in.str());
}

TEST_F(JobsQueue, a_batch_runs_in_order) {
  const auto jobs = apply("CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int)");
  EXPECT_EQ(dependency(jobs[1]), jobs[0].str());
  EXPECT_EQ(dependency(jobs[2]), jobs[1].str());
}

TEST_F(JobsQueue, a_key_gives_the_first_job_again_also_after_its_end) {
  client::ApplyOptions options;
  options.submit.key = "release-7";
  const auto first = apply("CREATE TABLE a (x int); CREATE TABLE b (x int)", options);
  EXPECT_EQ(apply("CREATE TABLE a (x int); CREATE TABLE b (x int)", options), first);
  finish(*claim());
  EXPECT_EQ(apply("CREATE TABLE a (x int); CREATE TABLE b (x int)", options), first);
  finish(*claim());
  EXPECT_EQ(apply("CREATE TABLE a (x int); CREATE TABLE b (x int)", options), first);
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history"), "2");
}

TEST_F(JobsQueue, a_key_is_not_for_another_statement_nor_for_another_role) {
  execute("CREATE ROLE other_key LOGIN; SELECT lockkeeper.grant_use('other_key')");
  client::ApplyOptions options;
  options.submit.key = "release-8";
  const auto id = submit("CREATE TABLE t (a int)", options);
  EXPECT_EQ(submit("CREATE TABLE t (a int)", options), id);
  const auto refused = [&](const pg::Dsn& who, const char* sql) {
    try {
      client::Client(who).submit(sql, options);
      return std::string();
    } catch (const Error& error) {
      return error.sqlstate();
    }
  };
  EXPECT_EQ(refused(dsn(), "DROP TABLE t"), "23505");
  EXPECT_EQ(refused(dsn("other_key"), "CREATE TABLE t (a int)"), "23505");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "1");
  execute("DROP OWNED BY other_key; DROP ROLE other_key");
}

TEST_F(JobsQueue, priority_orders_only_what_is_ready) {
  client::ApplyOptions high;
  high.submit.priority = 1;
  submit("CREATE TABLE a (x int)");
  const auto urgent = submit("CREATE TABLE b (x int)", high);
  EXPECT_EQ(claim()->claim.job, urgent);
}

TEST_F(JobsQueue, a_job_that_waits_is_cancelled_at_once_and_frees_its_successors) {
  as_owner("CREATE TABLE a (x int)");
  const auto first = submit("ALTER TABLE a ADD y int");
  const auto second = submit("ALTER TABLE a ADD z int");
  const auto running = claim();
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + second.str() + ")"), "cancelled");
  const auto third = submit("ALTER TABLE a ADD w int");
  EXPECT_EQ(dependency(third), first.str());
  finish(*running);
  EXPECT_EQ(claim()->claim.job, third);
  EXPECT_EQ(error_of(second), "57014");
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + first.str() + ")"), "synced");
}

TEST_F(JobsQueue, a_running_job_that_is_cancelled_cannot_end_well) {
  const auto id = submit("CREATE TABLE a (x int)");
  const auto job = claim();
  EXPECT_EQ(value("SELECT lockkeeper.cancel(" + id.str() + ")"), "cancelling");
  EXPECT_EQ(finish(*job), jobs::NotEnded::stopping);
  EXPECT_EQ(jobs::standing_of(*session, job->claim), jobs::Standing::cancelling);
}

TEST_F(JobsQueue, a_job_that_is_not_there_is_told) {
  try {
    value("SELECT lockkeeper.cancel(4711)");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), "42704");
  }
}

TEST_F(JobsQueue, promise_4_versions_are_dense_and_one_with_their_job) {
  for (const char* sql :
       {"CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "CREATE TABLE c (x int)"})
    submit(sql);
  const auto one = claim();
  const auto two = claim();
  const auto three = claim();
  {
    const pg::Transaction tx(*session);
    finish(*one);
  }  // Rolled back: its number must not be lost.
  finish(*two);
  EXPECT_TRUE(jobs::fail(*session, three->claim, Report{"42601", "x", {}, {}, {}, {}, 0}));
  finish(*one);
  EXPECT_EQ(value("SELECT string_agg(version || ':' || job_id, ' ' ORDER BY version) FROM "
                  "lockkeeper.ddl_schema_diff"),
            "1:" + two->claim.job.str() + " 2:" + one->claim.job.str());
  EXPECT_EQ(value("SELECT version FROM lockkeeper.ddl_schema_version"), "2");
}

TEST_F(JobsQueue, footprints_follow_what_objects_rest_on) {
  as_owner(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TYPE mood AS ENUM ('a'); CREATE SEQUENCE "
      "sq; CREATE FUNCTION fd() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION tr() "
      "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
      "CREATE TABLE child (p int REFERENCES parent, m mood[], s int DEFAULT nextval('sq'), CHECK "
      "(fd() > 0)); CREATE TRIGGER g BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION tr();"
      "CREATE VIEW v1 AS SELECT s FROM child; CREATE MATERIALIZED VIEW mv AS SELECT s FROM v1;"
      "CREATE FUNCTION body() RETURNS int BEGIN ATOMIC SELECT id FROM parent; END;"
      "CREATE DOMAIN dm AS int CHECK (fd() > value)");
  // Each pair: the first must be done before the second can be; nothing but the catalog tells.
  const std::pair<const char*, const char*> pairs[] = {
      {"DROP VIEW v1", "ALTER TABLE child ALTER s TYPE bigint"},
      {"REFRESH MATERIALIZED VIEW mv", "ALTER TABLE child ADD x int"},
      {"ALTER TABLE child DROP m", "DROP TYPE mood"},
      {"ALTER TABLE child ALTER s DROP DEFAULT", "DROP SEQUENCE sq"},
      {"DROP TRIGGER g ON child", "DROP FUNCTION tr"},
      {"ALTER TABLE child DROP CONSTRAINT child_check", "DROP FUNCTION fd"},
      {"DROP FUNCTION body", "DROP TABLE parent"},
      {"DROP TABLE child", "DROP TABLE parent"},
      {"DROP DOMAIN dm", "DROP FUNCTION fd"}};
  for (const auto& [first, second] : pairs) {
    SCOPED_TRACE(std::string(first) + "; " + second);
    const auto before = submit(first);
    const auto after = submit(second);
    EXPECT_EQ(dependency(after), before.str());
    value("SELECT lockkeeper.cancel(" + after.str() + ")");
    value("SELECT lockkeeper.cancel(" + before.str() + ")");
  }
}

TEST_F(JobsQueue, the_graph_and_the_chain_are_those_of_the_queue) {
  as_owner("CREATE TABLE a (x int); CREATE TABLE b (x int)");
  const auto one = submit("ALTER TABLE a ADD y int");
  const auto two = apply("BEGIN; ALTER TABLE a ADD z int; ALTER TABLE b ADD z int; COMMIT").front();
  const auto three = submit("ALTER TABLE b ADD w int");
  const auto free = submit("CREATE TABLE c (x int)");
  client::Client client(dsn());
  std::string edges;
  for (const auto& node : client.graph())
    for (const auto& [before, object] : node.waits_for)
      edges += node.id.str() + "-" + before.str() + ":" + object + " ";
  EXPECT_EQ(edges, two.str() + "-" + one.str() + ":relation:public.a " + three.str() + "-" +
                       two.str() + ":relation:public.b ");
  // A job on b alone would wait for three and two directly, and through two for one.
  const auto chain = client.plan({"", "ALTER TABLE b ADD v int"}).front().footprint.waits_for;
  std::string text;
  for (const auto& link : chain) text += link.job.str() + "@" + std::to_string(link.distance) + " ";
  EXPECT_EQ(text, three.str() + "@1 " + two.str() + "@1 " + one.str() + "@2 ");
  EXPECT_EQ(state_of(free), "queueing");
}

TEST_F(JobsQueue, a_submission_reads_the_same_however_many_jobs_there_are) {
  pg::Session client(dsn(), "client");
  const auto submits = [&](const std::string& table) {
    client.script(
        R"(SELECT lockkeeper.enqueue('[{"action": "x", "statements": ["SELECT 1"],
             "settings": {}, "search_path": "public",
             "refs": [{"kind": "relation", "exclusive": true, "name": ")" +
        table + R"("}]}]', '{}'))");
  };
  submits("a");  // Its plans are of the time when the queue was empty.
  execute(
      "INSERT INTO lockkeeper.ddl_job_footprint SELECT 'relation:public.x_' || i, i, true, true "
      "FROM generate_series(1000, 5000) AS i");
  const pg::Transaction tx(client);
  submits("b");
  const auto read = client.script(
      "SELECT idx_tup_fetch + seq_tup_read AS rows FROM pg_stat_xact_user_tables WHERE relname = "
      "'ddl_job_footprint'");
  EXPECT_LT(read.front().integer("rows"), 100);
}

TEST_F(JobsQueue, jobs_that_have_nothing_to_do_with_each_other_end_side_by_side) {
  // Of objects beyond the 1024 stripes that there once were some have met.
  const pg::Transaction tx(*session);
  session->script(
      "SELECT lockkeeper.lock_objects(array_agg((1, 'relation:public.x_' || i, "
      "true)::lockkeeper.footprint_entry)) FROM generate_series(1, 400) AS i");
  pg::Session other(dsn(), "other");
  const pg::Transaction beside(other);
  EXPECT_NO_THROW(other.script(
      "SET LOCAL lock_timeout = '1s'; SELECT lockkeeper.lock_objects(array_agg((1, "
      "'relation:public.y_' || i, true)::lockkeeper.footprint_entry)) FROM generate_series(1, 400) "
      "AS i"));
  pg::Session third(dsn(), "third");
  const pg::Transaction same(third);
  EXPECT_THROW(third.script("SET LOCAL lock_timeout = '50ms'; SELECT lockkeeper.lock_keys("
                            "'{relation:public.y_7}', '{false}')"),
               Error);
}

TEST_F(JobsQueue, who_has_very_many_objects_has_them_alone) {
  const pg::Transaction tx(*session);
  session->script(
      "SELECT lockkeeper.lock_objects(array_agg((1, 'relation:public.x_' || i, "
      "true)::lockkeeper.footprint_entry)) FROM generate_series(1, 3000) AS i");
  EXPECT_EQ(value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid IN "
                  "(1280009593, 1280009594) AND database = (SELECT oid FROM pg_database WHERE "
                  "datname = current_database())"),
            "1");
  pg::Session other(dsn(), "other");
  const pg::Transaction beside(other);
  EXPECT_THROW(other.script("SET LOCAL lock_timeout = '50ms'; SELECT lockkeeper.lock_keys("
                            "'{relation:public.x_7}', '{false}')"),
               Error);
}

// Who was in a function of before when the locks became others holds nothing that others see.
TEST_F(JobsQueue, nothing_moves_under_the_locks_of_an_earlier_version) {
  for (const char* move :
       {"SELECT lockkeeper.hold_floor()", "SELECT lockkeeper.lower_waits('{}')"}) {
    try {
      session->script(move);
      FAIL() << move;
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), "40001");
    }
  }
}

TEST_F(JobsQueue, promise_11_whoever_waits_and_loses_the_connection_seeks_another_one) {
  client::Client client(dsn());
  const auto id = client.submit("CREATE TABLE t (a int)").id;
  int looks = 0, lost = 0;
  std::string last;
  const bool all = client.wait(
      {id},
      [&](const auto& jobs) {
        last = jobs.front()["state"];
        if (++looks == 1)
          execute(
              "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE "
              "application_name = 'lockkeeper' AND datname = current_database()");
        return true;
      },
      [&](const Error& error) {
        EXPECT_EQ(error.retry(), Retry::new_session);
        ++lost;
        start_workers();
      });
  EXPECT_TRUE(all);
  EXPECT_EQ(lost, 1);
  EXPECT_EQ(last, "synced");
}

TEST_F(JobsQueue, states_and_labels_are_those_of_the_code) {
  std::string labels;
  for (const auto label : jobs::kJobStateLabels)
    labels += (labels.empty() ? "" : ",") + std::string(label);
  EXPECT_EQ(value("SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE "
                  "enumtypid = 'lockkeeper.job_state'::regtype"),
            labels);
  const std::string page = read_file(std::string(LOCKKEEPER_SOURCE) + "/docs/state_machine.md");
  for (const auto& edge : jobs::kJobStateEdges) {
    const auto line = std::string(to_string(edge.from)) + " --> " + std::string(to_string(edge.to));
    EXPECT_NE(page.find(line), std::string::npos) << line;
  }
}

TEST_F(JobsQueue, every_query_can_be_prepared_by_the_owner) {
  // Running them is other tests' work; here each file of sql/ must at least fit the schema.
  for (const auto& query : sql::kAll) {
    SCOPED_TRACE(query.name);
    EXPECT_NO_THROW(session->script("PREPARE q AS " + std::string(query.text) + "; DEALLOCATE q"));
  }
}

}  // namespace
}  // namespace lockkeeper::test
