// submit, apply, plan.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <sstream>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"

namespace lockkeeper::cli {
namespace {

namespace fs = std::filesystem;

struct SubmitWords {
  bool as_script = false;
  std::string sql;
  std::vector<std::string> files;
  client::ApplyOptions options;
  std::string key;
  std::string priority = "normal";
  bool wait = false;
  int max_lock = -1;
  std::vector<std::string> refuse;
  TuningWords tuning;
};

void add_submit_options(CLI::App& command, Context& context,
                        const std::shared_ptr<SubmitWords>& words) {
  command.add_flag("-w,--wait", words->wait, "Wait for the end; exit 1 when it is not a good one");
  command.add_option("--key", words->key, "Idempotency key: a repeated submit gives the first job")
      ->check([](const std::string& key) { return key.empty() ? "must not be empty" : ""; });
  command.add_flag("--as-barrier", words->options.as_barrier,
                   "Run it unparsed, alone in the database (for SQL newer than this lockkeeper)");
  command.add_flag("--refuse-others", words->options.submit.refuse_new,
                   "Until it has ended, new submissions are refused instead of queued");
  command
      .add_option("--refuse", words->refuse,
                  "Refuse a statement that would do this to a table under a lock")
      ->check(CLI::IsMember({"rewrite", "scan"}));
  command
      .add_option("--max-lock", words->max_lock,
                  "Refuse a statement that would stop the application for longer, in ms, by the "
                  "planner's estimate")
      ->check(CLI::Range(0, 86400000));
  add_tuning_options(command, words->tuning);
  command.add_flag("--postpone-cutover", words->tuning.postpone,
                   "Do not make the new shape public before \"lockkeeper cutover\"");
  command.add_option("--priority", words->priority, "Orders only jobs that are ready")
      ->check(CLI::IsMember({"high", "normal", "low"}))
      ->capture_default_str();
  add_json_option(command, context);
}

client::ApplyOptions options_of(const SubmitWords& words) {
  client::ApplyOptions options = words.options;
  if (!words.key.empty()) options.submit.key = words.key;
  options.tuning = tuning_of(words.tuning);
  options.longest_stall = std::chrono::milliseconds(words.max_lock);
  for (const auto& what : words.refuse)
    (what == "rewrite" ? options.refuse_rewrite : options.refuse_scan) = true;
  options.submit.priority = words.priority == "high" ? 1 : words.priority == "low" ? -1 : 0;
  return options;
}

}  // namespace

int wait_for(client::Client& client, const std::vector<JobId>& ids, bool json) {
  Progress progress(json);
  std::vector<Json> last;
  client.wait(ids, [&](const std::vector<Json>& jobs) {
    progress.show(jobs);
    last = jobs;
    return true;
  });
  progress.finish(last);
  if (json) print_json(last);
  const bool good = std::all_of(last.begin(), last.end(),
                                [](const Json& job) { return cell(job["state"]) == "synced"; });
  return good ? kDone : kFailed;
}

int report_submitted(client::Client& client, const std::vector<jobs::Submitted>& submitted,
                     bool wait, bool json) {
  std::vector<JobId> ids;
  Json shown = Json::array();
  for (const auto& job : submitted) {
    ids.push_back(job.id);
    shown.push_back({{"id", job.id.value}, {"existing", job.existing}});
  }
  if (wait && !ids.empty()) return wait_for(client, ids, json);
  if (json) {
    print_json(shown);
    return kDone;
  }
  if (ids.size() == 1) {
    std::cout << "job " << ids.front().value
              << (submitted.front().existing ? " (submitted before with this key)" : "")
              << std::endl;
  } else if (ids.empty()) {
    std::cout << "nothing to do" << std::endl;
  } else {
    std::cout << "jobs " << ids.front().value << " to " << ids.back().value
              << (submitted.front().existing ? " (submitted before with this key)" : "")
              << std::endl;
  }
  return kDone;
}

namespace {

// down.sql (Diesel), 1_init.down.sql (golang-migrate), U1__init.sql (Flyway).
bool goes_down(const fs::path& file) {
  const auto name = file.filename().string();
  const bool undo = name.size() > 2 && name[0] == 'U' && name[1] >= '0' && name[1] <= '9' &&
                    name.find("__") != std::string::npos;
  return undo || name == "down.sql" ||
         (name.size() > 9 && name.compare(name.size() - 9, 9, ".down.sql") == 0);
}

// The .sql files of a directory, in name order; of each of its directories, the migration.sql
// (Prisma) or up.sql (Diesel). Files that take a migration back (down.sql) are left out.
std::vector<std::string> files_of(const std::string& directory) {
  std::vector<fs::path> files;
  std::size_t left_out = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.is_directory()) {
      for (const char* name : {"migration.sql", "up.sql"})
        if (fs::exists(entry.path() / name)) files.push_back(entry.path() / name);
      left_out += fs::exists(entry.path() / "down.sql") ? 1 : 0;
    } else if (goes_down(entry.path())) {
      ++left_out;
    } else if (entry.path().extension() == ".sql") {
      files.push_back(entry.path());
    }
  }
  if (files.empty())
    throw InputError("no .sql file in directory " + directory,
                     "looked for *.sql, */migration.sql and */up.sql");
  if (left_out > 0)
    std::cerr << "note: " << left_out << " down.sql of " << directory << " left out" << std::endl;
  // By the names of files and directories, not by the text of the whole path.
  std::sort(files.begin(), files.end());
  return {files.begin(), files.end()};
}

// Files as given; a directory is what files_of gives.
std::vector<client::SourceText> read_sources(const std::vector<std::string>& names) {
  std::vector<client::SourceText> sources;
  for (const auto& name : names) {
    if (!fs::is_directory(name)) {
      sources.push_back({name == "-" ? "<stdin>" : name, read_text(name)});
      continue;
    }
    for (const auto& file : files_of(name)) sources.push_back({file, read_text(file)});
  }
  return sources;
}

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
  if (explained.plan.online)
    print_steps(explained.plan);
  else
    print_locks(explained.plan);
}

}  // namespace

void add_submit(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "submit", "Put one statement into the queue",
                  "lockkeeper submit --wait \"ALTER TABLE orders ADD COLUMN note text\"");
  const auto words = std::make_shared<SubmitWords>();
  command->add_option("sql", words->sql, "The statement; - reads it from standard input")
      ->required();
  add_submit_options(*command, context, words);
  command->callback([&context, words] {
    context.action = [&context, words] {
      auto client = context.client();
      const std::string sql = words->sql == "-" ? read_text("-") : words->sql;
      return report_submitted(client, {client.submit(sql, options_of(*words))}, words->wait,
                              context.json);
    };
  });
}

void add_apply(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "apply",
                                  "Put migration files into the queue, as one batch in order",
                                  "lockkeeper apply --wait migrations/");
  const auto words = std::make_shared<SubmitWords>();
  command
      ->add_option("files", words->files,
                   "Files, directories (in name order: *.sql, */migration.sql, */up.sql; no "
                   "down.sql), - for stdin")
      ->required();
  add_submit_options(*command, context, words);
  command
      ->add_option("--on-error", words->options.submit.on_error,
                   "What becomes of the rest of the batch when a job does not end well")
      ->check(CLI::IsMember({"cancel", "continue"}))
      ->capture_default_str();
  command->add_flag("-1,--single-transaction", words->options.single_transaction,
                    "All of it is one job in one transaction");
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto sources = read_sources(words->files);
      auto client = context.client();
      return report_submitted(client, client.apply(sources, options_of(*words)), words->wait,
                              context.json);
    };
  });
}

void add_plan(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "plan", "Show what statements would do, without running them",
                  "lockkeeper plan \"ALTER TABLE orders ALTER COLUMN total TYPE numeric(12,2)\"");
  const auto words = std::make_shared<SubmitWords>();
  command->add_option("statements", words->sql, "Statements; - reads them from standard input");
  command->add_option("-f,--file", words->files, "Files or directories instead");
  command->add_flag("-1,--single-transaction", words->options.single_transaction,
                    "Plan all of it as one job");
  command->add_flag("--sql", words->as_script, "Print the steps as a script that psql could run");
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      if (words->sql.empty() == words->files.empty())
        throw InputError("give statements, or --file", "see: lockkeeper plan --help");
      std::vector<client::SourceText> sources;
      if (words->files.empty())
        sources.push_back({{}, words->sql == "-" ? read_text("-") : words->sql});
      else
        sources = read_sources(words->files);
      auto client = context.client();
      Json all = Json::array();
      for (const auto& source : sources) {
        for (const auto& explained : client.plan(source, words->options)) {
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
