// show.
#include <fmt/format.h>

#include <iostream>
#include <map>
#include <memory>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"

namespace lockkeeper::cli {
namespace {

struct Line {
  const char* key;
  const char* label;
  std::string (*words)(const Json& value);
};

std::string as_it_is(const Json& value) { return cell(value); }

std::string as_time(const Json& value) {
  std::string text = cell(value);  // 2026-11-23T00:29:28.930638+00:00
  if (const auto t = text.find('T'); t != std::string::npos) text[t] = ' ';
  if (const auto dot = text.find('.'); dot != std::string::npos) {
    const auto zone = text.find_first_of("+-", dot);
    text.erase(dot, zone == std::string::npos ? zone : zone - dot);
  }
  return text;
}

std::string as_duration(const Json& value) { return duration(value.get<double>()); }

std::string unless_zero(const Json& value) { return value == 0 ? "" : cell(value); }

std::string as_priority(const Json& value) { return value == 0 ? "" : value > 0 ? "high" : "low"; }

// What a person asks first comes first; the rest is in --json.
constexpr Line kLines[] = {{"state", "state", as_it_is},
                           {"schema_state", "schema state", as_it_is},
                           {"action", "action", as_it_is},
                           {"objects", "objects", short_objects},
                           {"dependency_id", "waits for job", as_it_is},
                           {"paused_by", "paused by", as_it_is},
                           {"role", "role", as_it_is},
                           {"worker", "worker", as_it_is},
                           {"pool", "pool", as_it_is},
                           {"batch_id", "batch", as_it_is},
                           {"key", "key", as_it_is},
                           {"priority", "priority", as_priority},
                           {"tries", "retries", unless_zero},
                           {"crashes", "crashes", unless_zero},
                           {"submitted_at", "submitted", as_time},
                           {"started_at", "started", as_time},
                           {"retry_at", "next try", as_time},
                           {"ended_at", "ended", as_time},
                           {"age_seconds", "age", as_duration},
                           {"waited_seconds", "waited", as_duration},
                           {"took_seconds", "took", as_duration},
                           {"schema_version", "version", as_it_is},
                           {"search_path", "search_path", as_it_is}};

// Those that are not as they are for whoever asks.
void print_settings(const Json& settings, const std::map<std::string, std::string>& own) {
  if (!settings.is_object()) return;
  std::string text;
  for (const auto& [name, value] : settings.items()) {
    const auto mine = own.find(name);
    if (mine != own.end() && mine->second == cell(value)) continue;
    text += (text.empty() ? "" : ", ") + name + " = " + cell(value);
  }
  if (!text.empty()) std::cout << fmt::format("{:<14}{}\n", "settings", text);
}

void print_lines(const Json& job) {
  for (const auto& line : kLines) {
    const auto found = job.find(line.key);
    if (found == job.end() || found->is_null()) continue;
    const auto words = line.words(*found);
    if (!words.empty()) std::cout << fmt::format("{:<14}{}\n", line.label, words);
  }
  if (const auto progress = progress_words(job); !progress.empty())
    std::cout << fmt::format("{:<14}{}\n", "progress", progress);
}

void print_steps(const Json& steps) {
  if (!steps.is_array()) return;
  int number = 0;
  for (const auto& step : steps) {
    if (!step.contains("sql")) continue;
    std::cout << fmt::format("step {}  {}{}\n", ++number, step.value("kind", ""),
                             step.contains("state") ? ", " + step.value("state", "") : "");
    for (const auto& statement : step["sql"]) std::cout << "  " << cell(statement) << '\n';
  }
}

int show_job(Context& context, std::int64_t id) {
  auto client = context.client();
  const auto job = client.show(JobId{id});
  if (!job) {
    std::cerr << "error: there is no job " << id
              << "\nhint: see \"lockkeeper jobs\" and \"lockkeeper history\"" << std::endl;
    return kFailed;
  }
  if (context.json) {
    print_json(*job);
    return kDone;
  }
  std::cout << fmt::format("{:<14}{}\n", "job", id);
  print_lines(*job);
  print_settings(job->value("settings", Json()), client.environment());
  std::cout << "statement\n  " << printable(cell((*job)["statement"])) << '\n';
  print_steps((*job)["steps"]);
  if ((*job)["error"].is_object()) {
    std::cout << pretty_error((*job)["error"], cell((*job)["statement"])) << '\n';
    if (const auto undo = cell((*job)["error"].value("undo", Json())); !undo.empty())
      std::cout << "not taken back yet: " << undo << '\n';
  }
  std::cout.flush();
  return kDone;
}

}  // namespace

void add_show(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "show", "Show one job with everything that is known of it",
                  "lockkeeper show 12");
  const auto id = std::make_shared<std::int64_t>(0);
  command->add_option("id", *id, "Job id")->required()->check(positive());
  add_json_option(*command, context);
  command->callback(
      [&context, id] { context.action = [&context, id] { return show_job(context, *id); }; });
}

}  // namespace lockkeeper::cli
