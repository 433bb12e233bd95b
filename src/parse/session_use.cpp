#include "parse/session_use.hpp"

#include <algorithm>
#include <set>
#include <string_view>

namespace lockkeeper::parse {
namespace {

const SessionProblem kRole = {"set_config('role') is not supported in a job",
                              "write SET ROLE, or connect as that role"};

const SessionProblem kMode = {"a job runs in a READ COMMITTED, READ WRITE transaction",
                              "take the other isolation level, READ ONLY or DEFERRABLE out"};

std::string constant_text(const Tree& node) {
  const Tree& constant = field(node, "A_Const");
  if (const Tree& s = field(constant, "sval"); s.is_object()) return text_field(s, "sval");
  if (const Tree& i = field(constant, "ival"); i.is_object())
    return std::to_string(i.value("ival", 0));
  if (const Tree& f = field(constant, "fval"); f.is_object()) return text_field(f, "fval");
  if (const Tree& b = field(constant, "boolval"); b.is_object())
    return b.value("boolval", false) ? "on" : "off";
  return {};
}

bool is_constant(const Tree& node) { return field(node, "A_Const").is_object(); }

// libpg_query's JSON leaves out zeroes, and by mistake negative numbers too.
bool is_lost_number(const RawStatement& raw, const Tree& value) {
  const Tree& number = field(field(value, "A_Const"), "ival");
  return number.is_object() && number.empty() && raw.text.find('-') != std::string::npos;
}

// A list value (search_path) is stored as current_setting would show it.
std::string joined(const std::string& name, const Tree& values) {
  std::string text;
  for (const auto& value : values) {
    std::string item = constant_text(value);
    if (name == "search_path" || values.size() > 1) {
      item = parse::quoted(item);
    }
    text += (text.empty() ? "" : ", ") + item;
  }
  return text;
}

// As PostgreSQL reads a boolean: any case, and as much of the word as is not ambiguous.
bool means_on(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto begins = [&](std::string_view word) {
    return !value.empty() && word.substr(0, value.size()) == value;
  };
  return value == "on" || value == "1" || begins("true") || begins("yes");
}

// Nothing but what a job has anyway.
bool are_usual_modes(const Tree& options) {
  if (!options.is_array()) return false;
  for (const auto& option : options) {
    const Tree& definition = field(option, "DefElem");
    const auto name = text_field(definition, "defname");
    const auto value = constant_text(field(definition, "arg"));
    const bool usual = name == "transaction_isolation" ? value == "read committed"
                                                       : value.empty() || !means_on(value);
    if (!usual) return false;
  }
  return true;
}

// The role of what follows, if the submitter may have it.
std::optional<SessionProblem> read_role(const RawStatement& raw, Statement& statement) {
  statement.session_use = SessionUse::role;
  statement.role_is_local = true_field(raw.node, "is_local");
  const Tree& values = field(raw.node, "args");
  if (text_field(raw.node, "kind") != "VAR_SET_VALUE" || !values.is_array()) return std::nullopt;
  const auto role = constant_text(values[0]);
  if (role != "none") statement.setting_value = role;
  return std::nullopt;
}

// Settings that are ours, or that say nothing about the text once it is parsed.
bool is_ignored(const std::string& name) {
  static const std::set<std::string_view> kIgnored = {
      "lock_timeout",          "client_encoding", "client_min_messages", "application_name",
      "escape_string_warning", "log_statement",   "synchronize_seqscans"};
  return kIgnored.count(name) != 0;
}

std::optional<SessionProblem> read_set(const RawStatement& raw, Statement& statement) {
  const std::string kind = text_field(raw.node, "kind");
  const std::string name = text_field(raw.node, "name");
  // Who may only be that role, and nobody behind it: for a change of the schema it is the same.
  if (name == "role" || name == "session_authorization") return read_role(raw, statement);
  if (kind == "VAR_SET_MULTI") {  // SET TRANSACTION, SET SESSION CHARACTERISTICS
    const Tree& modes = field(raw.node, "args");
    if (name == "TRANSACTION SNAPSHOT" || !are_usual_modes(modes)) return kMode;
    statement.session_use = SessionUse::ignored;
    return std::nullopt;
  }
  if (name.rfind("default_transaction_", 0) == 0) {
    const Tree& values = field(raw.node, "args");
    const auto value = values.is_array() ? constant_text(values[0]) : std::string();
    if (!value.empty() && value != "read committed" && means_on(value)) return kMode;
    if (name == "default_transaction_isolation" && !value.empty() && value != "read committed")
      return kMode;
    statement.session_use = SessionUse::ignored;
    return std::nullopt;
  }
  if (name == "standard_conforming_strings") {
    const Tree& values = field(raw.node, "args");
    if (values.is_array() && !means_on(constant_text(values[0])))
      return SessionProblem{"standard_conforming_strings = off is not supported",
                            "write strings with backslashes as E'…'"};
    statement.session_use = SessionUse::ignored;
    return std::nullopt;
  }
  if (is_ignored(name)) {
    statement.session_use = SessionUse::ignored;
    return std::nullopt;
  }
  if (true_field(raw.node, "is_local")) {
    statement.session_use = SessionUse::local;
    return std::nullopt;
  }
  statement.session_use = SessionUse::setting;
  statement.setting_name = name;
  if (kind == "VAR_SET_VALUE") {
    for (const auto& value : field(raw.node, "args"))
      if (!is_constant(value) || is_lost_number(raw, value))
        return SessionProblem{"this form of SET is not supported in a migration",
                              "give the value as a string: SET name = 'value'"};
    statement.setting_value = joined(name, field(raw.node, "args"));
  }
  return std::nullopt;
}

// SELECT set_config('name', 'value', false), as pg_dump writes it.
bool read_set_config(const RawStatement& raw, Statement& statement) {
  const Tree& targets = field(raw.node, "targetList");
  if (!targets.is_array() || targets.size() != 1 || raw.node.contains("fromClause")) return false;
  const Tree& call = field(field(field(targets[0], "ResTarget"), "val"), "FuncCall");
  const auto names = strings(field(call, "funcname"));
  const Tree& args = field(call, "args");
  if (names.empty() || names.back() != "set_config" || !args.is_array() || args.size() != 3)
    return false;
  for (const auto& arg : args)
    if (!is_constant(arg)) return false;
  if (constant_text(args[2]) == "on") {
    statement.session_use = SessionUse::local;
    return true;
  }
  statement.session_use =
      is_ignored(constant_text(args[0])) ? SessionUse::ignored : SessionUse::setting;
  statement.setting_name = constant_text(args[0]);
  statement.setting_value = constant_text(args[1]);
  return true;
}

std::optional<SessionProblem> read_transaction(const RawStatement& raw, Statement& statement) {
  const std::string kind = text_field(raw.node, "kind");
  if (raw.node.contains("options") && !are_usual_modes(field(raw.node, "options"))) return kMode;
  if (true_field(raw.node, "chain"))
    return SessionProblem{"COMMIT AND CHAIN is not supported", "write COMMIT; BEGIN"};
  if (kind == "TRANS_STMT_BEGIN" || kind == "TRANS_STMT_START") {
    statement.session_use = SessionUse::begin;
  } else if (kind == "TRANS_STMT_COMMIT") {
    statement.session_use = SessionUse::commit;
  } else if (kind == "TRANS_STMT_SAVEPOINT" || kind == "TRANS_STMT_RELEASE" ||
             kind == "TRANS_STMT_ROLLBACK_TO") {
    statement.session_use = SessionUse::savepoint;
  } else if (kind == "TRANS_STMT_ROLLBACK") {
    return SessionProblem{"ROLLBACK would undo what the file did",
                          "take the transaction out of the file, or end it with COMMIT"};
  } else {
    return SessionProblem{"two-phase commit cannot be part of a job", "leave it out"};
  }
  return std::nullopt;
}

void read_temporary(const RawStatement& raw, Statement& statement) {
  for (const Tree* made :
       {&field(raw.node, "relation"), &field(raw.node, "view"), &field(raw.node, "sequence"),
        &field(raw.node, "typevar"), &field(field(raw.node, "into"), "rel"),
        &field(field(raw.node, "intoClause"), "rel")}) {
    const bool temporary =
        text_field(*made, "relpersistence") == "t" || text_field(*made, "schemaname") == "pg_temp";
    if (!temporary) continue;
    statement.session_use = SessionUse::state;
    statement.temporary.push_back(text_field(*made, "relname"));
  }
  // Functions and types of the session.
  for (const char* names : {"funcname", "defnames", "typeName", "domainname"}) {
    const auto made = strings(field(raw.node, names));
    if (raw.tag.rfind("Create", 0) + raw.tag.rfind("Define", 0) == 2 * std::string::npos ||
        made.size() != 2 || made.front() != "pg_temp")
      continue;
    statement.session_use = SessionUse::state;
    statement.temporary.push_back(made.back());
  }
}

}  // namespace

std::optional<SessionProblem> read_session_use(const RawStatement& raw, Statement& statement) {
  if (raw.tag == "VariableSetStmt") return read_set(raw, statement);
  if (raw.tag == "TransactionStmt") return read_transaction(raw, statement);
  if (raw.tag == "SelectStmt" && read_set_config(raw, statement)) {
    if (statement.setting_name == "role" || statement.setting_name == "session_authorization")
      return kRole;
    return std::nullopt;
  }
  if (raw.tag == "VariableShowStmt" || raw.tag == "ListenStmt" || raw.tag == "UnlistenStmt")
    statement.session_use = SessionUse::ignored;
  if (raw.tag == "DiscardStmt")
    statement.session_use =
        text_field(raw.node, "target") == "DISCARD_ALL" ? SessionUse::discard : SessionUse::ignored;
  if (raw.tag == "LockStmt") statement.session_use = SessionUse::lock;
  if (raw.tag == "PrepareStmt" || raw.tag == "DeclareCursorStmt" || raw.tag == "LoadStmt") {
    statement.session_use = SessionUse::state;
    statement.temporary.push_back("");  // Used by EXECUTE and FETCH, which are opaque anyway.
  }
  read_temporary(raw, statement);
  return std::nullopt;
}

}  // namespace lockkeeper::parse
