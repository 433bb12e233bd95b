#pragma once
// The worker threads of one database: who is idle, who runs what, and how they are woken. Nothing
// but wake-ups crosses between threads; the truth stays in the tables. All functions: any thread.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "config/settings.hpp"
#include "metrics/registry.hpp"
#include "pg/session.hpp"

namespace lockkeeper::workers {

class Pool {
 public:
  Pool(pg::Dsn dsn, std::string database, const config::WorkSettings& settings,
       metrics::Registry& metrics, pg::Observer& observer,
       std::function<void(std::chrono::milliseconds)> retry_after);
  /// Stops and joins.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void start();
  /// One idle worker looks for work; when none is idle, the next that becomes idle looks again.
  void wake();
  /// No new claims; running jobs go on. Then join() or the destructor.
  void stop();
  /// True when all threads have ended within `most`.
  bool wait_until_ended(std::chrono::milliseconds most);
  /// Backends that run a job now, by job.
  std::map<JobId, int> running();

 private:
  struct Slot {
    bool reorg_too = true;
    bool idle = false;
    bool called = false;
    JobId job;
    int backend_pid = 0;
    std::condition_variable wake;
    std::thread thread;
  };
  void body(Slot& slot, int number);
  void serve(Slot& slot, int number);
  bool wait_for_call(Slot& slot);
  bool pause(Slot& slot, std::chrono::milliseconds delay);
  bool stopping();
  void busy_changed();

  pg::Dsn dsn_;
  std::string database_;
  const config::WorkSettings& settings_;
  metrics::Registry& metrics_;
  pg::Observer& observer_;
  std::function<void(std::chrono::milliseconds)> retry_after_;

  std::mutex mutex_;
  // State below is protected by mutex_.
  std::vector<std::unique_ptr<Slot>> slots_;
  std::condition_variable ended_;
  bool stopping_ = false;
  bool call_waiting_ = false;
  int live_ = 0;
};

}  // namespace lockkeeper::workers
