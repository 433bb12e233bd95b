#pragma once
// What a worker does to the job table: claim, end, hand back. Every write checks the claim's epoch
// under the job's row lock (promise 2). Functions run in the caller's transaction, if there is one,
// on the caller's session and thread; they throw Error.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

inline constexpr const char* kReadyChannel = "lockkeeper_ready";    ///< something became ready
inline constexpr const char* kEndedChannel = "lockkeeper_ended";    ///< payload: job id
inline constexpr const char* kCancelChannel = "lockkeeper_cancel";  ///< payload: job id

struct WorkerIdentity {
  WorkerId id;
  std::string name;
};

/// Makes `session` a worker session: draws its id and takes the advisory lock that says it lives.
/// The lock dies with the backend, so a crash is seen by everybody.
WorkerIdentity register_worker(pg::Session& session, const std::string& name);

/// The ready job of the highest priority and lowest id, of one of `pools`; nothing when none is
/// ready. Two claimers never wait for each other (FOR UPDATE SKIP LOCKED).
std::optional<Job> claim(pg::Session& session, const WorkerIdentity& worker, bool reorg_too);

/// The oldest job that came as text from psql and is still to be parsed; locked until the end of
/// the caller's transaction.
std::optional<Job> next_unparsed(pg::Session& session);

/// Takes the row lock of the job and says whether the claim still holds and nobody cancelled it.
enum class Standing { held, cancelling, lost };
Standing standing_of(pg::Session& session, const Claim& claim);

enum class Ended { ended, lost, cancelling };
/// Moves the job to history in the caller's transaction. `error` must be given unless `final` is
/// synced; `steps` is a JSON array with what was done.
Ended end(pg::Session& session, const Claim& claim, JobState final,
          const std::optional<Report>& error, const std::string& steps);

/// Ends a job that could not be parsed (it has no claim); in the caller's transaction.
void end_unparsed(pg::Session& session, JobId job, const Report& error);

/// Back to the queue, not before `delay`. `counts`: a failed try, not a shutdown. False: the claim
/// is lost or the job is being cancelled.
bool hand_back(pg::Session& session, const Claim& claim, std::chrono::milliseconds delay,
               bool counts, const std::optional<Report>& error);

/// Remembers that a statement outside a transaction begins, with what is there before (JSON).
/// False: the claim is lost or the job is being cancelled.
bool begin_outside(pg::Session& session, const Claim& claim, const std::string& kind,
                   const std::string& statement, const std::string& before);
/// What begin_outside remembered; empty when it was never called for this job.
std::string before_outside(pg::Session& session, JobId job);

struct Reclaimed {
  JobId job;
  std::string worker;
};
/// Hands back the jobs of workers that are gone.
std::vector<Reclaimed> reclaim_lost(pg::Session& session);

/// Milliseconds until the next delayed job may be tried; empty when none is delayed.
std::optional<std::chrono::milliseconds> next_retry(pg::Session& session);

/// Ids of jobs that are to be cancelled and are claimed by one of this server's sessions, with the
/// backend that runs them (0: the backend is gone).
struct ToCancel {
  JobId job;
  WorkerId worker;
};
std::vector<ToCancel> cancelling(pg::Session& session);

}  // namespace lockkeeper::jobs
