#pragma once
// What a worker does to the job table: claim, end, hand back. Every write checks the claim's epoch
// under the job's row lock (promise 2). Functions run in the caller's transaction, if there is one,
// on the caller's session and thread; they throw Error.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

/// Something became ready; payload: its pool, "settings", or nothing.
inline constexpr const char* kReadyChannel = "lockkeeper_ready";
inline constexpr const char* kEndedChannel = "lockkeeper_ended";    ///< some jobs have ended
inline constexpr const char* kCancelChannel = "lockkeeper_cancel";  ///< payload: job id

inline constexpr const char* kGeneral = "general";  ///< pool of quick catalog changes
inline constexpr const char* kReorg = "reorg";      ///< pool of what reads or writes rows

struct WorkerIdentity {
  WorkerId id;               ///< of the session
  std::string name;          ///< of the thread, for people
  std::int64_t process = 0;  ///< row of ddl_worker; 0: without a lease
  std::string pool = kGeneral;
};

/// Makes `session` known as one in which jobs run: from now on the functions of the queue that act
/// for somebody (submit, cancel, …) refuse to be called in it.
void register_session(pg::Session& session);

/// Makes `session` a worker session: draws its id and takes the advisory lock that says it lives.
/// The lock dies with the backend, so a crash is seen by everybody.
WorkerIdentity register_worker(pg::Session& session, const std::string& name);

/// The ready job of the highest priority and lowest id of the worker's pool; nothing when none is
/// ready. When many are, up to `most` of them, in the order in which they are to run. Two claimers
/// never wait for each other (FOR UPDATE SKIP LOCKED).
std::vector<Job> claim(pg::Session& session, const WorkerIdentity& worker, int most = 1);

/// Jobs that may share one transaction with `head`, an instant job that was just claimed; claimed
/// too, in the order in which they are to run. The idea is TiDB's merged CREATE TABLE
/// (pkg/ddl/create_table.go), but ours do not fail together.
std::vector<Job> claim_more(pg::Session& session, const WorkerIdentity& worker, const Job& head,
                            int most);

/// The oldest job that came as text from psql and is still to be parsed; locked until the end of
/// the caller's transaction.
std::optional<Job> next_unparsed(pg::Session& session);
/// Before next_unparsed in a transaction that files or ends it: the order of locks of the queue.
void lock_barrier(pg::Session& session);

/// Takes the row lock of the job and says whether the claim still holds and nobody wants it
/// stopped.
/// A row of claim.sql, or one with the same columns.
Job job_from(const pg::Row& row);

enum class Standing { held, cancelling, pausing, lost };
/// `its_turn`, if given: it waits for no other job.
Standing standing_of(pg::Session& session, const Claim& claim, bool* its_turn = nullptr);

enum class NotEnded { lost, stopping };
struct EndOptions {
  bool anyway = false;  ///< it ends well also when somebody wants it stopped: it is too late
  bool locked = false;  ///< lock_text was sent in the same transaction
};
/// The statement that moves jobs which did their work to history, to be sent in one message with
/// COMMIT, in the transaction of their changes; all or none. search_path must be pg_catalog. Claims
/// up to `claims_most` next jobs for `worker`. Its errors: not_ended(). (TiDB finishes and
/// schedules apart; here both are one commit.)
std::string end_well_text(const std::vector<Job>& jobs, const std::string& steps,
                          const WorkerIdentity& worker, int claims_most, EndOptions options = {});
/// The statement that takes the queue's locks of these jobs beforehand, which end_well_text takes
/// too. search_path must be that of the session.
std::string lock_text(const std::vector<Job>& jobs);
/// What an error of end_well_text means; empty: it is another error.
std::optional<NotEnded> not_ended(const Error& error);

struct Claimed {
  int made_ready = 0;  ///< how many jobs waited only for those that ended
  int done = 0;        ///< how many of the last ones are done, and wait for nodes
  std::vector<Job> jobs;
};
/// What the last end_well_text that was committed in this session did besides.
Claimed claimed(pg::Session& session);

/// Throws what not_ended() knows when the claim is lost or the job is to be stopped.
void check_claim(pg::Session& session, const Claim& claim);

/// Moves the job to history as cancelled, and with it the rest of its batch, in the caller's
/// transaction, which must have begun with this. False: the claim is lost.
bool fail(pg::Session& session, const Claim& claim, const Report& error);

/// The job is in the middle of something that has no way back: whoever wanted it stopped is late.
void go_on(pg::Session& session, const Claim& claim);

/// A job that somebody paused has stopped: it keeps its place, without a claim. False: nobody
/// paused it, or the claim is lost.
bool end_paused(pg::Session& session, const Claim& claim);

/// Ends a job that could not be parsed (it has no claim); in the caller's transaction.
void end_unparsed(pg::Session& session, JobId job, const Report& error);

/// Back to the queue, not before `delay`. `counts`: a failed try, not a shutdown. False: the claim
/// is lost or the job is being cancelled.
bool hand_back(pg::Session& session, const Claim& claim, std::chrono::milliseconds delay,
               bool counts, const std::optional<Report>& error);

/// Remembers that a statement outside a transaction begins, with what is there before (JSON).
/// `backend` runs it. False: the claim is lost or the job is to be stopped.
bool begin_outside(pg::Session& session, const Claim& claim, const std::string& kind,
                   const std::string& statement, const std::string& before, int backend,
                   int seq = 1);
/// What begin_outside remembered of step `seq`; empty when it was never called for it.
std::string before_outside(pg::Session& session, JobId job, int seq = 1);

struct Reclaimed {
  JobId job;
  std::string worker;
  std::string state;  ///< after it: queueing, or paused (set aside)
};
/// Takes the jobs of workers that are gone from them; one that has brought down `crashes_most`
/// workers is set aside.
std::vector<Reclaimed> reclaim_lost(pg::Session& session, int crashes_most);

/// Ends the backends of claims whose process has been silent beyond its lease.
std::vector<Reclaimed> end_silent(pg::Session& session);

/// Says that process `id` (0: not known yet) lives for `lease` more, by the server's clock. Gives
/// its id.
std::int64_t heartbeat(pg::Session& session, std::int64_t id, const std::string& name,
                       std::chrono::milliseconds lease);

/// Is any job claimed, by anybody?
bool any_claims(pg::Session& session);

/// How many jobs are ready, by pool; at most 64 are counted. Text to be parsed counts as general.
std::map<std::string, int> ready_pools(pg::Session& session);

/// Settings of the queue that are not at their defaults.
std::map<std::string, std::string> settings(pg::Session& session);

/// Raises the floor under the claim's index scan; throws Error (55P03) when the queue is too busy.
void raise_floor(pg::Session& session);

/// A job that has become synced, and the seconds that each node took to acknowledge its last
/// version.
struct Settled {
  JobId id;
  std::vector<double> acks;
};
/// Takes done jobs that no node holds up any more to history; at most `most`. Gives them.
std::vector<Settled> finish_done(pg::Session& session, int most);
struct DoneJobs {
  bool some = false;   ///< jobs that are done and wait for nodes
  bool nodes = false;  ///< there are nodes at all
};
DoneJobs any_done(pg::Session& session);

/// The worker itself pauses a job that it has claimed, as was asked for when it was submitted.
void pause_self(pg::Session& session, const Claim& claim, const Report& reason);

/// Behind end_well_text: a job that drops something without having announced it must not meet
/// nodes. Its error is one that is tried again (40001).
std::string need_no_nodes_text();

/// Deletes at most `most` schema diffs that the settings do not keep; gives how many.
int purge_diffs(pg::Session& session, int most);

/// Deletes at most `most` ended jobs that the settings do not keep; gives how many.
int purge_history(pg::Session& session, int most);

/// Milliseconds until the next delayed job may be tried; empty when none is delayed.
std::optional<std::chrono::milliseconds> next_retry(pg::Session& session);

/// Claimed jobs that are to be cancelled or paused.
std::vector<JobId> stopping(pg::Session& session);

}  // namespace lockkeeper::jobs
