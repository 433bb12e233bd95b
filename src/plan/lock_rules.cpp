#include "plan/lock_rules.hpp"

#include "plan/alter.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "plan/planner.hpp"

namespace lockkeeper::plan {
namespace {

using enum LockMode;

struct Rule {
  LockMode mode;
  bool rewrites = false;
  bool scans = false;
  const char* note = "";
};

// Parts whose lock does not depend on anything. What is not here takes ACCESS EXCLUSIVE.
const std::map<std::string_view, Rule> kRules = {
    {"create index", {share, false, true, "CREATE INDEX CONCURRENTLY would not block writes"}},
    {"drop index", {access_exclusive, false, false, "waits for every query on the table"}},
    {"validate constraint", {share_update_exclusive, false, true, ""}},
    {"set statistics", {share_update_exclusive}},
    {"set column options", {share_update_exclusive}},
    {"set table options", {share_update_exclusive}},
    {"cluster on", {share_update_exclusive}},
    {"set without cluster", {share_update_exclusive}},
    {"rename index", {share_update_exclusive}},
    {"attach partition", {share_update_exclusive}},
    {"enable trigger", {share_row_exclusive}},
    {"disable trigger", {share_row_exclusive}},
    {"create trigger", {share_row_exclusive}},
    {"write rows", {row_exclusive}},
    {"create table", {none}},
    {"drop view", {none}},
    {"add partition",
     {access_exclusive, false, false,
      "CREATE TABLE (LIKE …) and ATTACH PARTITION would take SHARE UPDATE EXCLUSIVE"}},
    {"set unlogged", {access_exclusive, true, true, ""}},
    {"set logged", {access_exclusive, true, true, ""}},
    {"set tablespace", {access_exclusive, true, true, "the files are copied"}},
    {"set expression", {access_exclusive, true, true, ""}},
    {"vacuum full", {access_exclusive, true, true, ""}},
    {"reindex", {share, false, true, "REINDEX CONCURRENTLY would not block writes"}},
    {"cluster", {access_exclusive, true, true, ""}},
    {"refresh materialized view",
     {access_exclusive, true, true, "CONCURRENTLY would not block reads"}},
};

TableLock lock(const parse::Part& part, const parse::ObjectRef& on, const Rule& rule) {
  return {part.kind, parse::quoted_name(on), rule.mode, rule.rewrites, rule.scans, rule.note};
}

const catalog::Table* table_of(const parse::Part& part, const catalog::Facts& facts) {
  const auto found = facts.tables.find(parse::quoted_name(part.relation));
  return found == facts.tables.end() ? nullptr : &found->second;
}

bool calls_volatile(const parse::Part& part, const catalog::Facts& facts) {
  return std::any_of(part.functions.begin(), part.functions.end(), [&](const auto& name) {
    const auto found = facts.volatile_function.find(name);
    // A function that nobody knows yet may be volatile.
    return found == facts.volatile_function.end() || found->second;
  });
}

Rule add_column(const parse::Part& part, const catalog::Facts& facts) {
  Rule rule{access_exclusive};
  const auto domain = facts.constrained_domain.find(part.type);
  if (part.serial || part.identity) {
    rule = {access_exclusive, true, true, "each row gets a number of its own"};
  } else if (part.generated_stored) {
    rule = {access_exclusive, true, true, "a stored generated column is computed for each row"};
  } else if (part.has_default && calls_volatile(part, facts)) {
    rule = {access_exclusive, true, true, "a volatile default is evaluated for each row"};
  } else if (domain != facts.constrained_domain.end() && domain->second) {
    rule = {access_exclusive, true, true, "a domain with constraints is checked for each row"};
  }
  if (part.check || part.unique || (part.foreign_key && part.has_default)) {
    rule.scans = true;
    if (*rule.note == '\0') rule.note = "the constraint is checked against each row";
  }
  return rule;
}

Rule add_constraint(const parse::Part& part) {
  if (part.constraint_type == "foreign key")
    return {
        share_row_exclusive, false, !part.not_valid,
        part.not_valid ? "" : "NOT VALID, then VALIDATE CONSTRAINT, would not read rows under it"};
  if (part.using_index) return {access_exclusive};
  if (part.not_valid) return {access_exclusive};
  if (part.constraint_type == "check" || part.constraint_type == "not null")
    return {access_exclusive, false, true,
            "NOT VALID, then VALIDATE CONSTRAINT, would not read rows under it"};
  return {access_exclusive, false, true, "an index is built under it"};
}

Rule set_not_null(const parse::Part& part, const catalog::Facts& facts) {
  const auto* table = table_of(part, facts);
  const bool proven = table != nullptr && std::count(table->proven_not_null.begin(),
                                                     table->proven_not_null.end(), part.column) > 0;
  if (proven) return {access_exclusive, false, false, "a valid CHECK proves it"};
  return {access_exclusive, false, true, "a valid CHECK (… IS NOT NULL) would spare the scan"};
}

Rule modify_column(const parse::Part& part, const catalog::Facts& facts) {
  const auto* table = table_of(part, facts);
  const auto* column = table != nullptr ? find_column(*table, part.column) : nullptr;
  if (table != nullptr && table->rehearsal && !table->rehearsal->rewrites)
    return {access_exclusive, false, false, "the stored values stay; statistics are lost"};
  const bool free =
      column != nullptr && !part.has_using && !type_change_rewrites(*column, part.type);
  if (free) return {access_exclusive, false, false, "the stored values stay; statistics are lost"};
  return {access_exclusive, true, true, "every row and every index is written anew"};
}

Rule rule_of(const parse::Part& part, const catalog::Facts& facts) {
  if (part.kind == "add column") return add_column(part, facts);
  if (part.kind == "add constraint") return add_constraint(part);
  if (part.kind == "set not null") return set_not_null(part, facts);
  if (part.kind == "modify column") return modify_column(part, facts);
  if (part.concurrently && (part.kind == "create index" || part.kind == "reindex"))
    return {share_update_exclusive, false, true, "waits for older transactions"};
  if (part.concurrently && (part.kind == "drop index" || part.kind == "detach partition"))
    return {share_update_exclusive, false, false, "waits for older transactions"};
  if (part.concurrently && part.kind == "refresh materialized view")
    return {exclusive, false, true, ""};
  const auto found = kRules.find(part.kind);
  return found != kRules.end() ? found->second : Rule{access_exclusive};
}

void add_others(const parse::Part& part, const catalog::Facts& facts,
                std::vector<TableLock>& locks) {
  for (const auto& other : part.others) {
    Rule rule{share_row_exclusive, false, false, "the referenced table"};
    if (part.kind == "attach partition")
      rule = {access_exclusive, false, true, "a CHECK that implies the bound would spare the scan"};
    if (part.kind == "detach partition") rule = {access_exclusive, false, false, "the partition"};
    locks.push_back(lock(part, other, rule));
  }
  const auto* table = table_of(part, facts);
  if (table == nullptr || (part.kind != "drop table" && part.kind != "modify column")) return;
  for (const auto& name : table->referenced_by)
    locks.push_back({part.kind, name, access_exclusive, false, false, "has a foreign key to it"});
}

struct TypeText {
  std::string name;
  int first = -1;
  int second = -1;
};

TypeText split(const std::string& text) {
  TypeText type;
  const auto open = text.find('(');
  type.name = text.substr(0, open);
  if (open != std::string::npos) {
    type.first = std::atoi(text.c_str() + open + 1);
    const auto comma = text.find(',', open);
    type.second = comma != std::string::npos ? std::atoi(text.c_str() + comma + 1) : 0;
  }
  static const std::map<std::string, std::string> kSynonyms = {
      {"character varying", "varchar"},
      {"integer", "int4"},
      {"bigint", "int8"},
      {"smallint", "int2"},
      {"timestamp without time zone", "timestamp"},
      {"timestamp with time zone", "timestamptz"},
      {"character", "bpchar"},
      {"boolean", "bool"},
      {"double precision", "float8"},
      {"real", "float4"}};
  if (const auto found = kSynonyms.find(type.name); found != kSynonyms.end())
    type.name = found->second;
  return type;
}

}  // namespace

bool type_change_rewrites(const catalog::Column& old, const std::string& wanted) {
  const TypeText from = split(old.type);
  const TypeText to = split(wanted);
  // A varchar's modifier holds its length + 4; a numeric's (precision << 16 | scale) + 4.
  const bool text_like = from.name == "varchar" || from.name == "text";
  if (text_like && to.name == "text") return false;
  if (text_like && to.name == "varchar")
    return to.first >= 0 &&
           (from.name == "text" || old.type_modifier < 0 || to.first < old.type_modifier - 4);
  if (from.name == "numeric" && to.name == "numeric") {
    if (to.first < 0) return false;
    if (old.type_modifier < 0) return true;
    const int precision = ((old.type_modifier - 4) >> 16) & 0xffff;
    const int scale = (old.type_modifier - 4) & 0x7ff;
    return to.first < precision || std::max(to.second, 0) != scale;
  }
  if (from.name == to.name && to.first < 0 && old.type_modifier < 0) return false;
  return true;
}

std::vector<TableLock> locks_of(const parse::Part& part, const catalog::Facts& facts) {
  std::vector<TableLock> locks{lock(part, part.relation, rule_of(part, facts))};
  add_others(part, facts, locks);
  return locks;
}

}  // namespace lockkeeper::plan
