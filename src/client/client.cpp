#include "client/client.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "catalog/reader.hpp"
#include "jobs/queue.hpp"
#include "pg/migrator.hpp"
#include "plan/planner.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::client {
namespace {

// A look at more jobs than these that takes longer than that is followed by a rest.
constexpr std::size_t kMany = 200;
constexpr std::chrono::milliseconds kQuickLook{20};
constexpr std::chrono::seconds kLongestRest{2};
constexpr int kLockTimeoutMs = 10000;
constexpr std::chrono::milliseconds kReconnectAfter{500};

}  // namespace

bool is_final_state(const std::string& state) {
  return jobs::is_final(jobs::job_state_from(state));
}

Client::Client(const pg::Dsn& dsn) : dsn_(dsn) { connect(); }

void Client::connect() {
  auto session = std::make_unique<pg::Session>(dsn_, "lockkeeper", kLockTimeoutMs);
  pg::require_schema(*session);
  session_ = std::move(session);
  listening_ = false;
}

bool Client::lost() const { return session_->broken(); }

void Client::reconnect(std::chrono::seconds most) {
  const auto until = std::chrono::steady_clock::now() + most;
  while (true) {
    try {
      return connect();
    } catch (const Error&) {
      if (std::chrono::steady_clock::now() >= until) throw;
    }
    std::this_thread::sleep_for(kReconnectAfter);
  }
}

Client::~Client() = default;

// Our grammar is older than the server's: say so, if that is why the text was refused.
void Client::explain_refusal(const SourceText& source, const InputError& error) {
  const int server = session_->server_version() / 10000;
  if (error.report().sqlstate != "42601" || server <= parse::grammar()) throw error;
  for (const auto& unit : parse::barriers(source.text, source.name)) {
    const auto& statement = unit.statements.front();
    const int end = statement.position + characters(statement.text, statement.text.size());
    if (error.report().position < statement.position || error.report().position > end) continue;
    try {
      session_->check_syntax(statement.text);
    } catch (const Error&) {
      throw error;  // The server does not take it either: a plain syntax error.
    }
    Report report = error.report();
    report.message = "this statement is newer than the grammar of this lockkeeper (PostgreSQL " +
                     std::to_string(parse::grammar()) + "); the server (" + std::to_string(server) +
                     ") would take it";
    report.hint = "run it unparsed, alone in the database, with --as-barrier";
    throw InputError(report, source.text, source.name);
  }
  throw error;
}

// The database looks too, at submission and before the job runs; it cannot say where in the file.
void Client::check_roles(const std::vector<parse::Unit>& units, const SourceText& source) {
  std::set<std::string> good;
  for (const auto& unit : units) {
    const auto role = unit.settings.find("role");
    if (role == unit.settings.end() || good.count(role->second) != 0) continue;
    const auto rows = session_->run(sql::jobs_may_become, pg::Params::of(role->second));
    if (rows.front().boolean("may")) {
      good.insert(role->second);
      continue;
    }
    Report report;
    report.sqlstate = "42501";
    report.message = "role " + rows.front().text("acting") + " may not SET ROLE " + role->second;
    report.hint = "GRANT " + role->second + " TO " + rows.front().text("acting");
    report.position = unit.role_position;
    throw InputError(report, source.text, source.name);
  }
}

std::vector<parse::Unit> Client::units_of(const SourceText& source, const ApplyOptions& options) {
  if (options.as_barrier) return parse::barriers(source.text, source.name);
  try {
    auto units = parse::parse_file(source.text, {options.single_transaction, source.name});
    check_roles(units, source);
    return units;
  } catch (const InputError& error) {
    explain_refusal(source, error);
  }
}

jobs::Submitted Client::submit(const std::string& sql, const ApplyOptions& options) {
  std::vector<parse::Unit> units;
  if (options.as_barrier) {
    units = parse::barriers(sql);
    if (units.size() > 1)
      throw InputError("more than one statement", "submit takes one; use \"lockkeeper apply\"");
  } else {
    try {
      units.push_back(parse::parse_one(sql));
    } catch (const InputError& error) {
      explain_refusal({{}, sql}, error);
    }
  }
  check_limits(units, options);
  return submit_units(units, options).front();
}

// As the worker will decide, but for what only it may or may not do.
std::optional<std::string> Client::why_not_kept(const parse::Unit& unit) {
  if (unit.statements.size() > 1) return "statements are run together";
  if (unit.action != "drop table") return std::nullopt;
  std::vector<std::string> names;
  for (const auto& part : unit.statements.front().parts)
    names.push_back(parse::quoted_name(part.relation));
  std::vector<std::string> oids;
  for (const auto& [name, oid] : catalog::resolve(*session_, names)) oids.push_back(oid);
  if (oids.empty()) return std::nullopt;
  return trash::why_not(*session_, oids, trash::Asker::client);
}

plan::Plan Client::plan_of(const parse::Unit& unit, const std::string& role,
                           plan::Earlier& earlier) {
  // Nothing of what is tried here stays.
  const pg::Transaction tx(*session_);
  if (const auto path = unit.settings.find("search_path"); path != unit.settings.end())
    session_->statement("SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true)",
                        pg::Params::of(path->second));
  auto wanted = plan::wanted_facts(unit, role);
  for (auto& name : plan::names_made(unit)) wanted.tables.push_back(std::move(name));
  auto facts =
      catalog::read(*session_, wanted, [&](const std::string& text) { session_->statement(text); });
  const auto schema = session_->statement("SELECT pg_catalog.current_schema() AS name");
  if (!schema.front().null("name")) facts.current_schema = schema.front().text("name");
  facts.nodes = versions::any_nodes(*session_);
  facts.not_kept = why_not_kept(unit);
  auto plan = plan::explain(unit, facts);
  plan.problems = plan::problems(unit, facts, earlier);
  return plan;
}

void Client::check_limits(const std::vector<parse::Unit>& units, const ApplyOptions& options) {
  if (!options.refuse_rewrite && !options.refuse_scan && options.longest_stall.count() < 0) return;
  const auto role = jobs::environment_of(*session_).role;
  plan::Earlier earlier;
  for (const auto& unit : units) {
    const auto plan = plan_of(unit, role, earlier);
    std::string problem;
    for (const auto& step : plan.steps)
      for (const auto& lock : step.locks) {
        if (lock.mode < plan::LockMode::share) continue;
        if (options.refuse_rewrite && lock.rewrites)
          problem = "it would rewrite " + lock.object + " under a lock that " + blocks(lock.mode);
        if (options.refuse_scan && (lock.scans || lock.rewrites) && problem.empty())
          problem = "it would read all rows of " + lock.object + " under a lock that " +
                    blocks(lock.mode);
      }
    const double most = static_cast<double>(options.longest_stall.count()) / 1000;
    if (problem.empty() && options.longest_stall.count() >= 0 && plan::stall(plan) > most)
      problem = "it would hold a lock that stops the application for about " +
                std::to_string(static_cast<long>(plan::stall(plan) * 1000)) + " ms";
    if (problem.empty()) continue;
    Report report;
    report.message = "refused, as you asked: " + problem;
    report.statement = unit.statements.front().text;
    report.hint = "see what it would do: lockkeeper plan";
    throw InputError(report, unit.statements.front().text);
  }
}

std::vector<jobs::Submitted> Client::submit_units(const std::vector<parse::Unit>& units,
                                                  const ApplyOptions& options) {
  try {
    return jobs::submit(*session_, units, environment_for(options), options.submit);
  } catch (const Error& error) {
    if (error.sqlstate() != "55P03") throw;
    Report report = error.report();
    report.message = "nothing was submitted: an open transaction has held the queue's locks for " +
                     std::to_string(kLockTimeoutMs / 1000) + " s";
    report.hint =
        "see who: lockkeeper blockers; one that has called lockkeeper.submit() is to be "
        "committed at once";
    throw Error(error.retry(), report, error.query());
  }
}

jobs::Environment Client::environment_for(const ApplyOptions& options) {
  auto environment = jobs::environment_of(*session_);
  for (const auto& [name, value] : options.tuning)
    environment.settings["lockkeeper." + name] = value;
  return environment;
}

jobs::Tuning Client::alter(JobId job, const jobs::Tuning& changes) {
  return jobs::alter(*session_, job, changes);
}

std::vector<jobs::Submitted> Client::apply(const std::vector<SourceText>& sources,
                                           const ApplyOptions& options) {
  std::vector<parse::Unit> units;
  for (const auto& source : sources)
    for (auto& unit : units_of(source, options)) units.push_back(std::move(unit));
  if (units.empty()) return {};
  check_limits(units, options);
  return submit_units(units, options);
}

std::vector<Json> Client::trash() { return trash::list(*session_); }

std::vector<jobs::Submitted> Client::restore(std::int64_t item) {
  std::vector<SourceText> sources;
  for (auto& statement : trash::restore_statements(*session_, item))
    sources.push_back({"", std::move(statement)});
  return apply(sources);
}

std::vector<trash::Purged> Client::purge(const std::vector<std::int64_t>& items) {
  return trash::purge(*session_, items);
}

std::vector<Explained> Client::plan(const SourceText& source, const ApplyOptions& options) {
  plan::Earlier earlier;
  return plan(source, options, earlier);
}

std::vector<Explained> Client::plan(const SourceText& source, const ApplyOptions& options,
                                    plan::Earlier& earlier) {
  std::vector<Explained> result;
  const auto environment = jobs::environment_of(*session_);
  for (const auto& unit : units_of(source, options)) {
    Explained explained;
    const auto role = unit.settings.find("role");
    explained.plan =
        plan_of(unit, role == unit.settings.end() ? environment.role : role->second, earlier);
    explained.footprint = jobs::footprint_of(*session_, unit, environment);
    // What those have done by then, nobody knows.
    if (!explained.footprint.waits_for.empty()) explained.plan.problems.clear();
    for (const auto& statement : unit.statements)
      explained.statement += (explained.statement.empty() ? "" : ";\n") + statement.text;
    result.push_back(std::move(explained));
  }
  return result;
}

std::vector<Json> Client::jobs(int limit, const std::string& state) {
  return jobs::list(*session_, limit, state);
}
std::vector<Json> Client::history(int limit, const Json& wanted) {
  return jobs::history(*session_, wanted, limit);
}
std::vector<Json> Client::statistics() { return jobs::statistics(*session_); }
std::vector<jobs::GraphNode> Client::graph(int limit) { return jobs::graph(*session_, limit); }
std::optional<Json> Client::show(JobId job) { return jobs::show(*session_, job); }
bool Client::remove_node(std::int64_t node) { return versions::remove_node(*session_, node); }
std::vector<versions::Node> Client::nodes() { return versions::nodes(*session_); }
std::vector<versions::Blocker> Client::blockers(std::optional<JobId> job) {
  return versions::blockers(*session_, job);
}
std::vector<Json> Client::holders() { return jobs::holders(*session_); }
std::map<std::string, std::string> Client::environment() {
  return jobs::environment_of(*session_).settings;
}
std::vector<Json> Client::states(const std::vector<JobId>& ids) {
  return jobs::states(*session_, ids);
}

std::vector<jobs::Steered> Client::steer(jobs::Verb verb, const jobs::Which& which) {
  auto steered = jobs::steer(*session_, verb, which);
  if (verb == jobs::Verb::retry)
    for (auto& job : steered)
      if (job.state == "cancelled") submit_again(job);
  return steered;
}

// As a new job, with the search_path and the settings that the old one had.
void Client::submit_again(jobs::Steered& steered) {
  auto old = jobs::ended_job(*session_, steered.id);
  const auto own = jobs::environment_of(*session_);
  if (!old) return;
  if (old->stripped) {
    steered.answer = "it has ended, and its password is not kept: submit it again with it";
    return;
  }
  parse::FileOptions options;
  options.single_transaction = true;
  std::vector<parse::Unit> units;
  try {
    units = parse::parse_file(old->text, options);
  } catch (const InputError&) {
    units = parse::parse_file(old->text);
  }
  old->environment.settings.erase("lockkeeper.submitter");  // It is us now.
  if (old->environment.role != own.role)
    for (auto& unit : units) unit.settings["role"] = old->environment.role;
  try {
    const auto again = jobs::submit(*session_, units, old->environment, {});
    steered.done = true;
    steered.answer = "it had ended, and was submitted again as job " + again.front().id.str();
  } catch (const Error& error) {
    if (error.sqlstate() != "42501") throw;
    steered.answer = "it has ended, and only who may act as its role may submit it again";
  }
}

std::string Client::cancel(JobId job) {
  const auto steered = jobs::steer(*session_, jobs::Verb::cancel, {{job}, {}, {}, false}).front();
  if (steered.state.empty()) throw Error(Retry::never, "there is no job " + job.str(), "42704");
  if (!steered.done && steered.answer.find("belongs to") != std::string::npos)
    throw Error(Retry::never, "job " + job.str() + ": " + steered.answer, "42501");
  return steered.state;
}

void Client::set(const std::string& name, const std::optional<std::string>& value) {
  jobs::set(*session_, name, value);
}
std::map<std::string, std::string> Client::settings() { return jobs::settings(*session_); }
int Client::upgrade(bool begins) { return jobs::upgrade(*session_, begins); }

void Client::wait_for_change(std::chrono::milliseconds most) {
  if (session_->pooled()) {  // Notifications do not come through.
    session_->wait_for_notification(most);
    return;
  }
  if (!listening_) {
    session_->listen(jobs::kEndedChannel);
    listening_ = true;
    return;  // Something may have ended before we listened: look first.
  }
  session_->wait_for_notification(most);
  session_->take_notifications();
}

bool Client::wait(const std::vector<JobId>& ids,
                  const std::function<bool(const std::vector<Json>&)>& seen,
                  const std::function<void(const Error&)>& gone) {
  Ended ended;
  while (true) {
    try {
      return look_until_ended(ids, ended, seen);
    } catch (const Error& error) {
      if (!lost()) throw;
      if (gone) gone(error);
    }
    // The jobs do not need us: they may have ended meanwhile.
    reconnect();
  }
}

bool Client::look_until_ended(const std::vector<JobId>& ids, Ended& ended,
                              const std::function<bool(const std::vector<Json>&)>& seen) {
  std::vector<JobId> unfinished;
  for (const auto id : ids)
    if (ended.count(id.value) == 0) unfinished.push_back(id);
  while (true) {
    const auto begun = std::chrono::steady_clock::now();
    // What has ended is not asked for again.
    auto all = ended;
    std::vector<JobId> still;
    for (auto& job : states(unfinished)) {
      const JobId id{job["id"].get<std::int64_t>()};
      if (is_final_state(job["state"].get<std::string>()))
        ended[id.value] = job;
      else
        still.push_back(id);
      all[id.value] = std::move(job);
    }
    unfinished = std::move(still);
    std::vector<Json> shown;
    for (auto& [id, job] : all) shown.push_back(std::move(job));
    if (!seen(shown)) return false;
    if (unfinished.empty()) {
      jobs::confirm(*session_);
      return true;
    }
    // Looking at very many jobs takes the server from them: most of the time is theirs.
    const auto took = std::chrono::steady_clock::now() - begun;
    if (unfinished.size() > kMany && took > kQuickLook)
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(4 * took, kLongestRest));
    // Besides the ends, what a job waits for changes too: a look every now and then.
    wait_for_change(std::chrono::milliseconds(250));
  }
}

}  // namespace lockkeeper::client
