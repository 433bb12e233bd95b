#pragma once
// What the planner wants to know of the catalog, as plain values. Read by catalog/reader, given to
// the planner, which does no I/O itself. Copyable, any thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockkeeper::catalog {

struct Column {
  std::string name;
  std::string type;  ///< base type name as format_type shows it without modifier: "numeric"
  int type_modifier = -1;
  bool not_null = false;
  bool composite = false;  ///< IS NOT NULL looks into its fields
  bool generated = false;
  bool identity = false;
};

/// An index that a column is in, with the constraint that it belongs to.
struct ColumnIndex {
  std::string name;
  std::string definition;  ///< CREATE INDEX, names with schemas
  bool valid = true, unique = false, primary = false, exclusion = false, of_constraint = false;
  bool deferrable = false, deferred = false;
  bool clustered = false, replica_identity = false, tablespace = false;
  std::string comment, constraint_comment;
};

/// A CHECK or FOREIGN KEY that a column is in, or a foreign key that refers to it.
struct ColumnConstraint {
  std::string name;
  std::string definition;  ///< "CHECK (…)", names with schemas
  std::string table;  ///< quoted, with its schema; of a foreign key of the table itself: target
  bool foreign_key = false;
  bool valid = true;
  bool partitioned = false;  ///< a foreign key of a partition or of a partitioned table
  bool itself = false;       ///< refers to its own table
  std::string comment;
};

/// The sequence of a serial or identity column.
struct ColumnSequence {
  std::string name;     ///< quoted, with its schema
  std::string options;  ///< of CREATE SEQUENCE, but AS
  std::string comment;
  bool identity = false, granted = false;
};

/// What belongs to a column and has to be made anew for the one that takes its place.
struct Dependents {
  std::string digest;  ///< of all of this, and of what else the column is
  std::string default_value, comment, options, not_null_name, statistics;
  std::string identity;  ///< "", "ALWAYS" or "BY DEFAULT"
  std::vector<ColumnSequence> sequences;
  std::vector<ColumnIndex> indexes;
  std::vector<ColumnConstraint> constraints;
  std::vector<ColumnConstraint> referring;
  std::vector<std::string> grants;  ///< GRANT … (column)
  std::vector<std::string> others;  ///< what cannot be made anew by us: views, triggers, …
};

/// What a backfill would meet on a table.
struct Filling {
  bool of_a_family = false;  ///< partitions, inheritance, typed tables
  bool forces_row_security = false, has_rules = false;
  bool has_triggers = false;        ///< an UPDATE fires them
  bool has_loud_triggers = false;   ///< the same also where session_replication_role is replica
  bool may_create = false;          ///< the role may make a function in the table's schema
  bool published = false;           ///< by logical replication
  bool row_type_used = false;       ///< by a column of another table
  bool has_later_triggers = false;  ///< BEFORE ones whose names sort after ours
  bool has_not_valid = false;       ///< CHECK constraints that old rows may break
  bool may_be_quiet = false;        ///< session_replication_role may be set
};

/// What the statement did to an empty copy of the table.
struct Rehearsal {
  bool fails = false;
  bool rewrites = false;  ///< the rows or an index
};

/// A member of a partition tree.
struct Partition {
  std::string oid, schema, name, parent;  ///< parent: its oid; empty: the root
  std::string kind;                       ///< pg_class.relkind
  std::vector<std::string> taken;         ///< names as in Table::taken_relations
  std::vector<std::string> indexes;       ///< CREATE INDEX of each
};

struct Table {
  std::string oid;
  std::string schema;
  std::string name;
  std::string kind;            ///< pg_class.relkind
  std::int64_t bytes = 0;      ///< with its indexes and TOAST
  bool of_constraint = false;  ///< an index that belongs to a constraint
  bool has_children = false;   ///< partitions, or tables that inherit from it
  double rows = 0;             ///< estimate; -1 = never analysed
  std::vector<Column> columns;
  /// Columns that a valid CHECK proves to be not null (SET NOT NULL then needs no scan, since 12).
  std::vector<std::string> proven_not_null;
  std::vector<std::string> primary_key;
  std::vector<std::string> referenced_by;  ///< tables with a foreign key to this one
  /// Names in its schema that begin as the server would begin the name of a new one of this table,
  /// and those of all its constraints.
  std::vector<std::string> taken_relations;
  std::vector<std::string> taken_constraints;
  std::vector<Partition> partitions;             ///< if they were wanted; itself first
  std::optional<Filling> filling;                ///< if it was wanted
  std::map<std::string, Dependents> dependents;  ///< of the columns that were wanted
  std::optional<Rehearsal> rehearsal;
};

/// What to read.
struct Wanted {
  std::vector<std::string> tables;     ///< quoted names: "app"."orders" or "orders"; indexes too
  std::vector<std::string> functions;  ///< unqualified
  std::vector<std::string> types;
  std::string indexed;                       ///< a table that gets an index
  std::string filled;                        ///< a table that may have to be backfilled
  std::vector<std::string> changed_columns;  ///< of it: those that get another type
  std::string rehearsal;            ///< their ALTER TABLE, on pg_temp; empty: there are none
  std::int64_t rehearsed_from = 0;  ///< bytes of the table
  std::string role;                 ///< that the change is made with
};

struct Facts {
  bool nodes = false;  ///< some process of the application caches the schema (versions)
  /// Why dropped tables go for good; empty: the trash keeps them; none: nobody asked.
  std::optional<std::string> not_kept;
  int server_version = 0;                          ///< 150018
  std::string current_schema;                      ///< where a name without one would be made
  std::map<std::string, Table> tables;             ///< by name as written in the statement
  std::map<std::string, bool> volatile_function;   ///< by unqualified name
  std::map<std::string, bool> constrained_domain;  ///< by type name as written
};

}  // namespace lockkeeper::catalog
