#pragma once
// A connection string as libpq takes it: URI or key=value, completed from PG* variables, service
// file and .pgpass by libpq itself (PostgreSQL manual 34.1.1). Values; any thread.

#include <map>
#include <set>
#include <string>

namespace lockkeeper::pg {

class Dsn {
 public:
  Dsn() = default;
  /// Parses `text`; throws InputError with libpq's words when it is not one.
  explicit Dsn(const std::string& text);

  /// This DSN with `key` set, unless it is set already.
  [[nodiscard]] Dsn with_default(const std::string& key, const std::string& value) const;
  [[nodiscard]] Dsn with(const std::string& key, const std::string& value) const;
  /// Value of `key`, or empty.
  [[nodiscard]] std::string value(const std::string& key) const;

  /// As key=value text for libpq. Holds the password if the input did.
  [[nodiscard]] std::string conninfo() const;
  /// The same without password, for logs and messages.
  [[nodiscard]] std::string redacted() const;

 private:
  std::map<std::string, std::string> values_;
  std::set<std::string> secret_ = {"password"};  ///< keys that libpq would not show
};

/// True: a server is there and takes connections, whether it would take this one or not (PostgreSQL
/// manual 34.1.1, PQping). Waits for it no longer than a connection does.
bool answers(const Dsn& dsn);

}  // namespace lockkeeper::pg
