#pragma once
// pg_catalog to facts. Needs no rights beyond those of any role: catalogs are readable by all.
// Names are resolved by the session's search_path. Takes no lock on tables of the application.

#include "catalog/facts.hpp"
#include "catalog/rehearsal.hpp"
#include "pg/session.hpp"

namespace lockkeeper::catalog {

/// While it lives, the session's search_path is pg_catalog: another one may find operators and
/// functions that somebody made to run as us. Throws Error.
class SafeSearchPath {
 public:
  explicit SafeSearchPath(pg::Session& session);
  /// Restores what was there, unless the transaction has failed: its end does so then.
  ~SafeSearchPath();
  SafeSearchPath(const SafeSearchPath&) = delete;
  SafeSearchPath& operator=(const SafeSearchPath&) = delete;

  /// Runs `body` with the path as it was.
  template <typename Body>
  void suspended(Body&& body) const {
    set(own_);
    body();
    set("pg_catalog");
  }

 private:
  void set(const std::string& path) const;
  pg::Session& session_;
  std::string own_;
};

/// The oids of relations by their quoted names, as the session's search_path finds them; those that
/// are not there are left out. Throws Error.
std::map<std::string, std::string> resolve(pg::Session& session,
                                           const std::vector<std::string>& names);

/// Facts of what exists; a name that does not exist is simply not in the result. In a transaction
/// of the caller. `run`: for a rehearsal. Throws Error.
Facts read(pg::Session& session, const Wanted& wanted, const Run& run);

/// Dependents::digest of a column as it is now, in a transaction of the caller.
std::string digest_of(pg::Session& session, const std::string& oid, const std::string& column);

}  // namespace lockkeeper::catalog
