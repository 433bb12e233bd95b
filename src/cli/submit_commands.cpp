// submit, apply.
#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/sources.hpp"

namespace lockkeeper::cli {
namespace {

struct SubmitWords {
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
  const TellOnInterrupt told(ids);
  Progress progress(json ? Progress::Style::none : Progress::Style::text);
  std::vector<Json> last;
  client.wait(
      ids,
      [&](const std::vector<Json>& jobs) {
        progress.show(jobs);
        last = jobs;
        return true;
      },
      [&](const Error&) { progress.interrupted(); });
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
      need_no_file(words->sql, "lockkeeper apply " + words->sql);
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

}  // namespace lockkeeper::cli
