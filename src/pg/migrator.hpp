#pragma once
// Brings the lockkeeper schema to the version of this binary, and tells which version a database
// has. Each migration is one transaction with its own row; an advisory lock makes any number of
// concurrent migrators one. Idea: graphile-worker's migration row and breaking marks.

#include <string>
#include <string_view>
#include <vector>

#include "pg/session.hpp"

namespace lockkeeper::pg {

/// One file of migrations/.
struct Migration {
  int version;
  std::string_view name;
  std::string_view text;
};

/// Version of the schema in the database; 0: there is none.
int schema_version(Session& session);
/// Version that this binary brings.
int schema_version_of_binary();

/// Applies what is missing; gives the names of what it applied. Throws Error, and InputError when
/// the database is newer than this binary.
std::vector<std::string> migrate(Session& session);

/// Throws InputError, with what to do, unless the database has exactly this binary's version.
void require_schema(Session& session);

}  // namespace lockkeeper::pg
