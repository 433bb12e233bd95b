#include "plan/alter.hpp"

#include <algorithm>

#include "plan/lock_rules.hpp"
#include "plan/online.hpp"

namespace lockkeeper::plan {

using parse::quoted;
using parse::quoted_name;

namespace {

std::string list(const std::vector<std::string>& columns) {
  std::string text;
  for (const auto& column : columns) text += (text.empty() ? "" : ", ") + quoted(column);
  return text;
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

}  // namespace

std::optional<Plan> Alter::plan() {
  for (const auto& piece : alter_.pieces()) {
    if (piece.part.kind == "drop constraint") dropped_.insert(piece.constraint);
    if (piece.part.kind == "add column") added_.insert(piece.part.column);
  }
  // First the columns that get another name for a while: what is added may be about them.
  for (std::size_t i = 0; i < alter_.pieces().size(); ++i) {
    const auto& piece = alter_.pieces()[i];
    const bool changes = piece.part.kind == "modify column" && rewrites(piece);
    const bool adds = piece.part.kind == "add column" && !adds_instantly(piece);
    if ((changes || adds) && !place_filled(i)) return std::nullopt;
  }
  if (!filled_.empty()) {
    if (!dependents_of_changed()) return not_together();
    alter_.rename_columns(renames_);
  }
  for (std::size_t i = 0; i < alter_.pieces().size(); ++i)
    if (!place(i)) return not_together();
  // A foreign key to a key that is still to be made.
  if (makes_key_ && refers_to_itself_) return not_together();
  if (!gains_) return std::nullopt;
  if (clash()) return not_together();
  return steps();
}

std::optional<Plan> Alter::not_together() {
  if (why_.empty()) why_ = "its parts cannot be put into steps together";
  return std::nullopt;
}

// Does the new type cost more than a change of the catalog?
bool Alter::rewrites(const parse::AlterPiece& piece) const {
  return locks_of(piece.part, facts_).front().rewrites;
}

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
                                 return find_column(table_, column) == nullptr &&
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
  if (find_column(table_, column) != nullptr)
    probe("SELECT FROM " + name_ + " WHERE " + quoted(column) + " IS NULL", "23502",
          "column " + quoted(column) + " of relation " + quoted(table_.name) +
              " contains null values");
  gains_ = true;
}

// As they are called until the last step.
std::vector<std::string> Alter::own_names(std::vector<std::string> columns) const {
  for (auto& column : columns)
    if (const auto* own = filled(column); own != nullptr) column = own->helper;
  return columns;
}

bool Alter::place_unique(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const bool primary = piece.part.constraint_type == "primary key";
  if (piece.plain_only || piece.columns.empty() || table_.kind != "r")
    return not_online(table_.kind == "p" ? "keys of partitioned tables are not added in steps yet"
                                         : "its key has options that an index built beforehand "
                                           "would not have");
  if (piece.part.using_index) {
    last_.push_back({i, {}, false, {}});
    return !primary;
  }
  if (primary && !table_.primary_key.empty() && dropped_.empty())
    return not_online("the table has a primary key");
  makes_key_ = true;
  const std::string name = name_for(piece, primary ? "pkey" : "key");
  // In the place of one that is dropped: the index takes its name only when that is free.
  const bool replaces = dropped_.count(name) != 0;
  const std::string index =
      replaces ? chosen_name(table_.name, {"lockkeeper"}, "key", table_.taken_relations) : name;
  if (primary) {
    for (const auto& column : piece.columns) {
      if (const auto* own = filled(column); own != nullptr) {
        if (!own->definition.not_null) {
          prove_not_null(own->helper);
          set_not_null_.push_back(column);
        }
        continue;
      }
      const auto* known = find_column(table_, column);
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
  build.statements = {
      "CREATE UNIQUE INDEX CONCURRENTLY " + build.index + " ON " + build.table + " (" +
      list(own_names(piece.columns)) + ")" +
      (piece.including.empty() ? "" : " INCLUDE (" + list(own_names(piece.including)) + ")") +
      (piece.nulls_not_distinct ? " NULLS NOT DISTINCT" : "")};
  build.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + quoted(table_.schema) + "." + build.index};
  build.schema_state = "write reorganization";
  builds_.push_back(std::move(build));
  last_.push_back({i, name, false, index});
  gains_ = true;
  return true;
}

// A row that does not fit would have the application's own writes to it refused until the change is
// taken back: better found before it begins.
void Alter::probe(const std::string& query, const std::string& sqlstate,
                  const std::string& message) {
  probes_.push_back(query + " LIMIT 1");
  failures_.push_back(sqlstate + " " + message);
}

void Alter::probe_check(const parse::AlterPiece& piece, const std::string& name) {
  const auto& columns = piece.columns;
  if (piece.check.empty() || !std::all_of(columns.begin(), columns.end(), [&](const auto& column) {
        return find_column(table_, column) != nullptr && filled(column) == nullptr;
      }))
    return;
  probe("SELECT FROM " + name_ + " AS " + quoted(table_.name) + " WHERE NOT (" + piece.check + ")",
        "23514",
        "check constraint " + quoted(name) + " of relation " + quoted(table_.name) +
            " is violated by some row");
}

void Alter::probe_reference(const parse::AlterPiece& piece, const std::string& name) {
  const auto* target = find_table(facts_, piece.part.others.front());
  const auto& keys = piece.referenced.empty() ? target->primary_key : piece.referenced;
  if (keys.size() != piece.columns.size()) return;
  std::string joined;
  std::string given;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& column = piece.columns[i];
    if (find_column(table_, column) == nullptr || filled(column) != nullptr) return;
    joined += (i == 0 ? "" : " AND ") + ("p." + quoted(keys[i])) + " = t." + quoted(column);
    given += " AND t." + quoted(column) + " IS NOT NULL";
  }
  probe("SELECT FROM " + name_ + " AS t WHERE NOT EXISTS (SELECT FROM " + quoted(target->schema) +
            "." + quoted(target->name) + " AS p WHERE " + joined + ")" + given,
        "23503",
        "insert or update on table " + quoted(table_.name) + " violates foreign key constraint " +
            quoted(name));
}

Step Alter::probe_step() {
  Step made = step(StepKind::probe, LockMode::access_share, true,
                   "looks for rows that do not fit, for some seconds at most, before anything is "
                   "changed");
  made.statements = probes_;
  made.failures = failures_;
  made.schema_state = "none";
  return made;
}

bool Alter::place_constraint(std::size_t i) {
  const auto& piece = alter_.pieces()[i];
  const std::string& type = piece.part.constraint_type;
  if (!piece.part.using_index && is_taken(piece.constraint)) return false;
  if (type == "unique" || type == "primary key") return place_unique(i);
  if (type == "exclusion")
    return not_online("PostgreSQL has no online form of exclusion constraints");
  if (type != "check" && type != "foreign key") return false;
  if (type == "foreign key") {
    // A partitioned table takes no foreign key NOT VALID before 18, nor does one refer to itself
    // better.
    const auto* target = find_table(facts_, piece.part.others.front());
    if (target == nullptr || table_.kind != "r" || target->kind != "r")
      return not_online("foreign keys of partitioned tables are not added in steps yet");
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
  if (type == "check")
    probe_check(piece, name);
  else
    probe_reference(piece, name);
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
    const auto* column = find_column(table_, part.column);
    if (column == nullptr || column->composite || filled(part.column) != nullptr) return false;
    if (!column->not_null && !proven(table_, part.column)) prove_not_null(part.column);
    set_not_null_.push_back(part.column);
    return true;
  }
  if (part.kind == "add column" || part.kind == "modify column")
    if (const auto* own = filled(part.column); own != nullptr) return own->piece == i;
  if (part.kind == "modify column") {
    last_.push_back({i, {}, false, {}});
    return true;
  }
  if (part.kind == "add column") {
    // What is there already is not ours to take back.
    if (!adds_instantly(piece) || find_column(table_, part.column) != nullptr) return false;
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

Step Alter::first_step() {
  const bool keys_only =
      helpers_.empty() && fill_first_.empty() && first_locks_.size() == first_.size();
  Step made = step(StepKind::transaction,
                   keys_only ? LockMode::share_row_exclusive : LockMode::access_exclusive, false,
                   "changes the catalog only, under a short lock; new rows obey from here on");
  made.statements = fill_first_;
  if (!first_.empty()) made.statements.push_back(alter_.text(first_));
  made.statements.insert(made.statements.end(), helpers_.begin(), helpers_.end());
  made.undo.assign(first_undo_.rbegin(), first_undo_.rend());
  made.undo.insert(made.undo.end(), fill_undo_.begin(), fill_undo_.end());
  made.schema_state = "write only";
  made.locks.insert(made.locks.end(), first_locks_.begin(), first_locks_.end());
  return made;
}

Step Alter::last_step() {
  Step made = step(StepKind::transaction, LockMode::access_exclusive, false,
                   "changes the catalog only, under a short lock: nothing is left to be read");
  auto& all = made.statements;
  for (const auto* part : {&cut_before_, &cut_renames_})
    all.insert(all.end(), part->begin(), part->end());
  // The helper goes in the statement after the one that relies on it, which is the same lock.
  if (!set_not_null_.empty()) {
    std::string set;
    for (const auto& column : set_not_null_)
      set += (set.empty() ? " " : ", ") + set_not_null_of(column);
    all.push_back("ALTER TABLE " + name_ + set);
  }
  for (const auto* part : {&keys_, &cut_after_}) all.insert(all.end(), part->begin(), part->end());
  if (!last_.empty()) all.push_back(alter_.text(last_));
  std::string drops;
  for (const auto& drop : drop_helpers_) drops += (drops.empty() ? " " : ", ") + drop;
  if (!drops.empty()) all.push_back("ALTER TABLE " + name_ + drops);
  all.insert(all.end(), at_last_.begin(), at_last_.end());
  made.locks.insert(made.locks.end(), cut_locks_.begin(), cut_locks_.end());
  made.cut_over = !filled_.empty();
  for (const auto& one : filled_)
    if (one.changed) made.digests[one.column] = table_.dependents.at(one.column).digest;
  made.no_return = !after_.empty();
  return made;
}

std::optional<Plan> Alter::steps() {
  Plan plan;
  plan.action = unit_.action;
  plan.online = true;
  if (!filled_.empty()) finish_filled();
  if (!filled_.empty()) warn_of_filling(plan);
  if (!probes_.empty()) plan.steps.push_back(probe_step());
  if (!first_.empty() || !helpers_.empty() || !fill_first_.empty())
    plan.steps.push_back(first_step());
  if (!filled_.empty()) plan.steps.push_back(fill_step());
  for (auto& build : builds_) plan.steps.push_back(std::move(build));
  std::string proofs;
  for (const auto& proof : proofs_) proofs += (proofs.empty() ? " " : ", ") + proof;
  if (!proofs_.empty() || !filled_.empty()) {
    Step made = step(StepKind::transaction, LockMode::share_update_exclusive, true,
                     "reads all rows once, beside reads and writes");
    if (!proofs_.empty()) made.statements = {"ALTER TABLE " + name_ + proofs};
    if (!filled_.empty()) made.statements.push_back("ANALYZE " + own_name());
    made.schema_state = "write reorganization";
    made.locks.insert(made.locks.end(), proof_locks_.begin(), proof_locks_.end());
    plan.steps.push_back(std::move(made));
  }
  if (!last_.empty() || !set_not_null_.empty() || !cut_renames_.empty())
    plan.steps.push_back(last_step());
  for (auto& step : after_) plan.steps.push_back(std::move(step));
  return plan;
}

}  // namespace lockkeeper::plan
