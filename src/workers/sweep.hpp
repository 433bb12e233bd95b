#pragma once
// Batches of a backfill: some blocks of the table at a time, each in a transaction of its own, as
// large as the time that one may take. A batch never waits long for a row: the application's
// transactions must not find themselves in a deadlock with it. One thread, one session.

#include <chrono>

#include "config/settings.hpp"
#include "jobs/backfill.hpp"
#include "jobs/submit.hpp"
#include "workers/job_session.hpp"

namespace lockkeeper::workers {

class Sweep {
 public:
  Sweep(const jobs::Environment& own, const jobs::Job& job, const jobs::StoredStep& step,
        const config::WorkSettings& settings);

  /// One batch in `session`, which must not be used again when the job is another role's: what its
  /// code did there was committed. False: nothing is free (`waits`: nothing is left). Throws Error;
  /// a row that somebody holds (55P03) makes the next batch a smaller one, down to one block.
  bool batch(pg::Session& session, bool waits);

  /// How long to wait before the next batch, so that of `rows_per_second` (0: any number) this
  /// worker, of `threads`, writes no more than its share; or because of a row that somebody holds.
  [[nodiscard]] std::chrono::milliseconds rest(std::int64_t rows_per_second, int threads) const;
  /// The same with what was asked for when the last batch began.
  [[nodiscard]] std::chrono::milliseconds rest() const {
    return rest(last_.rows_per_second, last_.threads);
  }
  [[nodiscard]] const jobs::Batch& last() const { return last_; }
  /// Batches that could not be made smaller and still met a row that somebody holds, in a row.
  [[nodiscard]] int held_up() const { return held_up_; }
  /// Rows that the last batch wrote.
  [[nodiscard]] std::int64_t rows() const { return rows_; }
  /// The last batch met a row that somebody holds.
  [[nodiscard]] bool met_lock() const { return met_lock_; }

 private:
  bool run(pg::Session& session, bool waits);
  void adapt(const jobs::Batch& batch, std::int64_t rows, std::chrono::duration<double> took);

  const jobs::Environment& own_;
  const jobs::Job& job_;
  const jobs::StoredStep& step_;
  std::chrono::milliseconds row_wait_;
  std::int64_t blocks_ = 16;
  int held_up_ = 0;
  bool met_lock_ = false;
  jobs::Batch last_;
  std::int64_t rows_ = 0;  ///< of the last batch
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace lockkeeper::workers
