#include "workers/executor.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "base/log.hpp"
#include "base/testpoint.hpp"
#include "pg/quote.hpp"

namespace lockkeeper::workers {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string steps_json(const std::string& kind, std::size_t statements, double seconds) {
  return nlohmann::json::array({{{"kind", kind}, {"statements", statements}, {"seconds", seconds}}})
      .dump();
}

const Report kCancelled = [] {
  Report report;
  report.sqlstate = "57014";
  report.message = "cancelled while it ran; what it had done was taken back";
  return report;
}();

Report given_up(const jobs::Job& job) {
  Report report;
  report.sqlstate = "57P02";
  report.message = "given up: its worker or its server died " + std::to_string(job.crashes) +
                   " times while it ran";
  report.hint = "look at the logs of the server and of the workers, then submit it again";
  return report;
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

// The statement ends its transaction itself, or must not be in one: our parser could not know.
bool wants_outside(const Error& error) {
  return error.sqlstate() == "25001" || error.sqlstate() == "2D000";
}

}  // namespace

Executor::Executor(pg::Session& session, const pg::Dsn& dsn, const jobs::WorkerIdentity& identity,
                   const jobs::Environment& own, const config::WorkSettings& settings,
                   bool reorg_too, const std::string& database, metrics::Registry& metrics,
                   ExecutorHooks hooks)
    : session_(session),
      dsn_(dsn),
      identity_(identity),
      own_(own),
      settings_(settings),
      reorg_too_(reorg_too),
      database_(database),
      metrics_(metrics),
      hooks_(std::move(hooks)) {}

std::optional<jobs::Job> Executor::run(const jobs::Job& job) {
  begun_ = Clock::now();
  hooks_.begins(job.claim.job, session_.backend_pid());
  log::info("job claimed", {{"job", job.claim.job.str()},
                            {"state", "running"},
                            {"action", job.action},
                            {"epoch", job.claim.epoch.str()},
                            {"worker", identity_.name}});
  testpoint::reach("after_claim");
  try {
    if (job.cancel_wanted) {
      if (clean_up_cancelled(job))
        finish_alone(job, steps_json("outside transaction", 1, seconds_since(begun_)));
      else
        end_cancelled(job, kCancelled);
    } else if (job.crashes >= settings_.crashes_most) {
      // Perhaps it is the job that kills them: it must not do so for ever.
      clean_up_cancelled(job);
      end_cancelled(job, given_up(job));
    } else if (job.transactional) {
      return run_in_transaction(job);
    } else {
      run_outside(job);
    }
  } catch (const Error& error) {
    if (session_.broken() || error.retry() == Retry::outcome_unknown) {
      session_.poison();
      throw;
    }
    settle_failure(job, error);
  }
  return std::nullopt;
}

// The worker may not act as the role that submitted the job: say what would mend it.
Report Executor::explained(const jobs::Job& job, const Error& error) const {
  Report report = error.report();
  const bool no_member = error.query() == "script" && report.hint.empty() &&
                         job.role != own_.login &&
                         report.message.find("set role") != std::string::npos;
  if (no_member)
    report.hint = "the worker's role must be a member of it: GRANT " + pg::quote_ident(job.role) +
                  " TO " + pg::quote_ident(own_.login);
  return report;
}

std::optional<jobs::Job> Executor::run_in_transaction(const jobs::Job& job) {
  JobSession dressed(session_, own_, job, settings_.lock_timeout);
  std::optional<jobs::Job> next;
  {
    pg::Transaction tx(session_, dressed.begin_text());
    for (const auto& statement : job.statements) {
      // A statement before this one may have set it: a lock is never waited for without limit.
      if (&statement != &job.statements.front())
        session_.script("SET LOCAL lock_timeout = " +
                        std::to_string(settings_.lock_timeout.count()));
      dressed.run(statement);
      testpoint::reach("after_statement");
    }
    dressed.undress();
    const auto outcome =
        jobs::end(session_, job.claim, jobs::JobState::synced, std::nullopt,
                  steps_json("transaction", job.statements.size(), seconds_since(begun_)));
    if (outcome != jobs::Ended::ended) {
      tx.rollback();
      if (outcome == jobs::Ended::cancelling)
        end_cancelled(job, kCancelled);
      else
        log::warning("claim lost, change rolled back", {{"job", job.claim.job.str()}});
      return std::nullopt;
    }
    // The next claim rides on this commit, unless the session is to be thrown away.
    if (!hooks_.stopping() && !dressed.leaves_traces())
      next = jobs::claim(session_, identity_, reorg_too_);
    testpoint::reach("before_commit");
    tx.commit();
  }
  testpoint::reach("after_commit");
  ended(job, "synced");
  if (dressed.leaves_traces()) session_.poison();
  return next;
}

std::unique_ptr<pg::Session> Executor::dressed_session(const jobs::Job& job) {
  auto session = std::make_unique<pg::Session>(dsn_, "lockkeeper job " + job.claim.job.str());
  session->script("SET client_connection_check_interval = '500ms'");
  return session;
}

bool Executor::prepare_outside(const jobs::Job& job, const Outside& outside, pg::Session& dressed,
                               std::string& before) {
  before = jobs::before_outside(session_, job.claim.job);
  if (job.outside_started && outside.settle(dressed, before)) return false;
  if (before.empty()) before = outside.look(dressed);
  if (!jobs::begin_outside(session_, job.claim, to_string(outside.step().kind),
                           job.statements.front(), before))
    throw Error(Retry::same_session, "the claim does not hold any more", "57014");
  return true;
}

void Executor::run_outside(const jobs::Job& job) {
  parse::Unit unit;
  if (job.unparsed_run) {
    unit = parse::barriers(job.statements.front()).front();
  } else {
    unit = parse::parse_one(job.statements.front());
  }
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
  hooks_.begins(job.claim.job, session->backend_pid());
  const Outside outside(session_, job, unit);
  std::string before;
  if (prepare_outside(job, outside, *session, before)) {
    testpoint::reach("before_outside");
    try {
      session->statement(job.statements.front());
    } catch (const Error& error) {
      if (session->broken()) throw Error(Retry::same_session, error.report(), "outside");
      if (!outside.clean_up(*session, before)) throw;
    }
  }
  testpoint::reach("between_steps");
  finish_alone(job, steps_json(to_string(outside.step().kind), 1, seconds_since(begun_)));
}

void Executor::finish_alone(const jobs::Job& job, const std::string& steps) {
  pg::Transaction tx(session_);
  auto outcome = jobs::end(session_, job.claim, jobs::JobState::synced, std::nullopt, steps);
  // It was cancelled too late: what it did is done and cannot be taken back by us.
  if (outcome == jobs::Ended::cancelling) {
    session_.script("SELECT lockkeeper.finish_anyway(" + job.claim.job.str() + ")");
    outcome = jobs::end(session_, job.claim, jobs::JobState::synced, std::nullopt, steps);
  }
  if (outcome != jobs::Ended::ended) {
    log::warning("claim lost", {{"job", job.claim.job.str()}});
    return;
  }
  testpoint::reach("before_commit");
  tx.commit();
  testpoint::reach("after_commit");
  ended(job, "synced");
}

bool Executor::may_retry(const jobs::Job& job, const Error& error) const {
  if (error.retry() == Retry::never) return false;
  // A statement_timeout that the submitter asked for is an answer, not an accident.
  if (error.sqlstate() == "57014" && job.settings.count("statement_timeout") != 0) return false;
  return job.tries + 1 < settings_.tries_most;
}

void Executor::settle_failure(const jobs::Job& job, const Error& error) {
  const auto id = job.claim.job.str();
  // Only for the worker's own role: anybody's trigger can raise these codes.
  if (wants_outside(error) && job.role == own_.login && job.transactional &&
      job.statements.size() == 1) {
    // Everything was rolled back; the second run goes outside.
    log::info("job runs outside of a transaction", {{"job", id}, {"reason", error.what()}});
    jobs::Job outside = job;
    outside.transactional = false;
    try {
      run_outside(outside);
    } catch (const Error& second) {
      if (session_.broken()) throw;
      settle_failure(outside, second);
    }
    return;
  }
  const auto standing = [&] {
    pg::Transaction tx(session_);
    return jobs::standing_of(session_, job.claim);
  }();
  if (standing == jobs::Standing::lost) {
    log::warning("claim lost, change rolled back", {{"job", id}});
    return;
  }
  if (standing == jobs::Standing::cancelling) return end_cancelled(job, kCancelled);
  const bool stopped = hooks_.stopping() && error.sqlstate() == "57014";
  if (stopped || may_retry(job, error)) {
    const auto delay = stopped ? std::chrono::milliseconds(0)
                               : settings_.lock_backoff.after(job.tries + 1, random_unit());
    if (jobs::hand_back(session_, job.claim, delay, !stopped, error.report())) {
      log::info("job handed back", {{"job", id},
                                    {"state", "queueing"},
                                    {"sqlstate", error.sqlstate()},
                                    {"reason", error.what()},
                                    {"delay_ms", std::to_string(delay.count())}});
      if (!stopped) {
        metrics_.job_retried(database_, error.sqlstate());
        hooks_.retry_after(delay);
      }
      return;
    }
  }
  end_cancelled(job, explained(job, error));
}

void Executor::end_cancelled(const jobs::Job& job, const Report& report) {
  pg::Transaction tx(session_);
  if (jobs::end(session_, job.claim, jobs::JobState::cancelled, report, "[]") !=
      jobs::Ended::ended) {
    log::warning("claim lost", {{"job", job.claim.job.str()}});
    return;
  }
  tx.commit();
  log::info("job ended", {{"job", job.claim.job.str()},
                          {"state", "cancelled"},
                          {"action", job.action},
                          {"sqlstate", report.sqlstate},
                          {"reason", report.message}});
  metrics_.job_ended(database_, job.action, "cancelled", job.waited_seconds, seconds_since(begun_));
}

bool Executor::clean_up_cancelled(const jobs::Job& job) {
  if (!job.outside_started || job.unparsed_run) return false;
  const auto unit = parse::parse_one(job.statements.front());
  const auto session = dressed_session(job);
  JobSession dressed(*session, own_, job, settings_.long_lock_timeout);
  dressed.dress_session();
  return Outside(session_, job, unit)
      .clean_up(*session, jobs::before_outside(session_, job.claim.job));
}

void Executor::ended(const jobs::Job& job, const std::string& result) {
  log::info("job ended", {{"job", job.claim.job.str()},
                          {"state", result},
                          {"action", job.action},
                          {"worker", identity_.name}});
  metrics_.job_ended(database_, job.action, result, job.waited_seconds, seconds_since(begun_));
}

bool Executor::parse_next() {
  // One cheap look without a transaction; there is hardly ever anything.
  if (!jobs::next_unparsed(session_)) return false;
  pg::Transaction tx(session_);
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
    metrics_.job_ended(database_, "unparsed", "cancelled", 0, 0);
  }
  tx.commit();
  return true;
}

}  // namespace lockkeeper::workers
