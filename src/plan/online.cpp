#include "plan/online.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "parse/rewrite.hpp"
#include "plan/alter.hpp"
#include "plan/announce.hpp"
#include "plan/lock_rules.hpp"
#include "plan/partitions.hpp"

namespace lockkeeper::plan {

const catalog::Table* find_table(const catalog::Facts& facts, const parse::ObjectRef& ref) {
  const auto found = facts.tables.find(parse::quoted_name(ref));
  return found == facts.tables.end() ? nullptr : &found->second;
}

const catalog::Column* find_column(const catalog::Table& table, const std::string& name) {
  const auto found =
      std::find_if(table.columns.begin(), table.columns.end(),
                   [&](const catalog::Column& column) { return column.name == name; });
  return found == table.columns.end() ? nullptr : &*found;
}

namespace {

using parse::quoted;
using parse::quoted_name;

Plan create_index(const parse::Unit& unit, const catalog::Table& table,
                  const parse::ConcurrentIndex& index) {
  const auto& part = unit.statements.front().parts.front();
  Plan plan;
  plan.action = unit.action;
  plan.online = true;
  Step step;
  step.kind = StepKind::build_index;
  step.statements = {index.text};
  step.table = quoted(table.schema) + "." + quoted(table.name);
  step.index = quoted(index.name);
  step.target = step.table;
  step.target_oid = table.oid;
  step.locks.push_back({"create index", quoted_name(part.relation),
                        LockMode::share_update_exclusive, false, true, ""});
  step.says = "builds the index beside reads and writes";
  plan.steps.push_back(std::move(step));
  return plan;
}

// One at a time: of several, some could be gone and the others not.
std::optional<Plan> drop_index(const parse::Unit& unit, const catalog::Facts& facts) {
  const auto& parts = unit.statements.front().parts;
  const auto* index = find_table(facts, parts.front().relation);
  if (parts.size() > 1 || index == nullptr || index->kind != "i" || index->of_constraint ||
      index->bytes <= kSmallTable)
    return std::nullopt;
  Step step;
  step.kind = StepKind::outside_transaction;
  step.statements = {"DROP INDEX CONCURRENTLY " + quoted(index->schema) + "." +
                     quoted(index->name)};
  step.locks.push_back({"drop index", quoted_name(parts.front().relation),
                        LockMode::share_update_exclusive, false, false, ""});
  step.says = "waits for the queries that use the index, and stops no other";
  Plan plan;
  plan.action = unit.action;
  plan.steps.push_back(std::move(step));
  plan.online = true;
  return plan;
}

// A cut in the middle of a character of several bytes takes all of it.
void drop_half_character(std::string& cut, const std::string& whole) {
  const auto continues = [&](std::size_t at) {
    return at < whole.size() && (static_cast<unsigned char>(whole[at]) & 0xC0U) == 0x80U;
  };
  while (!cut.empty() && continues(cut.size())) cut.pop_back();
}

bool is_large(const parse::Unit& unit, const catalog::Facts& facts) {
  for (const auto& part : unit.statements.front().parts) {
    const auto* table = find_table(facts, part.relation);
    if (table != nullptr && table->bytes > kSmallTable) return true;
    for (const auto& other : part.others) {
      const auto* target = find_table(facts, other);
      if (target != nullptr && target->bytes > kSmallTable) return true;
    }
  }
  return false;
}

}  // namespace

std::string chosen_name(const std::string& table, const std::vector<std::string>& columns,
                        const std::string& what, const std::vector<std::string>& taken) {
  std::string middle;
  for (const auto& column : columns) middle += (middle.empty() ? "" : "_") + column;
  for (int pass = 0;; ++pass) {
    std::string first = table;
    std::string second = middle;
    const std::string end = "_" + what + (pass == 0 ? "" : std::to_string(pass));
    // Names have 63 bytes at most: the longer part loses its end.
    const auto length = [&] {
      return first.size() + (second.empty() ? 0 : 1 + second.size()) + end.size();
    };
    while (length() > 63) (first.size() > second.size() ? first : second).pop_back();
    drop_half_character(first, table);
    drop_half_character(second, middle);
    std::string name = first;
    if (!second.empty()) name.append("_").append(second);
    name.append(end);
    if (std::count(taken.begin(), taken.end(), name) == 0) return name;
  }
}

bool may_be_online(const parse::Unit& unit) {
  if (unit.statements.size() != 1 || unit.unparsed || unit.opaque ||
      unit.mode != parse::Mode::transactional)
    return false;
  const auto& parts = unit.statements.front().parts;
  return std::any_of(parts.begin(), parts.end(), [](const parse::Part& part) {
    if (part.kind == "create index") return !part.concurrently;
    if (part.kind == "drop index") return !part.concurrently && !part.cascade;
    if (part.kind == "add column")
      return part.unique || part.check || part.foreign_key || part.fills;
    if (part.kind == "modify column") return true;
    if (part.kind == "add constraint")
      return !part.using_index && !part.not_valid && part.constraint_type != "exclusion";
    return part.kind == "set not null";
  });
}

namespace {

std::optional<Plan> in_steps(const parse::Unit& unit, const catalog::Facts& facts,
                             std::string* why) {
  const auto as_written = [&](const std::string& reason) -> std::optional<Plan> {
    if (why != nullptr) *why = reason;
    return std::nullopt;
  };
  if (!may_be_online(unit)) return std::nullopt;
  const auto& statement = unit.statements.front();
  if (statement.action == "drop index") return drop_index(unit, facts);
  const auto& part = statement.parts.front();
  const auto* table = find_table(facts, part.relation);
  if (table == nullptr || !is_large(unit, facts)) return std::nullopt;
  if (part.kind == "create index") {
    if (table->kind == "p") return partitioned_index(unit, *table, why);
    if (table->kind != "r" && table->kind != "m") return std::nullopt;
    const auto index =
        parse::concurrent_index(statement.text, table->schema, [&](const auto& columns) {
          return chosen_name(table->name, columns, "idx", table->taken_relations);
        });
    return index ? std::optional(create_index(unit, *table, *index)) : std::nullopt;
  }
  // PostgreSQL itself says best what is wrong with it.
  if (table->rehearsal && table->rehearsal->fails)
    return as_written("tried on an empty copy of the table, it fails");
  // What is inherited is merged with what the children have, by rules of its own.
  if (table->kind == "r" && table->has_children)
    return as_written("other tables inherit from " + quoted(table->name));
  auto alter = parse::AlterTable::of(statement.text);
  if (!alter) return as_written("this build cannot take the statement apart");
  std::map<std::size_t, std::string> targets;
  for (std::size_t i = 0; i < alter->pieces().size(); ++i)
    for (const auto& other : alter->pieces()[i].part.others)
      if (const auto* target = find_table(facts, other)) targets[i] = target->schema;
  alter->qualify(table->schema, targets);
  Alter steps(unit, *alter, *table, facts);
  auto plan = steps.plan();
  return plan ? plan : as_written(steps.why());
}

}  // namespace

std::optional<Plan> online(const parse::Unit& unit, const catalog::Facts& facts, std::string* why) {
  auto plan = in_steps(unit, facts, why);
  return facts.nodes && destroys(unit) ? announced(unit, facts, std::move(plan)) : plan;
}

}  // namespace lockkeeper::plan
