#pragma once
// Carries one claimed job to its end, or back to the queue. The catalog change, the job's move to
// history, the schema version and the claim of the next job are one transaction (promises 1, 2, 4).
// One thread, one session. A crash at any line leaves either nothing, or the job in history; a
// statement outside a transaction is settled by looking (promise 6).

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "config/settings.hpp"
#include "jobs/queue.hpp"
#include "jobs/submit.hpp"
#include "metrics/registry.hpp"
#include "workers/job_session.hpp"
#include "workers/outside.hpp"

namespace lockkeeper::workers {

/// What the executor is given by the pool.
struct ExecutorHooks {
  std::function<bool()> stopping;                              ///< the process is to end
  std::function<void(JobId, int backend_pid)> begins;          ///< so that a cancel finds it
  std::function<void(std::chrono::milliseconds)> retry_after;  ///< wake somebody then
};

class Executor {
 public:
  Executor(pg::Session& session, const pg::Dsn& dsn, const jobs::WorkerIdentity& identity,
           const jobs::Environment& own, const config::WorkSettings& settings, bool reorg_too,
           const std::string& database, metrics::Registry& metrics, ExecutorHooks hooks);

  /// Runs `job`; gives the next job, when one was claimed in the same transaction. Throws Error
  /// only when the session is broken: then the tables know what became of the job.
  std::optional<jobs::Job> run(const jobs::Job& job);

  /// Parses the oldest job that came as text from psql. False: there is none.
  bool parse_next();

 private:
  std::optional<jobs::Job> run_in_transaction(const jobs::Job& job);
  void run_outside(const jobs::Job& job);
  /// Remembers in `before` what is there. True: the statement is to be run now; false: an earlier
  /// claim had done its work already.
  bool prepare_outside(const jobs::Job& job, const Outside& outside, pg::Session& dressed,
                       std::string& before);
  std::unique_ptr<pg::Session> dressed_session(const jobs::Job& job);
  void finish_alone(const jobs::Job& job, const std::string& steps);
  void settle_failure(const jobs::Job& job, const Error& error);
  [[nodiscard]] Report explained(const jobs::Job& job, const Error& error) const;
  bool may_retry(const jobs::Job& job, const Error& error) const;
  void end_cancelled(const jobs::Job& job, const Report& report);
  bool clean_up_cancelled(const jobs::Job& job);
  void ended(const jobs::Job& job, const std::string& result);

  pg::Session& session_;
  const pg::Dsn& dsn_;
  const jobs::WorkerIdentity& identity_;
  const jobs::Environment& own_;
  const config::WorkSettings& settings_;
  bool reorg_too_;
  std::string database_;
  metrics::Registry& metrics_;
  ExecutorHooks hooks_;
  std::chrono::steady_clock::time_point begun_;
};

}  // namespace lockkeeper::workers
