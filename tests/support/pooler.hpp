#pragma once
// A PgBouncer of Debian's in transaction mode before the server of the tests; ends with the object,
// or with the thread that made it.

#include <memory>
#include <string>

#include "base/child_process.hpp"
#include "pg/dsn.hpp"
#include "support/testbed.hpp"

namespace lockkeeper::test {

class Pooler {
 public:
  /// `sessions`: how many it has to the server, for all that connect to it as `user`. Throws Error
  /// when it does not start.
  Pooler(const pg::Dsn& server, const std::string& user, int sessions);
  /// The same database, through it.
  [[nodiscard]] pg::Dsn dsn() const { return through_; }
  /// False: there is none on this machine (scripts/test fetches it).
  static bool is_there();

 private:
  TemporaryDirectory directory_;
  pg::Dsn through_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace lockkeeper::test
