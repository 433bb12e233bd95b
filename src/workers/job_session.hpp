#pragma once
// A worker's session dressed for a job: the role that submitted it, its search_path, its settings,
// the lock timeout (promises 9 and 12). Runs the statements of people, one at a time.
//
// A job of another role runs inside a SECURITY DEFINER function that this role owns: there
// PostgreSQL refuses RESET ROLE and SET SESSION AUTHORIZATION, so that no function, trigger or DO
// block of the role can become the worker (SET LOCAL ROLE alone would not hold it).
// One thread. Nothing survives the transaction; a session that may keep more says so.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/submit.hpp"
#include "pg/session.hpp"

namespace lockkeeper::workers {

class JobSession {
 public:
  /// `own`: what the session is without a job (jobs::environment_of right after connecting).
  JobSession(pg::Session& session, const jobs::Environment& own, const jobs::Job& job,
             std::chrono::milliseconds lock_timeout);

  /// BEGIN and the environment, for pg::Transaction (one round trip).
  [[nodiscard]] std::string begin_text() const;
  /// The same in a transaction that has begun.
  [[nodiscard]] std::string dress_text() const;
  /// Runs one statement with the rights of the job's role; gives how many rows it changed. Throws
  /// Error; the position is one in `statement`.
  std::int64_t run(const std::string& statement);
  /// Fires deferred triggers as the job's role. Gives commands, to be sent next, that take the
  /// environment off again, so that the queue's own statements run as the worker.
  std::string undress();

  /// The same for a session outside of a transaction. The session must not be used for another
  /// job afterwards.
  void dress_session();

  /// The role is the worker's own: nothing could be gained by breaking out.
  [[nodiscard]] bool trusted() const { return trusted_; }
  /// The job may have left something in the session that a later job must not meet.
  [[nodiscard]] bool leaves_traces() const;

 private:
  [[nodiscard]] std::string settings_text(bool local) const;
  [[nodiscard]] std::string need_submitter() const;
  pg::Session& session_;
  const jobs::Environment& own_;
  const jobs::Job& job_;
  std::chrono::milliseconds lock_timeout_;
  bool trusted_;
};

}  // namespace lockkeeper::workers
