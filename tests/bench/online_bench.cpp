// What online steps cost, and what they spare the application: each change against the plain
// statement in the same run on the same durable server. Prints tables; nothing is asserted.
//   online_bench [--full] [index] [constraints] [type] [lock]
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <thread>

#include "bench/wanted.hpp"
#include "client/client.hpp"
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

// Some connections that run one short statement after the other, and how long each took.
class Load {
 public:
  Load(const pg::Dsn& dsn, int connections, const std::string& statement, int rows) {
    for (int i = 0; i < connections; ++i)
      threads_.emplace_back([this, dsn, statement, rows, i] { run(dsn, statement, rows, i); });
  }
  ~Load() { stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  void stop() {
    stopping_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  /// p99 and the longest, in ms, since the last call.
  std::pair<double, double> taken() {
    const std::lock_guard lock(mutex_);
    auto times = std::move(times_);
    times_.clear();
    if (times.empty()) return {0, 0};
    std::sort(times.begin(), times.end());
    return {times[times.size() * 99 / 100], times.back()};
  }
  int failures() const { return failures_; }

 private:
  void run(const pg::Dsn& dsn, const std::string& statement, int rows, int number) {
    pg::Session session(dsn, "application", 60000);
    unsigned id = static_cast<unsigned>(number);
    while (!stopping_) {
      id = id * 1664525U + 1013904223U;
      const auto text = fmt::format(fmt::runtime(statement), id % static_cast<unsigned>(rows) + 1);
      try {
        const double ms = 1000 * seconds_of([&] { session.script(text); });
        const std::lock_guard lock(mutex_);
        times_.push_back(ms);
      } catch (const Error& error) {
        std::cout << "failed: " << error.what() << '\n';
        ++failures_;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the application's own work
    }
  }
  std::atomic<bool> stopping_{false};
  std::atomic<int> failures_{0};
  std::mutex mutex_;
  std::vector<double> times_;
  std::vector<std::thread> threads_;
};

class Bench {
 public:
  explicit Bench(int rows) : rows_(rows) {
    service::ServerOptions options;
    options.durable = true;
    server_ = std::make_unique<service::EmbeddedServer>(options);
    pg::migrate(*session());
    config::WorkSettings settings;
    settings.dsns = {server_->dsn().conninfo()};
    settings.metrics_address.clear();
    service_ = std::make_unique<service::Service>(settings);
    service_->start();
  }

  void index() {
    std::cout << "CREATE INDEX                   plain s   CONCURRENTLY s   job s   ratio to "
                 "CONCURRENTLY\n";
    for (const char* on : {"(a)", "(c, b)"}) {
      make();
      const double plain = plainly(fmt::format("CREATE INDEX x ON t {}", on));
      run("DROP INDEX x");
      const double bare = plainly(fmt::format("CREATE INDEX CONCURRENTLY x ON t {}", on));
      run("DROP INDEX x");
      const double ours = job(fmt::format("CREATE INDEX x ON t {}", on));
      std::cout << fmt::format("{:<30} {:>7.2f} {:>16.2f} {:>7.2f} {:>8.2f}\n", on, plain, bare,
                               ours, ours / bare);
    }
  }

  void constraints() {
    std::cout << "constraint on " << rows_ << " rows      plain s   job s   ratio\n";
    for (const char* change :
         {"ALTER b SET NOT NULL", "ADD CONSTRAINT c CHECK (a >= 0)",
          "ADD CONSTRAINT f FOREIGN KEY (r) REFERENCES target", "ADD CONSTRAINT u UNIQUE (b)"}) {
      make();
      const double plain = plainly(fmt::format("ALTER TABLE t {}", change));
      make();
      const double ours = job(fmt::format("ALTER TABLE t {}", change));
      std::cout << fmt::format("{:<52} {:>7.2f} {:>7.2f} {:>7.2f}\n", change, plain, ours,
                               ours / plain);
    }
  }

  void type() {
    std::cout << "int to bigint, " << rows_
              << " rows, key and two indexes, two writers\n"
                 "              s   writes p99 before ms   during ms   longest ms   failed   table "
                 "MB   WAL MB\n";
    for (const bool online : {false, true}) {
      make();
      run("CREATE INDEX ON t (a); CREATE INDEX ON t (b); CHECKPOINT");
      Load load(server_->dsn(), 2, "UPDATE t SET c = 'y' WHERE id = {}", rows_);
      std::this_thread::sleep_for(std::chrono::seconds(3));
      const double before = load.taken().first;
      const auto wal = value("SELECT pg_current_wal_insert_lsn()");
      const char* change = "ALTER TABLE t ALTER a TYPE bigint";
      const double took = online ? job(change) : plainly(change);
      const auto during = load.taken();
      load.stop();
      std::cout << fmt::format("{:<10} {:>5.1f} {:>22.1f} {:>11.1f} {:>12.1f} {:>8} {:>10} {:>8}\n",
                               online ? "job" : "plain", took, before, during.first, during.second,
                               load.failures(), value("SELECT pg_relation_size('t') / 1048576"),
                               value("SELECT round(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '" +
                                     wal + "') / 1048576)"));
    }
  }

  // A reader holds the table for some seconds; four others read all the while.
  void lock() {
    std::cout << "a reader of 4 s in the way      longest read ms   lands after it, s\n";
    for (const bool online : {false, true}) {
      make();
      Load load(server_->dsn(), 4, "SELECT FROM t WHERE id = {}", rows_);
      const auto reader = session();
      reader->script("BEGIN; SELECT FROM t LIMIT 1");
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      load.taken();
      Clock::time_point gone;
      std::thread ends([&] {
        std::this_thread::sleep_for(std::chrono::seconds(4));
        gone = Clock::now();
        reader->script("COMMIT");
      });
      const char* change = "ALTER TABLE t ADD COLUMN extra int";
      online ? job(change) : plainly(change);
      const auto landed = Clock::now();
      ends.join();
      load.stop();
      std::cout << fmt::format("{:<31} {:>15.1f} {:>19.2f}\n", online ? "job" : "plain",
                               load.taken().second,
                               std::chrono::duration<double>(landed - gone).count());
    }
  }

 private:
  std::unique_ptr<pg::Session> session() const {
    return std::make_unique<pg::Session>(server_->dsn(), "bench", 600000);
  }
  void run(const std::string& sql) { session()->script(sql); }
  std::string value(const std::string& sql) {
    return session()->statement("SELECT (" + sql + ")::text AS value").front().text("value");
  }
  void make() {
    run("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS target");
    run("CREATE TABLE target (id int PRIMARY KEY); INSERT INTO target SELECT generate_series(0, "
        "9999)");
    run("CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, r int)");
    run(
        fmt::format("INSERT INTO t SELECT i, i, i, md5(i::text), i % 10000 FROM generate_series(1, "
                    "{}) i",
                    rows_));
    run("VACUUM ANALYZE t");
    run("CHECKPOINT");
  }
  double plainly(const std::string& sql) {
    return seconds_of([&] { session()->statement(sql); });
  }
  double job(const std::string& sql) {
    client::Client client(server_->dsn());
    return seconds_of([&] {
      const auto id = client.submit(sql).id;
      client.wait({id}, [&](const auto& jobs) {
        const auto state = jobs.front()["state"].template get<std::string>();
        if (client::is_final_state(state) && state != "synced")
          std::cout << "not done: " << jobs.front()["error"].dump() << '\n';
        return true;
      });
    });
  }

  int rows_;
  std::unique_ptr<service::EmbeddedServer> server_;
  std::unique_ptr<service::Service> service_;
};

}  // namespace
}  // namespace lockkeeper::bench

int main(int argc, char** argv) {
  const lockkeeper::bench::Wanted wants(argc, argv, {"index", "constraints", "type", "lock"});
  lockkeeper::bench::Bench bench(wants.full() ? 5000000 : 1000000);
  if (wants("index")) bench.index();
  if (wants("constraints")) bench.constraints();
  if (wants("type")) bench.type();
  if (wants("lock")) bench.lock();
}
