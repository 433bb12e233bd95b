#pragma once
// What is wrong or missing where Lockkeeper is to work, and how to mend it: the server, the role's
// rights, the way of notifications, the queue. Changes nothing. One thread; its own sessions.

#include <string>
#include <vector>

#include "pg/dsn.hpp"

namespace lockkeeper::service {

enum class Level { ok, note, warning, problem };

const char* to_string(Level level);

struct Finding {
  std::string subject;
  Level level = Level::ok;
  std::string text;
  std::string mend;  ///< what to do; empty when it is ok
};

/// Looks at everything. `sessions`: how many a worker process may need. Throws Error when it cannot
/// connect.
std::vector<Finding> examine(const pg::Dsn& dsn, int sessions);

}  // namespace lockkeeper::service
