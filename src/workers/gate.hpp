#pragma once
// Lets a few workers of a pool at quick jobs at a time. Those all end at the lock of the schema
// version (promise 4), one after the other: more of them than there are cores only keep its owner
// from being scheduled, and each of them has to learn what the others have changed. Who is inside
// stays until he finds no more work; who waits holds no claim. One that has been at the same jobs
// for long does not count any more: it waits for a lock on a table, or is not quick. Any thread.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

namespace lockkeeper::workers {

class Gate {
 public:
  /// `most` at a time, of those that have been at the same jobs for less than `quick`.
  Gate(int most, std::chrono::milliseconds quick) : most_(most), quick_(quick) {}

  /// From now on so many.
  void set_most(int most) {
    const std::lock_guard lock(mutex_);
    most_ = most;
    changed_.notify_all();
  }

  /// Waits to be let in; leaves when destroyed.
  class Pass {
   public:
    /// `at_once`: without waiting; it holds claims.
    explicit Pass(Gate& gate, bool at_once = false) : gate_(gate), place_(gate.enter(at_once)) {}
    ~Pass() { gate_.leave(place_); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    /// It begins with other jobs.
    void renew() { gate_.renew(place_); }

   private:
    using Clock = std::chrono::steady_clock;
    Gate& gate_;
    std::list<Clock::time_point>::iterator place_;
  };

  /// Too many are inside: one that was slow is quick again. Who asks is to leave.
  bool crowded() {
    const std::lock_guard lock(mutex_);
    Clock::time_point first;
    return quick_ones(first) > most_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Place = std::list<Clock::time_point>::iterator;

  // mutex_ is held. How many are at quick jobs, and since when the first of them.
  int quick_ones(Clock::time_point& first) const {
    const auto since = Clock::now() - quick_;
    first = Clock::time_point::max();
    int count = 0;
    for (const auto& begun : inside_) {
      if (begun <= since) continue;
      ++count;
      first = std::min(first, begun);
    }
    return count;
  }

  Place enter(bool at_once) {
    std::unique_lock lock(mutex_);
    for (Clock::time_point first; !at_once && quick_ones(first) >= most_;)
      changed_.wait_until(lock, first + quick_);
    return inside_.insert(inside_.end(), Clock::now());
  }

  void renew(Place place) {
    const std::lock_guard lock(mutex_);
    *place = Clock::now();
  }

  void leave(Place place) {
    const std::lock_guard lock(mutex_);
    inside_.erase(place);
    changed_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Clock::time_point> inside_;  ///< since when each has been at its jobs
  int most_;                             ///< protected by mutex_
  std::chrono::milliseconds quick_;
};

}  // namespace lockkeeper::workers
