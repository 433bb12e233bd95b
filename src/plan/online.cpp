#include "plan/online.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "parse/rewrite.hpp"
#include "plan/lock_rules.hpp"

namespace lockkeeper::plan {
namespace {

using parse::quoted;
using parse::quoted_name;

const catalog::Table* find(const catalog::Facts& facts, const parse::ObjectRef& ref) {
  const auto found = facts.tables.find(quoted_name(ref));
  return found == facts.tables.end() ? nullptr : &found->second;
}

std::string list(const std::vector<std::string>& columns) {
  std::string text;
  for (const auto& column : columns) text += (text.empty() ? "" : ", ") + quoted(column);
  return text;
}

const catalog::Column* column_of(const catalog::Table& table, const std::string& name) {
  const auto found =
      std::find_if(table.columns.begin(), table.columns.end(),
                   [&](const catalog::Column& column) { return column.name == name; });
  return found == table.columns.end() ? nullptr : &*found;
}

bool proven(const catalog::Table& table, const std::string& column) {
  return std::count(table.proven_not_null.begin(), table.proven_not_null.end(), column) != 0;
}

// Changes of the catalog alone that can wait for the last step: nothing before it needs them.
bool can_be_last(const std::string& kind) {
  static const std::set<std::string> kKinds = {
      "set default",     "drop default",      "drop not null",      "drop column",
      "drop constraint", "set statistics",    "set storage",        "set compression",
      "owner to",        "set table options", "set column options", "alter constraint"};
  return kKinds.count(kind) != 0;
}

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
  const auto* index = find(facts, parts.front().relation);
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
  return Plan{unit.action, {step}, true};
}

// One ALTER TABLE, sorted into what comes first (and can be taken back), what is built, what is
// proved, and what comes last.
class Alter {
 public:
  Alter(const parse::Unit& unit, const parse::AlterTable& alter, const catalog::Table& table,
        const catalog::Facts& facts)
      : unit_(unit), alter_(alter), table_(table), facts_(facts) {
    const bool only = alter.table().compare(0, 5, "ONLY ") == 0;
    name_ = (only ? "ONLY " : "") + quoted(table.schema) + "." + quoted(table.name);
  }

  std::optional<Plan> plan() {
    for (const auto& piece : alter_.pieces()) {
      if (piece.part.kind == "drop constraint") dropped_.insert(piece.constraint);
      if (piece.part.kind == "add column") added_.insert(piece.part.column);
    }
    for (std::size_t i = 0; i < alter_.pieces().size(); ++i)
      if (!place(i)) return std::nullopt;
    // A foreign key to a key that is still to be made.
    if (makes_key_ && refers_to_itself_) return std::nullopt;
    if (!gains_ || clash()) return std::nullopt;
    return steps();
  }

 private:
  bool place(std::size_t i);
  bool place_constraint(std::size_t i);
  bool place_unique(std::size_t i);
  void prove_not_null(const std::string& column);
  [[nodiscard]] bool clash() const;
  [[nodiscard]] bool is_taken(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> taken_for(const std::string& what) const;
  [[nodiscard]] bool adds_instantly(const parse::AlterPiece& piece) const;
  std::string name_for(const parse::AlterPiece& piece, const std::string& what);
  std::optional<Plan> steps();
  Step step(StepKind kind, LockMode mode, bool scans, const std::string& says) const;

  const parse::Unit& unit_;
  const parse::AlterTable& alter_;
  const catalog::Table& table_;
  const catalog::Facts& facts_;
  std::string name_;
  bool gains_ = false;
  std::vector<parse::Written> first_;
  std::vector<std::string> helpers_;     ///< ADD CONSTRAINT … NOT VALID of our own, by text
  std::vector<std::string> first_undo_;  ///< in the order in which they are to be run
  std::vector<TableLock> first_locks_;
  std::vector<Step> builds_;
  std::vector<std::string> proofs_;  ///< VALIDATE CONSTRAINT "x"
  std::vector<TableLock> proof_locks_;
  std::vector<std::string> set_not_null_;
  std::vector<parse::Written> last_;
  std::vector<std::string> drop_helpers_;
  std::set<std::string> dropped_;  ///< constraints that the statement drops
  std::set<std::string> added_;    ///< columns that it adds
  bool makes_key_ = false, refers_to_itself_ = false;
  std::vector<std::string> names_;  ///< given to constraints by us
};

Step Alter::step(StepKind kind, LockMode mode, bool scans, const std::string& says) const {
  Step made;
  made.kind = kind;
  made.says = says;
  made.target = quoted(table_.schema) + "." + quoted(table_.name);
  made.target_oid = table_.oid;
  made.locks.push_back(
      {unit_.action, quoted(table_.schema) + "." + quoted(table_.name), mode, false, scans, ""});
  return made;
}

bool Alter::is_taken(const std::string& name) const {
  const auto& taken = table_.taken_constraints;
  return !name.empty() && dropped_.count(name) == 0 &&
         std::count(taken.begin(), taken.end(), name) != 0;
}

// Names of keys are those of their indexes too.
std::vector<std::string> Alter::taken_for(const std::string& what) const {
  auto taken = table_.taken_constraints;
  if (what == "key" || what == "pkey")
    taken.insert(taken.end(), table_.taken_relations.begin(), table_.taken_relations.end());
  taken.erase(std::remove_if(taken.begin(), taken.end(),
                             [&](const auto& name) { return dropped_.count(name) != 0; }),
              taken.end());
  taken.insert(taken.end(), names_.begin(), names_.end());
  return taken;
}

std::string Alter::name_for(const parse::AlterPiece& piece, const std::string& what) {
  if (!piece.constraint.empty()) return piece.constraint;
  auto columns = piece.columns;
  columns.erase(std::remove_if(columns.begin(), columns.end(),
                               [&](const auto& column) {
                                 return column_of(table_, column) == nullptr &&
                                        added_.count(column) == 0;
                               }),
                columns.end());
  if (what == "check" && columns.size() != 1) columns.clear();
  if (what == "key") columns.insert(columns.end(), piece.including.begin(), piece.including.end());
  if (what == "pkey") columns.clear();
  names_.push_back(chosen_name(table_.name, columns, what, taken_for(what)));
  return names_.back();
}

bool Alter::adds_instantly(const parse::AlterPiece& piece) const {
  if (piece.plain_only) return false;
  const auto locks = locks_of(piece.part, facts_);
  return std::none_of(locks.begin(), locks.end(),
                      [](const TableLock& lock) { return lock.rewrites || lock.scans; });
}

// CHECK (x IS NOT NULL) is enough for SET NOT NULL to look at no row (PostgreSQL 12 and later).
void Alter::prove_not_null(const std::string& column) {
  const auto taken = taken_for("check");
  std::string name;
  for (int n = 1; name.empty() || std::count(taken.begin(), taken.end(), name) != 0; ++n)
    name = "lockkeeper_not_null_" + std::to_string(n);
  names_.push_back(name);
  const std::string helper = quoted(names_.back());
  helpers_.push_back("ALTER TABLE " + name_ + " ADD CONSTRAINT " + helper + " CHECK (" +
                     quoted(column) + " IS NOT NULL) NOT VALID");
  first_undo_.push_back("ALTER TABLE IF EXISTS " + name_ + " DROP CONSTRAINT IF EXISTS " + helper);
  proofs_.push_back("VALIDATE CONSTRAINT " + helper);
  drop_helpers_.push_back("DROP CONSTRAINT " + helper);
  gains_ = true;
}

bool Alter::place_unique(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const bool primary = piece.part.constraint_type == "primary key";
  if (piece.plain_only || piece.columns.empty() || table_.kind != "r") return false;
  if (piece.part.using_index) {
    last_.push_back({i, {}, false, {}});
    return !primary;
  }
  makes_key_ = true;
  const std::string name = name_for(piece, primary ? "pkey" : "key");
  // In the place of one that is dropped: the index takes its name only when that is free.
  const bool replaces = dropped_.count(name) != 0;
  const std::string index =
      replaces ? chosen_name(table_.name, {"lockkeeper"}, "key", table_.taken_relations) : name;
  if (primary) {
    for (const auto& column : piece.columns) {
      const auto* known = column_of(table_, column);
      if (known == nullptr || known->composite) return false;
      if (known->not_null) continue;
      if (!proven(table_, column)) prove_not_null(column);
      set_not_null_.push_back(column);
    }
  }
  Step build = step(StepKind::build_index, LockMode::share_update_exclusive, true,
                    "builds the unique index beside reads and writes");
  build.index = quoted(index);
  build.table = quoted(table_.schema) + "." + quoted(table_.name);
  build.statements = {"CREATE UNIQUE INDEX CONCURRENTLY " + build.index + " ON " + build.table +
                      " (" + list(piece.columns) + ")" +
                      (piece.including.empty() ? "" : " INCLUDE (" + list(piece.including) + ")") +
                      (piece.nulls_not_distinct ? " NULLS NOT DISTINCT" : "")};
  build.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + quoted(table_.schema) + "." + build.index};
  build.schema_state = "write reorganization";
  builds_.push_back(std::move(build));
  last_.push_back({i, name, false, index});
  gains_ = true;
  return true;
}

bool Alter::place_constraint(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const std::string& type = piece.part.constraint_type;
  if (!piece.part.using_index && is_taken(piece.constraint)) return false;
  if (type == "unique" || type == "primary key") return place_unique(i);
  if (type != "check" && type != "foreign key") return false;
  if (type == "foreign key") {
    // A partitioned table takes no foreign key NOT VALID before 18, nor does one refer to itself
    // better.
    const auto* target = find(facts_, piece.part.others.front());
    if (target == nullptr || table_.kind != "r" || target->kind != "r") return false;
    refers_to_itself_ = refers_to_itself_ || target->oid == table_.oid;
    first_locks_.push_back({"add constraint", quoted_name(piece.part.others.front()),
                            LockMode::share_row_exclusive, false, false, ""});
    proof_locks_.push_back({"validate constraint", quoted_name(piece.part.others.front()),
                            LockMode::row_share, false, false, ""});
  }
  if (piece.part.not_valid) {
    first_.push_back({i, {}, false, {}});
    first_undo_.push_back("ALTER TABLE IF EXISTS " + name_ + " DROP CONSTRAINT IF EXISTS " +
                          quoted(piece.constraint));
    return !piece.constraint.empty() && dropped_.count(piece.constraint) == 0;
  }
  const std::string name = name_for(piece, type == "check" ? "check" : "fkey");
  if (dropped_.count(name) != 0) return false;
  first_.push_back({i, name, true, {}});
  first_undo_.push_back("ALTER TABLE IF EXISTS " + name_ + " DROP CONSTRAINT IF EXISTS " +
                        quoted(name));
  proofs_.push_back("VALIDATE CONSTRAINT " + quoted(name));
  gains_ = true;
  return true;
}

bool Alter::place(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const auto& part = piece.part;
  if (part.kind == "add constraint") return place_constraint(i);
  if (part.kind == "set not null") {
    const auto* column = column_of(table_, part.column);
    if (column == nullptr || column->composite) return false;
    if (!column->not_null && !proven(table_, part.column)) prove_not_null(part.column);
    set_not_null_.push_back(part.column);
    return true;
  }
  if (part.kind == "add column") {
    // What is there already is not ours to take back.
    if (!adds_instantly(piece) || column_of(table_, part.column) != nullptr) return false;
    first_.push_back({i, {}, false, {}});
    first_undo_.push_back("ALTER TABLE IF EXISTS " + name_ + " DROP COLUMN IF EXISTS " +
                          quoted(part.column));
    return true;
  }
  if (!can_be_last(part.kind)) return false;
  last_.push_back({i, {}, false, {}});
  return true;
}

// What comes last must not be about a thing that comes first.
bool Alter::clash() const {
  std::set<std::string> early;
  for (const auto& written : first_) {
    const auto& piece = alter_.pieces()[written.piece];
    early.insert(piece.part.column);
    early.insert(piece.columns.begin(), piece.columns.end());
    early.insert(written.constraint.empty() ? piece.constraint : written.constraint);
  }
  for (const auto& build : builds_) early.insert(build.index.substr(1, build.index.size() - 2));
  early.insert(set_not_null_.begin(), set_not_null_.end());
  early.erase("");
  return std::any_of(last_.begin(), last_.end(), [&](const parse::Written& written) {
    const auto& piece = alter_.pieces()[written.piece];
    const auto& kind = piece.part.kind;
    if (kind == "drop column" || kind == "drop not null")
      return early.count(piece.part.column) != 0;
    return kind == "drop constraint" && early.count(piece.constraint) != 0;
  });
}

std::optional<Plan> Alter::steps() {
  Plan plan;
  plan.action = unit_.action;
  plan.online = true;
  if (!first_.empty() || !helpers_.empty()) {
    const bool keys_only = helpers_.empty() && first_locks_.size() == first_.size();
    Step made = step(StepKind::transaction,
                     keys_only ? LockMode::share_row_exclusive : LockMode::access_exclusive, false,
                     "changes the catalog only, under a short lock; new rows obey from here on");
    if (!first_.empty()) made.statements.push_back(alter_.text(first_));
    made.statements.insert(made.statements.end(), helpers_.begin(), helpers_.end());
    made.undo.assign(first_undo_.rbegin(), first_undo_.rend());
    made.schema_state = "write only";
    made.locks.insert(made.locks.end(), first_locks_.begin(), first_locks_.end());
    plan.steps.push_back(std::move(made));
  }
  for (auto& build : builds_) plan.steps.push_back(std::move(build));
  std::string proofs;
  for (const auto& proof : proofs_) proofs += (proofs.empty() ? " " : ", ") + proof;
  if (!proofs_.empty()) {
    Step made = step(StepKind::transaction, LockMode::share_update_exclusive, true,
                     "reads all rows once, beside reads and writes");
    made.statements = {"ALTER TABLE " + name_ + proofs};
    made.schema_state = "write reorganization";
    made.locks.insert(made.locks.end(), proof_locks_.begin(), proof_locks_.end());
    plan.steps.push_back(std::move(made));
  }
  if (last_.empty() && set_not_null_.empty()) return plan;
  Step made = step(StepKind::transaction, LockMode::access_exclusive, false,
                   "changes the catalog only, under a short lock: nothing is left to be read");
  // The helper goes in the statement after the one that relies on it, which is the same lock.
  if (!set_not_null_.empty()) {
    std::string set;
    for (const auto& column : set_not_null_)
      set += (set.empty() ? " ALTER " : ", ALTER ") + quoted(column) + " SET NOT NULL";
    made.statements.push_back("ALTER TABLE " + name_ + set);
  }
  if (!last_.empty()) made.statements.push_back(alter_.text(last_));
  std::string drops;
  for (const auto& drop : drop_helpers_) drops += (drops.empty() ? " " : ", ") + drop;
  if (!drops.empty()) made.statements.push_back("ALTER TABLE " + name_ + drops);
  plan.steps.push_back(std::move(made));
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
    const auto* table = find(facts, part.relation);
    if (table != nullptr && table->bytes > kSmallTable) return true;
    for (const auto& other : part.others) {
      const auto* target = find(facts, other);
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
    if (part.kind == "add column") return part.unique || part.check || part.foreign_key;
    if (part.kind == "add constraint")
      return !part.using_index && !part.not_valid && part.constraint_type != "exclusion";
    return part.kind == "set not null";
  });
}

std::optional<Plan> online(const parse::Unit& unit, const catalog::Facts& facts) {
  if (!may_be_online(unit)) return std::nullopt;
  const auto& statement = unit.statements.front();
  if (statement.action == "drop index") return drop_index(unit, facts);
  const auto& part = statement.parts.front();
  const auto* table = find(facts, part.relation);
  if (table == nullptr || !is_large(unit, facts)) return std::nullopt;
  if (part.kind == "create index") {
    if (table->kind != "r" && table->kind != "m") return std::nullopt;
    const auto index =
        parse::concurrent_index(statement.text, table->schema, [&](const auto& columns) {
          return chosen_name(table->name, columns, "idx", table->taken_relations);
        });
    return index ? std::optional(create_index(unit, *table, *index)) : std::nullopt;
  }
  // What is inherited is merged with what the children have, by rules of its own.
  if (table->kind == "r" && table->has_children) return std::nullopt;
  auto alter = parse::AlterTable::of(statement.text);
  if (!alter) return std::nullopt;
  std::map<std::size_t, std::string> targets;
  for (std::size_t i = 0; i < alter->pieces().size(); ++i)
    for (const auto& other : alter->pieces()[i].part.others)
      if (const auto* target = find(facts, other)) targets[i] = target->schema;
  alter->qualify(table->schema, targets);
  return Alter(unit, *alter, *table, facts).plan();
}

}  // namespace lockkeeper::plan
