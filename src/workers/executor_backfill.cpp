// The backfill of a job, by its own worker, and by others that have nothing else to do.
#include <algorithm>

#include "base/log.hpp"
#include "base/testpoint.hpp"
#include "jobs/backfill.hpp"
#include "jobs/steer.hpp"
#include "sql/queries.hpp"
#include "workers/executor.hpp"
#include "workers/sweep.hpp"

namespace lockkeeper::workers {
namespace {

// No longer than this without a look at what the job is to do now.
constexpr std::chrono::milliseconds kRestMost{500};
constexpr std::chrono::milliseconds kHelpMost{500};
constexpr int kRoundsMost = 3;

}  // namespace

// A cancel or a pause ends it at once: it is a statement of this session.
void Executor::rest(std::chrono::milliseconds time) {
  if (time.count() <= 0) return;
  session_.run(sql::workers_wait,
               pg::Params::of(std::to_string(static_cast<double>(time.count()) / 1000)));
}

// No more than a part at a time: it may be told meanwhile to go faster.
void Executor::rest_after(const jobs::Job& job, const Sweep& sweep) {
  for (auto left = sweep.rest(); left.count() > 0;) {
    rest(std::min(left, kRestMost));
    jobs::check_claim(session_, job.claim);
    const auto tuning = jobs::tuning_of(session_, job.claim.job);
    const auto number = [&](const char* name, std::int64_t otherwise) {
      const auto found = tuning.find(name);
      return found == tuning.end() ? otherwise : std::stoll(found->second);
    };
    left = std::min(left, sweep.rest(number("rows_per_second", 0),
                                     static_cast<int>(number("threads", sweep.last().threads))));
    if (sweep.held_up() > 0) return;
  }
}

// Empty: no standby is too far behind.
std::string Executor::lag_of_standbys() {
  const auto now = std::chrono::steady_clock::now();
  if (now >= lag_seen_ + std::chrono::seconds(1)) {
    lag_seen_ = now;
    const auto rows = session_.run(sql::workers_replication_lag);
    const double seconds = rows.front().null("seconds") ? 0 : rows.front().real("seconds");
    lag_ = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  }
  if (lag_ <= settings_.lag_most) return {};
  return "a standby is " + std::to_string(lag_.count() / 1000) + " s behind";
}

// Kept when it changes (promise 10).
void Executor::say_held_back(const jobs::Job& job, int seq, const std::string& why) {
  if (held_back_ == why) return;
  held_back_ = why;
  jobs::throttled(session_, job.claim, seq, why);
}

// Room for the new versions of the next rows. Who may not, or is not let, does without.
void Executor::vacuum(const jobs::Job& job, const jobs::StoredStep& step) {
  if (!jobs::want_vacuum(session_, job.claim, step.seq)) return;
  try {
    const auto session = dressed_session(job);
    JobSession dressed(*session, own_, job, settings_.lock_timeout);
    dressed.dress_session();
    session->statement("VACUUM (SKIP_LOCKED, TRUNCATE false) " + step.step.target);
  } catch (const Error& error) {
    log::info("table was not vacuumed", {{"job", job.claim.job.str()}, {"reason", error.what()}});
  }
}

// What another role's code leaves in a session (settings, temporary objects) is committed with the
// batch: nothing of ours comes after it there.
bool Executor::batch(Sweep& sweep, const jobs::Job& job, bool waits) {
  const auto begun = std::chrono::steady_clock::now();
  const bool more = job.role == own_.login ? sweep.batch(session_, waits)
                                           : sweep.batch(*dressed_session(job), waits);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  if (sweep.met_lock())
    metrics_.count(metrics::backfill_held_total, labels());
  else if (more)
    metrics_.observe(metrics::backfill_batch_seconds, labels(), took.count());
  metrics_.count(metrics::backfill_rows_total, labels(), static_cast<double>(sweep.rows()));
  return more;
}

void Executor::sweep_all(const jobs::Job& job, const jobs::StoredStep& step) {
  Sweep sweep(own_, job, step, settings_);
  held_back_ = "?";  // what an earlier claim may have left
  for (bool more = true; more;) {
    if (hooks_.stopping()) throw Error(Retry::same_session, "the worker is to end", "57014");
    if (const auto lag = lag_of_standbys(); !lag.empty()) {
      say_held_back(job, step.seq, lag);
      rest(kRestMost);
      jobs::check_claim(session_, job.claim);
      continue;
    }
    more = batch(sweep, job, true);
    say_held_back(job, step.seq, sweep.held_up() < 5 ? "" : "a row is held by somebody");
    rest_after(job, sweep);
    vacuum(job, step);
  }
}

// Somebody may have moved rows to other blocks (VACUUM FULL, CLUSTER), or written some while the
// trigger was switched off.
bool Executor::all_filled(const jobs::Job& job, const jobs::StoredStep& step) {
  if (step.step.verify.empty()) return true;
  JobSession dressed(session_, own_, job, settings_.lock_timeout);
  const pg::Transaction tx(session_, dressed.begin_text());
  return dressed.run(step.step.verify) == 0;
}

void Executor::run_backfill(const jobs::Job& job, const jobs::StoredStep& step) {
  need_target(step);
  log::info("step begins", {{"job", job.claim.job.str()}, {"step", std::to_string(step.seq)}});
  for (int round = 1;; ++round) {
    jobs::begin_backfill(session_, job.claim, step, round > 1);
    sweep_all(job, step);
    testpoint::reach("swept");
    if (all_filled(job, step)) break;
    log::info("rows are left to be filled",
              {{"job", job.claim.job.str()}, {"round", std::to_string(round)}});
    if (round < kRoundsMost) continue;
    // The default of a new column may be NULL for some rows.
    if (step.step.may_stay_null) break;
    Report report;
    report.sqlstate = "55000";
    report.message =
        "rows of " + step.step.target + " are written past the trigger that fills them";
    throw Error(Retry::never, report, "backfill");
  }
  testpoint::reach("between_steps");
  pg::Transaction(session_).commit(jobs::end_step_text(job.claim, step));
}

bool Executor::help() {
  // Its share of the rows a second is used up: whoever has a job to begin is looked for meanwhile.
  if (const auto due = help_after_ - std::chrono::steady_clock::now(); due.count() > 0) {
    rest(std::min(std::chrono::ceil<std::chrono::milliseconds>(due), kRestMost));
    return true;
  }
  const auto help = jobs::help_wanted(session_);
  if (!help) return false;
  const auto& job = help->job;
  Sweep sweep(own_, job, help->step, settings_);
  bool did = false;
  try {
    // Then a look whether there is a job that nobody works at: those come first.
    const auto until = std::chrono::steady_clock::now() + kHelpMost;
    while (!hooks_.stopping() && std::chrono::steady_clock::now() < until &&
           batch(sweep, job, false)) {
      did = true;
      help_after_ = std::chrono::steady_clock::now() + sweep.rest();
      if (sweep.rest().count() > 0) break;
    }
  } catch (const Error& error) {
    if (session_.broken()) throw;
    // Its own worker meets the same, and settles it.
    log::debug("no help", {{"job", job.claim.job.str()}, {"reason", error.what()}});
    did = false;
  }
  return did;
}

}  // namespace lockkeeper::workers
