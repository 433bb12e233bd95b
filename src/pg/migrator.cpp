#include "pg/migrator.hpp"

#include <array>

#include "sql/migrations.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::pg {
namespace {

constexpr int kRights = 14;  // the migration that brings lockkeeper.renew_rights()

struct Found {
  int version = 0;
  int breaking = 0;  ///< of the last migration that an older binary cannot live with
};

Found find(Session& session) {
  if (session.run(sql::pg_has_schema).empty()) return {};
  const auto rows = session.run(sql::pg_schema_version);
  return {static_cast<int>(rows.front().integer("version")),
          static_cast<int>(rows.front().integer("breaking"))};
}

void refuse_newer(const Found& found) {
  if (found.breaking <= schema_version_of_binary()) return;
  throw InputError(
      "the lockkeeper schema of this database has version " + std::to_string(found.version) +
          ", this lockkeeper works with versions up to " + std::to_string(found.breaking - 1),
      "use a newer lockkeeper; an older one must not touch a newer queue");
}

bool apply(Session& session, const Migration& migration) {
  // 1280012647 = 'LKmg'. Waiting for another migrator is no reason to fail soon.
  Transaction tx(session, "BEGIN; SET LOCAL lock_timeout = '120s'");
  session.script("SELECT pg_catalog.pg_advisory_xact_lock(1280012647)");
  const auto found = find(session);
  refuse_newer(found);
  if (found.version >= migration.version) return false;
  session.script(std::string(migration.text));
  if (migration.version >= kRights) {
    session.run(sql::pg_renew_rights);
    // Workers look whether they may go on.
    session.script("SELECT pg_catalog.pg_notify('lockkeeper_ready', 'settings')");
  }
  tx.commit();
  return true;
}

}  // namespace

int schema_version(Session& session) { return find(session).version; }

int schema_version_of_binary() { return sql::kMigrations.back().version; }

std::vector<std::string> migrate(Session& session) {
  refuse_newer(find(session));
  std::vector<std::string> applied;
  for (const auto& migration : sql::kMigrations)
    if (apply(session, migration)) applied.emplace_back(migration.name);
  return applied;
}

std::vector<std::string> make_roles(Session& session, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto row : session.run(sql::pg_make_roles, Params::of(prefix)))
    names.push_back(row.text("name"));
  return names;
}

void require_schema(Session& session) {
  const auto state = find(session);
  const int found = state.version;
  refuse_newer(state);
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
