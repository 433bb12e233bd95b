#pragma once
// What all commands share: options, connection, and the functions that add each command to the
// application. One thread.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "client/client.hpp"
#include "config/settings.hpp"

namespace lockkeeper::cli {

/// An id or a count.
inline CLI::Range positive() { return {std::int64_t{1}, std::numeric_limits<std::int64_t>::max()}; }

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kBadInput = 2;
inline constexpr int kUnreachable = 3;

/// State of one invocation; lives as long as the application.
struct Context {
  std::string dsn;
  bool json = false;
  config::WorkSettings work;
  std::vector<std::string> work_arguments;  ///< those behind "work"
  /// Set by the command that was chosen; gives the exit code.
  std::function<int()> action;

  [[nodiscard]] pg::Dsn connection() const;
  [[nodiscard]] client::Client client() const;
};

/// A subcommand with --dsn and an example in its help.
CLI::App* add_command(CLI::App& app, Context& context, const std::string& name,
                      const std::string& description, const std::string& example);
void add_json_option(CLI::App& command, Context& context);

void add_migrate(CLI::App& app, Context& context);
void add_submit(CLI::App& app, Context& context);
void add_apply(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_jobs(CLI::App& app, Context& context);
void add_show(CLI::App& app, Context& context);
void add_watch(CLI::App& app, Context& context);
/// How jobs are to be run: options of submit, apply and alter.
struct TuningWords {
  int threads = -1;
  int batch = -1;
  std::int64_t max_speed = -1;
  std::int64_t deadline = -1;
  bool postpone = false;
  std::string mdl;
  std::int64_t mdl_timeout = -1;
  std::string on_timeout;
  std::int64_t kill_blockers = -1;
};
void add_tuning_options(CLI::App& command, TuningWords& words);
jobs::Tuning tuning_of(const TuningWords& words);

void add_alter(CLI::App& app, Context& context);
/// Shows the jobs until they have ended; kFailed when one did not end well.
int wait_for(client::Client& client, const std::vector<JobId>& ids, bool json);
/// Says which jobs were submitted, or with `wait` what became of them; gives the exit code.
int report_submitted(client::Client& client, const std::vector<jobs::Submitted>& submitted,
                     bool wait, bool json);

void add_trash(CLI::App& app, Context& context);
void add_restore(CLI::App& app, Context& context);
void add_purge(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_nodes(CLI::App& app, Context& context);
void add_blockers(CLI::App& app, Context& context);
void add_cutover(CLI::App& app, Context& context);
void add_cancel(CLI::App& app, Context& context);
void add_history(CLI::App& app, Context& context);
void add_stats(CLI::App& app, Context& context);
void add_graph(CLI::App& app, Context& context);
void add_pause(CLI::App& app, Context& context);
void add_resume(CLI::App& app, Context& context);
void add_retry(CLI::App& app, Context& context);
void add_set(CLI::App& app, Context& context);
void add_upgrade(CLI::App& app, Context& context);
void add_work(CLI::App& app, Context& context);
void add_dev(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

/// Reads a file, or standard input for "-". Throws InputError.
std::string read_text(const std::string& file);

}  // namespace lockkeeper::cli
