#include "catalog/rehearsal.hpp"

#include "base/error.hpp"
#include "pg/quote.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::catalog {

std::optional<Rehearsal> rehearse(pg::Session& session, const Table& table,
                                  const std::string& alter, const Run& run) {
  const std::string name = pg::quote_ident(table.name);
  const auto files = [&] {
    return session.run(sql::catalog_files, pg::Params::of(name)).front().text("files");
  };
  std::optional<Rehearsal> seen;
  session.script("SAVEPOINT rehearsal");
  try {
    run("CREATE TEMPORARY TABLE " + name + " (LIKE " + pg::quote_ident(table.schema) + "." + name +
        " INCLUDING ALL)");
    const auto before = files();
    seen = Rehearsal{true, false};
    run(alter);
    seen = Rehearsal{false, files() != before};
  } catch (const Error&) {
    if (session.broken()) throw;
  }
  session.script("ROLLBACK TO SAVEPOINT rehearsal; RELEASE SAVEPOINT rehearsal");
  return seen;
}

}  // namespace lockkeeper::catalog
