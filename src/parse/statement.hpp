#pragma once
// What the parser knows of a statement, as plain values. No I/O, no server: names are as written
// (folded by the grammar), not yet resolved against a catalog. Copyable, any thread.

#include <optional>
#include <string>
#include <vector>

namespace lockkeeper::parse {

/// An object that a statement names (design section 2, footprint). Resolved to a schema in SQL
/// (lockkeeper.resolve_refs), where the catalog and the queue are.
struct ObjectRef {
  std::string kind;    ///< relation, type, function, schema, database, role, …
  std::string schema;  ///< empty: to be found by search_path
  std::string name;
  bool exclusive = false;
  /// The statement runs this function: unless it is built in, nobody knows what it touches.
  bool barrier_unless_builtin = false;
  bool operator==(const ObjectRef&) const = default;
};

/// How a statement can be run.
enum class Mode { transactional, outside_transaction };

/// What a statement is for the session that a file expects.
enum class SessionUse {
  none,
  setting,  ///< SET, RESET, set_config(): changes what later statements of the file mean
  local,    ///< SET LOCAL: means something inside a transaction only
  ignored,  ///< ours to set, or without effect on a job (lock_timeout, client_encoding, SHOW)
  role,     ///< SET ROLE: whose rights the statements after it have
  discard,  ///< DISCARD ALL: everything is as at the beginning
  begin,
  commit,
  savepoint,  ///< SAVEPOINT, RELEASE, ROLLBACK TO
  state,      ///< leaves something in the session that later statements use (temp table, PREPARE)
  lock        ///< LOCK TABLE: means something only together with what follows
};

/// One part of a statement that PostgreSQL does under one lock: an ALTER TABLE subcommand, a CREATE
/// INDEX, … Input of the planner.
struct Part {
  std::string kind;               ///< "add column", "set not null", "create index", …
  ObjectRef relation;             ///< the table or index it is done to
  std::vector<ObjectRef> others;  ///< other tables that are locked (foreign key target, parent)
  std::string column;
  std::string type;  ///< column type as SQL, for add column and modify column
  bool has_default = false;
  std::vector<std::string> functions;  ///< called in the default
  bool not_null = false, unique = false, check = false, foreign_key = false;
  bool serial = false, identity = false, generated_stored = false;
  bool fills = false;  ///< rows may have to be written: another type, numbers, a default per row
  bool cascade = false;
  bool not_valid = false, using_index = false, concurrently = false, has_using = false;
  std::string constraint_type;   ///< for add constraint: check, foreign key, unique, …
  bool may_lack = false;         ///< IF EXISTS; of what is made, IF NOT EXISTS
  bool column_may_lack = false;  ///< DROP COLUMN IF EXISTS, ADD COLUMN IF NOT EXISTS
};

struct Statement {
  std::string text;
  int position = 1;  ///< 1-based character in the source at which `text` begins
  std::string action;
  std::vector<ObjectRef> refs;
  std::vector<Part> parts;
  Mode mode = Mode::transactional;
  bool opaque = false;  ///< runs code that the parser cannot see into
  bool changes_schema = true;
  bool reorg = false;    ///< reads or writes rows: the reorg pool
  bool instant = false;  ///< locks nothing that an application uses, and reads no rows
  bool brief = false;    ///< one ALTER TABLE whose lock is held for a moment, whatever the rows
  SessionUse session_use = SessionUse::none;
  std::string setting_name;                  ///< session_use == setting; empty: RESET ALL
  std::optional<std::string> setting_value;  ///< empty: back to the default; of SET ROLE, the role
  bool role_is_local = false;                ///< SET LOCAL ROLE
  std::vector<std::string> temporary;        ///< names that exist in this session only
  /// Tables whose columns it takes by their places: INSERT without a list, INSERT … SELECT *.
  std::vector<ObjectRef> by_position;
  std::vector<std::string> mentioned;  ///< every unqualified relation name in it
};

/// A name as SQL text: "Order Lines".
std::string quoted(const std::string& name);
/// The name of a reference as SQL text, with its schema if it was written.
std::string quoted_name(const ObjectRef& ref);

}  // namespace lockkeeper::parse
