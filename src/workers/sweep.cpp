#include "workers/sweep.hpp"

#include <algorithm>

#include "base/testpoint.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::workers {
namespace {

// Below deadlock_timeout, whatever the settings say: who waits longest is told of a deadlock, and
// that must be us.
constexpr std::chrono::milliseconds kRowWaitMost{200};
constexpr std::int64_t kBlocksMost = 65536;

std::string of_blocks(const std::string& update, std::int64_t first, std::int64_t end) {
  return update + " AND ctid >= '(" + std::to_string(first) + ",0)' AND ctid < '(" +
         std::to_string(end) + ",0)'";
}

}  // namespace

Sweep::Sweep(const jobs::Environment& own, const jobs::Job& job, const jobs::StoredStep& step,
             const config::WorkSettings& settings)
    : own_(own), job_(job), step_(step), row_wait_(std::min(settings.lock_timeout, kRowWaitMost)) {}

bool Sweep::batch(pg::Session& session, bool waits) {
  met_lock_ = false;
  rows_ = 0;
  try {
    const bool more = run(session, waits);
    held_up_ = 0;
    return more;
  } catch (const Error& error) {
    if (session.broken() || error.sqlstate() != "55P03") throw;
    if (blocks_ == 1) ++held_up_;
    blocks_ = std::max<std::int64_t>(1, blocks_ / 4);
    met_lock_ = true;
    return true;
  }
}

bool Sweep::run(pg::Session& session, bool waits) {
  begun_ = std::chrono::steady_clock::now();
  pg::Transaction tx(session);
  const auto batch = jobs::next_batch(session, job_.claim, step_.seq, waits);
  if (!batch) return false;
  const auto end = std::min(batch->end, batch->first + blocks_);
  JobSession dressed(session, own_, job_, row_wait_);
  session.script(dressed.dress_text() +
                 (step_.step.quiet ? "SET LOCAL session_replication_role = replica;" : ""));
  const auto rows = dressed.run(of_blocks(step_.step.statements.front(), batch->first, end));
  testpoint::reach("after_batch");
  const std::string undress = dressed.undress();
  tx.commit(undress + jobs::same_target_text(step_) +
            jobs::end_batch_text(job_.claim, step_.seq, *batch, end, rows));
  testpoint::reach("batch_committed");
  adapt(*batch, rows, std::chrono::steady_clock::now() - begun_);
  return true;
}

void Sweep::adapt(const jobs::Batch& batch, std::int64_t rows, std::chrono::duration<double> took) {
  const double wanted = static_cast<double>(batch.milliseconds) / 1000;
  const double factor = std::clamp(wanted / std::max(took.count(), 1e-4), 0.25, 2.0);
  blocks_ = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(static_cast<double>(blocks_) * factor), 1, kBlocksMost);
  last_ = batch;
  rows_ = rows;
  // Where few rows are wanted, a batch is what may be written in a tenth of a second.
  const double tenth = static_cast<double>(batch.rows_per_second) / batch.threads / 10;
  if (tenth <= 0 || static_cast<double>(rows) <= tenth) return;
  const double part = static_cast<double>(blocks_) * tenth / static_cast<double>(rows);
  blocks_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(part));
}

std::chrono::milliseconds Sweep::rest(std::int64_t rows_per_second, int threads) const {
  if (held_up_ > 0) return std::chrono::milliseconds(std::min(500, 20 * held_up_));
  if (rows_per_second <= 0 || rows_ == 0) return std::chrono::milliseconds(0);
  const double share = static_cast<double>(rows_per_second) / std::max(1, threads);
  const std::chrono::duration<double> due(static_cast<double>(rows_) / share);
  const auto left = due - (std::chrono::steady_clock::now() - begun_);
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::duration_cast<std::chrono::milliseconds>(left));
}

}  // namespace lockkeeper::workers
