#include "workers/pool.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/log.hpp"
#include "pg/migrator.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {
namespace {

// What takes longer is none of those that the gate is for.
constexpr std::chrono::milliseconds kQuick{10};
// A round trip to a server on the same machine takes less, also when the machine is busy.
constexpr std::chrono::microseconds kNear{400};

}  // namespace

Pool::Pool(PoolPlace place, const config::WorkSettings& settings, metrics::Registry& metrics,
           pg::Observer& observer)
    : place_(std::move(place)),
      settings_(settings),
      metrics_(metrics),
      observer_(observer),
      gate_(std::numeric_limits<int>::max(), kQuick) {}

Pool::~Pool() {
  stop();
  for (auto& slot : slots_)
    if (slot->thread.joinable()) slot->thread.join();
}

void Pool::resize(int most) {
  {
    const std::lock_guard lock(mutex_);
    if (most == most_) return;
    most_ = most;
    for (int i = live_; i < std::min(place_.warm, most_) && !stopping_; ++i) start_one();
    for (auto& slot : slots_) slot->wake.notify_all();
  }
  report();
}

// mutex_ is held.
bool Pool::wake_idle() {
  for (auto& slot : slots_) {
    if (!slot->idle || slot->called) continue;
    slot->called = true;
    slot->wake.notify_one();
    return true;
  }
  return false;
}

// mutex_ is held.
void Pool::start_one() {
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    if (!(*slot)->over) {
      ++slot;
      continue;
    }
    (*slot)->thread.join();
    slot = slots_.erase(slot);
  }
  auto slot = std::make_unique<Slot>();
  while (std::any_of(slots_.begin(), slots_.end(),
                     [&](const auto& other) { return other->number == slot->number; }))
    ++slot->number;
  ++live_;
  ++running_;
  Slot& started = *slot;
  slots_.push_back(std::move(slot));
  started.thread = std::thread([this, &started] { body(started); });
}

void Pool::call(int jobs) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  for (int i = 0; i < jobs; ++i) {
    if (wake_idle()) continue;
    call_waiting_ = true;
    // A thread that is being started looks by itself.
    if (live_ >= most_) return;
    start_one();
  }
}

void Pool::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (auto& slot : slots_) slot->wake.notify_all();
}

bool Pool::wait_until_ended(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, most, [this] { return running_ == 0; });
}

std::map<JobId, int> Pool::running() {
  const std::lock_guard lock(mutex_);
  std::map<JobId, int> result;
  for (auto& slot : slots_)
    for (const auto& job : slot->jobs) result[job] = slot->backend_pid;
  return result;
}

std::vector<jobs::Job> Pool::take_back(std::chrono::milliseconds busy_for) {
  const std::lock_guard lock(mutex_);
  const auto before = std::chrono::steady_clock::now() - busy_for;
  std::vector<jobs::Job> taken;
  for (auto& slot : slots_) {
    if (slot->waiting == nullptr || slot->jobs.empty() || slot->busy_since > before) continue;
    for (auto& job : slot->waiting->take_all()) taken.push_back(std::move(job));
  }
  return taken;
}

bool Pool::leaving(const Slot& slot) {
  const std::lock_guard lock(mutex_);
  return must_go(slot);
}

// mutex_ is held. Of too many threads, the youngest go.
bool Pool::must_go(const Slot& slot) const {
  int older = 0;
  for (const auto& other : slots_) {
    if (other.get() == &slot) break;
    older += other->left ? 0 : 1;
  }
  return stopping_ || older >= most_;
}

void Pool::report() {
  int busy = 0;
  int there = 0;
  int most = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto& slot : slots_) busy += slot->jobs.empty() ? 0 : 1;
    there = live_;
    most = most_;
  }
  const metrics::Labels labels = {{"database", place_.database}, {"pool", place_.pool}};
  metrics_.set(metrics::pool_size, labels, most);
  metrics_.set(metrics::pool_workers, labels, there);
  metrics_.set(metrics::pool_busy, labels, busy);
}

// mutex_ is held.
void Pool::leave(Slot& slot) {
  if (!std::exchange(slot.left, true)) --live_;
}

// False: there is nothing to do any more for this thread.
bool Pool::wait_for_call(Slot& slot) {
  std::unique_lock lock(mutex_);
  if (!must_go(slot) && std::exchange(call_waiting_, false)) return true;
  slot.idle = true;
  const auto woken = [&] { return slot.called || must_go(slot); };
  bool stays = true;
  while (!woken() && stays)
    stays = slot.wake.wait_for(lock, settings_.idle_close, woken) || live_ <= place_.warm;
  slot.idle = false;
  slot.called = false;
  if (stays && !must_go(slot)) return true;
  // From now on it does not count: who calls meanwhile makes another one.
  leave(slot);
  return false;
}

bool Pool::pause(Slot& slot, std::chrono::milliseconds delay) {
  std::unique_lock lock(mutex_);
  slot.wake.wait_for(lock, delay, [&] { return must_go(slot); });
  return !must_go(slot);
}

void Pool::body(Slot& slot) {
  report();
  for (int failures = 0; !leaving(slot);) {
    try {
      serve(slot, failures);
      break;
    } catch (const Error& error) {
      const auto delay = settings_.connect_backoff.after(++failures, random_unit());
      if (error.query() == "connect" || failures > 1)
        log::warning("worker session lost", {{"database", place_.database},
                                             {"reason", error.what()},
                                             {"sqlstate", error.sqlstate()},
                                             {"delay_ms", std::to_string(delay.count())}});
      idle(slot);
      if (!pause(slot, delay)) break;
    } catch (const std::exception& error) {
      // A bug or a schema that does not fit: said, and tried again slowly, never a dead thread.
      log::error("worker failed", {{"database", place_.database}, {"reason", error.what()}});
      idle(slot);
      if (!pause(slot, settings_.connect_backoff.most)) break;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    slot.jobs.clear();
    slot.backend_pid = 0;
    leave(slot);
    slot.over = true;
    --running_;
    ended_.notify_all();
  }
  report();
}

void Pool::clear(Slot& slot) {
  const std::lock_guard lock(mutex_);
  slot.jobs.clear();
  slot.backend_pid = 0;
}

void Pool::idle(Slot& slot) {
  clear(slot);
  report();
}

// Of a server that is not near, our cores tell nothing, and most of the time of a job is spent on
// the way: then all may be inside.
void Pool::open_gate(pg::Session& session) {
  auto least = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 3; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    session.script("SELECT");
    least = std::min(least, std::chrono::steady_clock::now() - begun);
  }
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  gate_.set_most(least < kNear ? cores : std::numeric_limits<int>::max());
}

// While an executor lives, what it has not begun can be taken from it.
class Pool::Hold {
 public:
  Hold(Pool& pool, Slot& slot, Waiting& waiting) : pool_(pool), slot_(slot) {
    const std::lock_guard lock(pool_.mutex_);
    slot_.waiting = &waiting;
  }
  ~Hold() {
    const std::lock_guard lock(pool_.mutex_);
    slot_.waiting = nullptr;
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Pool& pool_;
  Slot& slot_;
};

// As long as there are ready jobs. False: there were none.
bool Pool::work_off(Slot& slot, Executor& executor) {
  // While it waits at the gate, it runs nothing.
  clear(slot);
  Gate::Pass pass(gate_, !executor.waiting().empty());
  if (leaving(slot)) return true;  // It was told so at the gate: no new claims.
  auto work = executor.claim();
  if (work.empty()) return false;
  {
    const std::lock_guard lock(mutex_);
    wake_idle();  // There may be more: another one looks while this one works.
  }
  for (bool told = false; !work.empty();) {
    pass.renew();
    work = executor.run(work);
    if (!std::exchange(told, true)) report();
  }
  return true;
}

// Ends when the thread is to end; throws when only its session is to be replaced.
void Pool::serve(Slot& slot, int& failures) {
  const std::string number = std::to_string(slot.number);
  while (!leaving(slot)) {
    pg::Session session(place_.dsn, "lockkeeper " + place_.pool + " " + number, 5000, &observer_);
    pg::require_schema(session);
    // A backend whose worker was killed must notice in the middle of a statement (server 14+).
    // No compiler for our own queries: it takes longer than any of them.
    session.script("SET client_connection_check_interval = '500ms'; SET jit = off");
    if (!settings_.flush_each_job) session.script("SET synchronous_commit = off");
    open_gate(session);
    const auto own = jobs::environment_of(session);
    auto identity = jobs::register_worker(session, settings_.name + "/" + place_.pool[0] + number);
    identity.process = place_.process();
    identity.pool = place_.pool;
    failures = 0;
    Executor executor(session, place_.dsn, identity, own, settings_, place_.database, metrics_,
                      {[this, &slot] { return leaving(slot); }, [this] { return gate_.crowded(); },
                       [this, &slot](const Work& work, int pid) {
                         const std::lock_guard lock(mutex_);
                         slot.jobs.clear();
                         slot.busy_since = std::chrono::steady_clock::now();
                         for (const auto& job : work) slot.jobs.push_back(job.claim.job);
                         slot.backend_pid = pid;
                       },
                       place_.retry_after, place_.ended, place_.nodes});
    const Hold hold(*this, slot, executor.waiting());
    while (!leaving(slot) && !session.broken()) {
      if (!work_off(slot, executor)) {
        if (place_.pool == jobs::kGeneral && executor.parse_next()) continue;
        if (place_.pool == jobs::kReorg && executor.help()) continue;
        if (session.broken()) break;
        idle(slot);
        if (!wait_for_call(slot)) return;
      }
    }
    if (!session.broken()) executor.give_back();
  }
}

}  // namespace lockkeeper::workers
