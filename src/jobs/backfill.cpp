#include "jobs/backfill.hpp"

#include <algorithm>

#include "jobs/queue.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::jobs {

void begin_backfill(pg::Session& session, const Claim& claim, const StoredStep& step, bool anew) {
  pg::Transaction tx(session);
  session.run(sql::jobs_begin_backfill,
              pg::Params::of(claim.job, claim.epoch, step.seq, step.step.target_oid, anew,
                             step.step.in_order));
  tx.commit();
}

std::optional<Batch> next_batch(pg::Session& session, const Claim& claim, int seq, bool waits) {
  const auto rows =
      session.run(sql::jobs_next_batch, pg::Params::of(claim.job, claim.epoch, seq, waits));
  if (rows.empty()) return std::nullopt;
  const auto& row = rows.front();
  return Batch{static_cast<int>(row.integer("n")), row.integer("next_block"),
               row.integer("end_block"),           row.integer("batch_ms"),
               row.integer("rows_per_second"),     static_cast<int>(row.integer("threads"))};
}

std::string end_batch_text(const Claim& claim, int seq, const Batch& batch, std::int64_t next,
                           std::int64_t rows) {
  return "SELECT lockkeeper.end_batch(" + claim.job.str() + ", " + std::to_string(seq) + ", " +
         std::to_string(batch.range) + ", " + std::to_string(next) + ", " + std::to_string(rows) +
         ")";
}

std::optional<Help> help_wanted(pg::Session& session) {
  const auto rows = session.run(sql::jobs_help_wanted);
  if (rows.empty()) return std::nullopt;
  Help help{job_from(rows.front()), {}};
  const int seq = static_cast<int>(rows.front().integer("seq"));
  const auto all = steps(session, help.job.claim.job);
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const StoredStep& one) { return one.seq == seq; });
  if (found == all.end()) return std::nullopt;
  help.step = *found;
  return help;
}

void throttled(pg::Session& session, const Claim& claim, int seq, const std::string& why) {
  session.run(sql::jobs_throttled,
              pg::Params::of(claim.job, seq, why.empty() ? std::nullopt : std::optional(why)));
}

bool want_vacuum(pg::Session& session, const Claim& claim, int seq) {
  return !session.run(sql::jobs_want_vacuum, pg::Params::of(claim.job, seq)).empty();
}

}  // namespace lockkeeper::jobs
