#include "plan/foresee.hpp"

#include <algorithm>

namespace lockkeeper::plan {
namespace {

using catalog::Table;
using parse::ObjectRef;
using parse::Part;

std::string shown(const ObjectRef& ref) {
  return "\"" + (ref.schema.empty() ? "" : ref.schema + ".") + ref.name + "\"";
}

const Table* find(const catalog::Facts& facts, const std::string& quoted_name) {
  const auto found = facts.tables.find(quoted_name);
  return found == facts.tables.end() ? nullptr : &found->second;
}

bool has_column(const Table& table, const std::string& name) {
  return std::any_of(table.columns.begin(), table.columns.end(),
                     [&](const auto& column) { return column.name == name; });
}

// Of the parts of one statement, one after the other.
class Look {
 public:
  Look(const catalog::Facts& facts, const Earlier& earlier, std::vector<std::string>& said)
      : facts_(facts), earlier_(earlier), said_(said) {}

  void at(const Part& part) {
    if (part.relation.name.empty() || unsure(part.relation)) return;
    const Table* table = find(facts_, parse::quoted_name(part.relation));
    if (part.kind == "create table") {
      made_ = part.relation.name;
      if (table != nullptr && !part.may_lack && would_be_in(part.relation) == table->schema)
        say("relation " + shown(part.relation) + " is there already");
    } else if (table == nullptr) {
      if (!part.may_lack) say("there is no relation " + shown(part.relation));
    } else {
      at_columns(part, *table);
      at_index(part, *table);
    }
    for (const auto& other : part.others)
      if (!unsure(other) && find(facts_, parse::quoted_name(other)) == nullptr)
        say("there is no relation " + shown(other));
  }

 private:
  [[nodiscard]] bool unsure(const ObjectRef& ref) const {
    return ref.name == made_ || earlier_.relations.count(ref.name) != 0 || ref.schema == "pg_temp";
  }

  [[nodiscard]] std::string would_be_in(const ObjectRef& ref) const {
    return ref.schema.empty() ? facts_.current_schema : ref.schema;
  }

  void at_columns(const Part& part, const Table& table) {
    static const std::set<std::string> kNeeds = {"drop column",  "modify column", "set default",
                                                 "drop default", "set not null",  "drop not null"};
    const bool there = (has_column(table, part.column) && dropped_.count(part.column) == 0) ||
                       added_.count(part.column) != 0;
    const std::string column = "column \"" + part.column + "\"";
    if (part.kind == "add column") {
      if (there && !part.column_may_lack)
        say(column + " of " + shown(part.relation) + " is there already");
      added_.insert(part.column);
    } else if (kNeeds.count(part.kind) != 0 && !there && !part.column_may_lack) {
      say("there is no " + column + " in " + shown(part.relation));
    }
    if (part.kind == "drop column") dropped_.insert(part.column);
  }

  // An index is made in the schema of its table.
  void at_index(const Part& part, const Table& table) {
    if (part.kind != "create index" || part.column.empty() || part.may_lack) return;
    const Table* index = find(facts_, parse::quoted(part.column));
    if (index != nullptr && index->schema == table.schema &&
        earlier_.relations.count(part.column) == 0)
      say("relation \"" + part.column + "\" is there already");
  }

  void say(const std::string& problem) {
    if (std::find(said_.begin(), said_.end(), problem) == said_.end()) said_.push_back(problem);
  }

  const catalog::Facts& facts_;
  const Earlier& earlier_;
  std::vector<std::string>& said_;
  std::string made_;
  std::set<std::string> added_, dropped_;
};

}  // namespace

void Earlier::add(const parse::Statement& statement) {
  for (const auto& ref : statement.refs) {
    // Not of built-in functions: nobody looked whether they are.
    anything |= ref.barrier_unless_builtin || (ref.kind == "database" && ref.exclusive) ||
                (ref.kind == "schema" && ref.exclusive);
    if (ref.kind == "relation" && ref.exclusive) relations.insert(ref.name);
  }
  for (const auto& part : statement.parts)
    if (part.kind == "create index" && !part.column.empty()) relations.insert(part.column);
  relations.insert(statement.temporary.begin(), statement.temporary.end());
}

std::vector<std::string> names_made(const parse::Unit& unit) {
  std::vector<std::string> names;
  for (const auto& statement : unit.statements)
    for (const auto& part : statement.parts)
      if (part.kind == "create index" && !part.column.empty())
        names.push_back(parse::quoted(part.column));
  return names;
}

std::vector<std::string> problems(const parse::Unit& unit, const catalog::Facts& facts,
                                  Earlier& earlier) {
  std::vector<std::string> said;
  std::string path = unit.paths.empty() ? "" : unit.paths.front();
  for (std::size_t i = 0; i < unit.statements.size(); ++i) {
    // The facts are of the names as the first one would have them.
    if (i < unit.paths.size() && unit.paths[i] != path) earlier.anything = true;
    Look look(facts, earlier, said);
    if (!earlier.anything && !unit.unparsed && unit.statements[i].temporary.empty())
      for (const auto& part : unit.statements[i].parts) look.at(part);
    earlier.add(unit.statements[i]);
  }
  return said;
}

}  // namespace lockkeeper::plan
