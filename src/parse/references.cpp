#include "parse/references.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace lockkeeper::parse {
namespace {

const std::set<std::string_view> kRelationKinds = {"OBJECT_TABLE",   "OBJECT_VIEW",
                                                   "OBJECT_MATVIEW", "OBJECT_SEQUENCE",
                                                   "OBJECT_INDEX",   "OBJECT_FOREIGN_TABLE"};
// The last name is that of a part; the ones before it name the table.
const std::set<std::string_view> kPartKinds = {"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT",
                                               "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"};
const std::set<std::string_view> kRowStatements = {"InsertStmt", "UpdateStmt", "DeleteStmt",
                                                   "MergeStmt",  "SelectStmt", "ExplainStmt"};
// Statements that touch nobody knows what: alone in the database.
const std::set<std::string_view> kBarriers = {"DoStmt",
                                              "CallStmt",
                                              "ExecuteStmt",
                                              "CreateExtensionStmt",
                                              "AlterExtensionStmt",
                                              "AlterExtensionContentsStmt",
                                              "DropOwnedStmt",
                                              "ReassignOwnedStmt",
                                              "ImportForeignSchemaStmt",
                                              "CreateEventTrigStmt",
                                              "AlterEventTrigStmt",
                                              "AlterTableMoveAllStmt",
                                              "CreateTableSpaceStmt",
                                              "DropTableSpaceStmt",
                                              "FetchStmt"};

// No types: the grammar turns them into a column, a sequence and a default.
const std::set<std::string_view> kSerial = {"serial",  "bigserial", "smallserial",
                                            "serial2", "serial4",   "serial8"};

std::string kind_word(const std::string& object_type) {
  std::string word = object_type.substr(object_type.rfind("OBJECT_", 0) == 0 ? 7 : 0);
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) {
    return c == '_' ? ' ' : static_cast<char>(std::tolower(c));
  });
  if (word == "procedure" || word == "routine" || word == "aggregate") return "function";
  if (word == "domain") return "type";
  return word;
}

class Collector {
 public:
  void add(ObjectRef ref) {
    if (ref.name.empty() && ref.kind != "database") return;
    for (auto& known : refs_) {
      if (known.kind != ref.kind || known.schema != ref.schema || known.name != ref.name) continue;
      known.exclusive |= ref.exclusive;
      known.barrier_unless_builtin |= ref.barrier_unless_builtin;
      return;
    }
    refs_.push_back(std::move(ref));
  }

  void add_named(const std::string& object_type, std::vector<std::string> names, bool exclusive) {
    if (names.empty()) return;
    if (kRelationKinds.count(object_type) != 0) return add(named("relation", names, exclusive));
    if (kPartKinds.count(object_type) != 0) {
      names.pop_back();
      return add(named("relation", names, exclusive));
    }
    add(named(kind_word(object_type), names, exclusive));
  }

  // An object as DROP, COMMENT, ALTER … OWNER and GRANT name it.
  void add_object(const std::string& object_type, const Tree& object, bool exclusive) {
    if (const Tree& range = field(object, "RangeVar"); range.is_object())
      return add(relation_of(range, exclusive));
    if (const Tree& routine = field(object, "ObjectWithArgs"); routine.is_object())
      return add_named(object_type, strings(field(routine, "objname")), exclusive);
    if (const Tree& type = field(object, "TypeName"); type.is_object())
      return add_named("OBJECT_TYPE", strings(field(type, "names")), exclusive);
    if (const Tree& name = field(object, "String"); name.is_object())
      return add_named(object_type, {text_field(name, "sval")}, exclusive);
    add_named(object_type, strings(object), exclusive);
    // Constraint and comment on a domain: [type, name].
    for (const auto& item : field(field(object, "List"), "items"))
      if (item.is_object() && item.contains("TypeName"))
        add_named("OBJECT_TYPE", strings(field(item["TypeName"], "names")), exclusive);
  }

  std::vector<ObjectRef> take() { return std::move(refs_); }

 private:
  std::vector<ObjectRef> refs_;
};

std::set<std::string> names_of_ctes(const Tree& node) {
  std::set<std::string> names;
  walk(node, [&](const std::string&, const Tree& at) {
    if (const auto& name = text_field(at, "ctename"); !name.empty()) names.insert(name);
    return true;
  });
  return names;
}

// Everything that is named anywhere: shared, unless a rule of the statement says exclusive.
void collect_all(const RawStatement& raw, Collector& to) {
  const bool runs_functions = kRowStatements.count(raw.tag) != 0;
  const auto ctes = names_of_ctes(raw.node);
  walk(raw.node, [&](const std::string& key, const Tree& at) {
    if (at.contains("relname")) {
      ObjectRef ref = relation_of(at, false);
      if (!ref.schema.empty() || ctes.count(ref.name) == 0) to.add(ref);
    }
    if (at.contains("names") && at.contains("typemod")) {
      const auto names = strings(at["names"]);
      if (names.size() == 1 && kSerial.count(names[0]) != 0) return true;
      if (names.size() != 2 || names[0] != "pg_catalog") to.add(named("type", names, false));
    }
    if (key == "FuncCall") {
      ObjectRef ref = named("function", strings(field(at, "funcname")), false);
      ref.barrier_unless_builtin = runs_functions;
      to.add(ref);
    }
    if (const auto role = text_field(at, "rolename"); !role.empty())
      to.add({"role", {}, role, false, false});
    return true;
  });
}

void collect_direct_relations(const RawStatement& raw, Collector& to) {
  if (raw.tag == "SelectStmt" || raw.tag == "ExplainStmt") return;
  for (const char* name : {"relation", "table", "view", "sequence", "rel"})
    if (const Tree& range = field(raw.node, name); range.contains("relname"))
      to.add(relation_of(range, true));
  for (const char* name : {"relations", "rels"})
    for (const auto& item : field(raw.node, name)) {
      if (item.contains("RangeVar")) to.add(relation_of(item["RangeVar"], true));
      const Tree& vacuumed = field(field(item, "VacuumRelation"), "relation");
      if (vacuumed.contains("relname")) to.add(relation_of(vacuumed, true));
    }
  if (const Tree& into = field(field(raw.node, "into"), "rel"); into.contains("relname"))
    to.add(relation_of(into, true));
}

void collect_alter_table(const RawStatement& raw, Collector& to) {
  walk(field(raw.node, "cmds"), [&](const std::string& key, const Tree& at) {
    if (key == "PartitionCmd") to.add(relation_of(field(at, "name"), true));
    return true;
  });
  if (text_field(raw.node, "objtype") == "OBJECT_TYPE") {
    // ALTER TYPE on a composite type comes as a relation; the type is what others refer to.
    ObjectRef type = relation_of(field(raw.node, "relation"), true);
    type.kind = "type";
    to.add(type);
  }
}

void collect_rename(const RawStatement& raw, Collector& to) {
  const std::string type = text_field(raw.node, "renameType");
  const Tree& relation = field(raw.node, "relation");
  if (kRelationKinds.count(type) != 0 && relation.is_object()) {
    ObjectRef renamed = relation_of(relation, true);
    renamed.name = text_field(raw.node, "newname");
    return to.add(renamed);
  }
  const Tree& object = field(raw.node, "object");
  if (object.is_null()) {
    if (!relation.is_object() && !text_field(raw.node, "subname").empty()) {
      to.add_named(type, {text_field(raw.node, "subname")}, true);
      to.add_named(type, {text_field(raw.node, "newname")}, true);
    }
    return;
  }
  to.add_object(type, object, true);
  auto names = strings(object);
  if (const Tree& routine = field(object, "ObjectWithArgs"); routine.is_object())
    names = strings(field(routine, "objname"));
  if (names.empty() || kPartKinds.count(type) != 0) return;
  names.back() = text_field(raw.node, "newname");
  to.add_named(type, names, true);
}

void collect_new_object(const RawStatement& raw, Collector& to) {
  struct Named {
    const char* tag;
    const char* field;
    const char* object_type;
  };
  static const Named kNamed[] = {
      {"CreateEnumStmt", "typeName", "OBJECT_TYPE"},
      {"AlterEnumStmt", "typeName", "OBJECT_TYPE"},
      {"AlterTypeStmt", "typeName", "OBJECT_TYPE"},
      {"CreateRangeStmt", "typeName", "OBJECT_TYPE"},
      {"CreateDomainStmt", "domainname", "OBJECT_TYPE"},
      {"AlterDomainStmt", "typeName", "OBJECT_TYPE"},
      {"CreateFunctionStmt", "funcname", "OBJECT_FUNCTION"},
      {"CreateOpClassStmt", "opclassname", "OBJECT_OPCLASS"},
      {"CreateOpFamilyStmt", "opfamilyname", "OBJECT_OPFAMILY"},
      {"CreateConversionStmt", "conversion_name", "OBJECT_CONVERSION"},
      {"AlterTSConfigurationStmt", "cfgname", "OBJECT_TSCONFIGURATION"},
      {"AlterTSDictionaryStmt", "dictname", "OBJECT_TSDICTIONARY"},
      {"CreateStatsStmt", "defnames", "OBJECT_STATISTIC_EXT"},
      {"AlterStatsStmt", "defnames", "OBJECT_STATISTIC_EXT"},
  };
  for (const auto& rule : kNamed)
    if (raw.tag == rule.tag)
      to.add_named(rule.object_type, strings(field(raw.node, rule.field)), true);
  if (raw.tag == "DefineStmt")
    to.add_named(text_field(raw.node, "kind"), strings(field(raw.node, "defnames")), true);
  if (raw.tag == "CompositeTypeStmt") {
    ObjectRef type = relation_of(field(raw.node, "typevar"), true);
    type.kind = "type";
    to.add(type);
  }
  if (raw.tag == "AlterFunctionStmt")
    to.add_named("OBJECT_FUNCTION", strings(field(field(raw.node, "func"), "objname")), true);
  if (raw.tag == "IndexStmt" && !text_field(raw.node, "idxname").empty()) {
    ObjectRef index = relation_of(field(raw.node, "relation"), true);
    index.name = text_field(raw.node, "idxname");
    to.add(index);
  }
  if (raw.tag == "CreateTrigStmt")
    to.add(named("function", strings(field(raw.node, "funcname")), false));
  if (raw.tag == "CreateRoleStmt" || raw.tag == "AlterRoleStmt")
    to.add({"role", {}, text_field(raw.node, "role"), true, false});
  for (const auto& [tag, name, kind] :
       {std::tuple{"CreatePublicationStmt", "pubname", "publication"},
        {"AlterPublicationStmt", "pubname", "publication"},
        {"CreateSubscriptionStmt", "subname", "subscription"},
        {"AlterSubscriptionStmt", "subname", "subscription"},
        {"DropSubscriptionStmt", "subname", "subscription"},
        {"CreateForeignServerStmt", "servername", "foreign server"},
        {"CreateFdwStmt", "fdwname", "fdw"},
        {"CreatePLangStmt", "plname", "language"}})
    if (raw.tag == tag) to.add({kind, {}, text_field(raw.node, name), true, false});
}

// What CASCADE reaches, and what "all" is, only the catalog knows at the time when it runs.
bool touches_all(const RawStatement& raw) {
  bool cascades = text_field(raw.node, "behavior") == "DROP_CASCADE" &&
                  (raw.tag == "DropStmt" || raw.tag == "TruncateStmt");
  walk(field(raw.node, "cmds"), [&](const std::string& key, const Tree& at) {
    cascades |= key == "AlterTableCmd" && text_field(at, "behavior") == "DROP_CASCADE";
    return true;
  });
  const bool all_tables = (raw.tag == "VacuumStmt" && !raw.node.contains("rels")) ||
                          (raw.tag == "ReindexStmt" && !raw.node.contains("relation")) ||
                          (raw.tag == "ClusterStmt" && !raw.node.contains("relation")) ||
                          true_field(raw.node, "for_all_tables");
  return cascades || all_tables;
}

void collect_roles(const RawStatement& raw, Collector& to) {
  if (raw.tag == "DropRoleStmt")
    for (const auto& role : field(raw.node, "roles"))
      to.add({"role", {}, text_field(field(role, "RoleSpec"), "rolename"), true, false});
  if (raw.tag == "GrantRoleStmt")
    for (const auto& role : field(raw.node, "granted_roles"))
      to.add({"role", {}, text_field(field(role, "AccessPriv"), "priv_name"), true, false});
  if (raw.tag == "GrantRoleStmt")
    for (const auto& role : field(raw.node, "grantee_roles"))
      to.add({"role", {}, text_field(field(role, "RoleSpec"), "rolename"), true, false});
  if (raw.tag == "AlterSeqStmt")
    for (const auto& option : field(raw.node, "options"))
      if (text_field(field(option, "DefElem"), "defname") == "owned_by")
        to.add_named("OBJECT_COLUMN", strings(field(field(option, "DefElem"), "arg")), true);
}

void collect_schemas(const RawStatement& raw, Collector& to) {
  if (raw.tag == "CreateSchemaStmt") {
    std::string name = text_field(raw.node, "schemaname");
    if (name.empty()) name = text_field(field(raw.node, "authrole"), "rolename");
    to.add({"schema", {}, name, true, false});
  }
  if (raw.tag == "AlterObjectSchemaStmt") {
    const std::string target = text_field(raw.node, "newschema");
    to.add({"schema", {}, target, false, false});
    to.add_object(text_field(raw.node, "objectType"), field(raw.node, "object"), true);
    if (const Tree& relation = field(raw.node, "relation"); relation.is_object())
      to.add({"relation", target, text_field(relation, "relname"), true, false});
  }
}

// Objects named by type and a list of names: COMMENT, ALTER … OWNER, SECURITY LABEL, DROP, GRANT.
void collect_listed(const RawStatement& raw, Collector& to) {
  if (raw.tag == "DropStmt") {
    for (const auto& object : field(raw.node, "objects"))
      to.add_object(text_field(raw.node, "removeType"), object, true);
    return;
  }
  if (raw.tag == "GrantStmt") {
    const std::string type = text_field(raw.node, "objtype");
    const bool in_schema = text_field(raw.node, "targtype") == "ACL_TARGET_ALL_IN_SCHEMA";
    for (const auto& object : field(raw.node, "objects"))
      to.add_object(in_schema ? "OBJECT_SCHEMA" : type, object, true);
    return;
  }
  if (raw.tag == "CommentStmt" || raw.tag == "SecLabelStmt")
    return to.add_object(text_field(raw.node, "objtype"), field(raw.node, "object"), true);
  if (raw.tag == "AlterOwnerStmt" || raw.tag == "AlterObjectDependsStmt")
    to.add_object(text_field(raw.node, "objectType"), field(raw.node, "object"), true);
}

}  // namespace

std::vector<ObjectRef> references_of(const RawStatement& raw) {
  Collector to;
  if (kBarriers.count(raw.tag) != 0 || touches_all(raw)) to.add({"database", {}, {}, true, false});
  collect_direct_relations(raw, to);
  if (raw.tag == "AlterTableStmt") collect_alter_table(raw, to);
  if (raw.tag == "RenameStmt") collect_rename(raw, to);
  collect_new_object(raw, to);
  collect_schemas(raw, to);
  collect_roles(raw, to);
  collect_listed(raw, to);
  collect_all(raw, to);
  return to.take();
}

}  // namespace lockkeeper::parse
