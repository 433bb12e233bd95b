#include "catalog/reader.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "pg/quote.hpp"
#include "sql/queries.hpp"

namespace lockkeeper::catalog {
namespace {

using Json = nlohmann::json;

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
                             column.boolean("not_null"), column.boolean("composite"),
                             column.boolean("generated"), column.boolean("identity")});
  for (const auto check : session.run(sql::catalog_not_null_checks, oid))
    table.proven_not_null.push_back(check.text("name"));
  for (const auto key : session.run(sql::catalog_primary_key, oid))
    table.primary_key.push_back(key.text("name"));
  for (const auto other : session.run(sql::catalog_referenced_by, oid))
    table.referenced_by.push_back(other.text("name"));
  for (const auto other : session.run(sql::catalog_taken, oid))
    (other.boolean("relation") ? table.taken_relations : table.taken_constraints)
        .push_back(other.text("name"));
  return table;
}

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found == json.end() || found->is_null() ? std::string() : found->get<std::string>();
}

Json list_of(const pg::Row& row, const char* column) {
  return row.null(column) ? Json::array() : Json::parse(row.text(column));
}

ColumnIndex index_of(const Json& json) {
  ColumnIndex index;
  index.name = text_of(json, "name");
  index.definition = text_of(json, "definition");
  index.valid = json.at("valid").get<bool>();
  index.unique = json.at("unique").get<bool>();
  index.primary = json.at("primary").get<bool>();
  index.exclusion = json.at("exclusion").get<bool>();
  index.of_constraint = json.at("constraint").get<bool>();
  index.deferrable = index.of_constraint && json.at("deferrable").get<bool>();
  index.deferred = index.of_constraint && json.at("deferred").get<bool>();
  index.clustered = json.at("clustered").get<bool>();
  index.replica_identity = json.at("replica_identity").get<bool>();
  index.tablespace = json.at("tablespace").get<bool>();
  index.comment = text_of(json, "comment");
  index.constraint_comment = text_of(json, "constraint_comment");
  return index;
}

ColumnConstraint constraint_of(const Json& json) {
  ColumnConstraint constraint;
  constraint.name = text_of(json, "name");
  constraint.definition = text_of(json, "definition");
  constraint.foreign_key = constraint.definition.compare(0, 11, "FOREIGN KEY") == 0;
  constraint.table = text_of(json, json.contains("table") ? "table" : "target");
  constraint.valid = json.at("valid").get<bool>();
  constraint.partitioned = json.value("partitioned", false);
  constraint.itself = json.value("self", false);
  constraint.comment = text_of(json, "comment");
  return constraint;
}

ColumnSequence sequence_of(const Json& json) {
  ColumnSequence sequence;
  sequence.name =
      pg::quote_ident(text_of(json, "schema")) + "." + pg::quote_ident(text_of(json, "name"));
  sequence.identity = json.at("identity").get<bool>();
  sequence.granted = json.at("granted").get<bool>();
  sequence.comment = text_of(json, "comment");
  const auto number = [&](const char* name) { return json.at(name).dump(); };
  sequence.options = "START " + number("start") + " INCREMENT " + number("increment") + " CACHE " +
                     number("cache") + (json.at("cycle").get<bool>() ? " CYCLE" : "");
  if (!json.at("min").is_null()) sequence.options += " MINVALUE " + number("min");
  if (!json.at("max").is_null()) sequence.options += " MAXVALUE " + number("max");
  return sequence;
}

Dependents read_dependents(pg::Session& session, const std::string& oid,
                           const std::string& column) {
  const auto rows = session.run(sql::catalog_dependents, pg::Params::of(oid, column));
  const auto& row = rows.front();
  const auto text = [&](const char* name) { return row.null(name) ? "" : row.text(name); };
  Dependents all;
  all.digest = text("digest");
  all.default_value = text("default_value");
  all.comment = text("comment");
  all.options = text("options");
  all.statistics = text("statistics");
  all.not_null_name = text("not_null_name");
  all.identity = text("identity") == "a" ? "ALWAYS" : text("identity") == "d" ? "BY DEFAULT" : "";
  for (const auto& one : list_of(row, "sequences")) all.sequences.push_back(sequence_of(one));
  for (const auto& one : list_of(row, "indexes")) all.indexes.push_back(index_of(one));
  for (const auto& one : list_of(row, "checks")) all.constraints.push_back(constraint_of(one));
  for (const auto& one : list_of(row, "referring")) all.referring.push_back(constraint_of(one));
  for (const auto& one : list_of(row, "grants")) all.grants.push_back(one.get<std::string>());
  for (const auto& one : list_of(row, "others")) all.others.push_back(one.get<std::string>());
  return all;
}

void read_partitions(pg::Session& session, Table& table) {
  for (const auto row : session.run(sql::catalog_partitions, pg::Params::of(table.oid)))
    table.partitions.push_back({row.text("oid"), row.text("schema"), row.text("name"),
                                row.text("parent"), row.text("kind"),
                                list_of(row, "taken").get<std::vector<std::string>>(),
                                list_of(row, "indexes").get<std::vector<std::string>>()});
}

void read_filling(pg::Session& session, const Wanted& wanted, const Run& run, Table& table) {
  const auto rows = session.run(sql::catalog_filling, pg::Params::of(table.oid, wanted.role));
  const auto& row = rows.front();
  Filling filling;
  filling.of_a_family = row.boolean("of_a_family");
  filling.forces_row_security = row.boolean("forces_row_security");
  filling.has_rules = row.boolean("has_rules");
  filling.has_triggers = row.boolean("has_triggers");
  filling.has_loud_triggers = row.boolean("has_loud_triggers");
  filling.may_create = row.boolean("may_create");
  filling.published = row.boolean("published");
  filling.row_type_used = row.boolean("row_type_used");
  filling.has_later_triggers = row.boolean("has_later_triggers");
  filling.has_not_valid = row.boolean("has_not_valid");
  filling.may_be_quiet = row.boolean("may_be_quiet");
  table.filling = filling;
  if (!wanted.rehearsal.empty() && table.bytes >= wanted.rehearsed_from)
    table.rehearsal = rehearse(session, table, wanted.rehearsal, run);
  for (const auto& column : wanted.changed_columns)
    table.dependents[column] = read_dependents(session, table.oid, column);
}

}  // namespace

SafeSearchPath::SafeSearchPath(pg::Session& session)
    : session_(session), own_(session.run(sql::catalog_search_path).front().text("path")) {
  set("pg_catalog");
}

SafeSearchPath::~SafeSearchPath() {
  try {
    set(own_);
  } catch (const Error&) {
    // The transaction has failed: its end takes the setting with it.
  }
}

void SafeSearchPath::set(const std::string& path) const {
  session_.run(sql::catalog_set_search_path, pg::Params::of(path));
}

std::string digest_of(pg::Session& session, const std::string& oid, const std::string& column) {
  const SafeSearchPath safe(session);
  return read_dependents(session, oid, column).digest;
}

std::map<std::string, std::string> resolve(pg::Session& session,
                                           const std::vector<std::string>& names) {
  std::map<std::string, std::string> oids;
  if (names.empty()) return oids;
  for (const auto row : session.run(sql::catalog_resolve, pg::Params::of(Json(names).dump())))
    if (!row.null("oid")) oids[row.text("name")] = row.text("oid");
  return oids;
}

Facts read(pg::Session& session, const Wanted& wanted, const Run& run) {
  Facts facts;
  facts.server_version = session.server_version();
  const auto oids = resolve(session, wanted.tables);
  std::map<std::string, std::string> types;
  for (const auto& name : wanted.types) {
    const auto rows = session.run(sql::catalog_resolve_type, pg::Params::of(name));
    types[name] = rows.front().null("oid") ? "0" : rows.front().text("oid");
  }
  // From here on operators are PostgreSQL's own, and so are the names in definitions.
  const SafeSearchPath safe(session);
  const Run as_asked = [&](const std::string& text) { safe.suspended([&] { run(text); }); };
  for (const auto& name : wanted.tables) {
    const auto oid = oids.find(name);
    if (oid == oids.end()) continue;
    const auto rows = session.run(sql::catalog_table, pg::Params::of(oid->second));
    if (rows.empty()) continue;
    auto table = read_table(session, rows.front());
    if (name == wanted.indexed && table.kind == "p") read_partitions(session, table);
    if (name == wanted.filled) read_filling(session, wanted, as_asked, table);
    facts.tables.emplace(name, std::move(table));
  }
  for (const auto& name : wanted.functions) {
    const auto rows = session.run(sql::catalog_function_volatile, pg::Params::of(name));
    if (!rows.front().null("volatile"))
      facts.volatile_function[name] = rows.front().boolean("volatile");
  }
  for (const auto& [name, oid] : types) {
    const auto rows = session.run(sql::catalog_domain, pg::Params::of(oid));
    facts.constrained_domain[name] = rows.front().boolean("constrained");
  }
  return facts;
}

}  // namespace lockkeeper::catalog
