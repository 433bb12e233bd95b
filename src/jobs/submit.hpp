#pragma once
// Parsed statements into the queue, and what a submission would mean. On the caller's session and
// thread; throws Error and InputError.

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "jobs/job.hpp"
#include "parse/parser.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

/// Role, search_path and settings of a session, as they are captured with a job (promise 12).
struct Environment {
  std::string login;  ///< session_user
  std::string role;   ///< the role in force
  std::string search_path;
  std::map<std::string, std::string> settings;
};
Environment environment_of(pg::Session& session);

struct SubmitOptions {
  std::string on_error = "cancel";  ///< or "continue": what becomes of the rest of a batch
  std::optional<std::string> key;   ///< idempotency: a repeated submit gives the first jobs
  int priority = 0;                 ///< -1 low, 0 normal, 1 high: orders only jobs that are ready
  bool refuse_new = false;          ///< submissions are refused until these jobs have ended
};

struct Submitted {
  JobId id;
  bool existing = false;  ///< the key was used before: this is that job
};

/// Puts the units into the queue as one transaction; in order, as a batch when there is more than
/// one. One round trip for up to kChunk units, one more for each further chunk.
std::vector<Submitted> submit(pg::Session& session, const std::vector<parse::Unit>& units,
                              const Environment& environment, const SubmitOptions& options);

/// Each unit as a job of its own: they share the transaction, and nothing else. kChunk at most; no
/// key. (TiDB's limitDDLJobs: one transaction for what came meanwhile.)
std::vector<Submitted> submit_each(pg::Session& session, const std::vector<parse::Unit>& units,
                                   const Environment& environment, const SubmitOptions& options);

/// Units that are sent to the server at once.
inline constexpr std::size_t kChunk = 2000;

/// A worker has parsed the text of `job`: its footprint replaces the barrier. In the caller's
/// transaction.
void file_parsed(pg::Session& session, JobId job, const parse::Unit& unit,
                 const Environment& environment);

struct FootprintRow {
  std::string object;
  bool exclusive = false;
};
/// An unfinished job that must end before.
struct Conflict {
  JobId job;
  std::string object;
  int distance = 1;              ///< 1: waited for directly; more: through `because`
  std::optional<JobId> because;  ///< the nearer job that waits for this one
};
struct Footprint {
  std::vector<FootprintRow> rows;
  std::vector<Conflict> waits_for;  ///< the whole chain, the nearest first
};
/// The footprint that a unit would have now, and which unfinished jobs it would wait for.
Footprint footprint_of(pg::Session& session, const parse::Unit& unit,
                       const Environment& environment);

}  // namespace lockkeeper::jobs
