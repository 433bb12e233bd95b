// Two questions, each with its baseline measured in the same run:
// (a) how many single-step DDL jobs a second, against the same DDL by pgbench with as many
//     connections; (b) how long from submission to start on an idle queue, against a bare NOTIFY.
// Durable server (fsync on). Prints a table; nothing is asserted: machines here are noisy.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>

#include "base/log.hpp"
#include "client/client.hpp"
#include "pg/migrator.hpp"
#include "service/embedded_server.hpp"
#include "service/service.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::bench {
namespace {

using Clock = std::chrono::steady_clock;

class Bench {
 public:
  explicit Bench(int jobs) : jobs_(jobs) {
    service::ServerOptions options;
    options.durable = true;
    server_ = std::make_unique<service::EmbeddedServer>(options);
    pg::Session session(dsn(), "bench");
    pg::migrate(session);
  }

  void throughput() {
    std::cout << "DDL            conns  bare/s  jobs/s  ratio\n";
    for (const int connections : {1, 4, 8}) {
      row("CREATE TABLE", connections, "CREATE TABLE bare_{} (id int)",
          "CREATE TABLE job_{} (id int)");
      make_tables(connections);
      row("ADD COLUMN", connections, "ALTER TABLE t_{} ADD COLUMN bare int",
          "ALTER TABLE t_{} ADD COLUMN job int");
      drop_tables();
    }
  }

  void latency() {
    const auto notify = bare_notify();
    const auto start = submit_to_start();
    std::cout << "\nlatency, ms                  p50    p99\n"
              << fmt::format("bare NOTIFY round trip   {:7.2f}{:7.2f}\n", notify.first,
                             notify.second)
              << fmt::format("submit to start          {:7.2f}{:7.2f}\n", start.first,
                             start.second);
  }

 private:
  [[nodiscard]] pg::Dsn dsn() const { return server_->dsn(); }

  void row(const char* name, int connections, const char* bare, const char* job) {
    const double base = bare_per_second(connections, bare);
    const double mine = jobs_per_second(connections, job);
    std::cout << fmt::format("{:<14} {:>5} {:>7.0f} {:>7.0f}  {:.2f}", name, connections, base,
                             mine, mine / base)
              << std::endl;
  }

  // {} of the statement becomes a number that no other client uses.
  double bare_per_second(int connections, const std::string& ddl) {
    const test::TemporaryDirectory folder;
    const std::string file = folder.path() + "/bare.sql";
    std::string text = ddl;
    text.replace(text.find("{}"), 2, ":n");
    std::ofstream(file) << "\\set i :i + 1\n\\set n :client_id * " << per_client(connections)
                        << " + :i\n"
                        << text << ";\n";
    const auto out = run_to_end({"pgbench", "-n", "-c", std::to_string(connections), "-j", "2",
                                 "-t", std::to_string(per_client(connections)), "-D", "i=-1", "-f",
                                 file, dsn().conninfo()});
    const auto at = out.find("tps = ");
    return at == std::string::npos ? 0 : std::stod(out.substr(at + 6));
  }

  double jobs_per_second(int workers, const std::string& ddl) {
    client::Client client(dsn());
    std::string first;
    std::string last;
    for (int i = 0; i < per_client(workers) * workers; ++i) {
      std::string text = ddl;
      text.replace(text.find("{}"), 2, std::to_string(i));
      last = client.submit(text).id.str();
      if (first.empty()) first = last;
    }
    pg::Session session(dsn(), "bench");
    session.script("ANALYZE lockkeeper.ddl_job; ANALYZE lockkeeper.ddl_job_footprint");
    const auto service = run_workers(workers);
    const std::string where =
        " FROM lockkeeper.ddl_history WHERE id BETWEEN " + first + " AND " + last;
    const auto wanted = std::to_string(per_client(workers) * workers);
    while (session.script("SELECT count(*) AS n" + where).front().text("n") != wanted)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto result = session.script(
        "SELECT count(*) / extract(epoch FROM max(ended_at) - min(started_at)) AS rate, "
        "count(*) FILTER (WHERE state <> 'synced') AS failed" +
        where);
    if (result.front().text("failed") != "0") std::cout << "some jobs failed\n";
    return result.front().real("rate");
  }

  std::unique_ptr<service::Service> run_workers(int threads) {
    config::WorkSettings settings;
    settings.dsns = {dsn().conninfo()};
    settings.workers = threads;
    settings.metrics_address.clear();
    auto service = std::make_unique<service::Service>(settings);
    service->start();
    return service;
  }

  std::pair<double, double> bare_notify() {
    pg::Session listener(dsn(), "bench");
    pg::Session sender(dsn(), "bench");
    listener.listen("bench");
    std::vector<double> times;
    for (int i = 0; i < samples_; ++i) {
      const auto begin = Clock::now();
      sender.script("NOTIFY bench");
      while (listener.take_notifications().empty())
        listener.wait_for_notification(std::chrono::seconds(1));
      times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    return percentiles(times);
  }

  std::pair<double, double> submit_to_start() {
    const auto service = run_workers(4);
    client::Client client(dsn());
    std::vector<JobId> ids;
    for (int i = 0; i < samples_; ++i) {
      ids.push_back(client.submit("CREATE TABLE lat_" + std::to_string(i) + " (id int)").id);
      client.wait({ids.back()}, [](const auto&) { return true; });
    }
    pg::Session session(dsn(), "bench");
    std::vector<double> times;
    for (const auto row :
         session.script("SELECT 1000 * extract(epoch FROM started_at - submitted_at) AS ms FROM "
                        "lockkeeper.ddl_history WHERE id >= " +
                        ids.front().str()))
      times.push_back(row.real("ms"));
    return percentiles(times);
  }

  static std::pair<double, double> percentiles(std::vector<double> times) {
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times[times.size() * 99 / 100]};
  }

  [[nodiscard]] int per_client(int clients) const { return jobs_ / clients; }

  void make_tables(int) {
    pg::Session session(dsn(), "bench");
    session.script("DO $$ BEGIN FOR i IN 0.." + std::to_string(jobs_) +
                   " LOOP EXECUTE format('CREATE TABLE t_%s (id int)', i); END LOOP; END $$");
  }

  void drop_tables() {
    pg::Session session(dsn(), "bench", 600000);
    for (const char* kind : {"bare", "job", "t"})
      for (int from = 0; from <= jobs_; from += 500)
        session.script(fmt::format(
            "DO $$ BEGIN FOR i IN {}..{} LOOP EXECUTE format('DROP TABLE IF EXISTS {}_%s', i); END "
            "LOOP; END $$",
            from, from + 499, kind));
    session.script("VACUUM ANALYZE");
  }

  int jobs_;
  int samples_ = 300;
  std::unique_ptr<service::EmbeddedServer> server_;
};

}  // namespace
}  // namespace lockkeeper::bench

int main(int argc, char** argv) {
  lockkeeper::log::configure(lockkeeper::log::Level::off, lockkeeper::log::Format::text);
  lockkeeper::bench::Bench bench(argc > 1 ? std::atoi(argv[1]) : 2000);
  bench.throughput();
  bench.latency();
}
