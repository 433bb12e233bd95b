#include "parse/classify.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "parse/parts.hpp"
#include "parse/references.hpp"
#include "parse/session_use.hpp"

namespace lockkeeper::parse {
namespace {

// Names where the node's own name would not say it as people do. Shown, stored, a metric label.
const std::map<std::string_view, std::string_view> kActions = {
    {"IndexStmt", "add index"},
    {"CreateStmt", "create table"},
    {"ViewStmt", "create view"},
    {"CreateTableAsStmt", "create table as"},
    {"CreateSeqStmt", "create sequence"},
    {"AlterSeqStmt", "alter sequence"},
    {"CreateEnumStmt", "create type"},
    {"CompositeTypeStmt", "create type"},
    {"CreateRangeStmt", "create type"},
    {"AlterEnumStmt", "alter type"},
    {"CreateTrigStmt", "create trigger"},
    {"CreateStatsStmt", "create statistics"},
    {"RuleStmt", "create rule"},
    {"TruncateStmt", "truncate table"},
    {"RefreshMatViewStmt", "refresh materialized view"},
    {"VariableSetStmt", "set"},
    {"GrantRoleStmt", "grant role"},
    {"CreatePLangStmt", "create language"},
    {"CreateFdwStmt", "create foreign data wrapper"},
    {"CreateEventTrigStmt", "create event trigger"},
    {"AlterEventTrigStmt", "alter event trigger"},
    {"ConstraintsSetStmt", "set constraints"},
    {"CheckPointStmt", "checkpoint"},
    {"CreateTableSpaceStmt", "create tablespace"},
    {"DropTableSpaceStmt", "drop tablespace"},
    {"SecLabelStmt", "security label"},
};

std::string words(std::string_view camel) {
  std::string out;
  for (const char c : camel) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !out.empty()) out += ' ';
    out += c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string object_words(const std::string& object_type) {
  std::string out;
  for (const char c : object_type.substr(7))
    out += c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (out == "matview") return "materialized view";
  if (out == "tabconstraint") return "constraint";
  return out;
}

std::string alter_table_action(const std::vector<Part>& parts) {
  std::set<std::string> kinds;
  for (const auto& part : parts) {
    std::string kind = part.kind;
    if (kind == "add constraint" && !part.constraint_type.empty())
      kind = "add " + part.constraint_type;
    kinds.insert(kind);
  }
  return kinds.size() == 1 ? *kinds.begin() : "alter table";
}

std::string action_of(const RawStatement& raw, const std::vector<Part>& parts) {
  const std::string object_type = text_field(raw.node, "objtype");
  if (raw.tag == "DropStmt") return "drop " + object_words(text_field(raw.node, "removeType"));
  if (raw.tag == "RenameStmt") return "rename " + object_words(text_field(raw.node, "renameType"));
  if (raw.tag == "AlterTableStmt" && object_type == "OBJECT_TABLE")
    return alter_table_action(parts);
  if (raw.tag == "AlterTableStmt") return "alter " + object_words(object_type);
  if (raw.tag == "GrantStmt") return true_field(raw.node, "is_grant") ? "grant" : "revoke";
  if (raw.tag == "DefineStmt") return "create " + object_words(text_field(raw.node, "kind"));
  if (raw.tag == "VacuumStmt") return true_field(raw.node, "is_vacuumcmd") ? "vacuum" : "analyze";
  if (raw.tag == "CreateTableAsStmt" && object_type == "OBJECT_MATVIEW")
    return "create materialized view";
  if (raw.tag == "CreateFunctionStmt" && true_field(raw.node, "is_procedure"))
    return "create procedure";
  if (const auto known = kActions.find(raw.tag); known != kActions.end())
    return std::string(known->second);
  std::string_view name = raw.tag;
  if (name.size() > 4 && name.substr(name.size() - 4) == "Stmt") name.remove_suffix(4);
  return words(name);
}

bool has_option(const Tree& list, const char* name) {
  for (const auto& item : list)
    if (text_field(field(item, "DefElem"), "defname") == name) return true;
  return false;
}

// Statements that PostgreSQL refuses inside a transaction block (manual, notes of each command).
bool outside_transaction(const RawStatement& raw, const std::vector<Part>& parts) {
  if (raw.tag == "VacuumStmt") return true_field(raw.node, "is_vacuumcmd");
  if (raw.tag == "IndexStmt") return true_field(raw.node, "concurrent");
  if (raw.tag == "DropStmt") return true_field(raw.node, "concurrent");
  if (raw.tag == "ReindexStmt") {
    const std::string kind = text_field(raw.node, "kind");
    return kind == "REINDEX_OBJECT_SCHEMA" || kind == "REINDEX_OBJECT_SYSTEM" ||
           kind == "REINDEX_OBJECT_DATABASE" ||
           has_option(field(raw.node, "params"), "concurrently");
  }
  if (raw.tag == "AlterTableStmt")
    for (const auto& part : parts)
      if (part.kind == "detach partition" && part.concurrently) return true;
  if (raw.tag == "ClusterStmt") return !field(raw.node, "relation").is_object();
  static const std::set<std::string_view> kOutside = {"CreateTableSpaceStmt", "DropTableSpaceStmt",
                                                      "CreateSubscriptionStmt",
                                                      "DropSubscriptionStmt"};
  return kOutside.count(raw.tag) != 0;
}

struct Refusal {
  std::string_view tag;
  const char* message;
  const char* hint;
};
constexpr Refusal kRefused[] = {
    {"CreatedbStmt", "CREATE DATABASE is not a change of this database's schema",
     "run it with psql: Lockkeeper keeps one queue a database"},
    {"DropdbStmt", "DROP DATABASE is not a change of this database's schema",
     "run it with psql: Lockkeeper keeps one queue a database"},
    {"AlterSystemStmt", "ALTER SYSTEM changes the whole server, not a schema", "run it with psql"},
};

[[noreturn]] void refuse(const RawStatement& raw, const std::string& text,
                         const std::string& source, const std::string& message,
                         const std::string& hint) {
  Report report;
  report.sqlstate = "0A000";
  report.message = message;
  report.hint = hint;
  report.position = raw.position;
  report.statement = raw.text;
  throw InputError(report, text, source);
}

void refuse_what_must_be(const RawStatement& raw, const std::vector<ObjectRef>& refs,
                         const std::string& text, const std::string& source) {
  for (const auto& rule : kRefused)
    if (raw.tag == rule.tag) refuse(raw, text, source, rule.message, rule.hint);
  if (raw.tag == "CopyStmt") {
    if (true_field(raw.node, "is_program"))
      refuse(raw, text, source, "COPY … PROGRAM runs a program on the server",
             "load data with psql's \\copy, outside of the schema change");
    if (text_field(raw.node, "filename").empty())
      refuse(raw, text, source,
             "COPY from or to a client needs a stream, which a job does not have",
             "use INSERT, or COPY from a file on the server");
  }
  if (raw.tag == "ReindexStmt" && text_field(raw.node, "name") == "lockkeeper" &&
      text_field(raw.node, "kind") == "REINDEX_OBJECT_SCHEMA")
    refuse(raw, text, source, "a job may not touch the lockkeeper schema", "run it with psql");
  for (const auto& ref : refs)
    if (ref.schema == "lockkeeper" || (ref.kind == "schema" && ref.name == "lockkeeper"))
      refuse(raw, text, source, "a job may not touch the lockkeeper schema",
             "use the lockkeeper command, or call its functions with psql");
}

bool moves_rows(const RawStatement& raw, const std::vector<Part>& parts) {
  static const std::set<std::string_view> kRows = {
      "IndexStmt",          "InsertStmt", "UpdateStmt",       "DeleteStmt",
      "MergeStmt",          "VacuumStmt", "ReindexStmt",      "ClusterStmt",
      "RefreshMatViewStmt", "CopyStmt",   "CreateTableAsStmt"};
  if (kRows.count(raw.tag) != 0) return true;
  // What waits for queries or is done in steps belongs here too.
  return std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    if (part.kind == "add constraint") return !part.not_valid && !part.using_index;
    if (part.kind == "add column")
      return part.fills || part.unique || part.check || part.foreign_key;
    return part.kind == "modify column" || part.kind == "validate constraint" ||
           part.kind == "set not null" || part.kind == "drop index";
  });
}

// Runs code, or leaves things in the session, that the parser cannot see.
bool runs_code(const std::string& tag) {
  static const std::set<std::string_view> kCode = {"DoStmt",
                                                   "CallStmt",
                                                   "ExecuteStmt",
                                                   "LoadStmt",
                                                   "FetchStmt",
                                                   "InsertStmt",
                                                   "UpdateStmt",
                                                   "DeleteStmt",
                                                   "MergeStmt",
                                                   "SelectStmt",
                                                   "CreateExtensionStmt",
                                                   "AlterExtensionStmt",
                                                   "ImportForeignSchemaStmt"};
  return kCode.count(tag) != 0;
}

bool changes_schema(const RawStatement& raw) {
  static const std::set<std::string_view> kNoChange = {
      "InsertStmt",     "UpdateStmt", "DeleteStmt",  "MergeStmt",
      "SelectStmt",     "VacuumStmt", "CopyStmt",    "LockStmt",
      "CheckPointStmt", "NotifyStmt", "ExplainStmt", "ConstraintsSetStmt"};
  return kNoChange.count(raw.tag) == 0;
}

// Makes something new, and locks nothing that is there already: of relations, it names only the one
// that it makes. Such jobs are run many to a transaction.
bool only_makes(const RawStatement& raw, const std::vector<ObjectRef>& refs) {
  static const std::set<std::string_view> kMakes = {"CreateStmt",       "CreateSeqStmt",
                                                    "CreateEnumStmt",   "CompositeTypeStmt",
                                                    "CreateDomainStmt", "CreateSchemaStmt"};
  if (kMakes.count(raw.tag) == 0) return false;
  if (raw.tag == "CreateSchemaStmt" && !field(raw.node, "schemaElts").is_null()) return false;
  for (const auto& ref : refs)
    if (ref.barrier_unless_builtin || (ref.kind == "relation" && !ref.exclusive)) return false;
  return std::count_if(refs.begin(), refs.end(),
                       [](const ObjectRef& ref) { return ref.kind == "relation"; }) <= 1;
}

}  // namespace

// Where it becomes columns of the result; in a condition it says nothing.
bool says_star(const Tree& tree) {
  if (tree.is_object() && tree.contains("A_Star")) return true;
  if (tree.is_object())
    for (const auto& [key, below] : tree.items())
      if (key != "whereClause" && key != "SubLink" && says_star(below)) return true;
  return tree.is_array() && std::any_of(tree.begin(), tree.end(), says_star);
}

// INSERT without a list of columns, wherever it stands, MERGE and COPY alike: its table; with a
// star in what it inserts, every table of the statement.
void find_places(const Tree& tree, std::set<std::string>& tables, bool& star,
                 const std::string& merged) {
  if (!tree.is_structured()) return;
  if (tree.is_object()) {
    for (const auto& [key, below] : tree.items()) {
      const std::string into = text_field(field(below, "relation"), "relname");
      if (key == "InsertStmt") {
        const Tree& source = field(below, "selectStmt");
        star |= says_star(source);
        if (!below.contains("cols") && !source.is_null()) tables.insert(into);
      } else if (key == "CopyStmt" && true_field(below, "is_from") && !below.contains("attlist")) {
        tables.insert(into);
      } else if (key == "MergeWhenClause" && text_field(below, "commandType") == "CMD_INSERT" &&
                 !below.contains("targetList") && below.contains("values")) {
        tables.insert(merged);
      }
      find_places(below, tables, star, key == "MergeStmt" ? into : merged);
    }
    return;
  }
  for (const auto& below : tree) find_places(below, tables, star, merged);
}

std::vector<ObjectRef> by_position(const RawStatement& raw, const Statement& statement) {
  std::set<std::string> names;
  bool star = false;
  Tree whole = Tree::object();
  whole[raw.tag] = raw.node;
  find_places(whole, names, star, {});
  std::vector<ObjectRef> tables;
  if (names.empty() && !star) return tables;
  for (const auto& ref : statement.refs)
    if (ref.kind == "relation" && (star || names.count(ref.name) != 0)) tables.push_back(ref);
  return tables;
}

// Types that no value of a new column has to be checked for. What has one of these names and is
// none of them costs a try (the worker limits the time).
bool plain_type(const ObjectRef& ref) {
  static const std::set<std::string_view> kPlain = {
      "text", "uuid", "timestamptz", "jsonb", "json", "date", "bytea", "inet", "int4", "int8"};
  return ref.schema.empty() && kPlain.count(ref.name) != 0;
}

bool is_brief(const RawStatement& raw, const Statement& statement) {
  if (raw.tag != "AlterTableStmt" || statement.parts.size() != 1) return false;
  const auto& part = statement.parts.front();
  if (part.kind == "set default" || part.kind == "drop default" || part.kind == "set statistics")
    return true;
  return part.kind == "add column" && !part.has_default && !part.not_null && !part.serial &&
         !part.identity && !part.generated_stored && !statement.reorg &&
         std::all_of(statement.refs.begin(), statement.refs.end(),
                     [](const ObjectRef& ref) { return ref.kind != "type" || plain_type(ref); });
}

Statement classify(const RawStatement& raw, const std::string& text, const std::string& source) {
  Statement statement;
  statement.text = raw.text;
  statement.position = raw.position;
  statement.parts = parts_of(raw);
  statement.refs = references_of(raw);
  refuse_what_must_be(raw, statement.refs, text, source);
  statement.action = action_of(raw, statement.parts);
  if (outside_transaction(raw, statement.parts)) statement.mode = Mode::outside_transaction;
  statement.opaque = runs_code(raw.tag);
  for (const auto& ref : statement.refs) statement.opaque |= ref.barrier_unless_builtin;
  statement.reorg = moves_rows(raw, statement.parts);
  statement.changes_schema = changes_schema(raw);
  statement.instant =
      statement.mode == Mode::transactional && !statement.opaque && only_makes(raw, statement.refs);
  statement.brief = is_brief(raw, statement);
  statement.by_position = by_position(raw, statement);
  for (const auto& ref : statement.refs)
    if (ref.kind == "relation" && ref.schema.empty()) statement.mentioned.push_back(ref.name);
  if (const auto problem = read_session_use(raw, statement))
    refuse(raw, text, source, problem->message, problem->hint);
  return statement;
}

}  // namespace lockkeeper::parse
