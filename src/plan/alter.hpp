#pragma once
// Of plan/online: one ALTER TABLE as online steps. Pure; one thread.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/facts.hpp"
#include "parse/parser.hpp"
#include "parse/rewrite.hpp"
#include "plan/plan.hpp"

namespace lockkeeper::plan {

/// The table of a reference; null: it is not there.
const catalog::Table* find_table(const catalog::Facts& facts, const parse::ObjectRef& ref);
/// Its column with that name; nullptr: it has none.
const catalog::Column* find_column(const catalog::Table& table, const std::string& name);

// A column for which rows have to be written: it is filled under a name of its own.
struct Filled {
  std::size_t piece = 0;
  std::string column;
  std::string helper;  // its name meanwhile
  parse::ColumnDefinition definition;
  bool changed = false;  // takes the place of one of another type
};

// One ALTER TABLE, sorted into what comes first (and can be taken back), what is built, what is
// proved, and what comes last.
class Alter {
 public:
  Alter(const parse::Unit& unit, parse::AlterTable& alter, const catalog::Table& table,
        const catalog::Facts& facts)
      : unit_(unit), alter_(alter), table_(table), facts_(facts) {
    const bool only = alter.table().compare(0, 5, "ONLY ") == 0;
    name_ = (only ? "ONLY " : "") + parse::quoted(table.schema) + "." + parse::quoted(table.name);
  }

  std::optional<Plan> plan();
  /// What keeps it from being done in steps; may be empty.
  [[nodiscard]] const std::string& why() const { return why_; }

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
  Step first_step();
  Step last_step();
  Step fill_step() const;
  [[nodiscard]] bool rewrites(const parse::AlterPiece& piece) const;
  [[nodiscard]] std::vector<std::string> own_names(std::vector<std::string> columns) const;
  [[nodiscard]] std::string own_name() const;

  // Columns that are filled (alter_fill.cpp).
  bool place_filled(std::size_t i);
  bool can_fill();
  bool may_change(std::size_t piece, const parse::ColumnDefinition& definition);
  bool may_add(const parse::Part& part, const parse::ColumnDefinition& definition);
  std::optional<Plan> not_together();
  bool not_online(const std::string& why);
  void warn_of_filling(Plan& plan) const;
  void probe(const std::string& query, const std::string& sqlstate, const std::string& message);
  void probe_check(const parse::AlterPiece& piece, const std::string& name);
  void probe_reference(const parse::AlterPiece& piece, const std::string& name);
  Step probe_step();
  std::string new_column_value(const Filled& filled);
  void add_filled(const Filled& filled);
  void fill_new(const Filled& filled);
  void fill_changed(const Filled& filled);
  bool dependents_of_changed();
  bool copy_index(const catalog::ColumnIndex& index);
  bool copy_constraint(const catalog::ColumnConstraint& constraint);
  void move_referring(const catalog::ColumnConstraint& constraint);
  void move_sequence(const Filled& filled, const catalog::ColumnSequence& sequence);
  void move_properties(const Filled& filled, const catalog::Dependents& own);
  void finish_filled();
  void add_trigger();
  void keep_same(const Filled& filled);
  std::string helper_constraint(const std::string& what);
  std::string set_not_null_of(const std::string& column) const;
  [[nodiscard]] const Filled* filled(const std::string& column) const;
  Step step(StepKind kind, LockMode mode, bool scans, const std::string& says) const;

  const parse::Unit& unit_;
  parse::AlterTable& alter_;
  const catalog::Table& table_;
  const catalog::Facts& facts_;
  std::string name_;
  bool gains_ = false;
  std::vector<parse::Written> first_;
  std::vector<std::string> helpers_;     ///< ADD CONSTRAINT … NOT VALID of our own, by text
  std::vector<std::string> first_undo_;  ///< in the order in which they are to be run
  std::vector<TableLock> first_locks_;
  std::vector<std::string> probes_;    ///< queries for rows that do not fit
  std::vector<std::string> failures_;  ///< and what is to be said of such a row
  std::string why_;
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

  std::vector<Filled> filled_;
  parse::Renames renames_;                ///< of filled columns, to their helpers
  std::vector<std::string> fill_first_;   ///< statements
  std::vector<std::string> fill_undo_;    ///< in the order in which they are to be run
  std::vector<std::string> trigger_;      ///< lines of its function
  std::vector<std::string> fill_set_;     ///< helper = value
  std::vector<std::string> fill_where_;   ///< rows that need it
  bool plain_settings_ = true;            ///< values do not depend on settings of the session
  bool own_rights_ = false;               ///< the trigger runs expressions of the job's role
  std::vector<std::string> cut_before_;   ///< of the cut-over: until the old columns are gone
  std::vector<std::string> cut_renames_;  ///< the new ones get their names
  std::vector<std::string> cut_after_;    ///< and what belongs to them
  std::vector<std::string> keys_;         ///< constraints that adopt the new indexes
  std::vector<std::string> at_last_;      ///< what needs those keys
  std::vector<TableLock> cut_locks_;
  std::set<std::string> cut_tables_;  ///< others that it locks, in this order
  std::vector<Step> after_;           ///< steps that follow the cut-over
  std::set<std::string> moved_;       ///< indexes and constraints that are dealt with
};

}  // namespace lockkeeper::plan
