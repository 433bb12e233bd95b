#pragma once
// The side of a node: a process of the application that caches the schema. TiDB's schema syncer
// (pkg/ddl/schemaver/syncer.go) on tables and LISTEN/NOTIFY: what a notification says is a hint,
// the tables are the truth. Each function is one call of a function of the lockkeeper schema, so
// that a node in any language can do the same. Built upon by client::Node, which has the loop.
//
// Uses the caller's session, on its thread. The node lives as long as that session, and as long as
// it says so within each lease (the server's clock).

#include <chrono>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "pg/session.hpp"

namespace lockkeeper::versions {

/// A version of the schema was made; payload: its number, as a hint.
inline constexpr const char* kVersionChannel = "lockkeeper_version";
/// A node has acknowledged something.
inline constexpr const char* kAckChannel = "lockkeeper_ack";

struct Affected {
  std::string old_name;      ///< as in a footprint: relation:app.orders; empty: it was made
  std::string new_name;      ///< empty: it was dropped
  std::int64_t old_oid = 0;  ///< 0: not a relation, or there was none
  std::int64_t new_oid = 0;
};

/// What one version changed.
struct SchemaDiff {
  std::int64_t version = 0;
  JobId job;
  std::string action;
  std::string state_from;  ///< schema state, as lockkeeper.schema_state spells it
  std::string state_to;
  std::vector<Affected> affected;

  /// Does it change this relation ("app.orders", quoted as PostgreSQL quotes), its schema, or
  /// something that cannot be told (a job that took the whole database)?
  [[nodiscard]] bool touches(const std::string& relation) const;
};

/// A job that waits until the node has acknowledged a version.
struct Pending {
  JobId job;
  std::int64_t version = 0;
  std::vector<std::string> objects;

  [[nodiscard]] bool touches(const std::string& relation) const;
};

/// SQLSTATE of Error when the node is fenced: its lease was over, or its session was gone for too
/// long. It must trust nothing it has cached, and call init() again.
inline constexpr const char* kFenced = "LK010";
/// SQLSTATE of Error when what changed is not remembered any more: everything must be loaded.
inline constexpr const char* kTooOld = "LK011";

class Syncer {
 public:
  /// Listens at once, so that nothing between init() and the first look is missed.
  explicit Syncer(pg::Session& session);

  /// Registers a node. Gives the version from which on it is told of every change; load the schema
  /// after it, and say so with update_self_version: until then the node holds up everybody. `name`
  /// is for people, several nodes may share it.
  std::int64_t init(const std::string& name, std::chrono::milliseconds lease);
  /// After a reconnect: goes on as node `node`, if its grace is not over. Gives the database's
  /// version. Throws Error: kFenced; 55P03, its old session is still there.
  std::int64_t restart(std::int64_t node);
  /// Lives for one lease more. Gives the version of the database. Throws Error (kFenced).
  std::int64_t heartbeat();
  /// The node has loaded all up to `version`: gives what it may acknowledge then, as soon as none
  /// of its transactions uses an older version of one of the objects. `is_free`: none does, so that
  /// all of it is acknowledged with this. Throws Error (kFenced).
  std::vector<Pending> update_self_version(std::int64_t version, bool is_free = false);
  void acknowledge(const std::vector<Pending>& waits);
  /// Says goodbye: nobody waits for the node any more.
  void remove_self();
  /// The version of the database; whatever it contains is committed.
  std::int64_t must_get_global_version();
  /// What changed after `version`, in order, without a gap. Throws Error (kTooOld).
  std::vector<SchemaDiff> changes_since(std::int64_t version);

  /// 0: not registered.
  [[nodiscard]] std::int64_t node() const { return node_; }

 private:
  pg::Session& session_;
  std::int64_t node_ = 0;
};

}  // namespace lockkeeper::versions
