// Each fault at each testpoint of each kind of job, also when the job is cancelled or paused at
// that very moment: the job ends, once, and the tables are as if it had been run plainly or never
// (promises 1, 2, 6, 7, 11).
#include <csignal>

#include "steps/online.hpp"
#include "support/stopped.hpp"
#include "support/tcp_gate.hpp"

namespace lockkeeper::test {
namespace {

struct Kind {
  const char* name;
  const char* sql;
  const char* sqlstate;  ///< that it ends with by itself; "": it succeeds
  const char* point;
  const char* cancelled;  ///< how it ends when it is cancelled here
};

constexpr const char* kPlain =
    "BEGIN; ALTER TABLE big ADD x int; UPDATE big SET b = b + 1 WHERE id = 1; COMMIT";
constexpr const char* kOutside = "CREATE INDEX CONCURRENTLY i ON big (b)";
constexpr const char* kSteps = "ALTER TABLE big ALTER a TYPE bigint";
constexpr const char* kUndone = "ALTER TABLE big ADD UNIQUE (b)";
constexpr const char* kWaiting = "ALTER TABLE big ALTER a SET NOT NULL";

constexpr const char* kStates =
    "SELECT string_agg(state, ',' ORDER BY seq) FROM lockkeeper.ddl_step";

const std::vector<Kind> kKinds = {
    {"transaction", kPlain, "", "after_claim", "cancelled"},
    {"transaction", kPlain, "", "after_statement", "cancelled"},
    {"transaction", kPlain, "", "before_commit", "cancelled"},
    {"transaction", kPlain, "", "after_commit", "synced"},
    {"outside", kOutside, "", "after_claim", "cancelled"},
    {"outside", kOutside, "", "before_outside", "cancelled"},
    {"outside", kOutside, "", "between_steps", "synced"},
    {"outside", kOutside, "", "before_commit", "synced"},
    {"outside", kOutside, "", "after_commit", "synced"},
    {"steps", kSteps, "", "plan_kept", "cancelled"},
    {"steps", kSteps, "", "between_steps", "rollback done"},
    {"steps", kSteps, "", "after_batch", "rollback done"},
    {"steps", kSteps, "", "batch_committed", "rollback done"},
    {"steps", kSteps, "", "swept", "rollback done"},
    {"undo", kUndone, "23505", "before_undo", "rollback done"},
    {"nodes", kWaiting, "", "waits_for_nodes", "rollback done"},
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.sql << " at " << kind.point; }

struct Fault {
  const char* name;
  const char* meanwhile;  ///< function that is called while the worker stands there; "": none
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class CrashMatrix : public Online, public ::testing::WithParamInterface<std::tuple<Fault, Kind>> {
 protected:
  void SetUp() override {
    Online::SetUp();
    make_tables();
  }
  [[nodiscard]] bool fault(const char* name) const {
    return std::string(std::get<Fault>(GetParam()).name) == name;
  }
  std::unique_ptr<WorkerProcess> start_worker(const std::string& order = {}) {
    auto where = dsn();
    if (fault("cut") && !order.empty()) {
      gate_ = std::make_unique<TcpGate>(server().socket_directory() + "/.s.PGSQL.5432");
      where = where.with("host", "127.0.0.1").with("port", std::to_string(gate_->port()));
    }
    // Only one that stands still must be given up soon.
    return std::make_unique<WorkerProcess>(
        where, order, std::vector<std::string>{"--lease", fault("freeze") ? "1" : "60"});
  }
  void strike(WorkerProcess& worker) {
    if (fault("kill")) {
      worker.process().signal(SIGKILL);
      worker.process().wait(std::chrono::seconds(30));
    }
    if (fault("terminate"))
      execute(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
          "current_database() AND application_name LIKE 'lockkeeper %'");
    if (fault("server")) server().crash_and_restart();
    if (fault("cut")) gate_->cut_next_commit();
    if (!fault("kill") && !fault("freeze")) worker.process().signal(SIGCONT);
  }
  std::unique_ptr<TcpGate> gate_;
};

TEST_P(CrashMatrix, promise_11_a_job_ends_once_and_as_if_nothing_had_happened) {
  const auto& [what, kind] = GetParam();
  const auto before = shape();
  const auto rows_before = rows();
  const bool fails = *kind.sqlstate != '\0';
  const auto after = fails ? before : plain_shape(kind.sql);
  const auto rows_after = fails ? rows_before : plain_rows_;
  const bool waits = kind.name == std::string("nodes");
  if (waits) value("SELECT lockkeeper.register_node('slow', '1 hour', false)");
  auto worker = start_worker(std::string(kind.point) + "=stop");
  const auto job = apply(kind.sql).front();
  ASSERT_TRUE(stands_still(*worker));
  const auto steps = value(kStates);
  const std::string meanwhile = what.meanwhile;
  const bool ended = std::string(kind.point) == "after_commit";
  if (!meanwhile.empty()) {
    EXPECT_NE(value("SELECT lockkeeper." + meanwhile + "(" + job.str() + ")"), "");
  }
  strike(*worker);
  await("SELECT 1", "1");
  const auto next = start_worker();
  if (waits) {
    // Its next worker waits for the same, and takes no step meanwhile.
    await("SELECT epoch > 1 OR " + std::string(fault("cut") ? "true" : "false") +
              " FROM lockkeeper.ddl_job WHERE id = " + job.str(),
          "true");
    EXPECT_EQ(value(kStates), steps);
    value("SELECT lockkeeper.remove_node(id) FROM lockkeeper.ddl_node");
  }
  if (meanwhile == "pause" && !ended && !fails) {
    await("SELECT state FROM lockkeeper.ddl_job WHERE id = " + job.str(), "paused");
    value("SELECT lockkeeper.resume(" + job.str() + ")");
  }
  const auto state = end_of(job);
  const bool done = state == "synced";
  EXPECT_EQ(state, meanwhile == "cancel" ? kind.cancelled : fails ? "rollback done" : "synced");
  if (fault("cut") && !ended) {
    // The tables may say so before the gate has counted it.
    EXPECT_TRUE(eventually([&] { return gate_->cuts() == 1; }));
  }
  EXPECT_EQ(error_of(job), done                              ? ""
                           : meanwhile == "cancel" && !fails ? "57014"
                                                             : kind.sqlstate)
      << error_of(job, "message");
  EXPECT_EQ(shape(), done ? after : before);
  EXPECT_EQ(rows(), done ? rows_after : rows_before);
  // Who stood still all the time can do no more harm, and works again.
  worker->process().signal(SIGCONT);
  client::Client client(dsn());
  EXPECT_EQ(end_of(client.submit("COMMENT ON TABLE big IS 'end'").id), "synced");
  expect_queue_empty();
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Fault, Kind>>& info) {
  const auto& [what, kind] = info.param;
  return std::string(*what.meanwhile == '\0' ? "" : std::string(what.meanwhile) + "_and_") +
         what.name + "_" + kind.name + "_" + kind.point;
}

using ::testing::Combine;
using ::testing::Values;
using ::testing::ValuesIn;
INSTANTIATE_TEST_SUITE_P(Kill, CrashMatrix,
                         Combine(Values(Fault{"kill", ""}, Fault{"kill", "cancel"},
                                        Fault{"kill", "pause"}),
                                 ValuesIn(kKinds)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Terminate, CrashMatrix,
                         Combine(Values(Fault{"terminate", ""}, Fault{"terminate", "cancel"},
                                        Fault{"terminate", "pause"}),
                                 ValuesIn(kKinds)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Freeze, CrashMatrix,
                         Combine(Values(Fault{"freeze", ""}, Fault{"freeze", "cancel"}),
                                 ValuesIn(kKinds)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Server, CrashMatrix,
                         Combine(Values(Fault{"server", ""}), ValuesIn(kKinds)), name_of);
INSTANTIATE_TEST_SUITE_P(Cut, CrashMatrix, Combine(Values(Fault{"cut", ""}), ValuesIn(kKinds)),
                         name_of);

}  // namespace
}  // namespace lockkeeper::test
