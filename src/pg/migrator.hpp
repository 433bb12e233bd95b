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
/// the database is too new for this binary.
std::vector<std::string> migrate(Session& session);

/// Makes the roles PREFIX_read, _submit, _node, _operate and _work where they are missing, and
/// gives each its right (docs/security.md); gives their names. In one transaction. Throws Error
/// (42501) when the caller may not.
std::vector<std::string> make_roles(Session& session, const std::string& prefix);

/// Throws InputError, with what to do, unless this binary can work with the database: it has this
/// binary's version, or a newer one without a breaking migration in between (for the time of a
/// rolling upgrade: migrate with the new binary first, then replace workers one by one).
void require_schema(Session& session);

}  // namespace lockkeeper::pg
