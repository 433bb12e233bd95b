#pragma once
// The shared state of a backfill: ranges of blocks in lockkeeper.ddl_subtask, which any worker may
// take for the length of a batch. The row lock of its range is the right to a batch; range and rows
// move on in one transaction, so that a crash at any point loses a batch at most (promise 6).
// One thread per session.

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/job.hpp"
#include "jobs/steps.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

struct Batch {
  int range = 0;
  std::int64_t first = 0;            ///< block
  std::int64_t end = 0;              ///< of the range: a batch ends here at the latest
  std::int64_t milliseconds = 0;     ///< that a batch should take
  std::int64_t rows_per_second = 0;  ///< 0: as many as it can
  int threads = 1;                   ///< workers that share the backfill
};

/// Begins the backfill, or goes on with it (`anew`: all of it once more), in a transaction of its
/// own. Errors: not_ended().
void begin_backfill(pg::Session& session, const Claim& claim, const StoredStep& step, bool anew);

/// Takes a range for the caller's transaction. `waits`: for another worker, when nothing is free;
/// then none means that all is done. Errors: not_ended().
std::optional<Batch> next_batch(pg::Session& session, const Claim& claim, int seq, bool waits);

/// Sent in one message with COMMIT: blocks before `next` are done.
std::string end_batch_text(const Claim& claim, int seq, const Batch& batch, std::int64_t next,
                           std::int64_t rows);

/// A running backfill that one more worker could take batches of. The claim is that of its worker:
/// only for next_batch.
struct Help {
  Job job;
  StoredStep step;
};
std::optional<Help> help_wanted(pg::Session& session);

/// Keeps why the backfill is held back; empty: it is not.
void throttled(pg::Session& session, const Claim& claim, int seq, const std::string& why);

/// So much was written since the last time that the table should be vacuumed. Says so once.
bool want_vacuum(pg::Session& session, const Claim& claim, int seq);

}  // namespace lockkeeper::jobs
