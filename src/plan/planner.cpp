#include "plan/planner.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "parse/rewrite.hpp"
#include "plan/lock_rules.hpp"
#include "plan/online.hpp"

namespace lockkeeper::plan {
namespace {

const parse::Part* concurrent_index(const parse::Unit& unit) {
  for (const auto& statement : unit.statements)
    for (const auto& part : statement.parts)
      if (part.kind == "create index" && part.concurrently) return &part;
  return nullptr;
}

}  // namespace

const char* to_string(LockMode mode) {
  switch (mode) {
    case LockMode::none:
      return "none";
    case LockMode::access_share:
      return "ACCESS SHARE";
    case LockMode::row_share:
      return "ROW SHARE";
    case LockMode::row_exclusive:
      return "ROW EXCLUSIVE";
    case LockMode::share_update_exclusive:
      return "SHARE UPDATE EXCLUSIVE";
    case LockMode::share:
      return "SHARE";
    case LockMode::share_row_exclusive:
      return "SHARE ROW EXCLUSIVE";
    case LockMode::exclusive:
      return "EXCLUSIVE";
    case LockMode::access_exclusive:
      return "ACCESS EXCLUSIVE";
  }
  return "none";
}

LockMode lock_mode_from(const std::string& name) {
  for (int mode = 0; mode <= static_cast<int>(LockMode::access_exclusive); ++mode)
    if (name == to_string(static_cast<LockMode>(mode))) return static_cast<LockMode>(mode);
  throw Error(Retry::never, "there is no lock mode " + name);
}

const char* blocks(LockMode mode) {
  if (mode == LockMode::access_exclusive) return "blocks reads and writes";
  if (mode >= LockMode::share) return "blocks writes";
  return "blocks neither reads nor writes";
}

const char* to_string(StepKind kind) {
  switch (kind) {
    case StepKind::transaction:
      return "transaction";
    case StepKind::outside_transaction:
      return "outside transaction";
    case StepKind::build_index:
      return "build index";
    case StepKind::probe:
      return "probe";
    case StepKind::backfill:
      return "backfill";
  }
  return "transaction";
}

StepKind step_kind_from(const std::string& name) {
  for (const auto kind : {StepKind::transaction, StepKind::outside_transaction,
                          StepKind::build_index, StepKind::probe, StepKind::backfill})
    if (name == to_string(kind)) return kind;
  throw Error(Retry::never, "there is no kind of step " + name);
}

bool patient(const Step& step) {
  return !step.locks.empty() &&
         std::all_of(step.locks.begin(), step.locks.end(), [](const TableLock& lock) {
           return lock.mode <= LockMode::share_update_exclusive;
         });
}

namespace {

// About columns alone: of constraints, a copy has not all that the table has.
bool can_be_rehearsed(const std::string& kind) {
  return kind == "modify column" || kind == "set default" || kind == "drop default" ||
         kind == "drop not null" || kind == "set not null";
}

// A table that may have to be backfilled, and what is to be tried on a copy of it.
void want_filling(const parse::Unit& unit, catalog::Wanted& wanted) {
  if (!may_be_online(unit)) return;
  const auto& statement = unit.statements.front();
  const auto& parts = statement.parts;
  if (std::none_of(parts.begin(), parts.end(), [](const auto& part) { return part.fills; })) return;
  wanted.filled = parse::quoted_name(parts.front().relation);
  wanted.rehearsed_from = kSmallTable;
  for (const auto& part : parts)
    if (part.kind == "modify column") wanted.changed_columns.push_back(part.column);
  if (wanted.changed_columns.empty()) return;
  auto alter = parse::AlterTable::of(statement.text);
  if (!alter) return;
  std::vector<parse::Written> changes;
  for (std::size_t i = 0; i < alter->pieces().size(); ++i)
    if (can_be_rehearsed(alter->pieces()[i].part.kind)) changes.push_back({i, {}, false, {}});
  alter->qualify("pg_temp", {});
  wanted.rehearsal = alter->text(changes);
}

}  // namespace

catalog::Wanted wanted_facts(const parse::Unit& unit, const std::string& role) {
  catalog::Wanted wanted;
  wanted.role = role;
  want_filling(unit, wanted);
  if (may_be_online(unit) && unit.statements.front().action == "add index")
    wanted.indexed = parse::quoted_name(unit.statements.front().parts.front().relation);
  for (const auto& statement : unit.statements) {
    for (const auto& part : statement.parts) {
      wanted.tables.push_back(parse::quoted_name(part.relation));
      for (const auto& other : part.others) wanted.tables.push_back(parse::quoted_name(other));
      wanted.functions.insert(wanted.functions.end(), part.functions.begin(), part.functions.end());
      if (!part.type.empty()) wanted.types.push_back(part.type);
    }
  }
  return wanted;
}

Plan steps_of(const parse::Unit& unit) {
  Plan plan;
  plan.action = unit.action;
  Step step;
  for (const auto& statement : unit.statements) step.statements.push_back(statement.text);
  if (unit.mode == parse::Mode::outside_transaction) {
    step.kind = StepKind::outside_transaction;
    if (const auto* part = concurrent_index(unit)) {
      step.kind = StepKind::build_index;
      step.table = parse::quoted_name(part->relation);
      if (!part->column.empty()) step.index = parse::quoted(part->column);
    }
  }
  plan.steps.push_back(std::move(step));
  return plan;
}

namespace {

// Bytes in a second, as a small machine does it with the table in memory: an estimate, no promise.
constexpr double kScanned = 1e9;
constexpr double kRewritten = 1e8;

void estimate(Plan& plan, const catalog::Facts& facts) {
  for (const auto& [name, table] : facts.tables) plan.bytes += table.bytes;
  for (auto& step : plan.steps)
    for (auto& lock : step.locks)
      lock.seconds = static_cast<double>(plan.bytes) *
                     ((lock.rewrites ? 1 / kRewritten : 0) + (lock.scans ? 1 / kScanned : 0));
}

// More than who wrote the file may have meant.
void tell_what_is_together(Plan& plan, const parse::Unit& unit) {
  if (unit.together_by.empty() || unit.together_by.rfind("BEGIN", 0) == 0) return;
  plan.remarks.push_back(std::to_string(unit.statements.size()) +
                         " statements are one job in one transaction: " + unit.together_by +
                         " leaves something in the session that the last of them may use");
}

// What nobody can have back afterwards, and what he can (promise 14).
void tell_what_is_lost(Plan& plan, const parse::Unit& unit, const catalog::Facts& facts) {
  std::set<std::string> told;
  const auto tell = [&](const std::string& remark) {
    if (told.insert(remark).second) plan.remarks.push_back(remark);
  };
  for (const auto& statement : unit.statements) {
    if (statement.action == "drop schema") tell("what is in the schema is gone for good");
    for (const auto& part : statement.parts) {
      if (part.kind == "drop column") tell("what the column holds is gone for good at the end");
      if (part.kind == "truncate table") tell("the rows are gone for good");
      if (part.kind != "drop table" || !facts.not_kept) continue;
      if (!facts.not_kept->empty())
        tell("the table is gone for good: " + *facts.not_kept);
      else if (part.cascade)
        tell("the table can be restored from the trash, unless other objects are dropped with it");
      else
        tell("the table can be restored from the trash");
    }
  }
}

}  // namespace

double stall(const Plan& plan) {
  double longest = 0;
  for (const auto& step : plan.steps)
    for (const auto& lock : step.locks)
      if (lock.mode >= LockMode::share) longest = std::max(longest, lock.seconds);
  return longest;
}

Plan explain(const parse::Unit& unit, const catalog::Facts& facts) {
  std::string why;
  if (auto steps = online(unit, facts, &why)) {
    estimate(*steps, facts);
    tell_what_is_lost(*steps, unit, facts);
    return *steps;
  }
  Plan plan = steps_of(unit);
  for (const auto& statement : unit.statements)
    for (const auto& part : statement.parts)
      for (auto& lock : locks_of(part, facts)) plan.steps.front().locks.push_back(std::move(lock));
  estimate(plan, facts);
  tell_what_is_together(plan, unit);
  if (!why.empty()) plan.remarks.push_back("runs as it is written: " + why);
  tell_what_is_lost(plan, unit, facts);
  return plan;
}

}  // namespace lockkeeper::plan
