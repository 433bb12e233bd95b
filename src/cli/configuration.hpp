#pragma once
// The settings of a worker process, from a file, the environment and the command line, the later
// before the earlier; what can be told, and where each value comes from. One thread.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.hpp"

namespace lockkeeper::cli {

struct WorkWords {
  config::WorkSettings work;
  std::string config;
  std::string log_level = "info";
  std::string log_format = "text";
  std::vector<std::string> dsns;
  int lock_timeout_ms = 100;
  double poll_seconds = 5;
  double probe_seconds = 5;
  double lag_seconds = 10;
  double shutdown_seconds = 20;
  double lease_seconds = 15;
  std::string metrics;
  bool no_metrics = false;
};

/// Options of work and dev.
void add_work_options(CLI::App& command, WorkWords& words, int workers_least);
/// --config and --dsn, which dev has not.
void add_file_options(CLI::App& command, WorkWords& words);

/// Where a value comes from, as `config show` says it.
struct Value {
  std::string name;
  std::string environment;
  std::string description;
  std::string fallback;  ///< the default, as text
  std::string value;     ///< without passwords
  std::string from;      ///< flag, environment, file, default
};

/// Takes the options of a file that were given neither as flags nor in the environment; gives
/// where all come from. Throws InputError, with the place in the file.
std::vector<Value> take_file(CLI::App& command, const WorkWords& words);

/// The settings that the words mean; sets level and format of the log. Throws InputError.
config::WorkSettings settings_of(const WorkWords& words);

/// The same anew from `arguments` (those behind "work") and the file as it is now. Throws
/// InputError.
config::WorkSettings settings_again(const std::vector<std::string>& arguments);

}  // namespace lockkeeper::cli
