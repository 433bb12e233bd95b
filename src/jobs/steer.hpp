#pragma once
// Steering: cancel, pause, resume and retry of jobs, and the settings of a queue. Each is one
// statement of the server's, so that psql and this library do the same. On the caller's session and
// thread; throws Error.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "jobs/submit.hpp"
#include "pg/session.hpp"

namespace lockkeeper::jobs {

enum class Verb { cancel, pause, resume, retry };

/// Which jobs: exactly one of these.
struct Which {
  std::vector<JobId> ids;
  std::optional<std::int64_t> batch;
  std::optional<std::string> action;
  bool all = false;  ///< all that the role may steer
};

struct Steered {
  JobId id;
  std::string state;   ///< after it; empty: there is no such job
  bool done = false;   ///< false: nothing could be done, `answer` says why
  std::string answer;  ///< what is to be said of it; may be empty
};

/// Steers each of the jobs, in id order and one transaction. Jobs that cannot be steered do not
/// keep the others from it. (TiDB: ADMIN CANCEL | PAUSE | RESUME DDL JOBS.)
std::vector<Steered> steer(pg::Session& session, Verb verb, const Which& which);
/// Cancels jobs whose deadline (tuning "deadline", in seconds from the submission) has passed;
/// gives those. For workers.
std::vector<Steered> cancel_late(pg::Session& session);
bool is_late(pg::Session& session, JobId job);

/// Changes a setting of the queue (lockkeeper.set has the list); empty: back to its default.
void set(pg::Session& session, const std::string& name, const std::optional<std::string>& value);

/// How one job is run: threads, batch_ms, rows_per_second, postpone_cutover; all as text. Also
/// while it runs. (TiDB: ADMIN ALTER DDL JOBS.)
using Tuning = std::map<std::string, std::string>;
/// Changes some of it; gives what is set then. Throws Error: there is no such job, or no such
/// value.
Tuning alter(pg::Session& session, JobId job, const Tuning& changes);
/// What is set for a job of the queue.
Tuning tuning_of(pg::Session& session, JobId job);

/// Begins or ends upgrade mode; gives how many jobs were paused or resumed.
int upgrade(pg::Session& session, bool begins);

/// What a new job needs to be like an ended one; empty: no such job, or its text may not be read.
struct EndedJob {
  std::string text;
  std::string state;
  Environment environment;
  bool stripped = false;  ///< its text has lost a password
};
std::optional<EndedJob> ended_job(pg::Session& session, JobId job);

}  // namespace lockkeeper::jobs
