#include "workers/control.hpp"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cstring>

#include "base/log.hpp"
#include "jobs/queue.hpp"
#include "pg/migrator.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::workers {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

std::string label_of(const pg::Dsn& dsn) {
  auto name = dsn.value("dbname");
  if (!name.empty()) return name;
  const char* from_environment = std::getenv("PGDATABASE");
  return from_environment != nullptr ? from_environment : "default";
}

}  // namespace

Control::Control(const pg::Dsn& dsn, const config::WorkSettings& settings,
                 metrics::Registry& metrics, pg::Observer& observer)
    : dsn_(dsn),
      database_(label_of(dsn)),
      settings_(settings),
      metrics_(metrics),
      observer_(observer),
      connect_timer_(loop_),
      poll_timer_(loop_),
      liveness_timer_(loop_),
      retry_timer_(loop_),
      pool_(dsn, database_, settings, metrics, observer,
            [this](milliseconds delay) { asio::post(loop_, [this, delay] { retry_at(delay); }); }) {
}

Control::~Control() {
  if (thread_.joinable()) stop();
}

void Control::start() {
  pool_.start();
  asio::post(loop_, [this] { connect(); });
  every_poll();
  every_liveness();
  thread_ = std::thread([this] { loop_.run(); });
}

void Control::stop() {
  pool_.stop();
  if (!pool_.wait_until_ended(settings_.shutdown)) {
    log::warning("shutdown limit reached, stopping what runs", {{"database", database_}});
    asio::post(loop_, [this] {
      guarded([this] {
        for (const auto& [job, pid] : pool_.running())
          session_->run(sql::workers_cancel_backend, pg::Params::of(pid));
      });
    });
    pool_.wait_until_ended(milliseconds(5000));
  }
  loop_.stop();
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
    pg::require_schema(*session);
    for (const char* channel : {jobs::kReadyChannel, jobs::kCancelChannel})
      session->listen(channel);
    // The descriptor is Asio's own copy: closing it must not close the session's.
    socket_ = std::make_unique<asio::posix::stream_descriptor>(loop_, ::dup(session->socket()));
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
  metrics_.connected(database_, true);
  log::info("serving database", {{"database", database_}, {"worker", settings_.name}});
  listen_for_more();
  // Whatever was notified while nobody listened is in the tables.
  metrics_.woken(database_, "connect");
  pool_.wake();
  stop_cancelled();
}

void Control::lost(const Error& error) {
  log::warning("control session lost", {{"database", database_}, {"reason", error.what()}});
  metrics_.connected(database_, false);
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
  bool cancel = false;
  for (const auto& notification : session_->take_notifications()) {
    ready |= notification.channel == jobs::kReadyChannel;
    cancel |= notification.channel == jobs::kCancelChannel;
  }
  if (ready) {
    metrics_.woken(database_, "notification");
    pool_.wake();
  }
  if (cancel) stop_cancelled();
}

void Control::every_poll() {
  poll_timer_.expires_after(settings_.poll);
  poll_timer_.async_wait([this](const auto& failed) {
    if (failed) return;
    metrics_.woken(database_, "poll");
    pool_.wake();
    stop_cancelled();
    guarded([this] { look_for_retries(); });
    report_queue();
    every_poll();
  });
}

void Control::every_liveness() {
  liveness_timer_.expires_after(settings_.liveness);
  liveness_timer_.async_wait([this](const auto& failed) {
    if (failed) return;
    guarded([this] {
      for (const auto& reclaimed : jobs::reclaim_lost(*session_)) {
        log::warning("job taken from a lost worker",
                     {{"job", reclaimed.job.str()}, {"worker", reclaimed.worker}});
        metrics_.job_reclaimed(database_);
        pool_.wake();
      }
    });
    every_liveness();
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
    metrics_.woken(database_, "retry");
    pool_.wake();
    guarded([this] { look_for_retries(); });
  });
}

void Control::look_for_retries() {
  if (const auto due = jobs::next_retry(*session_)) retry_at(std::max(*due, milliseconds(5)));
}

void Control::stop_cancelled() {
  guarded([this] {
    const auto running = pool_.running();
    if (running.empty()) return;
    for (const auto& wanted : jobs::cancelling(*session_)) {
      const auto found = running.find(wanted.job);
      if (found == running.end()) continue;
      log::info("job stopped on request", {{"job", wanted.job.str()}, {"state", "cancelling"}});
      session_->run(sql::workers_cancel_backend, pg::Params::of(found->second));
    }
  });
}

void Control::report_queue() {
  guarded([this] {
    std::vector<metrics::QueueGauge> gauges;
    for (const auto row : session_->run(sql::workers_metrics))
      gauges.push_back(
          {row.text("state"), row.text("action"), row.real("jobs"), row.real("oldest_seconds")});
    metrics_.queue(database_, gauges);
  });
}

}  // namespace lockkeeper::workers
