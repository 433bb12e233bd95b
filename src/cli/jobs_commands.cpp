// jobs, watch, history, stats, graph.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"

namespace lockkeeper::cli {
namespace {

struct JobWords {
  std::vector<std::int64_t> ids;
  int limit = 50;
  std::string state;
  Json wanted = Json::object();
  bool until_empty = false;
};

std::string waits_for(const Json& job) {
  if (!job["dependency_id"].is_null()) return "job " + job["dependency_id"].dump();
  if (cell(job["state"]) == "paused" && cell(job["paused_by"]) == "crashes")
    return "somebody to resume or cancel it";
  if (cell(job["state"]) == "paused") return "resume by " + cell(job["paused_by"]);
  if (auto blocker = in_the_way(job); !blocker.empty()) return blocker;
  if (cell(job["state"]) == "queueing" && job["tries"].get<int>() > 0 && job["error"].is_object())
    return "retry after " + job["error"].value("sqlstate", "");
  return "";
}

// In a narrow terminal without what is wanted least.
void print_jobs(const std::vector<Json>& jobs) {
  std::vector<std::vector<std::string>> rows = {{"ID", "STATE", "SCHEMA STATE", "ACTION", "OBJECTS",
                                                 "WAITS FOR", "AGE", "WORKER", "STATEMENT"}};
  for (const auto& job : jobs) {
    const auto progress = progress_words(job);
    rows.push_back({job["id"].dump(), cell(job["state"]) + (progress.empty() ? "" : " " + progress),
                    cell(job["schema_state"]), cell(job["action"]), short_objects(job["objects"]),
                    waits_for(job), duration(job["age_seconds"].get<double>()), cell(job["worker"]),
                    one_line(cell(job["statement"]))});
  }
  if (const int width = terminal_width(); width > 0 && width < 120)
    for (auto& row : rows)
      for (const int column : {7, 2}) row.erase(row.begin() + column);
  const auto head = rows.front();
  rows.erase(rows.begin());
  print_table(head, rows);
}

void print_history(const std::vector<Json>& jobs) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& job : jobs) {
    const auto& took = job["took_seconds"];
    const auto& waited = job["waited_seconds"];
    rows.push_back({job["id"].dump(), cell(job["state"]), cell(job["action"]),
                    short_objects(job["objects"]),
                    waited.is_null() ? "" : duration(waited.get<double>()),
                    took.is_null() ? "" : duration(took.get<double>()), cell(job["tries"]),
                    job["error"].is_object() ? job["error"].value("sqlstate", "") : "",
                    one_line(job["error"].is_object() ? job["error"].value("message", "")
                                                      : cell(job["statement"]))});
  }
  print_table({"ID", "STATE", "ACTION", "OBJECTS", "WAITED", "TOOK", "RETRIES", "ERROR",
               "STATEMENT OR REASON"},
              rows);
}

void print_graph(const std::vector<jobs::GraphNode>& nodes) {
  if (nodes.empty()) std::cout << "no unfinished jobs" << std::endl;
  for (const auto& node : nodes) {
    std::cout << "job " << node.id.value << "  " << node.state << "  " << node.action << "  "
              << cut(one_line(node.statement), 60) << '\n';
    for (const auto& [before, object] : node.waits_for)
      std::cout << "  waits for job " << before.value << " (" << object << ")\n";
  }
  std::cout.flush();
}

Json as_json(const std::vector<jobs::GraphNode>& nodes) {
  Json all = Json::array();
  for (const auto& node : nodes) {
    Json waits = Json::array();
    for (const auto& [before, object] : node.waits_for)
      waits.push_back({{"job", before.value}, {"object", object}});
    all.push_back({{"id", node.id.value},
                   {"state", node.state},
                   {"action", node.action},
                   {"statement", node.statement},
                   {"waits_for", waits}});
  }
  return all;
}

std::string dot_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

void print_dot(const std::vector<jobs::GraphNode>& nodes) {
  std::cout << "digraph lockkeeper {\n  rankdir=LR;\n  node [shape=box];\n";
  for (const auto& node : nodes)
    std::cout << "  " << node.id.value << " [label="
              << dot_quoted(node.id.str() + " " + node.action + " (" + node.state + ")")
              << (node.state == "running" ? ", style=bold" : "") << "];\n";
  for (const auto& node : nodes)
    for (const auto& [before, object] : node.waits_for)
      std::cout << "  " << node.id.value << " -> " << before.value
                << " [label=" << dot_quoted(object) << "];\n";
  std::cout << "}" << std::endl;
}

Progress progress_of(const Context& context) {
  return Progress(context.json ? Progress::Style::json : Progress::Style::text);
}

// One look at the whole queue, and at what was in it at the looks before. True: it is empty.
bool look_at_all(client::Client& client, Progress& progress, std::vector<JobId>& followed) {
  // Jobs stay on the screen until they have been seen in their last state.
  for (const auto& job : client.jobs(1000)) {
    const JobId id{job["id"].get<std::int64_t>()};
    if (std::find(followed.begin(), followed.end(), id) == followed.end()) followed.push_back(id);
  }
  const auto states = client.states(followed);
  progress.show(states);
  const bool idle = std::all_of(states.begin(), states.end(), [](const Json& job) {
    return client::is_final_state(cell(job["state"]));
  });
  if (followed.size() > 200 && idle) followed.clear();
  return idle;
}

int watch_all(Context& context, bool until_empty) {
  auto client = context.client();
  auto progress = progress_of(context);
  std::vector<JobId> followed;
  if (!until_empty && client.jobs(1).empty())
    std::cerr << "no unfinished jobs; waiting for some (Ctrl-C ends)" << std::endl;
  while (true) {
    try {
      if (look_at_all(client, progress, followed) && until_empty) return kDone;
      client.wait_for_change(std::chrono::milliseconds(250));
    } catch (const Error& error) {
      if (!client.lost()) throw;
      progress.interrupted();
      client.reconnect();
    }
  }
}

int watch_some(Context& context, const std::vector<std::int64_t>& ids) {
  auto client = context.client();
  std::vector<JobId> wanted;
  for (const auto id : ids) wanted.push_back(JobId{id});
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  if (client.states(wanted).size() != wanted.size())
    throw Error(Retry::never, "there is no such job: see \"lockkeeper jobs\" and \"history\"",
                "42704");
  auto progress = progress_of(context);
  std::vector<Json> last;
  client.wait(
      wanted,
      [&](const std::vector<Json>& jobs) {
        progress.show(jobs);
        last = jobs;
        return true;
      },
      [&](const Error&) { progress.interrupted(); });
  progress.finish(last);
  return std::all_of(last.begin(), last.end(),
                     [](const Json& job) { return cell(job["state"]) == "synced"; })
             ? kDone
             : kFailed;
}

}  // namespace

void add_jobs(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "jobs", "List unfinished jobs", "lockkeeper jobs --json");
  const auto words = std::make_shared<JobWords>();
  words->limit = 1000;
  command->add_option("-n,--limit", words->limit, "At most so many")->check(CLI::Range(1, 1000000));
  command->add_option("--state", words->state, "In this state")
      ->check(CLI::IsMember(
          {"queueing", "running", "pausing", "paused", "cancelling", "rolling back", "done"}));
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto jobs = context.client().jobs(words->limit, words->state);
      if (context.json)
        print_json(jobs);
      else if (jobs.empty())
        std::cout << "no unfinished jobs"
                  << (words->state.empty() ? "" : " in state " + words->state) << std::endl;
      else
        print_jobs(jobs);
      return kDone;
    };
  });
}

void add_history(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "history", "List ended jobs, newest first",
                  "lockkeeper history --object orders --since 7d --state cancelled");
  const auto words = std::make_shared<JobWords>();
  command->add_option("-n,--limit", words->limit, "At most so many")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  const auto filter = [&](const char* name, const char* key, const char* description) {
    return command->add_option_function<std::string>(
        name, [words, key](const std::string& value) { words->wanted[key] = value; }, description);
  };
  filter("--object", "object", "Touched this object: orders, app.orders, or relation:app.orders");
  filter("--action", "action", "With this action, as it is listed");
  filter("--state", "state", "With this final state")
      ->check(CLI::IsMember({"synced", "cancelled", "rollback done"}));
  filter("--role", "role", "Submitted by this role");
  filter("--batch", "batch", "Of this batch")->check(positive());
  filter("--since", "since", "Ended since then: a timestamp, or how long ago (7d, 2h)");
  filter("--until", "until", "Ended before then");
  filter("--before", "before", "The page after this job id")->check(positive());
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto jobs = context.client().history(words->limit, words->wanted);
      if (context.json) {
        print_json(jobs);
      } else if (jobs.empty()) {
        std::cout << "no ended jobs" << (words->wanted.empty() ? "" : " of this kind") << std::endl;
      } else {
        print_history(jobs);
        if (static_cast<int>(jobs.size()) == words->limit)
          std::cerr << "more: --before " << jobs.back()["id"] << std::endl;
      }
      return kDone;
    };
  });
}

void add_stats(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "stats", "Count the jobs of the last seven days and their times",
                  "lockkeeper stats");
  add_json_option(*command, context);
  command->callback([&context] {
    context.action = [&context] {
      const auto all = context.client().statistics();
      if (context.json) {
        print_json(all);
        return kDone;
      }
      std::vector<std::vector<std::string>> rows;
      const auto time = [](const Json& value) {
        return value.is_null() ? std::string() : duration(value.get<double>());
      };
      for (const auto& row : all)
        rows.push_back({cell(row["action"]), cell(row["state"]), cell(row["jobs"]),
                        cell(row["retries"]), time(row["waited_p50_seconds"]),
                        time(row["waited_p99_seconds"]), time(row["took_p50_seconds"]),
                        time(row["took_p99_seconds"])});
      print_table({"ACTION", "STATE", "JOBS", "RETRIES", "WAITED P50", "WAITED P99", "TOOK P50",
                   "TOOK P99"},
                  rows);
      return kDone;
    };
  });
}

void add_graph(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "graph", "Show which unfinished job waits for which",
                  "lockkeeper graph --dot | dot -Tsvg > queue.svg");
  const auto words = std::make_shared<JobWords>();
  const auto dot = std::make_shared<bool>(false);
  words->limit = 1000;
  command->add_option("-n,--limit", words->limit, "At most so many jobs")
      ->check(CLI::Range(1, 100000));
  CLI::Option* in_dot = command->add_flag("--dot", *dot, "In the DOT language of Graphviz");
  add_json_option(*command, context);
  command->get_option("--json")->excludes(in_dot);
  command->callback([&context, words, dot] {
    context.action = [&context, words, dot] {
      const auto nodes = context.client().graph(words->limit);
      if (context.json)
        print_json(as_json(nodes));
      else
        *dot ? print_dot(nodes) : print_graph(nodes);
      return kDone;
    };
  });
}

void add_watch(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "watch", "Follow jobs, with a live line for each",
                                  "lockkeeper watch 12 13");
  const auto words = std::make_shared<JobWords>();
  command->add_option("ids", words->ids, "Job ids; without them, the whole queue until Ctrl-C");
  command->add_flag("--until-empty", words->until_empty, "End when no job is left");
  command->add_flag("--json", context.json, "An object a line for each change");
  command->callback([&context, words] {
    context.action = [&context, words] {
      return words->ids.empty() ? watch_all(context, words->until_empty)
                                : watch_some(context, words->ids);
    };
  });
}

}  // namespace lockkeeper::cli
