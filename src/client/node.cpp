#include "client/node.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "pg/session.hpp"

namespace lockkeeper::client {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Pinned {
  std::string relation;
  std::int64_t version = 0;
};

}  // namespace

// A loop with a thread, as long as the node.
class Node::OwnLoop {
 public:
  OwnLoop() : work_(loop.get_executor()), thread_([this] { loop.run(); }) {}
  ~OwnLoop() { stop(); }
  void stop() {
    work_.reset();
    loop.stop();
    if (thread_.joinable()) thread_.join();
  }
  OwnLoop(const OwnLoop&) = delete;
  OwnLoop& operator=(const OwnLoop&) = delete;
  // Initialised before the thread that runs it.
  asio::io_context loop;  // NOLINT(misc-non-private-member-variables-in-classes)

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

class Node::Impl : public std::enable_shared_from_this<Node::Impl> {
 public:
  Impl(asio::io_context& loop, std::shared_ptr<void> keeps, pg::Dsn dsn, NodeOptions options)
      : keeps_(std::move(keeps)),
        loop_(loop),
        dsn_(std::move(dsn)),
        options_(std::move(options)),
        connect_timer_(loop),
        beat_timer_(loop) {
    if (options_.name.empty() || options_.lease < std::chrono::seconds(1))
      throw Error(Retry::never, "a node has a name, and a lease of a second or more", "22023");
  }

  void start() {
    // Weak: what is left in a loop of our own must not keep it.
    asio::post(loop_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->connect();
    });
  }

  // On the loop's thread, or when it does not run.
  void close() {
    closed_ = true;
    connect_timer_.cancel();
    beat_timer_.cancel();
    socket_.reset();
    say_goodbye();
    syncer_.reset();
    session_.reset();
    const std::lock_guard lock(mutex_);
    joined_ = false;
  }

  Pin pin(const std::string& relation) {
    const std::lock_guard lock(mutex_);
    if (!joined_ || Clock::now() >= lease_end_)
      throw Error(Retry::same_session,
                  "the schema cache of node " + options_.name + " is not to be trusted now",
                  versions::kFenced);
    const auto place = pins_.insert(pins_.end(), {relation, version_});
    Pin pin;
    pin.version_ = version_;
    pin.release_ = std::shared_ptr<void>(nullptr, [weak = weak_from_this(), place](void*) {
      if (const auto self = weak.lock()) self->unpin(place);
    });
    return pin;
  }

  std::int64_t version() const {
    const std::lock_guard lock(mutex_);
    return version_;
  }

  bool trusted() const {
    const std::lock_guard lock(mutex_);
    return joined_ && Clock::now() < lease_end_;
  }

 private:
  void say_goodbye() {
    if (!session_ || session_->broken() || !syncer_ || syncer_->node() == 0) return;
    try {
      syncer_->remove_self();
    } catch (const Error&) {  // Its connection goes anyway, and says the same.
    }
  }

  void unpin(std::list<Pinned>::iterator place) {
    bool waited_for = false;
    {
      const std::lock_guard lock(mutex_);
      waited_for = held_back_;
      pins_.erase(place);
    }
    if (waited_for)
      asio::post(loop_, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (self) self->guarded([&] { self->acknowledge(); });
      });
  }

  // Runs `work` if there is a session. Whatever fails, nothing cached is trusted afterwards.
  template <typename Work>
  void guarded(Work&& work) {
    if (closed_ || !session_) return;
    try {
      work();
      listen_for_more();
    } catch (const Error& error) {
      if (error.sqlstate() == versions::kFenced && !session_->broken())
        join_anew(error.what());
      else
        lost(error.what());
    } catch (const std::exception& error) {
      join_anew(error.what());
    }
  }

  void connect() {
    if (closed_) return;
    try {
      session_ = std::make_unique<pg::Session>(dsn_, "lockkeeper node " + options_.name);
      session_->require_direct();
      // What a crash of the server undoes of it, the node says again when it is back.
      session_->script("SET synchronous_commit = off; SET statement_timeout = " +
                       std::to_string(options_.lease.count() / 3));
      syncer_ = std::make_unique<versions::Syncer>(*session_);
      socket_.emplace(loop_, ::dup(session_->socket()));
    } catch (const std::exception& error) {
      session_.reset();
      distrust(error.what());
      return again(error.what());
    }
    guarded([this] {
      if (node_ == 0 || !go_on()) join();
      failures_ = 0;
      catch_up(true);
    });
    if (session_) beat_later();
  }

  // As the node that it was before the connection was lost. False: it is fenced.
  bool go_on() {
    const auto sent = Clock::now();
    try {
      // Less than before: another server took over, without the last of the changes.
      if (syncer_->restart(node_) < version()) return false;
    } catch (const Error& error) {
      if (error.sqlstate() != versions::kFenced) throw;
      return false;
    }
    trust(version(), sent);
    return true;
  }

  void join() {
    const auto sent = Clock::now();
    const auto version = syncer_->init(options_.name, options_.lease);
    node_ = syncer_->node();
    if (options_.on_load) options_.on_load(version);
    said_.clear();
    trust(version, sent);
  }

  void join_anew(const std::string& why) {
    distrust(why);
    node_ = 0;
    say_goodbye();
    drop_session();
    again(why);
  }

  void trust(std::int64_t version, Clock::time_point sent) {
    const std::lock_guard lock(mutex_);
    version_ = version;
    joined_ = true;
    lease_end_ = sent + options_.lease;
  }

  // What has never been trusted is said once, and again when it is for another reason.
  void distrust(const std::string& why) {
    {
      const std::lock_guard lock(mutex_);
      if (!joined_ && why == said_) return;
      joined_ = false;
    }
    said_ = why;
    if (options_.on_lost) options_.on_lost(why);
  }

  // Tells of what is new, and says that it was told. `anyway`: also when nothing is.
  void catch_up(bool anyway) {
    for (;;) {
      const auto diffs = changes();
      if (!diffs) return join_anew("what changed is not remembered any more");
      if (diffs->empty() && !anyway) return;
      if (!diffs->empty()) {
        if (options_.on_change) options_.on_change(*diffs);
        const std::lock_guard lock(mutex_);
        version_ = diffs->back().version;
      }
      anyway = false;
      pending_ = syncer_->update_self_version(version(), is_free());
      acknowledge();
    }
  }

  std::optional<std::vector<versions::SchemaDiff>> changes() {
    try {
      return syncer_->changes_since(version());
    } catch (const Error& error) {
      if (error.sqlstate() != versions::kTooOld) throw;
      return std::nullopt;
    }
  }

  // No transaction uses an older version than that of the cache; none will any more.
  bool is_free() const {
    const std::lock_guard lock(mutex_);
    return std::all_of(pins_.begin(), pins_.end(),
                       [this](const Pinned& pin) { return pin.version >= version_; });
  }

  // What no pinned transaction keeps from it.
  void acknowledge() {
    std::vector<versions::Pending> free;
    {
      const std::lock_guard lock(mutex_);
      const auto held = [&](const versions::Pending& wait) {
        return std::any_of(pins_.begin(), pins_.end(), [&](const Pinned& pin) {
          return pin.version < wait.version && wait.touches(pin.relation);
        });
      };
      const auto first_held = std::stable_partition(pending_.begin(), pending_.end(),
                                                    [&](const auto& wait) { return !held(wait); });
      free.assign(pending_.begin(), first_held);
      pending_.erase(pending_.begin(), first_held);
      held_back_ = !pending_.empty();
    }
    syncer_->acknowledge(free);  // Of nothing: it does nothing.
  }

  void beat_later() {
    beat_timer_.expires_after(options_.lease / 3);
    beat_timer_.async_wait([weak = weak_from_this()](const auto& failed) {
      const auto self = weak.lock();
      if (failed || !self || !self->session_) return;
      self->guarded([&] { self->beat(); });
      if (self->session_) self->beat_later();
    });
  }

  void beat() {
    const auto sent = Clock::now();
    const auto global = syncer_->heartbeat();
    {
      const std::lock_guard lock(mutex_);
      lease_end_ = sent + options_.lease;
      if (global == version_) return;
    }
    if (global < version()) return join_anew("the database has gone back to an earlier version");
    catch_up(false);  // Its notification was lost.
  }

  // Notifications come in with answers of queries too: all that are there are taken each time.
  void listen_for_more() {
    if (!session_ || !socket_) return;
    while (session_ && !session_->take_notifications().empty()) catch_up(false);
    if (listening_ || !session_) return;
    listening_ = true;
    socket_->async_wait(asio::posix::stream_descriptor::wait_read,
                        [weak = weak_from_this()](const auto& failed) {
                          const auto self = weak.lock();
                          if (!self) return;
                          self->listening_ = false;
                          if (!failed) self->guarded([] {});
                        });
  }

  void drop_session() {
    socket_.reset();
    listening_ = false;
    beat_timer_.cancel();
    syncer_.reset();
    session_.reset();
    pending_.clear();
  }

  void lost(const std::string& why) {
    drop_session();
    distrust(why);
    again(why);
  }

  void again(const std::string& why) {
    const auto delay = backoff_.after(++failures_, random_unit());
    // on_lost has told the application already.
    log::write(
        log::Level::debug, "node connects again",
        {{"node", options_.name}, {"reason", why}, {"delay_ms", std::to_string(delay.count())}});
    connect_timer_.expires_after(delay);
    connect_timer_.async_wait([weak = weak_from_this()](const auto& failed) {
      const auto self = weak.lock();
      if (!failed && self) self->connect();
    });
  }

  std::shared_ptr<void> keeps_;  ///< the loop, if it is our own; goes last
  asio::io_context& loop_;
  pg::Dsn dsn_;
  NodeOptions options_;
  Backoff backoff_{milliseconds(20), milliseconds(5000)};
  asio::steady_timer connect_timer_;
  asio::steady_timer beat_timer_;
  std::optional<asio::posix::stream_descriptor> socket_;
  std::unique_ptr<pg::Session> session_;
  std::unique_ptr<versions::Syncer> syncer_;
  std::vector<versions::Pending> pending_;  ///< kept back by pins
  std::int64_t node_ = 0;
  int failures_ = 0;
  std::string said_;  ///< to on_lost, last
  bool listening_ = false;
  bool closed_ = false;

  mutable std::mutex mutex_;
  // State below is protected by mutex_.
  std::list<Pinned> pins_;
  std::int64_t version_ = 0;
  bool joined_ = false;
  bool held_back_ = false;
  Clock::time_point lease_end_;
};

Node::Node(const pg::Dsn& dsn, NodeOptions options)
    : own_(std::make_shared<OwnLoop>()),
      impl_(std::make_shared<Impl>(own_->loop, own_, dsn, std::move(options))) {
  impl_->start();
}

Node::Node(asio::io_context& loop, const pg::Dsn& dsn, NodeOptions options)
    : impl_(std::make_shared<Impl>(loop, nullptr, dsn, std::move(options))) {
  impl_->start();
}

Node::~Node() {
  if (own_) own_->stop();
  impl_->close();
}

Node::Pin::Pin(Pin&& other) noexcept = default;
Node::Pin& Node::Pin::operator=(Pin&& other) noexcept = default;
Node::Pin::~Pin() = default;

Node::Pin Node::pin(const std::string& relation) { return impl_->pin(relation); }
std::int64_t Node::version() const { return impl_->version(); }
bool Node::trusted() const { return impl_->trusted(); }

}  // namespace lockkeeper::client
