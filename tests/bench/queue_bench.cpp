// The questions of docs/benchmarks.md, each with its baseline measured in the same run on the same
// durable server (fsync on). Prints tables; nothing is asserted: machines here are noisy.
//   queue_bench [--full] [throughput] [file] [latency] [backlog] [takeover] [pages]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>

#include "bench/wanted.hpp"
#include "client/client.hpp"
#include "jobs/queue.hpp"
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

  // (a) Single-step DDL, against the same by pgbench with as many connections.
  void throughput() {
    std::cout << "DDL            conns  bare/s  jobs/s  ratio\n";
    for (const int connections : {1, 4, 8}) {
      row("CREATE TABLE", connections, "CREATE TABLE bare_{} (id int)",
          "CREATE TABLE job_{} (id int)");
      make_tables();
      row("SET DEFAULT", connections, "ALTER TABLE t_{} ALTER id SET DEFAULT 1",
          "ALTER TABLE t_{} ALTER id SET DEFAULT 2");
      row("ADD COLUMN", connections, "ALTER TABLE t_{} ADD COLUMN bare int",
          "ALTER TABLE t_{} ADD COLUMN job int");
      drop_tables();
    }
  }

  // (b) One file of CREATE TABLE, submitted and run, against pgbench. Nothing is dropped in
  // between: ext4 looks long for an inode that was not freed lately, and who comes last would pay.
  void file(int statements) {
    jobs_ = statements;
    const double one = statements / bare_per_second(1, "CREATE TABLE bare_{} (id int)");
    const double eight = statements / bare_per_second(8, "CREATE TABLE bare_8_{} (id int)");
    std::string text;
    for (int i = 0; i < statements; ++i)
      text += "CREATE TABLE job_" + std::to_string(i) + " (id int);\n";
    const auto begin = Clock::now();
    client::Client client(dsn());
    const auto jobs = client.apply({{"creates.sql", text}});
    const double submitted = seconds_since(begin);
    const auto service = run_workers(8);
    await_history(jobs.front().id.str(), jobs.back().id.str(), statements);
    const double total = seconds_since(begin);
    std::cout << fmt::format(
        "\n{} CREATE TABLE in one file: submitted in {:.1f} s, ended after {:.1f} s;\n"
        "bare with 1 connection {:.1f} s (ratio {:.2f}), with 8 {:.1f} s (ratio {:.2f}); memory "
        "of this process {} MB\n",
        statements, submitted, total, one, total / one, eight, total / eight, memory_mb());
    drop_tables();
  }

  // (c) From submission to start on an idle queue, against a bare INSERT, NOTIFY and claim.
  void latency() {
    const auto notify = bare_notify();
    const auto claim = bare_claim();
    const auto start = submit_to_start();
    std::cout << "\nlatency, ms                  p50    p99\n"
              << line("bare NOTIFY round trip", notify) << line("INSERT, NOTIFY, claim", claim)
              << line("submit to start", start);
  }

  // (d) One claim and one end, with so many jobs pending, in three shapes.
  void backlog(int most) {
    std::cout << "\npending    shape               claim p50    p99   end p50    p99  (ms)\n";
    for (const char* shape : {"independent", "one table", "schemas, dropped"})
      for (int pending = 1000; pending <= most; pending *= 10) {
        fill(shape, pending);
        measure_claims(shape, pending);
      }
    empty_queue();
  }

  // (f) From kill -9 of a worker to the next claim of its job.
  void takeover(int times) {
    std::vector<double> taken;
    pg::Session session(dsn(), "bench");
    for (int i = 0; i < times; ++i) {
      session.script("CREATE TABLE IF NOT EXISTS slow (a int)");
      auto first = std::make_unique<test::WorkerProcess>(dsn());
      client::Client client(dsn());
      const auto job =
          client.apply({{"", "BEGIN; COMMENT ON TABLE slow IS 'x'; SELECT pg_sleep(60); COMMIT"}})
              .front()
              .id;
      await(session, "SELECT count(*) FROM lockkeeper.ddl_job WHERE epoch = 1", "1");
      test::WorkerProcess second(dsn());
      await(session,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockkeeper control'",
            "2");
      const auto begin = Clock::now();
      first->process().signal(SIGKILL);
      await(session, "SELECT (state = 'running' AND epoch > 1)::int FROM lockkeeper.ddl_job", "1");
      taken.push_back(seconds_since(begin) * 1000);
      client.cancel(job);
      await(session, "SELECT count(*) FROM lockkeeper.ddl_job", "0");
      first.reset();
      await(session,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockkeeper control'",
            "1");
    }
    std::cout << fmt::format("\ntakeover after kill -9, ms (of {})\n", times)
              << line("killed to claimed again", percentiles(taken));
  }

  // (g) First pages of the lists.
  void pages(int rows) {
    fill("independent", rows);
    pg::Session session(dsn(), "bench", 600000);
    session.script(
        "INSERT INTO lockkeeper.ddl_history SELECT i, CASE WHEN i % 50 = 0 THEN 'cancelled' ELSE "
        "'synced' END::lockkeeper.job_state, 'public', 'action ' || i % 20, ARRAY['ALTER TABLE "
        "t'], "
        "ARRAY['relation:public.h_' || i % 100000], 'postgres', 'public', '{}', NULL, 1, NULL, 0, "
        "1, 'w', CASE WHEN i % 50 = 0 THEN '{\"sqlstate\": \"42P01\"}'::jsonb END, '[]', i, now(), "
        "now(), now() - i * interval '1 second' FROM generate_series(100000001, 100000000 + " +
        std::to_string(rows) + ") i; ANALYZE lockkeeper.ddl_history");
    client::Client client(dsn());
    std::cout << fmt::format("\nfirst page of 50, {} rows, ms    p50    p99\n", rows);
    const auto timed = [&](const char* name, const std::function<void()>& page) {
      std::vector<double> times;
      for (int i = 0; i < 30; ++i) {
        const auto begin = Clock::now();
        page();
        times.push_back(seconds_since(begin) * 1000);
      }
      std::cout << line(name, percentiles(times));
    };
    timed("jobs", [&] { client.jobs(50); });
    timed("history", [&] { client.history(50); });
    timed("history --object", [&] { client.history(50, {{"object", "h_77"}}); });
    timed("history --state", [&] { client.history(50, {{"state", "cancelled"}}); });
    timed("history --action", [&] { client.history(50, {{"action", "action 7"}}); });
    const auto last = client.history(50).back()["id"].dump();
    timed("history --before", [&] { client.history(50, {{"before", last}}); });
    empty_queue();
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
    await_history(first, last, per_client(workers) * workers);
    const auto result = session.script(
        "SELECT count(*) / extract(epoch FROM max(ended_at) - min(started_at)) AS rate, "
        "count(*) FILTER (WHERE state <> 'synced') AS failed" +
        where);
    if (result.front().text("failed") != "0") std::cout << "some jobs failed\n";
    return result.front().real("rate");
  }

  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  static std::string line(const char* name, const std::pair<double, double>& times) {
    return fmt::format("{:<25}{:7.2f}{:7.2f}\n", name, times.first, times.second);
  }

  static long memory_mb() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
      if (word == "VmHWM:") {
        long kilobytes = 0;
        status >> kilobytes;
        return kilobytes / 1024;
      }
    return 0;
  }

  // Looks now and then, and never so often that the looking itself is what is measured.
  static void await(pg::Session& session, const std::string& sql, const std::string& wanted,
                    std::chrono::milliseconds least = std::chrono::milliseconds(3)) {
    while (true) {
      const auto begin = Clock::now();
      const auto rows = session.script("SELECT (" + sql + ")::text AS v");
      if (rows.front().text("v") == wanted) return;
      std::this_thread::sleep_for(std::max<Clock::duration>(least, 30 * (Clock::now() - begin)));
    }
  }

  void await_history(const std::string& first, const std::string& last, int wanted) {
    pg::Session session(dsn(), "bench");
    await(session,
          "SELECT count(*) FROM lockkeeper.ddl_history WHERE id BETWEEN " + first + " AND " + last,
          std::to_string(wanted), std::chrono::milliseconds(30));
  }

  void empty_queue() {
    pg::Session session(dsn(), "bench", 600000);
    session.script(
        "TRUNCATE lockkeeper.ddl_job, lockkeeper.ddl_job_footprint, lockkeeper.ddl_history, "
        "lockkeeper.ddl_schema_diff; UPDATE lockkeeper.ddl_schema_version SET version = 0; UPDATE "
        "lockkeeper.ddl_floor SET floor = 0");
  }

  // The rows that so many submissions would have made; made at once, to have them in minutes.
  void fill(const std::string& shape, int pending) {
    empty_queue();
    pg::Session session(dsn(), "bench", 600000);
    const std::string n = std::to_string(pending);
    const bool chain = shape == "one table";
    const bool schemas = shape == "schemas, dropped";
    // In the third shape each 10 000th job (each 100th of a short queue) drops the schema.
    const std::string group = pending < 10000 ? "100" : "10000";
    const std::string drops = "(i % " + group + " = 0)";
    std::string waits = "0";
    if (chain) waits = "CASE WHEN i = 1 THEN 0 ELSE 1 END";
    if (schemas) waits = "CASE WHEN i < " + group + " THEN 0 ELSE 1 END";
    session.script(
        "INSERT INTO lockkeeper.ddl_job (id, waits, action, statements, role, search_path, "
        "settings) SELECT i, " +
        waits +
        ", 'x', ARRAY['ALTER TABLE t ALTER a SET DEFAULT 1'], 'postgres', 'public', "
        "lockkeeper.statement_settings() FROM generate_series(1, " +
        n + ") i");
    const std::string object =
        chain     ? "'relation:public.t'"
        : schemas ? "CASE WHEN " + drops + " THEN 'schema:s' ELSE 'relation:s.t_' || i END"
                  : "'relation:public.t_' || i";
    session.script("INSERT INTO lockkeeper.ddl_job_footprint SELECT " + object + ", i, true, " +
                   (chain     ? "i = 1"
                    : schemas ? "NOT " + drops
                              : "true") +
                   " FROM generate_series(1, " + n + ") i");
    if (schemas)
      session.script("INSERT INTO lockkeeper.ddl_job_footprint SELECT 'schema:s', i, false, i < " +
                     group + " FROM generate_series(1, " + n + ") i WHERE NOT " + drops);
    session.script("SELECT setval('lockkeeper.ddl_job_id_seq', " + n + ")");
    session.script("VACUUM ANALYZE lockkeeper.ddl_job");
    session.script("VACUUM ANALYZE lockkeeper.ddl_job_footprint");
  }

  void measure_claims(const std::string& shape, int pending) {
    pg::Session session(dsn(), "bench");
    session.script("SET synchronous_commit = off");
    const auto me = jobs::register_worker(session, "bench");
    std::vector<double> claims;
    std::vector<double> ends;
    // The first ones fill the caches of a new session.
    for (int i = 0; i < 450; ++i) {
      const auto begin = Clock::now();
      const auto job = jobs::claim(session, me);
      const auto claimed = Clock::now();
      if (job.empty()) break;
      session.script(jobs::end_well_text(job, "[]", me, 0));
      if (i < 50) continue;
      claims.push_back(std::chrono::duration<double, std::milli>(claimed - begin).count());
      ends.push_back(seconds_since(claimed) * 1000);
    }
    const auto claim = percentiles(claims);
    const auto end = percentiles(ends);
    std::cout << fmt::format("{:<10} {:<18} {:9.2f}{:7.2f} {:9.2f}{:7.2f}\n", pending, shape,
                             claim.first, claim.second, end.first, end.second)
              << std::flush;
  }

  std::pair<double, double> bare_claim() {
    pg::Session worker(dsn(), "bench");
    pg::Session submitter(dsn(), "bench");
    submitter.script("CREATE TABLE IF NOT EXISTS bare_queue (id serial PRIMARY KEY, done bool)");
    worker.listen("bare");
    std::vector<double> times;
    for (int i = 0; i < samples_; ++i) {
      const auto begin = Clock::now();
      submitter.script("BEGIN; INSERT INTO bare_queue (done) VALUES (false); NOTIFY bare; COMMIT");
      while (worker.take_notifications().empty())
        worker.wait_for_notification(std::chrono::seconds(1));
      worker.script(
          "UPDATE bare_queue SET done = true WHERE id = (SELECT id FROM bare_queue WHERE NOT done "
          "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)");
      times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
    }
    return percentiles(times);
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

  void make_tables() {
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
  const lockkeeper::bench::Wanted wants(
      argc, argv, {"throughput", "latency", "takeover", "backlog", "pages", "file"});
  lockkeeper::bench::Bench bench(wants.full() ? 8000 : 2000);
  if (wants("throughput")) bench.throughput();
  if (wants("latency")) bench.latency();
  if (wants("takeover")) bench.takeover(wants.full() ? 50 : 5);
  if (wants("backlog")) bench.backlog(wants.full() ? 1000000 : 10000);
  if (wants("pages")) bench.pages(wants.full() ? 1000000 : 10000);
  if (wants("file")) bench.file(wants.full() ? 100000 : 5000);
}
