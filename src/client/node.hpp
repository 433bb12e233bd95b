#pragma once
// A process of the application that caches the schema (columns of tables, prepared statements,
// models). It is told of every change in order, and no job takes its next step before this node,
// and every transaction that it has pinned to an older version, has left the version before
// (promise 5). The protocol is that of versions::Syncer; this class has the loop: one session,
// notifications, the heartbeat, reconnects.
//
// Callbacks run on the loop's thread, one at a time; they must be much shorter than the lease,
// because no heartbeat goes out meanwhile, and must not destroy the node. pin(), version() and
// trusted(): any thread. A crash needs no care: when the connection is gone, or the lease is over,
// nobody waits any more.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pg/dsn.hpp"
#include "versions/syncer.hpp"

namespace boost::asio {
class io_context;
}

namespace lockkeeper::client {

struct NodeOptions {
  std::string name;                        ///< for people; several nodes may have the same
  std::chrono::milliseconds lease{45000};  ///< a heartbeat goes out at a third of it
  /// The node has joined, or joined anew: load everything that is cached, with a session of your
  /// own. What changes while you do comes as on_change afterwards.
  std::function<void(std::int64_t version)> on_load;
  /// What changed, in order. Read the affected tables anew; when this returns, the node says that
  /// it has left the version before. If it throws, everything is loaded again.
  std::function<void(const std::vector<versions::SchemaDiff>&)> on_change;
  /// Trust nothing that is cached until it is said otherwise: the connection is lost or cannot be
  /// made, or the node is fenced. It goes on trying; then either on_change comes for what was
  /// missed, or on_load.
  std::function<void(const std::string& why)> on_lost;
};

class Node {
 public:
  /// With a thread of its own. Returns at once; on_load is called when it has joined. Throws Error
  /// (22023) for options that no node can have.
  Node(const pg::Dsn& dsn, NodeOptions options);
  /// On the caller's loop, which one thread runs. Queries on it are short, and block it.
  Node(boost::asio::io_context& loop, const pg::Dsn& dsn, NodeOptions options);
  /// Says goodbye. With the caller's loop: on its thread, or when it does not run any more.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// While it lives, the node does not acknowledge newer versions of the relation that it was made
  /// for. Hold it for the time of a transaction that relies on the cache. May outlive the node.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept;
    Pin& operator=(Pin&& other) noexcept;
    ~Pin();
    /// The version that is relied on.
    [[nodiscard]] std::int64_t version() const { return version_; }

   private:
    friend class Node;
    std::shared_ptr<void> release_;
    std::int64_t version_ = 0;
  };

  /// `relation` as PostgreSQL quotes it, with its schema: app.orders. Take it before you read the
  /// cache. Throws Error (versions::kFenced) while the cache is not to be trusted.
  [[nodiscard]] Pin pin(const std::string& relation);

  /// Up to which the node has been told of everything.
  [[nodiscard]] std::int64_t version() const;
  /// Whether the cache may be used: the node has joined, and its lease, by this machine's clock, is
  /// not over.
  [[nodiscard]] bool trusted() const;

 private:
  class Impl;
  class OwnLoop;
  std::shared_ptr<OwnLoop> own_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace lockkeeper::client
