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
  Sweep(pg::Session& session, const jobs::Environment& own, const jobs::Job& job,
        const jobs::StoredStep& step, const config::WorkSettings& settings);

  /// One batch. False: nothing is free (`waits`: nothing is left). Throws Error; a row that
  /// somebody holds (55P03) makes the next batch a smaller one, down to one block.
  bool batch(bool waits);

  /// After a batch: how long to wait so that no more rows are written than were asked for.
  [[nodiscard]] std::chrono::milliseconds rest() const { return rest_; }
  /// Batches that could not be made smaller and still met a row that somebody holds, in a row.
  [[nodiscard]] int held_up() const { return held_up_; }
  /// Code of another role ran in the session.
  [[nodiscard]] bool leaves_traces() const { return !dressed_.trusted(); }

 private:
  bool run(bool waits);
  void adapt(const jobs::Batch& batch, std::int64_t rows, std::chrono::duration<double> took);

  pg::Session& session_;
  jobs::Job job_;
  const jobs::StoredStep& step_;
  JobSession dressed_;
  std::int64_t blocks_ = 16;
  int held_up_ = 0;
  std::chrono::milliseconds rest_{0};
};

}  // namespace lockkeeper::workers
