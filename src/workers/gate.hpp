#pragma once
// Lets a few quick transactions through at a time. They all end at the row of the schema version
// (promise 4), one after the other: more of them than there are cores only keep its owner from
// being scheduled. Who has waited long enough goes on all the same: in front of it may be one that
// waits for a lock on a table. Any thread.

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace lockkeeper::workers {

class Gate {
 public:
  Gate(int most, std::chrono::milliseconds patience) : free_(most), patience_(patience) {}

  /// Waits to be let in; leaves when destroyed.
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      gate_.changed_.wait_for(lock, gate_.patience_, [this] { return gate_.free_ > 0; });
      --gate_.free_;
    }
    ~Pass() {
      const std::lock_guard lock(gate_.mutex_);
      ++gate_.free_;
      gate_.changed_.notify_one();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate& gate_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
  std::chrono::milliseconds patience_;
};

}  // namespace lockkeeper::workers
