#include "workers/control.hpp"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cstring>

#include "base/log.hpp"
#include "jobs/queue.hpp"
#include "jobs/steer.hpp"
#include "pg/migrator.hpp"
#include "sql/queries.hpp"
#include "trash/trash.hpp"
#include "versions/syncer.hpp"
#include "versions/wait.hpp"

namespace lockkeeper::workers {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// A statement of the control may wait for a lock, or a dead network, that long.
constexpr std::chrono::seconds kSilentMost{60};

}  // namespace

Control::Control(const pg::Dsn& dsn, std::string label, const config::WorkSettings& settings,
                 metrics::Registry& metrics, pg::Observer& observer)
    : dsn_(dsn),
      database_(std::move(label)),
      settings_(settings),
      metrics_(metrics),
      observer_(observer),
      reporter_(database_, metrics),
      connect_timer_(loop_),
      poll_timer_(loop_),
      liveness_timer_(loop_),
      beat_timer_(loop_),
      retry_timer_(loop_),
      tell_timer_(loop_),
      settle_timer_(loop_),
      general_most_(settings.workers),
      reorg_most_(settings.reorg_workers),
      general_(place(jobs::kGeneral, 1), settings, metrics, observer),
      reorg_(place(jobs::kReorg, 0), settings, metrics, observer) {}

PoolPlace Control::place(const char* pool, int warm) {
  return {dsn_,
          database_,
          pool,
          warm,
          [this] { return process_.load(); },
          [this](milliseconds delay) { asio::post(loop_, [this, delay] { retry_at(delay); }); },
          [this](int made_ready, bool done) {
            made_ready_ += made_ready;
            // One notification for all that end while this one is on its way.
            if (done)
              asio::post(loop_, [this] {
                settle_pause_ = milliseconds(0);
                settle_done();
              });
            else if (!ends_to_tell_.exchange(true))
              asio::post(loop_, [this] { tell_soon(); });
          },
          [this] { return nodes_.load(); }};
}

Control::~Control() {
  if (thread_.joinable()) stop();
}

void Control::start() {
  metrics_.begin(database_);
  // One that is never reached is to be seen, too.
  metrics_.set(metrics::database_connected, {{"database", database_}}, 0);
  turned_ = std::chrono::steady_clock::now().time_since_epoch().count();
  asio::post(loop_, [this] { connect(); });
  every_poll();
  thread_ = std::thread([this] { loop_.run(); });
}

void Control::resize(int general, int reorg) {
  asio::post(loop_, [this, general, reorg] {
    general_most_ = general;
    reorg_most_ = reorg;
    guarded([this] { read_settings(); });
    // There may be room now for what is ready.
    look_for_work("settings");
  });
}

std::string Control::not_ready() const {
  return connected_ ? "" : "database " + database_ + ": not connected";
}

std::string Control::not_alive() const {
  const auto turned =
      std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(turned_.load()));
  const auto silent = std::chrono::steady_clock::now() - turned;
  if (silent < kSilentMost + 4 * settings_.poll) return {};
  return "database " + database_ + ": its loop has not turned for " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(silent).count()) + " s";
}

void Control::stop() {
  general_.stop();
  reorg_.stop();
  const auto limit = std::chrono::steady_clock::now() + settings_.shutdown;
  const auto left = [&] {
    return std::chrono::duration_cast<milliseconds>(limit - std::chrono::steady_clock::now());
  };
  if (!general_.wait_until_ended(left()) || !reorg_.wait_until_ended(left())) {
    log::warning("shutdown limit reached, stopping what runs", {{"database", database_}});
    asio::post(loop_, [this] {
      guarded([this] {
        for (Pool* pool : {&general_, &reorg_})
          for (const auto& [job, pid] : pool->running())
            session_->run(sql::workers_cancel_backend, pg::Params::of(pid));
      });
    });
    general_.wait_until_ended(milliseconds(5000));
    reorg_.wait_until_ended(milliseconds(5000));
  }
  // What ended last is still to be told.
  asio::post(loop_, [this] {
    tell_ended();
    guarded([this] { session_->run(sql::workers_leave, pg::Params::of(process_.load())); });
    loop_.stop();
  });
  if (thread_.joinable()) thread_.join();
  socket_.reset();
  session_.reset();
}

// Runs `work` if there is a session; a failure costs the session, never the loop.
template <typename Work>
void Control::guarded(Work&& work) {
  if (!session_) return;
  try {
    work();
    // Notifications come in with the answers of queries too; the socket would not tell of them.
    if (session_) handle_notifications();
  } catch (const Error& error) {
    if (session_->broken())
      lost(error);
    else
      log::warning("control statement failed",
                   {{"database", database_}, {"query", error.query()}, {"reason", error.what()}});
  } catch (const std::exception& error) {
    log::error("control failed", {{"database", database_}, {"reason", error.what()}});
  }
}

void Control::connect() {
  try {
    auto session = std::make_unique<pg::Session>(dsn_, "lockkeeper control", 5000, &observer_);
    session->require_direct();
    pg::require_schema(*session);
    // Its own writes are hints and signs of life: none is worth a flush.
    // No compiler: it takes longer than any of its queries. By an index, whatever was there when
    // they were planned.
    session->script("SET synchronous_commit = off; SET jit = off; SET enable_seqscan = off");
    for (const char* channel : {jobs::kReadyChannel, jobs::kCancelChannel, versions::kAckChannel})
      session->listen(channel);
    // The descriptor is Asio's own copy: closing it must not close the session's.
    socket_ = std::make_unique<asio::posix::stream_descriptor>(loop_, ::dup(session->socket()));
    // Who may not even say that he lives is no worker.
    say_alive(*session);
    session_ = std::move(session);
  } catch (const std::exception& error) {
    const auto delay = settings_.connect_backoff.after(++failures_, random_unit());
    log::warning("cannot serve database", {{"database", database_},
                                           {"reason", error.what()},
                                           {"delay_ms", std::to_string(delay.count())}});
    connect_timer_.expires_after(delay);
    connect_timer_.async_wait([this](const auto& failed) {
      if (!failed) connect();
    });
    return;
  }
  failures_ = 0;
  connected_ = true;
  metrics_.set(metrics::database_connected, {{"database", database_}}, 1);
  log::info("serving database", {{"database", database_}, {"worker", settings_.name}});
  listen_for_more();
  beat_later();
  guarded([this] { read_settings(); });
  // Whatever was notified while nobody listened is in the tables.
  look_for_work("connect");
  guarded([this] { look_for_retries(); });
  stop_wanted();
  settle_done();
}

// A migration came that this binary cannot live with: what runs is ended, nothing is begun.
bool Control::left_behind() {
  try {
    pg::require_schema(*session_);
    return false;
  } catch (const InputError& error) {
    general_.resize(0);
    reorg_.resize(0);
    lost(Error(Retry::new_session, error.what()));
    return true;
  }
}

void Control::read_settings() {
  if (left_behind()) return;
  const auto known = jobs::settings(*session_);
  const auto number = [&](const char* name, int fallback) {
    const auto found = known.find(name);
    return found == known.end() ? fallback : std::stoi(found->second);
  };
  general_.resize(number("general_workers", general_most_));
  const int half = std::max(2, static_cast<int>(std::thread::hardware_concurrency()) / 2);
  reorg_.resize(number("reorg_workers", reorg_most_ > 0 ? reorg_most_ : half));
}

void Control::call(const std::string& pool, int jobs) {
  if (jobs > 0) (pool == jobs::kReorg ? reorg_ : general_).call(jobs);
}

// Wakes as many workers as there are jobs for them; from now on lost workers are looked for too.
void Control::look_for_work(const char* by) {
  guarded([this, by] {
    const auto ready = jobs::ready_pools(*session_);
    for (const auto& [pool, count] : ready) {
      if (count > 0) metrics_.count(metrics::wakes_total, {{"database", database_}, {"by", by}});
      call(pool, count);
    }
    if (!watching_) watch_claims();
  });
}

// In the same session as the jobs' queue, so that its death is ours: a process that cannot say that
// it lives has its claims taken when the lease is over.
void Control::say_alive(pg::Session& session) {
  const auto known = process_.load();
  process_ = jobs::heartbeat(session, known, settings_.name, settings_.lease);
  if (known != 0 && process_ != known)
    log::warning("lease was over and forgotten", {{"database", database_}});
}

void Control::beat_later() {
  beat_timer_.expires_after(settings_.lease / 3);
  beat_timer_.async_wait([this](const auto& failed) {
    if (failed || !session_) return;
    guarded([this] { say_alive(*session_); });
    if (session_) beat_later();
  });
}

// A notification takes a lock of the whole server at its commit: a hundred a second, no more,
// however many jobs end; the first after a quiet moment goes out at once.
void Control::tell_soon() {
  const auto next = last_told_ + milliseconds(10);
  if (std::chrono::steady_clock::now() >= next) return tell_ended();
  tell_timer_.expires_at(next);
  tell_timer_.async_wait([this](const auto& failed) {
    if (!failed) tell_ended();
  });
}

// Jobs whose work is done end when the last node has acknowledged them; whoever hears of it first
// ends them. While some wait it is looked at again and again, too: a node may have died.
void Control::settle_done() {
  guarded([this] {
    auto waiting = jobs::any_done(*session_);
    nodes_ = waiting.nodes;
    if (!waiting.some) return settle_timer_.cancel(), void();
    constexpr int kMost = 64;
    bool some = false;
    for (bool more = true; more;) {
      const auto ended = jobs::finish_done(*session_, kMost);
      for (const auto& job : ended) {
        for (const auto seconds : job.acks)
          metrics_.observe(metrics::node_ack_seconds, {{"database", database_}}, seconds);
        log::info("job ended", {{"job", job.id.str()}, {"state", "synced"}});
      }
      some |= !ended.empty();
      more = ended.size() == kMost;
    }
    settle_pause_ =
        some ? milliseconds(0) : std::min(2 * settle_pause_ + milliseconds(20), milliseconds(1000));
    // Who is quick to answer is not asked whether it lives.
    if (!some && settle_pause_ > milliseconds(20)) bury_nodes();
    if (some) look_for_work("chain");
    settle_timer_.expires_after(std::max(settle_pause_, milliseconds(20)));
    settle_timer_.async_wait([this](const auto& failed) {
      if (!failed) settle_done();
    });
  });
}

void Control::bury_nodes() {
  for (const auto& node : versions::bury_nodes(*session_)) {
    metrics_.count(metrics::nodes_buried_total, {{"database", database_}});
    log::warning("node does not live any more", {{"node", node.name}, {"reason", node.why}});
  }
}

void Control::tell_ended() {
  last_told_ = std::chrono::steady_clock::now();
  ends_to_tell_ = false;
  const int made_ready = made_ready_.exchange(0);
  guarded([this, made_ready] {
    session_->run(sql::workers_notify, pg::Params::of(jobs::kEndedChannel, ""));
    if (made_ready > 0) session_->run(sql::workers_notify, pg::Params::of(jobs::kReadyChannel, ""));
  });
  if (made_ready > 0) look_for_work("chain");
}

void Control::lost(const Error& error) {
  log::warning("control session lost", {{"database", database_}, {"reason", error.what()}});
  connected_ = false;
  metrics_.set(metrics::database_connected, {{"database", database_}}, 0);
  metrics_.count(metrics::connections_lost_total, {{"database", database_}});
  // What was read last is not true for ever.
  reporter_.forget();
  socket_.reset();
  session_.reset();
  connect_timer_.expires_after(settings_.connect_backoff.after(1, random_unit()));
  connect_timer_.async_wait([this](const auto& failed) {
    if (!failed && !session_) connect();
  });
}

void Control::listen_for_more() {
  socket_->async_wait(asio::posix::stream_descriptor::wait_read, [this](const auto& failed) {
    if (failed) return;
    guarded([] {});
    if (socket_) listen_for_more();
  });
}

void Control::handle_notifications() {
  bool ready = false;
  bool stop = false;
  bool changed = false;
  bool acknowledged = false;
  for (const auto& notification : session_->take_notifications()) {
    if (notification.backend_pid == session_->backend_pid()) continue;
    metrics_.count(metrics::notifications_total,
                   {{"database", database_}, {"channel", notification.channel}});
    stop |= notification.channel == jobs::kCancelChannel;
    acknowledged |= notification.channel == versions::kAckChannel;
    if (notification.channel != jobs::kReadyChannel) continue;
    ready = true;
    changed |= notification.payload == "settings";
    // At once, before the tables are asked how many more there are.
    if (!notification.payload.empty() && !changed) call(notification.payload, 1);
  }
  if (changed) guarded([this] { read_settings(); });
  if (ready) look_for_work("notification");
  if (stop) stop_wanted();
  if (!acknowledged) return;
  settle_done();
  guarded([this] {
    for (const auto& pool : versions::wake_synced(*session_)) call(pool, 1);
  });
}

void Control::every_poll() {
  poll_timer_.expires_after(settings_.poll);
  poll_timer_.async_wait([this](const auto& failed) {
    if (failed) return;
    turned_ = std::chrono::steady_clock::now().time_since_epoch().count();
    look_for_work("poll");
    guarded([this] { look_for_retries(); });
    stop_wanted();
    settle_done();
    keep_house();
    every_poll();
  });
}

void Control::keep_house() {
  const auto now = std::chrono::steady_clock::now();
  guarded([this] { read_settings(); });
  guarded([this] {
    const auto late = jobs::cancel_late(*session_);
    for (const auto& job : late)
      log::warning("deadline has passed", {{"job", job.id.str()}, {"state", job.state}});
    if (!late.empty()) stop_wanted();
  });
  if (now >= next_report_) {
    guarded([this] { reporter_.report(*session_); });
    // Counting a very long queue takes time: a fiftieth of it at most.
    next_report_ = std::chrono::steady_clock::now() + 50 * (std::chrono::steady_clock::now() - now);
  }
  guarded([this] {
    pg::Transaction tx(*session_, "BEGIN; SET LOCAL lock_timeout = '50ms'");
    try {
      jobs::raise_floor(*session_);
      tx.commit();
    } catch (const Error& error) {
      // Somebody submits all the time: the next round will do.
      if (error.sqlstate() != "55P03") throw;
    }
  });
  if (now < next_purge_) return;
  next_purge_ = now + std::chrono::seconds(60);
  guarded([this] {
    constexpr int kBatch = 2000;
    for (int i = 0; i < 50 && jobs::purge_history(*session_, kBatch) == kBatch; ++i) {
    }
    for (int i = 0; i < 50 && jobs::purge_diffs(*session_, kBatch) == kBatch; ++i) {
    }
    bury_nodes();
    for (const auto& item : trash::purge(*session_))
      log::write(item.problem.empty() ? log::Level::info : log::Level::warning,
                 item.problem.empty() ? "table purged" : "table could not be purged",
                 {{"database", database_}, {"table", item.name}, {"reason", item.problem}});
  });
}

void Control::watch_claims() {
  watching_ = true;
  liveness_timer_.expires_after(settings_.liveness);
  liveness_timer_.async_wait([this](const auto& failed) {
    watching_ = false;
    if (failed) return;
    guarded([this] {
      // Claimed behind a job that turned out to be slow: others are to have them.
      for (Pool* pool : {&general_, &reorg_})
        for (const auto& job : pool->take_back(settings_.liveness / 2))
          jobs::hand_back(*session_, job.claim, milliseconds(0), false, std::nullopt);
      for (const auto& silent : jobs::end_silent(*session_))
        log::warning("worker is silent beyond its lease, its session is ended",
                     {{"job", silent.job.str()}, {"worker", silent.worker}});
      const auto reclaimed = jobs::reclaim_lost(*session_, settings_.crashes_most);
      for (const auto& job : reclaimed) {
        log::warning("job taken from a lost worker",
                     {{"job", job.job.str()}, {"worker", job.worker}, {"state", job.state}});
        metrics_.count(metrics::jobs_reclaimed_total, {{"database", database_}});
      }
      if (!jobs::any_claims(*session_) && reclaimed.empty()) return;
      // While anything runs this is a net, too: of what became ready without a word.
      look_for_work(reclaimed.empty() ? "watch" : "reclaim");
      stop_wanted();
    });
  });
}

void Control::retry_at(milliseconds delay) {
  const auto due = std::chrono::steady_clock::now() + delay;
  if (retry_due_ && *retry_due_ <= due) return;
  retry_due_ = due;
  retry_timer_.expires_at(due + milliseconds(1));
  retry_timer_.async_wait([this](const auto& failed) {
    if (failed) return;
    retry_due_.reset();
    look_for_work("retry");
    guarded([this] { look_for_retries(); });
  });
}

void Control::look_for_retries() {
  if (const auto due = jobs::next_retry(*session_)) retry_at(std::max(*due, milliseconds(5)));
}

void Control::stop_wanted() {
  guarded([this] {
    auto running = general_.running();
    running.merge(reorg_.running());
    const auto now = std::chrono::steady_clock::now();
    std::map<JobId, std::chrono::steady_clock::time_point> told;
    for (const auto& wanted : jobs::stopping(*session_)) {
      const auto found = running.find(wanted);
      if (found == running.end()) continue;
      // Once; again only when that seems to have come between two statements.
      const auto before = stop_told_.find(wanted);
      if (before != stop_told_.end() && now < before->second + std::chrono::seconds(1)) {
        told.insert(*before);
        continue;
      }
      told[wanted] = now;
      log::info("job stopped on request", {{"job", wanted.str()}, {"state", "cancelling"}});
      session_->run(sql::workers_cancel_backend, pg::Params::of(found->second));
    }
    stop_told_ = std::move(told);
  });
}

}  // namespace lockkeeper::workers
