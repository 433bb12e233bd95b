// What becomes of a job that did not do its work: another try, a pause, or the end.
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.hpp"
#include "jobs/steer.hpp"
#include "pg/quote.hpp"
#include "trash/trash.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

Report cancelled_report(const char* message, const char* hint = "") {
  Report report;
  report.sqlstate = "57014";
  report.message = message;
  report.hint = hint;
  return report;
}
const Report kCancelled =
    cancelled_report("cancelled while it ran; what it had done was taken back");
const Report kStopped =
    cancelled_report("cancelled while it ran outside of a transaction; what it had done stays",
                     "it may have done a part of its work: look, then submit what is left");

// The statement ends its transaction itself, or must not be in one: our parser could not know.
bool wants_outside(const Error& error) {
  return error.sqlstate() == "25001" || error.sqlstate() == "2D000";
}

}  // namespace

// A helper of ours was violated: say it as SET NOT NULL itself would.
void Executor::name_column(const jobs::Job& job, Report& report) const {
  if (report.sqlstate != "23514" ||
      report.message.find("lockkeeper_not_null_") == std::string::npos)
    return;
  for (const auto& step : jobs::steps(session_, job.claim.job))
    for (const auto& statement : step.step.statements) {
      const auto helper = statement.find("\"lockkeeper_not_null_");
      const auto check = statement.find(" CHECK (", helper);
      const auto end = statement.find(" IS NOT NULL)", check);
      if (helper == std::string::npos || end == std::string::npos) continue;
      const auto name = statement.substr(helper, check - helper);
      if (report.message.find(name) == std::string::npos) continue;
      report.sqlstate = "23502";
      const auto table = step.step.target.find("\".\"");
      report.message = "column " + statement.substr(check + 8, end - check - 8) + " of relation " +
                       step.step.target.substr(table == std::string::npos ? 0 : table + 2) +
                       " contains null values";
    }
}

// The worker may not act as the role that submitted the job: say what would mend it.
Report Executor::explained(const jobs::Job& job, const Error& error) const {
  Report report = error.report();
  name_column(job, report);
  const bool no_member = error.query() == "script" && report.hint.empty() &&
                         job.role != own_.login &&
                         report.message.find("set role") != std::string::npos;
  if (no_member)
    report.hint = "the worker's role must be a member of it: GRANT " + pg::quote_ident(job.role) +
                  " TO " + pg::quote_ident(own_.login);
  return report;
}

bool Executor::may_retry(const jobs::Job& job, const Error& error) const {
  if (error.retry() == Retry::never) return false;
  // A statement_timeout that the submitter asked for is an answer, not an accident.
  if (error.sqlstate() == "57014" && job.settings.count("statement_timeout") != 0) return false;
  // "Used by active queries in this session", "pending trigger events": the job is in its own way.
  constexpr int kInUseMost = 3;
  if (error.sqlstate() == "55006" && job.tries + 1 >= kInUseMost) return false;
  return job.tries + 1 < settings_.tries_most;
}

// What was dropped is only kept for the case that somebody wants it back: it must not keep a job
// from dropping what it is made of. Once more then, without those tables: they go with the commit
// of the job, or stay.
bool Executor::done_without_trash(const jobs::Job& job, const Error& error) {
  const auto& report = error.report();
  if (error.sqlstate() != "2BP01" || job.opaque || job.unparsed_run || !job.transactional ||
      !jobs::steps(session_, job.claim.job).empty())
    return false;
  clearing_ = trash::named_in(report.message + "\n" + report.detail);
  if (clearing_.empty()) return false;
  const bool claims = std::exchange(claims_next_, false);
  const auto restore = [&] {
    claims_next_ = claims;
    clearing_.clear();
  };
  try {
    run_in_transaction({job});
    restore();
    return true;
  } catch (const Error& second) {
    restore();
    if (session_.broken() || second.retry() == Retry::outcome_unknown) throw;
    // Somebody's lock is no reason to end it.
    return hand_back(job, second);
  }
}

void Executor::settle_failure(const jobs::Job& job, const Error& error) {
  const auto id = job.claim.job.str();
  // Only for the worker's own role: anybody's trigger can raise these codes.
  if (wants_outside(error) && job.role == own_.login && job.transactional &&
      job.statements.size() == 1 && jobs::steps(session_, job.claim.job).empty()) {
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
  if (standing != jobs::Standing::held) return stop_as_asked(job);
  if (done_without_trash(job, error)) return;
  if (hand_back(job, error)) return;
  end_cancelled(job, explained(job, error));
}

bool Executor::hand_back(const jobs::Job& job, const Error& error) {
  const bool stopped = hooks_.stopping() && error.sqlstate() == "57014";
  // To look costs the application nothing: it is done as long as it takes.
  const bool looked = error.query() == kLook;
  if (!stopped && !looked && !may_retry(job, error)) return false;
  const auto delay = stopped  ? std::chrono::milliseconds(0)
                     : looked ? look_again_after_
                              : settings_.lock_backoff.after(job.tries + 1, random_unit());
  // Found at the job's end: its locks on tables are given back, and the next try looks first.
  const auto in_queue =
      !looked && error.sqlstate() == "55P03" ? held_in_queue(job, seen_) : std::nullopt;
  if (!jobs::hand_back(session_, job.claim, delay, !stopped && !looked,
                       in_queue ? *in_queue : error.report()))
    return false;
  if (looked) {
    hooks_.retry_after(delay);
    return true;
  }
  log::info("job handed back", {{"job", job.claim.job.str()},
                                {"state", "queueing"},
                                {"sqlstate", error.sqlstate()},
                                {"reason", error.what()},
                                {"delay_ms", std::to_string(delay.count())}});
  if (!stopped) {
    metrics_.count(metrics::job_retries_total, labels({{"sqlstate", error.sqlstate()}}));
    if (error.sqlstate() == "55P03" || error.sqlstate() == "40P01")
      metrics_.count(metrics::lock_refused_total,
                     labels({{"why", error.sqlstate() == "55P03" ? "timeout" : "deadlock"}}));
    hooks_.retry_after(delay);
  }
  return true;
}

void Executor::stop_as_asked(const jobs::Job& job) {
  if (jobs::end_paused(session_, job.claim)) {
    // What a stopped statement outside of a transaction left must not stay while it is paused.
    log::info("job paused", {{"job", job.claim.job.str()}, {"state", "paused"}});
    return;
  }
  // Somebody may have resumed it meanwhile.
  if (jobs::hand_back(session_, job.claim, std::chrono::milliseconds(0), false, std::nullopt))
    return;
  cancel_now(job);
}

void Executor::cancel_now(const jobs::Job& job) {
  Report report = job.transactional || Outside::leaves_nothing(job.action) ? kCancelled : kStopped;
  if (job.settings.count("lockkeeper.deadline") != 0 && jobs::is_late(session_, job.claim.job))
    report.message = "its deadline has passed: it was " + report.message;
  end_cancelled(job, report);
}

void Executor::end_cancelled(const jobs::Job& job, const Report& report) {
  try {
    if (!counted("undo", [&] { return undo(job, report); })) return;
  } catch (const Error& error) {
    if (session_.broken() || error.retry() == Retry::outcome_unknown) throw;
    // It is kept that the job goes back: the next claim goes on with it.
    const bool looked = error.query() == kLook;
    const auto delay =
        looked ? look_again_after_ : settings_.lock_backoff.after(job.tries + 1, random_unit());
    log::write(
        looked ? log::Level::debug : log::Level::warning, "could not be taken back yet",
        {{"job", job.claim.job.str()}, {"sqlstate", error.sqlstate()}, {"reason", error.what()}});
    // It had not begun to go back: whoever called settles that.
    if (!jobs::hand_back(session_, job.claim, delay, !looked, error.report())) throw;
    hooks_.retry_after(delay);
    return;
  }
  pg::Transaction tx(session_);
  if (!jobs::fail(session_, job.claim, report)) {
    log::warning("claim lost", {{"job", job.claim.job.str()}});
    return;
  }
  tx.commit();
  log::info("job ended", {{"job", job.claim.job.str()},
                          {"state", "cancelled"},
                          {"action", job.action},
                          {"sqlstate", report.sqlstate},
                          {"reason", report.message}});
  count_end(job, "cancelled");
}

bool Executor::clean_up_cancelled(const jobs::Job& job) {
  if (!job.outside_started || job.unparsed_run) return false;
  const auto unit = parse::parse_one(job.statements.front());
  const auto session = dressed_session(job);
  JobSession dressed(*session, own_, job, settings_.long_lock_timeout);
  dressed.dress_session();
  const Outside outside(session_, job, unit);
  if (outside.no_way_back(*session)) {
    session->statement(outside.statement());
    return true;
  }
  const auto before = jobs::before_outside(session_, job.claim.job);
  return outside.dropped_already(*session, before) || outside.built_already(*session, before) ||
         outside.clean_up(*session, before);
}

}  // namespace lockkeeper::workers
