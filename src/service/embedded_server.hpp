#pragma once
// A throw-away PostgreSQL cluster of our own: from the installed binaries, on a unix socket, gone
// with its directory when the object, or the whole process (also by kill -9), is gone: a guard
// process sees its life line end. As root, the server runs as user postgres. One thread.

#include <memory>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "pg/dsn.hpp"

namespace lockkeeper::service {

struct ServerOptions {
  std::string binaries;               ///< directory of postgres; empty: LOCKKEEPER_PG_BIN, or found
  bool durable = false;               ///< fsync on, for measurements
  std::vector<std::string> settings;  ///< name=value
  std::string follows;  ///< socket directory of another one: a streaming standby of it
};

class EmbeddedServer {
 public:
  /// Makes the cluster and starts it; returns when it takes connections. Throws Error, saying what
  /// is missing.
  explicit EmbeddedServer(const ServerOptions& options = {});
  ~EmbeddedServer();
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  [[nodiscard]] pg::Dsn dsn(const std::string& database = "postgres") const;
  /// Directory of the unix socket (port 5432).
  [[nodiscard]] const std::string& socket_directory() const { return directory_; }
  [[nodiscard]] const std::string& binaries() const { return binaries_; }
  /// Stops the server at once, as a crash would.
  void crash();
  void crash_and_restart();
  /// Makes a standby the server that takes writes; returns when it does.
  void promote();
  /// Stops it in order ("fast"), without starting it again.
  void stop();
  void start();

 private:
  [[nodiscard]] std::vector<std::string> as_owner(std::vector<std::string> argv) const;
  std::string binaries_;
  std::string directory_;
  std::string server_options_;
  std::unique_ptr<ChildProcess> guard_;
};

}  // namespace lockkeeper::service
