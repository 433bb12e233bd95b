#pragma once
// What will be done for a job, before anything is done: steps, and for each the locks it takes.
// Values; any thread.

#include <map>
#include <string>
#include <vector>

#include "parse/statement.hpp"

namespace lockkeeper::plan {

/// Table locks, weakest first (PostgreSQL manual 13.3.1); comparable.
enum class LockMode {
  none,
  access_share,
  row_share,
  row_exclusive,
  share_update_exclusive,
  share,
  share_row_exclusive,
  exclusive,
  access_exclusive
};

/// "ACCESS EXCLUSIVE", as LOCK TABLE spells it.
const char* to_string(LockMode mode);
/// The mode with that name. Throws Error.
LockMode lock_mode_from(const std::string& name);
/// What the application cannot do meanwhile: "blocks reads and writes", "blocks writes", "blocks
/// neither reads nor writes".
const char* blocks(LockMode mode);

/// What one part of a statement does to one table.
struct TableLock {
  std::string part;    ///< "add column"
  std::string object;  ///< the table as written
  LockMode mode = LockMode::none;
  bool rewrites = false;  ///< every row is written anew under the lock
  bool scans = false;     ///< every row is read under the lock
  std::string note = {};  ///< why, or what would be better; may be empty
  double seconds = 0;     ///< estimate of how long it is held, by the size of the table
};

/// How a step is carried out. Stored in ddl_step.kind and history; never renamed.
enum class StepKind {
  transaction,          ///< one or more statements and the job row, in one transaction
  outside_transaction,  ///< a statement that cannot be in a transaction block
  build_index,          ///< CREATE INDEX CONCURRENTLY: an invalid left-over is dropped first
  probe,                ///< queries that find a row which does not fit, before anything is changed
  backfill,             ///< an UPDATE, run for some blocks of the table at a time
};
const char* to_string(StepKind kind);
/// The kind with that name. Throws Error.
StepKind step_kind_from(const std::string& name);

/// A column that nodes must leave, or a whole table (no column).
struct Hidden {
  std::string relation;  ///< oid
  std::string column;
};

struct Step {
  StepKind kind = StepKind::transaction;
  std::vector<std::string> statements;
  /// What takes it back, in this order; may be run when nothing or only a part of it was done.
  std::vector<std::string> undo;
  /// Of the object that is changed, after the step (F1 paper section 4; TiDB's SchemaState).
  /// probe: of each query, SQLSTATE and message of the error when it finds a row: "23502 …".
  std::vector<std::string> failures;
  std::string schema_state = "public";
  std::string says;        ///< one sentence for people
  std::string target_oid;  ///< the table that all steps of a job change; empty: none in particular
  std::string target;      ///< its name when the plan was made, quoted, with schema; in `undo` too
  std::string
      index;  ///< build_index: the index, quoted, without schema; empty: the server names it
  std::string table;           ///< build_index: its table
  std::string verify;          ///< backfill: finds a row that is not filled
  bool may_stay_null = false;  ///< and does no harm when it is NULL
  bool in_order = false;       ///< backfill: rows get numbers, in the order in which they lie
  bool quiet = false;          ///< backfill: triggers of the application must not fire
  /// cut_over: what belonged to each column that is replaced, when the plan was made.
  std::map<std::string, std::string> digests;
  bool cut_over = false;      ///< makes the new shape public: waits, if that was asked for
  bool no_return = false;     ///< once it is done, the job is only taken forward
  bool late = false;          ///< once it is done, a cancel comes too late
  std::vector<Hidden> hides;  ///< what nodes must leave from then on
  std::vector<TableLock> locks;
};

/// Its locks stop no read and no write: it may wait for them as long as it takes.
bool patient(const Step& step);

struct Plan {
  std::string action;
  std::vector<Step> steps;
  std::int64_t bytes = 0;             ///< of the tables that it is about, with their indexes
  std::vector<std::string> remarks;   ///< for people: what to know of it, or why it is not online
  std::vector<std::string> problems;  ///< for people: why it would fail as things are
  bool moves_columns = false;         ///< a column with a new type becomes the last one
  bool online = false;  ///< steps of the planner's own, not the statement as it was written
};

/// How long a step may stop reads or writes, at the longest of all its locks, in seconds.
double stall(const Plan& plan);

}  // namespace lockkeeper::plan
