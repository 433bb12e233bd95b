// jobs, show, watch, cancel, history.
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
  bool until_empty = false;
};

std::string waits_for(const Json& job) {
  if (!job["dependency_id"].is_null()) return "job " + job["dependency_id"].dump();
  if (cell(job["state"]) == "queueing" && job["tries"].get<int>() > 0 && job["error"].is_object())
    return "retry after " + job["error"].value("sqlstate", "");
  return "";
}

void print_jobs(const std::vector<Json>& jobs) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& job : jobs)
    rows.push_back({job["id"].dump(), cell(job["state"]), cell(job["schema_state"]),
                    cell(job["action"]), short_objects(job["objects"]), waits_for(job),
                    duration(job["age_seconds"].get<double>()), cell(job["worker"]),
                    one_line(cell(job["statement"]))});
  print_table({"ID", "STATE", "SCHEMA STATE", "ACTION", "OBJECTS", "WAITS FOR", "AGE", "WORKER",
               "STATEMENT"},
              rows);
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
  for (const auto& [name, value] : job->items()) {
    if (value.is_null() || name == "statement" || name == "error") continue;
    const std::string text = name == "objects" ? short_objects(value) : cell(value);
    std::cout << name << std::string(name.size() < 16 ? 16 - name.size() : 1, ' ') << text << '\n';
  }
  std::cout << "statement\n  " << cell((*job)["statement"]) << '\n';
  if ((*job)["error"].is_object()) std::cout << pretty_error((*job)["error"]) << '\n';
  std::cout.flush();
  return kDone;
}

int cancel_jobs(Context& context, const std::vector<std::int64_t>& ids) {
  auto client = context.client();
  Json all = Json::array();
  bool good = true;
  for (const auto id : ids) {
    const std::string state = client.cancel(JobId{id});
    all.push_back({{"id", id}, {"state", state}});
    good = good && (state == "cancelled" || state == "cancelling");
    if (context.json) continue;
    std::cout << "job " << id << ' ' << state
              << (state == "cancelling"  ? ": its worker is told to stop"
                  : state == "cancelled" ? ""
                                         : ": it has ended already")
              << std::endl;
  }
  if (context.json) print_json(all);
  return good ? kDone : kFailed;
}

int watch_all(Context& context, bool until_empty) {
  auto client = context.client();
  Progress progress(false);
  std::vector<JobId> followed;
  if (!until_empty && client.jobs(1).empty())
    std::cerr << "no unfinished jobs; waiting for some (Ctrl-C ends)" << std::endl;
  while (true) {
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
    if (until_empty && idle) return kDone;
    if (followed.size() > 200 && idle) followed.clear();
    client.wait_for_change(std::chrono::milliseconds(250));
  }
}

int watch_some(Context& context, const std::vector<std::int64_t>& ids) {
  auto client = context.client();
  std::vector<JobId> wanted;
  for (const auto id : ids) wanted.push_back(JobId{id});
  if (client.states(wanted).size() != wanted.size())
    throw InputError("there is no such job", "see \"lockkeeper jobs\" and \"lockkeeper history\"");
  Progress progress(false);
  std::vector<Json> last;
  client.wait(wanted, [&](const std::vector<Json>& jobs) {
    progress.show(jobs);
    last = jobs;
    return true;
  });
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
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto jobs = context.client().jobs(words->limit);
      if (context.json)
        print_json(jobs);
      else if (jobs.empty())
        std::cout << "no unfinished jobs" << std::endl;
      else
        print_jobs(jobs);
      return kDone;
    };
  });
}

void add_history(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "history", "List ended jobs, newest first",
                                  "lockkeeper history -n 10");
  const auto words = std::make_shared<JobWords>();
  command->add_option("-n,--limit", words->limit, "At most so many")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto jobs = context.client().history(words->limit);
      if (context.json)
        print_json(jobs);
      else if (jobs.empty())
        std::cout << "no ended jobs" << std::endl;
      else
        print_history(jobs);
      return kDone;
    };
  });
}

void add_show(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "show", "Show one job with everything that is known of it",
                  "lockkeeper show 12");
  const auto words = std::make_shared<JobWords>();
  command->add_option("id", words->ids, "Job id")->required()->expected(1);
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] { return show_job(context, words->ids.front()); };
  });
}

void add_watch(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, context, "watch", "Follow jobs, with a live line for each",
                                  "lockkeeper watch 12 13");
  const auto words = std::make_shared<JobWords>();
  command->add_option("ids", words->ids, "Job ids; without them, the whole queue until Ctrl-C");
  command->add_flag("--until-empty", words->until_empty, "End when no job is left");
  command->callback([&context, words] {
    context.action = [&context, words] {
      return words->ids.empty() ? watch_all(context, words->until_empty)
                                : watch_some(context, words->ids);
    };
  });
}

void add_cancel(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, context, "cancel", "Cancel jobs; what they did so far is taken back",
                  "lockkeeper cancel 12");
  const auto words = std::make_shared<JobWords>();
  command->add_option("ids", words->ids, "Job ids")->required();
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] { return cancel_jobs(context, words->ids); };
  });
}

}  // namespace lockkeeper::cli
