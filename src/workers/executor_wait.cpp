// Between two steps: the wait for nodes and older transactions (promise 5). A short one is waited
// for here; a longer one in the queue, without a worker, so that a cancel, a pause or an
// acknowledgement finds the job at once, and a crash loses nothing (promise 10).
#include <algorithm>

#include "base/log.hpp"
#include "base/testpoint.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPauseMost{20};

Report report_of(const std::vector<versions::Blocker>& blockers, bool with_query) {
  Report report;
  report.sqlstate = "55P03";
  report.message = "waits for " + versions::words_for(blockers.front());
  if (blockers.size() > 1)
    report.message += " and " + std::to_string(blockers.size() - 1) + " more";
  if (with_query) report.detail = blockers.front().query;
  report.waits_for = blockers.front().is_node ? "node" : "transaction";
  report.held_seconds = blockers.front().waited;
  return report;
}

}  // namespace

bool Executor::is_over(JobId job) {
  std::vector<double> acks;
  const bool over = versions::is_synced(session_, job, &acks);
  for (const auto seconds : acks) metrics_.observe(metrics::node_ack_seconds, labels(), seconds);
  return over;
}

void Executor::wait_until_synced(const jobs::Job& job, bool going_back) {
  const auto id = job.claim.job;
  if (is_over(id)) return;
  const metrics::Timer waited(metrics_, metrics::sync_seconds, labels());
  testpoint::reach("waits_for_nodes");
  const auto until = Clock::now() + settings_.sync_most;
  for (milliseconds pause{1}; Clock::now() < until && !hooks_.stopping();
       pause = std::min(2 * pause, kPauseMost)) {
    rest(pause);
    if (!going_back) jobs::check_claim(session_, job.claim);
    if (is_over(id)) return;
  }
  const auto blockers = versions::blockers(session_, id);
  if (blockers.empty()) return wait_until_synced(job, going_back);
  lose_patience(job, blockers, going_back);
  const auto fifth = milliseconds(static_cast<int>(std::min(blockers.front().waited, 5.0) * 200));
  look_again_after_ = std::max(milliseconds(50), fifth);
  throw Error(Retry::same_session, report_of(blockers, job.role == own_.login), kLook);
}

// What was asked for, when it takes too long: transactions in the way are ended, the job is paused
// or given up.
void Executor::lose_patience(const jobs::Job& job, const std::vector<versions::Blocker>& blockers,
                             bool going_back) {
  const auto patience = versions::patience_of(session_, job.claim.job);
  if (!patience) return;
  const auto over = [&](std::int64_t limit) {
    return limit > 0 && patience->waited >= static_cast<double>(limit);
  };
  if (over(patience->kill_after))
    for (const auto& blocker : blockers) {
      if (blocker.is_node || blocker.pid == 0) continue;
      try {
        if (versions::kill(session_, blocker)) {
          metrics_.count(metrics::transactions_ended_total, labels());
          log::warning("transaction in the way was ended",
                       {{"job", job.claim.job.str()}, {"who", versions::words_for(blocker)}});
        }
      } catch (const Error& error) {
        if (session_.broken()) throw;
        log::warning("transaction in the way could not be ended",
                     {{"job", job.claim.job.str()},
                      {"who", versions::words_for(blocker)},
                      {"reason", error.what()}});
      }
    }
  if (going_back || !over(patience->timeout) || patience->then == versions::OnTimeout::wait) return;
  auto report = report_of(blockers, job.role == own_.login);
  report.message = "gave up after " + std::to_string(patience->timeout) + " s: " + report.message;
  log::warning("job waited for too long",
               {{"job", job.claim.job.str()}, {"reason", report.message}});
  if (patience->then == versions::OnTimeout::cancel)
    throw Error(Retry::never, report, "mdl_timeout");
  jobs::pause_self(session_, job.claim, report);
  jobs::check_claim(session_, job.claim);
}

}  // namespace lockkeeper::workers
