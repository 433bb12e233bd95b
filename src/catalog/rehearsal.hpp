#pragma once
// A change is tried on an empty copy of its table, in a part of a transaction that is undone: what
// PostgreSQL itself does there, it does with the table (rewrites of domains, collations and time
// zones are found without a rule for each). One thread per session.

#include <functional>
#include <optional>
#include <string>

#include "catalog/facts.hpp"
#include "pg/session.hpp"

namespace lockkeeper::catalog {

/// How a statement is run with the rights of the role whose change it is.
using Run = std::function<void(const std::string& statement)>;

/// Runs `alter`, an ALTER TABLE of the table's name in pg_temp, on a copy. In the caller's
/// transaction, which is as it was afterwards. Empty: no copy could be made. Throws Error when the
/// session is broken.
std::optional<Rehearsal> rehearse(pg::Session& session, const Table& table,
                                  const std::string& alter, const Run& run);

}  // namespace lockkeeper::catalog
