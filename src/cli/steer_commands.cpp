// cancel, pause, resume, retry, set, upgrade.
#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"

namespace lockkeeper::cli {
namespace {

struct SteerWords {
  std::vector<std::int64_t> ids;
  std::int64_t batch = 0;
  std::string action;
  bool all = false;
};

jobs::Which which_of(const SteerWords& words) {
  const int ways = (words.ids.empty() ? 0 : 1) + (words.batch != 0 ? 1 : 0) +
                   (words.action.empty() ? 0 : 1) + (words.all ? 1 : 0);
  if (ways != 1)
    throw InputError("say which jobs: ids, --batch, --action, or --all",
                     "see \"lockkeeper jobs\" for what there is");
  jobs::Which which;
  for (const auto id : words.ids) which.ids.push_back(JobId{id});
  if (words.batch != 0) which.batch = words.batch;
  if (!words.action.empty()) which.action = words.action;
  which.all = words.all;
  return which;
}

int steer(Context& context, jobs::Verb verb, const SteerWords& words) {
  const auto which = which_of(words);
  const auto steered = context.client().steer(verb, which);
  Json all = Json::array();
  for (const auto& job : steered) {
    all.push_back({{"id", job.id.value},
                   {"state", job.state.empty() ? Json(nullptr) : Json(job.state)},
                   {"done", job.done},
                   {"answer", job.answer}});
    if (context.json) continue;
    std::cout << "job " << job.id.value << (job.state.empty() ? "" : " " + job.state)
              << (job.answer.empty() ? "" : ": " + job.answer) << '\n';
  }
  if (context.json)
    print_json(all);
  else if (steered.empty())
    std::cout << "no such unfinished jobs\n";
  std::cout.flush();
  const bool good =
      std::all_of(steered.begin(), steered.end(), [](const auto& job) { return job.done; });
  return good ? kDone : kFailed;
}

void add_verb(CLI::App& app, Context& context, jobs::Verb verb, const char* name,
              const char* description) {
  CLI::App* command = add_command(
      app, context, name, description,
      "lockkeeper " + std::string(name) + " 12 13\n  lockkeeper " + name + " --batch 4");
  const auto words = std::make_shared<SteerWords>();
  command->add_option("ids", words->ids, "Job ids");
  command->add_option("--batch", words->batch, "All unfinished jobs of this batch")
      ->check(positive());
  command->add_option("--action", words->action, "All unfinished jobs with this action");
  command->add_flag("--all", words->all, "All unfinished jobs that the role may steer");
  add_json_option(*command, context);
  command->callback([&context, words, verb] {
    context.action = [&context, words, verb] { return steer(context, verb, *words); };
  });
}

int show_settings(Context& context) {
  const auto settings = context.client().settings();
  Json json = Json::object();
  for (const auto& [name, value] : settings) json[name] = value;
  if (context.json) {
    print_json(json);
    return kDone;
  }
  if (settings.empty()) std::cout << "all settings are at their defaults" << std::endl;
  for (const auto& [name, value] : settings) std::cout << name << " = " << value << '\n';
  std::cout.flush();
  return kDone;
}

}  // namespace

void add_tuning_options(CLI::App& command, TuningWords& words) {
  command.add_option("--threads", words.threads, "Workers that may share a backfill [2]")
      ->check(CLI::Range(1, 64));
  command.add_option("--batch", words.batch, "What a batch of a backfill should take, in ms [20]")
      ->check(CLI::Range(1, 10000));
  command
      .add_option("--max-speed", words.max_speed,
                  "Rows that a backfill may write in a second; 0: as many as it can [0]")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{999999999}));
  command
      .add_option(
          "--deadline", words.deadline,
          "Seconds from its submission in which it must be over, else it is cancelled; 0: as "
          "long as it takes [0]")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{999999999}));
  command
      .add_option("--mdl", words.mdl,
                  "Between steps, wait for nodes and older transactions (on), for nodes, or two "
                  "leases at most (off) [the queue's setting]")
      ->check(CLI::IsMember({"on", "nodes", "off"}));
  command
      .add_option("--mdl-timeout", words.mdl_timeout,
                  "Seconds of such a wait until --on-mdl-timeout; 0: none")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{999999999}));
  command.add_option("--on-mdl-timeout", words.on_timeout, "Then go on waiting, pause, or cancel")
      ->check(CLI::IsMember({"wait", "pause", "cancel"}));
  command
      .add_option("--kill-blockers", words.kill_blockers,
                  "Seconds until an older transaction in the way is ended; 0: never (the worker "
                  "needs pg_signal_backend)")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{999999999}));
}

jobs::Tuning tuning_of(const TuningWords& words) {
  jobs::Tuning tuning;
  if (words.threads >= 0) tuning["threads"] = std::to_string(words.threads);
  if (words.batch >= 0) tuning["batch_ms"] = std::to_string(words.batch);
  if (words.max_speed >= 0) tuning["rows_per_second"] = std::to_string(words.max_speed);
  if (words.deadline >= 0) tuning["deadline"] = std::to_string(words.deadline);
  if (!words.mdl.empty()) tuning["mdl"] = words.mdl;
  if (words.mdl_timeout >= 0) tuning["mdl_timeout"] = std::to_string(words.mdl_timeout);
  if (!words.on_timeout.empty()) tuning["mdl_on_timeout"] = words.on_timeout;
  if (words.kill_blockers >= 0) tuning["kill_blockers"] = std::to_string(words.kill_blockers);
  if (words.postpone) tuning["postpone_cutover"] = "on";
  return tuning;
}

void add_alter(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "alter", "Change how a job is run, also while it runs",
      "lockkeeper alter 12 --max-speed 5000\n  lockkeeper alter 12 --threads 4 --batch 50");
  struct Words {
    std::int64_t id = 0;
    TuningWords tuning;
  };
  const auto words = std::make_shared<Words>();
  command->add_option("id", words->id, "Job id")->required()->check(positive());
  add_tuning_options(*command, words->tuning);
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      const auto changes = tuning_of(words->tuning);
      if (changes.empty())
        throw InputError("nothing to change",
                         "give --threads, --batch, --max-speed, --deadline, --mdl, …: see --help");
      const auto now = context.client().alter(JobId{words->id}, changes);
      if (context.json) {
        print_json(Json(now));
        return kDone;
      }
      std::cout << "job " << words->id << ':';
      for (const auto& [name, value] : now) std::cout << ' ' << name << " = " << value;
      std::cout << std::endl;
      return kDone;
    };
  });
}

void add_cutover(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "cutover",
      "Let jobs that were submitted with --postpone-cutover make their new shape public",
      "lockkeeper cutover 12");
  const auto ids = std::make_shared<std::vector<std::int64_t>>();
  command->add_option("ids", *ids, "Job ids")->required()->check(positive());
  add_json_option(*command, context);
  command->callback([&context, ids] {
    context.action = [&context, ids] {
      auto client = context.client();
      Json all = Json::array();
      for (const auto id : *ids) {
        const auto now = client.alter(JobId{id}, {{"postpone_cutover", "off"}});
        all.push_back({{"id", id}, {"settings", now}});
        if (!context.json)
          std::cout << "job " << id << ": its cut-over follows when it is ready" << std::endl;
      }
      if (context.json) print_json(all);
      return kDone;
    };
  });
}

void add_cancel(CLI::App& app, Context& context) {
  add_verb(app, context, jobs::Verb::cancel, "cancel",
           "Cancel jobs; what they did so far is taken back");
}

void add_pause(CLI::App& app, Context& context) {
  add_verb(app, context, jobs::Verb::pause, "pause",
           "Pause jobs; they keep their places, and what conflicts with them waits");
}

void add_resume(CLI::App& app, Context& context) {
  add_verb(app, context, jobs::Verb::resume, "resume", "Resume paused jobs");
}

void add_retry(CLI::App& app, Context& context) {
  add_verb(app, context, jobs::Verb::retry, "retry",
           "Try jobs again now; cancelled ones are submitted again");
}

void add_set(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "set", "Change a setting of the queue while it runs, or list what is set",
      "lockkeeper set queue paused\n  lockkeeper set general_workers 4\n  lockkeeper set "
      "history_days 90\nSettings:\n"
      "  queue            running, or paused: nothing new starts\n"
      "  general_workers  threads of each process for quick changes\n"
      "  reorg_workers    threads of each process for changes that read or write rows\n"
      "  history_days     ended jobs are kept so long; 0: for ever\n"
      "  history_rows     so many ended jobs are kept; 0: all\n"
      "  mdl              between steps: on, wait for nodes and older transactions; nodes; off\n"
      "  mdl_timeout      seconds of such a wait until mdl_on_timeout; 0: none\n"
      "  mdl_on_timeout   wait, pause or cancel\n"
      "  kill_blockers    seconds until an older transaction in the way is ended; 0: never\n"
      "  node_grace_ms    so long may a node be without its connection\n"
      "  node_lease_most  seconds of the longest lease that a node may have\n"
      "  diff_hours       what versions changed is kept so long\n"
      "  trash_hours      dropped tables are kept so long; 0: not at all");
  const auto words = std::make_shared<std::vector<std::string>>();
  command->add_option("setting", *words, "Name and value; \"default\" undoes it")->expected(0, 2);
  add_json_option(*command, context);
  command->callback([&context, words] {
    context.action = [&context, words] {
      if (words->empty()) return show_settings(context);
      if (words->size() != 2) throw InputError("a setting needs a name and a value");
      const std::string& value = words->back();
      auto client = context.client();
      try {
        client.set(words->front(), value == "default" ? std::nullopt : std::optional(value));
      } catch (const Error& error) {
        if (error.sqlstate() != "42704" && error.sqlstate() != "22023") throw;
        throw InputError(error.what(), error.report().hint);
      }
      if (context.json)
        print_json({{words->front(), value == "default" ? Json(nullptr) : Json(value)}});
      else
        std::cout << words->front() << " = " << value << std::endl;
      return kDone;
    };
  });
}

void add_upgrade(CLI::App& app, Context& context) {
  CLI::App* command = add_command(
      app, context, "upgrade",
      "Pause all jobs while something else is upgraded, and resume exactly those afterwards",
      "lockkeeper upgrade begin\n  lockkeeper upgrade end");
  const auto word = std::make_shared<std::string>();
  command->add_option("what", *word, "begin or end")
      ->required()
      ->check(CLI::IsMember({"begin", "end"}));
  add_json_option(*command, context);
  command->callback([&context, word] {
    context.action = [&context, word] {
      const bool begins = *word == "begin";
      const int moved = context.client().upgrade(begins);
      if (context.json)
        print_json({{"upgrade", begins}, {begins ? "paused" : "resumed", moved}});
      else
        std::cout << (begins ? "nothing new starts; jobs paused: " : "jobs resumed: ") << moved
                  << std::endl;
      return kDone;
    };
  });
}

}  // namespace lockkeeper::cli
