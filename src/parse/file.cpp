// parse_file: which statements of a migration file belong together in one job.
#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "parse/parser.hpp"

namespace lockkeeper::parse {
namespace {

class FileReader {
 public:
  FileReader(const std::string& text, std::vector<Statement> statements, const FileOptions& options)
      : text_(text), options_(options), statements_(std::move(statements)) {}

  std::vector<Unit> read() {
    if (options_.single_transaction) {
      read_group(0, statements_.size(), true);
      return std::move(units_);
    }
    for (std::size_t i = 0; i < statements_.size();) i = read_at(i);
    return std::move(units_);
  }

 private:
  [[noreturn]] void refuse(const Statement& at, const std::string& message,
                           const std::string& hint) const {
    Report report;
    report.sqlstate = "25001";
    report.message = message;
    report.hint = hint;
    report.position = at.position;
    throw InputError(report, text_, options_.source);
  }

  // Reads the job that begins at `i`; gives the index of the statement after it.
  std::size_t read_at(std::size_t i) {
    const Statement& statement = statements_[i];
    switch (statement.session_use) {
      case SessionUse::setting:
      case SessionUse::discard:
        set(statement);
        return i + 1;
      case SessionUse::role:
        if (!statement.role_is_local) set(statement);
        return i + 1;
      case SessionUse::local:  // Outside a transaction: a warning in psql, no effect.
      case SessionUse::ignored:
      case SessionUse::commit:  // Without BEGIN: a warning in psql, no effect.
        return i + 1;
      case SessionUse::savepoint:
        refuse(statement, "SAVEPOINT means something only inside a transaction",
               "put BEGIN before it");
      case SessionUse::begin: {
        const std::size_t end = find_commit(i);
        read_group(i + 1, end, true, "BEGIN … COMMIT");
        return end + 1;
      }
      case SessionUse::state:
      case SessionUse::lock: {
        const std::size_t end = find_end_of_use(i);
        read_group(i, end, false, one_line(statement.text));
        return end;
      }
      case SessionUse::none:
        read_group(i, i + 1);
        return i + 1;
    }
    return i + 1;
  }

  void set(const Statement& statement) {
    if (statement.session_use == SessionUse::discard)
      settings_.clear();
    else if (statement.session_use == SessionUse::role)
      set_role(statement, settings_);
    else if (statement.setting_name.empty())  // RESET ALL leaves the role as it is.
      std::erase_if(settings_, [](const auto& setting) { return setting.first != kRole; });
    else if (statement.setting_value)
      settings_[statement.setting_name] = *statement.setting_value;
    else
      settings_.erase(statement.setting_name);
  }

  void set_role(const Statement& statement, std::map<std::string, std::string>& settings) {
    role_position_ = statement.position;
    if (statement.setting_value)
      settings[kRole] = *statement.setting_value;
    else
      settings.erase(kRole);
  }

  // A job has one role: it may change before its first statement and after its last one.
  void change_role(const Statement& statement, Unit& unit) {
    if (!statement.role_is_local) set(statement);
    if (unit.statements.empty())
      set_role(statement, unit.settings);
    else if (role_changed_ == nullptr)
      role_changed_ = &statement;
  }

  void need_one_role() const {
    if (role_changed_ != nullptr)
      refuse(*role_changed_, "the role cannot change between statements that are one job",
             "commit before it, or put SET ROLE before all of them");
  }

  std::size_t find_commit(std::size_t begin) const {
    for (std::size_t i = begin + 1; i < statements_.size(); ++i)
      if (statements_[i].session_use == SessionUse::commit) return i;
    refuse(statements_[begin], "BEGIN without COMMIT",
           "psql would roll this back at the end of the file");
  }

  // One past the last statement that may use what the statement at `begin` left in the session.
  std::size_t find_end_of_use(std::size_t begin) const {
    if (statements_[begin].session_use == SessionUse::lock) return statements_.size();
    std::set<std::string> names;
    std::size_t end = begin + 1;
    for (std::size_t i = begin; i < statements_.size(); ++i) {
      const Statement& statement = statements_[i];
      names.insert(statement.temporary.begin(), statement.temporary.end());
      const bool uses = std::any_of(statement.mentioned.begin(), statement.mentioned.end(),
                                    [&](const auto& name) { return names.count(name) != 0; });
      static const std::set<std::string> kUses = {"deallocate", "close portal", "fetch", "execute"};
      // Code that cannot be read may use anything.
      const bool unknown =
          std::any_of(statement.refs.begin(), statement.refs.end(), [](const ObjectRef& ref) {
            return ref.barrier_unless_builtin || (ref.kind == "database" && ref.exclusive);
          });
      const bool names_session = statement.text.find("pg_temp") != std::string::npos;
      if (uses || unknown || names_session || kUses.count(statement.action) != 0 ||
          !statement.temporary.empty())
        end = i + 1;
    }
    return end;
  }

  void read_group(std::size_t from, std::size_t to, bool in_transaction = false,
                  const std::string& because = {}) {
    Unit unit;
    unit.settings = settings_;
    role_changed_ = nullptr;
    std::set<std::string> temporary;
    int role_position = role_position_;
    // SET LOCAL means something only where psql would be in a transaction.
    bool local_counts = in_transaction;
    for (std::size_t i = from; i < to; ++i) {
      const Statement& statement = statements_[i];
      if (statement.session_use == SessionUse::begin) local_counts = true;
      if (statement.session_use == SessionUse::commit) local_counts = in_transaction;
      if (statement.session_use == SessionUse::local && !local_counts) continue;
      if (statement.session_use == SessionUse::role) {
        if (statement.role_is_local && !local_counts) continue;
        change_role(statement, unit);
        if (unit.statements.empty()) role_position = statement.position;
        continue;
      }
      if (statement.session_use == SessionUse::discard)
        refuse(statement, "DISCARD ALL cannot run inside a transaction block", "take it out");
      if (statement.session_use == SessionUse::setting) set(statement);
      if (statement.session_use == SessionUse::ignored ||
          statement.session_use == SessionUse::begin || statement.session_use == SessionUse::commit)
        continue;
      need_one_role();
      temporary.insert(statement.temporary.begin(), statement.temporary.end());
      unit.statements.push_back(statement);
      unit.paths.push_back(path());
    }
    if (unit.statements.empty()) return;
    if (unit.settings.count(kRole) != 0) unit.role_position = role_position;
    if (unit.statements.size() > 1) unit.together_by = because;
    for (auto& statement : unit.statements) forget(statement, temporary);
    sum_up(unit, in_transaction || unit.statements.size() > 1);
    units_.push_back(std::move(unit));
  }

  std::string path() const {
    const auto found = settings_.find("search_path");
    return found == settings_.end() ? std::string() : found->second;
  }

  // A temporary table is nobody else's: it has no place in a footprint.
  static void forget(Statement& statement, const std::set<std::string>& temporary) {
    auto& refs = statement.refs;
    refs.erase(std::remove_if(refs.begin(), refs.end(),
                              [&](const ObjectRef& ref) {
                                return ref.schema == "pg_temp" ||
                                       (ref.kind == "relation" && ref.schema.empty() &&
                                        temporary.count(ref.name) != 0);
                              }),
               refs.end());
  }

  void sum_up(Unit& unit, bool in_transaction) const {
    unit.action = unit.statements.front().action;
    unit.instant = unit.statements.size() == 1 && unit.statements.front().instant;
    for (const auto& statement : unit.statements) {
      if (statement.action != unit.action) unit.action = "transaction";
      unit.opaque |= statement.opaque;
      unit.changes_schema |= statement.changes_schema;
      unit.reorg |= statement.reorg;
      if (statement.mode == Mode::transactional) continue;
      if (in_transaction)
        refuse(statement, statement.action + " of this kind cannot run inside a transaction block",
               "take it out of " + (unit.together_by.empty()
                                        ? "the transaction (--single-transaction)"
                                        : "the transaction that begins with " + unit.together_by));
      unit.mode = Mode::outside_transaction;
    }
  }

  // Of a session, enough of it to be known again.
  static std::string one_line(const std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    std::size_t end = 60;
    if (line.size() <= end) return line;
    while ((line[end] & '\xC0') == '\x80') --end;
    return line.substr(0, end) + "…";
  }

  static constexpr const char* kRole = "role";
  const std::string& text_;
  const FileOptions& options_;
  const Statement* role_changed_ = nullptr;
  int role_position_ = 0;
  std::vector<Statement> statements_;
  std::map<std::string, std::string> settings_;
  std::vector<Unit> units_;
};

}  // namespace

std::vector<Unit> parse_file(const std::string& text, const FileOptions& options) {
  return FileReader(text, parse(text, options.source), options).read();
}

std::vector<Unit> units_of(std::vector<Statement> statements, const std::string& text) {
  const FileOptions none;
  return FileReader(text, std::move(statements), none).read();
}

}  // namespace lockkeeper::parse
