#include "plan/partitions.hpp"

#include <algorithm>
#include <map>

#include "parse/rewrite.hpp"
#include "plan/online.hpp"

namespace lockkeeper::plan {
namespace {

using parse::quoted;

std::string full_name(const std::string& schema, const std::string& name) {
  return quoted(schema) + "." + quoted(name);
}

class PartitionedIndex {
 public:
  PartitionedIndex(const parse::Unit& unit, const catalog::Table& table)
      : unit_(unit), table_(table), text_(unit.statements.front().text) {}

  std::optional<Plan> plan(std::string& why);

 private:
  Step step(StepKind kind, const catalog::Partition& at, LockMode mode, bool scans,
            const std::string& says) const;
  bool add(const catalog::Partition& member, std::string& why);
  void name(const catalog::Partition& member);

  const parse::Unit& unit_;
  const catalog::Table& table_;
  std::string text_;
  std::map<std::string, std::string> names_;   ///< of the indexes, by the table's oid
  std::map<std::string, std::string> schema_;  ///< of the tables
  std::vector<std::string> given_;
  Step parents_, attach_;
  std::vector<Step> builds_;
};

Step PartitionedIndex::step(StepKind kind, const catalog::Partition& at, LockMode mode, bool scans,
                            const std::string& says) const {
  Step made;
  made.kind = kind;
  made.says = says;
  made.target = full_name(at.schema, at.name);
  made.target_oid = at.oid;
  made.schema_state = "write only";
  made.locks.push_back({unit_.action, made.target, mode, false, scans, ""});
  return made;
}

// Only the index of the root has the name that was asked for.
void PartitionedIndex::name(const catalog::Partition& member) {
  const auto& part = unit_.statements.front().parts.front();
  auto taken = member.taken;
  taken.insert(taken.end(), given_.begin(), given_.end());
  names_[member.oid] = member.oid == table_.oid && !part.column.empty()
                           ? part.column
                           : chosen_name(member.name, parse::index_columns(text_), "idx", taken);
  given_.push_back(names_[member.oid]);
  schema_[member.oid] = member.schema;
}

bool PartitionedIndex::add(const catalog::Partition& member, std::string& why) {
  const bool leaf = member.kind != "p";
  const std::string table = full_name(member.schema, member.name);
  if (leaf && member.kind != "r") {
    why = table + " is a foreign table";
    return false;
  }
  // The server would take an index that is there already for its part.
  const auto wanted = parse::index_signature(text_);
  if (std::any_of(member.indexes.begin(), member.indexes.end(), [&](const auto& definition) {
        return parse::index_signature(definition) == wanted;
      })) {
    why = table + " has an index like it";
    return false;
  }
  name(member);
  const auto made = parse::index_at(text_, {member.schema, member.name, names_[member.oid], leaf});
  if (!made) {
    why = "it says ONLY or IF NOT EXISTS, or this build cannot take it apart";
    return false;
  }
  const std::string index = full_name(member.schema, names_[member.oid]);
  if (member.oid != table_.oid) {
    const auto& parent = names_.at(member.parent);
    attach_.statements.push_back("ALTER INDEX " + full_name(schema_.at(member.parent), parent) +
                                 " ATTACH PARTITION " + index);
    // Each query of the partition has a lock on its indexes.
    attach_.locks.push_back({unit_.action, index, LockMode::access_exclusive, false, false, ""});
  }
  if (!leaf) {
    parents_.statements.push_back(*made);
    parents_.undo.insert(parents_.undo.begin(), "DROP INDEX IF EXISTS " + index);
    if (member.oid != table_.oid)
      parents_.locks.push_back({unit_.action, table, LockMode::share, false, false, ""});
    return true;
  }
  Step build = step(StepKind::build_index, member, LockMode::share_update_exclusive, true,
                    "builds the index of " + table + " beside reads and writes");
  build.statements = {*made};
  build.index = quoted(names_[member.oid]);
  build.table = table;
  build.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + index};
  build.schema_state = "write reorganization";
  builds_.push_back(std::move(build));
  return true;
}

std::optional<Plan> PartitionedIndex::plan(std::string& why) {
  if (table_.partitions.empty()) return std::nullopt;
  const auto& root = table_.partitions.front();
  parents_ = step(StepKind::transaction, root, LockMode::share, false,
                  "makes the index of the parent, with nothing in it; new partitions get theirs "
                  "from it");
  attach_ = step(StepKind::transaction, root, LockMode::access_share, false,
                 "makes the indexes of the partitions parts of it; with the last one it is valid");
  attach_.schema_state = "public";
  for (const auto& member : table_.partitions)
    if (!add(member, why)) return std::nullopt;
  // From the leaves up: what is attached to the root is complete.
  std::reverse(attach_.statements.begin(), attach_.statements.end());
  Plan plan;
  plan.action = unit_.action;
  plan.online = true;
  plan.steps.push_back(std::move(parents_));
  for (auto& build : builds_) plan.steps.push_back(std::move(build));
  if (!attach_.statements.empty()) plan.steps.push_back(std::move(attach_));
  return plan;
}

}  // namespace

std::optional<Plan> partitioned_index(const parse::Unit& unit, const catalog::Table& table,
                                      std::string* why) {
  std::string reason;
  auto plan = PartitionedIndex(unit, table).plan(reason);
  if (!plan && why != nullptr) *why = reason;
  return plan;
}

}  // namespace lockkeeper::plan
