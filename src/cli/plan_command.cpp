// plan.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <sstream>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/sources.hpp"

namespace lockkeeper::cli {
namespace {

struct PlanWords {
  bool as_script = false;
  bool single_transaction = false;
  std::string sql;
  std::vector<std::string> files;
};

Json as_json(const client::Explained& explained) {
  Json steps = Json::array();
  Json locks = Json::array();
  for (const auto& step : explained.plan.steps) {
    Json own = Json::array();
    for (const auto& lock : step.locks)
      own.push_back({{"part", lock.part},
                     {"object", lock.object},
                     {"lock", to_string(lock.mode)},
                     {"blocks", blocks(lock.mode)},
                     {"rewrites", lock.rewrites},
                     {"scans", lock.scans},
                     {"seconds", lock.seconds},
                     {"note", lock.note}});
    locks.insert(locks.end(), own.begin(), own.end());
    steps.push_back({{"kind", to_string(step.kind)},
                     {"statements", step.statements},
                     {"undo", step.undo},
                     {"schema_state", step.schema_state},
                     {"says", step.says},
                     {"locks", own}});
  }
  Json footprint = Json::array();
  for (const auto& row : explained.footprint.rows)
    footprint.push_back({{"object", row.object}, {"exclusive", row.exclusive}});
  Json waits = Json::array();
  for (const auto& conflict : explained.footprint.waits_for)
    waits.push_back(
        {{"job", conflict.job.value},
         {"object", conflict.object},
         {"distance", conflict.distance},
         {"because", conflict.because ? Json(conflict.because->value) : Json(nullptr)}});
  return {{"statement", explained.statement},
          {"action", explained.plan.action},
          {"step", to_string(explained.plan.steps.front().kind)},
          {"online", explained.plan.online},
          {"bytes", explained.plan.bytes},
          {"notes", explained.plan.remarks},
          {"problems", explained.plan.problems},
          {"stall_seconds", plan::stall(explained.plan)},
          {"steps", steps},
          {"locks", locks},
          {"footprint", footprint},
          {"waits_for", waits}};
}

std::string rows_of(const plan::TableLock& lock) {
  const std::string time = lock.seconds >= 0.1 ? ", about " + duration(lock.seconds) : "";
  if (lock.rewrites) return "rewrites the table" + time;
  return lock.scans ? "reads every row" + time : "instant";
}

std::string how_it_runs(const plan::Plan& plan) {
  if (plan.online && plan.steps.size() > 1)
    return fmt::format("in {} online steps", plan.steps.size());
  return plan.steps.front().kind == plan::StepKind::transaction ? "in one transaction"
                                                                : "outside of a transaction";
}

// Lines of words beside the label; in a pipe, one line as it is.
void say(const std::string& label, const std::string& text) {
  constexpr std::size_t kIndent = 13;
  const auto room = static_cast<std::size_t>(terminal_width());
  std::string line = fmt::format("  {:<{}}", label, kIndent - 2);
  if (room <= 2 * kIndent || kIndent + width_of(text) <= room) {
    std::cout << line << text << '\n';
    return;
  }
  std::istringstream words(text);
  std::size_t used = kIndent;
  for (std::string word; words >> word;) {
    if (used > kIndent && used + 1 + width_of(word) > room) {
      std::cout << line << '\n';
      line = std::string(kIndent, ' ');
      used = kIndent;
    }
    line += (used > kIndent ? " " : "") + word;
    used += (used > kIndent ? 1 : 0) + width_of(word);
  }
  std::cout << line << '\n';
}

void print_locks(const plan::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& step : plan.steps)
    for (const auto& lock : step.locks)
      rows.push_back({"  " + lock.part, lock.object, to_string(lock.mode), blocks(lock.mode),
                      rows_of(lock), lock.note});
  if (rows.empty()) return;
  std::cout << '\n';
  print_table({"  PART", "TABLE", "LOCK", "MEANWHILE", "ROWS", "NOTE"}, rows);
}

void print_steps(const plan::Plan& plan) {
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const auto& step = plan.steps[i];
    std::cout << '\n';
    say("step " + std::to_string(i + 1), step.says);
    for (const auto& lock : step.locks)
      say("  lock", fmt::format("{} on {}: {}, {}", to_string(lock.mode), lock.object,
                                blocks(lock.mode), rows_of(lock)));
    for (const auto& statement : step.statements) say("  run", statement);
    for (const auto& statement : step.undo) say("  undo", statement);
  }
}

// What a person could run instead, with psql.
void print_script(const client::Explained& explained) {
  std::cout << "-- " << one_line(explained.statement) << '\n';
  for (const auto& step : explained.plan.steps) {
    const bool together = step.kind == plan::StepKind::transaction && step.statements.size() > 1;
    if (!step.says.empty()) std::cout << "-- " << step.says << '\n';
    if (step.kind == plan::StepKind::transaction)
      std::cout << "SET lock_timeout = '100ms';\n";
    else
      std::cout << "SET lock_timeout = 0;\n";
    if (together) std::cout << "BEGIN;\n";
    for (const auto& statement : step.statements) std::cout << statement << ";\n";
    if (together) std::cout << "COMMIT;\n";
  }
}

void print_plan(const client::Explained& explained) {
  std::cout << one_line(explained.statement) << '\n';
  say("action", explained.plan.action);
  say("run", how_it_runs(explained.plan));
  if (explained.plan.bytes > 0) say("size", bytes(explained.plan.bytes));
  std::string footprint;
  for (const auto& row : explained.footprint.rows)
    footprint +=
        (footprint.empty() ? "" : ", ") + row.object + (row.exclusive ? " exclusive" : " shared");
  say("footprint", footprint);
  std::string waits;
  for (const auto& conflict : explained.footprint.waits_for)
    waits += fmt::format("{}job {} ({}{})", waits.empty() ? "" : ", ", conflict.job.value,
                         conflict.because ? "before job " + conflict.because->str() + ": " : "",
                         conflict.object);
  say("waits for", waits.empty() ? "nothing" : waits);
  for (const auto& remark : explained.plan.remarks) say("note", remark);
  for (const auto& problem : explained.plan.problems) say("would fail", problem);
  if (explained.plan.online)
    print_steps(explained.plan);
  else
    print_locks(explained.plan);
}

}  // namespace

void add_plan(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "plan", "Show what statements would do, without running them",
                  "lockkeeper plan \"ALTER TABLE orders ALTER COLUMN total TYPE numeric(12,2)\"");
  const auto words = std::make_shared<PlanWords>();
  command->add_option("statements", words->sql, "Statements; - reads them from standard input");
  command->add_option("-f,--file", words->files, "Files or directories instead");
  command->add_flag("-1,--single-transaction", words->single_transaction,
                    "Plan all of it as one job");
  command->add_flag("--sql", words->as_script, "Print the steps as a script that psql could run");
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      if (words->sql.empty() == words->files.empty())
        throw InputError("give statements, or --file", "see: lockkeeper plan --help");
      need_no_file(words->sql, "lockkeeper plan --file " + words->sql);
      client::ApplyOptions options;
      options.single_transaction = words->single_transaction;
      std::vector<client::SourceText> sources;
      if (words->files.empty())
        sources.push_back({{}, words->sql == "-" ? read_text("-") : words->sql});
      else
        sources = read_sources(words->files);
      auto client = context.client();
      Json all = Json::array();
      plan::Earlier earlier;
      for (const auto& source : sources) {
        for (const auto& explained : client.plan(source, options, earlier)) {
          if (!context.json && !all.empty()) std::cout << '\n';
          if (!context.json && words->as_script) print_script(explained);
          if (!context.json && !words->as_script) print_plan(explained);
          all.push_back(as_json(explained));
        }
      }
      if (context.json) print_json(all);
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
