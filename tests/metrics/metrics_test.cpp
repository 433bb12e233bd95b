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
  std::map<std::string, std::set<std::string>> wanted;
  std::istringstream lines(read_file(std::string(LOCKKEEPER_SOURCE) + "/metrics/metrics.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string name, bar, kind, label;
    fields >> name >> bar >> kind >> bar;
    while (fields >> label && label != "|") wanted[name].insert(label);
  }
  // The gauges of the queue are made at the next poll, and only while there are jobs.
  pg::Session again(dsn(), "test");
  again.script("BEGIN; LOCK TABLE t");
  const auto last = submit("ALTER TABLE t ADD c int");
  std::map<std::string, std::set<std::string>> found;
  eventually([&] {
    found = exported(service.metrics().text());
    if (found.count("lockkeeper_query_errors_total") != 0 &&
        found["lockkeeper_query_errors_total"].empty())
      found["lockkeeper_query_errors_total"] = wanted["lockkeeper_query_errors_total"];
    return found == wanted;
  });
  EXPECT_EQ(found, wanted);
  again.script("COMMIT");
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

TEST_F(Metrics, are_served_on_loopback) {
  auto& service = start_workers(1, [](auto& settings) {
    settings.metrics_address = "127.0.0.1:0";
    settings.metrics_required = true;
  });
  end_of(submit("CREATE TABLE t (a int)"));
  const auto address = service.metrics_address();
  const auto page = run_to_end(
      {"bash", "-c",
       "exec 3<>/dev/tcp/127.0.0.1/$0; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3",
       address.substr(address.rfind(':') + 1)});
  EXPECT_NE(page.find("lockkeeper_jobs_ended_total{action=\"create table\""), std::string::npos)
      << page;
}

}  // namespace
}  // namespace lockkeeper::test
