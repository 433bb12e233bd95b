// migrate, work, dev, version.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "base/log.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "parse/parser.hpp"
#include "pg/migrator.hpp"
#include "pg/quote.hpp"
#include "service/embedded_server.hpp"
#include "service/service.hpp"

namespace lockkeeper::cli {
namespace {

using std::chrono::milliseconds;

struct WorkWords {
  config::WorkSettings work;
  std::string log_level = "info";
  std::string log_format = "text";
  std::vector<std::string> dsns;
  std::string grant;
  int lock_timeout_ms = 100;
  double poll_seconds = 5;
  double probe_seconds = 5;
  double lag_seconds = 10;
  double shutdown_seconds = 20;
  double lease_seconds = 15;
  std::string metrics;
  bool no_metrics = false;
};

void add_work_options(CLI::App& command, const std::shared_ptr<WorkWords>& words,
                      int workers_least) {
  command
      .add_option("-j,--workers", words->work.workers,
                  "Most threads for quick changes, for each database")
      ->check(CLI::Range(workers_least, 256))
      ->envname("LOCKKEEPER_WORKERS")
      ->capture_default_str();
  command
      .add_option("--reorg-workers", words->work.reorg_workers,
                  "Most threads for changes that read or write rows [half the cores, at least 2]")
      ->check(CLI::Range(1, 256))
      ->envname("LOCKKEEPER_REORG_WORKERS");
  command
      .add_option("--lease", words->lease_seconds,
                  "Seconds of silence after which other processes take this one's jobs")
      ->check(CLI::Range(1.0, 86400.0))
      ->envname("LOCKKEEPER_LEASE_SECONDS")
      ->capture_default_str();
  command
      .add_flag("--flush-each-job", words->work.flush_each_job,
                "Each job's commit waits for the disk; without it only what is told does")
      ->envname("LOCKKEEPER_FLUSH_EACH_JOB");
  command
      .add_option("--lock-timeout", words->lock_timeout_ms,
                  "Longest wait for a lock on a table, in ms; then the step backs off")
      ->check(CLI::Range(1, 600000))
      ->envname("LOCKKEEPER_LOCK_TIMEOUT_MS")
      ->capture_default_str();
  command
      .add_option("--probe", words->probe_seconds,
                  "Seconds to look for rows that do not fit a new constraint, before anything is "
                  "changed; 0: not at all")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_PROBE_SECONDS")
      ->capture_default_str();
  command
      .add_option("--lag", words->lag_seconds,
                  "Seconds that a standby may be behind before a backfill waits for it")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_LAG_SECONDS")
      ->capture_default_str();
  command
      .add_option("--retries", words->work.tries_most, "Retryable errors before a job is given up")
      ->check(CLI::Range(1, 1000000))
      ->envname("LOCKKEEPER_RETRIES")
      ->capture_default_str();
  command.add_option("--poll", words->poll_seconds, "Seconds between looks without a notification")
      ->check(CLI::Range(0.05, 3600.0))
      ->envname("LOCKKEEPER_POLL_SECONDS")
      ->capture_default_str();
  command
      .add_option(
          "--shutdown-limit", words->shutdown_seconds,
          "Seconds that running jobs get at SIGTERM before they are stopped and handed back")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_SHUTDOWN_SECONDS")
      ->capture_default_str();
  command.add_option("--name", words->work.name, "Name of this process in lists and logs")
      ->envname("LOCKKEEPER_NAME");
  command
      .add_option("--metrics", words->metrics, "Address of the Prometheus metrics [127.0.0.1:9632]")
      ->envname("LOCKKEEPER_METRICS");
  command.add_flag("--no-metrics", words->no_metrics, "Serve no metrics");
  command.add_option("--log-level", words->log_level, "debug, info, warning, error, off")
      ->envname("LOCKKEEPER_LOG_LEVEL")
      ->capture_default_str();
  command.add_option("--log-format", words->log_format, "text or json")
      ->envname("LOCKKEEPER_LOG_FORMAT")
      ->capture_default_str();
}

void take_work_options(Context& context, const WorkWords& words) {
  context.work = words.work;
  auto& work = context.work;
  work.lock_timeout = milliseconds(words.lock_timeout_ms);
  work.probe_most = milliseconds(static_cast<long>(words.probe_seconds * 1000));
  work.lag_most = milliseconds(static_cast<long>(words.lag_seconds * 1000));
  work.poll = milliseconds(static_cast<long>(words.poll_seconds * 1000));
  work.lease = milliseconds(static_cast<long>(words.lease_seconds * 1000));
  work.shutdown = milliseconds(static_cast<long>(words.shutdown_seconds * 1000));
  if (!words.metrics.empty()) {
    work.metrics_address = words.metrics;
    work.metrics_required = true;
  }
  if (words.no_metrics) work.metrics_address.clear();
  log::configure(log::level_from(words.log_level), log::format_from(words.log_format));
}

int migrate(const pg::Dsn& dsn, const std::string& grant, bool json) {
  pg::Session session(dsn, "lockkeeper migrate", 60000);
  const auto applied = pg::migrate(session);
  if (!grant.empty())
    session.statement("SELECT lockkeeper.grant_use($1::pg_catalog.name)", pg::Params::of(grant));
  if (json) {
    print_json({{"version", pg::schema_version_of_binary()}, {"applied", applied}});
    return kDone;
  }
  for (const auto& name : applied) std::cout << "applied " << name << '\n';
  std::cout << "the lockkeeper schema has version " << pg::schema_version_of_binary()
            << (applied.empty() ? ", nothing to do" : "") << std::endl;
  if (!grant.empty()) std::cout << "role " << grant << " may submit, see and cancel" << std::endl;
  return kDone;
}

int work(Context& context, const WorkWords& words) {
  take_work_options(context, words);
  context.work.dsns = words.dsns;
  if (context.work.dsns.empty()) context.work.dsns.push_back(context.dsn);
  // A wrong address or password should be told at once, not in a log that nobody reads yet.
  for (const auto& dsn : context.work.dsns) {
    pg::Session session(pg::Dsn(dsn), "lockkeeper");
    pg::require_schema(session);
  }
  service::Service::block_signals();
  service::Service service(context.work);
  service.start();
  const int signal = service::Service::wait_for_signal();
  log::info("stopping", {{"signal", std::to_string(signal)}});
  service.stop();
  log::info("stopped");
  return kDone;
}

int dev(Context& context, const WorkWords& words) {
  take_work_options(context, words);
  const bool with_worker = context.work.workers > 0;
  service::Service::block_signals();
  service::EmbeddedServer server;
  {
    pg::Session session(server.dsn(), "lockkeeper dev");
    pg::migrate(session);
  }
  std::unique_ptr<service::Service> service;
  if (with_worker) {
    context.work.dsns = {server.dsn().conninfo()};
    service = std::make_unique<service::Service>(context.work);
    service->start();
  }
  const std::string dsn =
      "postgresql://postgres@/postgres?host=" + server.socket_directory() + "&port=5432";
  std::cout << dsn << std::endl;
  std::cerr
      << "PostgreSQL " << (with_worker ? "and a worker run" : "runs")
      << " until Ctrl-C; try:\n  export LOCKKEEPER_DSN='" << dsn
      << "'\n  lockkeeper submit --wait 'CREATE TABLE hello (id int)'\n  psql \"$LOCKKEEPER_DSN\""
      << std::endl;
  service::Service::wait_for_signal();
  return kDone;
}

}  // namespace

void add_migrate(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "migrate", "Make or upgrade the lockkeeper schema of a database",
                  "lockkeeper migrate --dsn postgresql://owner@host/shop");
  const auto words = std::make_shared<WorkWords>();
  command->add_option("--grant", words->grant, "Let this role submit, see and cancel jobs");
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      return migrate(context.connection(), words->grant, context.json);
    };
  });
}

void add_work(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("work", "Run jobs of one or more databases until SIGTERM");
  command->footer(
      "Example:\n  lockkeeper work --dsn postgresql://owner@host/shop --dsn "
      "postgresql://owner@host/stock");
  const auto words = std::make_shared<WorkWords>();
  command->add_option("-d,--dsn", words->dsns, "Connection string; may be given more than once")
      ->envname("LOCKKEEPER_DSN");
  add_work_options(*command, words, 1);
  command->callback(
      [&context, words] { context.action = [&context, words] { return work(context, *words); }; });
}

void add_dev(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "dev", "Run a throw-away PostgreSQL with a worker, and print its connection string");
  command->footer("Example:\n  lockkeeper dev");
  const auto words = std::make_shared<WorkWords>();
  add_work_options(*command, words, 0);
  command->callback(
      [&context, words] { context.action = [&context, words] { return dev(context, *words); }; });
}

void add_version(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the versions of this program");
  command->footer("Example:\n  lockkeeper version --json");
  add_json_option(*command, context);
  command->callback([&context] {
    context.action = [&context] {
      if (context.json)
        print_json({{"lockkeeper", LOCKKEEPER_VERSION},
                    {"schema", pg::schema_version_of_binary()},
                    {"grammar", parse::grammar()}});
      else
        std::cout << fmt::format("lockkeeper {} (schema {}, grammar of PostgreSQL {})",
                                 LOCKKEEPER_VERSION, pg::schema_version_of_binary(),
                                 parse::grammar())
                  << std::endl;
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
