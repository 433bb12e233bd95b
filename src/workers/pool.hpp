#pragma once
// The worker threads of one pool of one database: who is idle, who runs what, and how they are
// woken. Threads, and their sessions, are made when there is work and go when there has been none
// for a while, all but one. Nothing but wake-ups crosses between threads; the truth stays in the
// tables. All functions: any thread.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "config/settings.hpp"
#include "jobs/queue.hpp"
#include "metrics/registry.hpp"
#include "pg/session.hpp"
#include "workers/executor.hpp"
#include "workers/gate.hpp"

namespace lockkeeper::workers {

/// Where a pool belongs, and whom it tells.
struct PoolPlace {
  pg::Dsn dsn;
  std::string database;                   ///< label
  std::string pool;                       ///< jobs::kGeneral or jobs::kReorg
  int warm = 0;                           ///< threads that stay when there is nothing to do
  std::function<std::int64_t()> process;  ///< row of ddl_worker
  std::function<void(std::chrono::milliseconds)> retry_after;  ///< wake somebody then
  std::function<void(int made_ready, bool done)> ended;  ///< some jobs have ended, or are done
  std::function<bool()> nodes;                           ///< there may be nodes
};

class Pool {
 public:
  Pool(PoolPlace place, const config::WorkSettings& settings, metrics::Registry& metrics,
       pg::Observer& observer);
  /// Stops and joins.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// At most so many threads from now on; those that are too many end after what they run.
  void resize(int most);
  /// So many jobs may be ready: idle workers look for them, and new ones are made when there are
  /// not enough. When all are busy, the next that becomes idle looks again.
  void call(int jobs);
  /// No new claims; running jobs go on. Then wait_until_ended() or the destructor.
  void stop();
  /// True when all threads have ended within `most`.
  bool wait_until_ended(std::chrono::milliseconds most);
  /// Backends that run a job now, by job.
  std::map<JobId, int> running();
  /// Takes jobs that are claimed and not begun from workers that have been busy with one job for
  /// `busy_for`; the caller hands them back.
  std::vector<jobs::Job> take_back(std::chrono::milliseconds busy_for);

 private:
  struct Slot {
    int number = 0;
    bool idle = false;
    bool called = false;
    bool left = false;  ///< its thread takes no more work
    bool over = false;  ///< its thread has ended and can be joined
    std::vector<JobId> jobs;
    std::chrono::steady_clock::time_point busy_since;
    Waiting* waiting = nullptr;  ///< of its executor
    int backend_pid = 0;
    std::condition_variable wake;
    std::thread thread;
  };
  class Hold;
  bool wake_idle();
  void start_one();
  void body(Slot& slot);
  void serve(Slot& slot, int& failures);
  bool work_off(Slot& slot, Executor& executor);
  void clear(Slot& slot);
  void open_gate(pg::Session& session);
  bool wait_for_call(Slot& slot);
  void leave(Slot& slot);
  bool pause(Slot& slot, std::chrono::milliseconds delay);
  bool leaving(const Slot& slot);
  bool must_go(const Slot& slot) const;
  void idle(Slot& slot);
  void report();

  PoolPlace place_;
  const config::WorkSettings& settings_;
  metrics::Registry& metrics_;
  pg::Observer& observer_;

  Gate gate_;
  std::mutex mutex_;
  // State below is protected by mutex_.
  std::vector<std::unique_ptr<Slot>> slots_;
  std::condition_variable ended_;
  bool stopping_ = false;
  bool call_waiting_ = false;
  int most_ = 0;
  int live_ = 0;     ///< threads that take work
  int running_ = 0;  ///< threads that have not ended
};

}  // namespace lockkeeper::workers
