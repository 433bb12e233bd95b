#include "workers/executor.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.hpp"
#include "base/testpoint.hpp"
#include "pg/quote.hpp"
#include "trash/trash.hpp"

namespace lockkeeper::workers {
namespace {

using Clock = std::chrono::steady_clock;

// Of instant jobs in one transaction: enough to share the cost of a commit, few enough that none
// waits long for the others.
constexpr int kTogetherMost = 64;
// Of a long queue, claimed at once and run one after the other.
constexpr int kClaimsMost = 16;
// Of brief jobs in one transaction: for a lock, the least that there is; for a statement, enough
// for what touches no row.
constexpr const char* kBriefLimits =
    "SET LOCAL lock_timeout = 1; SET LOCAL statement_timeout = 20;";
constexpr const char* kNoLimit = "SET LOCAL statement_timeout = 0;";
// Brief jobs go one by one for so long after they could not go together.
constexpr std::chrono::milliseconds kAloneFor{1000};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string steps_json(const std::string& kind, std::size_t statements, double seconds,
                       std::size_t jobs = 1) {
  nlohmann::json step = {{"kind", kind}, {"statements", statements}, {"seconds", seconds}};
  if (jobs > 1) step["jobs"] = jobs;
  return nlohmann::json::array({step}).dump();
}

// Statements whose user code PostgreSQL itself keeps from changing roles (they run it as a
// security-restricted operation of the table's owner), told from the text, never from the job's
// row.
bool harmless_outside(const parse::Unit& unit) {
  static const std::set<std::string> kHarmless = {"add index", "drop index", "vacuum",
                                                  "reindex",   "cluster",    "detach partition"};
  return unit.mode == parse::Mode::outside_transaction && !unit.opaque && !unit.unparsed &&
         kHarmless.count(unit.action) != 0;
}

// Told from the text, never from the job's row; most rows need no look at it.
bool is_brief(const jobs::Job& job) {
  static const std::set<std::string> kBrief = {"set default", "drop default", "set statistics",
                                               "add column"};
  if (kBrief.count(job.action) == 0 || job.statements.size() != 1 || job.opaque || job.unparsed_run)
    return false;
  // What cannot be parsed will be said when it is run.
  const auto statements = parse::statements_or_none(job.statements.front());
  return statements.size() == 1 && statements.front().brief;
}

// A temporary table, type or function would be met by the next job. Told from the text: a session
// too many costs less than one too few.
bool may_leave_temporary(const Work& work) {
  constexpr std::string_view kWord = "temp";
  return std::any_of(work.begin(), work.end(), [&](const jobs::Job& job) {
    return std::any_of(
        job.statements.begin(), job.statements.end(), [&](const std::string& statement) {
          return std::search(statement.begin(), statement.end(), kWord.begin(), kWord.end(),
                             [](char a, char b) {
                               return std::tolower(static_cast<unsigned char>(a)) == b;
                             }) != statement.end();
        });
  });
}

bool is_shared_and_brief(const Work& work) { return work.size() > 1 && !work.front().instant; }

// Of brief jobs the queue's locks first: nobody waits for them while he holds tables of the
// application.
std::string begin_of(const Work& work, const JobSession& dressed) {
  if (!is_shared_and_brief(work)) return dressed.begin_text();
  return "BEGIN;" + jobs::lock_text(work) + dressed.dress_text() + kBriefLimits;
}

// In one round trip. The line break ends a comment that a statement may end with.
std::string together_text(const Work& work) {
  std::string text;
  for (const auto& job : work) text += job.statements.front() + "\n;";
  return text;
}

// What it drops may be kept for a while; its plan's other steps have no statement of that kind.
bool drops_tables(const jobs::Job& job) {
  return job.action == "drop table" && job.statements.size() == 1 && !job.opaque &&
         !job.unparsed_run;
}

}  // namespace

Executor::Executor(pg::Session& session, const pg::Dsn& dsn, const jobs::WorkerIdentity& identity,
                   const jobs::Environment& own, const config::WorkSettings& settings,
                   const std::string& database, metrics::Registry& metrics, ExecutorHooks hooks)
    : session_(session),
      dsn_(dsn),
      identity_(identity),
      own_(own),
      settings_(settings),
      database_(database),
      metrics_(metrics),
      hooks_(std::move(hooks)) {}

void Waiting::put(std::vector<jobs::Job> jobs) {
  const std::lock_guard lock(mutex_);
  for (auto& job : jobs) jobs_.push_back(std::move(job));
}

std::optional<jobs::Job> Waiting::take() {
  const std::lock_guard lock(mutex_);
  if (jobs_.empty()) return std::nullopt;
  auto job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

std::optional<jobs::Job> Waiting::take_if(const std::function<bool(const jobs::Job&)>& wanted) {
  const std::lock_guard lock(mutex_);
  if (jobs_.empty() || !wanted(jobs_.front())) return std::nullopt;
  auto job = std::move(jobs_.front());
  jobs_.pop_front();
  return job;
}

std::vector<jobs::Job> Waiting::take_all() {
  const std::lock_guard lock(mutex_);
  std::vector<jobs::Job> all(jobs_.begin(), jobs_.end());
  jobs_.clear();
  return all;
}

bool Waiting::empty() {
  const std::lock_guard lock(mutex_);
  return jobs_.empty();
}

Work Executor::claim() {
  if (waiting_.empty())
    waiting_.put(counted("claim", [&] { return jobs::claim(session_, identity_, kClaimsMost); }));
  auto job = waiting_.take();
  return job ? with_more(std::move(*job)) : Work();
}

void Executor::give_back() {
  for (const auto& job : waiting_.take_all())
    jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt);
}

// Only of the worker's own role: what the row says of a statement may come from anybody.
bool Executor::may_share(const jobs::Job& job) const {
  return job.transactional && job.role == own_.login && job.tries == 0 && job.crashes == 0 &&
         !job.cancel_wanted;
}

Work Executor::with_more(jobs::Job head) {
  Work work;
  if (!may_share(head)) return {std::move(head)};
  if (head.instant) {
    work = jobs::claim_more(session_, identity_, head, kTogetherMost - 1);
    work.insert(work.begin(), std::move(head));
    return work;
  }
  work.push_back(std::move(head));
  if (Clock::now() < alone_until_ || !is_brief(work.front())) return work;
  while (auto next = waiting_.take_if([&](const jobs::Job& job) {
    return may_share(job) && job.search_path == work.front().search_path &&
           job.settings == work.front().settings && is_brief(job);
  }))
    work.push_back(std::move(*next));
  return work;
}

Work Executor::run(const Work& work) {
  begun_ = Clock::now();
  unannounced_ = false;
  hooks_.begins(work, session_.backend_pid());
  for (const auto& job : work)
    // Those that wait for a lock come again and again.
    log::write(job.tries == 0 && !job.outside_started ? log::Level::info : log::Level::debug,
               "job claimed",
               {{"job", job.claim.job.str()},
                {"state", "running"},
                {"action", job.action},
                {"epoch", job.claim.epoch.str()},
                {"worker", identity_.name}});
  testpoint::reach("after_claim");
  if (work.size() == 1) return run_one(work.front());
  try {
    return run_in_transaction(work);
  } catch (const Error& error) {
    if (session_.broken() || error.retry() == Retry::outcome_unknown) {
      session_.poison();
      throw;
    }
    log::info("jobs run one by one", {{"job", work.front().claim.job.str()},
                                      {"jobs", std::to_string(work.size())},
                                      {"sqlstate", error.sqlstate()}});
    if (!work.front().instant) alone_until_ = Clock::now() + kAloneFor;
  }
  run_each(work);
  return {};
}

Work Executor::run_one(const jobs::Job& job) {
  try {
    // From psql it has come without a look: what our grammar knows is refused as it would be there.
    if (job.unparsed_run && !job.cancel_wanted) (void)parse::barriers(job.statements.front());
    if (job.cancel_wanted) {
      if (job.transactional)
        end_cancelled(job, job.failure);
      else if (clean_up_cancelled(job))
        finish_alone(job, steps_json("outside transaction", 1, seconds_since(begun_)));
      else
        cancel_now(job);
    } else if (job.transactional) {
      const auto steps = steps_of(job);
      if (steps.empty()) return run_in_transaction({job});
      run_steps(job, steps);
    } else {
      run_outside(job);
    }
  } catch (const Error& error) {
    if (session_.broken() || error.retry() == Retry::outcome_unknown) {
      session_.poison();
      throw;
    }
    try {
      settle_failure(job, error);
    } catch (const Error& late) {
      // A second request to stop can come when the first has done its work already.
      if (session_.broken() || late.sqlstate() != "57014") throw;
      settle_failure(job, error);
    }
  } catch (const InputError& error) {
    // Not from our parser: somebody called enqueue by hand.
    end_cancelled(job, error.report());
  } catch (const std::exception& error) {
    // A bug of ours costs the job, not its worker.
    log::error("job failed in the worker",
               {{"job", job.claim.job.str()}, {"reason", error.what()}});
    Report report;
    report.sqlstate = "XX000";
    report.message = error.what();
    end_cancelled(job, report);
  }
  return {};
}

void Executor::run_each(const Work& work) {
  for (const auto& job : work) {
    bool its_turn = false;
    const auto standing = [&] {
      pg::Transaction tx(session_);
      return jobs::standing_of(session_, job.claim, &its_turn);
    }();
    // Lost: it fell with an earlier job of its batch.
    if (standing == jobs::Standing::lost) continue;
    if (standing != jobs::Standing::held) {
      stop_as_asked(job);
    } else if (!its_turn || hooks_.stopping()) {
      // An earlier one of its batch is to be tried again: it must not be overtaken.
      jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt);
    } else {
      begun_ = Clock::now();
      claims_next_ = false;
      run_one(job);
      claims_next_ = true;
    }
  }
}

void Executor::send_in_steps(const Work& work, JobSession& dressed, const std::string& end,
                             const std::function<void()>& locked) {
  const metrics::Timer span(metrics_, metrics::lock_span_seconds, labels());
  std::string put;
  pg::Transaction tx(session_, begin_of(work, dressed));
  const auto& claim = work.front().claim;
  if (!clearing_.empty())
    for (const auto& item :
         trash::purge_in_the_way(session_, claim.job.value, claim.epoch.value, clearing_))
      log::info(item.problem.empty() ? "goes from the trash with this job's commit"
                                     : "stays in the trash",
                {{"job", claim.job.str()}, {"name", item.name}, {"reason", item.problem}});
  if (work.size() > 1) {
    session_.script(together_text(work) + (is_shared_and_brief(work) ? kNoLimit : ""));
    testpoint::reach("after_statement");
  } else {
    const auto& statements = work.front().statements;
    for (const auto& statement : statements) {
      // A statement before this one may have set it: a lock is never waited for without limit.
      if (&statement != &statements.front())
        session_.script("SET LOCAL lock_timeout = " +
                        std::to_string(settings_.lock_timeout.count()));
      if (drops_tables(work.front()))
        put = drop(work.front(), dressed, statement);
      else
        dressed.run(statement);
      if (locked && &statement == &statements.front()) locked();
      testpoint::reach("after_statement");
    }
  }
  // Its locks are waited for as briefly as the job's own (promise 9): before they may take longer.
  if (!put.empty()) session_.script(put);
  const std::string undress = dressed.undress();
  testpoint::reach("before_commit");
  tx.commit(undress + end);
  testpoint::reach("after_commit");
}

void Executor::send(const Work& work, JobSession& dressed, int claims_most) {
  const auto& first = work.front();
  std::string end = jobs::end_well_text(
      work, steps_json("transaction", first.statements.size(), seconds_since(begun_), work.size()),
      identity_, claims_most, {.locked = is_shared_and_brief(work)});
  if (unannounced_) end += jobs::need_no_nodes_text();
  const bool brief = is_shared_and_brief(work);
  const bool simple = work.size() == 1 && first.statements.size() == 1 && dressed.trusted() &&
                      !first.opaque && !first.unparsed_run && !drops_tables(first) &&
                      clearing_.empty();
  if (testpoint::armed() || !(simple || brief)) return send_in_steps(work, dressed, end);
  const metrics::Timer span(metrics_, metrics::lock_span_seconds, labels());
  if (brief)
    pg::run_at_once(session_, begin_of(work, dressed), together_text(work),
                    kNoLimit + dressed.undress() + end);
  else
    pg::run_at_once(session_, dressed.begin_text(), first.statements.front(),
                    dressed.undress() + end);
}

Work Executor::run_in_transaction(const Work& work) {
  const auto& first = work.front();
  // The first try is a short one, without a look: hardly ever is anybody in the way.
  const bool again = work.size() == 1 && first.tries > 0;
  JobSession dressed(session_, own_, first,
                     again ? settings_.lock_timeout
                           : std::min(settings_.lock_timeout, settings_.first_lock_timeout));
  if (again) look(dressed, first, locks_of(first));
  // The next claim rides on this commit, unless the session is to be thrown away.
  const bool traces = dressed.leaves_traces() || may_leave_temporary(work);
  const bool claims =
      !hooks_.stopping() && claims_next_ && !traces && waiting_.empty() && !hooks_.crowded();
  try {
    counted("transaction", [&] { send(work, dressed, claims ? kClaimsMost : 0); });
  } catch (const Error& error) {
    const auto outcome = jobs::not_ended(error);
    if (!outcome) throw;
    if (work.size() > 1)
      run_each(work);
    else if (*outcome == jobs::NotEnded::stopping)
      stop_as_asked(first);
    else
      lose(first);
    return {};
  }
  try {
    return after_commit(work, traces);
  } catch (const Error&) {
    // It may hold claims that it does not know of: they are taken from it when it is gone.
    session_.poison();
    throw;
  }
}

Work Executor::after_commit(const Work& work, bool leaves_traces) {
  jobs::Claimed told;
  // While claimed jobs wait here, it is asked for once in a few jobs.
  if (leaves_traces || waiting_.empty() || hooks_.nodes()) {
    told = jobs::claimed(session_);
    waiting_.put(std::move(told.jobs));
  }
  ended(work, told);
  if (leaves_traces) {
    give_back();
    session_.poison();
    return {};
  }
  if (hooks_.stopping() || !claims_next_) return {};
  auto job = waiting_.take();
  return job ? with_more(std::move(*job)) : Work();
}

std::unique_ptr<pg::Session> Executor::dressed_session(const jobs::Job& job) {
  auto session = std::make_unique<pg::Session>(dsn_, "lockkeeper job " + job.claim.job.str());
  session->script("SET client_connection_check_interval = '500ms'");
  jobs::register_session(*session);
  return session;
}

bool Executor::prepare_outside(const jobs::Job& job, const Outside& outside, pg::Session& dressed,
                               int seq, std::string& before) {
  before = jobs::before_outside(session_, job.claim.job, seq);
  if (!before.empty() && outside.settle(dressed, before)) return false;
  if (before.empty()) before = outside.look(dressed);
  if (!jobs::begin_outside(session_, job.claim, to_string(outside.step().kind), outside.statement(),
                           before, dressed.backend_pid(), seq))
    throw Error(Retry::same_session, "the claim does not hold any more", "57014");
  return true;
}

void Executor::run_outside(const jobs::Job& job) {
  do_outside(job, job.statements.front(), 1);
  testpoint::reach("between_steps");
  finish_alone(job, steps_json("outside transaction", 1, seconds_since(begun_)));
}

void Executor::do_outside(const jobs::Job& job, const std::string& statement, int seq) {
  const auto unit =
      job.unparsed_run ? parse::barriers(statement).front() : parse::parse_one(statement);
  const auto session = dressed_session(job);
  JobSession dressed(*session, own_, job, settings_.long_lock_timeout);
  if (!dressed.trusted() && !harmless_outside(unit)) {
    Report report;
    report.sqlstate = "42501";
    report.message =
        "outside of a transaction, only index builds, VACUUM, REINDEX and the like run for "
        "another role than the worker's";
    report.hint = "submit it as role " + own_.login + ", or take COMMIT and ROLLBACK out of it";
    throw Error(Retry::never, report, "outside");
  }
  dressed.dress_session();
  hooks_.begins({job}, session->backend_pid());
  const Outside outside(session_, job, unit);
  std::string before;
  if (!prepare_outside(job, outside, *session, seq, before)) return;
  testpoint::reach("before_outside");
  try {
    counted("outside", [&] { session->statement(statement); });
  } catch (const Error& error) {
    if (session->broken()) throw Error(Retry::same_session, error.report(), "outside");
    if (outside.no_way_back(*session)) {
      jobs::go_on(session_, job.claim);
      session->statement(statement);
      return;
    }
    // What has our name is somebody else's, who was quicker: it is not ours to take back.
    if (error.sqlstate() == "42P07")
      jobs::begin_outside(session_, job.claim, to_string(outside.step().kind), statement,
                          outside.look(*session), session->backend_pid(), seq);
    else if (outside.clean_up(*session, before))
      return;
    throw;
  }
}

void Executor::finish_alone(const jobs::Job& job, const std::string& steps) {
  try {
    pg::Transaction tx(session_);
    testpoint::reach("before_commit");
    // It may be to be stopped, but too late: what it did is done and cannot be taken back by us.
    tx.commit("SET LOCAL search_path = pg_catalog; " +
              jobs::end_well_text({job}, steps, identity_, 0, {.anyway = true}));
  } catch (const Error& error) {
    if (!jobs::not_ended(error)) throw;
    log::warning("claim lost", {{"job", job.claim.job.str()}});
    return;
  }
  testpoint::reach("after_commit");
  ended({job}, jobs::claimed(session_));
}

// Rolled back. If it is ours all the same, the job itself has written to the queue's tables: it
// would be so for ever.
void Executor::lose(const jobs::Job& job) {
  log::warning("claim lost, change rolled back", {{"job", job.claim.job.str()}});
  const auto standing = [&] {
    pg::Transaction tx(session_);
    return jobs::standing_of(session_, job.claim);
  }();
  if (standing != jobs::Standing::held) return;
  Report report;
  report.sqlstate = "55000";
  report.message = "the job changed the tables of the queue itself; all that it did was undone";
  report.hint = "leave the schema lockkeeper out";
  end_cancelled(job, report);
}

void Executor::ended(const Work& work, const jobs::Claimed& told) {
  const bool done = told.done > 0;
  for (const auto& job : work) {
    log::info(done ? "job done" : "job ended", {{"job", job.claim.job.str()},
                                                {"state", done ? "done" : "synced"},
                                                {"action", job.action},
                                                {"worker", identity_.name}});
    count_end(job, "synced");
  }
  hooks_.ended(told.made_ready, done);
}

void Executor::count_end(const jobs::Job& job, const char* result) {
  const double took = seconds_since(begun_);
  metrics_.count(metrics::jobs_ended_total, labels({{"action", job.action}, {"result", result}}));
  metrics_.observe(metrics::job_wait_seconds, labels(), job.waited_seconds);
  metrics_.observe(metrics::job_run_seconds, labels({{"action", job.action}}), took);
  metrics_.observe(metrics::job_total_seconds, labels({{"result", result}}),
                   job.waited_seconds + took);
  if (result != std::string_view("synced"))
    metrics_.count(metrics::jobs_failed_total, labels());
  else
    metrics_.observe(metrics::lock_tries, labels(), job.tries + 1);
}

// Somebody else is in the way, or wants the job to stop: nothing has failed.
bool Executor::is_put_off(const Error& error) {
  static const std::set<std::string> kCodes = {"55P03", "40P01", "57014", "LK001", "LK002"};
  return kCodes.count(error.sqlstate()) != 0;
}

bool Executor::parse_next() {
  // One cheap look without a transaction; there is hardly ever anything.
  if (!jobs::next_unparsed(session_)) return false;
  pg::Transaction tx(session_);
  jobs::lock_barrier(session_);
  const auto job = jobs::next_unparsed(session_);
  if (!job) return false;
  const auto id = job->claim.job;
  try {
    const auto unit = parse::parse_one(job->statements.front());
    session_.script("SAVEPOINT filing");
    try {
      jobs::file_parsed(session_, id, unit,
                        {own_.login, job->role, job->search_path, job->settings});
    } catch (const Error& error) {
      if (session_.broken() || error.retry() != Retry::never) throw;
      session_.script("ROLLBACK TO SAVEPOINT filing");
      jobs::end_unparsed(session_, id, error.report());
    }
    log::info("job parsed", {{"job", id.str()}, {"action", unit.action}});
  } catch (const InputError& error) {
    Report report = error.report();
    report.statement = job->statements.front();
    jobs::end_unparsed(session_, id, report);
    log::info("job ended", {{"job", id.str()}, {"state", "cancelled"}, {"reason", report.message}});
    metrics_.count(metrics::jobs_ended_total,
                   labels({{"action", "unparsed"}, {"result", "cancelled"}}));
    metrics_.count(metrics::jobs_failed_total, labels());
  }
  tx.commit();
  return true;
}

}  // namespace lockkeeper::workers
