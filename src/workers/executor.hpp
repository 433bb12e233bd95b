#pragma once
// Carries claimed jobs to their end, or back to the queue. The catalog change, the job's move to
// history, the schema version and the claim of the next job are one transaction (promises 1, 2, 4).
// Its commit does not wait for the disk (unless --flush-each-job): a crash of the server takes the
// job's end and its change together, and the job runs again; nobody is told before it is durable
// (jobs::confirm). One thread, one session. A crash at any line leaves either nothing, or the job
// in history; a statement outside a transaction is settled by looking (promise 6).

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "config/settings.hpp"
#include "jobs/queue.hpp"
#include "jobs/steps.hpp"
#include "jobs/submit.hpp"
#include "metrics/registry.hpp"
#include "versions/wait.hpp"
#include "workers/job_session.hpp"
#include "workers/outside.hpp"

namespace lockkeeper::workers {

/// What the executor is given by the pool. All are called on the worker's thread.
struct ExecutorHooks {
  std::function<bool()> stopping;  ///< the process is to end
  std::function<bool()> crowded;   ///< others are to have the next jobs
  /// A backend begins with jobs, so that a cancel finds it.
  std::function<void(const std::vector<jobs::Job>&, int backend_pid)> begins;
  std::function<void(std::chrono::milliseconds)> retry_after;  ///< wake somebody then
  /// Some jobs have ended (or are done, and wait for nodes): tell who waits for it.
  std::function<void(int made_ready, bool done)> ended;
  std::function<bool()> nodes;  ///< there may be nodes
};

class Sweep;

/// The query name of an Error that says who or what is in the way: no failed try.
inline constexpr const char* kLook = "look";

/// One job, or several that share a transaction: instant ones, or brief ones that the worker had
/// claimed anyway. Brief ones hold the locks of several tables for the time of all of them: a
/// millisecond or two; they wait for none of them (a wait while another table is held could be
/// anybody's deadlock), and go one by one when one does not get its lock at once.
using Work = std::vector<jobs::Job>;

/// Jobs that a worker has claimed and not begun. Any thread: while the worker is held up by a slow
/// job, the control takes them back for others.
class Waiting {
 public:
  void put(std::vector<jobs::Job> jobs);
  std::optional<jobs::Job> take();
  /// The first one, if it is as wanted.
  std::optional<jobs::Job> take_if(const std::function<bool(const jobs::Job&)>& wanted);
  std::vector<jobs::Job> take_all();
  bool empty();

 private:
  std::mutex mutex_;
  std::deque<jobs::Job> jobs_;
};

class Executor {
 public:
  Executor(pg::Session& session, const pg::Dsn& dsn, const jobs::WorkerIdentity& identity,
           const jobs::Environment& own, const config::WorkSettings& settings,
           const std::string& database, metrics::Registry& metrics, ExecutorHooks hooks);

  /// The next work of the worker's pool; empty: nothing is ready.
  Work claim();

  Waiting& waiting() { return waiting_; }
  /// Hands back what was claimed and not begun.
  void give_back();

  /// Runs `work`; gives the next, when some was claimed in the same transaction. Throws Error only
  /// when the session is broken: then the tables know what became of the jobs.
  Work run(const Work& work);

  /// Takes batches of a backfill of another worker for a while. False: there was nothing to do.
  bool help();

  /// Parses the oldest job that came as text from psql. False: there is none.
  bool parse_next();

 private:
  /// `head`, and what may share its transaction, claimed too.
  Work with_more(jobs::Job head);
  [[nodiscard]] bool may_share(const jobs::Job& job) const;
  Work run_one(const jobs::Job& job);
  Work run_in_transaction(const Work& work);
  /// Sends the whole transaction. Throws Error.
  void send(const Work& work, JobSession& dressed, int claims_most);
  /// `locked`: called after the first statement.
  void send_in_steps(const Work& work, JobSession& dressed, const std::string& end,
                     const std::function<void()>& locked = {});
  /// Tells of the end, and gives what the commit claimed for this worker.
  Work after_commit(const Work& work, bool leaves_traces);
  /// Drops tables, or puts them into the trash: gives the commands that do so, for the end of the
  /// transaction.
  std::string drop(const jobs::Job& job, JobSession& dressed, const std::string& statement);
  bool rehearsed(JobSession& dressed, const std::string& statement, const std::string& names,
                 bool cascade);
  /// After a transaction of several jobs was undone: each alone, so that only the bad one fails.
  void run_each(const Work& work);
  void run_outside(const jobs::Job& job);
  /// Runs `statement`, which is step `seq` of the job, or settles what an earlier claim left of it.
  void do_outside(const jobs::Job& job, const std::string& statement, int seq);
  /// Remembers in `before` what is there. True: the statement is to be run now; false: an earlier
  /// claim had done its work already.
  bool prepare_outside(const jobs::Job& job, const Outside& outside, pg::Session& dressed, int seq,
                       std::string& before);
  /// Steps of an online plan: the kept one, or one that is made and kept now; none: the job is run
  /// as it is written.
  std::vector<jobs::StoredStep> steps_of(const jobs::Job& job);
  std::optional<plan::Plan> online_plan(const jobs::Job& job);
  void need_no_places(const jobs::Job& job, const parse::Unit& unit);
  /// Everybody has left the version before the last (promise 5); else back to the queue.
  void wait_until_synced(const jobs::Job& job, bool going_back = false);
  bool is_over(JobId job);
  void lose_patience(const jobs::Job& job, const std::vector<versions::Blocker>& blockers,
                     bool going_back);
  /// Before anything is announced: can it be dropped at all? Throws the error that it would give.
  void rehearse_drop(const jobs::Job& job, const std::vector<jobs::StoredStep>& steps);
  void run_steps(const jobs::Job& job, const std::vector<jobs::StoredStep>& steps);
  bool finds(const jobs::Job& job, JobSession& dressed, const std::string& query);
  void run_probe(const jobs::Job& job, const jobs::StoredStep& step);
  bool batch(Sweep& sweep, const jobs::Job& job, bool waits);
  void sweep_all(const jobs::Job& job, const jobs::StoredStep& step);
  bool all_filled(const jobs::Job& job, const jobs::StoredStep& step);
  void run_backfill(const jobs::Job& job, const jobs::StoredStep& step);
  void rest(std::chrono::milliseconds time);
  void rest_after(const jobs::Job& job, const Sweep& sweep);
  std::string lag_of_standbys();
  void say_held_back(const jobs::Job& job, int seq, const std::string& why);
  void vacuum(const jobs::Job& job, const jobs::StoredStep& step);
  void need_same_dependents(const jobs::StoredStep& step);
  void wait_for_cut_over(const jobs::Job& job);
  void need_target(const jobs::StoredStep& step);
  /// Gives whether code of another role ran in the session.
  bool run_step(const jobs::Job& job, const jobs::StoredStep& step,
                const std::vector<std::string>& statements, const std::string& end);
  bool run_behind(const jobs::Job& job, const jobs::StoredStep& step, const std::string& end);
  /// Takes back what the job has done. False: it is not this session's to end any more.
  bool undo(const jobs::Job& job, const Report& reason);
  std::vector<std::string> undo_now(const jobs::StoredStep& step);
  bool undo_transaction(const jobs::Job& job, const jobs::StoredStep& step, const std::string& end);
  /// False: it has no way back.
  bool undo_outside(const jobs::Job& job, const jobs::StoredStep& step);
  std::unique_ptr<pg::Session> dressed_session(const jobs::Job& job);
  void finish_alone(const jobs::Job& job, const std::string& steps);
  void lose(const jobs::Job& job);
  /// Looks who holds locks in the way. Throws Error (55P03, query "look") when one of them has been
  /// there for longer than a lock is waited for: asking would only put the application's queries
  /// into a queue behind us.
  void look(const JobSession& dressed, const jobs::Job& job,
            const std::vector<plan::TableLock>& locks);
  /// When a transaction was first seen whose age the role may not know.
  using Seen = std::map<std::string, std::chrono::steady_clock::time_point>;
  std::optional<Report> oldest_of(const pg::Rows& rows, bool with_query, Seen& seen);
  /// Who has held a lock of the queue that the job's end needs for longer than a lock is waited
  /// for: an open transaction that has submitted something for the same objects.
  std::optional<Report> held_in_queue(const jobs::Job& job, Seen& seen);
  void stop_autovacuum(int pid);
  [[nodiscard]] std::vector<plan::TableLock> locks_of(const jobs::Job& job) const;
  void settle_failure(const jobs::Job& job, const Error& error);
  bool done_without_trash(const jobs::Job& job, const Error& error);
  bool hand_back(const jobs::Job& job, const Error& error);
  void name_column(const jobs::Job& job, Report& report) const;
  [[nodiscard]] Report explained(const jobs::Job& job, const Error& error) const;
  bool may_retry(const jobs::Job& job, const Error& error) const;
  void stop_as_asked(const jobs::Job& job);
  void cancel_now(const jobs::Job& job);
  void end_cancelled(const jobs::Job& job, const Report& report);
  bool clean_up_cancelled(const jobs::Job& job);
  void ended(const Work& work, const jobs::Claimed& told);
  void count_end(const jobs::Job& job, const char* result);
  [[nodiscard]] metrics::Labels labels(metrics::Labels more = {}) const {
    more["database"] = database_;
    return more;
  }
  /// Runs `body` as an operation that is counted, with its time and result.
  template <typename Body>
  auto counted(const char* name, Body&& body) {
    metrics::Operation operation(metrics_, database_, name);
    try {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        operation.succeeded();
      } else {
        auto result = body();
        operation.succeeded();
        return result;
      }
    } catch (const Error& error) {
      if (is_put_off(error)) operation.put_off();
      throw;
    }
  }
  static bool is_put_off(const Error& error);

  pg::Session& session_;
  const pg::Dsn& dsn_;
  const jobs::WorkerIdentity& identity_;
  const jobs::Environment& own_;
  const config::WorkSettings& settings_;
  std::string database_;
  metrics::Registry& metrics_;
  ExecutorHooks hooks_;
  std::chrono::steady_clock::time_point begun_;
  Waiting waiting_;
  std::chrono::milliseconds look_again_after_{50};
  /// Transactions in the way whose age our role may not see, and when we saw them first.
  Seen seen_;
  std::chrono::steady_clock::time_point lag_seen_;
  std::chrono::milliseconds lag_{0};
  std::string held_back_;     ///< as it was said last
  bool unannounced_ = false;  ///< it drops something, and there were no nodes to tell
  /// Until then brief jobs go one by one: somebody was in the way.
  std::chrono::steady_clock::time_point alone_until_;
  std::chrono::steady_clock::time_point help_after_;  ///< no batch for another worker's job before
  std::vector<std::int64_t> clearing_;  ///< items of the trash that go with the job's commit
  bool claims_next_ = true;             ///< false while claimed jobs are still to be run
};

}  // namespace lockkeeper::workers
