// What goes is announced; life and death of nodes (promises 5, 7).
#include <thread>

#include "base/testpoint.hpp"
#include "versions/versions.hpp"

namespace lockkeeper::test {
namespace {

class VersionsNodes : public Versions {};

// What goes, goes in public.

TEST_F(VersionsNodes, a_column_is_announced_before_it_is_dropped) {
  as_owner("CREATE TABLE t (a int, b int NOT NULL); CREATE TABLE u (a int)");
  ManualNode node(dsn());
  start_workers();
  const auto columns = [&] {
    return value(
        "SELECT string_agg(name || CASE WHEN readable THEN ' r' ELSE ' -' END || CASE WHEN "
        "writable THEN 'w' ELSE '-' END, ', ') FROM lockkeeper.columns_of('public.t')");
  };
  EXPECT_EQ(columns(), "a rw, b rw");
  const auto job = submit("ALTER TABLE t DROP COLUMN b");
  await_wait("node api-1");
  EXPECT_EQ(columns(), "a rw, b -w");
  EXPECT_THROW(as_owner("INSERT INTO t (a) VALUES (1)"), Error);
  node.follow();
  await("SELECT schema_state FROM lockkeeper.ddl_job", "delete only");
  EXPECT_EQ(columns(), "a rw, b --");
  as_owner("INSERT INTO t (a) VALUES (1)");
  await_wait("node api-1");
  node.follow();
  await_state(job, "done");
  EXPECT_EQ(columns(), "a rw");
  node.follow();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT string_agg(state_from || ' > ' || state_to, ', ' ORDER BY version) FROM "
                  "lockkeeper.ddl_schema_diff"),
            "public > write only, write only > delete only, delete only > none");
}

TEST_F(VersionsNodes, without_nodes_nothing_is_announced) {
  as_owner("CREATE TABLE t (a int, b int NOT NULL)");
  start_workers();
  EXPECT_EQ(end_of(submit("ALTER TABLE t DROP COLUMN b")), "synced");
  EXPECT_EQ(end_of(submit("DROP TABLE t")), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_schema_diff"), "2");
}

TEST_F(VersionsNodes, promise_7_the_drop_of_a_column_is_cancelled_whole_or_not_at_all) {
  as_owner("CREATE TABLE t (a int, b int NOT NULL)");
  ManualNode node(dsn());
  start_workers();
  const auto early = submit("ALTER TABLE t DROP COLUMN b");
  await_wait("node api-1");
  run_command({"cancel", early.str(), "--dsn", dsn().conninfo()});
  await("SELECT schema_state FROM lockkeeper.ddl_job", "public");
  node.follow();
  EXPECT_EQ(end_of(early), "rollback done");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.hidden"), "0");
  // From "delete only" on rows are written without it.
  const auto late = submit("ALTER TABLE t DROP COLUMN b");
  await_wait("node api-1");
  node.follow();
  await("SELECT schema_state FROM lockkeeper.ddl_job", "delete only");
  await_wait("node api-1");
  as_owner("INSERT INTO t (a) VALUES (1)");
  run_command({"cancel", late.str(), "--dsn", dsn().conninfo()});
  node.follow();
  await_state(late, "done");
  node.follow();
  EXPECT_EQ(end_of(late), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM information_schema.columns WHERE table_name = 't'"), "1");
}

TEST_F(VersionsNodes, promise_7_a_column_that_cannot_be_dropped_is_not_even_announced) {
  as_owner("CREATE TABLE t (a int, b int NOT NULL); CREATE VIEW v AS SELECT b FROM t");
  const auto before = shape();
  ManualNode node(dsn());
  start_workers();
  const auto job = submit("ALTER TABLE t DROP COLUMN b");
  EXPECT_EQ(end_of(job), "cancelled");
  EXPECT_EQ(error_of(job), "2BP01");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_schema_diff"), "0");
  EXPECT_EQ(shape(), before);
}

TEST_F(VersionsNodes, promise_7_a_drop_that_fails_after_all_is_taken_back_as_far_as_rows_allow) {
  for (const bool written : {false, true}) {
    as_owner("DROP TABLE IF EXISTS t CASCADE; CREATE TABLE t (a int, b int NOT NULL)");
    const auto last = std::stoi("0" + value("SELECT max(version) FROM lockkeeper.ddl_schema_diff"));
    ManualNode node(dsn());
    start_workers();
    const auto job = submit("ALTER TABLE t DROP COLUMN b");
    await_wait("node api-1");
    node.follow();
    await("SELECT schema_state FROM lockkeeper.ddl_job", "delete only");
    as_owner("CREATE VIEW v AS SELECT b FROM t");
    if (written) as_owner("INSERT INTO t (a) VALUES (1)");
    for (int more = 2; more <= 4; ++more) {
      await("SELECT max(version) FROM lockkeeper.ddl_schema_diff", std::to_string(last + more));
      node.follow();
    }
    EXPECT_EQ(end_of(job), "rollback done");
    EXPECT_EQ(error_of(job), "2BP01");
    EXPECT_EQ(value("SELECT attnotnull FROM pg_attribute WHERE attname = 'b' AND attrelid = "
                    "'t'::regclass"),
              written ? "false" : "true");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.hidden"), "0");
    stop_workers();
  }
}

TEST_F(VersionsNodes, a_table_is_announced_before_it_is_dropped) {
  as_owner("CREATE TABLE t (a int); CREATE TABLE \"U u\" (a int)");
  ManualNode node(dsn());
  start_workers();
  const auto job = submit("DROP TABLE t, \"U u\"");
  await_wait("node api-1");
  EXPECT_EQ(value("SELECT string_agg(relation::text, ', ' ORDER BY relation::text) FROM "
                  "lockkeeper.hidden"),
            "\"U u\", t");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.columns_of('public.t')"), "0");
  EXPECT_EQ(value("SELECT to_regclass('t') IS NOT NULL"), "true");
  node.follow();
  await_state(job, "done");
  node.follow();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(affected(job),
            "relation:public.\"U u\" relation:public.\"U u\" same, relation:public.t "
            "relation:public.t same, relation:public.\"U u\" -, relation:public.t -");
}

TEST_F(VersionsNodes, what_a_node_uses_is_announced_also_right_after_it_came) {
  as_owner("CREATE TABLE t (a int, b int)");
  start_workers();
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD c int")), "synced");
  ManualNode node(dsn());
  const auto job = submit("ALTER TABLE t DROP COLUMN b");
  await_wait("node api-1");
  EXPECT_EQ(value("SELECT schema_state FROM lockkeeper.ddl_job"), "write only");
  run_command({"cancel", job.str(), "--dsn", dsn().conninfo()});
  await("SELECT schema_state FROM lockkeeper.ddl_job", "public");
  node.follow();
  EXPECT_EQ(end_of(job), "rollback done");
}

TEST_F(VersionsNodes, a_drop_that_a_node_overtook_is_announced_to_it) {
  as_owner("CREATE TABLE t (a int, b int)");
  std::unique_ptr<ManualNode> node;
  testpoint::set_hook([&](const std::string& name) {
    if (name == "before_commit" && !node) node = std::make_unique<ManualNode>(dsn());
  });
  start_workers(1);
  const auto job = submit("ALTER TABLE t DROP COLUMN b");
  await_wait("node api-1");
  EXPECT_EQ(value("SELECT schema_state FROM lockkeeper.ddl_job"), "write only");
  node->follow();
  await("SELECT schema_state FROM lockkeeper.ddl_job", "delete only");
  node->follow();
  await_state(job, "done");
  node->follow();
  EXPECT_EQ(end_of(job), "synced");
}

// Life and death of nodes.

TEST_F(VersionsNodes, a_node_whose_lease_is_over_is_fenced_and_holds_nobody_up) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode silent(dsn(), "silent", seconds(1));
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  EXPECT_EQ(end_of(job), "synced");
  for (const auto& call : std::vector<std::function<void()>>{
           [&] { silent.syncer.heartbeat(); }, [&] { silent.load(); },
           [&] {
             silent.syncer.acknowledge({{job, 1, {}}});
           }}) {
    try {
      call();
      ADD_FAILURE() << "it is not fenced";
    } catch (const Error& error) {
      EXPECT_EQ(error.sqlstate(), versions::kFenced);
    }
  }
  EXPECT_FALSE(silent.session.broken());
  EXPECT_EQ(silent.syncer.init("silent", seconds(60)), 1);
}

TEST_F(VersionsNodes, a_node_whose_connection_is_gone_has_a_moment_to_come_back) {
  as_owner("CREATE TABLE t (a int); SELECT lockkeeper.set('node_grace_ms', '600000')");
  auto node = std::make_unique<ManualNode>(dsn(), "api-1");
  const auto id = node->syncer.node();
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await_state(job, "done");
  node.reset();
  await("SELECT gone_since IS NOT NULL FROM lockkeeper.ddl_node", "true");
  pg::Session session(dsn(), "again");
  versions::Syncer syncer(session);
  EXPECT_EQ(syncer.restart(id), 1);
  EXPECT_EQ(value("SELECT gone_since FROM lockkeeper.ddl_node"), "");
  EXPECT_EQ(state_of(job), "done");
  syncer.acknowledge(syncer.update_self_version(1));
  EXPECT_EQ(end_of(job), "synced");
}

TEST_F(VersionsNodes, a_node_that_does_not_come_back_is_not_waited_for) {
  as_owner("CREATE TABLE t (a int)");
  auto node = std::make_unique<ManualNode>(dsn(), "api-1");
  const auto id = node->syncer.node();
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await_state(job, "done");
  node.reset();
  EXPECT_EQ(end_of(job), "synced");
  pg::Session session(dsn(), "too late");
  EXPECT_THROW(versions::Syncer(session).restart(id), Error);
}

// As a driver without autocommit leaves it.
TEST_F(VersionsNodes, an_open_transaction_of_a_node_keeps_it_alive_no_longer_than_its_lease) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode careless(dsn(), "careless", seconds(1));
  careless.session.script("BEGIN");
  careless.syncer.heartbeat();
  start_workers();
  EXPECT_EQ(end_of(submit("ALTER TABLE t ADD b int")), "synced");
}

TEST_F(VersionsNodes, the_owner_of_the_queue_fences_any_node) {
  as_owner("CREATE TABLE t (a int); CREATE TABLE u (a int)");
  execute("CREATE ROLE squatter LOGIN");
  as_owner("SELECT lockkeeper.grant_use('squatter')");
  {
    ManualNode node(dsn("squatter"), "squatter");
    start_workers();
    const auto job = submit("ALTER TABLE t ADD b int");
    await_state(job, "done");
    const auto id = std::to_string(node.syncer.node());
    EXPECT_EQ(run_command({"nodes", "--remove", id, "--dsn", dsn().conninfo()}).code, 0);
    EXPECT_EQ(end_of(job), "synced");
    EXPECT_EQ(run_command({"nodes", "--remove", id, "--dsn", dsn().conninfo()}).code, 1);
    EXPECT_THROW(node.syncer.heartbeat(), Error);
    for (const char* name : {"", "a\nb", "\x1b[31m"})
      EXPECT_THROW(versions::Syncer(node.session).init(name, seconds(9)), Error) << name;
    EXPECT_THROW(versions::Syncer(node.session).init("long", seconds(3601)), Error);
  }
  execute("DROP OWNED BY squatter; DROP ROLE squatter");
}

TEST_F(VersionsNodes, a_node_that_says_goodbye_is_not_waited_for) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode node(dsn());
  start_workers();
  const auto job = submit("ALTER TABLE t ADD b int");
  await_state(job, "done");
  node.syncer.remove_self();
  EXPECT_EQ(end_of(job), "synced");
  EXPECT_EQ(value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = "
                  "1280011887"),
            "0");
}

TEST_F(VersionsNodes, a_node_that_is_too_far_behind_is_told_to_load_everything) {
  as_owner("CREATE TABLE t (a int)");
  ManualNode node(dsn());
  start_workers();
  for (const char* sql : {"ALTER TABLE t ADD b int", "ALTER TABLE t ADD c int"}) {
    const auto job = submit(sql);
    await_state(job, "done");
    node.follow();
    EXPECT_EQ(end_of(job), "synced");
  }
  as_owner(
      "UPDATE lockkeeper.ddl_schema_diff SET made_at = now() - interval '8 days' WHERE version = 1;"
      "SELECT lockkeeper.purge_diffs(100)");
  EXPECT_EQ(node.syncer.changes_since(1).size(), 1U);
  EXPECT_TRUE(node.syncer.changes_since(2).empty());
  try {
    node.syncer.changes_since(0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.sqlstate(), versions::kTooOld);
  }
}

TEST_F(VersionsNodes, a_node_of_one_role_cannot_speak_for_one_of_another) {
  as_owner("CREATE TABLE t (a int)");
  execute("CREATE ROLE node_user LOGIN");
  as_owner("SELECT lockkeeper.grant_use('node_user')");
  ManualNode node(dsn());
  pg::Session other(dsn("node_user"), "other");
  versions::Syncer syncer(other);
  EXPECT_THROW(syncer.restart(node.syncer.node()), Error);
  EXPECT_THROW(other.script("SELECT * FROM lockkeeper.ddl_node"), Error);
  // And yet it can be one itself, and see who holds up what.
  EXPECT_EQ(syncer.init("mine", seconds(60)), 0);
  EXPECT_TRUE(versions::blockers(other, std::nullopt).empty());
  other.script("SELECT lockkeeper.remove_node(" + std::to_string(syncer.node()) + ")");
  execute("DROP OWNED BY node_user; DROP ROLE node_user");
}

}  // namespace
}  // namespace lockkeeper::test
