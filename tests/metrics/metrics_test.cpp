// The list in metrics/metrics.txt against what a working service exports, whole.
#include <map>
#include <set>
#include <sstream>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

class Metrics : public DatabaseTest {};

// name -> label names, from the exposition text.
std::map<std::string, std::set<std::string>> exported(const std::string& text) {
  std::map<std::string, std::set<std::string>> result;
  std::map<std::string, std::string> kinds;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, type, name, kind;
    if (line.rfind("# TYPE ", 0) == 0) {
      words >> hash >> type >> name >> kind;
      kinds[name] = kind;
      result[name];
    }
    if (line.empty() || line[0] == '#') continue;
    name = line.substr(0, line.find_first_of("{ "));
    for (const char* suffix : {"_bucket", "_sum", "_count"})
      if (const auto at = name.rfind(suffix);
          at != std::string::npos && kinds[name.substr(0, at)] == "histogram")
        name.erase(at);
    const auto open = line.find('{');
    if (open == std::string::npos) continue;
    std::size_t at = open + 1;
    while (at < line.size() && line[at] != '}') {
      const auto equals = line.find('=', at);
      const auto label = line.substr(at, equals - at);
      if (label != "le") result[name].insert(label);
      at = line.find('"', equals + 2) + 1;
      if (line[at] == ',') ++at;
    }
  }
  return result;
}

// The label names of a line of the list.
std::map<std::string, std::set<std::string>> listed() {
  std::map<std::string, std::set<std::string>> result;
  std::istringstream lines(read_file(std::string(LOCKKEEPER_SOURCE) + "/metrics/metrics.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string name, bar, kind, label;
    fields >> name >> bar >> kind >> bar;
    result[name];
    while (fields >> label && label != "|") result[name].insert(label);
  }
  return result;
}

std::string page_of(const std::string& address, const std::string& path) {
  return run_to_end({"bash", "-c",
                     "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET %s HTTP/1.0\r\n\r\n' $1 >&3; "
                     "cat <&3",
                     address.substr(address.rfind(':') + 1), path});
}

TEST_F(Metrics, all_that_is_listed_is_exported_and_nothing_else) {
  as_owner("CREATE TABLE t (a int)");
  auto& service = start_workers(2, [](auto& settings) {
    settings.poll = std::chrono::milliseconds(50);
    settings.tries_most = 1000;
  });
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; LOCK TABLE t");
  const auto job = submit("ALTER TABLE t ADD b int");
  await("SELECT tries > 0 FROM lockkeeper.jobs", "true");
  // A worker of another process dies with a job.
  as_owner("CREATE TABLE u (a int)");
  {
    pg::Session dying(dsn(), "test");
    const auto me = jobs::register_worker(dying, "dying");
    dying.script("BEGIN");
    const auto other = submit("ALTER TABLE u ADD b int");
    end_of(other);
    dying.script("ROLLBACK");
    dying.statement(
        "INSERT INTO lockkeeper.ddl_job (id, state, claimed_by, action, statements, role, "
        "search_path) "
        "VALUES (999, 'running', " +
        me.id.str() + ", 'create table', '{CREATE TABLE z (a int)}', 'keeper', '')");
    dying.statement("INSERT INTO lockkeeper.ddl_job_footprint VALUES ('x', 999, true, true)");
  }
  end_of(JobId{999});
  submit("DROP TABLE nope");
  holder.script("COMMIT");
  end_of(job);
  const auto wanted = listed();
  pg::Session node(dsn(), "test");
  node.statement(
      "SELECT lockkeeper.sync_node(lockkeeper.register_node('n', interval '1 hour', true), "
      "lockkeeper.schema_version(), true)");
  // The gauges of the queue are made at the next poll, and only while there are jobs.
  as_owner("ALTER TABLE lockkeeper.ddl_setting RENAME TO away");
  EXPECT_TRUE(eventually([&] {
    return service.metrics().text().find("\nlockkeeper_query_errors_total{") != std::string::npos;
  }));
  as_owner("ALTER TABLE lockkeeper.away RENAME TO ddl_setting");
  pg::Session again(dsn(), "test");
  again.script("BEGIN; LOCK TABLE t");
  const auto last = submit("ALTER TABLE t ADD c int");
  std::map<std::string, std::set<std::string>> found;
  eventually([&] {
    found = exported(service.metrics().text());
    return found == wanted;
  });
  EXPECT_EQ(found, wanted);
  again.script("COMMIT");
  node.statement("SELECT lockkeeper.remove_node((SELECT id FROM lockkeeper.nodes))");
  end_of(last);
}

TEST_F(Metrics, series_of_what_ended_vanish) {
  auto& service =
      start_workers(1, [](auto& settings) { settings.poll = std::chrono::milliseconds(50); });
  as_owner("CREATE TABLE t (a int)");
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; LOCK TABLE t");
  const auto job = submit("ALTER TABLE t ADD b int");
  const auto shows = [&] {
    return service.metrics().text().find("lockkeeper_jobs{") != std::string::npos;
  };
  EXPECT_TRUE(eventually(shows));
  holder.script("COMMIT");
  end_of(job);
  EXPECT_TRUE(eventually([&] { return !shows(); }));
}

// The value of the first series that begins with `series`; empty: there is none.
std::string value_in(const std::string& text, const std::string& series) {
  const auto at = text.find("\n" + series);
  if (at == std::string::npos) return {};
  const auto end = text.find('\n', at + 1);
  return text.substr(text.rfind(' ', end) + 1, end - text.rfind(' ', end) - 1);
}

TEST_F(Metrics, say_what_holds_jobs_up_and_for_how_long) {
  auto& service =
      start_workers(1, [](auto& settings) { settings.poll = std::chrono::milliseconds(50); });
  as_owner("CREATE TABLE t (a int); CREATE TABLE u (a int)");
  const auto shows = [&](const std::string& metric, const std::string& cause) {
    return eventually([&] {
      const auto found =
          value_in(service.metrics().text(), "lockkeeper_" + metric + "{cause=\"" + cause + "\"");
      return !found.empty() && found != "0";
    });
  };
  pg::Session holder(dsn(), "test");
  holder.script("BEGIN; LOCK TABLE t");
  const auto locked = submit("ALTER TABLE t ADD b int");
  const auto behind = submit("ALTER TABLE t ADD c int");
  EXPECT_TRUE(shows("jobs_blocked", "lock"));
  EXPECT_TRUE(shows("blocked_oldest_seconds", "lock"));
  EXPECT_TRUE(shows("blocked_seconds_total", "lock"));
  EXPECT_TRUE(shows("blocker_seconds", "lock"));
  EXPECT_TRUE(shows("jobs_blocked", "dependency"));
  as_owner("SELECT lockkeeper.set('queue', 'paused')");
  const auto stopped = submit("ALTER TABLE u ADD b int");
  EXPECT_TRUE(shows("jobs_blocked", "queue"));
  as_owner("SELECT lockkeeper.set('queue', 'running')");
  holder.script("COMMIT");
  ends_of({locked, behind, stopped});
  // A node that does not listen.
  pg::Session node(dsn(), "test");
  node.statement(
      "SELECT lockkeeper.sync_node(lockkeeper.register_node('n', interval '1 hour', "
      "true), lockkeeper.schema_version(), true)");
  const auto done = submit("ALTER TABLE u ADD c int");
  EXPECT_TRUE(shows("jobs_blocked", "node"));
  EXPECT_TRUE(eventually(
      [&] { return value_in(service.metrics().text(), "lockkeeper_node_lag_versions") == "1"; }));
  node.statement("SELECT lockkeeper.remove_node((SELECT id FROM lockkeeper.nodes))");
  EXPECT_EQ(end_of(done), "synced");
}

TEST_F(Metrics, of_a_server_that_is_gone_say_nothing) {
  auto& service =
      start_workers(1, [](auto& settings) { settings.poll = std::chrono::milliseconds(50); });
  const auto series = [&](const std::string& name) {
    return value_in(service.metrics().text(), "lockkeeper_" + name + "{");
  };
  EXPECT_TRUE(eventually([&] { return !series("schema_version").empty(); }));
  // Nobody may come back for a while.
  execute("ALTER ROLE " + std::string(kOwner) + " CONNECTION LIMIT 0");
  execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
      "'lockkeeper %' AND datname = '" +
      database_ + "'");
  EXPECT_TRUE(eventually([&] { return series("database_connected") == "0"; }));
  EXPECT_EQ(series("schema_version"), "");
  execute("ALTER ROLE " + std::string(kOwner) + " CONNECTION LIMIT -1");
  EXPECT_TRUE(eventually([&] { return !series("schema_version").empty(); }));
  EXPECT_NE(series("connections_lost_total"), "0");
}

TEST_F(Metrics, health_and_readiness_are_told_apart) {
  auto& service = start_workers(1, [](auto& settings) {
    settings.metrics_address = "127.0.0.1:0";
    settings.metrics_required = true;
  });
  const auto status = [&](const std::string& path) {
    return page_of(service.metrics_address(), path).substr(9, 3);
  };
  EXPECT_TRUE(eventually([&] { return status("/readyz") == "200"; }));
  EXPECT_EQ(status("/healthz"), "200");
  EXPECT_EQ(status("/nope"), "404");
  EXPECT_EQ(status("/"), "200");
  execute("ALTER ROLE " + std::string(kOwner) + " CONNECTION LIMIT 0");
  execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
      "'lockkeeper %' AND datname = '" +
      database_ + "'");
  EXPECT_TRUE(eventually([&] { return status("/readyz") == "503"; }));
  EXPECT_NE(page_of(service.metrics_address(), "/readyz").find("not connected"), std::string::npos);
  EXPECT_EQ(status("/healthz"), "200");
  execute("ALTER ROLE " + std::string(kOwner) + " CONNECTION LIMIT -1");
  EXPECT_TRUE(eventually([&] { return status("/readyz") == "200"; }));
}

TEST_F(Metrics, strangers_who_are_silent_keep_nobody_from_the_pages) {
  auto& service = start_workers(1, [](auto& settings) {
    settings.metrics_address = "127.0.0.1:0";
    settings.metrics_required = true;
  });
  const auto port = service.metrics_address().substr(10);
  const auto shell = [&](const std::string& script) {
    return run_to_end({"bash", "-c", script, port});
  };
  EXPECT_TRUE(eventually(
      [&] { return page_of(service.metrics_address(), "/readyz").substr(9, 3) == "200"; }));
  // A hundred connections that say nothing, then somebody who asks.
  const auto page = shell(
      "for i in $(seq 100); do eval \"exec $((i + 10))<>/dev/tcp/127.0.0.1/$0\"; done; "
      "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3; cat <&3");
  EXPECT_EQ(page.substr(9, 3), "200") << page;
  const auto ask = [&](const std::string& text) {
    return shell("exec 3<>/dev/tcp/127.0.0.1/$0; printf '" + text + "' >&3; cat <&3").substr(9, 3);
  };
  EXPECT_EQ(ask("nonsense\\r\\n\\r\\n"), "400");
  EXPECT_EQ(ask("DELETE /metrics HTTP/1.0\\r\\n\\r\\n"), "405");
}

// Two databases of one name, on two servers: their series are told apart.
TEST_F(Metrics, databases_of_one_name_have_labels_of_their_own) {
  auto& service = start_workers(1, [&](auto& settings) {
    settings.dsns = {dsn().conninfo(), "host=/nowhere dbname=" + database_};
  });
  EXPECT_TRUE(eventually([&] {
    const auto text = service.metrics().text();
    return text.find("lockkeeper_database_connected{database=\"" + database_ + "@") !=
               std::string::npos &&
           text.find("database=\"" + database_ + "@/nowhere") != std::string::npos;
  }));
  EXPECT_EQ(service.metrics().text().find("database=\"" + database_ + "\""), std::string::npos);
}

TEST_F(Metrics, are_served_on_loopback) {
  auto& service = start_workers(1, [](auto& settings) {
    settings.metrics_address = "127.0.0.1:0";
    settings.metrics_required = true;
  });
  end_of(submit("CREATE TABLE t (a int)"));
  // The tables may say so before the worker has counted it.
  EXPECT_TRUE(eventually([&] {
    return page_of(service.metrics_address(), "/metrics")
               .find("lockkeeper_jobs_ended_total{action=\"create table\"") != std::string::npos;
  }));
}

}  // namespace
}  // namespace lockkeeper::test
