#include "plan/announce.hpp"

#include <algorithm>

#include "plan/alter.hpp"
#include "plan/lock_rules.hpp"

namespace lockkeeper::plan {
namespace {

using parse::quoted;
using parse::quoted_name;

// Without them a row cannot be written: writers cannot leave them before they are gone.
bool cannot_be_left(const catalog::Table& table, const catalog::Column& column) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::count(names.begin(), names.end(), column.name) != 0;
  };
  return column.identity || has(table.primary_key) || has(table.proven_not_null);
}

struct Going {
  Step unread;
  Step unwritten;
  bool columns = false;
};

void add_column(const parse::Part& part, const catalog::Facts& facts, Going& going) {
  const auto* table = find_table(facts, part.relation);
  const auto* column = table == nullptr ? nullptr : find_column(*table, part.column);
  if (column == nullptr || cannot_be_left(*table, *column)) return;
  const std::string name = quoted(table->schema) + "." + quoted(table->name);
  for (auto* step : {&going.unread, &going.unwritten}) {
    step->hides.push_back({table->oid, column->name});
    step->target = name;
    step->target_oid = table->oid;
  }
  going.columns = true;
  if (!column->not_null || column->generated) return;
  const std::string alter = "ALTER TABLE " + name + " ALTER COLUMN " + quoted(column->name);
  going.unwritten.statements.push_back(alter + " DROP NOT NULL");
  going.unwritten.undo.push_back(alter + " SET NOT NULL");
  going.unwritten.locks.push_back(
      {"drop not null", quoted_name(part.relation), LockMode::access_exclusive, false, false, ""});
}

Plan as_written(const parse::Unit& unit, const catalog::Facts& facts) {
  Plan plan;
  plan.action = unit.action;
  Step step;
  const auto& statement = unit.statements.front();
  step.statements = {statement.text};
  step.says = "drops it";
  for (const auto& part : statement.parts)
    for (auto& lock : locks_of(part, facts)) step.locks.push_back(std::move(lock));
  plan.steps.push_back(std::move(step));
  return plan;
}

}  // namespace

bool destroys(const parse::Unit& unit) {
  if (unit.statements.size() != 1 || unit.unparsed || unit.opaque ||
      unit.mode != parse::Mode::transactional)
    return false;
  const auto& parts = unit.statements.front().parts;
  return std::any_of(parts.begin(), parts.end(), [](const parse::Part& part) {
    return part.kind == "drop column" || part.kind == "drop table";
  });
}

std::optional<Plan> announced(const parse::Unit& unit, const catalog::Facts& facts,
                              std::optional<Plan> steps) {
  Going going;
  for (const auto& part : unit.statements.front().parts) {
    if (part.kind == "drop column") add_column(part, facts, going);
    const auto* table = part.kind == "drop table" ? find_table(facts, part.relation) : nullptr;
    if (table != nullptr) going.unread.hides.push_back({table->oid, ""});
  }
  if (going.unread.hides.empty()) return steps;
  Plan plan = steps ? std::move(*steps) : as_written(unit, facts);
  plan.online = true;
  if (going.columns) {
    going.unwritten.schema_state = "delete only";
    going.unwritten.says = "announced: nodes do not write it any more";
    // Whoever leaves it out now writes NULL: a cancel comes too late.
    going.unwritten.late = true;
    plan.steps.insert(plan.steps.begin(), std::move(going.unwritten));
  }
  going.unread.schema_state = "write only";
  going.unread.says = going.columns ? "announced: nodes do not read it any more"
                                    : "announced: nodes do not use it any more";
  plan.steps.insert(plan.steps.begin(), std::move(going.unread));
  return plan;
}

}  // namespace lockkeeper::plan
