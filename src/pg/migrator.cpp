#include "pg/migrator.hpp"

#include <array>

#include "sql/migrations.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::pg {
namespace {

void refuse_newer(int found) {
  if (found <= schema_version_of_binary()) return;
  throw InputError("the lockkeeper schema of this database has version " + std::to_string(found) +
                       ", this lockkeeper knows versions up to " +
                       std::to_string(schema_version_of_binary()),
                   "use a newer lockkeeper; an older one must not touch a newer queue");
}

bool apply(Session& session, const Migration& migration) {
  // 1280012647 = 'LKmg'. Waiting for another migrator is no reason to fail soon.
  Transaction tx(session, "BEGIN; SET LOCAL lock_timeout = '120s'");
  session.script("SELECT pg_catalog.pg_advisory_xact_lock(1280012647)");
  const int found = schema_version(session);
  refuse_newer(found);
  if (found >= migration.version) return false;
  session.script(std::string(migration.text));
  tx.commit();
  return true;
}

}  // namespace

int schema_version(Session& session) {
  if (session.run(sql::pg_has_schema).empty()) return 0;
  return static_cast<int>(session.run(sql::pg_schema_version).front().integer("version"));
}

int schema_version_of_binary() { return sql::kMigrations.back().version; }

std::vector<std::string> migrate(Session& session) {
  refuse_newer(schema_version(session));
  std::vector<std::string> applied;
  for (const auto& migration : sql::kMigrations)
    if (apply(session, migration)) applied.emplace_back(migration.name);
  return applied;
}

void require_schema(Session& session) {
  const int found = schema_version(session);
  refuse_newer(found);
  if (found == 0)
    throw InputError("this database has no lockkeeper schema",
                     "run \"lockkeeper migrate\" once, as the owner of the database");
  if (found < schema_version_of_binary())
    throw InputError("the lockkeeper schema of this database is older (version " +
                         std::to_string(found) + ") than this lockkeeper (version " +
                         std::to_string(schema_version_of_binary()) + ")",
                     "run \"lockkeeper migrate\", as the owner of the database");
}

}  // namespace lockkeeper::pg
