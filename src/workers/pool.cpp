#include "workers/pool.hpp"

#include <utility>

#include "base/log.hpp"
#include "pg/migrator.hpp"
#include "workers/executor.hpp"

namespace lockkeeper::workers {

Pool::Pool(pg::Dsn dsn, std::string database, const config::WorkSettings& settings,
           metrics::Registry& metrics, pg::Observer& observer,
           std::function<void(std::chrono::milliseconds)> retry_after)
    : dsn_(std::move(dsn)),
      database_(std::move(database)),
      settings_(settings),
      metrics_(metrics),
      observer_(observer),
      retry_after_(std::move(retry_after)) {}

Pool::~Pool() {
  stop();
  for (auto& slot : slots_)
    if (slot->thread.joinable()) slot->thread.join();
}

void Pool::start() {
  const std::lock_guard lock(mutex_);
  live_ = settings_.workers;
  for (int i = 0; i < settings_.workers; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    // One thread is kept for quick changes, so that long ones never hold them all up.
    slots_.back()->reorg_too = i > 0 || settings_.workers == 1;
  }
  for (int i = 0; i < settings_.workers; ++i) {
    Slot& slot = *slots_[static_cast<std::size_t>(i)];
    slot.thread = std::thread([this, &slot, i] { body(slot, i); });
  }
}

void Pool::wake() {
  const std::lock_guard lock(mutex_);
  Slot* chosen = nullptr;
  for (auto& slot : slots_)
    if (slot->idle && !slot->called && (chosen == nullptr || slot->reorg_too)) chosen = slot.get();
  if (chosen == nullptr) {
    call_waiting_ = true;
    return;
  }
  // It cannot take every job: one that could, and is just about to become idle, looks again.
  if (!chosen->reorg_too) call_waiting_ = true;
  chosen->called = true;
  chosen->wake.notify_one();
}

void Pool::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (auto& slot : slots_) slot->wake.notify_all();
}

bool Pool::wait_until_ended(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, most, [this] { return live_ == 0; });
}

std::map<JobId, int> Pool::running() {
  const std::lock_guard lock(mutex_);
  std::map<JobId, int> result;
  for (auto& slot : slots_)
    if (slot->backend_pid != 0) result[slot->job] = slot->backend_pid;
  return result;
}

bool Pool::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Pool::busy_changed() {
  int busy = 0;
  int all = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto& slot : slots_) busy += slot->backend_pid != 0 ? 1 : 0;
    all = static_cast<int>(slots_.size());
  }
  metrics_.pool(database_, all, busy);
}

bool Pool::wait_for_call(Slot& slot) {
  std::unique_lock lock(mutex_);
  if (!std::exchange(call_waiting_, false)) {
    slot.idle = true;
    slot.wake.wait(lock, [&] { return slot.called || stopping_; });
    slot.idle = slot.called = false;
  }
  return !stopping_;
}

bool Pool::pause(Slot& slot, std::chrono::milliseconds delay) {
  std::unique_lock lock(mutex_);
  slot.wake.wait_for(lock, delay, [&] { return stopping_; });
  return !stopping_;
}

void Pool::body(Slot& slot, int number) {
  for (int failures = 0; !stopping();) {
    try {
      serve(slot, number);
      failures = 0;
    } catch (const Error& error) {
      const auto delay = settings_.connect_backoff.after(++failures, random_unit());
      if (error.query() == "connect" || failures > 1)
        log::warning("worker session lost", {{"database", database_},
                                             {"reason", error.what()},
                                             {"sqlstate", error.sqlstate()},
                                             {"delay_ms", std::to_string(delay.count())}});
      if (!pause(slot, delay)) break;
    } catch (const std::exception& error) {
      // A bug or a schema that does not fit: said, and tried again slowly, never a dead thread.
      log::error("worker failed", {{"database", database_}, {"reason", error.what()}});
      if (!pause(slot, settings_.connect_backoff.most)) break;
    }
    const std::lock_guard lock(mutex_);
    slot.backend_pid = 0;
  }
  const std::lock_guard lock(mutex_);
  --live_;
  ended_.notify_all();
}

void Pool::serve(Slot& slot, int number) {
  pg::Session session(dsn_, "lockkeeper worker " + std::to_string(number), 5000, &observer_);
  pg::require_schema(session);
  // A backend whose worker was killed must notice in the middle of a statement (server 14+).
  session.script("SET client_connection_check_interval = '500ms'");
  const auto own = jobs::environment_of(session);
  const auto identity =
      jobs::register_worker(session, settings_.name + "/" + std::to_string(number));
  Executor executor(session, dsn_, identity, own, settings_, slot.reorg_too, database_, metrics_,
                    {[this] { return stopping(); },
                     [this, &slot](JobId job, int pid) {
                       const std::lock_guard lock(mutex_);
                       slot.job = job;
                       slot.backend_pid = pid;
                     },
                     retry_after_});
  while (!stopping() && !session.broken()) {
    auto job = jobs::claim(session, identity, slot.reorg_too);
    if (!job && executor.parse_next()) continue;
    while (job) {
      wake();  // There may be more: another one looks while this one works.
      job = executor.run(*job);
      busy_changed();
    }
    {
      const std::lock_guard lock(mutex_);
      slot.backend_pid = 0;
    }
    busy_changed();
    if (!session.broken() && !wait_for_call(slot)) break;
  }
}

}  // namespace lockkeeper::workers
