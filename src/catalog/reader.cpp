#include "catalog/reader.hpp"

#include "sql/queries.hpp"

namespace lockkeeper::catalog {
namespace {

Table read_table(pg::Session& session, const pg::Row& row) {
  Table table;
  table.oid = row.text("oid");
  table.schema = row.text("schema");
  table.name = row.text("name");
  table.kind = row.text("kind");
  table.bytes = row.integer("bytes");
  table.rows = row.real("rows");
  table.of_constraint = row.boolean("of_constraint");
  table.has_children = row.boolean("has_children");
  const auto oid = pg::Params::of(row.text("oid"));
  for (const auto column : session.run(sql::catalog_columns, oid))
    table.columns.push_back({column.text("name"), column.text("type"),
                             static_cast<int>(column.integer("type_modifier")),
                             column.boolean("not_null"), column.boolean("composite")});
  for (const auto check : session.run(sql::catalog_not_null_checks, oid))
    table.proven_not_null.push_back(check.text("name"));
  for (const auto other : session.run(sql::catalog_referenced_by, oid))
    table.referenced_by.push_back(other.text("name"));
  for (const auto other : session.run(sql::catalog_taken, oid))
    (other.boolean("relation") ? table.taken_relations : table.taken_constraints)
        .push_back(other.text("name"));
  return table;
}

}  // namespace

Facts read(pg::Session& session, const Wanted& wanted) {
  Facts facts;
  facts.server_version = session.server_version();
  for (const auto& name : wanted.tables) {
    const auto rows = session.run(sql::catalog_table, pg::Params::of(name));
    if (!rows.empty()) facts.tables.emplace(name, read_table(session, rows.front()));
  }
  for (const auto& name : wanted.functions) {
    const auto rows = session.run(sql::catalog_function_volatile, pg::Params::of(name));
    if (!rows.front().null("volatile"))
      facts.volatile_function[name] = rows.front().boolean("volatile");
  }
  for (const auto& name : wanted.types) {
    const auto rows = session.run(sql::catalog_domain, pg::Params::of(name));
    facts.constrained_domain[name] = rows.front().boolean("constrained");
  }
  return facts;
}

}  // namespace lockkeeper::catalog
