// What must stay as it is: the queue under a snapshot that is held, the size of its tables after a
// day, and the queue alone against others. On a durable server (fsync on). Prints tables; nothing
// is asserted.
//   steady_bench [--full] [held] [day] [submissions] [peers]
// Other queues: LOCKKEEPER_PEERS, a directory with tests/bench/peers and its packages.
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "base/child_process.hpp"
#include "bench/wanted.hpp"
#include "client/client.hpp"
#include "client/submitter.hpp"
#include "jobs/queue.hpp"
#include "pg/migrator.hpp"
#include "service/embedded_server.hpp"
#include "workers/gate.hpp"

namespace lockkeeper::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kTables = 5000;  ///< so that jobs do not wait for each other
constexpr int kChunk = 500;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A queue without its DDL: jobs come, are claimed and end.
class Queue {
 public:
  explicit Queue(const pg::Dsn& dsn) : dsn_(dsn) {}

  void submit(int jobs) {
    pg::Session session(dsn_, "bench", 60000);
    const auto environment = jobs::environment_of(session);
    for (int left = jobs; left > 0; left -= kChunk) {
      std::vector<parse::Unit> units;
      for (int i = 0; i < std::min(left, kChunk); ++i)
        units.push_back(parse::parse_one(
            fmt::format("ALTER TABLE t_{} ALTER a SET DEFAULT 1", submitted_++ % kTables)));
      jobs::submit_each(session, units, environment, {});
    }
  }

  // Claims and ends `batch` at once until `most` have ended or nothing is there.
  void consume(int sessions, int batch, long most) {
    const auto keeper = housekeeping();
    std::vector<std::jthread> threads;
    std::atomic<long> left = most;
    for (int i = 0; i < sessions; ++i)
      threads.emplace_back([&, i] {
        pg::Session session(dsn_, "bench", 60000);
        session.script("SET synchronous_commit = off; SET jit = off; SET search_path = pg_catalog");
        const auto me = jobs::register_worker(session, "bench " + std::to_string(i));
        auto work = jobs::claim(session, me, batch);
        while (!work.empty()) {
          left -= static_cast<long>(work.size());
          const int next = left > 0 ? batch : 0;
          {
            const workers::Gate::Pass pass(gate_);
            session.script(jobs::end_well_text(work, "[]", me, next));
          }
          ended_ += static_cast<long>(work.size());
          work = jobs::claimed(session).jobs;
          if (work.empty() && next > 0) work = jobs::claim(session, me, batch);
        }
      });
  }

  // What a worker process does besides, twice a second.
  std::jthread housekeeping() {
    return std::jthread([this](const std::stop_token& stop) {
      pg::Session session(dsn_, "bench", 50);
      while (!stop.stop_requested()) {
        try {
          jobs::raise_floor(session);
        } catch (const Error&) {  // Another time.
        }
        std::this_thread::sleep_for(milliseconds(500));
      }
    });
  }
  [[nodiscard]] long ended() const { return ended_; }

 private:
  pg::Dsn dsn_;
  long submitted_ = 0;
  std::atomic<long> ended_ = 0;
  // As in a worker process.
  workers::Gate gate_{std::max(1, static_cast<int>(std::thread::hardware_concurrency())),
                      milliseconds(100)};
};

class Bench {
 public:
  explicit Bench(bool full) : full_(full) {
    service::ServerOptions options;
    options.durable = true;
    // A day in a minute needs a vacuum that looks more often than each minute.
    options.settings = {"autovacuum_naptime=1s"};
    server_ = std::make_unique<service::EmbeddedServer>(options);
    pg::Session session(server_->dsn(), "bench");
    pg::migrate(session);
  }

  void held() {
    std::cout << "\njobs/s of the queue alone, 2 sessions, in turns of 5000 jobs\n";
    for (const bool holds : {false, true}) {
      pg::Session old(server_->dsn(), "old");
      if (holds) old.script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
      Queue queue(server_->dsn());
      std::cout << (holds ? "a snapshot is held   " : "nobody holds one     ") << std::flush;
      for (int turn = 0; turn < (full_ ? 20 : 8); ++turn) {
        queue.submit(5000);
        const auto begin = Clock::now();
        queue.consume(2, 1, 5000);
        std::cout << fmt::format("{:>7.0f}", 5000 / seconds_since(begin)) << std::flush;
      }
      std::cout << std::endl;
    }
  }

  // So many jobs as come in a day, at one each five (full: one) seconds.
  void day() {
    const int jobs = full_ ? 86400 : 17280;
    std::cout << fmt::format("\nkB of tables with their indexes, {} jobs in quarters of a day\n",
                             jobs);
    Queue queue(server_->dsn());
    pg::Session session(server_->dsn(), "bench");
    for (const char* table : kHot) std::cout << fmt::format("{:>20}", table);
    std::cout << "\n";
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < jobs / 4; i += 1000) {
        queue.submit(std::min(1000, jobs / 4 - i));
        queue.consume(4, 1, 1000);
      }
      for (const char* table : kHot)
        std::cout << fmt::format("{:>20}", session
                                               .script(fmt::format("SELECT pg_total_relation_size("
                                                                   "'lockkeeper.{}') / 1024 AS kb",
                                                                   table))
                                               .front()
                                               .text("kb"));
      std::cout << std::endl;
    }
  }

  void submissions() {
    constexpr int kThreads = 8;
    const int each = full_ ? 2000 : 400;
    const auto rate = [&](const std::function<void(int, int)>& submit) {
      const auto begin = Clock::now();
      {
        std::vector<std::jthread> threads;
        for (int t = 0; t < kThreads; ++t)
          threads.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) submit(t, i);
          });
      }
      return kThreads * each / seconds_since(begin);
    };
    const auto text = [](int t, int i) {
      return fmt::format("ALTER TABLE s_{}_{} ADD b int", t, i);
    };
    std::vector<std::unique_ptr<client::Client>> clients;
    for (int t = 0; t < kThreads; ++t)
      clients.push_back(std::make_unique<client::Client>(server_->dsn()));
    const double apart =
        rate([&](int t, int i) { clients[static_cast<std::size_t>(t)]->submit(text(t, i)); });
    client::Submitter submitter(server_->dsn());
    const double shared = rate([&](int t, int i) { submitter.submit(text(t, i)); });
    std::cout << fmt::format(
        "\nsubmissions/s of 8 threads: a session each {:.0f}, one for all {:.0f} (ratio {:.2f}; "
        "{} transactions)\n",
        apart, shared, shared / apart, submitter.transactions());
    pg::Session session(server_->dsn(), "bench", 60000);
    session.script("TRUNCATE lockkeeper.ddl_job, lockkeeper.ddl_job_footprint");
  }

  void peers() {
    const int jobs = full_ ? 50000 : 20000;
    std::cout << fmt::format("\nno-op jobs/s, {} jobs, 8 at a time\n", jobs);
    for (const int batch : {1, 16, 100}) {
      Queue queue(server_->dsn());
      queue.submit(jobs);
      pg::Session session(server_->dsn(), "bench");
      session.script("ANALYZE");
      const auto begin = Clock::now();
      queue.consume(8, batch, jobs);
      std::cout << fmt::format("{:<34}{:>8.0f}\n",
                               batch == 1 ? "lockkeeper's queue, singly"
                                          : fmt::format("lockkeeper's queue, {} at once", batch),
                               static_cast<double>(queue.ended()) / seconds_since(begin))
                << std::flush;
    }
    const char* directory = std::getenv("LOCKKEEPER_PEERS");
    if (directory == nullptr || *directory == '\0') return;
    std::cout << run_to_end(
        {"node", std::string(directory) + "/run.mjs",
         "postgresql://postgres@localhost/postgres?host=" + server_->socket_directory(),
         std::to_string(jobs)});
  }

 private:
  static constexpr const char* kHot[] = {"ddl_job",     "ddl_job_footprint",  "ddl_floor",
                                         "ddl_worker",  "ddl_schema_version", "ddl_floor_lowered",
                                         "ddl_history", "ddl_schema_diff"};
  bool full_;
  std::unique_ptr<service::EmbeddedServer> server_;
};

}  // namespace
}  // namespace lockkeeper::bench

int main(int argc, char** argv) {
  const lockkeeper::bench::Wanted wants(argc, argv, {"held", "day", "submissions", "peers"});
  lockkeeper::bench::Bench bench(wants.full());
  if (wants("held")) bench.held();
  if (wants("day")) bench.day();
  if (wants("submissions")) bench.submissions();
  if (wants("peers")) bench.peers();
}
