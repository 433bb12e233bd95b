#include "cli/configuration.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.hpp"
#include "base/log.hpp"
#include "config/file.hpp"
#include "pg/dsn.hpp"

namespace lockkeeper::cli {
namespace {

using std::chrono::milliseconds;

milliseconds from_seconds(double seconds) {
  if (!std::isfinite(seconds)) throw InputError("a time is to be a number of seconds");
  return milliseconds(static_cast<long>(seconds * 1000));
}

// What cannot stand in a file.
bool is_setting(const CLI::Option& option) {
  return !option.get_lnames().empty() && option.get_lnames().front() != "help" &&
         option.get_lnames().front() != "config";
}

void check_address(const std::string& address) {
  const auto colon = address.rfind(':');
  const auto port = colon == std::string::npos ? "" : address.substr(colon + 1);
  if (port.empty() || port.size() > 5 ||
      port.find_first_not_of("0123456789") != std::string::npos || std::stol(port) > 65535)
    throw InputError("\"" + address + "\" is no address of metrics pages",
                     "host:port, for example 127.0.0.1:9632 or [::1]:9632");
}

// What the option takes for text means something.
void check(const std::string& name, const std::string& value) {
  if (name == "metrics") check_address(value);
  if (name == "log-level") log::level_from(value);
  if (name == "log-format") log::format_from(value);
  if (name == "dsn") const pg::Dsn parsed(value);
  if (name == "poll" || name == "lease" || name == "probe" || name == "lag" ||
      name == "shutdown-limit")
    from_seconds(std::stod(value));
}

[[noreturn]] void refuse(const config::File& file, const config::Entry& entry,
                         const std::string& message, const std::string& hint = {}) {
  Report report;
  report.message = message;
  report.hint = hint;
  report.position = entry.position;
  throw InputError(report, file.layout, file.path);
}

CLI::Option& option_for(CLI::App& command, const config::File& file, const config::Entry& entry) {
  auto* option = command.get_option_no_throw("--" + entry.key);
  if (option == nullptr || !is_setting(*option))
    refuse(file, entry, "there is no setting \"" + entry.key + "\"",
           "lockkeeper config show lists them");
  return *option;
}

// "metrics" and "no-metrics" answer the same question: whoever comes first in rank answers it.
bool said_otherwise(const CLI::App& command, const std::string& key) {
  if (key == "metrics") return command.count("--no-metrics") > 0;
  return key == "no-metrics" && command.count("--metrics") > 0;
}

bool in_environment(const CLI::Option& option) {
  const char* value =
      option.get_envname().empty() ? nullptr : std::getenv(option.get_envname().c_str());
  return value != nullptr && *value != '\0';
}

void apply(CLI::Option& option, const config::File& file, const config::Entry& entry) {
  try {
    option.add_result(entry.values);
    option.run_callback();
    for (const auto& value : entry.values) check(entry.key, value);
  } catch (const InputError& error) {
    refuse(file, entry, "\"" + entry.key + "\": " + error.report().message, error.report().hint);
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    const std::string name = "--" + entry.key + ": ";
    if (message.rfind(name, 0) == 0) message.erase(0, name.size());
    refuse(file, entry, "\"" + entry.key + "\": " + message);
  }
}

std::string shown(const CLI::Option& option, const std::string& fallback) {
  if (option.count() == 0) return fallback;
  std::string text;
  for (const auto& result : option.results()) {
    if (!text.empty()) text += ", ";
    text += option.get_lnames().front() == "dsn" ? pg::Dsn(result).redacted() : result;
  }
  return text;
}

std::string default_of(const CLI::Option& option) {
  const auto text = option.get_default_str();
  return text.empty() && option.get_expected_max() == 0 ? "false" : text;
}

// How jobs are run.
void add_job_options(CLI::App& command, WorkWords& words, int workers_least) {
  command
      .add_option("-j,--workers", words.work.workers,
                  "Most threads for quick changes, for each database")
      ->check(CLI::Range(workers_least, 256))
      ->envname("LOCKKEEPER_WORKERS")
      ->capture_default_str();
  command
      .add_option("--reorg-workers", words.work.reorg_workers,
                  "Most threads for changes that read or write rows [half the cores, at least 2]")
      ->check(CLI::Range(1, 256))
      ->envname("LOCKKEEPER_REORG_WORKERS");
  command
      .add_option("--lease", words.lease_seconds,
                  "Seconds of silence after which other processes take this one's jobs")
      ->check(CLI::Range(1.0, 86400.0))
      ->envname("LOCKKEEPER_LEASE_SECONDS")
      ->capture_default_str();
  command
      .add_flag("--flush-each-job", words.work.flush_each_job,
                "Each job's commit waits for the disk; without it only what is told does")
      ->envname("LOCKKEEPER_FLUSH_EACH_JOB");
  command
      .add_option("--lock-timeout", words.lock_timeout_ms,
                  "Longest wait for a lock on a table, in ms; then the step backs off")
      ->check(CLI::Range(1, 600000))
      ->envname("LOCKKEEPER_LOCK_TIMEOUT_MS")
      ->capture_default_str();
  command
      .add_option("--probe", words.probe_seconds,
                  "Seconds to look for rows that do not fit a new constraint, before anything is "
                  "changed; 0: not at all")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_PROBE_SECONDS")
      ->capture_default_str();
  command
      .add_option("--lag", words.lag_seconds,
                  "Seconds that a standby may be behind before a backfill waits for it")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_LAG_SECONDS")
      ->capture_default_str();
  command
      .add_option("--retries", words.work.tries_most, "Retryable errors before a job is given up")
      ->check(CLI::Range(1, 1000000))
      ->envname("LOCKKEEPER_RETRIES")
      ->capture_default_str();
}

}  // namespace

void add_work_options(CLI::App& command, WorkWords& words, int workers_least) {
  add_job_options(command, words, workers_least);
  command.add_option("--poll", words.poll_seconds, "Seconds between looks without a notification")
      ->check(CLI::Range(0.05, 3600.0))
      ->envname("LOCKKEEPER_POLL_SECONDS")
      ->capture_default_str();
  command
      .add_option(
          "--shutdown-limit", words.shutdown_seconds,
          "Seconds that running jobs get at SIGTERM before they are stopped and handed back")
      ->check(CLI::Range(0.0, 86400.0))
      ->envname("LOCKKEEPER_SHUTDOWN_SECONDS")
      ->capture_default_str();
  command.add_option("--name", words.work.name, "Name of this process in lists and logs")
      ->envname("LOCKKEEPER_NAME");
  command
      .add_option("--metrics", words.metrics,
                  "Address of the pages /metrics, /healthz and /readyz [127.0.0.1:9632]")
      ->envname("LOCKKEEPER_METRICS");
  command.add_flag("--no-metrics", words.no_metrics, "Serve no metrics")
      ->envname("LOCKKEEPER_NO_METRICS");
  command.add_option("--log-level", words.log_level, "debug, info, warning, error, off")
      ->envname("LOCKKEEPER_LOG_LEVEL")
      ->capture_default_str();
  command.add_option("--log-format", words.log_format, "text or json")
      ->envname("LOCKKEEPER_LOG_FORMAT")
      ->capture_default_str();
}

void add_file_options(CLI::App& command, WorkWords& words) {
  command.add_option("-d,--dsn", words.dsns, "Connection string; may be given more than once")
      ->envname("LOCKKEEPER_DSN");
  command
      .add_option("-c,--config", words.config, "File of settings, in TOML; read again at SIGHUP")
      ->envname("LOCKKEEPER_CONFIG");
}

std::vector<Value> take_file(CLI::App& command, const WorkWords& words) {
  std::vector<std::string> from_file;
  if (!words.config.empty()) {
    const auto file = config::read_file(words.config);
    for (const auto& entry : file.entries) {
      auto& option = option_for(command, file, entry);
      if (option.count() > 0 || said_otherwise(command, entry.key)) continue;
      apply(option, file, entry);
      from_file.push_back(entry.key);
    }
  }
  std::vector<Value> values;
  for (const auto* option : command.get_options()) {
    if (!is_setting(*option)) continue;
    const auto name = option->get_lnames().front();
    const bool filed = std::find(from_file.begin(), from_file.end(), name) != from_file.end();
    const char* from = option->count() == 0      ? "default"
                       : filed                   ? "file"
                       : in_environment(*option) ? "environment"
                                                 : "flag";
    const auto fallback = default_of(*option);
    values.push_back({name, option->get_envname(), option->get_description(), fallback,
                      shown(*option, fallback), from});
  }
  return values;
}

config::WorkSettings settings_of(const WorkWords& words) {
  config::WorkSettings work = words.work;
  work.dsns = words.dsns;
  work.lock_timeout = milliseconds(words.lock_timeout_ms);
  work.probe_most = from_seconds(words.probe_seconds);
  work.lag_most = from_seconds(words.lag_seconds);
  work.poll = from_seconds(words.poll_seconds);
  work.lease = from_seconds(words.lease_seconds);
  work.shutdown = from_seconds(words.shutdown_seconds);
  if (!words.metrics.empty()) {
    check_address(words.metrics);
    work.metrics_address = words.metrics;
    work.metrics_required = true;
  }
  if (words.no_metrics) work.metrics_address.clear();
  log::configure(log::level_from(words.log_level), log::format_from(words.log_format));
  return work;
}

config::WorkSettings settings_again(const std::vector<std::string>& arguments) {
  CLI::App command;
  WorkWords words;
  add_file_options(command, words);
  add_work_options(command, words, 1);
  try {
    command.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    throw InputError(error.what());
  }
  take_file(command, words);
  return settings_of(words);
}

}  // namespace lockkeeper::cli
