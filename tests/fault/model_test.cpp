// A model of the queue with a rule of its own: random jobs over random objects, 10 workers in 3
// processes that are killed at random, cancels, pauses, barriers. Afterwards the checker looks at
// nothing but what the tables say: order, mutual exclusion, nothing lost, nothing done twice,
// nothing starved, no deadlock. Seeds: LOCKKEEPER_MODEL_SEEDS (a hundred: scripts/model).
#include <algorithm>
#include <csignal>
#include <random>
#include <set>

#include "support/testbed.hpp"

namespace lockkeeper::test {
namespace {

constexpr int kTables = 12;
constexpr int kJobs = 300;

/// What a job was to do, as the test knows it: not as the product filed it.
struct Meant {
  std::set<int> exclusive;
  std::set<int> shared;
  bool barrier = false;
};

bool conflict(const Meant& a, const Meant& b) {
  if (a.barrier || b.barrier) return true;
  const auto meets = [](const std::set<int>& x, const std::set<int>& y) {
    return std::any_of(x.begin(), x.end(), [&](int i) { return y.count(i) != 0; });
  };
  return meets(a.exclusive, b.exclusive) || meets(a.exclusive, b.shared) ||
         meets(a.shared, b.exclusive);
}

class Model : public DatabaseTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    for (int t = 0; t < kTables; ++t)
      as_owner("CREATE TABLE t" + std::to_string(t) + " (id int PRIMARY KEY)");
    random_.seed(static_cast<unsigned>(GetParam()));
  }

  int below(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most)); }

  // A transaction that proves that it ran, once: the table done_<n>.
  std::string text_of(const Meant& meant, int n) {
    const std::string number = std::to_string(n);
    std::string text = "BEGIN; CREATE TABLE done_" + number + " (a int);";
    if (meant.barrier) text += "DO $$ BEGIN PERFORM 1; END $$;";
    for (const int t : meant.exclusive)
      text += "ALTER TABLE t" + std::to_string(t) + " ALTER id SET STATISTICS " + number + ";";
    for (const int t : meant.shared)
      text += "CREATE TABLE v_" + number + "_" + std::to_string(t) + " (LIKE t" +
              std::to_string(t) + ");";
    return text + "COMMIT";
  }

  Meant anything() {
    Meant meant;
    meant.barrier = below(60) == 0;
    for (int i = below(3); i > 0; --i) meant.shared.insert(below(kTables));
    for (int i = below(3); i > 0; --i) meant.exclusive.insert(below(kTables));
    for (const int t : meant.exclusive) meant.shared.erase(t);
    return meant;
  }

  JobId submit_one(client::Client& client, int n) {
    meant_.push_back(anything());
    client::ApplyOptions options;
    options.submit.priority = below(3) - 1;
    return client.apply({{"", text_of(meant_.back(), n)}}, options).front().id;
  }

  // As a person with psql does it: a worker has to parse it.
  JobId submit_text(pg::Session& psql, int n) {
    const int table = below(kTables);
    meant_.push_back({{}, {table}, false});
    const auto rows =
        psql.script("SELECT lockkeeper.submit('CREATE TABLE done_" + std::to_string(n) +
                    " (LIKE t" + std::to_string(table) + ")') AS id");
    return JobId{rows.front().integer("id")};
  }

  void submit_all(client::Client& client) {
    const char* verbs[] = {"cancel", "pause", "resume"};
    pg::Session psql(dsn(), "psql");
    for (int n = 0; n < kJobs; ++n) {
      ids_.push_back(below(15) == 0 ? submit_text(psql, n) : submit_one(client, n));
      if (below(30) == 0)
        client.steer(below(2) == 0 ? jobs::Verb::pause : jobs::Verb::resume, {{}, {}, {}, true});
      if (below(12) == 0) {
        const auto& target =
            ids_[ids_.size() - 1 - static_cast<std::size_t>(below(std::min(n + 1, 20)))];
        value("SELECT lockkeeper." + std::string(verbs[below(3)]) + "(" + target.str() + ")");
      }
      if (below(40) == 0) replace_one();
    }
  }

  void replace_one() {
    auto& victim = workers_[static_cast<std::size_t>(below(static_cast<int>(workers_.size())))];
    victim->process().signal(SIGKILL);
    victim->process().wait(std::chrono::seconds(30));
    victim = start_one();
  }

  std::unique_ptr<WorkerProcess> start_one() {
    return std::make_unique<WorkerProcess>(
        dsn(), "", std::vector<std::string>{"--workers", "3", "--reorg-workers", "1"});
  }

  void check_ends() {
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job"), "0");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_job_footprint"), "0");
    EXPECT_EQ(value("SELECT count(*) FROM lockkeeper.ddl_history"), std::to_string(kJobs));
    for (int n = 0; n < kJobs; ++n) {
      const auto& id = ids_[static_cast<std::size_t>(n)];
      const bool ran = value("SELECT to_regclass('done_" + std::to_string(n) + "')") != "";
      const auto state = state_of(id);
      EXPECT_EQ(state, ran ? "synced" : "cancelled") << "job " << id.value;
      // Done twice, it would have failed with "exists already".
      if (state == "cancelled") {
        EXPECT_EQ(error_of(id), "57014") << error_of(id, "message");
      }
    }
    EXPECT_EQ(value("SELECT count(*) = max(version) AND min(version) = 1 FROM "
                    "lockkeeper.ddl_schema_diff"),
              "true");
    EXPECT_EQ(value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
              "0");
  }

  void check_order() {
    pg::Session session(dsn(), "test");
    struct Span {
      double begin = 0, end = 0;
      bool ran = false;
    };
    std::map<std::int64_t, Span> spans;
    for (const auto row : session.script(
             "SELECT id, extract(epoch FROM started_at) AS b, extract(epoch FROM ended_at) AS e, "
             "state = 'synced' AS ran FROM lockkeeper.ddl_history"))
      spans[row.integer("id")] = {row.real("b"), row.real("e"), row.boolean("ran")};
    for (std::size_t j = 0; j < ids_.size(); ++j)
      for (std::size_t i = 0; i < j; ++i) {
        const auto& first = spans.at(ids_[i].value);
        const auto& second = spans.at(ids_[j].value);
        if (!first.ran || !second.ran || !conflict(meant_[i], meant_[j])) continue;
        EXPECT_LE(first.end, second.begin) << "jobs " << ids_[i].value << " and " << ids_[j].value;
      }
  }

  std::mt19937 random_;
  std::vector<Meant> meant_;
  std::vector<JobId> ids_;
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
};

TEST_P(Model, promises_1_2_3_4_hold_for_random_jobs_and_deaths) {
  for (int i = 0; i < 3; ++i) workers_.push_back(start_one());
  client::Client client(dsn());
  submit_all(client);
  // What somebody paused, or what met three kills, waits for a decision: the checker's.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (value("SELECT count(*) FROM lockkeeper.ddl_job") != "0") {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "starved: " << queue_now();
    client.steer(jobs::Verb::resume, {{}, {}, {}, true});
    client.wait_for_change(std::chrono::milliseconds(50));
  }
  check_ends();
  check_order();
}

std::vector<int> seeds() {
  const char* wanted = std::getenv("LOCKKEEPER_MODEL_SEEDS");
  std::vector<int> all(static_cast<std::size_t>(wanted != nullptr ? std::atoi(wanted) : 10));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i) + 1;
  return all;
}
INSTANTIATE_TEST_SUITE_P(Seeds, Model, ::testing::ValuesIn(seeds()));

}  // namespace
}  // namespace lockkeeper::test
