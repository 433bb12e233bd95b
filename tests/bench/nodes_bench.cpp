// What nodes cost: from a step's commit until all have acknowledged it, an idle node, and the wait
// without any nodes against no wait. On a durable server of its own. Prints tables; nothing is
// asserted.
//   nodes_bench [--full] [acknowledge] [idle] [without]
#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <iostream>
#include <thread>

#include "bench/wanted.hpp"
#include "client/client.hpp"
#include "client/node.hpp"
#include "pg/migrator.hpp"
#include "service/embedded_server.hpp"
#include "service/service.hpp"

namespace lockkeeper::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const std::function<void()>& what) {
  const auto begin = Clock::now();
  what();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// So many nodes on two loops, as two processes of an application would have them.
class Nodes {
 public:
  Nodes(const pg::Dsn& dsn, int count) {
    for (int i = 0; i < count; ++i) {
      client::NodeOptions options;
      options.name = fmt::format("node {}", i);
      nodes_.push_back(std::make_unique<client::Node>(loops_[i % 2], dsn, options));
    }
    for (auto& loop : loops_) threads_.emplace_back([&loop] { loop.run(); });
    for (const auto& node : nodes_)
      while (!node->trusted()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ~Nodes() {
    for (auto& loop : loops_) loop.stop();
    for (auto& thread : threads_) thread.join();
  }
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

 private:
  boost::asio::io_context loops_[2];
  std::vector<std::unique_ptr<client::Node>> nodes_;
  std::vector<std::thread> threads_;
};

class Bench {
 public:
  Bench() : server_(options()), session_(dsn(), "bench", 60000) {
    pg::migrate(session_);
    config::WorkSettings settings;
    settings.dsns = {dsn().conninfo()};
    settings.metrics_address.clear();
    service_ = std::make_unique<service::Service>(settings);
    service_->start();
    client_ = std::make_unique<client::Client>(dsn());
    run("CREATE TABLE t (a int)");
  }

  void acknowledge(bool full) {
    fmt::print(
        "\nFrom a step's commit until the job has ended, every node having acknowledged:\n"
        "{:>6} {:>8} {:>10} {:>10}\n",
        "nodes", "jobs", "p50 ms", "p99 ms");
    for (const int count : {1, 10, 100, 1000}) {
      if (count == 1000 && !full) continue;
      const int jobs = count == 1000 ? 30 : 200;
      const auto first = number("SELECT coalesce(max(id), 0) FROM lockkeeper.ddl_history");
      const Nodes nodes(dsn(), count);
      for (int i = 0; i < jobs; ++i) run(fmt::format("ALTER TABLE t ALTER a SET DEFAULT {}", i));
      const auto percentile = [&](const char* p) {
        return real(fmt::format(
            "SELECT 1000 * percentile_cont({}) WITHIN GROUP (ORDER BY extract(epoch FROM "
            "h.ended_at - d.made_at)) FROM lockkeeper.ddl_history h JOIN "
            "lockkeeper.ddl_schema_diff d ON d.job_id = h.id WHERE h.id > {}",
            p, first));
      };
      fmt::print("{:>6} {:>8} {:>10.1f} {:>10.1f}\n", count, jobs, percentile("0.5"),
                 percentile("0.99"));
      std::cout.flush();
    }
  }

  // Commits of the database while nothing happens, with and without nodes.
  void idle() {
    constexpr int kCount = 50;
    const auto in_a_minute = [&] {
      const auto before = commits();
      std::this_thread::sleep_for(std::chrono::seconds(60));
      return commits() - before;
    };
    const auto without = in_a_minute();
    const Nodes nodes(dsn(), kCount);
    std::this_thread::sleep_for(std::chrono::seconds(2));
    const auto with = in_a_minute();
    fmt::print("\nAn idle node: {:.1f} queries a minute ({} nodes; the service alone: {})\n",
               static_cast<double>(with - without) / kCount, kCount, without);
  }

  // Jobs in steps without nodes, the lock on against off, in turns.
  void without(bool full) {
    const int rounds = full ? 60 : 20;
    run("CREATE TABLE big AS SELECT i AS a, repeat('x', 100) AS b FROM generate_series(1, 20000) "
        "i");
    double taken[2] = {0, 0};
    for (int i = 0; i < 2 * rounds; ++i) {
      const int on = i % 2;
      session_.script(fmt::format("SELECT lockkeeper.set('mdl', '{}')", on != 0 ? "on" : "off"));
      taken[on] += seconds_of([&] {
        run("ALTER TABLE big ALTER a SET NOT NULL");
        run("CREATE INDEX i ON big (a)");
      });
      run("DROP INDEX i");
      run("ALTER TABLE big ALTER a DROP NOT NULL");
    }
    double single[2] = {0, 0};
    for (int i = 0; i < 20 * rounds; ++i) {
      const int on = i / 10 % 2;
      if (i % 10 == 0)
        session_.script(fmt::format("SELECT lockkeeper.set('mdl', '{}')", on != 0 ? "on" : "off"));
      single[on] +=
          seconds_of([&] { run(fmt::format("ALTER TABLE t ALTER a SET DEFAULT {}", i)); });
    }
    session_.script("SELECT lockkeeper.set('mdl', NULL)");
    fmt::print(
        "\nWithout nodes, the metadata lock on against off ({} and {} pairs):\n"
        "  jobs in steps  {:.1f} ms against {:.1f} ms: {:.2f}\n"
        "  single steps   {:.2f} ms against {:.2f} ms: {:.2f}\n",
        rounds, 10 * rounds, 1000 * taken[1] / rounds, 1000 * taken[0] / rounds,
        taken[1] / taken[0], 100 * single[1] / rounds, 100 * single[0] / rounds,
        single[1] / single[0]);
  }

 private:
  static service::ServerOptions options() {
    service::ServerOptions options;
    options.durable = true;
    options.settings = {"max_connections=1300", "max_locks_per_transaction=64"};
    return options;
  }
  pg::Dsn dsn() const { return server_.dsn(); }
  void run(const std::string& sql) {
    const auto job = client_->submit(sql).id;
    client_->wait({job}, [](const auto&) { return true; });
    const auto state = (*client_->show(job))["state"].get<std::string>();
    if (state != "synced") throw std::runtime_error(sql + " ended as " + state);
  }
  double real(const std::string& sql) {
    return session_.script("SELECT (" + sql + ")::float8 AS v").front().real("v");
  }
  std::int64_t number(const std::string& sql) {
    return session_.script("SELECT (" + sql + ")::int8 AS v").front().integer("v");
  }
  // Counted late: backends report what they did at most once in a while.
  std::int64_t commits() {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    return number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
  }

  service::EmbeddedServer server_;
  pg::Session session_;
  std::unique_ptr<service::Service> service_;
  std::unique_ptr<client::Client> client_;
};

}  // namespace
}  // namespace lockkeeper::bench

int main(int argc, char** argv) {
  const lockkeeper::bench::Wanted wants(argc, argv, {"acknowledge", "idle", "without"});
  lockkeeper::bench::Bench bench;
  if (wants("acknowledge")) bench.acknowledge(wants.full());
  if (wants("idle")) bench.idle();
  if (wants("without")) bench.without(wants.full());
  return 0;
}
