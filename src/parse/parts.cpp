#include "parse/parts.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace lockkeeper::parse {
namespace {

// AT_* tags to the words that people use; what is not here is made from the tag itself.
const std::map<std::string_view, std::string_view> kAlterKinds = {
    {"AT_AddColumn", "add column"},
    {"AT_DropColumn", "drop column"},
    {"AT_AlterColumnType", "modify column"},
    {"AT_ColumnDefault", "set default"},
    {"AT_SetNotNull", "set not null"},
    {"AT_DropNotNull", "drop not null"},
    {"AT_SetStatistics", "set statistics"},
    {"AT_SetStorage", "set storage"},
    {"AT_SetCompression", "set compression"},
    {"AT_SetOptions", "set column options"},
    {"AT_ResetOptions", "set column options"},
    {"AT_AddConstraint", "add constraint"},
    {"AT_AddIndexConstraint", "add constraint"},
    {"AT_DropConstraint", "drop constraint"},
    {"AT_ValidateConstraint", "validate constraint"},
    {"AT_AlterConstraint", "alter constraint"},
    {"AT_AttachPartition", "attach partition"},
    {"AT_DetachPartition", "detach partition"},
    {"AT_DetachPartitionFinalize", "detach partition"},
    {"AT_SetRelOptions", "set table options"},
    {"AT_ResetRelOptions", "set table options"},
    {"AT_ChangeOwner", "owner to"},
    {"AT_EnableTrig", "enable trigger"},
    {"AT_DisableTrig", "disable trigger"},
    {"AT_EnableTrigAll", "enable trigger"},
    {"AT_DisableTrigAll", "disable trigger"},
    {"AT_EnableTrigUser", "enable trigger"},
    {"AT_DisableTrigUser", "disable trigger"},
    {"AT_EnableRowSecurity", "enable row security"},
    {"AT_DisableRowSecurity", "disable row security"},
    {"AT_ForceRowSecurity", "force row security"},
    {"AT_NoForceRowSecurity", "no force row security"},
    {"AT_ClusterOn", "cluster on"},
    {"AT_DropCluster", "set without cluster"},
    {"AT_SetUnLogged", "set unlogged"},
    {"AT_SetLogged", "set logged"},
    {"AT_SetTableSpace", "set tablespace"},
    {"AT_SetAccessMethod", "set access method"},
    {"AT_AddInherit", "inherit"},
    {"AT_DropInherit", "no inherit"},
    {"AT_ReplicaIdentity", "replica identity"},
    {"AT_AddIdentity", "add identity"},
    {"AT_SetIdentity", "set identity"},
    {"AT_DropIdentity", "drop identity"},
    {"AT_DropExpression", "drop expression"},
    {"AT_SetExpression", "set expression"},
};

std::string words_of(const std::string& tag) {
  std::string words;
  for (const char c : tag.substr(3)) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !words.empty()) words += ' ';
    words += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return words;
}

std::string lower_words(const std::string& upper) {
  std::string words;
  for (const char c : upper)
    words += c == '_' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return words;
}

void read_constraint(const Tree& constraint, Part& part) {
  const std::string type = text_field(constraint, "contype");
  if (type == "CONSTR_DEFAULT") part.has_default = true;
  if (type == "CONSTR_NOTNULL") part.not_null = true;
  if (type == "CONSTR_UNIQUE" || type == "CONSTR_PRIMARY") part.unique = true;
  if (type == "CONSTR_CHECK") part.check = true;
  if (type == "CONSTR_IDENTITY") part.identity = true;
  if (type == "CONSTR_GENERATED") part.generated_stored = true;
  if (type == "CONSTR_FOREIGN") {
    part.foreign_key = true;
    part.others.push_back(relation_of(field(constraint, "pktable"), false));
  }
  if (type == "CONSTR_DEFAULT" || type == "CONSTR_GENERATED") {
    walk(field(constraint, "raw_expr"), [&](const std::string& key, const Tree& at) {
      if (key == "FuncCall") {
        const auto names = strings(field(at, "funcname"));
        if (!names.empty()) part.functions.push_back(names.back());
      }
      return true;
    });
  }
}

void read_column(const Tree& column, Part& part) {
  static const std::set<std::string> kSerial = {"serial",  "serial4",     "bigserial",
                                                "serial8", "smallserial", "serial2"};
  if (const auto name = text_field(column, "colname"); !name.empty()) part.column = name;
  part.type = type_text(field(column, "typeName"));
  part.serial = kSerial.count(part.type) != 0;
  part.has_using = field(column, "raw_default").is_object();
  walk(field(column, "raw_default"), [&](const std::string& key, const Tree& at) {
    if (key != "FuncCall") return true;
    const auto names = strings(field(at, "funcname"));
    if (!names.empty()) part.functions.push_back(names.back());
    return true;
  });
  for (const auto& constraint : field(column, "constraints"))
    read_constraint(field(constraint, "Constraint"), part);
}

void read_table_constraint(const Tree& constraint, Part& part) {
  static const std::map<std::string, std::string> kTypes = {
      {"CONSTR_CHECK", "check"},         {"CONSTR_FOREIGN", "foreign key"},
      {"CONSTR_UNIQUE", "unique"},       {"CONSTR_PRIMARY", "primary key"},
      {"CONSTR_EXCLUSION", "exclusion"}, {"CONSTR_NOTNULL", "not null"}};
  const auto found = kTypes.find(text_field(constraint, "contype"));
  if (found != kTypes.end()) part.constraint_type = found->second;
  part.not_valid = true_field(constraint, "skip_validation");
  part.using_index = !text_field(constraint, "indexname").empty();
  if (const Tree& target = field(constraint, "pktable"); target.is_object())
    part.others.push_back(relation_of(target, false));
}

// A default that is one value for all rows costs nothing: of functions, we know these ones.
bool one_for_all(const std::string& function) {
  static const std::set<std::string> kStable = {"now", "transaction_timestamp",
                                                "statement_timestamp", "timezone", "date_trunc"};
  return kStable.count(function) != 0;
}

bool may_fill(const Part& part) {
  if (part.kind == "modify column") return true;
  const auto& called = part.functions;
  return part.kind == "add column" &&
         (part.serial || part.identity || part.generated_stored ||
          (part.has_default && !std::all_of(called.begin(), called.end(), one_for_all)));
}

Part alter_part(const Tree& command, const ObjectRef& relation) {
  Part part;
  part.relation = relation;
  const std::string subtype = text_field(command, "subtype");
  const auto known = kAlterKinds.find(subtype);
  part.kind = known != kAlterKinds.end() ? std::string(known->second) : words_of(subtype);
  part.column = text_field(command, "name");
  part.column_may_lack = true_field(command, "missing_ok");
  const Tree& definition = field(command, "def");
  if (const Tree& column = field(definition, "ColumnDef"); column.is_object())
    read_column(column, part);
  if (const Tree& constraint = field(definition, "Constraint"); constraint.is_object())
    read_table_constraint(constraint, part);
  if (const Tree& partition = field(definition, "PartitionCmd"); partition.is_object()) {
    part.others.push_back(relation_of(field(partition, "name"), true));
    part.concurrently = true_field(partition, "concurrent");
  }
  if (subtype == "AT_ColumnDefault" && definition.is_null()) part.kind = "drop default";
  part.fills = may_fill(part);
  return part;
}

Part simple_part(std::string kind, ObjectRef relation) {
  Part part;
  part.kind = std::move(kind);
  part.relation = std::move(relation);
  return part;
}

bool has_option(const Tree& options, const std::string& name) {
  return std::any_of(options.begin(), options.end(), [&](const Tree& option) {
    return text_field(field(option, "DefElem"), "defname") == name;
  });
}

void rebuild_parts(const RawStatement& raw, std::vector<Part>& parts) {
  if (raw.tag == "ReindexStmt") {
    const Tree& relation = field(raw.node, "relation");
    if (!relation.is_object()) return;
    parts.push_back(simple_part("reindex", relation_of(relation, true)));
    parts.back().concurrently = has_option(field(raw.node, "params"), "concurrently");
  } else if (has_option(field(raw.node, "options"), "full")) {
    for (const auto& table : field(raw.node, "rels"))
      parts.push_back(simple_part(
          "vacuum full", relation_of(field(field(table, "VacuumRelation"), "relation"), true)));
  }
}

void drop_parts(const RawStatement& raw, std::vector<Part>& parts) {
  static const std::map<std::string, std::string> kKinds = {
      {"OBJECT_TABLE", "drop table"},       {"OBJECT_INDEX", "drop index"},
      {"OBJECT_VIEW", "drop view"},         {"OBJECT_MATVIEW", "drop materialized view"},
      {"OBJECT_SEQUENCE", "drop sequence"}, {"OBJECT_TRIGGER", "drop trigger"},
      {"OBJECT_POLICY", "drop policy"},     {"OBJECT_RULE", "drop rule"}};
  const auto kind = kKinds.find(text_field(raw.node, "removeType"));
  if (kind == kKinds.end()) return;
  for (const auto& object : field(raw.node, "objects")) {
    auto names = strings(object);
    const bool of_table = kind->second == "drop trigger" || kind->second == "drop policy" ||
                          kind->second == "drop rule";
    if (of_table && names.size() > 1) names.pop_back();
    Part part = simple_part(kind->second, named("relation", names, true));
    part.concurrently = true_field(raw.node, "concurrent");
    part.cascade = text_field(raw.node, "behavior") == "DROP_CASCADE";
    parts.push_back(std::move(part));
  }
}

void create_table_parts(const RawStatement& raw, std::vector<Part>& parts) {
  Part part = simple_part("create table", relation_of(field(raw.node, "relation"), true));
  walk(field(raw.node, "tableElts"), [&](const std::string& key, const Tree& at) {
    if (key == "Constraint" && text_field(at, "contype") == "CONSTR_FOREIGN") {
      part.foreign_key = true;
      part.others.push_back(relation_of(field(at, "pktable"), false));
    }
    return true;
  });
  parts.push_back(part);
  if (!field(raw.node, "partbound").is_object()) return;
  for (const auto& parent : field(raw.node, "inhRelations"))
    parts.push_back(simple_part("add partition", relation_of(field(parent, "RangeVar"), true)));
}

}  // namespace

static std::vector<Part> read_parts(const RawStatement& raw) {
  std::vector<Part> parts;
  const Tree& relation = field(raw.node, "relation");
  if (raw.tag == "AlterTableStmt") {
    for (const auto& command : field(raw.node, "cmds"))
      parts.push_back(alter_part(field(command, "AlterTableCmd"), relation_of(relation, true)));
  } else if (raw.tag == "IndexStmt") {
    Part part = simple_part("create index", relation_of(relation, true));
    part.concurrently = true_field(raw.node, "concurrent");
    part.unique = true_field(raw.node, "unique");
    part.column = text_field(raw.node, "idxname");
    parts.push_back(part);
  } else if (raw.tag == "CreateStmt") {
    create_table_parts(raw, parts);
  } else if (raw.tag == "DropStmt") {
    drop_parts(raw, parts);
  } else if (raw.tag == "RenameStmt" && relation.is_object()) {
    const std::string type = text_field(raw.node, "renameType");
    const std::string what =
        type == "OBJECT_TABCONSTRAINT" ? "constraint" : lower_words(type.substr(7));
    parts.push_back(simple_part("rename " + what, relation_of(relation, true)));
  } else if (raw.tag == "TruncateStmt" || raw.tag == "LockStmt") {
    for (const auto& table : field(raw.node, "relations"))
      parts.push_back(simple_part(raw.tag == "LockStmt" ? "lock table" : "truncate table",
                                  relation_of(field(table, "RangeVar"), true)));
  } else if (raw.tag == "CreateTrigStmt") {
    parts.push_back(simple_part("create trigger", relation_of(relation, true)));
  } else if (raw.tag == "CreatePolicyStmt" || raw.tag == "AlterPolicyStmt") {
    parts.push_back(simple_part("create policy", relation_of(field(raw.node, "table"), true)));
  } else if (raw.tag == "RuleStmt") {
    parts.push_back(simple_part("create rule", relation_of(relation, true)));
  } else if (raw.tag == "RefreshMatViewStmt" || raw.tag == "ClusterStmt") {
    Part part = simple_part(raw.tag == "ClusterStmt" ? "cluster" : "refresh materialized view",
                            relation_of(relation, true));
    part.concurrently = true_field(raw.node, "concurrent");
    if (relation.is_object()) parts.push_back(part);
  } else if (raw.tag == "InsertStmt" || raw.tag == "UpdateStmt" || raw.tag == "DeleteStmt" ||
             raw.tag == "MergeStmt") {
    parts.push_back(simple_part("write rows", relation_of(relation, true)));
  } else if (raw.tag == "VacuumStmt" || raw.tag == "ReindexStmt") {
    rebuild_parts(raw, parts);
  } else if (raw.tag == "AlterObjectSchemaStmt" && relation.is_object()) {
    parts.push_back(simple_part("set schema", relation_of(relation, true)));
  }
  return parts;
}

std::vector<Part> parts_of(const RawStatement& raw) {
  auto parts = read_parts(raw);
  const bool may_lack = true_field(raw.node, "missing_ok") || true_field(raw.node, "if_not_exists");
  for (auto& part : parts) part.may_lack = may_lack;
  return parts;
}

}  // namespace lockkeeper::parse
