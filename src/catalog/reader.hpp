#pragma once
// pg_catalog to facts. Needs no rights beyond those of any role: catalogs are readable by all.
// Names are resolved by the session's search_path. Takes no lock on tables of the application.

#include "catalog/facts.hpp"
#include "catalog/rehearsal.hpp"
#include "pg/session.hpp"

namespace lockkeeper::catalog {

/// Facts of what exists; a name that does not exist is simply not in the result. In a transaction
/// of the caller. `run`: for a rehearsal. Throws Error.
Facts read(pg::Session& session, const Wanted& wanted, const Run& run);

/// Dependents::digest of a column as it is now, in a transaction of the caller.
std::string digest_of(pg::Session& session, const std::string& oid, const std::string& column);

}  // namespace lockkeeper::catalog
