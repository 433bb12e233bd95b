// Promise 5, as an application lives it: eight processes read and write by a schema that they have
// cached, while two hundred jobs change it, and workers, nodes and the server die. The checker
// looks at the logs of the nodes and at the schema diffs: no use of a table by a live node lasts
// into the second version after its own, no statement of a live node fails for the schema, no
// committed row is lost. LOCKKEEPER_NODES_JOBS: so many jobs.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>

#include "pg/quote.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

using std::chrono::milliseconds;

constexpr int kNodes = 8;
constexpr int kTables = 5;
constexpr int kLeaseMs = 2000;

struct Findings {
  std::vector<std::string> late;    ///< uses that lasted too long
  std::vector<std::string> failed;  ///< statements
  std::map<std::string, long> rows;
  int uses = 0;
};

class Nodes : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    for (int t = 0; t < kTables; ++t)
      as_owner("CREATE TABLE " + table(t) + " (id bigserial, a int NOT NULL DEFAULT 0, b text)");
    if (const char* wanted = std::getenv("LOCKKEEPER_NODES_JOBS"); wanted != nullptr)
      jobs_ = std::stoi(wanted);
  }
  void TearDown() override {
    nodes_.clear();
    workers_.clear();
    DatabaseTest::TearDown();
  }

  static std::string table(int t) { return "t" + std::to_string(t); }
  int below(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most)); }
  std::string log_of(int node) { return folder_.path() + "/node" + std::to_string(node); }

  void start_node(int n) {
    nodes_[n] = std::make_unique<ChildProcess>(
        std::vector<std::string>{LOCKKEEPER_NODE_PROGRAM, dsn().conninfo(),
                                 "node " + std::to_string(n), log_of(n), std::to_string(random_()),
                                 std::to_string(kLeaseMs)},
        ChildOptions{});
  }
  void start_all() {
    for (int n = 0; n < kNodes; ++n) start_node(n);
    for (int w = 0; w < 2; ++w) workers_.push_back(std::make_unique<WorkerProcess>(dsn()));
    await("SELECT count(*) FROM lockkeeper.ddl_node WHERE version >= 0", std::to_string(kNodes));
  }

  // Of columns that other jobs may have made or dropped meanwhile: some fail, and are told why.
  std::string any_change() {
    const std::string alter = "ALTER TABLE " + table(below(kTables)) + " ";
    const std::string column = "c" + std::to_string(below(4));
    switch (below(9)) {
      case 0:
      case 1:
        return alter + "ADD COLUMN " + column + " int";
      case 2:
        return alter + "ADD COLUMN " + column + " int NOT NULL DEFAULT 1";
      case 3:
      case 4:
      case 5:
        return alter + "DROP COLUMN " + column;
      case 6:
        return alter + "ALTER COLUMN a TYPE " + (below(2) == 0 ? "bigint" : "int");
      case 7:
        return "CREATE INDEX ON " + table(below(kTables)) + " (a)";
      default:
        return alter + "ALTER COLUMN " + column + " SET DEFAULT 7";
    }
  }

  void something_dies(int turn) {
    if (turn % 17 == 3) {
      workers_[static_cast<std::size_t>(below(2))]->process().signal(SIGKILL);
      workers_.erase(std::remove_if(workers_.begin(), workers_.end(),
                                    [](auto& worker) {
                                      return worker->process().wait(milliseconds(50)).has_value();
                                    }),
                     workers_.end());
      while (workers_.size() < 2) workers_.push_back(std::make_unique<WorkerProcess>(dsn()));
    }
    if (turn % 13 == 5) {
      const int node = below(kNodes);
      nodes_[node]->signal(SIGKILL);
      nodes_[node]->wait(std::chrono::seconds(10));
      start_node(node);
    }
    if (turn % 29 == 11) stop_one_beyond_its_lease();
    if (turn == jobs_ / 2) server().crash_and_restart();
  }

  // Until the others have forgotten it: then it goes on, and must notice.
  void stop_one_beyond_its_lease() {
    const int node = below(kNodes);
    const std::string name = "'node " + std::to_string(node) + "'";
    await("SELECT count(*) > 0 FROM lockkeeper.ddl_node WHERE version >= 0 AND name = " + name,
          "true");
    nodes_[node]->signal(SIGSTOP);
    await(
        "SELECT coalesce(max(lease_until) < clock_timestamp(), true) FROM lockkeeper.ddl_node "
        "WHERE name = " +
            name,
        "true");
    nodes_[node]->signal(SIGCONT);
  }

  void steer(JobId job) {
    const auto verb = below(12);
    try {
      if (verb == 0) as_owner("SELECT lockkeeper.cancel(" + job.str() + ")");
      if (verb == 1)
        as_owner("SELECT lockkeeper.pause(" + job.str() + "); SELECT lockkeeper.resume(" +
                 job.str() + ")");
    } catch (const Error&) {  // It has ended meanwhile.
    }
  }

  std::vector<JobId> run_jobs() {
    std::vector<JobId> jobs;
    for (int turn = 0; turn < jobs_; ++turn) {
      const auto change = any_change();
      jobs.push_back(JobId{std::stoll(
          value_of_owner("SELECT lockkeeper.submit(" + pg::quote_literal(change) + ")"))});
      steer(jobs.back());
      something_dies(turn);
      await("SELECT count(*) < 6 FROM lockkeeper.ddl_job", "true");
    }
    ends_of(jobs);
    return jobs;
  }

  std::string value_of_owner(const std::string& sql) {
    for (;;) {
      try {
        if (!submitter_ || submitter_->broken())
          submitter_ = std::make_unique<pg::Session>(dsn(), "submitter");
        return submitter_->script("SELECT (" + sql + ")::text AS value").front().text("value");
      } catch (const Error& error) {
        if (error.retry() == Retry::never) throw;
      }
    }
  }

  Findings check() {
    std::map<std::string, std::vector<std::pair<long, long>>> versions;  // and when, by table
    pg::Session session(server().dsn(database_), "checker");
    for (const auto row : session.statement(
             "SELECT d.version, (extract(epoch FROM d.made_at) * 1000000)::bigint AS at, "
             "substr(o, 17) AS name FROM lockkeeper.ddl_schema_diff AS d, unnest(d.objects) AS o "
             "WHERE o LIKE 'relation:public.%' ORDER BY 1"))
      versions[row.text("name")].push_back({row.integer("version"), row.integer("at")});
    Findings found;
    for (int n = 0; n < kNodes; ++n) {
      std::ifstream log(log_of(n));
      for (std::string line; std::getline(log, line);) {
        std::istringstream words(line);
        std::string what;
        std::string name;
        long version = 0;
        words >> what >> name >> version;
        if (what == "fail") found.failed.push_back(line);
        if (what != "use") continue;
        long begin = 0;
        long end = 0;
        long rows = 0;
        // The last line of one that was killed may be half.
        if (!(words >> begin >> end >> rows)) continue;
        ++found.uses;
        found.rows[name] += rows;
        const auto& made = versions[name];
        const auto next = std::find_if(made.begin(), made.end(),
                                       [&](const auto& one) { return one.first > version; });
        if (next == made.end() || next + 1 == made.end()) continue;
        if ((next + 1)->second < end) found.late.push_back(line);
      }
    }
    return found;
  }

  void stop_all() {
    for (auto& [n, node] : nodes_) node->signal(SIGTERM);
    for (auto& [n, node] : nodes_) node->wait(std::chrono::seconds(20));
    workers_.clear();
  }

  int jobs_ = 200;
  TemporaryDirectory folder_;
  std::mt19937 random_{42};
  std::map<int, std::unique_ptr<ChildProcess>> nodes_;
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
  std::unique_ptr<pg::Session> submitter_;
};

TEST_F(Nodes, promise_5_no_live_node_is_more_than_one_version_behind) {
  start_all();
  const auto jobs = run_jobs();
  stop_all();
  const auto found = check();
  std::cout << found.uses << " transactions of " << kNodes << " nodes, "
            << value("SELECT max(version) FROM lockkeeper.ddl_schema_diff") << " versions; "
            << value(
                   "SELECT string_agg(n, ', ' ORDER BY n) FROM (SELECT count(*) || ' ' || action "
                   "|| ' ' || state AS n FROM lockkeeper.ddl_history GROUP BY action, state) AS h")
            << std::endl;
  EXPECT_GT(found.uses, jobs_);
  EXPECT_TRUE(found.late.empty()) << found.late.size() << ": " << found.late.front();
  EXPECT_TRUE(found.failed.empty()) << found.failed.size() << ": " << found.failed.front();
  for (const auto& [name, rows] : found.rows)
    EXPECT_GE(std::stol(value("SELECT count(*) FROM " + name)), rows) << name;
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_mdl_info"), "0");
  EXPECT_EQ(value("SELECT count(*) = max(version) FROM lockkeeper.ddl_schema_diff"), "true");
  // Enough of it was real: most kinds of changes went through.
  EXPECT_GT(std::stoi(value("SELECT count(*) FROM lockkeeper.ddl_history WHERE state = 'synced'")),
            static_cast<int>(jobs.size()) / 4);
}

// The checker can fail: without the wait it does.
TEST_F(Nodes, the_checker_finds_a_wait_that_is_left_out) {
  jobs_ = std::min(jobs_, 60);
  execute(
      "CREATE OR REPLACE FUNCTION lockkeeper.begin_wait(job lockkeeper.ddl_job, made_version "
      "bigint, touched text[], is_final boolean) RETURNS void LANGUAGE sql AS $$ SELECT "
      "pg_notify('lockkeeper_version', made_version::text) $$");
  start_all();
  for (int turn = 0; turn < jobs_; ++turn) {
    submit(any_change());
    await("SELECT count(*) < 6 FROM lockkeeper.ddl_job", "true");
  }
  await("SELECT count(*) FROM lockkeeper.ddl_job", "0");
  stop_all();
  const auto found = check();
  EXPECT_FALSE(found.late.empty() && found.failed.empty());
}

}  // namespace
}  // namespace lockkeeper::test
