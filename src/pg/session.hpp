#pragma once
// One backend, used by one thread at a time. The first connection failure breaks the session for
// good: libpqxx 6.4 would silently reconnect without our locks and settings. Destroying it frees
// every lock, because the server sees the socket close. Only file that knows which libpqxx it is:
// session.cpp.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pg/dsn.hpp"
#include "pg/rows.hpp"

namespace lockkeeper::pg {

struct Notification {
  std::string channel;
  std::string payload;
  int backend_pid = 0;  ///< of the session that sent it
};

/// Sees every named query that a session runs; `sqlstate` is empty on success. Called on the
/// session's thread. (userver: counting by scope, at one place.)
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void query_done(std::string_view name, double seconds, const std::string& sqlstate) = 0;
};

class Session final {
 public:
  /// Connects, or throws Error(new_session). Standard strings, UTF-8, no statement timeout; a
  /// lock_timeout of `lock_timeout_ms` is set as the session's own default, so it is never off.
  /// Behind a pooler (the server's process is not the one that the connection was told of) nothing
  /// is left in the session: no setting, no prepared query; each statement is a transaction that
  /// begins with the settings, unless it is in one.
  Session(const Dsn& dsn, const std::string& application_name, int lock_timeout_ms = 1000,
          Observer* observer = nullptr);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Runs a query of sql/, prepared once a session. Throws Error.
  Rows run(const Query& query, const Params& params = {});
  /// Runs exactly one statement (extended protocol: the server itself refuses a second one).
  /// Parameters only where the statement has $n. Throws Error with position in `sql`.
  Rows statement(const std::string& sql, const Params& params = {});
  /// Runs text of our own making, any number of statements (simple protocol). Throws Error.
  Rows script(const std::string& sql);
  /// Asks the server to parse, but not run, `sql` (protocol-level Parse). Throws Error; also behind
  /// a pooler (08P01), where what was prepared may be left in a session.
  void check_syntax(const std::string& sql);

  /// True behind PgBouncer and its like: each transaction may have another backend.
  [[nodiscard]] bool pooled() const;
  /// Throws Error (08P01) behind a pooler: for what lives as long as its session.
  void require_direct() const;
  /// What each transaction behind a pooler begins with: ";SET LOCAL …".
  [[nodiscard]] const std::string& local_settings() const;

  /// Throws Error (08P01) behind a pooler, where none would come.
  void listen(const std::string& channel);
  /// Readable when notifications may have come; -1 when the session is broken.
  [[nodiscard]] int socket() const;
  /// What has come, without waiting. Throws Error(new_session) when the connection is gone.
  std::vector<Notification> take_notifications();

  /// Waits until something may have come, `most` at the longest; false: nothing did.
  bool wait_for_notification(std::chrono::milliseconds most) const;

  [[nodiscard]] bool broken() const;
  /// Marks the session as not to be used again (state of unknown kind was left in it).
  void poison();
  [[nodiscard]] int backend_pid() const;
  /// As server_version_num: 150018.
  [[nodiscard]] int server_version() const;

 private:
  friend class Transaction;
  void in_transaction(bool is);
  Rows alone(std::string_view name, const std::string& sql, const Params& params);
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// BEGIN … COMMIT; rolls back when destroyed before commit(). `commit` alone can throw
/// Error(outcome_unknown): the connection went while the answer was awaited (promise 11).
class Transaction final {
 public:
  /// `begin` may carry further commands of our own, sent in the same round trip.
  explicit Transaction(Session& session, const std::string& begin = "BEGIN");
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();
  /// Runs `last`, commands of our own, and commits, in one message: the server needs no word from
  /// us in between. An error of `last` rolls back and is thrown.
  void commit(const std::string& last);
  void rollback();

 private:
  Session& session_;
  bool open_ = true;
};

/// Runs a whole transaction in one message: `begin` (BEGIN and more), `statement`, which is
/// somebody else's and of one piece, and `last`; then commits. Throws as Transaction does; an error
/// of `statement` has its position in `statement`.
void run_at_once(Session& session, const std::string& begin, const std::string& statement,
                 const std::string& last);

}  // namespace lockkeeper::pg
